//! Where policy that came over the API is kept, so that it survives the process: one trait, its
//! embedded implementation, and one suite of tests for every implementation.

mod embedded;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;
use thiserror::Error;

use crate::policy::resource::ResourceId;

pub use embedded::EmbeddedStore;

/// What a store's operation comes to.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Everything stored, at one revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// 0 when nothing was ever stored.
    pub revision: u64,
    pub resources: Vec<Value>,
    pub bundles: Vec<StoredBundle>,
}

/// A bundle as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBundle {
    pub name: String,
    pub archive: Vec<u8>,
}

/// What one revision changes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The revision this change was made for.
    pub base: u64,
    pub put_resources: Vec<(ResourceId, Value)>,
    pub delete_resources: Vec<ResourceId>,
    pub put_bundles: Vec<StoredBundle>,
    pub delete_bundles: Vec<String>,
}

impl Change {
    /// No change yet, made for a revision.
    pub fn to(base: u64) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }
}

/// Why a store could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else changed it since `base`.
    #[error("the store is at revision {current} already")]
    Stale { current: u64 },
    #[error("{0} is in use by another process")]
    InUse(String),
    #[error("{path} has schema version {found}, this program knows {known}")]
    Schema {
        path: String,
        found: i64,
        known: i64,
    },
    #[error("a stored {what} does not have the checksum it was stored with")]
    Corrupt { what: String },
    #[error("{0}")]
    Failed(String),
}

/// A durable store of policy.
pub trait PolicyStore: std::fmt::Debug + Send + Sync {
    /// Everything at the current revision.
    fn load(&self) -> StoreFuture<'_, Stored>;

    /// Makes a change durable, all of it or nothing, and returns its revision: `base` plus one.
    fn commit(&self, change: Change) -> StoreFuture<'_, u64>;
}
