//! `/v1/decisions`: questions to the decision log.

mod stream;
mod summary;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Api;
use super::error::{ApiError, internal};
use super::json::Json;
use super::memory::Held;
use super::path::Path;
use crate::decision_log::{Filter, LogReaders, Page, QueryError};

/// Most questions that are being answered. Each takes a thread of those that checks may wait on, also
/// when whoever asked is gone.
const MAX_QUESTIONS: usize = 4;
/// Most threads for all questions to the log.
pub(super) const MAX_THREADS: usize = MAX_QUESTIONS + stream::MAX_READING;
/// Longest that a further one waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Memory that a page may take while it is made, in bytes.
const PAGE_MEMORY: usize = 32 << 20;

pub use stream::Streams;
pub(super) use stream::stream;
pub(super) use summary::summary;

/// The decision log, and room for questions to it. Further ones wait, but not for long.
#[derive(Debug, Clone)]
pub struct Questions {
    log: Arc<LogReaders>,
    places: Arc<Semaphore>,
}

impl Questions {
    pub fn to(log: Arc<LogReaders>) -> Self {
        Self {
            log,
            places: Arc::new(Semaphore::new(MAX_QUESTIONS)),
        }
    }

    async fn page(&self, filter: Filter, held: &Held) -> Result<Page, ApiError> {
        self.ask(held, move |log| log.query(&filter)).await
    }

    /// Asks once there is a place. What the answer may take is held until it is sent.
    async fn ask<T: Send + 'static>(
        &self,
        held: &Held,
        question: impl FnOnce(&LogReaders) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| {
            ApiError::busy("other questions to the decision log are being answered: try again")
        })?;
        let place = place.map_err(|error| internal(error.to_string()))?;
        held.take(PAGE_MEMORY)?;
        let log = Arc::clone(&self.log);
        let answer = tokio::task::spawn_blocking(move || {
            let _place = place;
            question(&log)
        });
        let answer = answer.await;
        Ok(answer.map_err(|error| internal(error.to_string()))??)
    }
}

pub(super) async fn query(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page>, ApiError> {
    let Query(filter) = filter?;
    Ok(Json(api.log.page(filter, &held).await?))
}

pub(super) async fn get(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
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
        let page = api.log.page(filter.clone(), &held).await?;
        held.give_back(PAGE_MEMORY);
        if let Some(found) = page.decisions.into_iter().next() {
            return Ok(Json(found));
        }
        if page.next_cursor.is_none() {
            return Err(ApiError::missing(format!("there is no decision `{id}`")));
        }
        filter.cursor = page.next_cursor;
    }
}
