//! What is kept of a group's message between two notifications, as the lane's receipt: where it is, and all that it takes
//! to write it again. JSON with a version; what cannot be read is as good as none, and a new message is posted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::text;
use super::message::Beyond;
use super::thread::Thread;
use crate::alert::{Alert, Fingerprint, Labels, Level, Status};
use crate::clock::Timestamp;
use crate::notification::{FallbackFor, Receipt};

/// Changes when an older version could not read it any more, or would read it wrong.
const VERSION: u32 = 1;

/// How many alerts are known one by one; of the rest there are counts.
pub(super) const MAX_ALERTS: usize = 100;
/// The alerts as JSON, in bytes. What goes beyond half of it is kept short, what goes beyond all of it is only counted.
const MAX_BYTES: usize = 64 * 1024;

const MAX_NAME: usize = 200;
const MAX_SEVERITY: usize = 60;
/// The other labels of an alert, names and values.
const MAX_LABELS: usize = 1500;
const MAX_SUMMARY: usize = 400;
/// The description of an alert that is alone in its message, and of one that is not.
const MAX_DESCRIPTION: [usize; 2] = [1500, 300];
/// Slack's ids have about 20 characters.
const MAX_ID: usize = 64;

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Posted {
    /// The id of the channel: `chat.update` takes no names.
    pub(super) channel: String,
    /// The id of the message in the channel.
    pub(super) ts: String,
}

