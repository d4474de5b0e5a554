//! How the process is doing: for probes, dashboards and people.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::bundles::{self, Shown};
use super::error::ApiError;
use super::evaluate::{Load, ask, evaluating, question};
use super::json::{AtRevision, Json, json_text};
use super::memory::Held;
use super::path::DocumentPath;
use crate::policy::rego::Data;

/// What the door for proxies is called where OPA tells of its plugins.
const PLUGIN: &str = "envoy_ext_authz_grpc";

/// Alive: it answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Ready: policy is loaded, doors are open, not shutting down.
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    match api.ready.check(&api.activation) {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// What `/health` is asked to look at besides the process itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HealthOptions {
    bundles: Option<String>,
    /// Its older name.
    bundle: Option<String>,
    plugins: Option<String>,
}

/// OPA's health check. Rule: 200 while the process answers; asked for bundles, once policy is loaded;
/// asked for plugins, while checks are taken.
pub(super) async fn health(
    State(api): State<Api>,
    options: Result<Query<HealthOptions>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(options) = options?;
    let asked = |option: &Option<String>| option.as_deref().is_some_and(is_set);
    let is_loaded = api.activation.missing().is_none();
    if (asked(&options.bundles) || asked(&options.bundle)) && !is_loaded {
        return Ok(unhealthy("one or more bundles are not activated"));
    }
    if asked(&options.plugins) && !api.ready.is_open() {
        return Ok(unhealthy("one or more plugins are not up"));
    }
    Ok(Json(json!({})).into_response())
}

/// `/health/NAME`: what the rule of that name in `data.system.health` says.
pub(super) async fn policy_health(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    DocumentPath(name): DocumentPath,
) -> Result<Response, ApiError> {
    let mut path = vec!["system".to_owned(), "health".to_owned()];
    path.extend(name);
    let is_open = api.ready.is_open();
    let state = if is_open { "OK" } else { "NOT_READY" };
    let input = json!({"plugin_state": {PLUGIN: state}, "plugins_ready": is_open});
    let name = path.join(".");
    let question = question(Some(Data::from_json(input)), false);
    let value = ask(&api, held, Load::One, move |_, rego| {
        let found = rego.document(&path, question).map_err(evaluating)?;
        Ok(found.value)
    });
    match value.await? {
        Some(value) if value == Data::from_json(json!(true)) => Ok(Json(json!({})).into_response()),
        Some(_) => Ok(unhealthy(&format!(
            "health check (data.{name}) returned unexpected value"
        ))),
        None => Ok(unhealthy(&format!(
            "health check (data.{name}) was undefined"
        ))),
    }
}

fn unhealthy(why: &str) -> Response {
    let body = json!({ "error": why }).to_string();
    json_text(StatusCode::INTERNAL_SERVER_ERROR, body)
}

/// Rule: a flag is set if it is there and empty, or says `true`.
pub(super) fn is_set(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("true")
}

/// The configuration in use, in OPA's form and without secrets.
pub(super) async fn config(State(api): State<Api>) -> Json<Value> {
    let mut shown = api.configuration.shown.clone();
    if let Some(members) = shown.as_object_mut() {
        members.insert("labels".to_owned(), api.configuration.labels());
        for (name, path) in [
            ("default_decision", "/system/main"),
            ("default_authorization_decision", "/system/authz/allow"),
        ] {
            members.entry(name).or_insert_with(|| path.into());
        }
    }
    Json(json!({ "result": shown }))
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    api.pdp.note_cache_use();
    ([(CONTENT_TYPE, kind)], api.metrics.encode()).into_response()
}

pub(super) async fn status(State(api): State<Api>) -> AtRevision<Value> {
    let snapshot = api.pdp.snapshot();
    let bundles = bundles::all(&api).await;
    let shown = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": api.ready.check(&api.activation).is_ok(),
        "snapshot": snapshot.revision,
        "resources": snapshot.policies.native.len(),
        "bundles": bundles,
        "shadows": api.activation.shadows().await,
        "files": api.activation.files_status(),
        "store": api.activation.store_status(),
        "jwks": api.activation.key_sets(),
        "cached_decisions": snapshot.cache.len(),
        "verified_tokens": snapshot.keyring.remembered(),
        "result": opa_status(&api, &bundles),
    });
    AtRevision(snapshot.revision, shown)
}

/// Rule: what OPA's status has of bundles and plugins.
fn opa_status(api: &Api, bundles: &[Shown]) -> Value {
    let state = if api.ready.is_open() {
        "OK"
    } else {
        "NOT_READY"
    };
    let bundles = bundles.iter().map(|bundle| {
        let (revision, source) = bundle.parts();
        let mut status = json!({"name": bundle.name()});
        if let Some(members) = status.as_object_mut() {
            if let Some(Value::Object(of_source)) = source.map(|source| json!(source)) {
                // Rule: OPA leaves out what there is not, and knows no URL.
                let known = |(name, value): &(String, Value)| {
                    !value.is_null() && !matches!(name.as_str(), "url" | "next_request" | "etag")
                };
                members.extend(of_source.into_iter().filter(known));
            }
            members.extend(revision.map(|text| ("active_revision".to_owned(), text.into())));
        }
        (bundle.name().to_owned(), status)
    });
    json!({
        "labels": api.configuration.labels(),
        "bundles": Value::Object(bundles.collect()),
        "plugins": {PLUGIN: {"state": state}},
    })
}
