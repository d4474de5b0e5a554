//! One set of policies, with caches and without, and what becomes of requests over pushes, changes of keys
//! and steps of the clock.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward::cache::CacheSettings;
use doorward::decision::{Decision, ReasonKind};
use doorward::decision_log::Recorder;
use doorward::identity::RemoteKeySets;
use doorward::pdp::{Answer, Pdp};
use doorward::policy::PolicySet;
use doorward::snapshot::Snapshot;
use doorward::telemetry::Metrics;

use super::clock::{Clock, SECOND, TTL_SECONDS};
use super::policies::{self, Policies};
use super::random::Random;
use super::requests::{Pool, Sent};

/// Steps under one set of policies, requests among which they choose.
const STEPS: usize = 150;
const REQUESTS: usize = 24;
/// Bytes of a cache that holds everything, and of one that holds a few decisions.
const LARGE: u64 = 16 << 20;
const SMALL: u64 = 4 << 10;
/// Steps in a hundred after which a cache drops what it has no room for, which it does in its own time else.
const TIDY: usize = 20;

static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(Arc::default);

/// What was done so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub steps: usize,
    epochs: usize,
    /// Answers from memory: of the large cache, of the small one, and of rules that read the clock.
    hits: [usize; 2],
    held: usize,
    /// What the small one had no room for.
    evicted: u64,
    allowed: usize,
    kinds: HashMap<ReasonKind, usize>,
}

/// One set of policies and all that asks it.
pub struct Machine {
    random: Random,
    policies: Policies,
    cached: [Cached; 2],
    fresh: Door,
    pool: Pool,
    revision: u64,
    clock: Clock,
}

/// A decision point whose snapshot can be replaced.
struct Door {
    pdp: Pdp,
    snapshot: Arc<ArcSwap<Snapshot>>,
    policies: Arc<PolicySet>,
    cache_bytes: u64,
}

/// One that remembers, and what is known of what it does.
struct Cached {
    door: Door,
    /// Which requests made the decisions of this snapshot, and when. It holds the decisions, so that none
    /// takes the place of another in memory.
    made: HashMap<*const Decision, Made>,
}

struct Made {
    _decision: Arc<Decision>,
    request: usize,
    at: i64,
}

impl Door {
    fn new(policies: Arc<PolicySet>, cache_bytes: u64) -> Self {
        let first = snapshot(0, &policies, RemoteKeySets::default(), cache_bytes);
        let snapshot = Arc::new(ArcSwap::from_pointee(first));
        Self {
            pdp: Pdp::new(
                Arc::clone(&snapshot),
                Recorder::default(),
                Arc::clone(&METRICS),
            ),
            snapshot,
            policies,
            cache_bytes,
        }
    }

    fn push(&self, revision: u64, keys: RemoteKeySets) {
        self.snapshot.store(Arc::new(snapshot(
            revision,
            &self.policies,
            keys,
            self.cache_bytes,
        )));
    }
}

fn snapshot(
    revision: u64,
    policies: &Arc<PolicySet>,
    keys: RemoteKeySets,
    cache_bytes: u64,
) -> Snapshot {
    let cache = CacheSettings {
        max_bytes: cache_bytes,
        ttl: Duration::from_secs(TTL_SECONDS),
        tokens_max_bytes: cache_bytes,
    };
    Snapshot::new(revision, Arc::clone(policies), keys, cache)
}

