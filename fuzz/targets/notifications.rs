//! Notifications whose texts a fuzzer chooses.

use std::sync::Arc;

use alertrouter::alert::{Alert, Fingerprint, Group, Labels, Status};
use alertrouter::clock::Timestamp;
use alertrouter::notification::{
    DeliveryId, Digest, FallbackFor, Granularity, Notification, Notified, Reason, Receipt,
};

/// The webhook of every notification came then.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_795_289_500).unwrap_or_default()
}

/// Labels or annotations; what has an empty value is absent, as `alert::wire` has it.
pub fn pairs(all: Vec<(String, String)>) -> Labels {
    let all: Labels = all.into_iter().collect();
    all.iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// An alert that began half an hour ago, and has ended if `status` says so.
pub fn alert(status: Status, labels: Vec<(String, String)>, annotations: Vec<(String, String)>, source: &str) -> Alert {
    let labels = pairs(labels);
    let minutes_ago = |minutes: i64| Timestamp::from_second(now().as_second() - minutes * 60).ok();
    Alert {
        status,
        fingerprint: Fingerprint::of(&labels, &[]),
        labels,
        annotations: pairs(annotations),
        starts_at: minutes_ago(30),
        ends_at: minutes_ago(2).filter(|_| status == Status::Resolved),
        generator_url: source.to_owned(),
    }
}

/// Bits of the byte that says what kind of notification it is.
const DIGEST: u8 = 1;
const FALLBACK: u8 = 2;
const AGAIN: u8 = 4;
const REPEAT: u8 = 8;
const OTHERS: u8 = 16;
const TRUNCATED: u8 = 32;

/// A notification of these alerts. `why` is the reason of the fallback, if it is one.
pub fn notification(kind: u8, mut group: Group, alerts: Vec<Alert>, why: &str) -> Notification {
    let is = |bit: u8| kind & bit != 0;
    let reason = |status| match status {
        Status::Firing if is(REPEAT) => Reason::Repeat,
        Status::Firing => Reason::First,
        Status::Resolved => Reason::Resolved,
    };
    group.truncated_alerts = if is(TRUNCATED) { u64::MAX } else { 0 };
    Notification {
        id: DeliveryId(7),
        receiver: "test".into(),
        group: Arc::new(group),
        alerts: alerts.into_iter().map(|alert| Notified { reason: reason(alert.status), alert }).collect(),
        others_firing: if is(OTHERS) { 3 } else { 0 },
        received_at: now(),
        attempt: if is(AGAIN) { 2 } else { 1 },
        receipt: None,
        fallback: is(FALLBACK).then(|| FallbackFor { receiver: "oncall".into(), reason: why.to_owned() }),
        digest: is(DIGEST).then(|| Digest { notifications: u32::MAX, since: now() }),
    }
}

/// The same as a receiver of this kind is told: all of it, or one alert.
pub fn for_granularity(mut notification: Notification, granularity: Granularity) -> Notification {
    if granularity == Granularity::Alert {
        notification.alerts.truncate(1);
    }
    notification
}

/// What comes next in the lane: the receipt is there, and all of it has ended.
pub fn resolved(mut notification: Notification, receipt: Option<Receipt>) -> Notification {
    for Notified { alert, reason } in &mut notification.alerts {
        (alert.status, *reason) = (Status::Resolved, Reason::Resolved);
        alert.ends_at.get_or_insert(now());
    }
    Notification { id: DeliveryId(8), attempt: 1, receipt, others_firing: 0, ..notification }
}
