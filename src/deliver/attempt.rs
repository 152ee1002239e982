//! One attempt: encode, send, judge, and again where the receiver needs a second request.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::Instrument;

use super::{Transport, traced};
use crate::clock::SharedClock;
use crate::metrics::Metrics;
use crate::notification::Notification;
use crate::notification::Receipt;
use crate::receiver::{Failure, FailureClass, Method, Receiver, Verdict};
use crate::traces::Within;

/// No receiver needs more requests for one notification; more would be a loop.
const MAX_REQUESTS: usize = 5;

/// What an attempt needs of the world.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) transport: Transport,
    pub(super) clock: SharedClock,
    pub(super) metrics: Arc<Metrics>,
}

/// A [`Verdict`] after which no request follows.
#[derive(Debug)]
pub(super) enum Final {
    Delivered {
        receipt: Option<Receipt>,
        /// Whether the service was asked. Otherwise it need not be told, and that says nothing of how it is.
        asked: bool,
    },
    Retry {
        after: Option<Duration>,
        failure: Failure,
    },
    Reject {
        failure: Failure,
    },
}

/// Tries to deliver a notification. A bug that panics is a failure like any other: it must neither block the lane nor
/// go on for ever.
pub(super) async fn attempt(
    receiver: Arc<dyn Receiver>,
    notification: &Arc<Notification>,
    line: &Line,
    timeout: Duration,
    traced: Within,
) -> Final {
    let (notification, line) = (notification.clone(), line.clone());
    let mut task = JoinSet::new();
    task.spawn(async move { exchange(&*receiver, &notification, &line, timeout, &traced).await }.in_current_span());
    match task.join_next().await {
        Some(Ok(verdict)) => verdict,
        Some(Err(_)) => {
            // Not the panic's own words: they may quote what it stumbled over, and these go to the fallback.
            let detail = "a bug in alertrouter: the attempt panicked, and the log says where";
            Final::Retry { after: None, failure: Failure::new(FailureClass::Unexpected, detail) }
        }
        None => Final::Retry { after: None, failure: Failure::new(FailureClass::Unexpected, "nothing was tried") },
    }
}

async fn exchange(
    receiver: &dyn Receiver,
    notification: &Notification,
    line: &Line,
    timeout: Duration,
    traced: &Within,
) -> Final {
    if let Some(Verdict::Delivered { receipt }) = receiver.without_request(notification) {
        return Final::Delivered { receipt, asked: false };
    }
    let mut outgoing = match receiver.encode(notification) {
        Ok(outgoing) => outgoing,
        Err(error) => return Final::Reject { failure: Failure::new(FailureClass::Encode, error.to_string()) },
    };
    let mut counted = false;
    for _ in 0..MAX_REQUESTS {
        // Each request of one notification may have its texts from the same template.
        if let Some(why) = outgoing.template_error.as_deref().filter(|_| !counted) {
            template_failed(notification, line, why);
            counted = true;
        }
        let now = line.clock.now();
        receiver.stamp(&mut outgoing, now);
        tracing::debug!(request = ?outgoing, "sending");
        let (request, mail) = (traced::request(traced, &outgoing), matches!(outgoing.method, Method::Mail(_)));
        let answer = line.transport.send(outgoing, timeout, now).await;
        traced::answered(request, mail, answer.as_ref());
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let failure = error.failure();
                return match failure.class {
                    FailureClass::Encode => Final::Reject { failure },
                    _ => Final::Retry { after: None, failure },
                };
            }
        };
        tracing::debug!(step = answer.step, status = answer.status, "answered");
        match receiver.judge(notification, &answer) {
            Verdict::Then(next) => outgoing = next,
            Verdict::Delivered { receipt } => return Final::Delivered { receipt, asked: true },
            Verdict::Retry { after, failure } => return Final::Retry { after, failure },
            Verdict::Reject { failure } => return Final::Reject { failure },
        }
    }
    let detail = format!("no end after {MAX_REQUESTS} requests for one notification");
    Final::Retry { after: None, failure: Failure::new(FailureClass::Unexpected, detail) }
}

/// Said and counted with the first attempt only: a receiver that is down for a day would repeat it all day.
fn template_failed(notification: &Notification, line: &Line, why: &str) {
    if notification.attempt <= 1 {
        tracing::warn!(why, "a template could not be rendered; the built-in text goes out in its place");
        line.metrics.template_failed(&notification.receiver);
    }
}
