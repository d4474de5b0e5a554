//! Sections `mesh`, `rego` and `workloads` of the configuration, and the settings they become.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::native::{
    KnownWorkload, MeshSettings, TrustedPeer, Workload, WorkloadConfig, WorkloadSources,
};
use super::rego::{Asked, Caching, DEFAULT_ENTRYPOINT, InputSettings, RegoSettings, is_same_path};
use super::{DefaultAction, OnError, PolicySettings, UnknownWorkload};
use crate::attributes::{HeaderLookup, PathNormalization};
use crate::units::Span;

/// In place of an entrypoint: nothing is asked but the providers. A rule of that path is `/none`.
const NO_ENTRYPOINT: &str = "none";
/// Most buckets of a histogram.
const MAX_BUCKETS: usize = 100;

/// Section `mesh`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeshConfig {
    /// Namespace whose policies apply to every workload.
    pub root_namespace: String,
    pub trust_domain: String,
    pub trust_domain_aliases: Vec<String>,
    pub default_action: DefaultAction,
    /// Workload of requests that do not say which they are for.
    pub default_workload: Option<WorkloadConfig>,
    pub unknown_workload: UnknownWorkload,
    /// 401, or 403 for meshes that answer so.
    pub invalid_token_status: u16,
    /// How many entries at the end of `x-forwarded-for` are one's own proxies'.
    pub trusted_proxies: usize,
    /// Peers that may say, in `x-forwarded-client-cert`, whom they speak for.
    pub trusted_xfcc_peers: Vec<TrustedPeer>,
    /// What native policies see of a path.
    pub path_normalization: PathNormalization,
}

/// Section `rego`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegoConfig {
    /// What decides; `envoy/authz/allow` if not set. Once set, it is asked even if no Rego is loaded.
    pub entrypoint: Option<EntrypointConfig>,
    /// A query that decides instead of the rule.
    pub query: Option<String>,
    /// Denials of the entrypoint let requests pass, and are seen in the record.
    pub dry_run: bool,
    /// The input document says nothing of bodies.
    pub skip_request_body_parse: bool,
    /// File with an encoded `FileDescriptorSet`, by which bodies of gRPC are read.
    pub proto_descriptor: Option<PathBuf>,
    /// Path of the rule asked for action CUSTOM, by the name of the policy's provider.
    pub providers: BTreeMap<String, String>,
    /// Paths of those rules, of which no decision is remembered that asked one.
    pub uncached: Vec<String>,
    pub evaluation_limit: EvaluationLimit,
    pub on_error: OnError,
    /// A bundle that carries Rego tests is only activated if they pass.
    pub run_bundle_tests: bool,
    /// Whether policies may ask others: `http.send`, `net.lookup_ip_addr`.
    pub http_send: bool,
    /// Metrics as opa-envoy-plugin has them, beside ours.
    pub performance_metrics: bool,
    pub duration_buckets: DurationBuckets,
}

/// The rule that is asked for every request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EntrypointConfig {
    /// Rego is only for the providers.
    None,
    /// A slash-separated path.
    Path(String),
}

/// Upper bounds of the plugin's histogram of durations, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct DurationBuckets(Vec<f64>);

/// Longest that checks may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    pub check: Duration,
    /// If it waits for what policies ask of others.
    pub outside: Duration,
}

impl RegoConfig {
    /// The first of `uncached` that is nothing which can be asked.
    pub fn unknown_uncached(&self) -> Option<&str> {
        let entrypoint = match (&self.query, &self.entrypoint) {
            (Some(query), _) => query,
            (None, Some(EntrypointConfig::Path(path))) => path,
            (None, Some(EntrypointConfig::None)) => "",
            (None, None) => DEFAULT_ENTRYPOINT,
        };
        let is_asked = |path: &&String| {
            let mut providers = self.providers.values();
            is_same_path(path, entrypoint) || providers.any(|known| is_same_path(path, known))
        };
        let mut unknown = self.uncached.iter().filter(|path| !is_asked(path));
        unknown.next().map(String::as_str)
    }
}

impl From<String> for EntrypointConfig {
    fn from(text: String) -> Self {
        match text.as_str() {
            NO_ENTRYPOINT => Self::None,
            _ => Self::Path(text),
        }
    }
}

impl From<EntrypointConfig> for String {
    fn from(entrypoint: EntrypointConfig) -> Self {
        match entrypoint {
            EntrypointConfig::None => NO_ENTRYPOINT.to_owned(),
            EntrypointConfig::Path(path) if path == NO_ENTRYPOINT => format!("/{path}"),
            EntrypointConfig::Path(path) => path,
        }
    }
}

/// One for all.
impl From<Duration> for Deadlines {
    fn from(check: Duration) -> Self {
        Self {
            check,
            outside: check,
        }
    }
}

/// Longest an evaluation may take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EvaluationLimit(pub Span);

impl Default for EvaluationLimit {
    fn default() -> Self {
        Self(Span::from_millis(50))
    }
}

