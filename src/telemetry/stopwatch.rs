//! When a check came, and how long its steps take. Whoever takes a check starts the watch; those that
//! decide hand it on, and read no clock if none was started.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// When a check came.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// Nanoseconds since 1970, as policies see it.
    pub now_ns: i64,
    pub stopwatch: Stopwatch,
}

/// Measures one check.
#[derive(Debug, Clone, Default)]
pub struct Stopwatch {
    began: Option<Instant>,
    rego: Cell<Option<Duration>>,
}

// === impl Arrival ===

impl Arrival {
    /// A check that came then, and is measured from then on.
    pub fn measured(now_ns: i64, began: Instant) -> Self {
        let stopwatch = Stopwatch {
            began: Some(began),
            rego: Cell::default(),
        };
        Self { now_ns, stopwatch }
    }
}

/// A check of which nobody asks how long it takes.
impl From<i64> for Arrival {
    fn from(now_ns: i64) -> Self {
        Self {
            now_ns,
            stopwatch: Stopwatch::default(),
        }
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    /// Asks Rego something, and notes how long that took.
    pub fn asking_rego<T>(&self, ask: impl FnOnce() -> T) -> T {
        if self.began.is_none() {
            return ask();
        }
        let began = Instant::now();
        let answer = ask();
        let before = self.rego.get().unwrap_or_default();
        self.rego.set(Some(before + began.elapsed()));
        answer
    }

    /// How long ago the check came.
    pub fn elapsed(&self) -> Option<Duration> {
        self.began.map(|began| began.elapsed())
    }

    /// How long Rego took, if it was asked.
    pub fn in_rego(&self) -> Option<Duration> {
        self.rego.get()
    }
}
