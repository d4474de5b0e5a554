//! The way from the threads that decide to the one that stores. A record is copied into a piece of
//! memory that the two sides pass back and forth, so that the request's own memory is freed where it
//! was taken, and many records are handed over at once. Nobody waits, and nobody is woken for one
//! record.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::record::{Record, put_request};
use crate::decision::Decision;
use crate::policy::native::Workload;
use crate::telemetry::Metrics;

/// Most memory the waiting records may take, in bytes.
const MAX_QUEUED: usize = 64 << 20;
/// How much a chunk holds of requests, but for a single larger one, and how many records at most.
const CHUNK: usize = 256 << 10;
pub(super) const CHUNK_RECORDS: usize = 1_024;
/// Chunks kept for the next records.
const MAX_SPARE: usize = 32;
/// How many bytes are worth being taken at once.
const WORTH: usize = 2 << 20;
/// How long a record may wait for others, so that it is visible soon.
const GATHER: Duration = Duration::from_millis(50);
/// Most memory that a thread keeps for writing a record down, in bytes.
const MAX_SCRATCH: usize = 64 << 10;

/// Why a record is lost that comes, or is still under way, when nothing more is stored.
const STOPPED: &str = "stopped";

thread_local! {
    /// Where a thread writes a record down before it takes the lock.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Records under way.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    /// Oldest first; the last is being filled.
    chunks: Vec<Chunk>,
    spare: Vec<Chunk>,
    /// Of all that is handed over and not stored yet.
    weight: usize,
    /// How many records these are: neither stored nor counted as lost yet.
    outstanding: u64,
    /// Number of the next record. One that is lost has a number as well, so that a gap tells of it.
    next_seq: i64,
    waiting: Waiting,
    has_ended: bool,
}

/// What the log's thread wants to be woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    AnyRecord,
    /// Enough of them to be worth it.
    Many,
}

/// Records and the requests they are of, one after the other.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    heads: Vec<Head>,
    requests: Vec<u8>,
    weight: usize,
}

/// A record but for its request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) id: Uuid,
    pub(super) time_ns: i64,
    pub(super) revision: u64,
    pub(super) cached: bool,
    pub(super) decision: Arc<Decision>,
    pub(super) workload: Arc<Workload>,
    /// How long its request is.
    length: usize,
}

