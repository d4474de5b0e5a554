//! Short pauses in long work, so that checks which wait for the same core come in between. A thread of
//! the same priority, and often one of lower, keeps a core until its slice of milliseconds is over.

use std::time::{Duration, Instant};

/// Longest that a check waits, about.
const AT_A_STRETCH: Duration = Duration::from_micros(200);
/// Shorter than any timer is: as short as the system has it, which gives the core away.
const PAUSE: Duration = Duration::from_nanos(1);

/// The pauses of one piece of work.
#[derive(Debug)]
pub struct Breath {
    since: Instant,
}

impl Breath {
    #[expect(clippy::new_without_default, reason = "it has begun by then")]
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
        }
    }

    /// To be called between steps of microseconds: pauses if there was none for a while.
    pub fn draw(&mut self) {
        if self.since.elapsed() >= AT_A_STRETCH {
            std::thread::sleep(PAUSE);
            self.since = Instant::now();
        }
    }
}
