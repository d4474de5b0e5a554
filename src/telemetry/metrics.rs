//! Prometheus metrics of the process. Labels come from closed sets or from policy, so that no request
//! can make a new series.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of check latency, in seconds.
const CHECK_BUCKETS: [f64; 12] = [
    5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2e-2, 0.1, 1.0,
];

/// All metrics, and the registry that writes them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Family<DecisionLabels, Counter>,
    cache: Family<CacheLabels, Counter>,
    dry_run: Family<DryRunLabels, Counter>,
    check_duration: Histogram,
    /// Checks that panicked; must stay 0.
    pub panics: Counter,
    /// Requests that could not be decoded.
    pub undecodable: Counter,
    pub log_written: Counter,
    log_dropped: Family<DroppedLabels, Counter>,
    activations: Family<ActivationLabels, Counter>,
    /// Revision of the active snapshot.
    pub revision: Gauge,
    key_fetches: Family<KeyFetchLabels, Counter>,
    key_sets: Family<KeySetLabels, Gauge>,
}

/// What came of fetching a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyFetch {
    /// There is a set, another than before.
    Changed,
    Unchanged,
    Failure,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    effect: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DryRunLabels {
    action: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DroppedLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActivationLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyFetchLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeySetLabels {
    uri: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("doorward");
        let check_duration = Histogram::new(CHECK_BUCKETS);
        let metrics = Self {
            decisions: Family::default(),
            cache: Family::default(),
            dry_run: Family::default(),
            check_duration: check_duration.clone(),
            panics: Counter::default(),
            undecodable: Counter::default(),
            log_written: Counter::default(),
            log_dropped: Family::default(),
            activations: Family::default(),
            revision: Gauge::default(),
            key_fetches: Family::default(),
            key_sets: Family::default(),
            registry: Registry::default(),
        };
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the running program", build);
        registry.register(
            "decisions",
            "Decisions by effect and kind of reason",
            metrics.decisions.clone(),
        );
        registry.register(
            "decision_cache",
            "Decisions found in the cache (hit) or evaluated (miss)",
            metrics.cache.clone(),
        );
        registry.register(
            "dry_run",
            "What dry-run policies would have done, by their action",
            metrics.dry_run.clone(),
        );
        registry.register_with_unit(
            "check_duration",
            "Time from a received CheckRequest to its reply, decoding included",
            Unit::Seconds,
            check_duration,
        );
        registry.register(
            "panics",
            "Checks that failed by a panic",
            metrics.panics.clone(),
        );
        registry.register(
            "undecodable_requests",
            "Checks that were no valid CheckRequest",
            metrics.undecodable.clone(),
        );
        registry.register(
            "decision_log_written",
            "Decisions stored in the decision log",
            metrics.log_written.clone(),
        );
        registry.register(
            "decision_log_dropped",
            "Decisions lost to the decision log",
            metrics.log_dropped.clone(),
        );
        registry.register(
            "activations",
            "Attempts to change policy, by result",
            metrics.activations.clone(),
        );
        registry.register(
            "snapshot_revision",
            "Revision of the active snapshot",
            metrics.revision.clone(),
        );
        registry.register(
            "jwks_fetches",
            "Fetches of key sets, by result",
            metrics.key_fetches.clone(),
        );
        registry.register_with_unit(
            "jwks_last_success_timestamp",
            "When a key set was last fetched, in seconds since 1970",
            Unit::Seconds,
            metrics.key_sets.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// Counts a decision.
    pub fn decided(&self, effect: &'static str, reason: &'static str, cached: bool) {
        self.decisions
            .get_or_create(&DecisionLabels { effect, reason })
            .inc();
        let result = if cached { "hit" } else { "miss" };
        self.cache.get_or_create(&CacheLabels { result }).inc();
    }

    /// Counts what dry-run policies of an action would have done.
    pub fn dry_run(&self, action: &'static str, result: &'static str) {
        self.dry_run
            .get_or_create(&DryRunLabels { action, result })
            .inc();
    }

    pub fn check_took(&self, duration: Duration) {
        self.check_duration.observe(duration.as_secs_f64());
    }

    /// Counts records that were not stored.
    pub fn log_dropped(&self, reason: &'static str, count: u64) {
        self.log_dropped
            .get_or_create(&DroppedLabels { reason })
            .inc_by(count);
    }

    /// Counts an attempt to change policy.
    pub fn activated(&self, result: &'static str) {
        self.activations
            .get_or_create(&ActivationLabels { result })
            .inc();
    }

    /// Counts a fetch of a key set.
    pub fn keys_fetched(&self, result: KeyFetch) {
        let result = match result {
            KeyFetch::Changed => "changed",
            KeyFetch::Unchanged => "unchanged",
            KeyFetch::Failure => "failure",
        };
        self.key_fetches
            .get_or_create(&KeyFetchLabels { result })
            .inc();
    }

    /// Notes when a key set was last fetched, in seconds since 1970.
    pub fn key_set_fetched(&self, uri: &str, time: i64) {
        let uri = uri.to_owned();
        self.key_sets.get_or_create(&KeySetLabels { uri }).set(time);
    }

    /// Drops the series of a key set that is fetched no more.
    pub fn key_set_gone(&self, uri: &str) {
        let uri = uri.to_owned();
        self.key_sets.remove(&KeySetLabels { uri });
    }

    /// Everything in the OpenMetrics text format, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if text::encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be written");
        }
        text
    }
}
