//! Metrics of the sinks of the decision log. Every record that came to a sink is in one of its numbers:
//! delivered, dropped, or held in memory or on disk.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::new;

type Name = [(&'static str, String); 1];
type NameAnd = [(&'static str, String); 2];

/// Of all sinks, by name.
#[derive(Debug)]
pub struct SinkMetrics {
    received: Family<Name, Counter>,
    recovered: Family<Name, Counter>,
    delivered: Family<Name, Counter>,
    dropped: Family<NameAnd, Counter>,
    retried: Family<Name, Counter>,
    spilled: Family<Name, Counter>,
    spill_failures: Family<Name, Counter>,
    queue_records: Family<Name, Gauge>,
    queue_bytes: Family<Name, Gauge>,
    spill_records: Family<Name, Gauge>,
    spill_bytes: Family<Name, Gauge>,
}

/// Of one sink.
#[derive(Debug, Clone)]
pub struct SinkCounters {
    name: String,
    /// Records that came from the log.
    pub received: Counter,
    /// Records that an earlier run left on disk.
    pub recovered: Counter,
    pub delivered: Counter,
    dropped: Family<NameAnd, Counter>,
    /// Attempts after which the same is tried again.
    pub retried: Counter,
    /// Records that went to disk.
    pub spilled: Counter,
    pub spill_failures: Counter,
    queue_records: Gauge,
    queue_bytes: Gauge,
    spill_records: Gauge,
    spill_bytes: Gauge,
}

// === impl SinkMetrics ===

impl SinkMetrics {
    pub(super) fn new(known: &mut Registry) -> Self {
        Self {
            received: new(
                known,
                "decision_sink_received",
                "Decisions that came to a sink",
            ),
            recovered: new(
                known,
                "decision_sink_recovered",
                "Decisions that a sink found on disk at its start",
            ),
            delivered: new(
                known,
                "decision_sink_delivered",
                "Decisions that a sink delivered",
            ),
            dropped: new(
                known,
                "decision_sink_dropped",
                "Decisions lost to a sink, by reason",
            ),
            retried: new(
                known,
                "decision_sink_retried",
                "Deliveries that failed and were to be tried again",
            ),
            spilled: new(
                known,
                "decision_sink_spilled",
                "Decisions that a sink wrote to disk for later",
            ),
            spill_failures: new(
                known,
                "decision_sink_spill_failures",
                "Attempts to write decisions to disk for later that failed",
            ),
            queue_records: new(
                known,
                "decision_sink_queue_records",
                "Decisions that a sink holds in memory",
            ),
            queue_bytes: new(
                known,
                "decision_sink_queue_bytes",
                "Memory they take, about",
            ),
            spill_records: new(
                known,
                "decision_sink_spill_records",
                "Decisions that a sink holds on disk",
            ),
            spill_bytes: new(known, "decision_sink_spill_bytes", "Space they take"),
        }
    }

    /// Those of one sink, from now on in the metrics.
    pub fn of(&self, name: &str) -> SinkCounters {
        let counter = |family: &Family<Name, Counter>| {
            let labels = [("sink", name.to_owned())];
            family.get_or_create(&labels).clone()
        };
        let gauge = |family: &Family<Name, Gauge>| {
            let labels = [("sink", name.to_owned())];
            family.get_or_create(&labels).clone()
        };
        SinkCounters {
            name: name.to_owned(),
            received: counter(&self.received),
            recovered: counter(&self.recovered),
            delivered: counter(&self.delivered),
            dropped: self.dropped.clone(),
            retried: counter(&self.retried),
            spilled: counter(&self.spilled),
            spill_failures: counter(&self.spill_failures),
            queue_records: gauge(&self.queue_records),
            queue_bytes: gauge(&self.queue_bytes),
            spill_records: gauge(&self.spill_records),
            spill_bytes: gauge(&self.spill_bytes),
        }
    }
}

// === impl SinkCounters ===

impl SinkCounters {
    /// Counts records that will never be delivered.
    pub fn dropped(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.of_reason(reason).inc_by(count);
        }
    }

    /// How many were dropped for a reason.
    pub fn dropped_by(&self, reason: &'static str) -> u64 {
        self.of_reason(reason).get()
    }

    fn of_reason(&self, reason: &'static str) -> Counter {
        let labels = [("sink", self.name.clone()), ("reason", reason.to_owned())];
        self.dropped.get_or_create(&labels).clone()
    }

    /// Notes what is held in memory.
    pub fn queue_holds(&self, records: usize, bytes: usize) {
        let gauge = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.queue_records.set(gauge(records));
        self.queue_bytes.set(gauge(bytes));
    }

    /// Notes what is held on disk.
    pub fn spill_holds(&self, records: u64, bytes: u64) {
        let gauge = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.spill_records.set(gauge(records));
        self.spill_bytes.set(gauge(bytes));
    }

    /// Records that are neither delivered nor dropped.
    pub fn held(&self) -> i64 {
        self.queue_records.get() + self.spill_records.get()
    }
}
