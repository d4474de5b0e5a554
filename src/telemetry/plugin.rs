//! Metrics under the names and labels that opa-envoy-plugin gives them, for dashboards that know those.
//! Which error a check came to is told by the door.

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use super::durations::Durations;
use super::metrics::{Labels, new};

#[derive(Debug)]
pub(super) struct PluginMetrics {
    registry: Registry,
    durations: Durations,
    errors: Family<Labels<1>, Bare>,
}

/// A counter whose name gets no suffix, as in Prometheus' older format. OpenMetrics allows that for
/// metrics of unknown type only.
#[derive(Debug, Clone, Default)]
pub(super) struct Bare(Counter);

impl Bare {
    pub(super) fn inc(&self) {
        self.0.inc();
    }
}

impl TypedMetric for Bare {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for Bare {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        encoder.encode_gauge(&self.0.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl PluginMetrics {
    pub(super) fn new(bounds: Vec<f64>) -> Self {
        let mut registry = Registry::default();
        let errors = new(
            &mut registry,
            "error_counter",
            "Checks without a decision, by reason",
        );
        let durations = Durations::new(bounds);
        let handler = (Cow::Borrowed("handler"), Cow::Borrowed("check"));
        registry.sub_registry_with_label(handler).register(
            "grpc_request_duration_seconds",
            "Time that checks took which came to a decision",
            durations.clone(),
        );
        Self {
            registry,
            durations,
            errors,
        }
    }

    /// Rule: a check counts among the durations or among the errors.
    pub(super) fn checked(&self, duration: Duration, error: Option<&'static str>) {
        match error {
            None => self.durations.observe(duration),
            Some(reason) => {
                let errors = self.errors.get_or_create(&[("reason", reason)]);
                errors.inc();
            }
        }
    }

    pub(super) fn write(&self, text: &mut String) -> std::fmt::Result {
        text::encode_registry(text, &self.registry)
    }
}
