//! The configuration: a file, the environment over it, and flags over both. Every problem is
//! reported at once, each with its line. What the values do is said where they are used.

mod load;
mod opa;
mod plaintext;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::attributes::HeaderLookup;
use crate::bundle::{
    BundleSettings, BundleSources, Limits, VerificationConfig, VerificationSettings,
};
use crate::ext_authz::Replies;
use crate::policy::PolicySettings;
use crate::policy::config::{Deadlines, MeshConfig, RegoConfig, settings};
use crate::policy::native::KnownWorkload;
use crate::policy::rego::{Data, Descriptors};
use crate::sinks::{SinkConfig, TracesConfig};
use crate::units::Span;
use crate::{cache, decision_log, ext_authz, external, jwks, management, replay, store, telemetry};

/// File that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "doorward.yaml";

/// Looking at files more often than this costs more than it is good for.
const MIN_WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// All settings. No file at all is a working default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub ext_authz: ext_authz::Config,
    pub management: management::Config,
    pub authzen: management::AuthZenConfig,
    /// Folder of `policy.db` and `decisions.db`.
    pub data_dir: PathBuf,
    /// Files and folders of policy.
    pub policies: Vec<PathBuf>,
    pub watch: WatchConfig,
    pub bundles: BundleSources,
    pub bundle_limits: Limits,
    pub bundle_verification: VerificationConfig,
    pub store: store::Config,
    pub mesh: MeshConfig,
    pub rego: RegoConfig,
    pub external: external::Config,
    pub cache: cache::Config,
    pub jwks: jwks::Config,
    pub decision_log: decision_log::Config<SinkConfig>,
    pub replay: replay::Config,
    pub traces: TracesConfig,
    pub telemetry: telemetry::Config,
    pub shutdown: ShutdownConfig,
    pub workloads: Vec<KnownWorkload>,
    /// What Rego's `opa.runtime` tells, where a configuration of OPA is used.
    #[serde(skip)]
    opa_runtime: Option<serde_json::Value>,
}

/// Section `watch`: files of policy that change while the server runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Otherwise they are read again on SIGHUP only.
    pub enabled: bool,
    /// How often they are looked at.
    pub interval: Span,
}

/// Section `shutdown`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownConfig {
    /// How long checks are still taken after readiness fell, so that proxies can see it.
    pub drain_delay: Span,
    /// How long running checks may then take.
    pub grace: Span,
}

/// A setting given on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As it is written, for messages: `--data-dir`.
    pub name: &'static str,
    /// Dotted path of the setting.
    pub path: &'static str,
    pub value: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Default for Config {
    fn default() -> Self {
        Self {
            ext_authz: ext_authz::Config::default(),
            management: management::Config::default(),
            authzen: management::AuthZenConfig::default(),
            data_dir: PathBuf::from("./data"),
            policies: Vec::new(),
            watch: WatchConfig::default(),
            bundles: BundleSources::new(),
            bundle_limits: Limits::default(),
            bundle_verification: VerificationConfig::default(),
            store: store::Config::default(),
            mesh: MeshConfig::default(),
            rego: RegoConfig::default(),
            external: external::Config::default(),
            cache: cache::Config::default(),
            jwks: jwks::Config::default(),
            decision_log: decision_log::Config::default(),
            replay: replay::Config::default(),
            traces: TracesConfig::default(),
            telemetry: telemetry::Config::default(),
            shutdown: ShutdownConfig::default(),
            workloads: Vec::new(),
            opa_runtime: None,
        }
    }
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Span::from_secs(2),
        }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            drain_delay: Span::from_secs(0),
            grace: Span::from_secs(10),
        }
    }
}

