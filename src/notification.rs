//! What a receiver is told: a notification, why it is sent, and the lane that keeps it in order.

use std::fmt;
use std::sync::Arc;

use crate::alert::{Alert, Fingerprint, Group, Status};
use crate::clock::Timestamp;

/// The name of a receiver of routes.yaml. Cheap to clone: every decision carries one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiverName(Arc<str>);

impl ReceiverName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ReceiverName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl std::borrow::Borrow<str> for ReceiverName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReceiverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the webhook that something came of stands in a trace: the W3C `traceparent` of its span. Only `traces` reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(pub String);

/// How a receiver takes alerts: it decides the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// One notification carries all new alerts of a group (Slack). Lane: receiver and group key.
    Group,
    /// One notification is one alert (PagerDuty, Grafana). Lane: receiver and fingerprint.
    Alert,
}

/// What deduplication and the outbox must know of a receiver; how it is spoken to is not their business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in routes.yaml.
    pub name: ReceiverName,
    /// A group or an alert at a time.
    pub granularity: Granularity,
    /// Whether the service keeps an incident open until it is told otherwise. Such a receiver also gets the resolve
    /// of an alert that is not known (any more).
    pub keeps_state: bool,
    /// With `false` a resolve changes the state and sends nothing.
    pub send_resolved: bool,
    /// Whether somebody else is told of what it does not get (`fallback`).
    pub has_fallback: bool,
}

/// Why a notification is sent to somebody it was not meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackFor {
    /// The receiver that it was meant for: the first one of a chain.
    pub receiver: ReceiverName,
    /// Why that one did not get it, in one line: `HTTP 503 for 5m`.
    pub reason: String,
}

/// One message in place of many that the rate limit held back together.
///
/// The alerts of such a notification are those of all the notifications that it stands for, in the order in which these were
/// accepted: one that fired and ended meanwhile is there twice. What they do not share is not in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// How many notifications it stands for.
    pub notifications: u32,
    /// When the webhook of the oldest of them came.
    pub since: Timestamp,
}

/// Why an alert was or was not passed on to a receiver: the last column of the decision table ([`crate::dedup`]).
/// A closed set, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Fires, and nothing was known of it.
    First,
    /// Fires again: a new episode.
    Refired,
    /// Nothing new.
    Duplicate,
    /// Still fires, and `repeat_interval` has passed.
    Repeat,
    /// A firing copy of an ended episode: waits for `dedup.settle`.
    Held,
    /// A late copy of an earlier episode.
    Stale,
    /// Has ended.
    Resolved,
    /// Has ended, and nothing was known of it.
    UnknownResolved,
}

impl Reason {
    /// Every reason, in the order of the decision table.
    pub const ALL: [Self; 8] = [
        Self::First,
        Self::Refired,
        Self::Duplicate,
        Self::Repeat,
        Self::Held,
        Self::Stale,
        Self::Resolved,
        Self::UnknownResolved,
    ];

    /// The metric label and log field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Refired => "refired",
            Self::Duplicate => "duplicate",
            Self::Repeat => "repeat",
            Self::Held => "held",
            Self::Stale => "stale",
            Self::Resolved => "resolved",
            Self::UnknownResolved => "unknown_resolved",
        }
    }

    /// The reason with this label.
    #[must_use]
    pub fn from_label(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Deliveries of one lane go out strictly in order, one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lane {
    /// Whose lane it is.
    pub receiver: ReceiverName,
    /// The group key, or the fingerprint where the receiver takes one alert at a time.
    pub key: String,
}

impl Lane {
    /// The lane of a whole group.
    #[must_use]
    pub fn of_group(receiver: &ReceiverName, group: &Group) -> Self {
        // What begins with NUL is no group's: see `of_digest`.
        Self { receiver: receiver.clone(), key: group.key.trim_start_matches('\0').to_owned() }
    }

    /// The lane of one digest, which no notification of a group can ever be in.
    #[must_use]
    pub fn of_digest(receiver: &ReceiverName, digest: DeliveryId) -> Self {
        Self { receiver: receiver.clone(), key: format!("\0digest {digest}") }
    }

    /// The lane of one alert.
    #[must_use]
    pub fn of_alert(receiver: &ReceiverName, fingerprint: Fingerprint) -> Self {
        Self { receiver: receiver.clone(), key: fingerprint.to_string() }
    }
}

/// Identifies a delivery in the outbox; grows with the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub i64);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a service answered that the next notification of the lane needs: Grafana's annotation id, Slack's channel and
/// ts. Its text is the receiver's own business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(pub String);

/// An alert in a notification, with the reason why it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// The alert.
    pub alert: Alert,
    /// Why it is sent.
    pub reason: Reason,
}

/// What is sent to one receiver: the alerts of one webhook body that are new to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its delivery in the outbox: the same over all attempts.
    pub id: DeliveryId,
    /// Who is told.
    pub receiver: ReceiverName,
    /// The group that the alerts came in.
    pub group: Arc<Group>,
    /// The alerts that are new to this receiver; never empty, and exactly one for [`Granularity::Alert`].
    pub alerts: Vec<Notified>,
    /// How many other alerts of the group fire and were told before: "the rest, counted".
    pub others_firing: u32,
    /// When the webhook was received.
    pub received_at: Timestamp,
    /// Which attempt this is, from 1. From 2 on an earlier request may have arrived without our knowing.
    pub attempt: u32,
    /// What the lane's last delivery left behind.
    pub receipt: Option<Receipt>,
    /// Set if it was meant for another receiver: every message says so.
    pub fallback: Option<FallbackFor>,
    /// Set if it stands for others.
    pub digest: Option<Digest>,
}

impl Notification {
    /// The alerts with this status, in the order in which they came.
    pub fn with_status(&self, status: Status) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().map(|notified| &notified.alert).filter(move |alert| alert.status == status)
    }
}
