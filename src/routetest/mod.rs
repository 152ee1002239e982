//! Tests of routes.yaml: what `alertrouter test` runs.
//!
//! [`mod@file`] reads a test file: cases of labels, which may come from rule files (`from_rules`), and of steps over time.
//! `alertmanagers` says what the Alertmanagers of a case would send, [`simulate`] hands it to the real plan and the real
//! store, [`judge`] compares what came of it with what was expected. [`coverage`] says which routes no case reaches;
//! [`report`] and [`junit`] are what people and machines read of it. What an alert leads to is decided by [`crate::route`]
//! and [`crate::dedup`] alone: nothing of that is repeated here.

mod alertmanagers;
pub mod coverage;
pub mod file;
mod from_rules;
pub mod judge;
pub mod junit;
pub mod report;
pub mod simulate;
mod site;
mod steps;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::alert::{Labels, Status};
use crate::notification::{Reason, ReceiverName};

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name, unique in its file.
    pub name: String,
    /// Line and column in the file, both from 1.
    pub at: (usize, usize),
    /// The labels of its alert.
    pub labels: Labels,
    /// Whom the routes are to name for these labels, in any order; `None` where that is not asked.
    pub receivers: Option<Vec<ReceiverName>>,
    /// What happens over time, in order; empty for a case that only asks the routes.
    pub steps: Vec<Step>,
}

/// A moment of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, from the start of the case.
    pub at: Duration,
    /// What arrives; `None` where only time passes.
    pub sent: Option<Sent>,
    /// Who is to be notified, in any order; `None` where that is not asked.
    pub receivers: Option<Vec<ReceiverName>>,
    /// What is to be decided; `None` where that is not asked.
    pub decisions: Option<Decisions>,
}

/// A webhook of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Firing or resolved.
    pub status: Status,
    /// Which Alertmanager sends it; empty for the one without a name.
    pub from: String,
    /// All labels of the alert.
    pub labels: Labels,
    /// `startsAt`, from the start of the case, where the test says it.
    pub starts_at: Option<Duration>,
    /// `endsAt`, likewise; only of a resolved alert.
    pub ends_at: Option<Duration>,
}

/// What is expected to be decided at a step. Mostly one reason a receiver; two where a held copy is cancelled or comes due
/// at the same step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decisions {
    /// Every receiver that decides anything decides this, and at least one does.
    All(Vec<Reason>),
    /// Exactly these receivers decide exactly this.
    Each(Vec<(ReceiverName, Vec<Reason>)>),
}