/// What was taken out of the queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) chunks: Vec<Chunk>,
    /// Whether more is to be expected at once.
    pub(super) is_busy: bool,
    /// Whether nothing comes any more.
    pub(super) is_last: bool,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(next_seq: i64, metrics: Arc<Metrics>) -> Self {
        let state = State {
            chunks: Vec::new(),
            spare: Vec::new(),
            weight: 0,
            outstanding: 0,
            next_seq,
            waiting: Waiting::Nothing,
            has_ended: false,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            metrics,
        }
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts records that were handed over and are stored.
    pub(super) fn count_written(&self, count: u64) {
        self.metrics.log_written.inc_by(count);
        self.lock().settle(count);
    }

    /// Counts records that were handed over and never will be stored.
    pub(super) fn count_dropped(&self, reason: &'static str, count: u64) {
        self.metrics.log_dropped(reason, count);
        self.lock().settle(count);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a record over, or counts it as lost.
    pub(super) fn push(&self, record: &Record<'_>) {
        let lost = SCRATCH.with_borrow_mut(|request| {
            request.clear();
            put_request(request, record.attributes);
            let lost = self.push_with(record, request);
            if request.capacity() > MAX_SCRATCH {
                *request = Vec::new();
            }
            lost
        });
        if let Err(reason) = lost {
            self.metrics.log_dropped(reason, 1);
        }
    }

    fn push_with(&self, record: &Record<'_>, request: &[u8]) -> Result<(), &'static str> {
        let mut head = Head {
            seq: 0,
            id: record.id,
            time_ns: record.time_ns,
            revision: record.revision,
            cached: record.cached,
            decision: Arc::clone(record.decision),
            workload: Arc::clone(record.workload),
            length: request.len(),
        };
        let mut weight = size_of::<Head>() + request.len();
        if !record.cached {
            weight += record.decision.weight();
        }
        let mut state = self.lock();
        head.seq = state.next_seq;
        state.next_seq += 1;
        if state.has_ended {
            return Err(STOPPED);
        }
        if state.weight + weight > MAX_QUEUED {
            return Err("buffer_full");
        }
        state.put(head, request, weight);
        let is_awaited = match state.waiting {
            Waiting::Nothing => false,
            Waiting::AnyRecord => true,
            Waiting::Many => state.weight >= WORTH,
        };
        if is_awaited {
            state.waiting = Waiting::Nothing;
            drop(state);
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for a record, so long at most, then lets others gather and takes them all.
    pub(super) fn take(&self, patience: Duration) -> Taken {
        let state = self.lock();
        let state = self.wait(state, Waiting::AnyRecord, patience, |state| {
            !state.chunks.is_empty()
        });
        let mut state = if state.chunks.is_empty() {
            state
        } else {
            self.wait(state, Waiting::Many, GATHER, |state| state.weight >= WORTH)
        };
        Taken {
            is_busy: state.weight >= WORTH,
            chunks: std::mem::take(&mut state.chunks),
            is_last: state.has_ended,
        }
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        waiting: Waiting,
        patience: Duration,
        is_there: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        state.waiting = waiting;
        let waited = self.arrived.wait_timeout_while(state, patience, |state| {
            let waits = !is_there(state) && !state.has_ended;
            if waits {
                state.waiting = waiting;
            }
            waits
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting = Waiting::Nothing;
        state
    }

    /// Gives a chunk back whose records are stored, or never will be.
    pub(super) fn give_back(&self, mut chunk: Chunk) {
        // What the records refer to is freed before the lock is taken.
        chunk.heads.clear();
        chunk.requests.clear();
        let mut state = self.lock();
        state.weight = state.weight.saturating_sub(chunk.weight);
        chunk.weight = 0;
        if state.spare.len() < MAX_SPARE && chunk.requests.capacity() <= CHUNK {
            state.spare.push(chunk);
        }
    }

    /// Gives memory back that was needed for what has gathered before.
    pub(super) fn rest(&self) {
        let spare = std::mem::take(&mut self.lock().spare);
        drop(spare);
    }

    /// Takes nothing more. What comes later is counted as lost.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.arrived.notify_one();
    }

    /// Takes nothing more, and counts as lost what is neither stored nor counted. Returns how many
    /// records these are.
    pub(super) fn abandon(&self) -> u64 {
        let mut state = self.lock();
        state.has_ended = true;
        let chunks = std::mem::take(&mut state.chunks);
        let spare = std::mem::take(&mut state.spare);
        let lost = std::mem::take(&mut state.outstanding);
        state.weight = 0;
        drop(state);
        drop((chunks, spare));
        if lost > 0 {
            self.metrics.log_dropped(STOPPED, lost);
        }
        lost
    }
}

// === impl State ===

impl State {
    fn put(&mut self, head: Head, request: &[u8], weight: usize) {
        // A chunk grows while the lock is held: neither part of it by much.
        let has_room = |chunk: &Chunk| {
            chunk.requests.len() + request.len() <= CHUNK && chunk.heads.len() < CHUNK_RECORDS
        };
        let mut chunk = match self.chunks.pop() {
            Some(chunk) if has_room(&chunk) => chunk,
            full => {
                self.chunks.extend(full);
                self.spare.pop().unwrap_or_else(Chunk::empty)
            }
        };
        chunk.heads.push(head);
        chunk.requests.extend_from_slice(request);
        chunk.weight += weight;
        self.chunks.push(chunk);
        self.weight += weight;
        self.outstanding += 1;
    }

    fn settle(&mut self, count: u64) {
        self.outstanding = self.outstanding.saturating_sub(count);
    }
}

// === impl Chunk ===

impl Chunk {
    fn empty() -> Self {
        Self {
            requests: Vec::with_capacity(CHUNK),
            ..Self::default()
        }
    }

    /// The records, each with its request as it was written down.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Head, &[u8])> {
        let mut rest = self.requests.as_slice();
        self.heads.iter().map(move |head| {
            let (request, others) = rest.split_at_checked(head.length).unwrap_or_default();
            rest = others;
            (head, request)
        })
    }
}
