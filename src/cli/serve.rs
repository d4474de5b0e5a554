//! `doorward serve`: loads policy, opens both doors and says so, until it is told to stop.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Outcome, complain, say};
use crate::activation::ActivationError;
use crate::app::{App, BLOCKING_THREADS};
use crate::config::{Config, Flag};
use crate::telemetry;

/// Stack of a thread: policies and documents nest, and what looks at them recurses.
pub(super) const STACK_BYTES: usize = 16 << 20;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Configuration file; `doorward.yaml` if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Configuration of OPA with opa-envoy-plugin, which replies are then like.
    #[arg(long, value_name = "FILE")]
    opa_config: Option<PathBuf>,
    /// Where proxies ask: `IP:PORT` or `unix:///PATH`.
    #[arg(long, value_name = "ADDR")]
    ext_authz_listen: Option<String>,
    /// Where operators call: `IP:PORT` or `unix:///PATH`.
    #[arg(long, value_name = "ADDR")]
    management_listen: Option<String>,
    /// Folder for stored policy and decisions.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    paths: PolicyPaths,
}

impl Args {
    /// Settings given as flags.
    fn flags(&self) -> Vec<Flag> {
        let text = |path: &PathBuf| path.display().to_string();
        let given = [
            (
                "--ext-authz-listen",
                "ext_authz.listen",
                self.ext_authz_listen.clone(),
            ),
            (
                "--management-listen",
                "management.listen",
                self.management_listen.clone(),
            ),
            ("--data-dir", "data_dir", self.data_dir.as_ref().map(text)),
        ];
        let given = given.into_iter();
        let flags = given.filter_map(|(name, path, value)| {
            Some(Flag {
                name,
                path,
                value: value?,
            })
        });
        flags.collect()
    }
}

/// Policy named on the command line, as `opa run` takes it.
#[derive(Debug, ClapArgs)]
pub(super) struct PolicyPaths {
    /// Load each PATH as a bundle.
    #[arg(long, short = 'b')]
    bundle: bool,
    /// Read Rego that does not say its version, of files and of pushes, in language version 0.
    #[arg(long)]
    pub(super) v0_compatible: bool,
    /// Files and folders: Rego, data.json, native YAML, or bundles.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl PolicyPaths {
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Adds the paths to a configuration.
    pub(super) fn add_to(&self, config: &mut Config) -> anyhow::Result<()> {
        for path in &self.paths {
            // An archive can only be a bundle.
            let is_archive = path.is_file() && path.to_string_lossy().ends_with(".tar.gz");
            if !self.bundle && !is_archive {
                config.policies.push(path.clone());
                continue;
            }
            let name = bundle_name(path)
                .with_context(|| format!("{} cannot name a bundle", path.display()))?;
            let source = config.bundles.entry(name.clone()).or_default();
            if source.path.replace(path.clone()).is_some() {
                anyhow::bail!("two bundles are named `{name}`");
            }
        }
        Ok(())
    }
}

/// The last part of a path, without `.tar.gz` and with other characters than names may hold
/// replaced.
fn bundle_name(path: &std::path::Path) -> Option<String> {
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = canonical.file_name()?.to_string_lossy().into_owned();
    let name = name.trim_end_matches(".gz").trim_end_matches(".tar");
    let valid =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    Some(
        name.chars()
            .map(|character| if valid(character) { character } else { '-' })
            .collect(),
    )
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut config = match Config::load(args.config.as_deref(), std::env::vars(), &args.flags()) {
        Ok(config) => config,
        Err(error) => {
            error.0.iter().for_each(|line| complain(line));
            return Ok(Outcome::CouldNotRun);
        }
    };
    args.paths.add_to(&mut config)?;
    telemetry::init_logging(config.telemetry.log);
    telemetry::tell_panics();
    if let Some(file) = &args.opa_config {
        match config.take_opa(file, std::env::vars(), &args.flags()) {
            Ok(warnings) => warnings
                .iter()
                .for_each(|warning| tracing::warn!("{warning}")),
            Err(error) => {
                error.0.iter().for_each(|line| complain(line));
                return Ok(Outcome::CouldNotRun);
            }
        }
    }
    for warning in config.plaintext_warnings() {
        tracing::warn!("{warning}");
    }
    let grace = config.shutdown.grace.0;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let outcome = runtime.block_on(serve(config, args.paths.v0_compatible));
    // A check that does not end must not keep the process.
    runtime.shutdown_timeout(grace);
    outcome
}

async fn serve(config: Config, v0: bool) -> anyhow::Result<Outcome> {
    let signals = Signals::new().context("signals cannot be waited for")?;
    let app = match App::start(config, v0).await {
        Ok(app) => app,
        Err(error) => {
            // Of policy that cannot be loaded, all that is wrong is told, a line each.
            return match error.downcast_ref() {
                Some(ActivationError::Invalid(errors)) => {
                    errors.iter().for_each(|error| complain(&error.to_string()));
                    Ok(Outcome::CouldNotRun)
                }
                _ => Err(error),
            };
        }
    };
    let line = format!(
        "ready ext_authz={} management={} revision={}",
        app.ext_authz, app.management, app.revision
    );
    say(&line);
    app.run(signals.stop()).await?;
    Ok(Outcome::Done)
}

/// Signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Ends at the first signal. A second one ends the process at once.
    async fn stop(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            tracing::warn!("told to stop twice: ending at once");
            end_now();
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever asks twice does not want to wait for flushing"
)]
fn end_now() {
    std::process::exit(130);
}
