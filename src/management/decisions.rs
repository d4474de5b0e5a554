//! `/v1/decisions`: questions to the decision log.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::Api;
use super::error::{ApiError, internal};
use super::json::Json;
use super::path::Path;
use crate::decision_log::{Filter, LogStore, Page};

/// Most questions that are being answered. Each takes a thread of those that checks may wait on, also
/// when whoever asked is gone.
pub(super) const MAX_QUESTIONS: usize = 4;

/// The decision log, and room for questions to it. Further ones wait.
#[derive(Debug, Clone)]
pub struct Questions {
    log: Arc<LogStore>,
    places: Arc<Semaphore>,
}

impl Questions {
    pub fn to(log: Arc<LogStore>) -> Self {
        Self {
            log,
            places: Arc::new(Semaphore::new(MAX_QUESTIONS)),
        }
    }

    async fn ask(&self, filter: Filter) -> Result<Page, ApiError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|error| internal(error.to_string()))?;
        let log = Arc::clone(&self.log);
        let answer = tokio::task::spawn_blocking(move || {
            let _place = place;
            log.query(&filter)
        });
        let answer = answer.await;
        Ok(answer.map_err(|error| internal(error.to_string()))??)
    }
}

pub(super) async fn query(
    State(api): State<Api>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page>, ApiError> {
    let Query(filter) = filter?;
    Ok(Json(api.log.ask(filter).await?))
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = id
        .parse()
        .map_err(|_| ApiError::invalid("a decision id is a UUID"))?;
    let mut filter = Filter {
        decision_id: Some(id),
        limit: Some(1),
        ..Filter::default()
    };
    // A page that took too long is empty and tells where to go on.
    loop {
        let page = api.log.ask(filter.clone()).await?;
        if let Some(found) = page.decisions.into_iter().next() {
            return Ok(Json(found));
        }
        if page.next_cursor.is_none() {
            return Err(ApiError::missing(format!("there is no decision `{id}`")));
        }
        filter.cursor = page.next_cursor;
    }
}
