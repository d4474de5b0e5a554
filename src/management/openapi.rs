//! The API described by OpenAPI 3.1. It is made from the table that the router is made of, so that what
//! is served and what is described cannot differ; what a call takes and answers is said in `describe`,
//! the forms of both in `schemas`.

mod describe;
mod schemas;

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::calls::{Call, Need, calls};
use super::json::json_text;
use describe::{Described, describe};

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for call in calls() {
        // The same call, written otherwise.
        if call.path.len() > 1 && call.path.ends_with('/') {
            continue;
        }
        // Rule: braces hold a name. What stands for several segments is told in the description.
        let path = path_of(&call).replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            let method = call.method.as_str().to_ascii_lowercase();
            methods.insert(method, operation(&call));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Doorward management API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas::all(),
        },
    })
}

/// The calls that nothing is said about.
pub fn undescribed() -> Vec<Call> {
    let calls = calls().into_iter();
    calls
        .filter(|call| describe(&call.method, path_of(call)).is_none())
        .collect()
}

/// Serves the document.
pub(super) async fn get() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    json_text(StatusCode::OK, TEXT.clone())
}

/// Rule: a slash at the end makes no other call.
fn path_of(call: &Call) -> &'static str {
    match call.path {
        "/" => "/",
        path => path.trim_end_matches('/'),
    }
}

fn operation(call: &Call) -> Value {
    let described = describe(&call.method, call.path).unwrap_or_default();
    let mut operation = Map::from_iter([
        ("operationId".to_owned(), operation_id(call).into()),
        ("summary".to_owned(), described.summary.into()),
        ("description".to_owned(), needs(call).into()),
        ("parameters".to_owned(), parameters(call, &described).into()),
        ("responses".to_owned(), responses(call, &described)),
    ]);
    if call.need == Need::Open {
        operation.insert("security".to_owned(), json!([]));
    }
    if !described.bodies.is_empty() {
        let content = content(&described.bodies);
        let body = json!({"required": described.body_is_required, "content": content});
        operation.insert("requestBody".to_owned(), body);
    }
    Value::Object(operation)
}

/// `get_v1_bundles_name`.
fn operation_id(call: &Call) -> String {
    let text = format!("{} {}", call.method, call.path).to_ascii_lowercase();
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("_")
}

fn needs(call: &Call) -> String {
    let roles: Vec<_> = call.need.roles().map(|role| format!("`{role}`")).collect();
    let mut text = match roles.as_slice() {
        [] => "Needs no token.".to_owned(),
        [role] => format!("Needs the role {role}."),
        roles => format!("Needs the roles {}.", roles.join(" and ")),
    };
    match call.need {
        Need::Change(..) | Need::ChangeNamed | Need::ChangeData => {
            text.push_str(" What is changed must be in the caller's scope.");
        }
        Need::Try => text.push_str(" What would be changed must be in the caller's scope."),
        Need::ChangeAll => text.push_str(" The caller must have no scope."),
        Need::Open | Need::Role(_) => {}
    }
    if call.path.contains("{*") {
        text.push_str(" The path may have several segments.");
    }
    text
}

fn parameters(call: &Call, described: &Described) -> Vec<Value> {
    let names = call.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.trim_start_matches('*'))
    });
    let in_path = names.map(|name| {
        let schema = schemas::of_path(name);
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    let in_query = described.query.iter().map(
        |(name, schema)| json!({"name": name, "in": "query", "required": false, "schema": schema}),
    );
    let mut all: Vec<_> = in_path.chain(in_query).collect();
    if described.takes_if_match {
        let schema = json!({"type": "string", "description": "the active revision"});
        all.push(json!({"name": "If-Match", "in": "header", "required": false, "schema": schema}));
    }
    all
}

fn responses(call: &Call, described: &Described) -> Value {
    let mut all = Map::new();
    let id = json!({"required": true, "schema": {"type": "string"}});
    let tag = json!({
        "required": true,
        "description": "the revision that the answer is of, for `If-Match`",
        "schema": {"type": "string", "pattern": "^\"[0-9]+\"$"},
    });
    let mut add = |status: &str, description: &str, content: Value| {
        let headers = match described.tells_revision && matches!(status, "200" | "204") {
            true => json!({"X-Request-ID": id, "ETag": tag}),
            false => json!({"X-Request-ID": id}),
        };
        let response = json!({"description": description, "headers": headers, "content": content});
        all.insert(status.to_owned(), response);
    };
    for (status, media, schema) in &described.answers {
        let description = StatusCode::from_u16(*status).ok();
        let description = description.and_then(|status| status.canonical_reason());
        let content = match media.is_empty() {
            true => json!({}),
            false => json!({ *media: {"schema": schema} }),
        };
        add(
            &status.to_string(),
            description.unwrap_or_default(),
            content,
        );
    }
    let error = json!({"application/json": {"schema": schemas::reference("Error")}});
    if call.need != Need::Open {
        add("4XX", "The call is refused", error.clone());
        add("5XX", "The call failed", error);
    }
    Value::Object(all)
}

fn content(bodies: &[(&'static str, Value)]) -> Value {
    let bodies = bodies.iter();
    let bodies = bodies.map(|(media, schema)| ((*media).to_owned(), json!({ "schema": schema })));
    Value::Object(bodies.collect())
}
