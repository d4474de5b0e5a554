//! `/v1/resources`: native policies as YAML or JSON, many at once or one by one.

use std::sync::Arc;

use axum::extract::rejection::{QueryRejection, StringRejection};
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, RequestExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use super::access::{AreaKind, Grants, Named, Permitted};
use super::aside::aside;
use super::caller::Caller;
use super::error::{ApiError, if_match};
use super::json::AtRevision;
use super::memory::Held;
use super::path::Path;
use super::replay::{Change, Gate, Gated, NoOptions};
use crate::activation::{ObjectChange, Owner, Proposal, PutScope};
use crate::policy::PolicyError;
use crate::policy::resource::{Kind, ResourceId};
use crate::replay::Report;
use crate::store::Action;

/// File name shown for errors in a body.
const BODY: &str = "body";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PutOptions {
    prune: bool,
}

/// Answer to a push.
#[derive(Debug, Serialize)]
pub(super) struct Applied {
    snapshot: u64,
    resources: Vec<AppliedResource>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<PolicyError>,
    /// Of the decisions that had to stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Report>,
}

#[derive(Debug, Serialize)]
struct AppliedResource {
    #[serde(flatten)]
    id: ResourceId,
    result: ObjectChange,
}

/// Native objects as text, and which of all objects they stand for.
#[derive(Debug)]
pub(super) struct Objects {
    held: Arc<Held>,
    text: String,
    scope: PutScope,
    gate: Option<Gate>,
}

impl FromRequest<Api> for Objects {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, api: &Api) -> Result<Self, ApiError> {
        let Gated { gate, options } = request
            .extract_parts_with_state::<Gated<PutOptions>, _>(api)
            .await?;
        let scope = if options.prune {
            PutScope::All
        } else {
            PutScope::Some
        };
        let held = Held::of(request.extensions())?;
        let text = String::from_request(request, api).await?;
        Ok(Self {
            held,
            text,
            scope,
            gate,
        })
    }
}

impl Named for Objects {
    /// Rule: to make them the whole set is to change all of it.
    async fn within(self, api: &Api, grants: &Grants) -> Result<Option<Self>, ApiError> {
        if grants.covers_all() {
            return Ok(Some(self));
        }
        if matches!(self.scope, PutScope::All) {
            return Ok(None);
        }
        let held = Arc::clone(&self.held);
        let (text, named) = api.activation.named_in(self.text, held).await?;
        let covers = |id: &ResourceId| grants.covers(AreaKind::Resources, &id.namespace);
        let is_covered = named.iter().all(covers);
        Ok(is_covered.then_some(Self { text, ..self }))
    }
}

pub(super) async fn put_all(
    State(api): State<Api>,
    headers: HeaderMap,
    permitted: Permitted<Objects>,
) -> Result<AtRevision<Applied>, ApiError> {
    let Permitted { caller, sent } = permitted;
    apply(&api, caller, sent, &headers).await
}

pub(super) async fn put_one(
    State(api): State<Api>,
    caller: Caller,
    Extension(held): Extension<Arc<Held>>,
    Path(path): Path<(String, String, String)>,
    gated: Gated<NoOptions>,
    headers: HeaderMap,
    body: Result<String, StringRejection>,
) -> Result<AtRevision<Applied>, ApiError> {
    let scope = PutScope::One(resource_id(path)?);
    let (text, gate) = (body?, gated.gate);
    let sent = Objects {
        held,
        text,
        scope,
        gate,
    };
    apply(&api, caller, sent, &headers).await
}

async fn apply(
    api: &Api,
    caller: Caller,
    sent: Objects,
    headers: &HeaderMap,
) -> Result<AtRevision<Applied>, ApiError> {
    let Objects {
        text, scope, gate, ..
    } = sent;
    let change = Change {
        author: &caller,
        action: Action::PutResources,
        target: &scope.name(),
        if_match: if_match(headers)?,
    };
    let proposal = || Proposal::Resources {
        file: BODY,
        text: text.clone(),
        scope: scope.clone(),
    };
    let passed = Gate::pass(gate, api, change, proposal).await?;
    let put = api
        .activation
        .put_resources(caller.into(), BODY, text, scope, passed.if_match);
    let applied = put.await.map_err(|error| passed.late(error))?;
    let resources = applied.results.into_iter();
    let resources = resources.map(|(id, result)| AppliedResource { id, result });
    let answer = Applied {
        snapshot: applied.revision,
        resources: resources.collect(),
        warnings: applied.warnings,
        replay: passed.report,
    };
    Ok(AtRevision(applied.revision, answer))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListOptions {
    kind: Option<Kind>,
    namespace: Option<String>,
    name: Option<String>,
}

/// All objects asked for.
#[derive(Serialize)]
struct List<'a> {
    resources: Vec<Shown<'a>>,
}

/// One of them.
#[derive(Serialize)]
struct Shown<'a> {
    owner: Owner,
    resource: &'a Value,
}

pub(super) async fn list(
    State(api): State<Api>,
    options: Result<Query<ListOptions>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(options) = options?;
    let wanted = move |id: &ResourceId| {
        options.kind.is_none_or(|kind| kind == id.kind)
            && options
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == id.namespace)
            && options.name.as_ref().is_none_or(|name| *name == id.name)
    };
    // Before the objects: what is newer than its tag is merely refused.
    let revision = api.pdp.snapshot().revision;
    let resources = api.activation.resources().await;
    // There can be many: they are not written where proxies wait.
    let list = aside(move || {
        let found = resources.iter();
        let found = found.filter(|(resource, _)| wanted(&resource.id));
        let shown = found.map(|(resource, owner)| Shown {
            owner: *owner,
            resource: &resource.document.value,
        });
        let answer = List {
            resources: shown.collect(),
        };
        AtRevision(revision, answer).into_response()
    });
    list.await
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(path): Path<(String, String, String)>,
) -> Result<AtRevision<Value>, ApiError> {
    let id = resource_id(path)?;
    let revision = api.pdp.snapshot().revision;
    let resources = api.activation.resources().await;
    let found = resources.iter().find(|(resource, _)| resource.id == id);
    match found {
        Some((resource, _)) => Ok(AtRevision(revision, resource.document.value.clone())),
        None => Err(ApiError::missing(format!("there is no {id}"))),
    }
}

pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<AtRevision<Value>, ApiError> {
    let id = resource_id(path)?;
    let snapshot = api
        .activation
        .delete_resource(caller.into(), &id, if_match(&headers)?)
        .await?;
    Ok(AtRevision(snapshot, json!({ "snapshot": snapshot })))
}

fn resource_id((kind, namespace, name): (String, String, String)) -> Result<ResourceId, ApiError> {
    let kind = Kind::parse(&kind).map_err(ApiError::missing)?;
    Ok(ResourceId {
        kind,
        namespace,
        name,
    })
}
