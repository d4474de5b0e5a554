//! A place beside a remembered decision where a door keeps what it made of it, so that it is made once.
//! What that is, is for the door to know.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

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
