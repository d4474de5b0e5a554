//! `/v1/decisions/summary`: how many decisions there are of what.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::Uri;

use crate::decision_log::{Filter, Summary, SummaryOf};
use crate::management::Api;
use crate::management::error::ApiError;
use crate::management::json::Json;
use crate::management::memory::Held;
use crate::management::parameters::{number, split};

pub(in crate::management) async fn summary(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    uri: Uri,
) -> Result<Json<Summary>, ApiError> {
    let question = question(&uri)?;
    let summary = api.log.ask(&held, move |log| log.summarize(&question));
    Ok(Json(summary.await?))
}

/// Its own parameters; the others say which decisions, as they do for pages.
fn question(uri: &Uri) -> Result<SummaryOf, ApiError> {
    let ([group_by, bucket, limit], others) = split(uri, ["group_by", "bucket", "limit"])?;
    let Query(filter) = Query::<Filter>::try_from_uri(&others)?;
    Ok(SummaryOf {
        filter,
        group_by,
        bucket,
        limit: number("limit", limit)?,
    })
}
