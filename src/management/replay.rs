//! `/v1/replay`: recorded decisions, decided again by policy as a change would make it. What a change is
//! kept back by is in `gate`.

mod gate;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::Uri;
use jiff::Timestamp;

use super::Api;
use super::access::{AreaKind, Grants, Named, Permitted};
use super::error::ApiError;
use super::json::AtRevision;
use super::memory::Held;
use super::parameters::{flag, number, split};
use crate::activation::{Candidate, Proposal, PutScope};
use crate::bundle::Bundle;
use crate::decision_log::Filter;
use crate::policy::resource::ResourceId;
use crate::replay::{DEFAULT_LIMIT, MAX_LIMIT, Question, Report};

pub(super) use gate::{Change, Gate, Gated, NoOptions, refuse_gate};

/// File name shown for errors in a body.
const BODY: &str = "body";
/// Memory that pages of the log may take while they are replayed, in bytes.
const PAGE_MEMORY: usize = 32 << 20;

/// What is tried, and on which decisions.
#[derive(Debug)]
pub(super) struct Trial {
    held: Arc<Held>,
    proposal: Proposal,
    which: Which,
}

/// Which decisions are replayed.
#[derive(Debug)]
struct Which {
    filter: Filter,
    limit: u32,
}

/// What is tried, as parameter `candidate` names it.
enum Tried {
    Bundle(String),
    Resources,
    Shadow(String),
    Revision(u64),
}

pub(super) async fn replay(
    State(api): State<Api>,
    permitted: Permitted<Trial>,
) -> Result<AtRevision<Report>, ApiError> {
    let Trial {
        held,
        proposal,
        which,
    } = permitted.sent;
    let report = run(&api, held, || proposal, None, which).await?;
    Ok(AtRevision(report.revision, report))
}

/// Compiles what is proposed, and replays by it.
async fn run(
    api: &Api,
    held: Arc<Held>,
    proposal: impl FnOnce() -> Proposal,
    if_match: Option<u64>,
    which: Which,
) -> Result<Report, ApiError> {
    let place = api.replays.place()?;
    let propose = api.activation.propose(proposal(), if_match, (place, held));
    let (Candidate { policies, active }, (place, held)) = propose.await?;
    held.take(PAGE_MEMORY)?;
    let question = Question {
        filter: which.filter,
        limit: which.limit,
        now: active.aside(Arc::clone(&active.policies)),
        candidate: active.aside(policies),
    };
    Ok(api.replays.run(place, question).await?)
}

// === impl Which ===

impl Which {
    /// What is asked for now, wherever that takes long.
    fn of(filter: Filter, limit: Option<u32>) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("`limit`: must be from 1 to {MAX_LIMIT}");
            return Err(ApiError::invalid(message));
        }
        let filter = filter.at(Timestamp::now())?;
        Ok(Self { filter, limit })
    }
}

// === impl Tried ===

impl Tried {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let wrong = || {
            let message = "`candidate`: is none of `bundle/NAME`, `resources`, `shadow/NAME` and \
                           `revision/NUMBER`";
            ApiError::invalid(message)
        };
        let name = |name: &str| match Bundle::is_name(name) {
            true => Ok(name.to_owned()),
            false => Err(wrong()),
        };
        match text.split_once('/') {
            Some(("bundle", text)) => name(text).map(Self::Bundle),
            Some(("shadow", text)) => name(text).map(Self::Shadow),
            Some(("revision", number)) => number.parse().map(Self::Revision).map_err(|_| wrong()),
            None if text == "resources" => Ok(Self::Resources),
            _ => Err(wrong()),
        }
    }

    /// With what was sent.
    fn with(self, body: Bytes, prune: Option<bool>) -> Result<Proposal, ApiError> {
        if prune.is_some() && !matches!(self, Self::Resources) {
            let message = "`prune`: is for `candidate=resources` alone";
            return Err(ApiError::invalid(message));
        }
        let takes_none = matches!(self, Self::Shadow(_) | Self::Revision(_));
        if takes_none && !body.is_empty() {
            return Err(ApiError::invalid("this candidate takes no body"));
        }
        Ok(match self {
            Self::Bundle(name) => Proposal::Bundles(vec![(name, body.into())]),
            Self::Resources => {
                let text = String::from_utf8(body.into());
                Proposal::Resources {
                    file: BODY,
                    text: text.map_err(|_| ApiError::invalid("the body is not UTF-8"))?,
                    scope: match prune {
                        Some(true) => PutScope::All,
                        _ => PutScope::Some,
                    },
                }
            }
            Self::Shadow(name) => Proposal::Shadow(name),
            Self::Revision(number) => Proposal::Revision(number),
        })
    }
}

// === impl Trial ===

impl Trial {
    fn asked(uri: &Uri) -> Result<(Tried, Option<bool>, Which), ApiError> {
        let ([candidate, prune, limit], filter) = split(uri, ["candidate", "prune", "limit"])?;
        let candidate = candidate.ok_or_else(|| {
            ApiError::invalid("`candidate`: must say what is tried, as `bundle/NAME`")
        })?;
        let prune = prune.map(|text| flag("prune", Some(&text))).transpose()?;
        let Query(filter) = Query::<Filter>::try_from_uri(&filter)?;
        let which = Which::of(filter, number("limit", limit)?)?;
        Ok((Tried::parse(&candidate)?, prune, which))
    }
}

impl FromRequest<Api> for Trial {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let (tried, prune, which) = Self::asked(request.uri())?;
        let held = Held::of(request.extensions())?;
        let body = Bytes::from_request(request, api).await?;
        let proposal = tried.with(body, prune)?;
        Ok(Self {
            held,
            proposal,
            which,
        })
    }
}

impl Named for Trial {
    /// Rule: who may try something may also do it.
    async fn within(self, api: &Api, grants: &Grants) -> Result<Option<Self>, ApiError> {
        let Self {
            held,
            proposal,
            which,
        } = self;
        let covers_bundle = |name: &str| grants.covers(AreaKind::Bundles, name);
        let (proposal, is_covered) = match proposal {
            proposal if grants.covers_all() => (proposal, true),
            Proposal::Bundles(sent) => {
                let covered = sent.iter().all(|(name, _)| covers_bundle(name));
                (Proposal::Bundles(sent), covered)
            }
            Proposal::Resources {
                file,
                text,
                scope: PutScope::Some,
            } => {
                let (text, named) = api.activation.named_in(text, Arc::clone(&held)).await?;
                let covers = |id: &ResourceId| grants.covers(AreaKind::Resources, &id.namespace);
                let covered = named.iter().all(covers);
                let scope = PutScope::Some;
                (Proposal::Resources { file, text, scope }, covered)
            }
            Proposal::Shadow(name) => {
                let covered = covers_bundle(&name);
                (Proposal::Shadow(name), covered)
            }
            other @ (Proposal::Resources { .. } | Proposal::Revision(_)) => (other, false),
        };
        Ok(is_covered.then_some(Self {
            held,
            proposal,
            which,
        }))
    }
}
