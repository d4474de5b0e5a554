//! A histogram of durations that threads note theirs in without waiting for each other.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Counts by upper bounds, in seconds.
#[derive(Debug, Clone)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// Ascending.
    bounds: Vec<f64>,
    /// Of each bound those above the one before; the last is of those above all.
    counts: Vec<AtomicU64>,
    sum_ns: AtomicU64,
}

impl Durations {
    pub(super) fn new(bounds: impl Into<Vec<f64>>) -> Self {
        let bounds = bounds.into();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Counts {
            bounds,
            counts,
            sum_ns: AtomicU64::new(0),
        }))
    }

    pub(super) fn observe(&self, duration: Duration) {
        let Counts {
            bounds,
            counts,
            sum_ns,
        } = self.0.as_ref();
        let seconds = duration.as_secs_f64();
        // Rule: a bound belongs to what is below it.
        let at = bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        sum_ns.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let counts = self.0.counts.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.sum_ns.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
