//! Places beside a remembered decision: where a door keeps what it made of it, so that it is made once, and
//! where it is counted. What that is, is for those to know who look there.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something made of a decision, by the first to want it. It is no part of the decision: copies begin
/// without, and it makes no difference between two.
#[derive(Default)]
pub struct Memo(OnceLock<Box<dyn Any + Send + Sync>>);

impl Memo {
    /// What is kept, if it is of this kind.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get()?.downcast_ref()
    }

    /// Keeps something, unless there is something already.
    pub fn set<T: Send + Sync + 'static>(&self, made: T) {
        drop(self.0.set(Box::new(made)));
    }
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Memo {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Memo({})", self.0.get().is_some())
    }
}

/// A number beside a remembered decision by which it is counted, found out by the first to count it. It is
/// no part of the decision either.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// The number, which is not 0.
    pub fn get_or_find(&self, find: impl FnOnce() -> u64) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let found = find();
                self.0.store(found, Ordering::Relaxed);
                found
            }
            known => known,
        }
    }
}

impl Clone for Tally {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Tally {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
