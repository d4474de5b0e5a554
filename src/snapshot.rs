//! One revision of everything a check looks at: policies, fetched keys, and what is remembered under
//! them. Immutable but for its caches; replaced whole. How a new one comes about is left to `activation`.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{CacheSettings, DecisionCache};
use crate::identity::{Keyring, RemoteKeySets};
use crate::policy::{PolicySet, ShadowPolicies};
use crate::telemetry::Tallies;

/// Most memory for the remembered decisions of one shadow, and for its verified tokens, in bytes.
const SHADOW_CACHE_BYTES: u64 = 8 << 20;

/// What one check sees, from its begin to its end.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts activations since the store was made; 0 is the state before the first.
    pub revision: u64,
    /// Shared by the snapshots of one revision, which differ in fetched keys.
    pub policies: Arc<PolicySet>,
    pub keyring: Keyring,
    pub cache: DecisionCache,
    /// What is asked beside.
    pub shadows: Arc<[Shadow]>,
    /// Where its decisions are counted by policy.
    pub tallies: Arc<Tallies>,
}

/// A bundle that is tried out: all policies as if it were enforced, with keys and caches of its own, so
/// that nothing it remembers gets into a decision, and the other way round.
#[derive(Debug)]
pub struct Shadow {
    pub bundle: Arc<str>,
    /// The manifest's.
    pub bundle_revision: Arc<str>,
    pub snapshot: Snapshot,
}

impl Snapshot {
    pub fn new(
        revision: u64,
        policies: Arc<PolicySet>,
        keys: RemoteKeySets,
        cache: CacheSettings,
    ) -> Self {
        let shadows = policies.shadows.iter();
        let shadows = shadows.map(|shadow| Shadow::new(revision, shadow, &keys, cache));
        Self {
            shadows: shadows.collect(),
            revision,
            policies,
            keyring: Keyring::new(keys, cache.tokens_max_bytes),
            cache: DecisionCache::new(cache),
            tallies: Arc::default(),
        }
    }

    /// The same, with its decisions counted there.
    #[must_use]
    pub fn counted_by(self, tallies: Arc<Tallies>) -> Self {
        Self { tallies, ..self }
    }
}

impl Snapshot {
    /// Other policies under the same keys, with nothing remembered and no shadows: for questions beside
    /// the checks.
    #[must_use]
    pub fn aside(&self, policies: Arc<PolicySet>) -> Self {
        let off = CacheSettings {
            max_bytes: 0,
            ttl: Duration::from_secs(1),
            tokens_max_bytes: 0,
        };
        Self {
            revision: self.revision,
            policies,
            keyring: self.keyring.aside(),
            cache: DecisionCache::new(off),
            shadows: Arc::default(),
            tallies: Arc::default(),
        }
    }
}

// === impl Shadow ===

impl Shadow {
    fn new(
        revision: u64,
        shadow: &ShadowPolicies,
        keys: &RemoteKeySets,
        cache: CacheSettings,
    ) -> Self {
        let cache = CacheSettings {
            max_bytes: cache.max_bytes.min(SHADOW_CACHE_BYTES),
            tokens_max_bytes: cache.tokens_max_bytes.min(SHADOW_CACHE_BYTES),
            ..cache
        };
        let policies = Arc::clone(&shadow.policies);
        Self {
            bundle: Arc::clone(&shadow.bundle),
            bundle_revision: Arc::clone(&shadow.bundle_revision),
            snapshot: Snapshot::new(revision, policies, keys.clone(), cache),
        }
    }
}
