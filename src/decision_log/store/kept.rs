//! How far back the log goes: the oldest record there is, and up to when others were removed. Of what was
//! never recorded it knows nothing.

use std::path::Path;

use jiff::Timestamp;

use super::damage::is_damage;
use super::{LogReaders, LogStore, UNKNOWN_REMOVALS};
use crate::decision_log::details::rfc3339;
use crate::decision_log::query::{Filter, QueryError};

/// What is left of what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The time of the oldest record.
    pub oldest: Option<String>,
    /// Records up to this time may have been removed.
    removed_until_ns: i64,
}

impl LogReaders {
    /// What is left of what was recorded.
    pub fn kept(&self) -> Result<Kept, QueryError> {
        self.ask(|store| Ok(store.kept()?))
    }
}

impl LogStore {
    /// Opens a new file in the place of one that was set aside. Rule: what that held counts as removed.
    pub(in crate::decision_log) fn open_anew(path: &Path) -> anyhow::Result<Self> {
        let store = Self::open(path)?;
        store.connection().execute_batch(UNKNOWN_REMOVALS)?;
        Ok(store)
    }

    pub(in crate::decision_log) fn kept(&self) -> rusqlite::Result<Kept> {
        let connection = self.connection();
        let removed = "SELECT removed_until_ns FROM numbers";
        let oldest = "SELECT min(first_time_ns) FROM blocks";
        let oldest = match connection.query_row(oldest, [], |row| row.get(0)) {
            Ok(oldest) => oldest,
            Err(error) if is_damage(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Kept {
            oldest: oldest.map(rfc3339),
            removed_until_ns: connection.query_row(removed, [], |row| row.get(0))?,
        })
    }
}

impl Kept {
    /// Whether records may be gone that are asked for. Who names no beginning asks for those that are left.
    pub fn lacks_some_of(&self, filter: &Filter) -> Result<bool, QueryError> {
        let since = filter.wanted(Timestamp::now())?.since;
        Ok(filter.since.is_some() && since <= self.removed_until_ns)
    }
}
