//! `/v1/policies`: Rego modules by their ids.

use axum::extract::rejection::StringRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::Api;
use super::super::caller::Caller;
use super::super::error::{ApiError, if_match};
use super::super::json::{at_revision, escaped};
use super::{Answer, Options, Timers, written};
use crate::activation::{ActivationError, Policy};
use crate::policy::rego::syntax_tree;

const CALL: &str = "/v1/policies/";
/// Longest id, in bytes.
const MAX_ID: usize = 1_024;

type Parameters = Query<Vec<(String, String)>>;

pub(in super::super) async fn list(
    State(api): State<Api>,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    // Before the modules: what is newer than its tag is merely refused.
    let revision = api.pdp.snapshot().revision;
    let policies = api.activation.policies().await;
    let shown: Vec<_> = policies.iter().map(shown).collect();
    Ok(answer(
        revision,
        &format!("[{}]", shown.join(",")),
        &options,
    ))
}

pub(in super::super) async fn get(
    State(api): State<Api>,
    uri: Uri,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    let id = id_in(&uri)?;
    let revision = api.pdp.snapshot().revision;
    let policies = api.activation.policies().await;
    let found = policies.iter().find(|policy| policy.id == id);
    let found = found.ok_or_else(|| missing(&id))?;
    Ok(answer(revision, &shown(found), &options))
}

/// Rule: the same text again changes nothing.
pub(in super::super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    uri: Uri,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Result<String, StringRejection>,
) -> Result<Response, ApiError> {
    let mut timers = Timers::begin();
    let options = Options::parse(parameters)?;
    let id = id_in(&uri)?;
    let text = body?;
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Err(ApiError::invalid(format!(
            "{id}:0: rego_parse_error: empty module"
        )));
    }
    let begun = std::time::Instant::now();
    let put = api
        .activation
        .put_policy(caller.into(), &id, text, if_match(&headers)?);
    let revision = put.await.map_err(|error| of_modules(error, &id))?;
    timers.record("timer_rego_module_compile_ns", begun);
    Ok(changed(revision, &options, &timers))
}

pub(in super::super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    uri: Uri,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let timers = Timers::begin();
    let options = Options::parse(parameters)?;
    let id = id_in(&uri)?;
    let delete = api
        .activation
        .delete_policy(caller.into(), &id, if_match(&headers)?);
    let revision = delete.await.map_err(|error| of_modules(error, &id))?;
    Ok(changed(revision, &options, &timers))
}

fn changed(revision: u64, options: &Options, timers: &Timers) -> Response {
    let mut answer = Answer::empty(options);
    if options.metrics {
        answer.member("metrics", timers.text());
    }
    at_revision(revision, answer.response(StatusCode::OK))
}

fn answer(revision: u64, result: &str, options: &Options) -> Response {
    let text = format!("{{\"result\":{result}}}");
    at_revision(revision, written(StatusCode::OK, &text, options.pretty))
}

/// Rule: id, text and syntax tree. One that OPA 1.9's grammar does not have is without a tree.
fn shown(policy: &Policy) -> String {
    let text = |text: &str| escaped(&Value::from(text).to_string());
    let tree = syntax_tree(&policy.id, &policy.text).and_then(|tree| tree.opa_text(usize::MAX));
    let tree = tree.map_or_else(String::new, |tree| format!(",\"ast\":{tree}"));
    format!(
        "{{\"id\":{},\"raw\":{}{tree}}}",
        text(&policy.id),
        text(&policy.text)
    )
}

/// Rule: an id may hold slashes.
fn id_in(uri: &Uri) -> Result<String, ApiError> {
    let id = uri.path().strip_prefix(CALL).unwrap_or_default();
    let id = percent_decode_str(id).decode_utf8();
    let id = id.map_err(|_| ApiError::invalid("the path is not UTF-8"))?;
    let is_id = !id.is_empty() && !id.contains(char::is_control) && id.len() <= MAX_ID;
    match is_id {
        true => Ok(id.into_owned()),
        false => Err(ApiError::invalid(format!(
            "a policy's id is 1 to {MAX_ID} bytes without control characters"
        ))),
    }
}

fn missing(id: &str) -> ApiError {
    let id = Value::from(id);
    ApiError::missing(format!("storage_not_found_error: policy id {id}"))
}

/// Errors in OPA's words.
fn of_modules(error: ActivationError, id: &str) -> ApiError {
    match error {
        ActivationError::Invalid(errors) => {
            ApiError::invalid("error(s) occurred while compiling module(s)").with_errors(errors)
        }
        ActivationError::NotFound(_) => missing(id),
        other => other.into(),
    }
}
