//! Errors of the API in OPA's shape: `{"code", "message", "errors": [{"code", "message",
//! "location": {"file", "row", "col"}}]}`. The one place where a failure becomes a status.

use axum::extract::rejection::{BytesRejection, QueryRejection, StringRejection};
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::json::json_text;
use crate::activation::ActivationError;
use crate::decision_log::QueryError;
use crate::policy::PolicyError;
use crate::store::StoreError;

/// An error as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<PolicyError>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            errors: Vec::new(),
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", message)
    }

    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "resource_not_found", message)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Errors are for reading, so they are indented.
        let text = serde_json::to_string_pretty(&self).unwrap_or_default();
        json_text(self.status, text)
    }
}

impl From<ActivationError> for ApiError {
    fn from(error: ActivationError) -> Self {
        let message = error.to_string();
        match error {
            ActivationError::Invalid(errors) => Self {
                errors,
                ..Self::invalid("the policy is invalid; nothing was changed")
            },
            ActivationError::Owned { .. } | ActivationError::Store(StoreError::Stale { .. }) => {
                Self::new(StatusCode::CONFLICT, "resource_conflict", message)
            }
            ActivationError::Stale { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                message,
            ),
            ActivationError::NotFound(_) | ActivationError::Store(StoreError::NotKept(_)) => {
                Self::missing(message)
            }
            ActivationError::Store(StoreError::Full) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "insufficient_storage",
                message,
            ),
            ActivationError::Store(_) | ActivationError::Internal(_) => internal(message),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Parameter { .. } => Self::invalid(message),
            QueryError::Store(_) | QueryError::Stored(_) => internal(message),
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

/// The revision a change is for, from `If-Match`: a number, quoted or not.
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
    ApiError::missing("there is no such call")
}

pub(super) async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the method is not allowed here",
    )
}
