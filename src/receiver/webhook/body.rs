//! The default body: Alertmanager's own, and one more object.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::describe::common;
use super::super::digest;
use crate::alert::{Alert, Labels, Status};
use crate::notification::{Digest, FallbackFor, Notification};

/// Delivery ids start again when the store is new, so the time belongs to the id: else a service that remembers ids
/// would take new notifications for old ones.
pub(super) fn id(notification: &Notification) -> String {
    format!("alertrouter-{}-{}", notification.received_at.as_microsecond(), notification.id)
}

/// The body. Written as it is read, without a tree of it in between: it may be as large as what came in.
pub(super) fn body(notification: &Notification) -> serde_json::Result<Vec<u8>> {
    let group = &notification.group;
    // As Alertmanager does it: one that has ended since it fired is there once, and has ended.
    let alerts = digest::last_words(notification);
    let fires = alerts.iter().any(|alert| alert.status == Status::Firing);
    serde_json::to_vec(&Body {
        version: "4",
        group_key: &group.key,
        truncated_alerts: group.truncated_alerts,
        receiver: &group.receiver,
        status: if fires { Status::Firing } else { Status::Resolved }.as_str(),
        group_labels: &group.labels,
        common_labels: shared(&alerts, |alert| &alert.labels),
        common_annotations: shared(&alerts, |alert| &alert.annotations),
        external_url: &group.external_url,
        notification: about(notification),
        alerts,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'n> {
    version: &'static str,
    group_key: &'n str,
    truncated_alerts: u64,
    receiver: &'n str,
    status: &'static str,
    alerts: Vec<&'n Alert>,
    group_labels: &'n Labels,
    common_labels: Value,
    common_annotations: Value,
    #[serde(rename = "externalURL")]
    external_url: &'n str,
    notification: Value,
}

/// What Alertmanager's webhook has not: the notification itself.
pub(crate) fn about(notification: &Notification) -> Value {
    let reasons: Map<_, _> = notification
        .alerts
        .iter()
        .map(|notified| (notified.alert.fingerprint.to_string(), notified.reason.as_str().into()))
        .collect();
    json!({
        "id": id(notification),
        "receiver": notification.receiver.as_str(),
        "attempt": notification.attempt,
        "receivedAt": notification.received_at.to_string(),
        "othersFiring": notification.others_firing,
        "reasons": reasons,
        "fallback": notification.fallback.as_ref().map(|FallbackFor { receiver, reason }| {
            json!({ "for": receiver.as_str(), "reason": reason })
        }),
        "digest": notification.digest.map(|Digest { notifications, since }| {
            json!({ "notifications": notifications, "since": since.to_string() })
        }),
    })
}

/// Of the alerts that are sent, as Alertmanager does it: those of the whole group may share less.
fn shared(alerts: &[&Alert], labels: impl Fn(&Alert) -> &Labels) -> Value {
    common(alerts.iter().map(|alert| labels(alert)))
        .into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect()
}
