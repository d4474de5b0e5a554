//! The way from the threads that decide to the one that stores. A record is copied into a piece of
//! memory that the two sides pass back and forth, so that the request's own memory is freed where it
//! was taken, and many records are handed over at once. No thread waits, and none is woken for one
//! record; what waits for room is a task, see `pending`.

mod ending;

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::sync::watch;

use super::chunk::{Chunk, Head};
use super::details::Durations;
use super::examiner::Findings;
use super::pending::{Line, Obstacle, Pending, Recorded};
use super::record::{Record, put_request};
use super::scope::Scope;
use super::spans::begin;
use super::{LogSettings, Overflow};
use crate::decision::Effect;
use crate::telemetry::Metrics;
use crate::traces::{Traced, Tracer};

/// Most memory the waiting records may take, in bytes.
const MAX_QUEUED: usize = 64 << 20;
/// Chunks kept for the next records.
const MAX_SPARE: usize = 32;
/// How many bytes are worth being taken at once.
const WORTH: usize = 2 << 20;
/// How long a record may wait for others, so that it is visible soon.
const GATHER: Duration = Duration::from_millis(50);
/// Most memory that a thread keeps for writing a record down, in bytes.
const MAX_SCRATCH: usize = 64 << 10;

thread_local! {
    /// Where a thread writes a record down before it takes the lock.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Records under way.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    /// Told whenever there is room again, or never will be.
    room: Notify,
    overflow: Overflow,
    scope: Scope,
    /// Whom the first of some records wakes besides.
    noter: OnceLock<Thread>,
    tracer: Option<Arc<Tracer>>,
    /// Whether anything is recorded; else only what is traced is handed over.
    is_recording: bool,
    /// The number up to which all is stored or lost.
    settled: watch::Sender<i64>,
    metrics: Arc<Metrics>,
}

/// What becomes of a record that cannot be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Refused,
    Waits,
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
    /// Whether the last attempt to store something failed, and it is tried again.
    is_failing: bool,
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

/// What was taken out of the queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) chunks: Vec<Chunk>,
    /// All records below this number are in it, or were before, or are lost.
    pub(super) next_seq: i64,
    /// Whether more is to be expected at once.
    pub(super) is_busy: bool,
    /// Whether nothing comes any more.
    pub(super) is_last: bool,
}

impl Taken {
    /// Memory of what was taken, in bytes, about.
    pub(super) fn weight(&self) -> usize {
        self.chunks.iter().map(Chunk::weight).sum()
    }
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(next_seq: i64, settings: &LogSettings, metrics: Arc<Metrics>) -> Self {
        let settled = next_seq.saturating_sub(1);
        let tracing = settings.tracing.as_ref();
        let state = State {
            chunks: Vec::new(),
            spare: Vec::new(),
            weight: 0,
            outstanding: 0,
            next_seq,
            waiting: Waiting::Nothing,
            is_failing: false,
            has_ended: false,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            room: Notify::new(),
            overflow: match settings.enabled {
                true => settings.overflow,
                // Nobody waits for a span.
                false => Overflow::Count,
            },
            scope: match settings.enabled {
                true => settings.scope.clone(),
                false => settings.scope.clone().for_masks(),
            },
            noter: OnceLock::new(),
            tracer: tracing.map(|tracing| Arc::clone(&tracing.tracer)),
            is_recording: settings.enabled,
            settled: watch::Sender::new(settled),
            metrics,
        }
    }

