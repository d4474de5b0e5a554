//! Limits that an evaluation on this thread has hit, and the size of values. Wherever a limit is hit, the
//! evaluation fails: if the interpreter went on as if there were no value, a request could choose by it
//! which clause counts. What the limits are stands where they are held.

use std::cell::RefCell;
use std::time::Duration;

use regorus::Value;
use regorus::utils::limits::monotonic_now;

/// Most steps on the ways to all parts of a value together.
const MAX_STEPS: usize = 10_000_000;

thread_local! {
    static HIT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes that a limit was hit, by what is said of it.
pub(super) fn hit(message: &str) {
    HIT.with_borrow_mut(|hit| {
        hit.get_or_insert_with(|| message.to_owned());
    });
}

/// Refuses a value whose parts lie so deep, or are the same so often, that going to each of them takes more
/// than any policy needs.
pub(super) fn check_size(value: &Value) -> Result<(), &'static str> {
    let mut left = MAX_STEPS;
    match fits(value, 1, &mut left) {
        true => Ok(()),
        false => Err("a value with so many parts so deep is refused"),
    }
}

fn fits(value: &Value, depth: usize, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(depth) else {
        return false;
    };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, depth + 1, left)),
        Value::Set(items) => items.iter().all(|item| fits(item, depth + 1, left)),
        Value::Object(members) => members
            .iter()
            .all(|(key, item)| fits(key, depth + 1, left) && fits(item, depth + 1, left)),
        _ => true,
    }
}

/// One evaluation, until it is dropped. The time is that by which the interpreter goes.
pub(super) struct Evaluation {
    began: Option<Duration>,
}

impl Evaluation {
    pub(super) fn begin() -> Self {
        HIT.set(None);
        Self {
            began: monotonic_now(),
        }
    }

    /// What was said of the first limit that was hit.
    pub(super) fn hit(&self) -> Option<String> {
        HIT.take()
    }

    pub(super) fn took_longer_than(&self, limit: Duration) -> bool {
        let took = monotonic_now().zip(self.began);
        took.is_some_and(|(now, began)| now.saturating_sub(began) > limit)
    }
}

impl Drop for Evaluation {
    fn drop(&mut self) {
        HIT.set(None);
    }
}
