//! Connections to the listener.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;

#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Gauge,
    evicted: Counter,
}

impl Connections {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Open connections to the listener", self.open.clone());
        let help = "Connections that had to go because all places were taken";
        registry.register("connections_evicted", help, self.evicted.clone());
    }
}

impl Metrics {
    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.connections.open.inc();
    }

    /// A connection has ended.
    pub fn connection_closed(&self) {
        self.connections.open.dec();
    }

    /// A connection has to end, because somebody else needs its place.
    pub fn connection_evicted(&self) {
        self.connections.evicted.inc();
    }
}
