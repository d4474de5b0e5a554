//! Interpreters, kept for one evaluation after another. Each counts references to its syntax tree and its
//! data, and cores that count the same ones wait for each other. So there are several of all that, as long
//! as policies are small: a lane each, and an evaluation takes a lane that is free.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use regorus::Value;
use regorus::unstable::{Module, Ref};

/// Most lanes.
const MAX_LANES: usize = 64;
/// How large the modules and data of all lanes together may be, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// What a value counts, beside its text.
const VALUE_BYTES: usize = 16;
/// Most idle interpreters of a lane. There can be more at work, where there are more evaluations at once
/// than lanes.
const MAX_IDLE: usize = 64;

thread_local! {
    /// The lane that this thread took last: most of it is near to its core.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// Interpreters of the same policies, by what they share.
#[derive(Debug)]
pub(super) struct Lanes {
    first: Lane,
    others: Box<[Lane]>,
}

/// Interpreters with one syntax tree and data.
#[derive(Debug)]
struct Lane {
    /// What another is copied from; a copy begins anew.
    prepared: regorus::Engine,
    idle: Mutex<Vec<regorus::Engine>>,
    /// How many are at work.
    running: AtomicUsize,
}

/// An interpreter at work.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    pub(super) engine: regorus::Engine,
    place: Place<'a>,
}

/// Counts as at work in a lane, until it is dropped.
#[derive(Debug)]
struct Place<'a>(&'a Lane);

/// How many lanes modules and their data are to have, where so many evaluations can run at once.
pub(super) fn count(at_once: NonZeroUsize, modules: &[Ref<Module>], data: &Value) -> usize {
    let texts = modules.iter();
    let texts = texts.map(|module| module.package.span.source.contents().len());
    let mut left = MAX_BYTES.saturating_sub(texts.sum());
    let fits = take_size(data, &mut left);
    let most = if fits {
        MAX_BYTES / (MAX_BYTES - left).max(1)
    } else {
        1
    };
    at_once.get().min(MAX_LANES).min(most).max(1)
}

/// Takes the size of a value off, if so much is left.
fn take_size(value: &Value, left: &mut usize) -> bool {
    let text = value.as_string().map_or(0, |text| text.len());
    let Some(rest) = left.checked_sub(VALUE_BYTES + text) else {
        return false;
    };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| take_size(item, left)),
        Value::Set(items) => items.iter().all(|item| take_size(item, left)),
        Value::Object(members) => members
            .iter()
            .all(|(name, item)| take_size(name, left) && take_size(item, left)),
        _ => true,
    }
}

/// An equal value that shares nothing with this one, but for what large numbers have.
pub(super) fn copy(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.as_ref()),
        Value::Array(items) => Value::from(items.iter().map(copy).collect::<Vec<_>>()),
        Value::Set(items) => Value::from(items.iter().map(copy).collect::<BTreeSet<_>>()),
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, item)| (copy(name), copy(item)));
            Value::from(members.collect::<BTreeMap<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => value.clone(),
    }
}

// === impl Lanes ===

impl Lanes {
    /// Lanes of interpreters of which no two share anything.
    pub(super) fn of(first: regorus::Engine, others: Vec<regorus::Engine>) -> Self {
        Self {
            first: Lane::of(first),
            others: others.into_iter().map(Lane::of).collect(),
        }
    }

    /// An interpreter, of a lane where none is at work if there is one.
    pub(super) fn take(&self) -> Taken<'_> {
        let lanes = || std::iter::once(&self.first).chain(&self.others);
        let last = lanes().nth(LAST.get()).unwrap_or(&self.first);
        if last.is_free() {
            return last.take();
        }
        match lanes().enumerate().find(|(_, lane)| lane.is_free()) {
            Some((at, lane)) => {
                LAST.set(at);
                lane.take()
            }
            None => last.take(),
        }
    }
}

// === impl Lane ===

impl Lane {
    fn of(engine: regorus::Engine) -> Self {
        Self {
            prepared: engine.clone(),
            // What it has prepared goes to the first that evaluates.
            idle: Mutex::new(vec![engine]),
            running: AtomicUsize::new(0),
        }
    }

    fn is_free(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    fn take(&self) -> Taken<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        let place = Place(self);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = idle.pop();
        drop(idle);
        Taken {
            engine: engine.unwrap_or_else(|| self.prepared.clone()),
            place,
        }
    }
}

// === impl Taken ===

impl Taken<'_> {
    /// Keeps the interpreter for the next evaluation, with nothing left of this one.
    pub(super) fn keep(self) {
        let Self { mut engine, place } = self;
        engine.set_input(Value::Undefined);
        drop(engine.take_prints());
        let mut idle = place.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(engine);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
