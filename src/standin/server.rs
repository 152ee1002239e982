//! Connections and scripted misbehaviour. An accept loop of our own, because a reset needs a service that may fail.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::behaviour::{Behaviour, Gate, Limit};
use super::exchange::{Received, Reply};
use super::{Inner, Shared};

/// More than any service takes.
const MAX_BODY: usize = 4 << 20;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct NoAnswer;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream, Arc::clone(&shared))); }
                // No file descriptor left, for one: let a connection end first.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| handle(Arc::clone(&shared), request));
    // A connection that breaks is the client's to notice.
    let _ = auto::Builder::new(TokioExecutor::new()).http1_only().serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let received = read(request).await?;
    let next = shared.lock().arrive(received);
    shared.changed();
    match next {
        Next::Reply(reply) => respond(reply),
        Next::Close => Err(NoAnswer),
        Next::Hang => match std::future::pending::<Infallible>().await {},
        Next::Wait(gate, at) => {
            gate.pass().await;
            let reply = shared.lock().work(at);
            shared.changed();
            respond(reply)
        }
    }
}

/// What becomes of a request that has arrived.
enum Next {
    Reply(Reply),
    Close,
    Hang,
    /// Its place in the list of what was received.
    Wait(Gate, usize),
}

impl Inner {
    /// Everything that needs no waiting happens here, under one lock: whoever sees a request sees its effect.
    fn arrive(&mut self, received: Received) -> Next {
        if self.down {
            self.turned_away += 1;
            return Next::Close;
        }
        let at = self.received.len();
        self.received.push(received);
        match self.script.pop_front() {
            None => Next::Reply(self.work(at)),
            Some(Behaviour::Answer { status, headers, body }) => {
                Next::Reply(self.note(at, Reply { status, headers, body }))
            }
            Some(Behaviour::LoseAnswer) => {
                self.work(at);
                Next::Close
            }
            Some(Behaviour::ResetConnection) => Next::Close,
            Some(Behaviour::Hang) => Next::Hang,
            Some(Behaviour::Wait(gate)) => Next::Wait(gate, at),
        }
    }

    /// What the service does when nothing else is planned.
    fn work(&mut self, at: usize) -> Reply {
        let reply = match self.limit.as_mut().map(Limit::take) {
            Some(Err(early)) => {
                let seconds = early.as_secs() + u64::from(early.subsec_nanos() > 0);
                Reply { status: 429, headers: vec![("retry-after", seconds.to_string())], body: String::new() }
            }
            _ => self.service.answer(&self.received[at]),
        };
        self.note(at, reply)
    }

    fn note(&mut self, at: usize, reply: Reply) -> Reply {
        self.received[at].status = Some(reply.status);
        self.received[at].answer.clone_from(&reply.body);
        reply
    }
}

async fn read(request: Request<Incoming>) -> Result<Received, NoAnswer> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| NoAnswer)?.to_bytes();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Received {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers,
        json: serde_json::from_slice(&body).unwrap_or_default(),
        body,
        status: None,
        answer: String::new(),
    })
}

fn respond(reply: Reply) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).map_err(|_| NoAnswer)?);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body.into())).map_err(|_| NoAnswer)
}
