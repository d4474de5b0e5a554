//! Decisions remembered under exactly what was read to make them. A cache belongs to one snapshot
//! and dies with it. What is written down of a request is said in `key`, how it is hashed in `hash`.

mod hash;
mod key;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::notification::RemovalCause;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::attributes::Attributes;
use crate::decision::Decision;
use crate::policy::lifetime::Unremembered;
use crate::policy::reads::Plan;
use crate::units::{Size, Span};
use hash::{Finished, Hasher, Prehashed};
use key::Encoding;

/// Memory an entry takes besides its key and the decision, in bytes.
const ENTRY_OVERHEAD: usize = 400;
/// Of all of it an allocator takes so much more, as a part: it hands out sizes of its own.
const ALLOCATOR_SHARE: usize = 8;

/// Section `cache` of the configuration, or `off` in its place.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
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

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Section)
    }
}

/// Reads the section, or the word. Some writers of YAML have `off` mean `false`.
struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = Config;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a mapping, or `off`")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Config, A::Error> {
        Config::deserialize(MapAccessDeserializer::new(members))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Config, E> {
        match text {
            "off" => Ok(Config::off()),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<Config, E> {
        match on {
            false => Ok(Config::off()),
            true => Err(E::invalid_value(Unexpected::Bool(on), &self)),
        }
    }
}

impl Config {
    /// No decision is remembered; verified tokens are.
    fn off() -> Self {
        Self {
            max_bytes: Size(0),
            ..Self::default()
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
    on: Option<Entries>,
    evictions: Arc<Evictions>,
}

#[derive(Debug)]
struct Entries {
    map: moka::sync::Cache<StoredKey, Entry, Prehashed>,
    /// Longest that a decision is remembered, in nanoseconds.
    ttl_ns: i64,
    hasher: Hasher,
}

/// A remembered decision, and from when until when it is used.
#[derive(Debug, Clone)]
struct Entry {
    decision: Arc<Decision>,
    made_ns: i64,
    until_ns: i64,
}

/// Entries that went before their decisions ended, or because they had.
#[derive(Debug, Default)]
struct Evictions {
    for_room: AtomicU64,
    ended: AtomicU64,
}

/// What tells a request apart from all that may be decided otherwise.
#[derive(Debug)]
pub struct CacheKey {
    hash: Finished,
    encoding: Encoding,
}

/// The same, as it is kept.
#[derive(Debug, PartialEq, Eq)]
struct StoredKey {
    hash: Finished,
    encoding: Box<[u8]>,
}

/// What the cache had to do with a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// It was remembered.
    Hit,
    /// It is from now on.
    Miss,
    Not(Unremembered),
}

/// How full a cache is, and what went since this was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheUse {
    pub entries: u64,
    pub bytes: u64,
    pub evicted_for_room: u64,
    pub evicted_at_end: u64,
}

// === impl DecisionCache ===

impl DecisionCache {
    pub fn new(settings: CacheSettings) -> Self {
        let evictions = Arc::new(Evictions::default());
        let off = settings.max_bytes == 0 || settings.ttl.is_zero();
        let on = (!off).then(|| Entries::new(settings, Arc::clone(&evictions)));
        Self { on, evictions }
    }

    pub fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// The key of a request to a workload whose policies read what `plan` says; `None` if nothing is
    /// remembered.
    pub fn key(&self, label: &[u8], plan: &Plan, attributes: &Attributes) -> Option<CacheKey> {
        let on = self.on.as_ref()?;
        let encoding = key::encode(label, plan, attributes);
        Some(CacheKey {
            hash: on.hasher.hash(encoding.as_bytes()),
            encoding,
        })
    }

    /// A remembered decision that holds at `now_ns`, in nanoseconds since 1970.
    pub fn get(&self, key: &CacheKey, now_ns: i64) -> Option<Arc<Decision>> {
        let entry = self.on.as_ref()?.map.get(key)?;
        // Time can go back: a clock is set, or somebody asks about another time. What was not decided yet
        // is not remembered either.
        let holds = entry.made_ns <= now_ns && now_ns < entry.until_ns;
        holds.then_some(entry.decision)
    }

    /// Remembers a decision that was made at `now_ns`, as long as it holds.
    pub fn insert(&self, key: &CacheKey, decision: &Arc<Decision>, now_ns: i64) -> CacheResult {
        let Some(on) = &self.on else {
            return CacheResult::Not(Unremembered::Off);
        };
        let lifetime = decision.lifetime;
        if let Some(why) = lifetime.never {
            return CacheResult::Not(why);
        }
        let ttl_ns = lifetime
            .ttl
            .map_or(on.ttl_ns, |ttl| nanos(ttl).min(on.ttl_ns));
        let ttl_ends = now_ns.saturating_add(ttl_ns);
        let entry = Entry {
            decision: Arc::clone(decision),
            made_ns: now_ns,
            until_ns: lifetime
                .until_ns
                .map_or(ttl_ends, |until| until.min(ttl_ends)),
        };
        on.map.insert(key.stored(), entry);
        CacheResult::Miss
    }

    /// How full it is now.
    pub fn usage(&self) -> CacheUse {
        if let Some(on) = &self.on {
            // What has ended, and what was counted elsewhere, is seen only then.
            on.map.run_pending_tasks();
        }
        let on = self.on.as_ref();
        CacheUse {
            entries: on.map_or(0, |on| on.map.entry_count()),
            bytes: on.map_or(0, |on| on.map.weighted_size()),
            evicted_for_room: self.evictions.for_room.swap(0, Ordering::Relaxed),
            evicted_at_end: self.evictions.ended.swap(0, Ordering::Relaxed),
        }
    }

    /// How many decisions are remembered, about.
    pub fn len(&self) -> u64 {
        self.on.as_ref().map_or(0, |on| on.map.entry_count())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entries {
    fn new(settings: CacheSettings, evictions: Arc<Evictions>) -> Self {
        let count = move |_, _, cause| match cause {
            RemovalCause::Size => drop(evictions.for_room.fetch_add(1, Ordering::Relaxed)),
            RemovalCause::Expired => drop(evictions.ended.fetch_add(1, Ordering::Relaxed)),
            RemovalCause::Explicit | RemovalCause::Replaced => {}
        };
        let map = moka::sync::Cache::builder()
            .max_capacity(settings.max_bytes)
            .weigher(|key: &StoredKey, entry: &Entry| {
                // The reply that is kept with a decision holds most of it once more.
                let decision = 2 * entry.decision.weight();
                let weight = key.encoding.len() + decision + ENTRY_OVERHEAD;
                u32::try_from(weight + weight / ALLOCATOR_SHARE).unwrap_or(u32::MAX)
            })
            // By this memory is freed; whether a decision still holds is told by the caller's clock.
            .time_to_live(settings.ttl)
            .eviction_listener(count)
            .build_with_hasher(Prehashed);
        Self {
            map,
            ttl_ns: nanos(settings.ttl),
            hasher: Hasher::random(),
        }
    }
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

// === impl CacheKey ===

impl CacheKey {
    fn stored(&self) -> StoredKey {
        StoredKey {
            hash: self.hash,
            encoding: self.encoding.as_bytes().into(),
        }
    }
}

/// Under one cache.
impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.encoding.as_bytes() == other.encoding.as_bytes()
    }
}

/// The hash finds an entry, the whole encoding tells whether it is the one.
impl moka::Equivalent<StoredKey> for CacheKey {
    fn equivalent(&self, stored: &StoredKey) -> bool {
        self.hash == stored.hash && *self.encoding.as_bytes() == *stored.encoding
    }
}

impl std::hash::Hash for CacheKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl std::hash::Hash for StoredKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

// === impl CacheResult ===

impl CacheResult {
    /// The name in metrics and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Not(why) => why.as_str(),
        }
    }

    /// Its place among all results.
    pub fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Miss => 1,
            Self::Not(why) => 2 + why as usize,
        }
    }
}
