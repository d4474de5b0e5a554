//! `doorward check`: asks what becomes of one request, of a running server or of policy files, and
//! shows why. How the explanation is laid out is left to `explanation`.

mod explanation;
mod request;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args as ClapArgs;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use explanation::Shown;
use request::RequestArgs;
use server::ServerArgs;

use super::serve::PolicyPaths;
use super::{Outcome, complain, say};
use crate::activation::{ActivationError, ActivationSettings, FilePolicies};
use crate::address::OwnPorts;
use crate::app::file_sources;
use crate::config::{Config, Flag};
use crate::ext_authz::from_json;
use crate::external::Outside;
use crate::pdp::Pdp;
use crate::policy::rego::external::Reach;
use crate::telemetry::unix_nanos;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Show every rule that was looked at, and what was compared.
    #[arg(long)]
    explain: bool,
    /// Ask about this time instead of now (RFC 3339), say for a token that has expired.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    /// Settings for PATHs; `doorward.yaml` if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    paths: PolicyPaths,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// What cannot be answered, a line each.
#[derive(Debug)]
struct Unanswered(Vec<String>);

pub(super) fn run(args: &Args) -> Outcome {
    let answer = args.request.read().and_then(|request| {
        if args.paths.is_empty() {
            args.server.ask(&request, args.explain, args.at)
        } else {
            args.decide(&request)
        }
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(Unanswered(lines)) => {
            lines.iter().for_each(|line| complain(line));
            return Outcome::CouldNotRun;
        }
    };
    if args.json {
        say(&format!("{answer:#}"));
    } else {
        say(Shown(&answer).to_string().trim_end());
    }
    match answer.pointer("/decision/effect").and_then(Value::as_str) {
        Some("allow") => Outcome::Done,
        _ => Outcome::No,
    }
}

impl Args {
    /// Decides by files, as `serve` would with nothing else loaded.
    fn decide(&self, request: &Value) -> Result<Value, Unanswered> {
        let none: &[Flag] = &[];
        let config = Config::load(self.config.as_deref(), std::env::vars(), none);
        let mut config = config.map_err(|error| Unanswered(error.0))?;
        let added = self.paths.add_to(&mut config);
        added.map_err(|error| Unanswered::one(format!("{error:#}")))?;
        let settings = ActivationSettings {
            bundles: config
                .bundle_settings(self.paths.v0_compatible)
                .map_err(|error| Unanswered(error.0))?,
            policy: config
                .policy_settings()
                .map_err(|error| Unanswered(error.0))?,
            cache: config.cache.into(),
        };
        let files = file_sources(&config);
        let policies = FilePolicies::load(&files, &settings.bundles)
            .and_then(|files| files.compile(&settings))?;
        let attributes = from_json(request).map_err(Unanswered::one)?;
        let now_ns = match self.at {
            Some(time) => i64::try_from(time.as_nanosecond())
                .map_err(|_| Unanswered::one(format!("{time} is too far away")))?,
            None => unix_nanos(),
        };
        let pdp = Pdp::over(policies);
        let (decision, explanation) = match config.rego.http_send {
            false => pdp.check_explained(attributes, now_ns),
            true => {
                // What policies ask others is asked, as `serve` would.
                let runtime = Runtime::new().map_err(|error| Unanswered::one(error.to_string()))?;
                let _runtime = runtime.enter();
                let deadline = config.outside_deadline();
                let outside = Outside::new(
                    &config.external,
                    deadline,
                    OwnPorts::default(),
                    Arc::default(),
                );
                let _reach = Reach::through(outside.for_one_check());
                pdp.check_explained(attributes, now_ns)
            }
        };
        let explanation = self.explain.then_some(explanation);
        let mut answer = json!({ "decision": decision });
        if let (Some(explanation), Some(members)) = (explanation, answer.as_object_mut()) {
            members.insert("explanation".to_owned(), json!(explanation));
        }
        Ok(answer)
    }
}

impl Unanswered {
    fn one(line: impl Into<String>) -> Self {
        Self(vec![line.into()])
    }
}

impl From<ActivationError> for Unanswered {
    fn from(error: ActivationError) -> Self {
        match error {
            ActivationError::Invalid(errors) => {
                Self(errors.iter().map(ToString::to_string).collect())
            }
            other => Self::one(other.to_string()),
        }
    }
}
