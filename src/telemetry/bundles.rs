//! Metrics of bundles that are downloaded, under the names and labels that OPA gives them, for dashboards
//! that know those. Times are in nanoseconds since 1970, as there.

use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::metrics::new;
use super::plugin::Bare;

/// Longest revision that is a label, in characters.
const MAX_REVISION: usize = 100;

type Name = [(&'static str, String); 1];
type NameAnd = [(&'static str, String); 2];
type Durations = Family<NameAnd, Histogram, fn() -> Histogram>;

/// What OPA counts and times of bundles.
#[derive(Debug)]
pub struct BundleMetrics {
    registry: Registry,
    loaded: Family<Name, Bare>,
    failed: Family<NameAnd, Bare>,
    requests: Family<Name, Gauge>,
    good_requests: Family<Name, Gauge>,
    downloads: Family<Name, Gauge>,
    activations: Family<NameAnd, Gauge>,
    durations: Durations,
}

/// A part of taking a bundle in.
#[derive(Debug, Clone, Copy)]
pub enum BundleStage {
    /// From the request to the end of the archive.
    Request,
    /// Reading the archive, its signature and its manifest.
    Read,
}

impl Default for BundleMetrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let durations = Durations::new_with_constructor(buckets);
        registry.register(
            "bundle_loading_duration_ns",
            "Time that a download took, by bundle and stage",
            durations.clone(),
        );
        let known = &mut registry;
        Self {
            loaded: new(
                known,
                "bundle_loaded_counter",
                "Requests after which what the server has of a bundle is in force",
            ),
            failed: new(
                known,
                "bundle_failed_load_counter",
                "Attempts to download and activate a bundle that failed",
            ),
            requests: new(
                known,
                "last_bundle_request",
                "When a bundle was last asked for",
            ),
            good_requests: new(
                known,
                "last_success_bundle_request",
                "When a server last answered with a bundle, or that there is no other",
            ),
            downloads: new(
                known,
                "last_success_bundle_download",
                "When a bundle was last downloaded",
            ),
            activations: new(
                known,
                "last_success_bundle_activation",
                "When the active revision of a bundle was activated",
            ),
            durations,
            registry,
        }
    }
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(1_000.0, 2.0, 20))
}

fn name(bundle: &str) -> Name {
    [("name", bundle.to_owned())]
}

fn name_and(bundle: &str, label: &'static str, value: &str) -> NameAnd {
    [("name", bundle.to_owned()), (label, value.to_owned())]
}

impl BundleMetrics {
    pub fn asked(&self, bundle: &str, now: i64) {
        self.requests.get_or_create(&name(bundle)).set(now);
    }

    pub fn answered(&self, bundle: &str, now: i64) {
        self.good_requests.get_or_create(&name(bundle)).set(now);
    }

    pub fn downloaded(&self, bundle: &str, now: i64) {
        self.downloads.get_or_create(&name(bundle)).set(now);
    }

    /// Notes which revision is active now. Rule: of each bundle there is one.
    pub fn activated(&self, bundle: &str, before: Option<&str>, revision: &str, now: i64) {
        let labels = |revision: &str| {
            let shown: String = revision.chars().take(MAX_REVISION).collect();
            name_and(bundle, "active_revision", &shown)
        };
        if let Some(before) = before {
            self.activations.remove(&labels(before));
        }
        self.activations.get_or_create(&labels(revision)).set(now);
    }

    pub fn loaded(&self, bundle: &str) {
        self.loaded.get_or_create(&name(bundle)).inc();
    }

    /// Rule: without OPA's label `message`, since a server can have errors say anything.
    pub fn failed(&self, bundle: &str, code: &str) {
        let labels = name_and(bundle, "code", code);
        self.failed.get_or_create(&labels).inc();
    }

    pub fn took(&self, bundle: &str, stage: BundleStage, duration: Duration) {
        let stage = match stage {
            BundleStage::Request => "timer_bundle_request_ns",
            BundleStage::Read => "timer_rego_load_bundles_ns",
        };
        let labels = name_and(bundle, "stage", stage);
        let nanos = duration.as_secs_f64() * 1e9;
        self.durations.get_or_create(&labels).observe(nanos);
    }

    pub(super) fn write(&self, text: &mut String) -> std::fmt::Result {
        text::encode_registry(text, &self.registry)
    }
}
