//! Decisions remembered under exactly what was read to make them. A cache belongs to one snapshot
//! and dies with it. What goes into a key is said in `key`.

mod key;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use key::{CacheKey, key};

use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::units::{Size, Span};

/// Memory an entry takes besides the decision, in bytes.
const ENTRY_OVERHEAD: usize = 160;

/// Section `cache` of the configuration.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Memory for remembered decisions; `0B` turns remembering off.
    pub max_bytes: Size,
    /// Longest a decision is remembered.
    pub ttl: Span,
    /// Memory for verified tokens; `0B` turns remembering off.
    pub tokens_max_bytes: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_bytes: Size::from_mib(64),
            ttl: Span::from_secs(60),
            tokens_max_bytes: Size::from_mib(16),
        }
    }
}

impl From<Config> for CacheSettings {
    fn from(config: Config) -> Self {
        Self {
            max_bytes: config.max_bytes.0,
            ttl: config.ttl.0,
            tokens_max_bytes: config.tokens_max_bytes.0,
        }
    }
}

/// Sizes and lifetime of a snapshot's caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// 0 turns it off.
    pub max_bytes: u64,
    pub ttl: Duration,
    /// For verified tokens, which a snapshot remembers beside its decisions; 0 turns it off.
    pub tokens_max_bytes: u64,
}

/// Decisions of one snapshot.
#[derive(Debug)]
pub struct DecisionCache {
    entries: Option<moka::sync::Cache<CacheKey, Arc<Decision>>>,
}

impl DecisionCache {
    pub fn new(settings: CacheSettings) -> Self {
        let off = settings.max_bytes == 0 || settings.ttl.is_zero();
        let entries = (!off).then(|| {
            moka::sync::Cache::builder()
                .max_capacity(settings.max_bytes)
                .weigher(|_, decision: &Arc<Decision>| {
                    u32::try_from(decision.weight() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
                })
                .time_to_live(settings.ttl)
                .build()
        });
        Self { entries }
    }

    pub fn is_on(&self) -> bool {
        self.entries.is_some()
    }

    /// A remembered decision that still holds at `now`, in seconds since 1970.
    pub fn get(&self, key: &CacheKey, now: u64) -> Option<Arc<Decision>> {
        let decision = self.entries.as_ref()?.get(key)?;
        // Time can go back: a clock is set, or somebody asks about another time.
        let holds = decision.holds_from.is_none_or(|from| from <= now)
            && decision.holds_until.is_none_or(|until| now <= until);
        holds.then_some(decision)
    }

    pub fn insert(&self, key: CacheKey, decision: Arc<Decision>) {
        if let Some(entries) = self.entries.as_ref().filter(|_| decision.cacheable) {
            entries.insert(key, decision);
        }
    }

    /// How many decisions are remembered, about.
    pub fn len(&self) -> u64 {
        self.entries
            .as_ref()
            .map_or(0, moka::sync::Cache::entry_count)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
