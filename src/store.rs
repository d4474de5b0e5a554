//! Where policy that came over the API is kept, so that it survives the process: one trait, its
//! embedded implementation, and one suite of tests for every implementation. What the bytes mean is
//! left to `activation`.

mod audit;
mod embedded;
mod entry;
mod hash;
mod revision;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::units::Size;

pub use audit::{AuditPage, AuditQuery, AuditRecord, ChainEnds, ChainState, Outcome};
pub use embedded::EmbeddedStore;
pub use entry::{Entry, EntryId, EntryKind};
pub use hash::{Hash, Parts};
pub use revision::{
    Action, Attempt, Author, Became, Change, EntryChange, Fallback, Header, Revision, Stored,
};

/// Threads of the runtime that wait for the file: only one can have it.
pub const BLOCKING_THREADS: usize = 1;
/// Fewest revisions that can be kept: the active one, and the one to fall back to.
const MIN_HISTORY: u32 = 2;
/// Most revisions that can be kept.
const MAX_HISTORY: u32 = 10_000;
/// Fewest and most audit records that can be kept.
const MIN_AUDIT: u32 = 100;
const MAX_AUDIT: u32 = 100_000;
/// Smallest store that can be useful.
const MIN_BYTES: u64 = 256 << 10;

/// Section `store` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many revisions are kept to go back to, the active one included.
    pub history: u32,
    /// How many audit records are kept: of changes, and of attempts that changed nothing.
    pub audit: u32,
    /// How large the store may grow. Old revisions go first when there is no room.
    pub max_bytes: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            history: 100,
            audit: 10_000,
            max_bytes: Size::from_mib(4 << 10),
        }
    }
}

impl Config {
    /// Values that parse but cannot be used.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(MIN_HISTORY..=MAX_HISTORY).contains(&self.history) {
            let why = format!("must be between {MIN_HISTORY} and {MAX_HISTORY}");
            problems.push(("store.history", why));
        }
        if !(MIN_AUDIT..=MAX_AUDIT).contains(&self.audit) {
            let why = format!("must be between {MIN_AUDIT} and {MAX_AUDIT}");
            problems.push(("store.audit", why));
        }
        if self.max_bytes.0 < MIN_BYTES {
            let why = format!("must be {} at least", Size(MIN_BYTES));
            problems.push(("store.max_bytes", why));
        }
        problems
    }
}

/// What a store's operation comes to.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else changed it since `base`.
    #[error("the store is at revision {current} already")]
    Stale { current: u64 },
    #[error("revision {0} is not kept")]
    NotKept(u64),
    #[error("{0} is in use by another process")]
    InUse(String),
    #[error("{path} has schema version {found}, this program knows {known}")]
    Schema {
        path: String,
        found: i64,
        known: i64,
    },
    #[error("the policy store is damaged: {what}")]
    Corrupt { what: String },
    #[error("there is no space left in the policy store")]
    Full,
    /// Reading, writing or syncing failed.
    #[error("the policy store cannot be read or written: {0}")]
    Io(String),
    #[error("{0}")]
    Failed(String),
}

impl StoreError {
    /// A short name out of a closed set, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "stale",
            Self::NotKept(_) => "not_kept",
            Self::InUse(_) => "in_use",
            Self::Schema { .. } => "schema",
            Self::Corrupt { .. } => "corrupt",
            Self::Full => "full",
            Self::Io(_) => "io",
            Self::Failed(_) => "other",
        }
    }

    /// Whether it says no to what was asked, and nothing about how the store is doing.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Stale { .. } | Self::NotKept(_))
    }
}

/// A durable store of policy.
///
/// Revisions are numbered upwards. A number that was acknowledged never comes to stand for anything
/// else; what `load` returns has the checksum it was stored with.
pub trait PolicyStore: std::fmt::Debug + Send + Sync {
    /// Everything at the newest revision that is undamaged. There is nothing only in a store that
    /// was never written to.
    fn load(&self) -> StoreFuture<'_, Stored>;

    /// Everything as it was at a revision that is kept.
    fn load_at(&self, revision: u64) -> StoreFuture<'_, Stored>;

    /// Makes a change durable, all of it or nothing, together with its audit record, and returns its
    /// revision. After an error nothing of it is there.
    fn commit(&self, change: Change) -> StoreFuture<'_, u64>;

    /// Revisions that are kept, newest first.
    fn revisions(&self) -> StoreFuture<'_, Vec<Revision>>;

    /// Writes the audit record of an attempt that changed nothing. A record that cannot be written
    /// now is written with the next one.
    fn record_failure(&self, attempt: Attempt, revision: u64, error: String)
    -> StoreFuture<'_, ()>;

    /// Audit records, newest first, and whether none is missing or changed.
    fn audit(&self, query: AuditQuery) -> StoreFuture<'_, AuditPage>;
}
