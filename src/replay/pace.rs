//! How fast a replay goes on: behind checks, for a share of one core, until its time is over or nobody
//! waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How far the thread steps back.
const NICENESS: i32 = 10;
/// Work at a stretch, before it pauses.
const STRETCH: Duration = Duration::from_millis(5);
/// Longest pause before it is looked whether to go on.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// Of one replay.
#[derive(Debug)]
pub(super) struct Pace {
    /// Pause for each second of work, in seconds.
    rest: f64,
    until: Instant,
    is_left: Arc<AtomicBool>,
    /// When the work began that no pause was made for.
    since: Instant,
}

impl Pace {
    /// `share` is that of a core.
    pub(super) fn new(share: f64, until: Instant, is_left: Arc<AtomicBool>) -> Self {
        Self {
            rest: 1.0 / share - 1.0,
            until,
            is_left,
            since: Instant::now(),
        }
    }

    /// Begins to work, on this thread.
    pub(super) fn begin(&mut self) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            // Where a sandbox forbids it, a replay costs checks more, and nothing else.
            tracing::debug!(%error, "replaying at the same priority as checks");
        }
        self.since = Instant::now();
    }

    /// To be called between two pieces of work: pauses as long as it should. `false`: it is over.
    pub(super) fn goes_on(&mut self) -> bool {
        let worked = self.since.elapsed();
        if worked >= STRETCH {
            let end = Instant::now() + worked.mul_f64(self.rest);
            while self.may_go_on() {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::sleep(left.min(MAX_PAUSE));
            }
            self.since = Instant::now();
        }
        self.may_go_on()
    }

    fn may_go_on(&self) -> bool {
        !self.is_left.load(Ordering::Relaxed) && Instant::now() < self.until
    }
}
