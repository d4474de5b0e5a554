//! How the process is doing: for probes, dashboards and people.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;
use super::json::{Json, json_text};

/// Alive: it answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Ready: policy is loaded, doors are open, not shutting down.
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    match api.ready.check(&api.pdp) {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// OPA's health check; answers 500 when not ready.
pub(super) async fn health(State(api): State<Api>) -> Response {
    match api.ready.check(&api.pdp) {
        Ok(()) => Json(json!({})).into_response(),
        Err(why) => json_text(
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({ "error": why }).to_string(),
        ),
    }
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], api.metrics.encode()).into_response()
}

pub(super) async fn status(State(api): State<Api>) -> Json<Value> {
    let snapshot = api.pdp.snapshot();
    let bundles = api.activation.bundles().await;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": api.ready.check(&api.pdp).is_ok(),
        "snapshot": snapshot.revision,
        "resources": snapshot.policies.native.len(),
        "bundles": bundles,
        "store": api.activation.store_status(),
        "jwks": api.activation.key_sets(),
        "cached_decisions": snapshot.cache.len(),
        "verified_tokens": snapshot.keyring.remembered(),
    }))
}
