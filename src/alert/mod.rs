//! What Alertmanager tells us, in its own words: alerts, labels, groups. No serde here; the wire format is [`wire`]'s.

mod fingerprint;
mod labels;
mod level;
pub mod wire;

use std::fmt;

pub use fingerprint::Fingerprint;
pub use labels::Labels;
pub use level::Level;

use crate::clock::Timestamp;

/// Whether an alert fires. The only status that counts is the alert's own, never its group's: with `max_alerts`
/// Alertmanager computes the group's status from the alerts it kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The condition holds.
    Firing,
    /// The condition has ended.
    Resolved,
}

impl Status {
    /// Alertmanager's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One alert of a webhook body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Firing or resolved.
    pub status: Status,
    /// What identifies the alert. Labels with an empty value are absent, as in Prometheus.
    pub labels: Labels,
    /// What explains it.
    pub annotations: Labels,
    /// When this episode began; `None` where the sender did not say.
    pub starts_at: Option<Timestamp>,
    /// When it ended. `Some` exactly if the alert is resolved.
    pub ends_at: Option<Timestamp>,
    /// Link to the expression in Prometheus; empty where the sender has none.
    pub generator_url: String,
    /// Identity for deduplication, over [`Alert::labels`] without the labels that `dedup.ignore_labels` names.
    pub fingerprint: Fingerprint,
}

impl Alert {
    /// The `alertname` label; empty if there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labels.get("alertname")
    }

    /// The `severity` label; empty if there is none.
    #[must_use]
    pub fn severity(&self) -> &str {
        self.labels.get("severity")
    }

    /// Whether its severity is [`Level::Critical`], firing or resolved.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        Level::of(self.severity()) == Level::Critical
    }
}

/// What the alerts of one webhook body have in common: Alertmanager's group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Alertmanager's `groupKey`. Not unique over receivers, not stable over configuration edits.
    pub key: String,
    /// The Alertmanager receiver that posted it (it arrives regex-quoted; this is as it arrived).
    pub receiver: String,
    /// The labels that the alerts are grouped by.
    pub labels: Labels,
    /// Labels that all included alerts share.
    pub common_labels: Labels,
    /// Annotations that all included alerts share.
    pub common_annotations: Labels,
    /// Alertmanager's own address, for links; differs between the members of an HA pair.
    pub external_url: String,
    /// How many alerts of the group `max_alerts` left out of the body.
    pub truncated_alerts: u64,
}
