//! Errors of the API in OPA's shape: `{"code", "message", "errors": [{"code", "message",
//! "location": {"file", "row", "col"}}]}`. The one place where a failure becomes a status.

use std::time::Duration;

use axum::extract::rejection::{BytesRejection, QueryRejection, StringRejection};
use axum::http::header::{ALLOW, IF_MATCH, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::json::{escaped, etag, json_text};
use crate::activation::{ActivationError, DocumentError};
use crate::decision_log::QueryError;
use crate::policy::PolicyError;
use crate::policy::rego::EditError;
use crate::replay::{ReplayError, Report};
use crate::store::StoreError;

/// Code of what a caller may not do.
const FORBIDDEN: &str = "forbidden";

/// An error as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    header: Option<Box<(HeaderName, HeaderValue)>>,
    code: &'static str,
    message: String,
    /// The active revision, where the call was for another.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<PolicyError>,
    /// What would have changed, where that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Box<Report>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            header: None,
            code,
            message: message.into(),
            snapshot: None,
            errors: Vec::new(),
            replay: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", message)
    }

    /// What went wrong in detail.
    pub(super) fn with_errors(self, errors: Vec<PolicyError>) -> Self {
        Self { errors, ..self }
    }

    /// What replaying has shown.
    pub(super) fn with_replay(self, report: Report) -> Self {
        Self {
            replay: Some(Box::new(report)),
            ..self
        }
    }

    /// One answer of several, which has no status of its own.
    pub(super) fn in_batch(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            let status = self.status.as_u16().to_string();
            members.insert("http_status_code".to_owned(), status.into());
        }
        escaped(&value.to_string())
    }

    pub(super) fn not_ready(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
    }

    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "resource_not_found", message)
    }

    /// Rule: OPA's code, for what it answers 400 to.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_parameter", message)
    }

    /// There is no room for the call now.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .with_header(RETRY_AFTER, "1")
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with_header(WWW_AUTHENTICATE, "Bearer")
    }

    /// Who calls is known, and may not.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, FORBIDDEN, message)
    }

    pub(super) fn too_many_attempts(wait: Duration) -> Self {
        let message = "there were too many failed attempts from this address";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message)
            .with_header(RETRY_AFTER, wait.as_secs().saturating_add(1).to_string())
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Adds a header; one that cannot be written is left away.
    fn with_header(self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        Self {
            header: value.try_into().ok().map(|value| Box::new((name, value))),
            ..self
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Errors are for reading, so they are indented.
        let text = serde_json::to_string_pretty(&self).unwrap_or_default();
        let mut response = json_text(self.status, escaped(&text));
        response
            .headers_mut()
            .extend(self.header.map(|header| *header));
        response.headers_mut().extend(self.snapshot.and_then(etag));
        response.extensions_mut().insert(ErrorCode(self.code));
        response
    }
}

/// An answer's error, for what looks at answers on their way out.
#[derive(Debug, Clone, Copy)]
struct ErrorCode(&'static str);

/// Whether this answer refuses what its caller may not do.
pub(super) fn is_forbidden(response: &Response) -> bool {
    let code = response.extensions().get::<ErrorCode>();
    code.is_some_and(|code| code.0 == FORBIDDEN)
}

impl From<ActivationError> for ApiError {
    fn from(error: ActivationError) -> Self {
        let message = error.to_string();
        match error {
            ActivationError::Invalid(errors) => Self {
                errors,
                ..Self::invalid("the policy is invalid; nothing was changed")
            },
            ActivationError::Owned { .. }
            | ActivationError::Awaited(_)
            | ActivationError::Store(StoreError::Stale { .. }) => {
                Self::new(StatusCode::CONFLICT, "resource_conflict", message)
            }
            ActivationError::Stale { current, .. } => Self {
                snapshot: Some(current),
                ..Self::new(
                    StatusCode::PRECONDITION_FAILED,
                    "precondition_failed",
                    message,
                )
            },
            ActivationError::NotFound(_)
            | ActivationError::Store(StoreError::NotKept(_))
            | ActivationError::Document(DocumentError::Edit(EditError::NotFound { .. })) => {
                Self::missing(message)
            }
            // Rule: a conflict of what is written with what is there is 404.
            ActivationError::Document(DocumentError::Edit(EditError::Conflict(_))) => {
                Self::new(StatusCode::NOT_FOUND, "resource_conflict", message)
            }
            ActivationError::InBundle(_) | ActivationError::Document(_) => Self::invalid(message),
            ActivationError::Store(StoreError::Full) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "insufficient_storage",
                message,
            ),
            ActivationError::Unsigned(_) | ActivationError::MustStay(_) => {
                Self::new(StatusCode::FORBIDDEN, "unsigned", message)
            }
            ActivationError::Store(_) | ActivationError::Internal(_) => internal(message),
        }
    }
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Busy => Self::busy(error.to_string()),
            ReplayError::Query(error) => error.into(),
            ReplayError::Failed(why) => internal(why),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Parameter { .. } => Self::invalid(message),
            QueryError::Store(_) => internal(message),
        }
    }
}

/// What the HTTP library refuses: a query or body that cannot be read.
macro_rules! from_rejection {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for ApiError {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), "invalid_parameter", rejection.body_text())
            }
        }
    )*};
}

from_rejection!(QueryRejection, BytesRejection, StringRejection);

/// The revision a change is for, from `If-Match`: a number, quoted or not; `*` is any.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::invalid("`If-Match` is there twice"));
    }
    let text = value.to_str().unwrap_or_default().trim_matches('"');
    if text == "*" {
        return Ok(None);
    }
    let revision = text.parse();
    revision
        .map(Some)
        .map_err(|_| ApiError::invalid("`If-Match` is not a revision"))
}

pub(super) fn internal(message: String) -> ApiError {
    tracing::error!(message, "a management call failed");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
}

pub(super) async fn not_found() -> ApiError {
    no_such_call()
}

pub(super) fn no_such_call() -> ApiError {
    ApiError::missing("there is no such call")
}

pub(super) fn method_not_allowed(allowed: &[&str]) -> ApiError {
    let message = "the method is not allowed here";
    let error = ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    );
    error.with_header(ALLOW, allowed.join(", "))
}
