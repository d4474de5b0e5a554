//! What tests do to a store behind its back.

use rusqlite::Connection;

use super::{EmbeddedStore, Faults};

impl EmbeddedStore {
    pub(in crate::store) fn with<T>(&self, act: impl FnOnce(&Connection, &mut Faults) -> T) -> T {
        let mut inner = self.inner.lock().unwrap();
        let inner = &mut *inner;
        act(inner.connection.as_ref().unwrap(), &mut inner.faults)
    }
}
