//! What a template knows: the fields of the webhook's default body, by their names there, and what people need besides.

use std::cmp::Reverse;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectExt as _, Serde};

use super::Escape;
use crate::alert::{Alert, Group, Labels, Level, Status};
use crate::clock::Timestamp;
use crate::notification::{Notification, Notified};
use crate::receiver::digest::{Summary, latest};
use crate::receiver::{describe, text, webhook};

/// What can be named at the top of a template.
pub(super) const ROOT: [&str; 25] = [
    "alert",
    "alertname",
    "alerts",
    "commonAnnotations",
    "commonLabels",
    "digest",
    "externalURL",
    "fallback",
    "firing",
    "groupKey",
    "groupLabels",
    "level",
    "links",
    "notification",
    "receiver",
    "resolved",
    "severity",
    "silenceURL",
    "status",
    "summary",
    "title",
    "truncatedAlerts",
    "version",
    "range",
    "namespace",
];
/// What an alert has.
pub(super) const ALERT: [&str; 15] = [
    "annotations",
    "duration",
    "endsAt",
    "fingerprint",
    "generatorURL",
    "labels",
    "level",
    "links",
    "name",
    "reason",
    "severity",
    "silenceURL",
    "startsAt",
    "status",
    "summary",
];
/// What `notification` has.
pub(super) const NOTIFICATION: [&str; 8] =
    ["attempt", "digest", "fallback", "id", "othersFiring", "reasons", "receivedAt", "receiver"];

/// What else has a name somewhere.
const OTHERS: [&str; 8] = ["for", "label", "loop", "notifications", "since", "url", "dict", "first"];

/// Whether anything in a template is called so.
pub(super) fn is_known(name: &str) -> bool {
    [&ROOT[..], &ALERT, &NOTIFICATION, &OTHERS].iter().any(|names| names.contains(&name))
}

/// The context of one notification. `missing` is what a label is that an alert has not.
pub(super) fn of(notification: &Notification, escape: Escape, missing: &'static str) -> Value {
    let (group, received_at) = (&*notification.group, notification.received_at);
    let seen = Arc::new(Seen { group: notification.group.clone(), received_at, escape, missing });
    let mut sorted: Vec<(&Notified, Value)> =
        latest(notification).into_iter().map(|notified| (notified, One::of(notified, &seen))).collect();
    let alerts: Vec<Value> = sorted.iter().map(|(_, value)| value.clone()).collect();
    sorted.sort_by_cached_key(|(notified, _)| worst_first(notified));
    let with = |status| -> Vec<Value> {
        let ours = sorted.iter().filter(|(notified, _)| notified.alert.status == status);
        ours.map(|(_, value)| value.clone()).collect()
    };
    let (firing, resolved) = (with(Status::Firing), with(Status::Resolved));
    let worst = sorted.first().map(|(notified, _)| &notified.alert);
    let common = |set: fn(&Alert) -> &Labels| {
        let sets = sorted.iter().map(|(notified, _)| set(&notified.alert));
        describe::common(sets).into_iter().collect::<Labels>()
    };
    let common_labels = common(|alert| &alert.labels);
    let status = if firing.is_empty() { Status::Resolved } else { Status::Firing };
    let digest = Summary::of(notification)
        .map_or_else(String::new, |summary| format!("{}; {}", summary.why(), summary.counts.said()));
    let of_status = sorted.iter().filter(|(notified, _)| notified.alert.status == status);
    let subject = of_status.map(|(notified, _)| &notified.alert.labels);
    Value::from_pairs([
        ("version", Value::from("4")),
        ("groupKey", group.key.as_str().into()),
        ("truncatedAlerts", group.truncated_alerts.into()),
        ("receiver", group.receiver.as_str().into()),
        ("status", status.as_str().into()),
        ("alerts", alerts.into()),
        ("groupLabels", seen.labels(&group.labels)),
        ("commonAnnotations", seen.labels(&common(|alert| &alert.annotations))),
        ("externalURL", seen.address(&group.external_url)),
        ("notification", Value::from(Serde(webhook::about(notification)))),
        ("alert", sorted.first().map(|(_, value)| value.clone()).unwrap_or_default()),
        ("alertname", common_labels.get("alertname").into()),
        ("commonLabels", seen.labels(&common_labels)),
        ("firing", firing.into()),
        ("resolved", resolved.into()),
        ("severity", worst.map_or("", Alert::severity).into()),
        ("level", worst.map_or("", |alert| Level::of(alert.severity()).as_str()).into()),
        ("summary", worst.map_or("", describe::summary).into()),
        ("links", worst.map_or_else(Value::default, |alert| seen.links(alert))),
        ("silenceURL", seen.silence(&describe::common(subject))),
        ("title", describe::headline(notification).into()),
        ("fallback", describe::fallback(notification, usize::MAX).unwrap_or_default().into()),
        ("digest", digest.into()),
    ])
}

