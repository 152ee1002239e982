//! The labels of the metrics: receivers, heartbeats and closed sets.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use super::Outcome;
use crate::notification::{Reason, ReceiverName};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CodeLabels {
    pub(super) code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StatusLabels {
    pub(super) status: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WhatLabels {
    pub(super) what: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReceiverLabels {
    pub(super) receiver: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HeartbeatLabels {
    pub(super) heartbeat: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) receiver: String,
    pub(super) reason: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) receiver: String,
    pub(super) outcome: Word,
}

/// A word of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Word(pub(super) &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

pub(super) fn receiver_labels(receiver: &ReceiverName) -> ReceiverLabels {
    ReceiverLabels { receiver: receiver.to_string() }
}

pub(super) fn reason_labels(receiver: &ReceiverName, reason: Reason) -> ReasonLabels {
    ReasonLabels { receiver: receiver.to_string(), reason: Word(reason.as_str()) }
}

pub(super) fn outcome_labels(receiver: &str, outcome: Outcome) -> OutcomeLabels {
    OutcomeLabels { receiver: receiver.to_owned(), outcome: Word(outcome.as_str()) }
}
