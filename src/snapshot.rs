//! One revision of everything a check looks at: policies and the decisions remembered under them.
//! Immutable but for the cache; replaced whole. How a new one comes about is left to `activation`.

use crate::cache::{CacheSettings, DecisionCache};
use crate::identity::Keyring;
use crate::policy::PolicySet;

/// What one check sees, from its begin to its end.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts activations since the store was made; 0 is the state before the first.
    pub revision: u64,
    pub policies: PolicySet,
    pub keyring: Keyring,
    pub cache: DecisionCache,
}

impl Snapshot {
    pub fn new(revision: u64, policies: PolicySet, cache: CacheSettings) -> Self {
        Self {
            revision,
            policies,
            keyring: Keyring::new(cache.tokens_max_bytes),
            cache: DecisionCache::new(cache),
        }
    }
}
