//! The task that keeps one key set fresh, and what is known of it. A set is replaced only by another
//! good one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::fetch::{FetchedSet, Fetcher, SetError};
use super::schedule::Schedule;
use super::{FetchFailure, KeyStatus, lock};
use crate::identity::{KeySet, KeySignal, KeySource, RemoteKeys};
use crate::telemetry::{KeyFetch, Metrics};

/// One source of keys.
#[derive(Debug)]
pub(super) struct Source {
    source: KeySource,
    signal: Arc<Signal>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    timeout: Duration,
    /// The last good set and its digest.
    set: Option<(Arc<KeySet>, [u8; 32])>,
    last_success: Option<Timestamp>,
    last_error: Option<FetchFailure>,
    next_attempt: Option<Timestamp>,
}

/// Set by requests that missed a key, however many there are; one task waits for it.
#[derive(Debug, Default)]
pub(super) struct Signal {
    missed: AtomicBool,
    notify: Notify,
}

/// Fetches for as long as the task is let live.
pub(super) async fn run(
    source: Arc<Source>,
    fetcher: Arc<Fetcher>,
    schedule: Schedule,
    metrics: Arc<Metrics>,
    changes: watch::Sender<u64>,
) {
    let mut failures = 0u32;
    loop {
        let result = fetcher.fetch(&source.source, source.timeout()).await;
        failures = match result {
            Ok(_) => 0,
            Err(_) => failures.saturating_add(1),
        };
        let pause = schedule.pause(failures, random());
        let outcome = source.record(result, pause, Timestamp::now());
        metrics.keys_fetched(outcome);
        if let Some(time) = source.last_success() {
            metrics.key_set_fetched(&source.source.to_string(), time.as_second());
        }
        // Whoever missed a key until now is answered by this fetch.
        source.signal.reset();
        if outcome == KeyFetch::Changed {
            changes.send_modify(|count| *count = count.wrapping_add(1));
        }
        let cool_again = Instant::now() + schedule.cool_down;
        tokio::select! {
            () = sleep(pause) => {}
            () = async { source.signal.wait().await; sleep_until(cool_again).await } => {}
        }
    }
}

fn random() -> u8 {
    let mut byte = [0];
    // Without randomness fetches are not spread, which is all that is lost.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    let [byte] = byte;
    byte
}

// === impl Source ===

impl Source {
    pub(super) fn new(source: KeySource) -> Self {
        Self {
            source,
            signal: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// How long a document may take from now on.
    pub(super) fn allow(&self, timeout: Duration) {
        lock(&self.state).timeout = timeout;
    }

    fn timeout(&self) -> Duration {
        lock(&self.state).timeout
    }

    fn last_success(&self) -> Option<Timestamp> {
        lock(&self.state).last_success
    }

    pub(super) fn keys(&self) -> RemoteKeys {
        let state = lock(&self.state);
        RemoteKeys {
            set: state.set.as_ref().map(|(keys, _)| Arc::clone(keys)),
            signal: Arc::clone(&self.signal) as Arc<dyn KeySignal>,
        }
    }

    /// Takes in what came of a fetch. Rule: a failure leaves the set as it was.
    pub(super) fn record(
        &self,
        result: Result<FetchedSet, SetError>,
        pause: Duration,
        now: Timestamp,
    ) -> KeyFetch {
        let url = &self.source;
        let mut state = lock(&self.state);
        let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
        state.next_attempt = now.saturating_add(pause).ok();
        let fetched = match result {
            Ok(fetched) => fetched,
            Err(error) => {
                let message = error.message();
                let has_keys = state.set.is_some();
                tracing::warn!(%url, error = message, has_keys, "a key set was not fetched");
                state.last_error = Some(FetchFailure { time: now, message });
                return KeyFetch::Failure;
            }
        };
        state.last_success = Some(now);
        state.last_error = None;
        let is_same = |(_, digest): &(_, [u8; 32])| *digest == fetched.digest;
        if state.set.as_ref().is_some_and(is_same) {
            return KeyFetch::Unchanged;
        }
        tracing::info!(%url, keys = fetched.keys.usable(), "a key set was fetched");
        state.set = Some((Arc::new(fetched.keys), fetched.digest));
        KeyFetch::Changed
    }

    pub(super) fn status(&self) -> KeyStatus {
        let state = lock(&self.state);
        let keys = state.set.as_ref().map(|(keys, _)| keys);
        let mut key_ids: Vec<_> = keys
            .into_iter()
            .flat_map(|keys| keys.key_ids())
            .map(str::to_owned)
            .collect();
        key_ids.sort_unstable();
        KeyStatus {
            uri: self.source.to_string(),
            kind: self.source.kind(),
            last_success: state.last_success,
            last_error: state.last_error.clone(),
            next_attempt: state.next_attempt,
            keys: keys.map_or(0, |keys| keys.usable()),
            key_ids,
        }
    }
}

// === impl Signal ===

impl KeySignal for Signal {
    fn key_missed(&self) {
        // Read first: under a flood of such tokens nothing is written.
        if !self.missed.load(Ordering::Relaxed) && !self.missed.swap(true, Ordering::Relaxed) {
            self.notify.notify_one();
        }
    }
}

impl Signal {
    /// Ends once a key was missed since the last reset.
    async fn wait(&self) {
        while !self.missed.load(Ordering::Relaxed) {
            self.notify.notified().await;
        }
    }

    fn reset(&self) {
        self.missed.store(false, Ordering::Relaxed);
    }
}
