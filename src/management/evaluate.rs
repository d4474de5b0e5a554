//! Evaluations that people and applications ask for, beside the checks of proxies: a bounded number at
//! once, on threads that may wait, each call for a bounded time. What is asked, and how it is answered, is
//! left to the calls.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::error::{ApiError, internal};
use super::memory::Held;
use crate::external::Outside;
use crate::policy::rego::external::Reach;
use crate::policy::rego::{Data, Question, RegoError, RegoPolicies};
use crate::policy::{PolicyError, PolicySet};

/// Most evaluations at once, and how many of them may be lists of questions.
pub(super) const MAX_RUNNING: usize = 16;
const MAX_LISTS: usize = 8;
/// Longest that a call waits until it is evaluated.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Longest that questions of one call are begun after the first.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Longest answer that is tried first, and how many times that is the next.
const FIRST_LENGTH: usize = 64 << 10;
const LONGER: usize = 16;

/// How much a call asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    One,
    /// A list of questions, one after the other.
    List,
}

/// Places for evaluations.
#[derive(Debug)]
pub struct Evaluations {
    places: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    outside: Arc<Outside>,
}

/// A place, and that of a list.
#[derive(Debug)]
struct Place {
    _one: OwnedSemaphorePermit,
    _list: Option<OwnedSemaphorePermit>,
}

/// A call that is evaluated.
#[derive(Debug)]
pub(super) struct Running {
    held: Arc<Held>,
    until: Instant,
    /// Nobody waits for the answer any more.
    gone: CancellationToken,
}

// === impl Evaluations ===

impl Evaluations {
    /// `outside` is what policies ask others by.
    pub fn new(outside: Arc<Outside>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_RUNNING)),
            lists: Arc::new(Semaphore::new(MAX_LISTS)),
            outside,
        }
    }

    /// Evaluates on a thread that may wait, as soon as there is a place. Where it does not remember, what
    /// others answer is nobody else's: at a time of the caller's it could hold for as long as the caller
    /// wants.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        held: Arc<Held>,
        load: Load,
        remembers: bool,
        evaluate: impl FnOnce(&Running) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = tokio::time::timeout(MAX_WAIT, self.place(load)).await;
        let crowded = |_| ApiError::busy("too many evaluations are asked for at once: try again");
        let place = place.map_err(crowded)??;
        let gone = CancellationToken::new();
        let _left = gone.clone().drop_guard();
        let external = self.outside.aside(gone.clone(), remembers);
        let running = Running {
            held,
            until: Instant::now() + MAX_TIME,
            gone,
        };
        let task = tokio::task::spawn_blocking(move || {
            let _place = place;
            let _reach = Reach::through(external);
            evaluate(&running)
        });
        let failed = |_| Err(internal("the evaluation failed".to_owned()));
        task.await.unwrap_or_else(failed)
    }

    /// Rule: lists leave places for calls that ask for one.
    async fn place(&self, load: Load) -> Result<Place, ApiError> {
        let list = match load {
            Load::One => None,
            Load::List => Some(permit(&self.lists).await?),
        };
        Ok(Place {
            _one: permit(&self.places).await?,
            _list: list,
        })
    }
}

async fn permit(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    let permit = Arc::clone(places).acquire_owned().await;
    permit.map_err(|closed| internal(closed.to_string()))
}

/// Asks the Rego of the active snapshot.
pub(super) async fn ask<T: Send + 'static>(
    api: &Api,
    held: Arc<Held>,
    load: Load,
    ask: impl FnOnce(&Running, &RegoPolicies) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let ask = |running: &Running, rego: &RegoPolicies, _| ask(running, rego);
    ask_at(api, held, load, ask).await
}

/// The same; what is asked is told of which revision it is.
pub(super) async fn ask_at<T: Send + 'static>(
    api: &Api,
    held: Arc<Held>,
    load: Load,
    ask: impl FnOnce(&Running, &RegoPolicies, u64) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let pdp = Arc::clone(&api.pdp);
    let evaluate = move |running: &Running| {
        let snapshot = pdp.snapshot();
        let policies: &PolicySet = &snapshot.policies;
        match &policies.rego {
            Some(rego) => ask(running, rego, snapshot.revision),
            // Nothing is loaded, which can be asked as well.
            None => {
                let empty = RegoPolicies::compile(&[], Data::default(), &policies.settings.rego);
                ask(running, &empty.map_err(compiling)?, snapshot.revision)
            }
        }
    };
    api.evaluations.run(held, load, true, evaluate).await
}

/// A question that is asked now.
pub(super) fn question(input: Option<Data>, strict: bool) -> Question {
    Question {
        input,
        strict,
        now_ns: i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX),
    }
}

// === impl Running ===

impl Running {
    /// One that holds nothing else, and begins nothing after `until`.
    #[cfg(test)]
    pub(super) fn until(until: Instant) -> Self {
        Self {
            held: Held::alone(),
            until,
            gone: CancellationToken::new(),
        }
    }

    /// Whether one more question of a list may be begun. Rule: each that may not is answered with this
    /// error.
    pub(super) fn goes_on(&self) -> Result<(), ApiError> {
        match self.gone.is_cancelled() || Instant::now() >= self.until {
            false => Ok(()),
            true => Err(ApiError::busy(format!(
                "the call took longer than {}s: this was not asked",
                MAX_TIME.as_secs()
            ))),
        }
    }

    /// A document as text. What it may need is held before it is written: a document in which the same
    /// part stands many times can be far longer than it is large.
    pub(super) fn text(&self, document: &Data) -> Result<String, ApiError> {
        let mut length = FIRST_LENGTH;
        loop {
            let longest = length.min(self.held.room());
            self.held.take(longest)?;
            let text = document.opa_text(longest);
            let written = text.as_ref().map_or(0, String::len);
            self.held.give_back(longest.saturating_sub(written));
            match text {
                Some(text) => return Ok(text),
                None if longest < length => return Err(unwritable()),
                None => length = length.saturating_mul(LONGER),
            }
        }
    }
}

fn unwritable() -> ApiError {
    let message = "the document is nested too deeply, or too long";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
}

/// Rule: errors of an evaluation are 500, each with its code and place.
pub(super) fn evaluating(error: RegoError) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "error(s) occurred while evaluating query",
    )
    .with_errors(vec![PolicyError::from(error)])
}

/// Rule: a query that cannot be parsed, or not compiled, is 400.
pub(super) fn compiling(errors: Vec<RegoError>) -> ApiError {
    let is_syntax = errors.iter().any(|error| error.code == "rego_parse_error");
    let what = if is_syntax { "parsing" } else { "compiling" };
    ApiError::invalid(format!("error(s) occurred while {what} query"))
        .with_errors(errors.into_iter().map(PolicyError::from).collect())
}
