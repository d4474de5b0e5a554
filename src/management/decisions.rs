//! `/v1/decisions`: questions to the decision log.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde_json::Value;

use super::Api;
use super::error::{ApiError, internal};
use super::json::Json;
use crate::decision_log::{Filter, Page};

pub(super) async fn query(
    State(api): State<Api>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page>, ApiError> {
    let Query(filter) = filter?;
    Ok(Json(ask(api, filter).await?))
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = id
        .parse()
        .map_err(|_| ApiError::invalid("a decision id is a UUID"))?;
    let filter = Filter {
        decision_id: Some(id),
        limit: Some(1),
        ..Filter::default()
    };
    let page = ask(api, filter).await?;
    let found = page.decisions.into_iter().next();
    found
        .map(Json)
        .ok_or_else(|| ApiError::missing(format!("there is no decision `{id}`")))
}

async fn ask(api: Api, filter: Filter) -> Result<Page, ApiError> {
    let answer = tokio::task::spawn_blocking(move || api.log.query(&filter)).await;
    Ok(answer.map_err(|error| internal(error.to_string()))??)
}
