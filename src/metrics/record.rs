//! What happened, counted.

use std::time::Duration;

use super::labels::{CodeLabels, HeartbeatLabels, StatusLabels, Word, outcome_labels, reason_labels, receiver_labels};
use super::{Metrics, Outcome, Stopwatch};
use crate::alert::Status;
use crate::notification::{Reason, ReceiverName};

impl Metrics {
    /// Gives a receiver its series, so that a rate over them starts at zero and not at the first failure.
    pub fn add_receiver(&self, receiver: &ReceiverName) {
        for reason in Reason::ALL {
            let _ = self.alerts.get_or_create(&reason_labels(receiver, reason));
        }
        for outcome in Outcome::ALL {
            let _ = self.notifications.get_or_create(&outcome_labels(receiver.as_str(), outcome));
        }
        let labels = receiver_labels(receiver);
        let _ = self.notification_duration.get_or_create(&labels);
        let _ = self.notification_lag.get_or_create(&labels);
        let _ = self.rate_limited.get_or_create(&labels);
        let _ = self.template_failures.get_or_create(&labels);
    }

    /// A webhook was answered.
    pub fn webhook(&self, code: u16, took: Stopwatch) {
        self.webhooks.get_or_create(&CodeLabels { code }).inc();
        self.webhook_duration.observe(took.elapsed().as_secs_f64());
    }

    /// `count` alerts were read from a body.
    pub fn alerts_received(&self, status: Status, count: u64) {
        self.alerts_received.get_or_create(&StatusLabels { status: Word(status.as_str()) }).inc_by(count);
    }

    /// A decision was taken `count` times.
    pub fn decided(&self, receiver: &ReceiverName, reason: Reason, count: u64) {
        self.alerts.get_or_create(&reason_labels(receiver, reason)).inc_by(count);
    }

    /// Something became of `count` notifications.
    pub fn notifications(&self, receiver: &ReceiverName, outcome: Outcome, count: u64) {
        self.notifications.get_or_create(&outcome_labels(receiver.as_str(), outcome)).inc_by(count);
    }

    /// `count` alerts reached a route with `receivers: []`.
    pub fn dropped_by_route(&self, count: u64) {
        self.notifications.get_or_create(&outcome_labels("", Outcome::Dropped)).inc_by(count);
    }

    /// An attempt ended.
    pub fn attempted(&self, receiver: &ReceiverName, took: Stopwatch) {
        self.notification_duration.get_or_create(&receiver_labels(receiver)).observe(took.elapsed().as_secs_f64());
    }

    /// A notification arrived this long after its webhook.
    pub fn lag(&self, receiver: &ReceiverName, lag: Duration) {
        self.notification_lag.get_or_create(&receiver_labels(receiver)).observe(lag.as_secs_f64());
    }

    /// `count` notifications waited for the rate limit.
    pub fn rate_limited(&self, receiver: &ReceiverName, count: u64) {
        self.rate_limited.get_or_create(&receiver_labels(receiver)).inc_by(count);
    }

    /// Whether a heartbeat is there, and for how long nothing was heard of it.
    pub fn heartbeat(&self, name: &str, up: bool, silent: Duration) {
        let labels = HeartbeatLabels { heartbeat: name.to_owned() };
        self.heartbeat_up.get_or_create(&labels).set(i64::from(up));
        self.heartbeat_silence.get_or_create(&labels).set(silent.as_secs_f64());
    }

    /// The heartbeat is no longer in routes.yaml.
    pub fn forget_heartbeat(&self, name: &str) {
        let labels = HeartbeatLabels { heartbeat: name.to_owned() };
        self.heartbeat_up.remove(&labels);
        self.heartbeat_silence.remove(&labels);
    }

    /// A template failed, and the built-in text took its place.
    pub fn template_failed(&self, receiver: &ReceiverName) {
        self.template_failures.get_or_create(&receiver_labels(receiver)).inc();
    }

    /// Whether the receiver answers.
    pub fn set_up(&self, receiver: &ReceiverName, up: bool) {
        self.receiver_up.get_or_create(&receiver_labels(receiver)).set(i64::from(up));
    }

    /// The receiver is no longer in routes.yaml: whether it answers is nobody's question.
    pub fn forget_up(&self, receiver: &ReceiverName) {
        self.receiver_up.remove(&receiver_labels(receiver));
    }
}
