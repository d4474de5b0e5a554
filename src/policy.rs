//! Everything loaded, compiled: native policies and Rego, with what each of them reads. A set is
//! made whole or not at all. Putting answers together is left to `decision`.

pub mod config;
mod hidden;
pub mod lifetime;
pub mod native;
pub mod reads;
pub mod rego;
pub mod resource;
mod warnings;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::attributes::PathNormalization;
use crate::identity::XFCC_HEADER;
use crate::yaml::Mark;
pub use hidden::{Hidden, Names};
use native::{Attached, MeshSettings, NativePolicies, TrustedPeer, WorkloadSources};
use reads::{Field, Plan, Reads};
use rego::{Data, Entrypoint, Question, RegoModule, RegoPolicies, RegoSettings};
use resource::{Resource, ResourceId, Spec};

/// What is said while a bundle that is downloaded was never activated.
pub const LACKS_BUNDLE: &str = "a bundle has not been downloaded yet";

/// Most names of native policies that are kept for metrics.
const MAX_NAMES: usize = 100;

/// What happens to a request that no policy says anything about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultAction {
    #[default]
    Deny,
    Allow,
}

/// What happens to a request whose workload is not known, while policies depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownWorkload {
    #[default]
    Deny,
    /// Only policies of the root namespace without selector apply.
    MeshPolicies,
}

/// What an error of the Rego entrypoint does to a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Denied with 403.
    #[default]
    Deny,
    /// Answered with gRPC status UNKNOWN as opa-envoy-plugin does: the proxy's own setting decides.
    Error,
}

/// Settings that policies are compiled with and decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    pub mesh: MeshSettings,
    pub workloads: WorkloadSources,
    pub default_action: DefaultAction,
    pub unknown_workload: UnknownWorkload,
    /// Status for a token that does not verify, unless it says 403 itself.
    pub invalid_token_status: u16,
    /// Proxies of one's own in front, whose `x-forwarded-for` entries are trusted.
    pub trusted_proxies: usize,
    /// Peers that may say, in `x-forwarded-client-cert`, whom they speak for.
    pub trusted_xfcc_peers: Vec<TrustedPeer>,
    /// What native policies see of a path.
    pub path_normalization: PathNormalization,
    pub rego: RegoSettings,
    /// Ask the entrypoint even if there is no Rego at all.
    pub rego_always: bool,
    pub on_error: OnError,
    /// Replies say what opa-envoy-plugin's would of what Rego wants, and nothing else.
    pub replies_as_plugin: bool,
    /// Denials of the entrypoint let requests pass.
    pub rego_dry_run: bool,
    /// A bundle whose Rego tests fail is refused.
    pub run_bundle_tests: bool,
}

/// What a policy set is made of.
#[derive(Debug, Default)]
pub struct PolicySources<'a> {
    pub resources: Vec<&'a Resource>,
    pub modules: Vec<RegoModule>,
    pub data: Data,
    /// Whether any bundle or Rego is configured, even if it holds no module.
    pub has_rego: bool,
    /// A bundle that is downloaded was never activated.
    pub lacks_bundle: bool,
}

/// All policies of one revision.
#[derive(Debug)]
pub struct PolicySet {
    pub native: NativePolicies,
    pub rego: Option<RegoPolicies>,
    pub settings: PolicySettings,
    pub warnings: Vec<Warning>,
    /// A bundle that is downloaded was never activated: whatever asks Rego is denied.
    pub lacks_bundle: bool,
    /// What is asked beside, and decides nothing.
    pub shadows: Vec<ShadowPolicies>,
    /// Names of what can decide, Rego first; of many, the first.
    names: Vec<String>,
    /// What the settings have read of every request.
    settings_read: Reads,
    /// Whether any rule says what the decision log masks or drops, once that was asked.
    masks_records: OnceLock<bool>,
}

/// All policies as they would be with one bundle in place of the enforced one of its name.
#[derive(Debug, Clone)]
pub struct ShadowPolicies {
    pub bundle: Arc<str>,
    /// The manifest's.
    pub bundle_revision: Arc<str>,
    pub policies: Arc<PolicySet>,
}

/// The rules by which policies say what the decision log masks and drops, part by part of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRules {
    pub mask: Vec<String>,
    pub drop: Vec<String>,
}

/// Something in a valid object that is most likely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `None`: it is about Rego.
    pub about: Option<ResourceId>,
    pub problem: PolicyError,
}

/// Something that keeps a policy set from being made, in the shape of OPA's API errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Error)]
#[error("{}{code}: {message}", .location.as_ref().map(|at| format!("{at}: ")).unwrap_or_default())]
pub struct PolicyError {
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// A place in a file; row and column count from 1, and are 0 where they are not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    pub file: String,
    pub row: u64,
    pub col: u64,
}

// === impl PolicySettings ===

impl PolicySettings {
    /// What decisions depend on besides policies.
    fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        if !self.trusted_xfcc_peers.is_empty() {
            reads.field(Field::Principal);
            reads.header(XFCC_HEADER);
        }
        reads
    }
}

// === impl PolicySet ===

impl PolicySet {
    /// Compiles everything. All errors found are returned.
    pub fn compile(
        sources: PolicySources<'_>,
        settings: &PolicySettings,
    ) -> Result<Self, Vec<PolicyError>> {
        Self::compile_after(None, sources, settings)
    }

