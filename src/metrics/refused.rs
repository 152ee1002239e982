//! Requests that were not let in.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::Word;
use crate::auth::Role;

/// Why a request was not let in. A closed set, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// It presented no credential.
    Missing,
    /// It presented one that nobody has.
    Wrong,
    /// Its credential is good, and not for this.
    Role,
    /// A page in somebody's browser sent it.
    Browser,
    /// Its password could not be checked in time; it may come again.
    Busy,
}

impl Refused {
    const ALL: [Self; 5] = [Self::Missing, Self::Wrong, Self::Role, Self::Browser, Self::Busy];

    /// In lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Role => "role",
            Self::Browser => "browser",
            Self::Busy => "busy",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RefusedLabels {
    reason: Word,
    role: Word,
}

pub(super) type RefusedRequests = Family<RefusedLabels, Counter>;

fn labels(reason: Refused, role: Role) -> RefusedLabels {
    RefusedLabels { reason: Word(reason.as_str()), role: Word(role.as_str()) }
}

/// With all series from the start, at 0, so that a rate over them sees the first refusal.
pub(super) fn register(registry: &mut Registry) -> RefusedRequests {
    let requests = RefusedRequests::default();
    registry.register("requests_refused", "Requests that were not let in, by what they asked for", requests.clone());
    for (reason, role) in Refused::ALL.into_iter().flat_map(|reason| Role::ALL.map(|role| (reason, role))) {
        let _ = requests.get_or_create(&labels(reason, role));
    }
    requests
}

impl Metrics {
    /// A request that needed `role` was not let in.
    pub fn refused(&self, reason: Refused, role: Role) {
        self.requests_refused.get_or_create(&labels(reason, role)).inc();
    }
}
