//! Counts a decision: by effect and reason, by what the cache had to do with it, and by policy. What came
//! from the cache costs no look-up.

use crate::cache::CacheResult;
use crate::decision::{Decision, Effect, ReasonKind};
use crate::policy::native::WouldBe;
use crate::telemetry::{Label, Metrics, Tallies, TallyPlace};

/// Marks a number as found out.
const FOUND: u64 = 1 << 63;
const BITS: u32 = 16;

pub(super) fn count(metrics: &Metrics, decision: &Decision, cache: CacheResult) {
    let (effect, reason) = (decision.effect(), decision.reason.kind);
    metrics.decided(
        Label {
            at: effect as usize,
            name: effect.as_str(),
        },
        Label {
            at: reason as usize,
            name: reason.as_str(),
        },
        Label {
            at: cache.index(),
            name: cache.as_str(),
        },
    );
    let limit = match reason {
        ReasonKind::RegoError => decision.reason.limit,
        ReasonKind::Overloaded => Some("overloaded"),
        _ => None,
    };
    if let Some(limit) = limit {
        metrics.limit_hit(limit);
    }
}

/// Counts a decision in the table of the snapshot that it was made under.
pub(super) fn count_policies(tallies: &Tallies, decision: &Decision) {
    let places = decision.tally.get_or_find(|| places(tallies, decision));
    let place = |at: u32| {
        let number = (places >> (at * BITS)) & u64::from(u16::MAX);
        TallyPlace::from_number(u16::try_from(number).unwrap_or(u16::MAX))
    };
    tallies.decided(place(0), decision.effect() == Effect::Allow);
    let dry_run = &decision.observed.dry_run;
    for (at, action, verdict) in [(1, "allow", &dry_run.allow), (2, "deny", &dry_run.deny)] {
        if let Some(would_be) = verdict {
            tallies.dry_run(place(at), action, would_be.result.as_str());
        }
    }
}

/// The places of the policy that decided and of those that would have, in one number.
fn places(tallies: &Tallies, decision: &Decision) -> u64 {
    let dry_run = &decision.observed.dry_run;
    let matched = [&dry_run.allow, &dry_run.deny].map(|verdict| {
        let policy = verdict.as_ref().and_then(WouldBe::policy);
        tallies.place(policy.as_deref())
    });
    let decided = decision.reason.decided_by().map(String::as_str);
    let [allow, deny] = matched;
    let places = [tallies.place(decided), allow, deny].into_iter();
    let numbers = places.zip([0, BITS, 2 * BITS]);
    numbers.fold(FOUND, |all, (place, shift)| {
        all | u64::from(place.number()) << shift
    })
}
