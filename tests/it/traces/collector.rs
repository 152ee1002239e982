//! A collector of OpenTelemetry on loopback: it decodes what it is sent, and refuses what a real one refuses.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::{BodyExt, Collected, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// `SPAN_KIND_*` of the protocol.
pub const INTERNAL: i32 = 1;
pub const SERVER: i32 = 2;
pub const CLIENT: i32 = 3;

/// A span that it took.
#[derive(Debug, Clone)]
pub struct Seen {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub kind: i32,
    pub attributes: BTreeMap<String, String>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// The traces it is linked to.
    pub links: Vec<String>,
    pub state: String,
    pub resource: BTreeMap<String, String>,
}

impl Seen {
    /// An attribute that it has.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("{} has no {name}: {:?}", self.name, self.attributes))
    }

    /// It has all of these.
    #[track_caller]
    pub fn shows(&self, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert_eq!(self.get(name), *value, "{name} of {}", self.name);
        }
    }
}

/// What it does with the next request in place of its work.
pub enum Instead {
    /// Answers so, and quotes what it was sent.
    Answer(u16),
    /// Asks to be left alone for so many seconds.
    ComeBack(u64),
    /// Never answers.
    Hang,
    /// Takes all but so many spans.
    Reject(i64),
}

#[derive(Default)]
struct State {
    spans: Vec<Seen>,
    script: VecDeque<Instead>,
    /// What it does when the script has ended.
    hangs: bool,
    /// Method, path and headers of each request, and its body.
    requests: Vec<(String, Bytes)>,
    refused: Vec<String>,
}

/// A collector that is gone when this is dropped.
pub struct Collector {
    address: String,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let (mut server, shared) = (JoinSet::new(), state.clone());
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, shared.clone()));
            }
        });
        Self { address, state, _server: server }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Further requests are answered like this, one after the other.
    pub fn then(&self, then: impl IntoIterator<Item = Instead>) {
        self.lock().script.extend(then);
    }

    /// From now on it never answers.
    pub fn hang(&self) {
        self.lock().hangs = true;
    }

    /// The spans that it took.
    pub fn spans(&self) -> Vec<Seen> {
        self.lock().spans.clone()
    }

    /// How many it took.
    pub fn count(&self) -> f64 {
        f64::from(u32::try_from(self.lock().spans.len()).unwrap())
    }

    /// Those of a name.
    pub fn named(&self, name: &str) -> Vec<Seen> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    /// The only one of a name.
    pub fn one(&self, name: &str) -> Seen {
        let mut found = self.named(name);
        assert_eq!(found.len(), 1, "{name}: {:#?}", self.spans());
        found.remove(0)
    }

    /// All requests: head and body.
    pub fn requests(&self) -> Vec<(String, Bytes)> {
        self.lock().requests.clone()
    }

    /// What it refused because a real one would, each with the reason.
    pub fn refused(&self) -> Vec<String> {
        self.lock().refused.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn converse(stream: TcpStream, state: Arc<Mutex<State>>) {
    let service = service_fn(|request| answer(request, state.clone()));
    // A client that hangs up is no concern of its own.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let said = format!("{} {} {:?}", head.method, head.uri, head.headers);
    let quote = Bytes::from([said.as_bytes(), &body].concat());
    let then = {
        let mut state = state.lock().unwrap();
        state.requests.push((said, body.clone()));
        state.script.pop_front().or_else(|| state.hangs.then_some(Instead::Hang))
    };
    let rejected = match then {
        None => 0,
        Some(Instead::Reject(count)) => count,
        Some(Instead::Hang) => match std::future::pending::<Infallible>().await {},
        Some(Instead::Answer(status)) => {
            return Ok(Response::builder().status(status).body(Full::new(quote)).unwrap());
        }
        Some(Instead::ComeBack(seconds)) => {
            let answer = Response::builder().status(503).header(RETRY_AFTER, seconds);
            return Ok(answer.body(Full::default()).unwrap());
        }
    };
    let mut state = state.lock().unwrap();
    Ok(match check(&head, &body) {
        Ok(spans) => {
            let kept = spans.len() - usize::try_from(rejected).unwrap();
            state.spans.extend(spans.into_iter().take(kept));
            let partial_success = ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message: String::from_utf8_lossy(&quote).into_owned(),
            };
            let partial_success = (rejected > 0).then_some(partial_success);
            let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
            let answer = Response::builder().header(CONTENT_TYPE, "application/x-protobuf");
            answer.body(Full::new(body.into())).unwrap()
        }
        Err((status, why)) => {
            state.refused.push(why.to_owned());
            Response::builder().status(status).body(Full::new(why.into())).unwrap()
        }
    })
}

/// What the collector's receiver for OTLP over HTTP asks of a request, and the protocol of a span.
fn check(head: &hyper::http::request::Parts, body: &[u8]) -> Result<Vec<Seen>, (u16, &'static str)> {
    if head.uri.path() != "/v1/traces" {
        return Err((404, "no such path"));
    }
    if head.method != Method::POST {
        return Err((405, "not a POST"));
    }
    if head.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/x-protobuf") {
        return Err((415, "not protobuf"));
    }
    let request = ExportTraceServiceRequest::decode(body).map_err(|_| (400, "it cannot be decoded"))?;
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let is_id = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte > 0);
            if !is_id(&span.trace_id, 16) || !is_id(&span.span_id, 8) || span.name.is_empty() {
                return Err((400, "a span has no identity"));
            }
            if span.start_time_unix_nano == 0 || span.end_time_unix_nano < span.start_time_unix_nano {
                return Err((400, "a span has no time"));
            }
            spans.push(seen(span, resource.clone()));
        }
    }
    if spans.is_empty() {
        return Err((400, "there are no spans"));
    }
    Ok(spans)
}

fn seen(span: Span, resource: BTreeMap<String, String>) -> Seen {
    const ERROR: i32 = 2;
    let failed = |status: Status| (status.code == ERROR).then_some(status.message);
    Seen {
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind,
        attributes: texts(span.attributes),
        error: span.status.and_then(failed),
        links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        state: span.trace_state,
        resource,
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("a value of a kind that is not used: {other:?}"),
    };
    attributes.into_iter().map(|KeyValue { key, value, .. }| (key, text(value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap());
    bytes.iter().flat_map(digits).collect()
}
