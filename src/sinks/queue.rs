//! The way of records from the log's thread to a sink's: memory, bounded. Nobody waits; what does not
//! fit is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::decision_log::{Finished, Outlet};
use crate::telemetry::SinkCounters;

/// Why a record is lost for which there is no room in memory, or nobody any more.
const QUEUE_FULL: &str = "queue_full";
pub(super) const STOPPED: &str = "stopped";

/// What a record takes besides its text, in bytes.
const OVERHEAD: usize = 96;

/// Records under way to a sink.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something new, or nothing will come any more.
    arrived: Notify,
    /// When no more is to be delivered, once that is known.
    end: watch::Sender<Option<Instant>>,
    limit: usize,
    counters: SinkCounters,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    waiting: VecDeque<Arc<Finished>>,
    waiting_bytes: usize,
    /// What was taken out of it and is still in memory.
    taken: usize,
    taken_bytes: usize,
    has_ended: bool,
}

/// Memory that a record takes, about.
pub(super) fn weight(record: &Finished) -> usize {
    record.json.len() + OVERHEAD
}

pub(super) fn weight_of<'a>(records: impl IntoIterator<Item = &'a Arc<Finished>>) -> usize {
    let weights = records.into_iter().map(|record| weight(record));
    weights.sum()
}

impl Outlet for Queue {
    fn take(&self, records: &[Arc<Finished>]) {
        self.counters.received.inc_by(records.len() as u64);
        let mut lost = 0;
        let mut state = self.lock();
        let reason = if state.has_ended { STOPPED } else { QUEUE_FULL };
        for record in records {
            let weight = weight(record);
            if state.has_ended || state.bytes() + weight > self.limit {
                lost += 1;
                continue;
            }
            state.waiting.push_back(Arc::clone(record));
            state.waiting_bytes += weight;
        }
        // Before anybody sees them delivered.
        self.counters.dropped(reason, lost);
        self.tell(&state);
        drop(state);
        self.arrived.notify_one();
    }
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(limit: usize, counters: SinkCounters) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            end: watch::Sender::new(None),
            limit,
            counters,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &State) {
        let records = state.waiting.len() + state.taken;
        self.counters.queue_holds(records, state.bytes());
    }

    pub(super) fn counters(&self) -> &SinkCounters {
        &self.counters
    }

    /// Takes the oldest out, up to so many and so many bytes, one at least if there is any. They count as
    /// held until they are [released](Self::release).
    pub(super) fn pop(&self, records: usize, bytes: usize) -> VecDeque<Arc<Finished>> {
        let mut state = self.lock();
        let (mut popped, mut popped_bytes) = (VecDeque::new(), 0);
        while popped.len() < records
            && let Some(record) = state.waiting.pop_front()
        {
            let weight = weight(&record);
            if popped_bytes + weight > bytes && !popped.is_empty() {
                state.waiting.push_front(record);
                break;
            }
            popped_bytes += weight;
            popped.push_back(record);
        }
        state.waiting_bytes = state.waiting_bytes.saturating_sub(popped_bytes);
        state.taken += popped.len();
        state.taken_bytes += popped_bytes;
        popped
    }

    /// What was taken out is in memory no more.
    pub(super) fn release(&self, records: usize, bytes: usize) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(records);
        state.taken_bytes = state.taken_bytes.saturating_sub(bytes);
        self.tell(&state);
    }

    /// What waits, oldest first. It goes on waiting.
    pub(super) fn waiting(&self) -> Vec<Arc<Finished>> {
        self.lock().waiting.iter().map(Arc::clone).collect()
    }

    /// Removes the oldest of what waits.
    pub(super) fn remove(&self, records: usize) {
        let mut state = self.lock();
        let records = records.min(state.waiting.len());
        let removed: Vec<_> = state.waiting.drain(..records).collect();
        state.waiting_bytes = state.waiting_bytes.saturating_sub(weight_of(&removed));
        self.tell(&state);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.lock().waiting_bytes
    }

    /// Whether half of the room is taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.lock().bytes() > self.limit / 2
    }

    /// Waits until something came, or the end.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes nothing more. What there is may be delivered until then.
    pub(super) fn end(&self, until: Instant) {
        self.lock().has_ended = true;
        self.end.send_replace(Some(until));
        self.arrived.notify_one();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// Waits until nothing comes any more.
    pub(super) async fn ended(&self) {
        let mut end = self.end.subscribe();
        drop(end.wait_for(Option::is_some).await);
    }

    /// Waits until nothing is to be delivered any more.
    pub(super) async fn out_of_time(&self) {
        let mut end = self.end.subscribe();
        let until = end.wait_for(Option::is_some).await.ok();
        if let Some(until) = until.and_then(|until| *until) {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Takes nothing more, and counts as lost what is in memory. Returns how many records these are.
    pub(super) fn abandon(&self) -> u64 {
        let mut state = self.lock();
        let lost = (state.waiting.len() + state.taken) as u64;
        *state = State {
            has_ended: true,
            ..State::default()
        };
        self.counters.dropped(STOPPED, lost);
        self.tell(&state);
        lost
    }
}

// === impl State ===

impl State {
    fn bytes(&self) -> usize {
        self.waiting_bytes + self.taken_bytes
    }
}
