//! What became of routes.yaml.

use super::Metrics;
use crate::clock::Timestamp;

impl Metrics {
    /// routes.yaml was loaded.
    pub fn config_loaded(&self, hash: u64, now: Timestamp) {
        self.config_successful.set(1);
        self.config_success_timestamp.set(now.as_duration().as_secs_f64());
        // A gauge is a float: 48 bits of the hash keep it exact, as Prometheus and Alertmanager do.
        #[expect(clippy::cast_precision_loss, reason = "48 bits fit the 53 of a double")]
        self.config_hash.set((hash & 0xffff_ffff_ffff) as f64);
    }

    /// routes.yaml could not be loaded; the one before stays in force.
    pub fn config_refused(&self) {
        self.config_successful.set(0);
    }
}
