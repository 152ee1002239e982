//! A webhook body on its way into the store.

use std::sync::Arc;

use crate::alert::{Alert, Labels};
use crate::clock::to_micros;
use crate::notification::{Granularity, Lane, ReceiverName, Target};
use crate::store::codec::{self, Piece};
use crate::store::{Intake, Routed, StoreError};

/// A body with its alerts encoded, which need not be done inside the transaction.
pub(super) struct Body {
    pub intake: Intake,
    /// Its group, encoded.
    pub group: Piece,
    /// Its alerts, encoded, in the order of the intake.
    pub alerts: Vec<Piece>,
}

impl Body {
    /// Encodes it.
    pub(super) fn prepare(mut intake: Intake) -> Result<Self, StoreError> {
        let not_encoded = |error: serde_json::Error| StoreError::Unavailable(format!("an alert is not JSON: {error}"));
        intake.now = to_micros(intake.now);
        let unknown = |name: &&ReceiverName| !intake.targets.contains_key(*name);
        let named = intake.alerts.iter().flat_map(|routed| &routed.wants).map(|(name, _)| name);
        let unknown: Vec<ReceiverName> = named.filter(unknown).cloned().collect();
        for name in unknown {
            // Nobody can be reached under this name, but a dead letter can be seen, and a lost alert cannot.
            tracing::error!(receiver = %name, "a route names a receiver that does not exist");
            let (granularity, keeps_state, send_resolved) = (Granularity::Group, false, true);
            let target = Target { name: name.clone(), granularity, keeps_state, send_resolved, has_fallback: false };
            Arc::make_mut(&mut intake.targets).insert(name, target);
        }
        let group = codec::encode_group(&intake.group).map_err(not_encoded)?;
        let mut alerts = Vec::with_capacity(intake.alerts.len());
        for Routed { alert, .. } in &mut intake.alerts {
            alerts.push(codec::encode_alert(alert).map_err(not_encoded)?);
            // What explains it is written down, and decides nothing: a large body need not be there twice.
            alert.annotations = Labels::default();
            alert.generator_url = String::new();
        }
        Ok(Self { intake, group, alerts })
    }

    /// How much work it is, in alerts.
    pub(super) fn weight(&self) -> usize {
        self.alerts.len()
    }

    /// One of its alerts.
    pub(super) fn alert(&self, index: usize) -> &Alert {
        &self.intake.alerts[index].alert
    }

    /// Where a receiver gets it.
    pub(super) fn lane(&self, target: &Target, index: usize) -> Lane {
        match target.granularity {
            Granularity::Group => Lane::of_group(&target.name, &self.intake.group),
            Granularity::Alert => Lane::of_alert(&target.name, self.alert(index).fingerprint),
        }
    }
}
