//! When a server is asked again: at random between two delays while that works, after growing pauses
//! while it does not. Pure; waiting is left to `poll`.

use std::time::Duration;

use crate::bundle::Polling;

/// Pause after the first failure, and what each further one multiplies it by. OPA's.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const FACTOR: f64 = 1.6;
/// Growing ends here; the longest delay is reached long before.
const MAX_GROWTH: i32 = 60;
/// Part of a pause by which it may be longer or shorter.
const JITTER: f64 = 0.2;

/// Time from the end of a request to the next, after so many failures in a row. `random` is out of
/// 0 to 1 and spreads the requests of many processes.
pub(super) fn pause(polling: &Polling, failures: u32, random: f64) -> Duration {
    let (least, most) = (polling.min_delay.0, polling.max_delay.0);
    let Some(further) = failures.checked_sub(1) else {
        return least + most.saturating_sub(least).mul_f64(random);
    };
    let growth = i32::try_from(further).unwrap_or(MAX_GROWTH).min(MAX_GROWTH);
    let pause = FIRST_PAUSE.as_secs_f64() * FACTOR.powi(growth);
    let pause = pause.min(most.as_secs_f64()) * (1.0 + JITTER * (2.0 * random - 1.0));
    // Rule: the longest delay is the longest.
    Duration::from_secs_f64(pause).min(most)
}