impl Config {
    /// Reads a file, or the default one if it is there, the environment's
    /// `DOORWARD__SECTION__KEY` over it, and flags over both.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<Self, ConfigError> {
        load::load(file, environment, flags)
    }

    /// Puts what a configuration of OPA says over this one. Returned is what of it has no effect, a
    /// line each.
    pub fn take_opa(
        &mut self,
        file: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<Vec<String>, ConfigError> {
        opa::take(self, file, &environment.into_iter().collect(), flags)
    }

    /// What policies are compiled with and decided by. Files that are named are read.
    pub fn policy_settings(&self) -> Result<PolicySettings, ConfigError> {
        let deadlines = Deadlines {
            check: self.ext_authz.deadline.0,
            outside: self.outside_deadline(),
        };
        if let Some(path) = self.rego.unknown_uncached() {
            let why = format!(
                "`rego.uncached`: `{path}` is neither `rego.entrypoint` nor one of `rego.providers`"
            );
            return Err(ConfigError(vec![why]));
        }
        let mut settings = settings(&self.mesh, &self.rego, &self.workloads, deadlines);
        if let Some(path) = self.decision_log.rule_among(settings.rego.paths()) {
            let why =
                format!("`{path}` says what the decision log masks or drops, and decides nothing");
            return Err(ConfigError(vec![why]));
        }
        settings.rego.runtime = self.opa_runtime.clone().map(Data::from_json);
        let input = &mut settings.rego.input;
        input.descriptors = self
            .rego
            .proto_descriptor
            .as_deref()
            .map(read_descriptors)
            .transpose()?;
        // Where replies are OPA's plugin's, so is what they are made of: no body is read whose headers
        // are raw, and there is nothing that OPA does not know.
        if self.ext_authz.replies == Replies::Plugin {
            settings.replies_as_plugin = true;
            input.lookup = HeaderLookup::Joined;
            input.identity = false;
            settings.rego.caching.ignores_bad_ttl = true;
        }
        Ok(settings)
    }

    /// How bundles are read; with `v0`, in language version 0 unless they say otherwise. Keys are read too.
    pub fn bundle_settings(&self, v0: bool) -> Result<BundleSettings, ConfigError> {
        let verification = VerificationSettings::new(&self.bundle_verification, &self.bundles);
        let verification = verification.map_err(|problems| {
            let lines = problems.into_iter();
            ConfigError(
                lines
                    .map(|(path, why)| format!("`{path}`: {why}"))
                    .collect(),
            )
        })?;
        Ok(BundleSettings {
            limits: self.bundle_limits,
            verification,
            v0,
        })
    }

    /// What is in use, without secrets: of OPA's configuration, where there is one.
    pub fn shown(&self) -> serde_json::Value {
        let of_opa = self
            .opa_runtime
            .as_ref()
            .and_then(|runtime| runtime.get("config"));
        let own = || serde_json::to_value(self).unwrap_or_default();
        of_opa.cloned().unwrap_or_else(own)
    }

    /// Longest a check may take that waits for what policies ask of others.
    pub fn outside_deadline(&self) -> Duration {
        let deadline = self.external.deadline;
        deadline.unwrap_or(self.ext_authz.deadline).0
    }

    /// Values that parse but contradict each other or cannot be used.
    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = self.management.problems();
        problems.extend(self.authzen.problems());
        problems.extend(self.mesh.problems());
        problems.extend(self.jwks.problems());
        problems.extend(self.external.problems());
        problems.extend(self.decision_log.problems());
        problems.extend(self.replay.problems());
        problems.extend(self.store.problems());
        let of_sinks = SinkConfig::problems(&self.decision_log.sinks).into_iter();
        problems.extend(of_sinks.map(|why| ("decision_log.sinks", why)));
        let of_traces = self.traces.problems().into_iter();
        problems.extend(of_traces.map(|why| ("traces", why)));
        if self.watch.interval.0 < MIN_WATCH_INTERVAL {
            let why = format!("must be {}ms at least", MIN_WATCH_INTERVAL.as_millis());
            problems.push(("watch.interval", why));
        }
        for (name, source) in &self.bundles {
            if !crate::bundle::Bundle::is_name(name) {
                problems.push(("bundles", format!("`{name}` is not a name for a bundle")));
            }
            let of_source = source.problems().into_iter();
            let named = |(key, why)| ("bundles", format!("`{name}.{key}`: {why}"));
            problems.extend(of_source.map(named));
        }
        problems
    }
}

fn read_descriptors(file: &Path) -> Result<Descriptors, ConfigError> {
    let wrong =
        |why: String| ConfigError(vec![format!("proto descriptor {}: {why}", file.display())]);
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    Descriptors::decode(&bytes).map_err(wrong)
}
