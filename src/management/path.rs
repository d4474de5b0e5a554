//! What paths of calls name: parameters, and the document to which the rest of a path leads. Errors are in
//! OPA's shape.

#[cfg(test)]
mod tests;

use axum::extract::{self, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::error::{ApiError, no_such_call};

/// Parameters of a path.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

/// The path of a document below `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DocumentPath(pub(super) Vec<String>);

pub(super) fn not_utf8() -> ApiError {
    ApiError::invalid("the path is not UTF-8")
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = extract::Path::from_request_parts(parts, state).await;
        // Parameters are texts, and as many as the call has: nothing else can be wrong with them.
        path.map(|extract::Path(path)| Self(path))
            .map_err(|_| not_utf8())
    }
}

impl<S: Sync> FromRequestParts<S> for DocumentPath {
    type Rejection = ApiError;

    /// The one that the guard has looked at, if it has.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let route = parts.extensions.get::<MatchedPath>();
        let route = route.ok_or_else(no_such_call)?;
        Self::of(route.as_str(), parts.uri.path())
    }
}

impl DocumentPath {
    /// The segments of a path behind its call's own. Rule: it is split before it is decoded, and empty
    /// segments are none; no text of it ever becomes Rego.
    pub(super) fn of(route: &str, path: &str) -> Result<Self, ApiError> {
        let call = route.split("/{*").next().unwrap_or(route);
        let rest = path.strip_prefix(call.trim_end_matches('/'));
        let segments = rest.ok_or_else(no_such_call)?.split('/');
        let decoded = segments
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                let decoded = percent_decode_str(segment).decode_utf8();
                let decoded = decoded.map_err(|_| not_utf8())?;
                match decoded.contains('"') {
                    true => Err(ApiError::invalid(format!("invalid ref term '{decoded}'"))),
                    false => Ok(decoded.into_owned()),
                }
            });
        decoded.collect::<Result<_, _>>().map(Self)
    }
}
