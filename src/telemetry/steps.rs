//! How long steps of checks take, those that were measured.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::durations::Durations;
use super::stopwatch::{STEPS, Step, Stopwatch};

/// Upper bounds, in seconds.
const BUCKETS: [f64; 12] = [
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 5e-2, 1.0,
];

/// A histogram a step.
#[derive(Debug, Clone)]
pub(super) struct StepDurations([(Step, Durations); STEPS.len()]);

impl Default for StepDurations {
    fn default() -> Self {
        Self(STEPS.map(|step| (step, Durations::new(BUCKETS))))
    }
}

impl StepDurations {
    /// Notes the steps of a check that were measured.
    pub(super) fn observe(&self, stopwatch: &Stopwatch) {
        for (step, durations) in &self.0 {
            if let Some(duration) = stopwatch.of(*step) {
                durations.observe(duration);
            }
        }
    }
}

impl Collector for StepDurations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "check_step_duration",
            "Time that steps of checks took which were not answered from the cache",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (step, durations) in &self.0 {
            let labels = [("step", step.as_str())];
            durations.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
