//! What services answer.

use std::time::Duration;

use alertrouter::alert::{Group, Status};
use alertrouter::notification::{Notification, Receipt};
use alertrouter::receiver::{Answer, Definition, Outgoing, Verdict};

use super::bytes::Bytes;
use super::receivers::{self, SECRET};
use super::{checks, notifications};

/// What `deliver::attempt` allows for one notification.
const MAX_REQUESTS: usize = 5;
/// A reason goes into the log, the outbox and the message of a fallback.
const MAX_DETAIL: usize = 500;
/// What a lane keeps between two notifications: Slack's has 64 KiB of alerts.
const MAX_RECEIPT: usize = 128 * 1024;

/// Statuses that mean something to somebody; 0 stands for any.
const STATUSES: [u16; 40] = [
    200, 201, 202, 204, 0, 100, 301, 302, 400, 401, 403, 404, 405, 407, 408, 409, 410, 413, 415, 422, 425, 429, 500,
    502, 503, 504, 421, 450, 451, 452, 454, 501, 521, 530, 534, 535, 550, 551, 553, 554,
];

/// Every request that there is, of every receiver: an answer may come to any of them.
const STEPS: [&str; 16] = [
    "post",
    "update",
    "reply",
    "replace",
    "event",
    "patch",
    "find",
    "create",
    "search",
    "leftover",
    "delete",
    "greeting",
    "auth",
    "sender",
    "recipient",
    "message",
];

/// A conversation with a service that answers these bytes, in a lane whose receipt is these bytes. It ends; a reason is one
/// short line without secrets; every further request is one that the service itself may get; what is kept is small and can be
/// read again.
///
/// The first byte is the receiver, the second the kind of the notification (64: it has ended), the third the step of the first
/// answer (0: that of the request). The receipt follows up to 0xFF, and then the answers: a status, a `Retry-After` and a body up
/// to 0xFF.
pub fn answers(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let receiver = &receivers::ALL[usize::from(bytes.byte()) % receivers::ALL.len()];
    let kind = bytes.byte();
    let step = usize::from(bytes.byte());
    let receipt = bytes.text();
    let mut notification = notifications::for_granularity(notification(kind), receiver.target.granularity);
    notification.receipt = (!receipt.is_empty()).then_some(Receipt(receipt));
    let step = step.checked_sub(1).map(|step| STEPS[step % STEPS.len()]);
    if let Some(receipt) = conversation(receiver, &notification, step, &mut bytes) {
        let next = notifications::resolved(notification, Some(receipt));
        conversation(receiver, &next, None, &mut bytes);
    }
}

fn notification(kind: u8) -> Notification {
    let status = if kind & 64 == 0 { Status::Firing } else { Status::Resolved };
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let one = |instance: &str| {
        let labels = vec![label("alertname", "Down"), label("instance", instance), label("severity", "warning")];
        notifications::alert(status, labels, vec![label("summary", "It is down.")], "http://prometheus.example/graph")
    };
    let group = Group {
        key: "{}:{alertname=\"Down\"}".to_owned(),
        external_url: "http://alertmanager.example".to_owned(),
        ..Group::default()
    };
    notifications::notification(kind, group, vec![one("a"), one("b")], "HTTP 503")
}

/// What the lane keeps in the end.
fn conversation(
    receiver: &Definition,
    notification: &Notification,
    mut step: Option<&'static str>,
    bytes: &mut Bytes<'_>,
) -> Option<Receipt> {
    let Definition { target, service, .. } = receiver;
    let name = target.name.as_str();
    if let Some(verdict) = service.without_request(notification) {
        return settled(name, verdict).ok().flatten();
    }
    let Ok(mut outgoing) = service.encode(notification) else { return None };
    for _ in 0..MAX_REQUESTS {
        checks::request(name, &outgoing);
        let answer = answer(step.take().unwrap_or(outgoing.step), bytes);
        match settled(name, service.judge(notification, &answer)) {
            Ok(receipt) => return receipt,
            Err(next) => outgoing = *next,
        }
    }
    None
}

fn answer(step: &'static str, bytes: &mut Bytes<'_>) -> Answer {
    let status = match bytes.pick(&STATUSES) {
        0 => 100 + u16::from(bytes.byte()) * 2 + u16::from(bytes.byte()) % 2,
        status => status,
    };
    let retry_after = match bytes.byte() {
        0 => None,
        255 => Some(Duration::MAX),
        seconds => Some(Duration::from_secs(u64::from(seconds))),
    };
    Answer { step, status, retry_after, body: bytes.field().to_vec().into() }
}

/// What is kept, or the request that follows.
fn settled(name: &str, verdict: Verdict) -> Result<Option<Receipt>, Box<Outgoing>> {
    let shown = format!("{verdict:?}");
    let failure = match verdict {
        Verdict::Then(next) => return Err(Box::new(next)),
        Verdict::Delivered { receipt } => {
            let length = receipt.as_ref().map_or(0, |receipt| receipt.0.len());
            let max = if name.starts_with("grafana") { 400 } else { MAX_RECEIPT };
            assert!(length <= max, "{name} keeps {length} bytes");
            return Ok(receipt);
        }
        Verdict::Retry { failure, .. } | Verdict::Reject { failure } => failure,
    };
    assert!(!shown.contains(SECRET), "{name} shows its secret");
    assert!((1..=MAX_DETAIL).contains(&failure.detail.len()), "{name}: {}", failure.detail);
    checks::plain(&failure.detail, false);
    Ok(None)
}
