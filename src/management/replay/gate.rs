//! `?require_replay=1h`: a change that is made only if recorded decisions would stay as they are. They are
//! replayed before the change has its turn, and it is made of what was compared or not at all.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded::parse;

use super::{Which, run};
use crate::activation::{ActivationError, Proposal};
use crate::decision_log::Filter;
use crate::management::Api;
use crate::management::access::ReadsLogs;
use crate::management::caller::Caller;
use crate::management::error::ApiError;
use crate::management::memory::Held;
use crate::management::parameters::{flag, number, split};
use crate::replay::{Missing, Report, Stopped};
use crate::store::{Action, Author};

/// Code of what is kept back.
const REFUSED: &str = "replay_refused";

/// What says that a change is kept back, and by what.
const PARAMETERS: [&str; 5] = [
    "require_replay",
    "max_changes",
    "max_undetermined",
    "allow_unreplayed",
    "replay_limit",
];

/// What a change is kept back by.
#[derive(Debug)]
pub(in crate::management) struct Gate {
    range: String,
    which: Which,
    /// The caller has said how many decisions are enough.
    is_limited: bool,
    max_changes: u64,
    max_undetermined: Option<u64>,
    allow_unreplayed: bool,
    held: Arc<Held>,
}

/// Options of a change, with what keeps it back if it names that.
#[derive(Debug)]
pub(in crate::management) struct Gated<T> {
    pub(in crate::management) gate: Option<Gate>,
    pub(in crate::management) options: T,
}

/// Of a change that has no options of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::management) struct NoOptions {}

/// A change as it is asked for.
#[derive(Debug)]
pub(in crate::management) struct Change<'a> {
    pub(in crate::management) author: &'a Caller,
    pub(in crate::management) action: Action,
    /// What it is about.
    pub(in crate::management) target: &'a str,
    pub(in crate::management) if_match: Option<u64>,
}

/// A change that may be made.
#[derive(Debug)]
pub(in crate::management) struct Passed {
    /// The revision that it may be made of.
    pub(in crate::management) if_match: Option<u64>,
    pub(in crate::management) report: Option<Report>,
    /// The caller did not name the revision.
    is_ours: bool,
}

impl<T: DeserializeOwned> FromRequestParts<Api> for Gated<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let (own, others) = split(&parts.uri, PARAMETERS)?;
        let Query(options) = Query::<T>::try_from_uri(&others)?;
        let given = PARAMETERS.iter().zip(&own).skip(1);
        let given = given.filter(|(_, value)| value.is_some());
        let given: Vec<_> = given.map(|(name, _)| *name).collect();
        let [
            range,
            max_changes,
            max_undetermined,
            allow_unreplayed,
            limit,
        ] = own;
        let Some(range) = range else {
            return match given.first() {
                None => Ok(Self {
                    gate: None,
                    options,
                }),
                Some(name) => Err(ApiError::invalid(format!(
                    "`{name}`: goes with `require_replay` alone"
                ))),
            };
        };
        let filter = Filter {
            since: Some(range.clone()),
            ..Filter::default()
        };
        let limit = number("replay_limit", limit)?;
        let held = Held::of(&parts.extensions)?;
        let gate = Gate {
            which: Which::of(filter, limit)?,
            is_limited: limit.is_some(),
            max_changes: number("max_changes", max_changes)?.unwrap_or(0),
            max_undetermined: number("max_undetermined", max_undetermined)?,
            allow_unreplayed: flag("allow_unreplayed", allow_unreplayed.as_deref())?,
            range,
            held,
        };
        // Rule: what would change is told by decisions.
        if parts.extensions.get::<ReadsLogs>().is_none() {
            let message = "`require_replay` needs the role `logs:read`";
            return Err(ApiError::forbidden(message));
        }
        let gate = Some(gate);
        Ok(Self { gate, options })
    }
}

