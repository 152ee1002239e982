//! How long things take: the bounds of the histograms, and the watch that measures.

use std::time::{Duration, Instant};

use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::histogram::Histogram;

/// Makes histograms with these bounds, in seconds. A type with a name, because a closure's cannot stand in a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds(pub(super) &'static [f64]);

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// An answer to Alertmanager takes one fsync.
pub(super) const WEBHOOK_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 8.0];
/// An attempt takes at most the receiver's time-out, 10 s by default.
pub(super) const ATTEMPT_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// From the webhook to its delivery: from at once to a day of outage.
pub(super) const LAG_SECONDS: &[f64] = &[0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0];

/// Measures elapsed time for a metric, and for nothing else: decisions go by [`crate::clock::Clock`].
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "metrics measure real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since it started.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
