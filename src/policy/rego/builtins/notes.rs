//! `trace`: notes that a policy makes while it is evaluated, kept only where somebody asked for them.

use std::cell::RefCell;

use regorus::Value;

use super::{Answer, Builtin, text};

/// Most notes of one evaluation, and most bytes of them together; what comes after is not kept.
const MAX_NOTES: usize = 1_000;
const MAX_BYTES: usize = 1 << 20;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("trace", 1, trace)];

thread_local! {
    static NOTES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Keeps the notes of evaluations on this thread, until it is dropped.
pub(in crate::policy::rego) struct Notes(());

impl Notes {
    pub(in crate::policy::rego) fn keep() -> Self {
        NOTES.set(Some(Vec::new()));
        Self(())
    }

    /// Those that were made so far.
    pub(in crate::policy::rego) fn take(&self) -> Vec<String> {
        NOTES.replace(Some(Vec::new())).unwrap_or_default()
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        NOTES.set(None);
    }
}

/// Rule: it always holds.
fn trace(arguments: &[Value]) -> Answer {
    let note = text(arguments, 0)?;
    NOTES.with_borrow_mut(|notes| {
        let Some(notes) = notes else { return };
        let bytes: usize = notes.iter().map(String::len).sum();
        if notes.len() < MAX_NOTES && bytes + note.len() <= MAX_BYTES {
            notes.push(note.to_owned());
        }
    });
    Ok(Value::from(true))
}