impl Gate {
    /// Replays decisions by what a change would make, and tells whether it may be made. `None` keeps
    /// nothing back.
    pub(in crate::management) async fn pass(
        gate: Option<Self>,
        api: &Api,
        change: Change<'_>,
        proposal: impl FnOnce() -> Proposal,
    ) -> Result<Passed, ApiError> {
        let Some(gate) = gate else {
            return Ok(Passed {
                if_match: change.if_match,
                report: None,
                is_ours: false,
            });
        };
        // Rule: what tells nothing is no reason to go on.
        if !api.replays.is_recording() && !gate.allow_unreplayed {
            let why = "no decision is recorded that could be replayed (`decision_log.enabled`), which \
                       `allow_unreplayed=true` accepts";
            return Err(kept_back(api, change, why.to_owned()).await);
        }
        let Self {
            range,
            which,
            is_limited,
            max_changes,
            max_undetermined,
            allow_unreplayed,
            held,
        } = gate;
        let report = run(api, held, proposal, change.if_match, which).await?;
        let limits = Limits {
            range,
            is_limited,
            max_changes,
            max_undetermined,
            allow_unreplayed,
        };
        if let Some(why) = limits.exceeded_by(&report) {
            return Err(kept_back(api, change, why).await.with_replay(report));
        }
        Ok(Passed {
            if_match: Some(report.revision),
            report: Some(report),
            is_ours: change.if_match.is_none(),
        })
    }
}

/// Records that a change is not made, and says so.
async fn kept_back(api: &Api, change: Change<'_>, why: String) -> ApiError {
    let message = format!("{why}; nothing was changed");
    let author = Author::from(change.author.clone());
    let (activation, target) = (&api.activation, change.target);
    let noted = activation.not_replayed(author, change.action, target, why);
    noted.await;
    ApiError::new(StatusCode::CONFLICT, REFUSED, message)
}

/// Answers 400 to a change that is to be kept back and cannot be.
pub(in crate::management) async fn refuse_gate(
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    let mut names = parse(query.as_bytes()).map(|(name, _)| name);
    match names.find(|name| PARAMETERS.contains(&name.as_ref())) {
        None => Ok(next.run(request).await),
        Some(name) => Err(ApiError::invalid(format!(
            "`{name}`: this change cannot be kept back by a replay; nothing was changed"
        ))),
    }
}

/// What a replay must keep to.
#[derive(Debug)]
struct Limits {
    range: String,
    is_limited: bool,
    max_changes: u64,
    max_undetermined: Option<u64>,
    allow_unreplayed: bool,
}

impl Limits {
    /// Why the change is not made.
    fn exceeded_by(&self, report: &Report) -> Option<String> {
        let range = &self.range;
        let (changed, unknown) = (report.changed.total, report.undetermined.total);
        if changed > self.max_changes {
            let most = self.max_changes;
            return Some(format!(
                "{changed} decisions since {range} would change, and `max_changes` is {most}"
            ));
        }
        match report.stopped {
            Some(Stopped::Limit) if !self.is_limited => {
                return Some(format!(
                    "there are more decisions since {range} than are replayed: `replay_limit` says \
                     how many are enough"
                ));
            }
            Some(Stopped::Time) => {
                return Some(format!(
                    "the decisions since {range} could not all be replayed in time"
                ));
            }
            Some(Stopped::Limit) | None => {}
        }
        // Rule: a log that does not have all does not speak for all.
        let missing = report.missing.first().filter(|_| !self.allow_unreplayed);
        if let Some(missing) = missing {
            let why = match missing {
                Missing::Damaged => "cannot be read, since the log is damaged",
                Missing::Removed => {
                    "have been removed from the log (`decision_log.retention` and `max_bytes`)"
                }
            };
            return Some(format!(
                "decisions since {range} {why}, which `allow_unreplayed=true` accepts"
            ));
        }
        if let Some(most) = self.max_undetermined.filter(|most| unknown > *most) {
            return Some(format!(
                "of {unknown} decisions since {range} it cannot be told whether they would change, and \
                 `max_undetermined` is {most}"
            ));
        }
        // Rule: what tells nothing is no reason to go on.
        if report.examined > 0 && report.replayed() == 0 && !self.allow_unreplayed {
            return Some(format!(
                "none of the {unknown} decisions since {range} could be replayed, which \
                 `allow_unreplayed=true` accepts"
            ));
        }
        None
    }
}

impl Passed {
    /// What is said of a change that came too late.
    pub(in crate::management) fn late(&self, error: ActivationError) -> ApiError {
        match error {
            ActivationError::Stale { .. } if self.is_ours => {
                let message = "policy has changed while decisions were replayed: try again";
                ApiError::new(StatusCode::CONFLICT, "resource_conflict", message)
            }
            other => other.into(),
        }
    }
}
