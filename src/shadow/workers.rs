//! Threads of low priority that ask shadows, and the bounded line before them. Whoever decides a check
//! puts it in line and goes on; what finds no room is skipped and told so.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::Skip;

/// Most requests in line, and the memory they may take, in bytes.
const MAX_JOBS: usize = 4_096;
const MAX_BYTES: usize = 16 << 20;
/// What has waited so long is not asked any more: its record does not wait longer.
const MAX_AGE: Duration = Duration::from_millis(500);
/// How long a thread that has just worked looks for more by itself, so that checks need not wake it.
const ATTENTION: Duration = Duration::from_millis(5);
/// Most threads.
const MAX_THREADS: usize = 4;
/// Policies and documents nest, and what reads them recurses.
const STACK_BYTES: usize = 16 << 20;
/// How far the threads step back where checks want the whole machine.
const NICENESS: i32 = 10;

/// One request to be compared.
pub trait Job: Send {
    fn run(self: Box<Self>);
    fn skip(self: Box<Self>, why: Skip);
}

/// The threads. There are none before the first job.
#[derive(Debug, Default)]
pub struct Workers {
    line: Arc<Line>,
    started: OnceLock<bool>,
}

#[derive(Default)]
struct Line {
    state: Mutex<State>,
    arrived: Condvar,
    /// Of what is in line or about to be.
    jobs: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Threads that must be woken.
    asleep: usize,
    has_ended: bool,
}

struct Waiting {
    job: Box<dyn Job>,
    weight: usize,
    since: Instant,
}

/// How many threads ask shadows: a quarter of the machine.
pub fn threads() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (cores / 4).min(MAX_THREADS);
    NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)
}

// === impl Workers ===

impl Workers {
    /// Whether there is room for a job that takes so much memory. If so, it is kept for it, and `put`
    /// must follow.
    pub fn reserve(&self, weight: usize) -> bool {
        let line = &self.line;
        let jobs = line.jobs.fetch_add(1, Ordering::Relaxed);
        let bytes = line.bytes.fetch_add(weight, Ordering::Relaxed);
        let has_room = jobs < MAX_JOBS && bytes.saturating_add(weight) <= MAX_BYTES;
        if !has_room {
            line.leave(weight);
        }
        has_room
    }

    /// Puts a job in line for which there is room.
    pub fn put(&self, job: Box<dyn Job>, weight: usize) {
        if !*self.started.get_or_init(|| self.start()) {
            self.line.leave(weight);
            return job.skip(Skip::Busy);
        }
        let waiting = Waiting {
            job,
            weight,
            since: Instant::now(),
        };
        let mut state = self.line.lock();
        state.waiting.push_back(waiting);
        let must_wake = state.asleep > 0;
        drop(state);
        if must_wake {
            self.line.arrived.notify_one();
        }
    }

    /// Whether any thread could be had.
    fn start(&self) -> bool {
        let start = |_| {
            let line = Arc::clone(&self.line);
            let thread = std::thread::Builder::new().name("shadow".to_owned());
            let started = thread
                .stack_size(STACK_BYTES)
                .spawn(move || line.work())
                .is_ok();
            usize::from(started)
        };
        let started: usize = (0..threads().get()).map(start).sum();
        if started == 0 {
            tracing::error!("no thread can be had for shadows: they are skipped until a restart");
        }
        started > 0
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.has_ended = true;
        let left = std::mem::take(&mut state.waiting);
        drop(state);
        self.line.arrived.notify_all();
        for waiting in left {
            self.line.leave(waiting.weight);
            waiting.job.skip(Skip::Stopped);
        }
    }
}

// === impl Line ===

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, weight: usize) {
        self.jobs.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
    }

    fn work(&self) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            // Where a sandbox forbids it, shadows cost checks more, and nothing else.
            tracing::debug!(%error, "asking shadows at the same priority as checks");
        }
        while let Some(Waiting { job, weight, since }) = self.next() {
            match since.elapsed() > MAX_AGE {
                true => job.skip(Skip::Late),
                // A job sees to its own panics: this keeps the thread in any case.
                false => drop(catch_unwind(AssertUnwindSafe(|| job.run()))),
            }
            self.leave(weight);
        }
    }

    /// Waits for a job; `None` at the end.
    fn next(&self) -> Option<Waiting> {
        let nothing = |state: &mut State| state.waiting.is_empty() && !state.has_ended;
        let attentive = self
            .arrived
            .wait_timeout_while(self.lock(), ATTENTION, nothing);
        let (mut state, _) = attentive.unwrap_or_else(PoisonError::into_inner);
        if nothing(&mut state) {
            state.asleep += 1;
            let woken = self.arrived.wait_while(state, nothing);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
        }
        state.waiting.pop_front()
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Line")
            .field("jobs", &self.jobs)
            .field("bytes", &self.bytes)
            .finish()
    }
}
