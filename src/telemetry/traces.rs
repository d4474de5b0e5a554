//! Metrics of traces: what became of checks that were to have a span. What became of the spans is
//! counted as for sinks of the decision log.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::metrics::{Labels, new};
use crate::traces::TraceCounters;

#[derive(Debug)]
pub struct TraceMetrics {
    spans: Family<Labels<1>, Counter>,
}

// === impl TraceMetrics ===

impl TraceMetrics {
    pub(super) fn new(known: &mut Registry) -> Self {
        Self {
            spans: new(
                known,
                "trace_spans",
                "Spans of checks that were to be traced, by what became of them",
            ),
        }
    }

    /// From now on in the metrics.
    pub fn counters(&self) -> TraceCounters {
        let of = |outcome| self.spans.get_or_create_owned(&[("outcome", outcome)]);
        TraceCounters {
            made: of("made"),
            limited: of("limited"),
            lost: of("lost"),
        }
    }
}