/// What fires, the worst of it first; then what has ended.
fn worst_first(notified: &Notified) -> (bool, Reverse<Level>) {
    let alert = &notified.alert;
    (alert.status == Status::Resolved, Reverse(Level::of(alert.severity())))
}

/// What all values of a notification need to know.
#[derive(Debug, Clone)]
struct Seen {
    group: Arc<Group>,
    received_at: Timestamp,
    escape: Escape,
    missing: &'static str,
}

impl Seen {
    fn labels(&self, labels: &Labels) -> Value {
        Value::from_object(Pairs { labels: labels.clone(), missing: self.missing })
    }

    /// An address as the alert has it; in markup only if it can become a link.
    fn address(&self, address: &str) -> Value {
        match self.escape {
            Escape::Plain | Escape::Json => address.into(),
            Escape::Mrkdwn | Escape::Html => self.escape.url(address),
        }
    }

    fn links(&self, alert: &Alert) -> Value {
        let link = |link: describe::Link| {
            Value::from_pairs([("label", link.label.into()), ("url", self.escape.url(&link.url))])
        };
        describe::links(alert).into_iter().map(link).collect::<Vec<_>>().into()
    }

    fn silence(&self, labels: &[(&str, &str)]) -> Value {
        let link = describe::silence(&self.group, labels);
        self.escape.url(&link.map(|link| link.url).unwrap_or_default())
    }
}

/// An alert. A group may hold thousands, and a template looks at little of each: nothing is made before it is asked for.
#[derive(Debug)]
struct One {
    notified: Notified,
    labels: Value,
    annotations: Value,
    seen: Arc<Seen>,
}

impl One {
    fn of(notified: &Notified, seen: &Arc<Seen>) -> Value {
        let alert = &notified.alert;
        let (labels, annotations) = (seen.labels(&alert.labels), seen.labels(&alert.annotations));
        Value::from_object(Self { notified: notified.clone(), labels, annotations, seen: seen.clone() })
    }
}

impl Object for One {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let Notified { alert, reason } = &self.notified;
        Some(match key {
            "status" => alert.status.as_str().into(),
            "labels" => self.labels.clone(),
            "annotations" => self.annotations.clone(),
            "startsAt" => time(alert.starts_at),
            "endsAt" => time(alert.ends_at),
            "generatorURL" => self.seen.address(&alert.generator_url),
            "fingerprint" => alert.fingerprint.to_string().into(),
            "name" => describe::name(alert).into(),
            "severity" => alert.severity().into(),
            "level" => Level::of(alert.severity()).as_str().into(),
            "summary" => describe::summary(alert).into(),
            "reason" => reason.as_str().into(),
            "duration" => describe::lasted(alert, self.seen.received_at).map_or_else(String::new, text::human).into(),
            "links" => self.seen.links(alert),
            "silenceURL" => self.seen.silence(&alert.labels.iter().collect::<Vec<_>>()),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&ALERT)
    }
}

/// As in the webhook's body: a time that is not known is Go's zero time.
fn time(at: Option<Timestamp>) -> Value {
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string()).into()
}

/// Labels or annotations, of which one that is missing is not an error.
#[derive(Debug)]
struct Pairs {
    labels: Labels,
    missing: &'static str,
}

impl Object for Pairs {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        // Ours never have an empty value, annotations may.
        let value = self.labels.get(key);
        Some(if value.is_empty() { self.missing } else { value }.into())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_key_value_enumerator(|this| {
            Box::new(this.labels.iter().map(|(name, value)| (Value::from(name), Value::from(value))))
        })
    }
}
