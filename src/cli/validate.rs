//! `doorward validate`: loads policies as `serve` would and tells everything that is wrong.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::serve::PolicyPaths;
use super::{Outcome, complain, count, say};
use crate::activation::{ActivationError, ActivationSettings, Checked, check_files};
use crate::app::file_sources;
use crate::config::Config;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Settings that policies are compiled with; `doorward.yaml` if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    paths: PolicyPaths,
}

pub(super) fn run(args: &Args) -> Outcome {
    let checked = match load(args) {
        Ok(checked) => checked,
        Err((outcome, lines)) => {
            lines.iter().for_each(|line| complain(line));
            return outcome;
        }
    };
    let warnings = checked.warnings.iter();
    warnings.for_each(|warning| complain(&warning.to_string()));
    if checked.resources + checked.modules + checked.bundles == 0 {
        complain("there is nothing to validate: give files or folders of policy");
        return Outcome::No;
    }
    let counts = [
        Some(count(checked.resources, "native policy", "native policies")),
        Some(count(checked.modules, "Rego module", "Rego modules")),
        Some(count(checked.bundles, "bundle", "bundles")),
        (!checked.warnings.is_empty())
            .then(|| count(checked.warnings.len(), "warning", "warnings")),
    ];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    say(&format!("valid: {}", counts.join(", ")))
}

fn load(args: &Args) -> Result<Checked, (Outcome, Vec<String>)> {
    let could_not_run = |lines| (Outcome::CouldNotRun, lines);
    let mut config = Config::load(args.config.as_deref(), std::env::vars(), &[])
        .map_err(|error| could_not_run(error.0))?;
    let added = args.paths.add_to(&mut config);
    added.map_err(|error| could_not_run(vec![format!("{error:#}")]))?;
    // Whether policies may ask others is a matter of the server, which may be OPA's configuration's.
    let may_ask = std::mem::replace(&mut config.rego.http_send, true);
    let settings = ActivationSettings {
        bundles: config
            .bundle_settings(args.paths.v0_compatible)
            .map_err(|error| could_not_run(error.0))?,
        policy: config
            .policy_settings()
            .map_err(|error| could_not_run(error.0))?,
        cache: config.cache.into(),
    };
    let files = file_sources(&config);
    let checked = check_files(&files, &settings).map_err(|error| match error {
        ActivationError::Invalid(errors) => {
            let lines = errors.iter().map(ToString::to_string);
            (Outcome::No, lines.collect())
        }
        error => (Outcome::No, vec![error.to_string()]),
    })?;
    if checked.asks_others && !may_ask {
        complain("Rego here asks others: `serve` loads it with `rego.http_send: true` only");
    }
    Ok(checked)
}
