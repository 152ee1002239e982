//! Connections and scripted misbehaviour. An accept loop of our own, because a reset needs a service that may fail.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
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
use super::wire::{Pour, Slowness, Wire};
use super::{Inner, Shared};

/// More than any service takes.
const MAX_BODY: usize = 4 << 20;

/// The connection is closed without an answer, or without its end.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub(super) struct NoAnswer;

/// An answer that may end as it should or not.
type Answer = Response<UnsyncBoxBody<Bytes, NoAnswer>>;

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
    let slowness = Slowness::default();
    let wire = Wire::new(stream, slowness.clone());
    let service = service_fn(|request| handle(Arc::clone(&shared), slowness.clone(), request));
    // A connection that breaks is the client's to notice.
    let _ = auto::Builder::new(TokioExecutor::new()).http1_only().serve_connection(TokioIo::new(wire), service).await;
}

async fn handle(shared: Arc<Shared>, slowness: Slowness, request: Request<Incoming>) -> Result<Answer, NoAnswer> {
    let received = read(request).await?;
    let next = shared.lock().arrive(received);
    shared.changed();
    match next {
        Next::Reply(reply) => respond(reply, &shared),
        Next::Slowly(reply, pause) => {
            slowness.set(pause);
            respond(reply, &shared)
        }
        Next::Close => Err(NoAnswer),
        Next::Hang => match std::future::pending::<Infallible>().await {},
        Next::Wait(gate, at) => {
            gate.pass().await;
            let reply = shared.lock().work(at);
            shared.changed();
            respond(reply, &shared)
        }
    }
}

/// What becomes of a request that has arrived.
enum Next {
    Reply(Reply),
    /// With this long between two bytes.
    Slowly(Reply, Duration),
    Close,
    Hang,
    /// Its place in the list of what was received.
    Wait(Gate, usize),
}

impl Inner {
    /// Everything that needs no waiting happens here, under one lock: whoever sees a request sees its effect.
    fn arrive(&mut self, received: Received) -> Next {
        if self.service.is_about_health(&received) {
            return Next::Reply(Reply::text(200, "the stand-ins listen\n"));
        }
        if self.down || self.received.len() >= self.room {
            self.turned_away += 1;
            return Next::Close;
        }
        let at = self.received.len();
        let refused = self.refusals.iter().find(|(part, _)| received.contains(part)).map(|(_, status)| *status);
        self.received.push(received);
        if let Some(status) = refused {
            return Next::Reply(self.note(at, Reply::new(status, Vec::new(), String::new())));
        }
        match self.script.pop_front() {
            None => Next::Reply(self.work(at)),
            Some(Behaviour::Answer { status, headers, body }) => {
                Next::Reply(self.note(at, Reply::new(status, headers, body)))
            }
            Some(Behaviour::Begin { status, body, then }) => {
                if (200..300).contains(&status) {
                    self.work(at);
                }
                let reply = Reply { then: Some(then), ..Reply::new(status, Vec::new(), body) };
                Next::Reply(self.note(at, reply))
            }
            Some(Behaviour::ByteByByte(pause)) => Next::Slowly(self.work(at), pause),
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
            Some(Err(early)) => Reply::too_early(early),
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

fn respond(reply: Reply, shared: &Arc<Shared>) -> Result<Answer, NoAnswer> {
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).map_err(|_| NoAnswer)?);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = match reply.then {
        None => Full::new(Bytes::from(reply.body)).map_err(|never: Infallible| match never {}).boxed_unsync(),
        Some(then) => {
            if let Some(length) = Pour::announced(&reply.body, then) {
                response = response.header("content-length", length);
            }
            Pour::new(reply.body, then, Arc::clone(shared)).boxed_unsync()
        }
    };
    response.body(body).map_err(|_| NoAnswer)
}
