//! When a key set is fetched: every interval while that works, after growing pauses while it does
//! not. Pure; waiting is left to `refresh`.

use std::time::Duration;

/// Pause after the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Doubling ends here; the interval is reached long before.
const MAX_DOUBLINGS: u32 = 24;

/// Times between fetches of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) interval: Duration,
    pub(super) cool_down: Duration,
}

impl Schedule {
    /// Time from the end of a fetch to the next, after so many failures in a row. `random` spreads
    /// the fetches of many processes.
    pub(super) fn pause(self, failures: u32, random: u8) -> Duration {
        match failures.checked_sub(1) {
            // Rule: nine tenths of the interval to all of it.
            None => spread(self.interval, 10, random),
            // Rule: half of the pause to all of it.
            Some(doublings) => {
                let pause = FIRST_PAUSE * (1 << doublings.min(MAX_DOUBLINGS));
                spread(pause.min(self.interval), 2, random)
            }
        }
    }
}

/// The whole, less up to the given part of it.
fn spread(whole: Duration, part: u32, random: u8) -> Duration {
    whole - whole / part * u32::from(random) / u32::from(u8::MAX)
}
