//! When a check came, and how long its steps take. Whoever takes a check starts the watch; those that
//! decide hand it on, and read no clock if none was started.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::traces::TraceContext;

/// One check among so many has its native policies measured: looking at the clock twice takes longer than
/// some of them do.
const SAMPLED: i64 = 16;

/// All steps that are measured.
pub(super) const STEPS: [Step; 3] = [Step::Authenticate, Step::Native, Step::Rego];

/// When a check came.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// Nanoseconds since 1970, as policies see it.
    pub now_ns: i64,
    pub stopwatch: Stopwatch,
    /// The trace of who asked, if anybody wants to know.
    pub caller: TraceContext,
}

/// Measures one check.
#[derive(Debug, Clone, Default)]
pub struct Stopwatch {
    began: Option<Instant>,
    /// By step, in nanoseconds; 0 was not measured.
    steps: [Cell<u64>; STEPS.len()],
}

/// A part of deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Verifying tokens that were not known yet.
    Authenticate,
    /// All that the other two are not.
    Native,
    Rego,
}

// === impl Step ===

impl Step {
    /// The name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Native => "native",
            Self::Rego => "rego",
        }
    }
}

// === impl Arrival ===

impl Arrival {
    /// A check that came then, and is measured from then on.
    pub fn measured(now_ns: i64, began: Instant) -> Self {
        let stopwatch = Stopwatch {
            began: Some(began),
            ..Stopwatch::default()
        };
        Self {
            now_ns,
            stopwatch,
            caller: TraceContext::default(),
        }
    }

    /// The same, of who asks for a trace.
    #[must_use]
    pub fn called_for(self, caller: TraceContext) -> Self {
        Self { caller, ..self }
    }
}

/// A check of which nobody asks how long it takes.
impl From<i64> for Arrival {
    fn from(now_ns: i64) -> Self {
        Self {
            now_ns,
            stopwatch: Stopwatch::default(),
            caller: TraceContext::default(),
        }
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    /// Asks Rego something, and notes how long that took.
    pub fn asking_rego<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.timing(Step::Rego, ask)
    }

    /// Does a step, and notes how long that took.
    pub fn timing<T>(&self, step: Step, act: impl FnOnce() -> T) -> T {
        if self.began.is_none() {
            return act();
        }
        let began = Instant::now();
        let done = act();
        self.add(step, began.elapsed());
        done
    }

    /// Asks all policies of a check that came then, and notes, of one check among many, how long those
    /// took that are native.
    pub fn asking_policies<T>(&self, now_ns: i64, ask: impl FnOnce() -> T) -> T {
        if self.began.is_none() || now_ns % SAMPLED != 0 {
            return ask();
        }
        let began = Instant::now();
        let done = ask();
        let all = began.elapsed();
        let others = [Step::Authenticate, Step::Rego].map(|step| self.of(step));
        let others = others.into_iter().flatten().sum();
        self.add(Step::Native, all.saturating_sub(others));
        done
    }

    fn add(&self, step: Step, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(measured) = self.steps.get(step as usize) {
            // What was measured is there, be it as short as the clock can tell.
            measured.set(measured.get().saturating_add(nanos.max(1)));
        }
    }

    /// How long ago the check came.
    pub fn elapsed(&self) -> Option<Duration> {
        self.began.map(|began| began.elapsed())
    }

    /// How long a step took, if it was measured.
    pub fn of(&self, step: Step) -> Option<Duration> {
        let nanos = self.steps.get(step as usize).map_or(0, Cell::get);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}
