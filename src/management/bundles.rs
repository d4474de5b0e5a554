//! `/v1/bundles`: bundles by name, pushed as `.tar.gz`.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Serialize;

use super::Api;
use super::caller::Caller;
use super::error::{ApiError, if_match};
use super::json::Json;
use crate::activation::BundleStatus;
use crate::bundle::Bundle;
use crate::policy::PolicyError;

/// Answer to a push.
#[derive(Debug, Serialize)]
pub(super) struct Pushed {
    name: String,
    /// The manifest's.
    revision: String,
    /// The active snapshot's.
    snapshot: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<PolicyError>,
}

pub(super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Pushed>, ApiError> {
    if !Bundle::is_name(&name) {
        return Err(ApiError::invalid(
            "a bundle's name consists of letters, digits, `-`, `_` and `.`",
        ));
    }
    let if_match = if_match(&headers)?;
    let put = api
        .activation
        .put_bundle(caller.into(), &name, body?.into(), if_match);
    let pushed = put.await?;
    Ok(Json(Pushed {
        name,
        revision: pushed.revision,
        snapshot: pushed.snapshot,
        warnings: pushed.warnings,
    }))
}

#[derive(Debug, Serialize)]
pub(super) struct List {
    bundles: Vec<BundleStatus>,
}

pub(super) async fn list(State(api): State<Api>) -> Json<List> {
    let bundles = api.activation.bundles().await;
    Json(List { bundles })
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<BundleStatus>, ApiError> {
    let bundles = api.activation.bundles().await;
    let found = bundles.into_iter().find(|bundle| bundle.name == name);
    found
        .map(Json)
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
    headers: HeaderMap,
) -> Result<Json<Deleted>, ApiError> {
    let snapshot = api
        .activation
        .delete_bundle(caller.into(), &name, if_match(&headers)?)
        .await?;
    Ok(Json(Deleted { snapshot }))
}
