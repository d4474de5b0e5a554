//! One revision of everything a check looks at: policies, fetched keys, and what is remembered under
//! them. Immutable but for its caches; replaced whole. How a new one comes about is left to `activation`.

use std::sync::Arc;

use crate::cache::{CacheSettings, DecisionCache};
use crate::identity::{Keyring, RemoteKeySets};
use crate::policy::PolicySet;

/// What one check sees, from its begin to its end.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts activations since the store was made; 0 is the state before the first.
    pub revision: u64,
    /// Shared by the snapshots of one revision, which differ in fetched keys.
    pub policies: Arc<PolicySet>,
    pub keyring: Keyring,
    pub cache: DecisionCache,
}

impl Snapshot {
    pub fn new(
        revision: u64,
        policies: Arc<PolicySet>,
        keys: RemoteKeySets,
        cache: CacheSettings,
    ) -> Self {
        Self {
            revision,
            policies,
            keyring: Keyring::new(keys, cache.tokens_max_bytes),
            cache: DecisionCache::new(cache),
        }
    }
}
