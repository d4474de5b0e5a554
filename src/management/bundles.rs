//! `/v1/bundles`: bundles by name, pushed as `.tar.gz`, one or several at once.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

use super::Api;
use super::access::{AreaKind, Grants, Named, Permitted};
use super::caller::Caller;
use super::error::{ApiError, if_match};
use super::json::AtRevision;
use super::path::Path;
use super::replay::{Change, Gate, Gated, NoOptions};
use crate::activation::{BundleStatus, Owner, Proposal, PushedBundle, ShadowStatus};
use crate::attributes::parts;
use crate::bundle::Bundle;
use crate::policy::PolicyError;
use crate::remote::RemoteStatus;
use crate::replay::Report;
use crate::store::Action;

const INVALID_NAME: &str = "a bundle's name consists of letters, digits, `-`, `_` and `.`";

/// Which of a name's bundles a call is about.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    mode: Mode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    #[default]
    Enforced,
    /// It decides nothing, and what it would decide is recorded.
    Shadow,
}

impl Mode {
    fn is_enforced(&self) -> bool {
        *self == Self::Enforced
    }
}

/// Answer to a push.
#[derive(Debug, Serialize)]
pub(super) struct Pushed {
    name: String,
    #[serde(skip_serializing_if = "Mode::is_enforced")]
    mode: Mode,
    /// The manifest's.
    revision: String,
    /// The active snapshot's.
    snapshot: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<PolicyError>,
    /// Of the decisions that had to stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Report>,
}

pub(super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    gated: Gated<Options>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<AtRevision<Pushed>, ApiError> {
    if !Bundle::is_name(&name) {
        return Err(ApiError::invalid(INVALID_NAME));
    }
    let Gated { gate, options } = gated;
    let if_match = if_match(&headers)?;
    let archive: Vec<u8> = body?.into();
    let activation = &api.activation;
    if options.mode == Mode::Shadow {
        if gate.is_some() {
            let message = "`require_replay`: a shadow decides nothing that could change";
            return Err(ApiError::invalid(message));
        }
        let put = activation.put_shadow(caller.into(), &name, archive, if_match);
        return Ok(answer(put.await?, Mode::Shadow, None));
    }
    let change = Change {
        author: &caller,
        action: Action::PutBundle,
        target: &name,
        if_match,
    };
    let sent = || Proposal::Bundles(vec![(name.clone(), archive.clone())]);
    let passed = Gate::pass(gate, &api, change, sent).await?;
    let put = activation.put_bundle(caller.into(), &name, archive, passed.if_match);
    let pushed = put.await.map_err(|error| passed.late(error))?;
    Ok(answer(pushed, Mode::Enforced, passed.report))
}

/// Makes a shadow the enforced bundle of its name.
pub(super) async fn promote(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    gated: Gated<NoOptions>,
    headers: HeaderMap,
) -> Result<AtRevision<Pushed>, ApiError> {
    let change = Change {
        author: &caller,
        action: Action::PromoteBundle,
        target: &name,
        if_match: if_match(&headers)?,
    };
    let passed = Gate::pass(gated.gate, &api, change, || Proposal::Shadow(name.clone())).await?;
    let promote = api
        .activation
        .promote_bundle(caller.into(), &name, passed.if_match);
    let pushed = promote.await.map_err(|error| passed.late(error))?;
    Ok(answer(pushed, Mode::Enforced, passed.report))
}

fn answer(pushed: PushedBundle, mode: Mode, replay: Option<Report>) -> AtRevision<Pushed> {
    let answer = Pushed {
        name: pushed.name,
        mode,
        revision: pushed.revision,
        snapshot: pushed.snapshot,
        warnings: pushed.warnings,
        replay,
    };
    AtRevision(pushed.snapshot, answer)
}

/// Answer to a push of several.
#[derive(Debug, Serialize)]
pub(super) struct PushedMany {
    snapshot: u64,
    bundles: Vec<PushedOne>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Report>,
}

#[derive(Debug, Serialize)]
struct PushedOne {
    name: String,
    revision: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<PolicyError>,
}

/// Several bundles, each with its name.
#[derive(Debug)]
pub(super) struct Archives(Vec<(String, Vec<u8>)>);

impl FromRequest<Api> for Archives {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, api).await?;
        named_parts(&headers, &body).map(Self)
    }
}

impl Named for Archives {
    async fn within(self, _: &Api, grants: &Grants) -> Result<Option<Self>, ApiError> {
        let mut names = self.0.iter().map(|(name, _)| name);
        let is_covered = names.all(|name| grants.covers(AreaKind::Bundles, name));
        Ok(is_covered.then_some(self))
    }
}

pub(super) async fn put_many(
    State(api): State<Api>,
    gated: Gated<NoOptions>,
    headers: HeaderMap,
    permitted: Permitted<Archives>,
) -> Result<AtRevision<PushedMany>, ApiError> {
    let if_match = if_match(&headers)?;
    let Permitted { caller, sent } = permitted;
    let names: Vec<_> = sent.0.iter().map(|(name, _)| name.as_str()).collect();
    let change = Change {
        author: &caller,
        action: Action::PutBundle,
        target: &names.join(", "),
        if_match,
    };
    let proposal = || Proposal::Bundles(sent.0.clone());
    let passed = Gate::pass(gated.gate, &api, change, proposal).await?;
    let put = api
        .activation
        .put_bundles(caller.into(), sent.0, passed.if_match);
    let pushed = put.await.map_err(|error| passed.late(error))?;
    let snapshot = pushed.first().map_or(0, |bundle| bundle.snapshot);
    let bundles = pushed.into_iter().map(|bundle| PushedOne {
        name: bundle.name,
        revision: bundle.revision,
        warnings: bundle.warnings,
    });
    let answer = PushedMany {
        snapshot,
        bundles: bundles.collect(),
        replay: passed.report,
    };
    Ok(AtRevision(snapshot, answer))
}

