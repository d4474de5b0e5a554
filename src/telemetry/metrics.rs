//! Prometheus metrics of the process. Labels come from closed sets or from policy, so that no request
//! can make a new series.

#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::bundles::BundleMetrics;
use super::counters::{Counters, Label};
use super::durations::Durations;
use super::log::LogMetrics;
use super::plugin::PluginMetrics;
use super::policies::PolicyMetrics;
use super::sinks::SinkMetrics;
use super::steps::StepDurations;
use super::stopwatch::Stopwatch;
use super::traces::TraceMetrics;

/// Upper bounds of check latency, in seconds.
const CHECK_BUCKETS: [f64; 12] = [
    5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2e-2, 0.1, 1.0,
];

/// Places for the reasons of decisions, and for what the decision cache can have to do with one.
const REASONS: usize = 16;
const CACHE_RESULTS: usize = 16;
/// Allowed and denied, with each reason.
const DECISIONS: usize = 2 * REASONS;

/// Names and values out of closed sets.
pub(super) type Labels<const COUNT: usize> = [(&'static str, &'static str); COUNT];
type NameLabels = [(&'static str, String); 1];
type BundleLabels = [(&'static str, String); 2];

/// All metrics, and the registry that writes them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Counters<2, DECISIONS>,
    cache: Counters<1, CACHE_RESULTS>,
    cache_entries: Gauge,
    cache_bytes: Gauge,
    cache_evictions: Family<Labels<1>, Counter>,
    limits: Family<Labels<1>, Counter>,
    /// By the policy that decided.
    pub of_policies: PolicyMetrics,
    shadow_decisions: Family<BundleLabels, Counter>,
    shadow_skipped: Family<BundleLabels, Counter>,
    shadows_unusable: Gauge,
    check_duration: Durations,
    check_steps: StepDurations,
    /// Checks that panicked; must stay 0.
    pub panics: Counter,
    /// Requests that could not be decoded.
    pub undecodable: Counter,
    /// Of the decision log.
    pub log: LogMetrics,
    /// Of where decisions go beside the log's file.
    pub of_sinks: SinkMetrics,
    /// Of checks that are traced.
    pub of_traces: TraceMetrics,
    activations: Family<Labels<1>, Counter>,
    store_failures: Family<Labels<1>, Counter>,
    /// Revision of the active snapshot.
    pub revision: Gauge,
    key_fetches: Family<Labels<1>, Counter>,
    key_sets: Family<NameLabels, Gauge>,
    external: Family<Labels<1>, Counter>,
    refused_calls: Family<Labels<1>, Counter>,
    reloads: Family<Labels<2>, Counter>,
    /// 1 while files of policy cannot be used.
    pub files_refused: Gauge,
    certificates: Family<Labels<1>, Gauge>,
    tokens: Family<NameLabels, Gauge>,
    bundle_requests: Family<BundleLabels, Counter>,
    bundles: Family<NameLabels, Gauge>,
    /// Of those that are downloaded, as OPA has them.
    pub of_bundles: BundleMetrics,
    plugin: Option<PluginMetrics>,
}

/// What came of fetching a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyFetch {
    /// There is a set, another than before.
    Changed,
    Unchanged,
    Failure,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("doorward");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the running program", build);
        let check_duration = Durations::new(CHECK_BUCKETS);
        registry.register_with_unit(
            "check_duration",
            "Time from a received CheckRequest to its reply, decoding included",
            Unit::Seconds,
            check_duration.clone(),
        );
        let check_steps = StepDurations::default();
        registry.register_collector(Box::new(check_steps.clone()));
        let of_policies = PolicyMetrics::default();
        registry.register_collector(Box::new(of_policies.clone()));
        let key_sets = Family::<NameLabels, Gauge>::default();
        registry.register_with_unit(
            "jwks_last_success_timestamp",
            "When a key set was last fetched, in seconds since 1970",
            Unit::Seconds,
            key_sets.clone(),
        );
        let certificates = Family::<Labels<1>, Gauge>::default();
        registry.register_with_unit(
            "tls_expiry_timestamp",
            "When the certificate of a port ends, in seconds since 1970",
            Unit::Seconds,
            certificates.clone(),
        );
        let tokens = Family::<NameLabels, Gauge>::default();
        registry.register_with_unit(
            "management_token_expiry_timestamp",
            "When the token of the management API ends that is the next to, in seconds since 1970",
            Unit::Seconds,
            tokens.clone(),
        );
        let bundles = Family::<NameLabels, Gauge>::default();
        registry.register_with_unit(
            "bundle_last_success_timestamp",
            "When the server of a bundle last gave what is active, in seconds since 1970",
            Unit::Seconds,
            bundles.clone(),
        );
        let known = &mut registry;
        Self {
            decisions: Counters::of(new(
                known,
                "decisions",
                "Decisions by effect and kind of reason",
            )),
            cache: Counters::of(new(
                known,
                "decision_cache",
                "Decisions found in the cache (hit), remembered (miss), or not remembered, by why",
            )),
            cache_entries: new(
                known,
                "decision_cache_entries",
                "Decisions that the cache of the active snapshot holds",
            ),
            cache_bytes: new(known, "decision_cache_bytes", "Memory they take, about"),
            cache_evictions: new(
                known,
                "decision_cache_evictions",
                "Decisions that left the cache, by cause",
            ),
            limits: new(
                known,
                "limits_hit",
                "Checks that were denied because a limit was hit, by which one",
            ),
            of_policies,
            shadow_decisions: new(
                known,
                "shadow_decisions",
                "What shadows would have decided, by bundle and how it differs",
            ),
            shadow_skipped: new(
                known,
                "shadow_skipped",
                "Decisions of which a shadow was not asked, or too late, by bundle and why",
            ),
            shadows_unusable: new(
                known,
                "shadows_unusable",
                "Shadows that are there and cannot be asked",
            ),
            panics: new(known, "panics", "Checks that failed by a panic"),
            undecodable: new(
                known,
                "undecodable_requests",
                "Checks that were no valid CheckRequest",
            ),
            log: LogMetrics::new(known),
            of_sinks: SinkMetrics::new(known),
            of_traces: TraceMetrics::new(known),
            activations: new(known, "activations", "Attempts to change policy, by result"),
            store_failures: new(
                known,
                "store_failures",
                "What the policy store could not do, and starts on an earlier revision, by kind",
            ),
            revision: new(
                known,
                "snapshot_revision",
                "Revision of the active snapshot",
            ),
            external: new(
                known,
                "external_requests",
                "Requests that policies made of others, by result",
            ),
            refused_calls: new(
                known,
                "management_refused",
                "Calls of the management API that were refused, by reason",
            ),
            reloads: new(
                known,
                "reloads",
                "Attempts to read changed files of policy, certificates and tokens again, by result",
            ),
            files_refused: new(
                known,
                "policy_files_refused",
                "1 while files of policy cannot be used and what they held before is in force",
            ),
            key_fetches: new(known, "jwks_fetches", "Fetches of key sets, by result"),
            bundle_requests: new(
                known,
                "bundle_requests",
                "Requests for bundles that are downloaded, by bundle and result",
            ),
            bundles,
            certificates,
            tokens,
            check_duration,
            check_steps,
            key_sets,
            registry,
            of_bundles: BundleMetrics::default(),
            plugin: None,
        }
    }
}

/// A metric that the registry knows.
pub(super) fn new<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// Has checks counted as opa-envoy-plugin does besides. The histogram has these upper bounds.
    #[must_use]
    pub fn with_plugin(self, bounds: Vec<f64>) -> Self {
        Self {
            plugin: Some(PluginMetrics::new(bounds)),
            ..self
        }
    }

    /// Counts a decision.
    pub fn decided(&self, effect: Label, reason: Label, cache: Label) {
        let labels = [("effect", effect.name), ("reason", reason.name)];
        // A reason beyond its places would count for another effect's.
        let at = match reason.at {
            at @ ..REASONS => effect.at * REASONS + at,
            _ => DECISIONS,
        };
        self.decisions.inc(at, &labels);
        self.cache.inc(cache.at, &[("result", cache.name)]);
    }

    /// Notes how many decisions are remembered, and the memory they take.
    pub fn cache_holds(&self, entries: u64, bytes: u64) {
        let gauge = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.cache_entries.set(gauge(entries));
        self.cache_bytes.set(gauge(bytes));
    }

    /// Counts remembered decisions that went: for want of room, and because their time was up.
    pub fn cache_evicted(&self, for_room: u64, at_end: u64) {
        for (cause, count) in [("size", for_room), ("expired", at_end)] {
            if count > 0 {
                let evicted = self.cache_evictions.get_or_create(&[("cause", cause)]);
                evicted.inc_by(count);
            }
        }
    }

    /// Counts a check that was denied because a limit was hit.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limits.get_or_create(&[("limit", limit)]).inc();
    }

    /// Notes the steps of a check that were measured.
    pub fn steps_took(&self, stopwatch: &Stopwatch) {
        self.check_steps.observe(stopwatch);
    }

    /// Counts what a shadow would have decided.
    pub fn shadow_decided(&self, bundle: &str, result: &'static str) {
        let labels = by_bundle(bundle, "result", result);
        self.shadow_decisions.get_or_create(&labels).inc();
    }

    /// Notes how many shadows are there and cannot be asked.
    pub fn shadows_unusable(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.shadows_unusable.set(count);
    }

    /// Counts a decision of which a shadow was not asked.
    pub fn shadow_skipped(&self, bundle: &str, reason: &'static str) {
        let labels = by_bundle(bundle, "reason", reason);
        self.shadow_skipped.get_or_create(&labels).inc();
    }

    /// Drops the series of a shadow that is asked no more.
    pub fn shadow_gone(&self, bundle: &str, results: &[&'static str], reasons: &[&'static str]) {
        for result in results {
            let labels = by_bundle(bundle, "result", result);
            self.shadow_decisions.remove(&labels);
        }
        for reason in reasons {
            let labels = by_bundle(bundle, "reason", reason);
            self.shadow_skipped.remove(&labels);
        }
    }

    /// Notes how long a check took. `error` is asked for why it came to no decision, if somebody wants
    /// to know.
    pub fn check_took(&self, duration: Duration, error: impl FnOnce() -> Option<&'static str>) {
        self.check_duration.observe(duration);
        if let Some(plugin) = &self.plugin {
            plugin.checked(duration, error());
        }
    }

    /// Counts an attempt to change policy.
    pub fn activated(&self, result: &'static str) {
        self.activations.get_or_create(&[("result", result)]).inc();
    }

    /// Counts what the policy store could not do.
    pub fn store_failed(&self, kind: &'static str) {
        self.store_failures.get_or_create(&[("kind", kind)]).inc();
    }

    /// Counts a request that a policy made of others.
    pub fn external(&self, result: &'static str) {
        self.external.get_or_create(&[("result", result)]).inc();
    }

    /// Counts a call of the management API that was refused.
    pub fn call_refused(&self, reason: &'static str) {
        let refused = self.refused_calls.get_or_create(&[("reason", reason)]);
        refused.inc();
    }

    /// Counts an attempt to read again what has changed.
    pub fn reloaded(&self, what: &'static str, result: &'static str) {
        let labels = [("what", what), ("result", result)];
        self.reloads.get_or_create(&labels).inc();
    }

    /// Notes when the certificate of a port ends, in seconds since 1970.
    pub fn certificate_expires(&self, port: &'static str, time: u64) {
        let time = i64::try_from(time).unwrap_or(i64::MAX);
        self.certificates.get_or_create(&[("port", port)]).set(time);
    }

    /// Notes which token of the management API is the next to end, and when, in seconds since 1970.
    pub fn token_expires(&self, next: Option<(&str, i64)>) {
        self.tokens.clear();
        if let Some((name, time)) = next {
            let labels = [("token", name.to_owned())];
            self.tokens.get_or_create(&labels).set(time);
        }
    }

    /// Counts a request for a bundle at a time in seconds since 1970.
    pub fn bundle_asked(&self, name: &str, result: &'static str, time: i64) {
        let labels = [("bundle", name.to_owned()), ("result", result.to_owned())];
        self.bundle_requests.get_or_create(&labels).inc();
        if result != "failure" {
            let labels = [("bundle", name.to_owned())];
            self.bundles.get_or_create(&labels).set(time);
        }
    }

    /// Counts a fetch of a key set.
    pub fn keys_fetched(&self, result: KeyFetch) {
        let result = match result {
            KeyFetch::Changed => "changed",
            KeyFetch::Unchanged => "unchanged",
            KeyFetch::Failure => "failure",
        };
        self.key_fetches.get_or_create(&[("result", result)]).inc();
    }

    /// Notes when a key set was last fetched, in seconds since 1970.
    pub fn key_set_fetched(&self, uri: &str, time: i64) {
        self.key_sets.get_or_create(&key_set(uri)).set(time);
    }

    /// Drops the series of a key set that is fetched no more.
    pub fn key_set_gone(&self, uri: &str) {
        self.key_sets.remove(&key_set(uri));
    }

    /// Everything in the OpenMetrics text format, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if self.write(&mut text).is_err() {
            tracing::error!("metrics could not be written");
        }
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        text::encode_registry(text, &self.registry)?;
        self.of_bundles.write(text)?;
        if let Some(plugin) = &self.plugin {
            plugin.write(text)?;
        }
        text::encode_eof(text)
    }
}

fn by_bundle(bundle: &str, name: &'static str, value: &str) -> BundleLabels {
    [("bundle", bundle.to_owned()), (name, value.to_owned())]
}

fn key_set(uri: &str) -> NameLabels {
    [("uri", uri.to_owned())]
}
