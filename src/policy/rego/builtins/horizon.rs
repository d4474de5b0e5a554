//! Until when values hold that depend on the clock and change at a known time. The built-ins of an evaluation
//! note it; the earliest counts. What is made of it is left to whoever remembers answers.

use std::cell::Cell;

use regorus::Value;

use super::super::json;

/// Times are compared as doubles: by so much earlier a value is taken to end, in nanoseconds.
const MARGIN_NS: i64 = 10_000;

thread_local! {
    static UNTIL_NS: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// What one evaluation on this thread notes, until it is dropped.
pub(in crate::policy::rego) struct Horizon(());

impl Horizon {
    pub(in crate::policy::rego) fn begin() -> Self {
        UNTIL_NS.set(i64::MAX);
        Self(())
    }

    /// From when on the evaluation can come to something else, in nanoseconds since 1970.
    pub(in crate::policy::rego) fn until_ns(&self) -> Option<i64> {
        Some(UNTIL_NS.get()).filter(|until| *until != i64::MAX)
    }
}

impl Drop for Horizon {
    fn drop(&mut self) {
        UNTIL_NS.set(i64::MAX);
    }
}

/// Notes a second since 1970, of any size, at which a value changes.
pub(super) fn note_second(second: &Value) {
    // Through its text: a double is only had for an integer that fits it.
    let seconds: f64 = json::scalar_text(second).parse().unwrap_or(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is beyond the times there are is the last of them"
    )]
    let at_ns = (seconds * 1e9) as i64;
    let until_ns = at_ns.saturating_sub(MARGIN_NS);
    UNTIL_NS.set(UNTIL_NS.get().min(until_ns));
}
