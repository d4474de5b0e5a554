//! One evaluation on a copy of its own, with all that is known of it afterwards: what was printed, and
//! where it failed. For tests of policies; requests are not asked this way.

use regorus::Value;

use super::Engine;
use crate::policy::rego::RegoError;
use crate::policy::rego::builtins::Clock;

// === impl Engine ===

impl Engine {
    /// Evaluates a reference without an input, with what was printed meanwhile.
    pub(in crate::policy::rego) fn evaluate_alone(
        &self,
        text: &str,
        now_ns: i64,
    ) -> (Result<Value, RegoError>, Vec<String>) {
        let mut engine = self.prepared.clone();
        let _clock = Clock::set(now_ns);
        let value = engine.eval_query(text.to_owned(), false);
        let prints = engine.take_prints().unwrap_or_default();
        let value = value.map_err(|error| RegoError::from_evaluation(&error));
        let first = |results: regorus::QueryResults| {
            let result = results.result.into_iter().next()?;
            Some(result.expressions.into_iter().next()?.value)
        };
        let value = value.map(|results| first(results).unwrap_or(Value::Undefined));
        let prints = prints.iter().map(|line| self.without_place(line));
        (value, prints.collect())
    }

    /// What was printed, without the place that the interpreter puts in front.
    fn without_place(&self, line: &str) -> String {
        let files = self.files.iter();
        let texts = files.filter_map(|file| line.strip_prefix(file.as_str())?.strip_prefix(':'));
        let text = texts.filter_map(|rest| rest.split_once(": ")).next();
        text.map_or(line, |(_, text)| text).to_owned()
    }
}

// === impl RegoError ===

impl RegoError {
    /// Of an evaluation, with the code that OPA has for it.
    fn from_evaluation(error: &anyhow::Error) -> Self {
        if let Some(regorus::LimitError::TimeLimitExceeded { limit, .. }) = error.downcast_ref() {
            return Self {
                code: "eval_cancel_error",
                message: format!("evaluation took longer than {}ms", limit.as_millis()),
                file: String::new(),
                row: 0,
                col: 0,
            };
        }
        let error = Self::from_engine("eval_internal_error", "", error);
        if !error.message.contains("multiple outputs") {
            return error;
        }
        let message = match error.message.starts_with("function") {
            true => "functions must not produce multiple outputs for same inputs",
            false => "complete rules must not produce multiple outputs",
        };
        Self {
            code: "eval_conflict_error",
            message: message.to_owned(),
            ..error
        }
    }
}