    pub(super) fn is_tracing(&self) -> bool {
        self.tracer.is_some()
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Tells up to which number all is stored or lost.
    pub(super) fn has_settled(&self, seq: i64) {
        self.settled.send_if_modified(|settled| {
            let is_ahead = *settled < seq;
            *settled = (*settled).max(seq);
            is_ahead
        });
    }

    /// Has this thread unparked whenever records begin to come.
    pub(super) fn wakes(&self, noter: Thread) {
        drop(self.noter.set(noter));
    }

    /// The number of the next record.
    pub(super) fn next_seq(&self) -> i64 {
        self.lock().next_seq
    }

    pub(super) fn settled(&self) -> watch::Receiver<i64> {
        self.settled.subscribe()
    }

    /// Counts records that were handed over and are stored.
    pub(super) fn count_written(&self, count: u64) {
        self.metrics.log.written.inc_by(count);
        self.lock().settle(count);
    }

    /// Counts records that were handed over and never will be stored.
    pub(super) fn count_dropped(&self, reason: &'static str, count: u64) {
        self.metrics.log.dropped(reason, count);
        self.lock().settle(count);
    }

    /// Counts records that were handed over and are not wanted: by configuration, or by policy.
    pub(super) fn count_sampled(&self, by: &'static str, count: u64) {
        self.metrics.log.sampled(by, count);
        self.lock().settle(count);
    }

    /// Lets go of records that were handed over for their spans alone.
    pub(super) fn forget(&self, count: u64) {
        self.lock().settle(count);
    }

    /// Counts a record without the input that it should have, and one of which a mask failed.
    pub(super) fn count_findings(&self, findings: &Findings) {
        if let Some(why) = findings.omitted {
            self.metrics.log.input_omitted(why);
        }
        if findings.is_bare {
            self.metrics.log.mask_failures.inc();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a record over, or counts it as lost, or tells what else becomes of it.
    pub(super) fn push(self: &Arc<Self>, record: &Record<'_>) -> Recorded {
        let tracer = self.tracer.as_ref();
        let traced = tracer.and_then(|tracer| begin(tracer, record));
        if !self.is_recording && traced.is_none() {
            return Recorded::Settled;
        }
        SCRATCH.with_borrow_mut(|request| {
            request.clear();
            put_request(request, record);
            let recorded = self.push_with(record, traced, request);
            if request.capacity() > MAX_SCRATCH {
                *request = Vec::new();
            }
            recorded
        })
    }

    fn push_with(
        self: &Arc<Self>,
        record: &Record<'_>,
        traced: Option<Box<Traced>>,
        request: &[u8],
    ) -> Recorded {
        let head = Head {
            seq: 0,
            id: record.id,
            time_ns: record.time_ns,
            revision: record.revision,
            cached: record.cached,
            // Rule: what comes from the cache takes no time worth a look at the clock, but for its span.
            durations: match record.cached && traced.is_none() {
                true => Durations::default(),
                false => Durations::of(record.stopwatch),
            },
            decision: Arc::clone(record.decision),
            workload: Arc::clone(record.workload),
            whole: self.scope.whole(record),
            telemetry: record
                .policies
                .native
                .has_telemetry()
                .then(|| Arc::clone(record.policies)),
            traced,
            shadow: record.shadow.map(Arc::clone),
            length: request.len(),
        };
        let mut weight = size_of::<Head>() + request.len();
        if !record.cached {
            weight += record.decision.weight();
        }
        weight += head.whole.as_ref().map_or(0, |whole| whole.weight());
        match self.offer(head, request, weight) {
            Ok(()) => Recorded::Settled,
            Err((head, obstacle)) => match self.fate(obstacle, &head, weight) {
                Fate::Lost => {
                    if self.is_recording {
                        self.lose(obstacle);
                    }
                    Recorded::Settled
                }
                Fate::Refused => {
                    // What is answered instead has a span of its own.
                    head.traced.iter().for_each(|traced| traced.cancel());
                    Recorded::Refused
                }
                Fate::Waits => {
                    let line = Line {
                        head,
                        request: request.to_vec(),
                        weight,
                    };
                    Recorded::Waits(Box::new(Pending::new(Arc::clone(self), line)))
                }
            },
        }
    }

    /// Puts a record in line, if there is a place for it.
    #[expect(
        clippy::result_large_err,
        reason = "it is no error: it goes on to where it can wait"
    )]
    pub(super) fn offer(
        &self,
        mut head: Head,
        request: &[u8],
        weight: usize,
    ) -> Result<(), (Head, Obstacle)> {
        // Rule: no record, no allow.
        let must_be_kept =
            self.overflow == Overflow::Deny && head.decision.effect() == Effect::Allow;
        let mut state = self.lock();
        if state.has_ended {
            return Err((head, Obstacle::Stopped));
        }
        if must_be_kept && state.is_failing {
            return Err((head, Obstacle::Failing));
        }
        // Rule: where allows need their record, denials leave room for it.
        let room = match self.overflow {
            Overflow::Deny if !must_be_kept => MAX_QUEUED / 2,
            _ => MAX_QUEUED,
        };
        if state.weight + weight > room {
            return Err((head, Obstacle::Full));
        }
        if self.is_recording {
            head.seq = state.take_number();
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

    fn fate(&self, obstacle: Obstacle, head: &Head, weight: usize) -> Fate {
        match (self.overflow, obstacle) {
            (Overflow::Deny, _) if head.decision.effect() == Effect::Allow => Fate::Refused,
            // For what is larger than the queue there never is room.
            (Overflow::Block, Obstacle::Full) if weight <= MAX_QUEUED => Fate::Waits,
            _ => Fate::Lost,
        }
    }

    /// Counts a record as lost that was not handed over.
    pub(super) fn lose(&self, obstacle: Obstacle) {
        self.lock().take_number();
        self.metrics.log.dropped(obstacle.as_str(), 1);
    }

    /// Ends when there may be room again, at once if something changed since this was called.
    pub(super) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Notes whether what was handed over can be stored. Returns whether it could before.
    pub(super) fn set_failing(&self, is_failing: bool) -> bool {
        !std::mem::replace(&mut self.lock().is_failing, is_failing)
    }

    /// Waits so long, or until the end. Returns whether that has come.
    pub(super) fn pause(&self, patience: Duration) -> bool {
        let going_on = |state: &mut State| !state.has_ended;
        let waited = self
            .arrived
            .wait_timeout_while(self.lock(), patience, going_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.has_ended
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
            self.noter.get().into_iter().for_each(Thread::unpark);
            self.wait(state, Waiting::Many, GATHER, |state| state.weight >= WORTH)
        };
        Taken {
            is_busy: state.weight >= WORTH,
            next_seq: state.next_seq,
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
        let weight = chunk.clear();
        let mut state = self.lock();
        state.weight = state.weight.saturating_sub(weight);
        if state.spare.len() < MAX_SPARE && chunk.is_usual() {
            state.spare.push(chunk);
        }
        drop(state);
        self.room.notify_waiters();
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
        self.room.notify_waiters();
    }
}

// === impl State ===

impl State {
    fn take_number(&mut self) -> i64 {
        let number = self.next_seq;
        self.next_seq += 1;
        number
    }

    fn put(&mut self, head: Head, request: &[u8], weight: usize) {
        let mut chunk = match self.chunks.pop() {
            Some(chunk) if chunk.has_room(request) => chunk,
            full => {
                self.chunks.extend(full);
                self.spare.pop().unwrap_or_else(Chunk::empty)
            }
        };
        chunk.push(head, request, weight);
        self.chunks.push(chunk);
        self.weight += weight;
        self.outstanding += 1;
    }

    fn settle(&mut self, count: u64) {
        self.outstanding = self.outstanding.saturating_sub(count);
    }
}
