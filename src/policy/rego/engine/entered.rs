//! The one way into an evaluation: what built-ins on its thread go by, and whether a limit was hit on the
//! way to its result. What is evaluated is left to `engine`.

use std::time::Duration;

use super::{Engine, EvaluationError};
use crate::policy::rego::builtins::{Clock, Draws, Remembering, Runtime};
use crate::policy::rego::limits::Evaluation;

/// An evaluation on this thread, until it is dropped.
pub(super) struct Entered {
    evaluation: Evaluation,
    limit: Duration,
    _clock: Clock,
    _draws: Draws,
    _runtime: Runtime,
    _remembering: Remembering,
}

// === impl Engine ===

impl Engine {
    /// Begins an evaluation that may take so long, at a time in nanoseconds since 1970.
    pub(super) fn enter(&self, limit: Duration, now_ns: i64) -> Entered {
        Entered {
            _clock: Clock::set(now_ns),
            _draws: Draws::begin(),
            _runtime: Runtime::set(&self.runtime),
            _remembering: self.tokens.enter(),
            evaluation: Evaluation::begin(),
            limit,
        }
    }
}

// === impl Entered ===

impl Entered {
    /// The limit that was hit, if one was: a result that there is all the same does not count. An error
    /// by which the interpreter ended says more.
    pub(super) fn hit(&self) -> Option<EvaluationError> {
        if let Some(hit) = self.evaluation.hit() {
            return Some(match EvaluationError::from_text(hit) {
                EvaluationError::Failed(message) => EvaluationError::Limit(message),
                other => other,
            });
        }
        self.is_over()
            .then_some(EvaluationError::TimeLimit(self.limit))
    }

    /// Whether a limit was hit, of another kind than time.
    pub(super) fn has_hit(&self) -> bool {
        self.evaluation.hit().is_some()
    }

    /// Whether it took longer than it may.
    pub(super) fn is_over(&self) -> bool {
        self.evaluation.took_longer_than(self.limit)
    }
}
