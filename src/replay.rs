//! Replay: recorded decisions are decided again, by the policies in force and by others, and it is told
//! which would change. One at a time, on a thread of its own that steps back behind checks. What is
//! changed by that is up to who asked.

mod pace;
mod recorded;
mod report;
mod run;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

pub use report::{Changes, Counted, Group, Missing, Report, Side, Stopped};

use crate::decision_log::{Filter, LogReaders, QueryError};
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::units::Span;
use pace::Pace;

/// Decisions that are looked at unless more or fewer are asked for, and most of them.
pub const DEFAULT_LIMIT: u32 = 10_000;
pub const MAX_LIMIT: u32 = 1_000_000;
/// A call ends after two minutes, and what it sends is read and compiled within them.
const MAX_TIME: Duration = Duration::from_secs(90);
/// Smallest share of a core that gets anywhere.
const MIN_SHARE: f64 = 0.01;
/// Policies and documents nest, and what reads them recurses.
const STACK_BYTES: usize = 16 << 20;

/// Section `replay` of the configuration.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much of one core a replay takes at most.
    pub cpu_share: f64,
    /// How long it takes at most.
    pub max_time: Span,
}

/// What replays decisions.
#[derive(Debug)]
pub struct Replays {
    log: Arc<LogReaders>,
    config: Config,
    metrics: Arc<Metrics>,
    is_recording: bool,
    /// One at a time.
    place: Arc<Semaphore>,
}

/// The right to replay, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _one: OwnedSemaphorePermit,
}

/// What is to be replayed.
#[derive(Debug)]
pub struct Question {
    /// Which decisions, the newest first. Its times are fixed (`Filter::at`), and it has no limit.
    pub filter: Filter,
    /// How many of them at most.
    pub limit: u32,
    /// By what is decided now, and by what would be: both made for it (`Snapshot::aside`).
    pub now: Snapshot,
    pub candidate: Snapshot,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReplayError {
    #[error("other decisions are being replayed: try again when that is done")]
    Busy,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{0}")]
    Failed(String),
}

/// Tells the thread that nobody waits for it any more.
struct Leaving(Arc<AtomicBool>);

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            cpu_share: 0.5,
            max_time: Span::from_secs(60),
        }
    }
}

impl Config {
    /// Values that parse but cannot be used.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(MIN_SHARE..=1.0).contains(&self.cpu_share) {
            let why = format!("must be between {MIN_SHARE} and 1");
            problems.push(("replay.cpu_share", why));
        }
        if !(Duration::from_secs(1)..=MAX_TIME).contains(&self.max_time.0) {
            let why = format!("must be between 1s and {}", Span(MAX_TIME));
            problems.push(("replay.max_time", why));
        }
        problems
    }
}

// === impl Replays ===

impl Replays {
    /// `is_recording`: decisions of now are recorded.
    pub fn new(
        log: Arc<LogReaders>,
        is_recording: bool,
        config: Config,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            log,
            config,
            metrics,
            is_recording,
            place: Arc::new(Semaphore::new(1)),
        }
    }

    /// Whether there can be decisions of now to be replayed.
    pub fn is_recording(&self) -> bool {
        self.is_recording
    }

    /// To be had before anything is done for a replay.
    pub fn place(&self) -> Result<Place, ReplayError> {
        let place = Arc::clone(&self.place).try_acquire_owned();
        place
            .map(|_one| Place { _one })
            .map_err(|_| ReplayError::Busy)
    }

    /// Replays. Ends when it is done, when its time is over, or when nobody waits for it any more.
    pub async fn run(&self, place: Place, question: Question) -> Result<Report, ReplayError> {
        let is_left = Arc::new(AtomicBool::new(false));
        let _leaving = Leaving(Arc::clone(&is_left));
        let pace = Pace::new(
            self.config.cpu_share,
            Instant::now() + self.config.max_time.0,
            is_left,
        );
        let (log, metrics) = (Arc::clone(&self.log), Arc::clone(&self.metrics));
        let (done, report) = oneshot::channel();
        let failed = |error: &str| ReplayError::Failed(error.to_owned());
        // Of its own: a thread cannot take back its priority.
        let thread = std::thread::Builder::new().name("replay".to_owned());
        let thread = thread.stack_size(STACK_BYTES).spawn(move || {
            let report = run::run(&log, &metrics, question, pace);
            drop(place);
            // Nobody may wait for it any more.
            drop(done.send(report));
        });
        thread.map_err(|error| failed(&error.to_string()))?;
        let report = report.await;
        report.map_err(|_| failed("the thread that replays has panicked"))?
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
