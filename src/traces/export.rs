//! What carries spans to the collector. Whoever ends a span puts it into a queue and goes on; when that is full the span is
//! dropped and counted. So a collector that is slow, hangs or is gone costs spans and nothing else.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Traces;
use super::settings::Settings;
use crate::clock::{SharedClock, Timestamp};
use crate::metrics::{Lost, Metrics};

/// How long to wait before each further try of the same spans: a collector that is started anew loses none.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// A longer pause than this is not kept, whatever the collector asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// While it fails the log says so no more often.
const SAID_EVERY: Duration = Duration::from_secs(600);

/// A request for the collector: a POST.
pub struct Request {
    /// Where to.
    pub url: SecretString,
    /// With names in lower case.
    pub headers: Vec<(String, SecretString)>,
    /// The body.
    pub body: Bytes,
    /// For all of it.
    pub timeout: Duration,
    /// The present: `Retry-After` may be a date.
    pub now: Timestamp,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} bytes)", self.body.len())
    }
}

/// What the collector answered.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// What it asks for in `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: Bytes,
}

/// A request under way. Its error says why there is no answer, without the address.
pub type Posting<'a> = Pin<Box<dyn Future<Output = Result<Reply, String>> + Send + 'a>>;

/// The client.
pub trait Collector: Send + Sync {
    /// Sends a request.
    fn post(&self, request: Request) -> Posting<'_>;
}

impl Traces {
    /// Traces, and what exports them, which has to [`run`](Export::run).
    #[must_use]
    pub fn to(
        settings: &Settings,
        collector: Arc<dyn Collector>,
        metrics: Arc<Metrics>,
        clock: SharedClock,
    ) -> (Self, Export) {
        let (sender, spans) = mpsc::channel(settings.queue);
        let attributes = settings.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let sdk = Box::new(TelemetryResourceDetector);
        let resource = Resource::builder_empty().with_detector(sdk).with_attributes(attributes).build();
        let export = Export {
            spans,
            collector,
            resource: ResourceAttributesWithSchema::from(&resource),
            metrics: metrics.clone(),
            clock,
            failing: None,
            settings: settings.clone(),
        };
        (Self::new(settings, resource, Queue { sender, metrics }), export)
    }
}

/// Takes spans that have ended.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<SpanData>,
    metrics: Arc<Metrics>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(span).is_err() {
            self.metrics.spans_lost(Lost::QueueFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Exports spans.
pub struct Export {
    spans: mpsc::Receiver<SpanData>,
    settings: Settings,
    collector: Arc<dyn Collector>,
    resource: ResourceAttributesWithSchema,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    failing: Option<Failing>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What the log was told of a collector that does not take spans.
#[derive(Debug)]
struct Failing {
    /// On the monotonic clock.
    said_at: Duration,
    /// How many spans are lost that it does not know of.
    unsaid: usize,
}

/// What became of some spans.
enum Sent {
    /// The collector has them, but for so many that it does not want.
    Taken {
        rejected: u64,
    },
    Failed {
        why: String,
    },
}

impl Export {
    /// Exports until `stop`; then what has ended by then, each batch once.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let batch = self.gather(&stop).await;
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            match self.send(batch, &stop).await {
                Sent::Taken { rejected } => self.taken(count as u64, rejected),
                Sent::Failed { why } => self.failed(count, &why),
            }
        }
    }

    /// The next batch: full, or as old as spans may become. After `stop` whatever is there; nothing if that is all.
    async fn gather(&mut self, stop: &CancellationToken) -> Vec<SpanData> {
        let (most, mut batch) = (self.settings.batch, Vec::new());
        let mut waited = None;
        while batch.len() < most {
            let room = most - batch.len();
            // No timer runs as long as there is nothing to wait for.
            let enough = async {
                match &mut waited {
                    Some(waited) => waited.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {
                    while batch.len() < most && let Ok(span) = self.spans.try_recv() {
                        batch.push(span);
                    }
                    return batch;
                }
                () = enough => return batch,
                count = self.spans.recv_many(&mut batch, room) => if count == 0 {
                    return batch;
                },
            }
            waited.get_or_insert_with(|| self.clock.sleep(self.settings.delay));
        }
        batch
    }

    async fn send(&self, batch: Vec<SpanData>, stop: &CancellationToken) -> Sent {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        let mut waits = VecDeque::from(WAITS);
        loop {
            let (why, retry_after, comes_again) = match self.collector.post(self.request(body.clone())).await {
                Ok(Reply { status: 200..300, body, .. }) => return Sent::Taken { rejected: rejected(&body) },
                // Those that OTLP has tried again.
                Ok(Reply { status: status @ (429 | 502 | 503 | 504), retry_after, .. }) => {
                    (format!("HTTP {status}"), retry_after, true)
                }
                Ok(Reply { status, .. }) => (format!("HTTP {status}"), None, false),
                Err(why) => (why, None, true),
            };
            self.metrics.span_export_failed();
            let wait = waits.pop_front().filter(|_| comes_again && !stop.is_cancelled());
            let Some(wait) = wait else { return Sent::Failed { why } };
            tokio::select! {
                () = self.clock.sleep(retry_after.unwrap_or(wait).min(LONGEST_WAIT)) => (),
                // Once more, at once.
                () = stop.cancelled() => waits.clear(),
            }
        }
    }

    fn request(&self, body: Bytes) -> Request {
        let kind = ("content-type".to_owned(), SecretString::from("application/x-protobuf"));
        let Settings { url, headers, timeout, .. } = self.settings.clone();
        let headers = headers.into_iter().chain([kind]).collect();
        Request { url, headers, body, timeout, now: self.clock.now() }
    }

    fn taken(&mut self, count: u64, rejected: u64) {
        let rejected = rejected.min(count);
        self.metrics.spans_exported(count - rejected);
        self.metrics.spans_lost(Lost::Rejected, rejected);
        if rejected > 0 {
            self.say(usize::try_from(rejected).unwrap_or(usize::MAX), "the collector does not want them");
        } else if self.failing.take().is_some() {
            tracing::info!(collector = self.settings.origin, "traces are exported again");
        }
    }

    fn failed(&mut self, count: usize, why: &str) {
        self.metrics.spans_lost(Lost::ExportFailed, count as u64);
        self.say(count, why);
    }

    fn say(&mut self, count: usize, why: &str) {
        let now = self.clock.monotonic();
        let spans = match &mut self.failing {
            Some(failing) if now.saturating_sub(failing.said_at) < SAID_EVERY => {
                failing.unsaid += count;
                return;
            }
            failing => count + failing.as_ref().map_or(0, |failing| failing.unsaid),
        };
        self.failing = Some(Failing { said_at: now, unsaid: 0 });
        tracing::warn!(
            collector = self.settings.origin,
            why,
            spans,
            "traces cannot be exported, and these spans are lost; alerts are not affected"
        );
    }
}

/// How many spans of a request that it took the collector does not want.
fn rejected(body: &[u8]) -> u64 {
    let response = ExportTraceServiceResponse::decode(body).ok();
    let rejected = response.and_then(|response| response.partial_success).map(|partial| partial.rejected_spans);
    rejected.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}
