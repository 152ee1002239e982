//! Any other service: Alertmanager's own webhook, with only the alerts that are new.
//!
//! The body is Alertmanager's, version "4", so that whatever reads its webhooks reads ours, and one more object:
//!
//! ```json
//! {"version": "4", "groupKey": "…", "truncatedAlerts": 0, "receiver": "…", "status": "firing",
//!  "alerts": [{"status": "firing", "labels": {}, "annotations": {}, "startsAt": "…", "endsAt": "…",
//!              "generatorURL": "…", "fingerprint": "…"}],
//!  "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "…",
//!  "notification": {"id": "…", "receiver": "…", "attempt": 1, "receivedAt": "…", "othersFiring": 0,
//!                   "reasons": {"FINGERPRINT": "first"}, "fallback": null}}
//! ```
//!
//! Of what was meant for another receiver, `fallback` says which and why: `{"for": "oncall", "reason": "HTTP 503 for 5m"}`.
//!
//! `notification.id` is also sent as the header `webhook-id`, as Standard Webhooks has it: it is the same over all
//! attempts, so a service that remembers it sees each notification once.

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::describe::{self, common};
use super::{Answer, EncodeError, Method, Outgoing, Receiver, Verdict, judge};
use crate::alert::{Alert, Labels, Status};
use crate::notification::{FallbackFor, Granularity, Notification};

/// Any service that takes JSON.
#[derive(Debug)]
pub struct Webhook {
    /// Where to.
    pub url: SecretString,
}

impl Receiver for Webhook {
    fn granularity(&self) -> Granularity {
        Granularity::Group
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        describe::some_alert(notification)?;
        let body = body(notification).map_err(|error| EncodeError(error.to_string()))?;
        let mut outgoing = Outgoing::json("post", Method::Post, self.url.clone(), &body);
        outgoing.headers.push(("webhook-id", id(notification).into()));
        Ok(outgoing)
    }

    fn judge(&self, _notification: &Notification, answer: &Answer) -> Verdict {
        match answer.status {
            200..=299 => Verdict::Delivered { receipt: None },
            // Who it is that says so cannot be told: an ingress says 404 while the service behind it starts anew.
            _ => judge::by_foreign_status(answer, judge::detail(answer, None, &[&self.url])),
        }
    }
}

/// Delivery ids start again when the store is new, so the time belongs to the id: else a service that remembers ids
/// would take new notifications for old ones.
fn id(notification: &Notification) -> String {
    format!("alertrouter-{}-{}", notification.received_at.as_microsecond(), notification.id)
}

fn body(notification: &Notification) -> serde_json::Result<Value> {
    let group = &notification.group;
    let alerts: Vec<_> = notification.alerts.iter().map(|notified| &notified.alert).collect();
    let reasons: Map<_, _> = notification
        .alerts
        .iter()
        .map(|notified| (notified.alert.fingerprint.to_string(), notified.reason.as_str().into()))
        .collect();
    let fires = alerts.iter().any(|alert| alert.status == Status::Firing);
    Ok(json!({
        "version": "4",
        "groupKey": group.key,
        "truncatedAlerts": group.truncated_alerts,
        "receiver": group.receiver,
        "status": if fires { Status::Firing } else { Status::Resolved }.as_str(),
        "alerts": serde_json::to_value(&alerts)?,
        "groupLabels": serde_json::to_value(&group.labels)?,
        "commonLabels": shared(&alerts, |alert| &alert.labels),
        "commonAnnotations": shared(&alerts, |alert| &alert.annotations),
        "externalURL": group.external_url,
        "notification": {
            "id": id(notification),
            "receiver": notification.receiver.as_str(),
            "attempt": notification.attempt,
            "receivedAt": notification.received_at.to_string(),
            "othersFiring": notification.others_firing,
            "reasons": reasons,
            "fallback": notification.fallback.as_ref().map(|FallbackFor { receiver, reason }| {
                json!({ "for": receiver.as_str(), "reason": reason })
            }),
        },
    }))
}

/// Of the alerts that are sent, as Alertmanager does it: those of the whole group may share less.
fn shared(alerts: &[&Alert], labels: impl Fn(&Alert) -> &Labels) -> Value {
    common(alerts.iter().map(|alert| labels(alert)))
        .into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::wire;
    use crate::receiver::{FailureClass, fixture};

    fn webhook() -> Webhook {
        Webhook { url: "https://hooks.example/x".into() }
    }

    #[test]
    fn what_reads_alertmanagers_webhooks_reads_ours() {
        let notification = fixture::captured("0.33-mixed");
        let outgoing = webhook().encode(&notification).unwrap();
        let read = wire::parse(&outgoing.body, &[], notification.received_at).unwrap();
        let sent: Vec<_> = notification.alerts.iter().map(|notified| notified.alert.clone()).collect();
        assert_eq!(read.alerts, sent);
        assert_eq!(read.group, *notification.group);
        assert_eq!(read.unknown_version, None);
    }

    #[test]
    fn the_body_is_documented() {
        let outgoing = webhook().encode(&fixture::single()).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn a_fallback_says_for_whom_and_why() {
        let outgoing = webhook().encode(&fixture::as_fallback(fixture::single())).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body["notification"]).unwrap());
    }

    #[test]
    fn the_id_stays_over_attempts() {
        let mut notification = fixture::single();
        let first = id(&notification);
        notification.attempt = 2;
        assert_eq!(id(&notification), first);
        assert!(!first.contains('.'), "Standard Webhooks signs `id.timestamp.body`");
    }

    #[test]
    fn answers() {
        use FailureClass::{NotFound, RateLimited, Refused, Timeout, Unauthorized, Unavailable, Unexpected};
        for (status, expected) in [
            (200, None),
            (202, None),
            (204, None),
            (301, Some((true, Unexpected))),
            (400, Some((false, Refused))),
            (401, Some((true, Unauthorized))),
            (404, Some((true, NotFound))),
            (408, Some((true, Timeout))),
            (410, Some((true, NotFound))),
            (425, Some((true, Unavailable))),
            (429, Some((true, RateLimited))),
            (502, Some((true, Unavailable))),
        ] {
            let verdict = webhook().judge(&fixture::single(), &fixture::answer("post", status, ""));
            assert_eq!(fixture::failed(&verdict), expected, "{status}: {verdict:?}");
        }
    }
}