/// Those of the plugin.
impl Default for DurationBuckets {
    fn default() -> Self {
        Self(vec![
            1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 3e-3, 5e-3, 0.1, 1.0,
        ])
    }
}

impl TryFrom<Vec<f64>> for DurationBuckets {
    type Error = String;

    fn try_from(bounds: Vec<f64>) -> Result<Self, String> {
        let ascends = bounds
            .iter()
            .zip(bounds.iter().skip(1))
            .all(|(one, next)| one < next);
        let is_usable = ascends && bounds.iter().all(|bound| bound.is_finite());
        if is_usable && (1..=MAX_BUCKETS).contains(&bounds.len()) {
            Ok(Self(bounds))
        } else {
            Err(format!(
                "must be 1 to {MAX_BUCKETS} numbers, each above the one before"
            ))
        }
    }
}

impl From<DurationBuckets> for Vec<f64> {
    fn from(buckets: DurationBuckets) -> Self {
        buckets.0
    }
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            root_namespace: "istio-system".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            default_action: DefaultAction::default(),
            default_workload: None,
            unknown_workload: UnknownWorkload::default(),
            invalid_token_status: 401,
            trusted_proxies: 0,
            trusted_xfcc_peers: Vec::new(),
            path_normalization: PathNormalization::default(),
        }
    }
}

impl MeshConfig {
    /// Values that parse but cannot be meant.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !matches!(self.invalid_token_status, 401 | 403) {
            let why = format!("{} is neither 401 nor 403", self.invalid_token_status);
            problems.push(("mesh.invalid_token_status", why));
        }
        for (key, value) in [
            ("mesh.root_namespace", &self.root_namespace),
            ("mesh.trust_domain", &self.trust_domain),
        ] {
            if value.is_empty() {
                problems.push((key, "must not be empty".to_owned()));
            }
        }
        // They stand in for each other in the principals of policies, where a star is a pattern.
        for (key, domains) in [
            (
                "mesh.trust_domain",
                std::slice::from_ref(&self.trust_domain),
            ),
            ("mesh.trust_domain_aliases", &self.trust_domain_aliases),
        ] {
            let odd = domains.iter().filter(|domain| domain.contains(['*', '/']));
            problems.extend(odd.map(|domain| (key, format!("`{domain}` is not a trust domain"))));
        }
        problems
    }
}

/// Puts the sections together. All evaluations of one check together do not outlast the door's
/// deadline: it is shared by the rules that a request can have asked.
pub fn settings(
    mesh: &MeshConfig,
    rego: &RegoConfig,
    workloads: &[KnownWorkload],
    deadlines: impl Into<Deadlines>,
) -> PolicySettings {
    let deadlines = deadlines.into();
    let default = mesh.default_workload.clone();
    let asked = match (&rego.query, &rego.entrypoint) {
        (Some(query), _) => Asked::Query(query.clone()),
        (None, Some(EntrypointConfig::None)) => Asked::Nothing,
        (None, Some(EntrypointConfig::Path(path))) => Asked::Rule(path.clone()),
        (None, None) => Asked::Rule(DEFAULT_ENTRYPOINT.to_owned()),
    };
    let asks = asked != Asked::Nothing;
    let many = rego.providers.len() + usize::from(asks);
    let share = deadlines.check / u32::try_from(many.max(1)).unwrap_or(u32::MAX);
    let trust_domains = std::iter::once(&mesh.trust_domain).chain(&mesh.trust_domain_aliases);
    PolicySettings {
        mesh: MeshSettings {
            root_namespace: mesh.root_namespace.clone(),
            trust_domains: trust_domains.cloned().collect(),
        },
        workloads: WorkloadSources {
            known: workloads.iter().cloned().map(Workload::from).collect(),
            default: Arc::new(default.map(Workload::from).unwrap_or_default()),
        },
        default_action: mesh.default_action,
        unknown_workload: mesh.unknown_workload,
        invalid_token_status: mesh.invalid_token_status,
        trusted_proxies: mesh.trusted_proxies,
        trusted_xfcc_peers: mesh.trusted_xfcc_peers.clone(),
        path_normalization: mesh.path_normalization,
        rego: RegoSettings {
            asked,
            input: InputSettings {
                skip_body: rego.skip_request_body_parse,
                descriptors: None,
                lookup: HeaderLookup::Raw,
                identity: true,
            },
            providers: rego.providers.clone(),
            evaluation_limit: rego.evaluation_limit.0.0.min(share),
            at_once: NonZeroUsize::MIN,
            runtime: None,
            caching: Caching {
                off: rego.uncached.iter().cloned().collect(),
                ignores_bad_ttl: false,
            },
            outside: rego.http_send.then_some(deadlines.outside),
        },
        rego_always: asks && (rego.entrypoint.is_some() || rego.query.is_some()),
        rego_dry_run: rego.dry_run,
        run_bundle_tests: rego.run_bundle_tests,
        on_error: rego.on_error,
        replies_as_plugin: false,
    }
}