/// The parts of a form, each an archive under the name of its bundle.
fn named_parts(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ApiError> {
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.filter(|value| value.starts_with("multipart/form-data"));
    let parts = content_type.map(|content_type| parts(content_type, body));
    let parts = parts
        .transpose()
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let Some(parts) = parts.flatten() else {
        return Err(ApiError::invalid(
            "the body must be `multipart/form-data` with a boundary",
        ));
    };
    let mut names = BTreeSet::new();
    for part in &parts {
        if !Bundle::is_name(&part.name) {
            return Err(ApiError::invalid(INVALID_NAME));
        }
        if !names.insert(part.name.as_str()) {
            return Err(ApiError::invalid(format!(
                "bundle `{}` is there twice",
                part.name
            )));
        }
    }
    if parts.is_empty() {
        return Err(ApiError::invalid("the body holds no bundle"));
    }
    let parts = parts.into_iter();
    Ok(parts
        .map(|part| (part.name, part.value.into_owned()))
        .collect())
}

#[derive(Debug, Serialize)]
pub(super) struct List {
    bundles: Vec<Shown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadows: Vec<ShadowStatus>,
}

/// A bundle, and how the server is doing that it is downloaded from, if it is.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown {
    Active {
        #[serde(flatten)]
        bundle: BundleStatus,
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<RemoteStatus>,
    },
    Shadow(ShadowStatus),
    /// It has not been downloaded yet.
    Expected {
        name: String,
        owner: Owner,
        source: RemoteStatus,
    },
}

impl Shown {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Active { bundle, .. } => &bundle.name,
            Self::Shadow(shadow) => &shadow.bundle.name,
            Self::Expected { name, .. } => name,
        }
    }

    /// The revision that is active, and how the server is doing.
    pub(super) fn parts(&self) -> (Option<&str>, Option<&RemoteStatus>) {
        match self {
            Self::Active { bundle, source } => (Some(&bundle.revision), source.as_ref()),
            Self::Shadow(shadow) => (Some(&shadow.bundle.revision), None),
            Self::Expected { source, .. } => (None, Some(source)),
        }
    }
}

/// All bundles by name, those included that have not been downloaded yet.
pub(super) async fn all(api: &Api) -> Vec<Shown> {
    let mut sources: BTreeMap<_, _> = api
        .downloader
        .status()
        .into_iter()
        .map(|status| (status.name.clone(), status))
        .collect();
    let active = api.activation.bundles().await.into_iter();
    let mut bundles: Vec<_> = active
        .map(|bundle| Shown::Active {
            source: sources.remove(&bundle.name),
            bundle,
        })
        .collect();
    bundles.extend(sources.into_iter().map(|(name, source)| Shown::Expected {
        name,
        owner: Owner::Url,
        source,
    }));
    bundles.sort_by(|left, right| left.name().cmp(right.name()));
    bundles
}

pub(super) async fn list(State(api): State<Api>) -> AtRevision<List> {
    // Before the bundles: what is newer than its tag is merely refused.
    let revision = api.pdp.snapshot().revision;
    let bundles = all(&api).await;
    let shadows = api.activation.shadows().await;
    AtRevision(revision, List { bundles, shadows })
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(name): Path<String>,
    options: Result<Query<Options>, QueryRejection>,
) -> Result<AtRevision<Shown>, ApiError> {
    let Query(Options { mode }) = options?;
    let revision = api.pdp.snapshot().revision;
    if mode == Mode::Shadow {
        let mut shadows = api.activation.shadows().await.into_iter();
        let found = shadows.find(|shadow| shadow.bundle.name == name);
        return found
            .map(|shadow| AtRevision(revision, Shown::Shadow(shadow)))
            .ok_or_else(|| ApiError::missing(format!("there is no shadow of bundle `{name}`")));
    }
    let bundles = all(&api).await;
    let found = bundles.into_iter().find(|bundle| bundle.name() == name);
    found
        .map(|bundle| AtRevision(revision, bundle))
        .ok_or_else(|| ApiError::missing(format!("there is no bundle `{name}`")))
}

#[derive(Debug, Serialize)]
pub(super) struct Deleted {
    snapshot: u64,
}

pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    options: Result<Query<Options>, QueryRejection>,
    headers: HeaderMap,
) -> Result<AtRevision<Deleted>, ApiError> {
    let Query(Options { mode }) = options?;
    let if_match = if_match(&headers)?;
    let activation = &api.activation;
    let snapshot = match mode {
        Mode::Enforced => {
            activation
                .delete_bundle(caller.into(), &name, if_match)
                .await?
        }
        Mode::Shadow => {
            activation
                .delete_shadow(caller.into(), &name, if_match)
                .await?
        }
    };
    Ok(AtRevision(snapshot, Deleted { snapshot }))
}
