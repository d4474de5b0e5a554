//! Decisions by the policy that made them, and what dry-run policies would have done. Names come from
//! policy: the first of what is active have a series of their own, all others one together, and those of
//! policies that are gone leave when there are too many. A decision is counted by its place in a table of
//! its snapshot: what the name's place is, is looked up once for each decision that is made anew.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Most policies of what is active that have series of their own.
const MAX_NAMED: usize = 100;
/// Most of them together with those that are gone, whose counts stay until others need the room.
const MAX_KNOWN: usize = 300;
/// Names of all other policies, and of decisions that no policy made. No policy has such a name: those of
/// native ones have a slash, and entrypoints that are called so count here.
const OTHER: &str = "other";
const NONE: &str = "none";
/// Longest name that is a label, in bytes; policies with longer ones are among the others.
const MAX_NAME: usize = 200;

const EFFECTS: [&str; 2] = ["allow", "deny"];
/// Actions and results of dry runs.
const DRY_RUNS: [[&str; 2]; 4] = [
    ["allow", "allowed"],
    ["allow", "denied"],
    ["deny", "allowed"],
    ["deny", "denied"],
];

/// What is counted of all policies.
#[derive(Debug, Clone, Default)]
pub struct PolicyMetrics(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<Arc<str>, Arc<Counts>>,
    /// Those of no policy that is active, the ones that are gone the longest first.
    gone: VecDeque<Arc<str>>,
    rest: Rest,
}

/// What has no name of its own.
#[derive(Debug, Clone, Default)]
struct Rest {
    other: Arc<Counts>,
    none: Arc<Counts>,
}

/// What is counted of one policy.
#[derive(Debug, Default)]
struct Counts {
    decisions: [AtomicU64; EFFECTS.len()],
    dry_runs: [AtomicU64; DRY_RUNS.len()],
}

/// Where decisions of one snapshot are counted.
#[derive(Debug, Default)]
pub struct Tallies {
    places: HashMap<Arc<str>, u16>,
    named: Vec<Arc<Counts>>,
    rest: Rest,
}

/// The place of a policy's name in its snapshot's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallyPlace(u16);

impl TallyPlace {
    const OTHER: u16 = u16::MAX - 1;
    const NONE: u16 = u16::MAX;
    /// Of what no policy decided.
    pub const NOBODY: Self = Self(Self::NONE);

    /// As a number that can be remembered.
    pub fn number(self) -> u16 {
        self.0
    }

    pub fn from_number(number: u16) -> Self {
        Self(number)
    }
}

// === impl PolicyMetrics ===

impl PolicyMetrics {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table for a snapshot with policies of these names, of which the first are looked at. What was
    /// counted of a name goes on.
    pub fn tallies<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Tallies {
        let names = names.into_iter().take(MAX_NAMED);
        let names = names.filter(|name| name.len() <= MAX_NAME && ![OTHER, NONE].contains(name));
        let mut known = self.lock();
        let mut tallies = Tallies {
            rest: known.rest.clone(),
            ..Tallies::default()
        };
        for name in names {
            let name: Arc<str> = name.into();
            let counts = known.by_name.entry(Arc::clone(&name)).or_default();
            let counts = Arc::clone(counts);
            let place = u16::try_from(tallies.named.len()).unwrap_or(TallyPlace::OTHER);
            if tallies.places.insert(name, place).is_none() {
                tallies.named.push(counts);
            }
        }
        known.forget_all_but(&tallies);
        tallies
    }
}

// === impl Known ===

impl Known {
    fn forget_all_but(&mut self, active: &Tallies) {
        let Self { by_name, gone, .. } = self;
        gone.retain(|name| !active.places.contains_key(name));
        let mut leaving: Vec<_> = by_name.keys().map(Arc::clone).collect();
        leaving.retain(|name| !active.places.contains_key(name) && !gone.contains(name));
        gone.extend(leaving);
        while by_name.len() > MAX_KNOWN
            && let Some(name) = gone.pop_front()
        {
            by_name.remove(&name);
        }
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Counts)> {
        let named = self.by_name.iter();
        let named = named.map(|(name, counts)| (name.as_ref(), counts.as_ref()));
        // No policy has one of these names: those that are called so are among the others.
        let rest = [(OTHER, &self.rest.other), (NONE, &self.rest.none)];
        let rest = rest.map(|(name, counts)| (name, counts.as_ref()));
        named.chain(rest)
    }
}

// === impl Tallies ===

impl Tallies {
    /// Where a policy of this name is counted.
    pub fn place(&self, name: Option<&str>) -> TallyPlace {
        let place = |name| self.places.get(name).copied();
        TallyPlace(match name {
            None => TallyPlace::NONE,
            Some(name) => place(name).unwrap_or(TallyPlace::OTHER),
        })
    }

    fn counts(&self, place: TallyPlace) -> &Counts {
        let named = self.named.get(usize::from(place.0));
        named.unwrap_or(match place.0 {
            TallyPlace::NONE => &self.rest.none,
            _ => &self.rest.other,
        })
    }

    /// Counts a decision of the policy at a place.
    pub fn decided(&self, place: TallyPlace, is_allow: bool) {
        let [allow, deny] = &self.counts(place).decisions;
        let count = if is_allow { allow } else { deny };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what the dry-run policy at a place would have done, or that no policy of the action
    /// matched.
    pub fn dry_run(&self, place: TallyPlace, action: &str, result: &str) {
        let mut names = DRY_RUNS.iter();
        let at = names.position(|names| *names == [action, result]);
        if let Some(count) = at.and_then(|at| self.counts(place).dry_runs.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === Encoding ===

impl Collector for PolicyMetrics {
    /// Rule: a series is shown once it has counted something.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let known = self.lock();
        let help = "Decisions by the policy or Rego rule that made them";
        let mut family =
            encoder.encode_descriptor("policy_decisions", help, None, MetricType::Counter)?;
        for (name, counts) in known.all() {
            for (effect, count) in EFFECTS.iter().zip(&counts.decisions) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let labels = [("effect", *effect), ("policy", name)];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let help = "What dry-run policies would have done, by their action and which one matched";
        let mut family = encoder.encode_descriptor("dry_run", help, None, MetricType::Counter)?;
        for (name, counts) in known.all() {
            for ([action, result], count) in DRY_RUNS.iter().zip(&counts.dry_runs) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let labels = [("action", *action), ("policy", name), ("result", *result)];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