impl Posted {
    /// `None` if these are no ids of Slack's.
    pub(super) fn new(channel: &str, ts: &str) -> Option<Self> {
        let is_id = |text: &str| (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_id(channel) && is_id(ts)).then(|| Self { channel: channel.to_owned(), ts: ts.to_owned() })
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    /// `channel` of routes.yaml.
    configured: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
    /// Microseconds since 1970.
    seen: i64,
    #[serde(default)]
    replaces: bool,
    #[serde(default)]
    fallback: Option<StoredFallback>,
    /// Alerts that are only counted.
    #[serde(default)]
    firing: u32,
    #[serde(default)]
    resolved: u32,
    #[serde(default)]
    worst: Option<String>,
    alerts: Vec<StoredAlert>,
}

#[derive(Serialize, Deserialize)]
struct StoredFallback {
    receiver: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
struct StoredAlert {
    fingerprint: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    generator: String,
    /// Microseconds since 1970.
    #[serde(default)]
    starts: Option<i64>,
    /// Only a resolved alert has one.
    #[serde(default)]
    ends: Option<i64>,
    /// Labels are missing or cut.
    #[serde(default)]
    cut: bool,
}

/// Writes the receipt. Without `posted` the next notification posts a new message that goes on from this one.
pub(super) fn write(thread: &Thread, configured: &str, posted: Option<&Posted>) -> Receipt {
    let mut beyond = thread.beyond;
    let alone = thread.alerts.len() == 1;
    let (mut alerts, mut used) = (Vec::new(), 0);
    for known in &thread.alerts {
        let length = |stored: &StoredAlert| serde_json::to_string(stored).map_or(MAX_BYTES, |text| text.len());
        let mut stored = StoredAlert::of(&known.alert, alone, known.cut);
        if used + length(&stored) > MAX_BYTES / 2 && !alerts.is_empty() {
            stored = stored.shortened();
        }
        used += length(&stored);
        if alerts.len() == MAX_ALERTS || used > MAX_BYTES && !alerts.is_empty() {
            beyond.add(&known.alert);
        } else {
            alerts.push(stored);
        }
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let fallback = thread.fallback.as_ref().map(|FallbackFor { receiver, reason }| StoredFallback {
        receiver: text::cut(receiver.as_str(), 200),
        reason: text::cut(reason, 400),
    });
    let stored = Stored {
        v: VERSION,
        configured: configured.to_owned(),
        channel: posted.map(|posted| posted.channel.clone()).unwrap_or_default(),
        ts: posted.map(|posted| posted.ts.clone()).unwrap_or_default(),
        seen: thread.seen.as_microsecond(),
        replaces: thread.replaces,
        fallback,
        firing: count(beyond.firing),
        resolved: count(beyond.resolved),
        worst: beyond.worst.map(|level| level.as_str().to_owned()),
        alerts,
    };
    // Cannot fail: there is nothing in it but text and numbers. Empty, it would be one that nobody can read.
    Receipt(serde_json::to_string(&stored).unwrap_or_default())
}

/// Reads a receipt: the message, and where it is if it can be edited. Of another channel the alerts are still of use.
pub(super) fn read(receipt: Option<&Receipt>, configured: &str) -> Option<(Thread, Option<Posted>)> {
    let stored: Stored = serde_json::from_str(&receipt?.0).ok()?;
    if stored.v != VERSION {
        return None;
    }
    let posted = Posted::new(&stored.channel, &stored.ts).filter(|_| stored.configured == configured);
    let beyond = Beyond {
        firing: usize::try_from(stored.firing).unwrap_or(usize::MAX),
        resolved: usize::try_from(stored.resolved).unwrap_or(usize::MAX),
        worst: stored.worst.as_deref().map(Level::of),
    };
    let thread = Thread {
        alerts: stored.alerts.into_iter().take(MAX_ALERTS).filter_map(StoredAlert::alert).collect(),
        beyond,
        fallback: stored
            .fallback
            .map(|StoredFallback { receiver, reason }| FallbackFor { receiver: receiver.as_str().into(), reason }),
        replaces: stored.replaces,
        seen: Timestamp::from_microsecond(stored.seen).ok()?,
    };
    Some((thread, posted))
}

/// An alert of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) alert: Alert,
    /// Not all of its labels are known.
    pub(super) cut: bool,
}

impl StoredAlert {
    fn of(alert: &Alert, alone: bool, cut: bool) -> Self {
        let mut labels = BTreeMap::new();
        let (mut cut, mut used) = (cut, 0);
        for (name, value) in alert.labels.iter() {
            let most = match name {
                "alertname" => MAX_NAME,
                "severity" => MAX_SEVERITY,
                _ if used + name.len() + value.len() > MAX_LABELS => {
                    cut = true;
                    continue;
                }
                _ => {
                    used += name.len() + value.len();
                    MAX_LABELS
                }
            };
            cut |= value.len() > most;
            labels.insert(name.to_owned(), text::cut(value, most));
        }
        let description = MAX_DESCRIPTION[usize::from(!alone)];
        // As `describe` looks for them.
        let annotations = [
            ("summary", MAX_SUMMARY),
            ("message", MAX_SUMMARY),
            ("description", description),
            ("runbook_url", text::MAX_URL),
            ("dashboard_url", text::MAX_URL),
        ];
        let annotations = annotations.into_iter().filter_map(|(name, max)| {
            let value = alert.annotations.get(name);
            // A cut address would be a broken one.
            let fits = !value.is_empty() && (!name.ends_with("_url") || value.len() <= max);
            fits.then(|| (name.to_owned(), text::cut(value, max)))
        });
        let generator = if alert.generator_url.len() <= text::MAX_URL { alert.generator_url.as_str() } else { "" };
        Self {
            fingerprint: alert.fingerprint.to_string(),
            labels,
            annotations: annotations.collect(),
            generator: generator.to_owned(),
            starts: alert.starts_at.map(Timestamp::as_microsecond),
            ends: alert.ends_at.map(Timestamp::as_microsecond),
            cut,
        }
    }

    /// With what tells it from others, and no more.
    fn shortened(self) -> Self {
        let mut short = Self { annotations: BTreeMap::new(), generator: String::new(), ..self };
        let mut used = 0;
        let before = short.labels.len();
        short.labels.retain(|name, value| {
            used += name.len() + value.len();
            used <= MAX_SUMMARY || matches!(name.as_str(), "alertname" | "severity")
        });
        short.cut |= short.labels.len() < before;
        short
    }

    fn alert(self) -> Option<Known> {
        let time = |at: Option<i64>| Timestamp::from_microsecond(at?).ok();
        let ends_at = time(self.ends);
        let labels: Labels = self.labels.into_iter().collect();
        let fingerprint: Fingerprint = self.fingerprint.parse().ok()?;
        let alert = Alert {
            status: if ends_at.is_some() { Status::Resolved } else { Status::Firing },
            annotations: self.annotations.into_iter().collect(),
            starts_at: time(self.starts),
            ends_at,
            generator_url: self.generator,
            fingerprint,
            labels,
        };
        Some(Known { alert, cut: self.cut })
    }
}
