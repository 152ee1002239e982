//! Spans on their way to the collector. Without `--otlp-endpoint` all stay 0.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::Word;

/// Why a span did not reach the collector. A closed set, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// Too many wait already.
    QueueFull,
    /// The collector does not answer, or refuses.
    ExportFailed,
    /// It took the others of the same request.
    Rejected,
}

impl Lost {
    const ALL: [Self; 3] = [Self::QueueFull, Self::ExportFailed, Self::Rejected];

    fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ExportFailed => "export_failed",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LostLabels {
    reason: Word,
}

#[derive(Debug, Default)]
pub(super) struct TraceMetrics {
    exported: Counter,
    dropped: Family<LostLabels, Counter>,
    failures: Counter,
}

impl TraceMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("trace_spans_exported", "Spans that the collector took", self.exported.clone());
        registry.register("trace_spans_dropped", "Spans that did not reach the collector", self.dropped.clone());
        registry.register(
            "trace_export_failures",
            "Requests to the collector that it did not take",
            self.failures.clone(),
        );
        for lost in Lost::ALL {
            let _ = self.dropped.get_or_create(&labels(lost));
        }
    }
}

fn labels(lost: Lost) -> LostLabels {
    LostLabels { reason: Word(lost.as_str()) }
}

impl Metrics {
    /// The collector took spans.
    pub fn spans_exported(&self, count: u64) {
        self.traces.exported.inc_by(count);
    }

    /// Spans did not reach it.
    pub fn spans_lost(&self, why: Lost, count: u64) {
        self.traces.dropped.get_or_create(&labels(why)).inc_by(count);
    }

    /// A request to it failed; its spans may be sent again.
    pub fn span_export_failed(&self) {
        self.traces.failures.inc();
    }
}
