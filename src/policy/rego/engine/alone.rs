//! One evaluation on a copy of its own, with all that is known of it afterwards: what was printed, and
//! where it failed. For tests of policies; requests are not asked this way.

use regorus::Value;

use super::message::conflict;
use super::{Engine, EvaluationError};
use crate::policy::rego::RegoError;
use crate::policy::rego::coverage::Lines;

/// What an evaluation came to.
pub(in crate::policy::rego) struct Alone {
    pub(in crate::policy::rego) value: Result<Value, RegoError>,
    pub(in crate::policy::rego) prints: Vec<String>,
    /// Lines that were evaluated, if the engine was told to see them.
    pub(in crate::policy::rego) lines: Lines,
}

// === impl Engine ===

impl Engine {
    /// Sees from now on which lines are evaluated.
    pub(in crate::policy::rego) fn cover(&mut self, enabled: bool) {
        self.prepared.set_enable_coverage(enabled);
    }

    /// Tells `opa.runtime` something else from now on.
    pub(in crate::policy::rego) fn run_by(&mut self, runtime: Value) {
        self.runtime = runtime;
    }

    /// Evaluates a reference without an input.
    pub(in crate::policy::rego) fn evaluate_alone(&self, text: &str, now_ns: i64) -> Alone {
        let mut engine = self.prepared.clone();
        let entered = self.enter(self.limit, now_ns);
        let value = engine.eval_query(text.to_owned(), false);
        let hit = entered.hit();
        let prints = engine.take_prints().unwrap_or_default();
        let value = value.map_err(|error| RegoError::from_evaluation(&error));
        let value = value.and_then(|results| hit.map_or(Ok(results), |hit| Err(hit.into())));
        let first = |results: regorus::QueryResults| {
            let result = results.result.into_iter().next()?;
            Some(result.expressions.into_iter().next()?.value)
        };
        let value = value.map(|results| first(results).unwrap_or(Value::Undefined));
        let prints = prints.iter().map(|line| self.without_place(line));
        Alone {
            value,
            prints: prints.collect(),
            lines: lines_of(&engine),
        }
    }

    /// What was printed, without the place that the interpreter puts in front.
    fn without_place(&self, line: &str) -> String {
        let files = self.files.iter();
        let texts = files.filter_map(|file| line.strip_prefix(file.as_str())?.strip_prefix(':'));
        let text = texts.filter_map(|rest| rest.split_once(": ")).next();
        text.map_or(line, |(_, text)| text).to_owned()
    }
}

fn lines_of(engine: &regorus::Engine) -> Lines {
    let report = engine.get_coverage_report();
    let files = report.into_iter().flat_map(|report| report.files);
    let mut lines = Lines::new();
    for file in files {
        lines.entry(file.path).or_default().extend(file.covered);
    }
    lines
}

// === impl RegoError ===

impl RegoError {
    /// Of an evaluation, with the code that OPA has for it.
    pub(super) fn from_evaluation(error: &anyhow::Error) -> Self {
        if let Some(regorus::LimitError::TimeLimitExceeded { limit, .. }) = error.downcast_ref() {
            return EvaluationError::TimeLimit(*limit).into();
        }
        let error = Self::from_engine("eval_internal_error", "", error);
        let Some(message) = conflict(&error.message) else {
            return error;
        };
        Self {
            code: "eval_conflict_error",
            message: message.to_owned(),
            ..error
        }
    }
}

/// A limit that was hit is at no place.
impl From<EvaluationError> for RegoError {
    fn from(error: EvaluationError) -> Self {
        let is_time = matches!(
            error,
            EvaluationError::TimeLimit(_) | EvaluationError::TimeUp(_)
        );
        Self {
            code: if is_time {
                "eval_cancel_error"
            } else {
                "eval_internal_error"
            },
            message: error.to_string(),
            file: String::new(),
            row: 0,
            col: 0,
        }
    }
}
