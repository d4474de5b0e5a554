//! `POST /v1/check`: a decision without a proxy, and on request what it came from.

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Api;
use super::error::{ApiError, internal};
use super::json::Json;
use crate::ext_authz::from_json;
use crate::pdp::{Answer, Explanation};

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
    options: Result<Query<CheckOptions>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Checked>, ApiError> {
    let Query(options) = options?;
    let explain = options.explains()?;
    let now_ns = nanoseconds(options.at.unwrap_or_else(Timestamp::now))?;
    let json = serde_json::from_slice(&body?)
        .map_err(|error| ApiError::invalid(format!("the body is not JSON: {error}")))?;
    let attributes = from_json(&json)
        .map_err(|error| ApiError::invalid(format!("the body is not a CheckRequest: {error}")))?;
    // Rego may take its time, and nobody else's place.
    let place = api.outside.place_aside(options.at.is_none()).await;
    let place = place.map_err(|crowded| internal(crowded.to_string()))?;
    let checked = place.run(move || match explain {
        true => {
            let (decision, explanation) = api.pdp.check_explained(attributes, now_ns);
            Checked {
                decision,
                explanation: Some(explanation),
            }
        }
        false => Checked {
            decision: api.pdp.check(attributes, now_ns),
            explanation: None,
        },
    });
    let checked = checked.await;
    checked
        .map(Json)
        .ok_or_else(|| internal("the check failed".to_owned()))
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
