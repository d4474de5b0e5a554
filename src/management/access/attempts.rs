//! Failed attempts by where they come from: who guesses too often is not listened to for a while. A
//! call without any credentials is no guess.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::listen::{Peer, Source};

/// Most failures of one source in a window. Credentials are not looked at from then on to its end.
pub(super) const MAX_FAILURES: u32 = 20;
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Most sources that are told apart; any further ones count as one.
const MAX_SOURCES: usize = 4_096;

/// What failures are counted by: a source, or `None` for whoever came when there was no room.
type Counted = Option<Source>;

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    failures: u32,
}

/// Failures of the last while.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Counted, Window>>);

impl Attempts {
    /// How long this peer has to wait, if it failed too often.
    pub(super) fn must_wait(&self, peer: Peer, now: Instant) -> Option<Duration> {
        let windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match windows.get(&Some(Source::from(peer))) {
            Some(window) => window,
            // Who would not be told apart is one of the others.
            None if windows.len() >= MAX_SOURCES => windows.get(&None)?,
            None => return None,
        };
        let left = WINDOW.checked_sub(now.saturating_duration_since(window.began))?;
        (window.failures >= MAX_FAILURES && !left.is_zero()).then_some(left)
    }

    /// Counts a failure; true if it is the one that makes this peer wait.
    pub(super) fn failed(&self, peer: Peer, now: Instant) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut source = Some(Source::from(peer));
        if !windows.contains_key(&source) && windows.len() >= MAX_SOURCES {
            windows.retain(|_, window| !window.is_over(now));
            if windows.len() >= MAX_SOURCES {
                source = None;
            }
        }
        let new = Window {
            began: now,
            failures: 0,
        };
        let window = windows.entry(source).or_insert(new);
        if window.is_over(now) {
            *window = new;
        }
        window.failures = window.failures.saturating_add(1);
        window.failures == MAX_FAILURES
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= WINDOW
    }
}
