//! When a sink delivers: at random between two delays while that works, after growing pauses while it
//! does not. Pure; waiting is left to the `worker`.

use std::time::Duration;

/// Pause after the first failure, and what each further one multiplies it by.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const FACTOR: f64 = 1.6;
/// Longest pause, whatever the other side asks for.
const MAX_PAUSE: Duration = Duration::from_secs(60);
const MAX_ASKED: Duration = Duration::from_secs(600);
/// Growing ends here; the longest pause is reached long before.
const MAX_GROWTH: u32 = 60;
/// Part of a pause by which it may be longer or shorter.
const JITTER: f64 = 0.2;

/// A number from 0 to 1, to spread what many processes do.
pub(super) fn random() -> f64 {
    let (bits, _) = uuid::Uuid::new_v4().as_u64_pair();
    // The upper half has a few bits that are always the same; the first 32 have none.
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

/// Time from the end of a delivery to the next.
pub(super) fn delay(least: Duration, most: Duration, random: f64) -> Duration {
    least + most.saturating_sub(least).mul_f64(random)
}

/// Time from the end of a failed delivery to the next, after so many in a row. Rule: the other side is
/// not asked before it said.
pub(super) fn pause(failures: u32, asked: Option<Duration>, random: f64) -> Duration {
    let growth = failures.saturating_sub(1).min(MAX_GROWTH);
    let pause = FIRST_PAUSE.as_secs_f64() * FACTOR.powi(growth.cast_signed());
    let pause = pause.min(MAX_PAUSE.as_secs_f64()) * (1.0 + JITTER * (2.0 * random - 1.0));
    let pause = Duration::from_secs_f64(pause).min(MAX_PAUSE);
    pause.max(asked.unwrap_or_default().min(MAX_ASKED))
}
