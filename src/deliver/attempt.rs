//! One attempt: encode, send, judge, and again where the receiver needs a second request.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::Instrument;

use super::Transport;
use crate::clock::SharedClock;
use crate::notification::Notification;
use crate::notification::Receipt;
use crate::receiver::{Failure, FailureClass, Receiver, Verdict};

/// No receiver needs more requests for one notification; more would be a loop.
const MAX_REQUESTS: usize = 4;

/// A [`Verdict`] after which no request follows.
#[derive(Debug)]
pub(super) enum Final {
    Delivered { receipt: Option<Receipt> },
    Retry { after: Option<Duration>, failure: Failure },
    Reject { failure: Failure },
}

/// Tries to deliver a notification. A bug that panics is a failure like any other: it must neither block the lane nor
/// go on for ever.
pub(super) async fn attempt(
    receiver: Arc<dyn Receiver>,
    notification: &Arc<Notification>,
    transport: &Transport,
    timeout: Duration,
    clock: &SharedClock,
) -> Final {
    let (notification, transport, clock) = (notification.clone(), transport.clone(), clock.clone());
    let mut task = JoinSet::new();
    task.spawn(async move { exchange(&*receiver, &notification, &transport, timeout, &clock).await }.in_current_span());
    match task.join_next().await {
        Some(Ok(verdict)) => verdict,
        Some(Err(error)) => {
            let detail = format!("a bug in alertrouter: {error}");
            Final::Retry { after: None, failure: Failure::new(FailureClass::Unexpected, detail) }
        }
        None => Final::Retry { after: None, failure: Failure::new(FailureClass::Unexpected, "nothing was tried") },
    }
}

async fn exchange(
    receiver: &dyn Receiver,
    notification: &Notification,
    transport: &Transport,
    timeout: Duration,
    clock: &SharedClock,
) -> Final {
    let mut outgoing = match receiver.encode(notification) {
        Ok(outgoing) => outgoing,
        Err(error) => return Final::Reject { failure: Failure::new(FailureClass::Encode, error.to_string()) },
    };
    for _ in 0..MAX_REQUESTS {
        tracing::debug!(request = ?outgoing, "sending");
        let answer = match transport.send(outgoing, timeout, clock.now()).await {
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
            Verdict::Delivered { receipt } => return Final::Delivered { receipt },
            Verdict::Retry { after, failure } => return Final::Retry { after, failure },
            Verdict::Reject { failure } => return Final::Reject { failure },
        }
    }
    let detail = format!("no end after {MAX_REQUESTS} requests for one notification");
    Final::Retry { after: None, failure: Failure::new(FailureClass::Unexpected, detail) }
}
