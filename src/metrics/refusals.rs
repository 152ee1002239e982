//! What of bodies is not taken as it came.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::{WhatLabels, Word};
use crate::alert::wire::limits::{Cuts, Truncated};
use crate::store::RejectedWhat;

/// Their counters.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    rejected: Family<WhatLabels, Counter>,
    not_kept: Counter,
    truncated: Family<WhatLabels, Counter>,
}

impl Refusals {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("rejected", "Bodies and alerts that were refused", self.rejected.clone());
        registry.register(
            "rejected_not_kept",
            "Those of them that were not kept for people to look at, because there were too many at once",
            self.not_kept.clone(),
        );
        registry.register(
            "truncated",
            "What of bodies was over a limit and was cut or left out",
            self.truncated.clone(),
        );
        for what in [RejectedWhat::Body, RejectedWhat::Alert] {
            let _ = self.rejected.get_or_create(&labels(what.as_str()));
        }
        for what in Truncated::ALL {
            let _ = self.truncated.get_or_create(&labels(what.as_str()));
        }
    }
}

impl Metrics {
    /// So many were refused.
    pub fn rejected(&self, what: RejectedWhat, count: usize) {
        self.refusals.rejected.get_or_create(&labels(what.as_str())).inc_by(count as u64);
    }

    /// So many that were refused are not kept.
    pub fn not_kept(&self, count: usize) {
        self.refusals.not_kept.inc_by(count as u64);
    }

    /// What of a body was over a limit.
    pub fn truncated(&self, cuts: &Cuts) {
        for what in Truncated::ALL {
            match cuts.count(what) {
                0 => {}
                count => drop(self.refusals.truncated.get_or_create(&labels(what.as_str())).inc_by(count)),
            }
        }
    }
}

fn labels(what: &'static str) -> WhatLabels {
    WhatLabels { what: Word(what) }
}
