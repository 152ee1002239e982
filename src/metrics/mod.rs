//! Every metric name and label in one place. Labels are bounded: receivers, heartbeats and closed enums, never values of alerts.

mod classic;
mod config;
mod connections;
mod durations;
mod labels;
mod process;
mod record;
mod refusals;
mod refused;
mod traces;
mod web;

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use durations::Stopwatch;
use durations::{ATTEMPT_SECONDS, LAG_SECONDS, Seconds, WEBHOOK_SECONDS};
use labels::{
    CodeLabels, HeartbeatLabels, OutcomeLabels, ReasonLabels, ReceiverLabels, StatusLabels, Word, receiver_labels,
};
pub use refused::Refused;
pub use traces::Lost;
pub use web::HandshakeFailure;

use crate::alert::Status;
use crate::clock::{Timestamp, between};
use crate::notification::ReceiverName;
use crate::store::Stats;

/// What became of a notification. A closed set, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The service has it.
    Delivered,
    /// An attempt failed; there will be another.
    Retried,
    /// Given up.
    Dead,
    /// The service has it, in a digest; the digest itself counts as delivered.
    Digested,
    /// Its receiver did not get it, or not in time: the fallback is told. It counts as what becomes of it besides.
    Fallback,
    /// Not sent on purpose: `receivers: []` (then without a receiver), or `send_resolved: false`.
    Dropped,
}

impl Outcome {
    const ALL: [Self; 6] = [Self::Delivered, Self::Retried, Self::Dead, Self::Digested, Self::Fallback, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Dead => "dead",
            Self::Digested => "digested",
            Self::Fallback => "fallback",
            Self::Dropped => "dropped",
        }
    }
}

type ReceiverGauge = Family<ReceiverLabels, Gauge>;

/// What the store counts, for a scrape.
#[derive(Debug)]
pub struct Counts<'a> {
    /// All receivers of routes.yaml.
    pub receivers: Vec<&'a ReceiverName>,
    /// The counts.
    pub stats: &'a Stats,
    /// The present.
    pub now: Timestamp,
}