impl Machine {
    pub fn of(seed: u64, epoch: u64) -> Self {
        let mut random = Random::of(seed ^ epoch.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (policies, [asked, fresh]) = Policies::any(&mut random);
        let asked = Arc::new(asked);
        let cached = [LARGE, SMALL].map(|bytes| Cached {
            door: Door::new(Arc::clone(&asked), bytes),
            made: HashMap::new(),
        });
        let pool = Pool::of(&mut random, REQUESTS, &policies.to_string());
        Self {
            random,
            policies,
            cached,
            fresh: Door::new(Arc::new(fresh), 0),
            pool,
            revision: 0,
            clock: Clock::new(),
        }
    }

    /// Takes all steps, and tells the first difference.
    pub fn run(mut self, tally: &mut Tally) -> Result<(), String> {
        self.push();
        tally.epochs += 1;
        let mut made = self.clock.now;
        for _ in 0..STEPS {
            if self.random.below(150) == 0 {
                self.push();
            }
            self.clock.step(&mut self.random, made);
            // Some requests come more often than others.
            let count = self.pool.0.len();
            let request = self.random.below(count).min(self.random.below(count));
            if self.random.percent(TIDY) {
                let used = self.cached[1].door.pdp.snapshot().cache.usage();
                tally.evicted += used.evicted_for_room;
            }
            let expected = self.fresh(request, self.clock.now);
            tally.count(&expected);
            for which in 0..self.cached.len() {
                let hit = self.check(which, request, &expected)?;
                tally.hits[which] += usize::from(hit);
                tally.held += usize::from(hit && self.policies.holds);
                if !hit {
                    made = self.clock.now;
                }
            }
        }
        Ok(())
    }

    /// Another snapshot: of the same policies, and mostly with other keys.
    fn push(&mut self) {
        self.revision += 1;
        let (keys, _) = policies::fetched(&mut self.random);
        for cached in &mut self.cached {
            cached.door.push(self.revision, keys.clone());
            cached.made.clear();
        }
        self.fresh.push(self.revision, keys);
    }

    /// What is decided without any memory.
    fn fresh(&self, request: usize, now: i64) -> Answer {
        self.fresh.pdp.check(&self.pool.0[request].1, now)
    }

    /// Checks a request with a memory, and whether it was answered from there.
    fn check(&mut self, which: usize, request: usize, expected: &Answer) -> Result<bool, String> {
        let cached = &mut self.cached[which];
        let answer = cached
            .door
            .pdp
            .check(&self.pool.0[request].1, self.clock.now);
        let of = Arc::as_ptr(&answer.decision);
        if !answer.cached {
            let made = Made {
                _decision: Arc::clone(&answer.decision),
                request,
                at: self.clock.now,
            };
            cached.made.insert(of, made);
            self.compare(&answer, expected, request, None)?;
            return Ok(false);
        }
        let made = self.cached[which].made.get(&of);
        let Some(made) = made else {
            let told = self.told(request, None);
            return Err(format!(
                "a decision that was made under another snapshot\n{told}"
            ));
        };
        self.lifetime(made, &answer, request)?;
        match self.policies.holds {
            false => self.compare(&answer, expected, request, Some(made))?,
            // What reads the clock is what it was then; a token must still be good.
            true => {
                self.compare(&answer, &self.fresh(request, made.at), request, Some(made))?;
                if expected.decision.reason.kind == ReasonKind::RequestAuthentication {
                    self.compare(&answer, expected, request, Some(made))?;
                }
            }
        }
        Ok(true)
    }

    /// Rule: nothing is remembered longer than configured, nor than its policy says, nor back in time.
    fn lifetime(&self, made: &Made, answer: &Answer, request: usize) -> Result<(), String> {
        let holds = answer.decision.dynamic_metadata.as_ref();
        let holds = holds.and_then(|told| told.get("holds")?.as_u64());
        let longest = holds.map_or(TTL_SECONDS, |holds| holds.min(TTL_SECONDS));
        let age = self.clock.now - made.at;
        if (0..i64::try_from(longest).unwrap() * SECOND).contains(&age) {
            return Ok(());
        }
        Err(format!(
            "remembered for {age} ns, not {longest} s\n{}",
            self.told(request, Some(made))
        ))
    }

    fn compare(
        &self,
        answer: &Answer,
        expected: &Answer,
        request: usize,
        made: Option<&Made>,
    ) -> Result<(), String> {
        let differences = differences(answer, expected);
        if differences.is_empty() {
            return Ok(());
        }
        let differences = differences.join("\n");
        Err(format!("{differences}\n{}", self.told(request, made)))
    }

    /// Everything that somebody needs who looks for the reason.
    fn told(&self, request: usize, made: Option<&Made>) -> String {
        let Self {
            policies,
            pool,
            clock: Clock { now, .. },
            ..
        } = self;
        let sent = |request: usize| -> &Sent { &pool.0[request].0 };
        let made = made.map(|made| format!("made at {} for {:?}\n", made.at, sent(made.request)));
        format!(
            "asked at {now} for {:?}\n{}{policies}",
            sent(request),
            made.unwrap_or_default()
        )
    }
}

/// Where two answers differ in anything that somebody sees.
fn differences(answer: &Answer, expected: &Answer) -> Vec<String> {
    let (one, other) = (&answer.decision, &expected.decision);
    let mut found = Vec::new();
    let mut compare = |what: &str, one: &dyn fmt::Debug, other: &dyn fmt::Debug, are_same: bool| {
        if !are_same {
            found.push(format!("{what}: {one:?}, not {other:?}"));
        }
    };
    macro_rules! compare {
        ($what:literal, $one:expr, $other:expr) => {
            compare($what, &$one, &$other, $one == $other)
        };
    }
    compare!("effect", one.effect(), other.effect());
    compare!("reply", one.reply(), other.reply());
    compare!("reason", one.reason, other.reason);
    compare!("peer", one.peer_principal, other.peer_principal);
    compare!("forwarded by", one.forwarded_by, other.forwarded_by);
    compare!(
        "request principal",
        one.request_principal,
        other.request_principal
    );
    compare!("observed", one.observed, other.observed);
    compare!("metadata", one.dynamic_metadata, other.dynamic_metadata);
    compare!("look-alikes", answer.lookalikes, expected.lookalikes);
    compare!("revision", answer.revision, expected.revision);
    found
}

// === impl Tally ===

impl Tally {
    fn count(&mut self, answer: &Answer) {
        self.steps += 1;
        self.allowed += usize::from(answer.decision.effect().as_str() == "allow");
        *self.kinds.entry(answer.decision.reason.kind).or_default() += 1;
    }

    /// Makes sure that it was not too little of anything.
    pub fn check(&self, least_hits: usize) {
        let Self {
            steps,
            hits,
            held,
            evicted,
            allowed,
            kinds,
            ..
        } = self;
        assert!(hits[0] * 100 > steps * least_hits, "{self}");
        assert!(hits[1] > 0 && hits[1] < hits[0], "{self}");
        assert!(*held > 0 && *evicted > 0, "{self}");
        assert!(allowed * 10 > *steps && allowed * 10 < steps * 9, "{self}");
        assert!(kinds.len() >= 8, "{self} {kinds:?}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            steps,
            epochs,
            hits: [large, small],
            held,
            evicted,
            allowed,
            ..
        } = self;
        let percent = |part: usize| part * 100 / (*steps).max(1);
        write!(
            formatter,
            "{steps} steps, {epochs} sets of policies, from memory {}% ({}% of a small one, which had no room for {evicted}), {held} of rules that \
             read the clock, {}% allowed",
            percent(*large),
            percent(*small),
            percent(*allowed)
        )
    }
}