    /// The same, where much is likely to be as it was before.
    pub fn compile_after(
        before: Option<&Self>,
        sources: PolicySources<'_>,
        settings: &PolicySettings,
    ) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let PolicySources {
            resources,
            modules,
            data,
            has_rego,
            lacks_bundle,
        } = sources;
        let warnings = warnings::warnings(&resources, settings);
        let objects = first_names(&resources);
        let native = NativePolicies::compile(resources, &settings.mesh)
            .map_err(|problems| {
                errors.extend(problems.into_iter().map(|(resource, problem)| {
                    PolicyError::in_document(&resource.origin(), problem)
                }));
            })
            .ok();
        let before = before.and_then(|before| before.rego.as_ref());
        let asked = has_rego || !modules.is_empty() || settings.rego_always;
        let rego = asked
            .then(|| RegoPolicies::compile_after(before, &modules, data, &settings.rego))
            .transpose()
            .map_err(|found| errors.extend(found.into_iter().map(PolicyError::from)))
            .ok();
        match (native, rego) {
            (Some(native), Some(rego)) => Ok(Self {
                native,
                settings: settings.clone(),
                warnings: warnings
                    .into_iter()
                    .map(|(resource, problem)| Warning::new(resource, problem))
                    .chain(rego.iter().flat_map(missing))
                    .collect(),
                names: rego
                    .iter()
                    .flat_map(RegoPolicies::all)
                    .map(|asked| asked.path().to_owned())
                    .chain(objects)
                    .collect(),
                lacks_bundle,
                shadows: Vec::new(),
                settings_read: settings.reads(),
                masks_records: OnceLock::new(),
                rego,
            }),
            _ => Err(errors),
        }
    }

    /// Whatever a decision by these policies can depend on. It is found out once.
    pub fn plan<'a>(&'a self, attached: &'a Attached) -> &'a Plan {
        attached.plan.get_or_init(|| {
            let rego = self.entrypoints(attached).map(Entrypoint::reads);
            let all = [&attached.reads, &self.settings_read];
            Plan::of(all.into_iter().chain(rego))
        })
    }

    /// The Rego entrypoints that can be asked for a workload.
    pub fn entrypoints<'a>(
        &'a self,
        attached: &'a Attached,
    ) -> impl Iterator<Item = &'a Entrypoint> {
        let rego = self.rego.iter();
        rego.flat_map(|rego| rego.asked(attached.custom.keys()))
    }

    /// Whether any of the rules is there, or base data in its place. They are the same for as long as the
    /// process runs: it is found out once.
    pub fn masks_records(&self, rules: &RecordRules) -> bool {
        *self.masks_records.get_or_init(|| {
            let rego = self.rego.as_ref();
            rego.is_some_and(|rego| {
                let mut paths = [&rules.mask, &rules.drop].into_iter();
                paths.any(|path| {
                    // What cannot be told may be there.
                    let found = || rego.document(path, Question::default());
                    rego.has_rule_towards(path)
                        || found().map_or(true, |found| found.value.is_some())
                })
            })
        })
    }

    /// Names by which decisions say what decided: paths of Rego rules, and `namespace/name` of native
    /// policies. Of many, the first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is no policy of any kind.
    pub fn is_empty(&self) -> bool {
        self.native.is_empty() && self.rego.is_none()
    }
}

// === impl RecordRules ===

impl Default for RecordRules {
    /// As OPA has them.
    fn default() -> Self {
        let of = |rule: &str| ["system", "log", rule].map(str::to_owned).into();
        Self {
            mask: of("mask"),
            drop: of("drop"),
        }
    }
}

impl RecordRules {
    /// Rules at slash-separated paths.
    pub fn at(mask: &str, drop: &str) -> Self {
        let parts = |path: &str| {
            let parts = path.split('/').filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        Self {
            mask: parts(mask),
            drop: parts(drop),
        }
    }
}

/// `namespace/name` of the first native policies, in their order.
fn first_names(resources: &[&Resource]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let policies = resources
        .iter()
        .filter(|resource| !matches!(resource.spec, Spec::Telemetry(_)));
    for resource in policies {
        names.insert(format!("{}/{}", resource.id.namespace, resource.id.name));
        if names.len() > MAX_NAMES {
            names.pop_last();
        }
    }
    names
}

/// Rules that are asked and are not there. Policy that arrives later may bring them.
fn missing(rego: &RegoPolicies) -> Vec<Warning> {
    let missing = rego
        .all()
        .filter_map(|asked| Some((asked.path(), asked.missing()?)));
    let warnings = missing.map(|(path, why)| Warning {
        about: None,
        problem: PolicyError::new(
            "warning",
            format!("{why}: whatever `{path}` is asked for is denied"),
        ),
    });
    warnings.collect()
}

// === impl Warning ===

impl Warning {
    fn new(resource: &Resource, problem: crate::yaml::Problem) -> Self {
        Self {
            about: Some(resource.id.clone()),
            problem: PolicyError {
                code: "warning",
                ..PolicyError::in_document(&resource.origin(), problem)
            },
        }
    }
}

// === impl PolicyError ===

impl PolicyError {
    /// An error without a place in a file.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            location: None,
        }
    }

    /// An error in a YAML or JSON document.
    pub fn in_document(file: &str, problem: crate::yaml::Problem) -> Self {
        let Mark { row, col } = problem.mark.unwrap_or_default();
        let message = if problem.path.is_empty() {
            problem.message
        } else {
            format!("`{}`: {}", problem.path, problem.message)
        };
        Self {
            code: "invalid_resource",
            message,
            location: Some(Location {
                file: file.to_owned(),
                row,
                col,
            }),
        }
    }
}

impl From<rego::RegoError> for PolicyError {
    fn from(error: rego::RegoError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            location: Some(Location {
                file: error.file,
                row: error.row,
                col: error.col,
            }),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.row {
            0 => formatter.write_str(&self.file),
            row => write!(formatter, "{}:{row}:{}", self.file, self.col),
        }
    }
}