/// How `/metrics` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For those who ask for it.
    OpenMetrics,
    /// Prometheus's own text format.
    Classic,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Held while the store's counts are taken over and written out: two scrapes at once would lose series.
    scraping: Mutex<()>,
    webhooks: Family<CodeLabels, Counter>,
    webhook_duration: Histogram,
    connections: connections::Connections,
    alerts_received: Family<StatusLabels, Counter>,
    alerts: Family<ReasonLabels, Counter>,
    notifications: Family<OutcomeLabels, Counter>,
    notification_duration: Family<ReceiverLabels, Histogram, Seconds>,
    notification_lag: Family<ReceiverLabels, Histogram, Seconds>,
    outbox_pending: ReceiverGauge,
    outbox_oldest: Family<ReceiverLabels, Gauge<f64, AtomicU64>>,
    dead_letters: ReceiverGauge,
    rate_limited: Family<ReceiverLabels, Counter>,
    template_failures: Family<ReceiverLabels, Counter>,
    receiver_up: ReceiverGauge,
    dedup_entries: Gauge,
    refusals: refusals::Refusals,
    requests_refused: refused::RefusedRequests,
    heartbeat_up: Family<HeartbeatLabels, Gauge>,
    heartbeat_silence: Family<HeartbeatLabels, Gauge<f64, AtomicU64>>,
    config_successful: Gauge,
    config_success_timestamp: Gauge<f64, AtomicU64>,
    config_hash: Gauge<f64, AtomicU64>,
    web: web::WebMetrics,
    traces: traces::TraceMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            scraping: Mutex::default(),
            webhooks: Family::default(),
            webhook_duration: Seconds(WEBHOOK_SECONDS).new_metric(),
            connections: connections::Connections::default(),
            alerts_received: Family::default(),
            alerts: Family::default(),
            notifications: Family::default(),
            notification_duration: Family::new_with_constructor(Seconds(ATTEMPT_SECONDS)),
            notification_lag: Family::new_with_constructor(Seconds(LAG_SECONDS)),
            outbox_pending: Family::default(),
            outbox_oldest: Family::default(),
            dead_letters: Family::default(),
            rate_limited: Family::default(),
            template_failures: Family::default(),
            receiver_up: Family::default(),
            dedup_entries: Gauge::default(),
            refusals: refusals::Refusals::default(),
            requests_refused: Family::default(),
            heartbeat_up: Family::default(),
            heartbeat_silence: Family::default(),
            config_successful: Gauge::default(),
            config_success_timestamp: Gauge::default(),
            config_hash: Gauge::default(),
            web: web::WebMetrics::default(),
            traces: traces::TraceMetrics::default(),
        };
        metrics.register_intake();
        metrics.register_delivery();
        metrics.register_process();
        metrics
    }

    fn register_intake(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("alertrouter");
        registry.register("webhooks", "Webhook requests by HTTP status", self.webhooks.clone());
        registry.register(
            "webhook_duration_seconds",
            "Time from the head of a webhook request to its answer",
            self.webhook_duration.clone(),
        );
        self.connections.register(registry);
        registry.register("alerts_received", "Alerts in webhook bodies", self.alerts_received.clone());
        registry.register("alerts", "Decisions over an alert for a receiver", self.alerts.clone());
        self.refusals.register(registry);
        self.requests_refused = refused::register(registry);
        registry.register("dedup_entries", "Alert states remembered", self.dedup_entries.clone());
        registry.register(
            "heartbeat_up",
            "0 while a heartbeat of routes.yaml has been silent for too long",
            self.heartbeat_up.clone(),
        );
        registry.register(
            "heartbeat_silence_seconds",
            "For how long nothing has been heard of a heartbeat while the router listened",
            self.heartbeat_silence.clone(),
        );
        for status in [Status::Firing, Status::Resolved] {
            let _ = self.alerts_received.get_or_create(&StatusLabels { status: Word(status.as_str()) });
        }
    }

    fn register_delivery(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("alertrouter");
        registry.register("notifications", "What became of notifications", self.notifications.clone());
        registry.register(
            "notification_duration_seconds",
            "Duration of one delivery attempt",
            self.notification_duration.clone(),
        );
        registry.register(
            "notification_lag_seconds",
            "Time from the webhook to its delivery",
            self.notification_lag.clone(),
        );
        registry.register("outbox_pending", "Notifications that wait to be delivered", self.outbox_pending.clone());
        registry.register("outbox_oldest_seconds", "Age of the oldest of them", self.outbox_oldest.clone());
        registry.register("dead_letters", "Notifications given up and kept", self.dead_letters.clone());
        registry.register("rate_limited", "Notifications that waited for the rate limit", self.rate_limited.clone());
        registry.register(
            "template_failures",
            "Notifications that went out with the built-in text because a template failed",
            self.template_failures.clone(),
        );
        registry.register(
            "receiver_up",
            "0 while the last 5 or more attempts in a row have failed",
            self.receiver_up.clone(),
        );
    }

    fn register_process(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("alertrouter");
        registry.register(
            "config_last_reload_successful",
            "Whether the last attempt to load routes.yaml succeeded",
            self.config_successful.clone(),
        );
        registry.register(
            "config_last_reload_success_timestamp_seconds",
            "When routes.yaml was last loaded",
            self.config_success_timestamp.clone(),
        );
        registry.register("config_hash", "A hash of the loaded routes.yaml", self.config_hash.clone());
        self.web.register(registry);
        self.traces.register(registry);
        process::register_build(registry);
        self.registry.register_collector(Box::new(process::ProcessCollector));
    }

    /// The text of `/metrics`, with the store's counts as they are now, or as they last were.
    ///
    /// # Errors
    /// Never, as far as is known: writing to a string does not fail.
    pub fn scrape(&self, counts: Option<&Counts<'_>>, format: Format) -> Result<String, std::fmt::Error> {
        // It guards nothing but the order of things.
        let _one_at_a_time = self.scraping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = counts {
            self.take_over(counts);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Classic => classic::from_open_metrics(&text),
        })
    }

    fn take_over(&self, counts: &Counts<'_>) {
        let Counts { receivers, stats, now } = counts;
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.dedup_entries.set(gauge(stats.dedup_entries));
        // What routes.yaml no longer names and nothing waits for is gone.
        self.outbox_pending.clear();
        self.outbox_oldest.clear();
        self.dead_letters.clear();
        // A receiver that routes.yaml no longer names still counts while something waits for it.
        for receiver in receivers.iter().copied().chain(stats.receivers.keys()) {
            let labels = receiver_labels(receiver);
            let counts = stats.receivers.get(receiver).copied().unwrap_or_default();
            self.outbox_pending.get_or_create(&labels).set(gauge(counts.pending));
            self.dead_letters.get_or_create(&labels).set(gauge(counts.dead));
            let age = counts.oldest.map_or(Duration::ZERO, |oldest| between(oldest, *now));
            self.outbox_oldest.get_or_create(&labels).set(age.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_has_its_series_from_the_start() {
        let metrics = Metrics::new();
        metrics.add_receiver(&"team-slack".into());
        metrics.set_up(&"team-slack".into(), true);
        let (name, stats) = ("team-slack".into(), Stats::default());
        let counts = Counts { receivers: vec![&name], stats: &stats, now: Timestamp::UNIX_EPOCH };
        let text = metrics.scrape(Some(&counts), Format::OpenMetrics).unwrap();
        for line in [
            r#"alertrouter_alerts_total{receiver="team-slack",reason="unknown_resolved"} 0"#,
            r#"alertrouter_notifications_total{receiver="team-slack",outcome="dead"} 0"#,
            r#"alertrouter_receiver_up{receiver="team-slack"} 1"#,
            r#"alertrouter_outbox_pending{receiver="team-slack"} 0"#,
            r#"alertrouter_outbox_oldest_seconds{receiver="team-slack"} 0.0"#,
            r#"alertrouter_dead_letters{receiver="team-slack"} 0"#,
            r#"alertrouter_rejected_total{what="body"} 0"#,
            r#"alertrouter_build_info{version=""#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
