//! `doorward validate`: loads policies as `serve` would and tells everything that is wrong.

use clap::Args as ClapArgs;

use super::serve::PolicyPaths;
use super::{Outcome, complain, say};
use crate::activation::{ActivationError, ActivationSettings, check_files};
use crate::app::file_sources;
use crate::config::Config;
use crate::policy::config::settings;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    paths: PolicyPaths,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut config = Config::default();
    if let Err(error) = args.paths.add_to(&mut config) {
        complain(&format!("{error:#}"));
        return Outcome::CouldNotRun;
    }
    let settings = ActivationSettings {
        policy: settings(&config.mesh, &config.rego, &[], config.ext_authz.deadline.0),
        cache: config.cache.into(),
    };
    match check_files(&file_sources(&config, args.paths.v0_compatible), &settings) {
        Ok(checked) => {
            let warnings = checked.warnings.iter();
            warnings.for_each(|warning| complain(&warning.to_string()));
            let count = match checked.warnings.len() {
                0 => String::new(),
                1 => ", 1 warning".to_owned(),
                many => format!(", {many} warnings"),
            };
            say(&format!(
                "valid: {} native policies, {} bundles{count}",
                checked.resources, checked.bundles
            ))
        }
        Err(ActivationError::Invalid(errors)) => {
            errors.iter().for_each(|error| complain(&error.to_string()));
            Outcome::No
        }
        Err(error) => {
            complain(&error.to_string());
            Outcome::No
        }
    }
}
