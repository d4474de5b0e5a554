//! Changes of documents: `PUT`, `PATCH` and `DELETE /v1/data/PATH`.

use axum::extract::State;
use axum::http::header::IF_NONE_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;

use super::super::Api;
use super::super::body::Body;
use super::super::caller::Caller;
use super::super::error::{ApiError, if_match};
use super::super::json::at_revision;
use super::super::path::DocumentPath;
use crate::activation::{ActivationError, Edit, Operation, Patch, Path};
use crate::policy::PolicyError;
use crate::policy::rego::Data;

const MALFORMED_BODY: &str = "body contains malformed document";

/// Rule: `If-None-Match: *` leaves alone what is there.
pub(in super::super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    DocumentPath(path): DocumentPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let read = body.read_aside(MALFORMED_BODY, |value| {
        let missing = || ApiError::invalid(format!("{MALFORMED_BODY}: unexpected EOF"));
        value.map(Edit::Put).ok_or_else(missing)
    });
    let (edit, _turn) = read.await?;
    let only_new = headers.get(IF_NONE_MATCH).is_some_and(|value| value == "*");
    make(&api, caller, path, edit, only_new, &headers).await
}

pub(in super::super) async fn patch(
    State(api): State<Api>,
    caller: Caller,
    DocumentPath(path): DocumentPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let read = body.read_aside(MALFORMED_BODY, |document| {
        let operations = document.as_ref().and_then(Data::items);
        let malformed =
            || ApiError::invalid(format!("{MALFORMED_BODY}: it is no array of operations"));
        let operations = operations.ok_or_else(malformed)?;
        let patches: Result<_, _> = operations.iter().map(patch_of).collect();
        patches.map(Edit::Patch)
    });
    let (edit, _turn) = read.await?;
    make(&api, caller, path, edit, false, &headers).await
}

pub(in super::super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    DocumentPath(path): DocumentPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    make(&api, caller, path, Edit::Delete, false, &headers).await
}

async fn make(
    api: &Api,
    caller: Caller,
    path: Vec<String>,
    edit: Edit,
    only_new: bool,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let if_match = if_match(headers)?;
    let made = api
        .activation
        .edit_data(caller.into(), path, edit, only_new, if_match);
    Ok(match made.await.map_err(in_words)? {
        Some(revision) => at_revision(revision, StatusCode::NO_CONTENT),
        None => StatusCode::NOT_MODIFIED.into_response(),
    })
}

/// Rule: `{op, path, value}`; a value that is missing is `null`.
fn patch_of(operation: &Data) -> Result<Patch, ApiError> {
    let member = |name| operation.member(name);
    let text = |name| {
        member(name)
            .and_then(|value| value.text())
            .unwrap_or_default()
    };
    let name = text("op");
    let operation = match name.as_str() {
        "add" => Operation::Add,
        "remove" => Operation::Remove,
        "replace" => Operation::Replace,
        _ => return Err(ApiError::invalid(format!("bad patch operation: {name}"))),
    };
    let path = text("path");
    let bad_path = || ApiError::invalid(format!("bad patch path: {path}"));
    Ok(Patch {
        operation,
        path: pointer(&path).ok_or_else(bad_path)?,
        value: member("value").unwrap_or_else(Data::null),
    })
}

/// Rule: segments behind slashes, decoded as those of a URL, then `~1` for a slash and `~0` for a tilde.
fn pointer(text: &str) -> Option<Path> {
    let rest = text.strip_prefix('/')?;
    if rest.is_empty() {
        return Some(Path::new());
    }
    let segments = rest.split('/').map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        Some(decoded.replace("~1", "/").replace("~0", "~"))
    });
    segments.collect()
}

/// Rule: what the compiler says is told in one text.
fn in_words(error: ActivationError) -> ApiError {
    let ActivationError::Invalid(errors) = error else {
        return error.into();
    };
    let line = |error: &PolicyError| match &error.location {
        Some(at) => format!("{}:{}: {}: {}", at.file, at.row, error.code, error.message),
        None => format!("{}: {}", error.code, error.message),
    };
    let lines: Vec<_> = errors.iter().map(line).collect();
    ApiError::invalid(match lines.as_slice() {
        [one] => format!("1 error occurred: {one}"),
        many => format!("{} errors occurred:\n{}", many.len(), many.join("\n")),
    })
}
