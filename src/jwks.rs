//! Key sets that policy names by URL: fetched in the background, one task a source, kept over
//! failures, and handed out as they are. No request ever waits for one. What a fetch may do is in
//! `fetch`, when it is done in `schedule`, using the keys is left to `identity`.

mod fetch;
mod refresh;
mod schedule;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::address::OwnPorts;
use crate::identity::{KeySource, RemoteKeySets, SourceKind};
use crate::telemetry::Metrics;
use crate::units::Span;
use fetch::Fetcher;
use refresh::Source;
use schedule::Schedule;

/// Shorter times would only load the issuer.
const MIN_SPAN: Span = Span::from_secs(1);
/// Longer ones overflow clocks sooner or later.
const MAX_SPAN: Span = Span::from_secs(30 * 86_400);

/// Section `jwks` of the configuration.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often a set is fetched again.
    pub refresh_interval: Span,
    /// Shortest time between a fetch and another one because of a key that was missed.
    pub cool_down: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            refresh_interval: Span::from_secs(20 * 60),
            cool_down: Span::from_secs(30),
        }
    }
}

impl Config {
    /// Values that parse but cannot be meant.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let spans = [
            ("jwks.refresh_interval", self.refresh_interval),
            ("jwks.cool_down", self.cool_down),
        ];
        let outside = spans
            .into_iter()
            .filter(|(_, span)| !(MIN_SPAN..=MAX_SPAN).contains(span));
        outside
            .map(|(key, span)| {
                (
                    key,
                    format!("{span} is not between {MIN_SPAN} and {MAX_SPAN}"),
                )
            })
            .collect()
    }
}

/// Fetches the key sets that policy names.
#[derive(Debug)]
pub struct KeyFetcher {
    fetcher: Arc<Fetcher>,
    schedule: Schedule,
    metrics: Arc<Metrics>,
    /// Counts sets that became others than they were.
    changes: watch::Sender<u64>,
    refreshers: Mutex<HashMap<KeySource, Refresher>>,
}

/// The task of one source; ends when this is dropped.
#[derive(Debug)]
struct Refresher {
    source: Arc<Source>,
    task: AbortHandle,
}

/// How one source is doing.
#[derive(Debug, Clone, Serialize)]
pub struct KeyStatus {
    /// Without its query.
    pub uri: String,
    pub kind: SourceKind,
    pub last_success: Option<Timestamp>,
    /// Of the last fetch, if it failed.
    pub last_error: Option<FetchFailure>,
    pub next_attempt: Option<Timestamp>,
    /// How many keys can be used; 0 if there never was a set.
    pub keys: usize,
    pub key_ids: Vec<String>,
}

/// A fetch that failed.
#[derive(Debug, Clone, Serialize)]
pub struct FetchFailure {
    pub time: Timestamp,
    pub message: String,
}

// === impl KeyFetcher ===

impl KeyFetcher {
    /// `own_ports` are never asked on this machine.
    pub fn new(config: Config, own_ports: OwnPorts, metrics: Arc<Metrics>) -> Self {
        Self {
            fetcher: Arc::new(Fetcher::new(own_ports)),
            schedule: Schedule {
                interval: config.refresh_interval.0,
                cool_down: config.cool_down.0,
            },
            metrics,
            changes: watch::Sender::new(0),
            refreshers: Mutex::default(),
        }
    }

    /// Fetches these sources from now on and no others, and returns what there is of them already.
    /// Each comes with the longest that one of its documents may take. Must be called on a runtime.
    pub fn follow(&self, sources: &BTreeMap<KeySource, Duration>) -> RemoteKeySets {
        let mut refreshers = lock(&self.refreshers);
        refreshers.retain(|source, _| {
            let is_named = sources.contains_key(source);
            if !is_named {
                self.metrics.key_set_gone(&source.to_string());
            }
            is_named
        });
        let mut sets = RemoteKeySets::new();
        for (source, timeout) in sources {
            let refresher = refreshers
                .entry(source.clone())
                .or_insert_with(|| self.start(source.clone()));
            refresher.source.allow(*timeout);
            sets.insert(source.clone(), refresher.source.keys());
        }
        sets
    }

    /// Follows how often a set has become another.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All sources that are fetched, by URL.
    pub fn status(&self) -> Vec<KeyStatus> {
        let refreshers = lock(&self.refreshers);
        let mut status: Vec<_> = refreshers
            .values()
            .map(|refresher| refresher.source.status())
            .collect();
        status.sort_by(|left, right| left.uri.cmp(&right.uri));
        status
    }

    fn start(&self, source: KeySource) -> Refresher {
        let source = Arc::new(Source::new(source));
        let task = tokio::spawn(refresh::run(
            Arc::clone(&source),
            Arc::clone(&self.fetcher),
            self.schedule,
            Arc::clone(&self.metrics),
            self.changes.clone(),
        ));
        Refresher {
            source,
            task: task.abort_handle(),
        }
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a panic left behind is still whole: everything is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
