//! `POST /v1/check`: a decision without a proxy, and on request what it came from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Api;
use super::error::ApiError;
use super::evaluate::{Load, Running};
use super::json::Json;
use super::memory::Held;
use crate::ext_authz::from_json;
use crate::pdp::{Answer, Explanation};

/// What a byte of JSON may become in memory, at most.
const WEIGHT: usize = 96;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckOptions {
    /// `?explain`, or `?explain=true`.
    explain: Option<String>,
    /// When the request is asked about, instead of now.
    at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
pub(super) struct Checked {
    decision: Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

pub(super) async fn check(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    options: Result<Query<CheckOptions>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Checked>, ApiError> {
    let Query(options) = options?;
    let explain = options.explains()?;
    let now_ns = nanoseconds(options.at.unwrap_or_else(Timestamp::now))?;
    let body = body?;
    held.take(body.len().saturating_mul(WEIGHT))?;
    let pdp = Arc::clone(&api.pdp);
    let check = move |_: &Running| {
        let json = serde_json::from_slice(&body)
            .map_err(|error| ApiError::invalid(format!("the body is not JSON: {error}")))?;
        let attributes = from_json(&json).map_err(|error| {
            ApiError::invalid(format!("the body is not a CheckRequest: {error}"))
        })?;
        let (decision, explanation) = match explain {
            true => {
                let (decision, explanation) = pdp.check_explained(attributes, now_ns);
                (decision, Some(explanation))
            }
            false => (pdp.check(attributes, now_ns), None),
        };
        Ok(Checked {
            decision,
            explanation,
        })
    };
    let remembers = options.at.is_none();
    let checked = api.evaluations.run(held, Load::One, remembers, check);
    checked.await.map(Json)
}

impl CheckOptions {
    fn explains(&self) -> Result<bool, ApiError> {
        match self.explain.as_deref() {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => Err(ApiError::invalid(format!(
                "`explain`: `{other}` is neither true nor false"
            ))),
        }
    }
}

fn nanoseconds(time: Timestamp) -> Result<i64, ApiError> {
    i64::try_from(time.as_nanosecond())
        .map_err(|_| ApiError::invalid(format!("`at`: {time} is too far away")))
}
