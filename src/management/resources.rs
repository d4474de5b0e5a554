//! `/v1/resources`: native policies as YAML or JSON, many at once or one by one.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::json::Json;
use crate::activation::{ActivationError, ObjectChange, Precondition};
use crate::policy::PolicyError;
use crate::policy::resource::{Kind, Resource, ResourceId};

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
}

#[derive(Debug, Serialize)]
struct AppliedResource {
    #[serde(flatten)]
    id: ResourceId,
    result: ObjectChange,
}

/// The revision a change is for, from `If-Match`: a number, quoted or not.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(Precondition::default());
    };
    let text = value.to_str().unwrap_or_default().trim_matches('"');
    if text == "*" {
        return Ok(Precondition::default());
    }
    let revision = text
        .parse()
        .map_err(|_| ApiError::invalid("`If-Match` is not a revision"))?;
    Ok(Precondition {
        if_match: Some(revision),
    })
}

fn parse(body: &str) -> Result<Vec<Resource>, ApiError> {
    Resource::parse_stream(body).map_err(|problems| {
        let errors = problems
            .into_iter()
            .map(|problem| PolicyError::in_document(BODY, problem));
        ActivationError::Invalid(errors.collect()).into()
    })
}

pub(super) async fn put_all(
    State(api): State<Api>,
    Query(options): Query<PutOptions>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Applied>, ApiError> {
    let resources = parse(&body)?;
    if resources.is_empty() && !options.prune {
        return Err(ApiError::invalid("the body holds no object"));
    }
    apply(&api, resources, options.prune, &headers).await
}

pub(super) async fn put_one(
    State(api): State<Api>,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Applied>, ApiError> {
    let id = resource_id(path)?;
    let resources = parse(&body)?;
    match resources.as_slice() {
        [resource] if resource.id == id => apply(&api, resources, false, &headers).await,
        [resource] => Err(ApiError::invalid(format!(
            "the body holds {}, not {id}",
            resource.id
        ))),
        many => Err(ApiError::invalid(format!(
            "the body holds {} objects, not one",
            many.len()
        ))),
    }
}

async fn apply(
    api: &Api,
    resources: Vec<Resource>,
    prune: bool,
    headers: &HeaderMap,
) -> Result<Json<Applied>, ApiError> {
    let precondition = precondition(headers)?;
    let (results, snapshot) = api
        .activation
        .put_resources(resources, prune, precondition)
        .await?;
    let resources = results
        .into_iter()
        .map(|(id, result)| AppliedResource { id, result });
    Ok(Json(Applied {
        snapshot,
        resources: resources.collect(),
    }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListOptions {
    kind: Option<Kind>,
    namespace: Option<String>,
    name: Option<String>,
}

pub(super) async fn list(
    State(api): State<Api>,
    Query(options): Query<ListOptions>,
) -> Json<Value> {
    let wanted = |id: &ResourceId| {
        options.kind.is_none_or(|kind| kind == id.kind)
            && options
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == id.namespace)
            && options.name.as_ref().is_none_or(|name| *name == id.name)
    };
    let resources = api.activation.resources().await;
    let found = resources
        .iter()
        .filter(|(resource, _)| wanted(&resource.id));
    let shown: Vec<_> = found
        .map(|(resource, owner)| json!({"owner": owner, "resource": resource.document.value}))
        .collect();
    Json(json!({ "resources": shown }))
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(path): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let id = resource_id(path)?;
    let resources = api.activation.resources().await;
    let found = resources.iter().find(|(resource, _)| resource.id == id);
    match found {
        Some((resource, _)) => Ok(Json(resource.document.value.clone())),
        None => Err(ApiError::missing(format!("there is no {id}"))),
    }
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let id = resource_id(path)?;
    let snapshot = api
        .activation
        .delete_resource(&id, precondition(&headers)?)
        .await?;
    Ok(Json(json!({ "snapshot": snapshot })))
}

fn resource_id((kind, namespace, name): (String, String, String)) -> Result<ResourceId, ApiError> {
    let kind = Kind::parse(&kind).map_err(ApiError::missing)?;
    Ok(ResourceId {
        kind,
        namespace,
        name,
    })
}
