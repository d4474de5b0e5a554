//! The policy decision point: one function from attributes to a decision, called by every door.
//! It does no I/O, takes the time as an argument, and looks at exactly one snapshot.

mod counting;
mod explain;
mod question;
mod replaying;
mod shadowing;
mod shown;
mod verdict;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use uuid::Uuid;

use crate::attributes::Attributes;
use crate::cache::{CacheResult, CacheSettings};
use crate::decision::{Decision, Reason, ReasonKind, lookalikes};
use crate::decision_log::{Pending, Record, Recorded, Recorder};
use crate::identity::RemoteKeySets;
use crate::policy::lifetime::Unremembered;
use crate::policy::native::{Attached, Workload};
use crate::policy::{PolicySet, UnknownWorkload};
use crate::shadow::Workers;
use crate::snapshot::Snapshot;
use crate::telemetry::{Arrival, Metrics};
use counting::{count, count_policies};
pub use explain::Explanation;
use question::{Question, check_form, identify, normal_target, reported};
pub use replaying::{PastRequest, Undecided, decide_again};
use verdict::evaluate;

/// Of answers that policies were not asked for.
const NO_DECISION: CacheResult = CacheResult::Not(Unremembered::Failure);
const CACHE_IS_OFF: CacheResult = CacheResult::Not(Unremembered::Off);

/// Decides requests under the snapshot that is active.
#[derive(Debug)]
pub struct Pdp {
    snapshot: Arc<ArcSwap<Snapshot>>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    shadowing: Workers,
}

/// A decision and what tells it apart from equal ones.
#[derive(Debug)]
pub struct Answer {
    pub decision: Arc<Decision>,
    pub id: Uuid,
    pub revision: u64,
    pub cached: bool,
    /// Headers of the request to remove beside those the decision removes.
    pub lookalikes: Vec<String>,
    /// Its record, if that waits for room in the log. The reply may wait with it.
    pub pending: Option<Box<Pending>>,
}

/// How much a thread may do for a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// What takes microseconds: remember, and compare with native policies.
    Little,
    /// Verify signatures of tokens besides, and evaluate Rego, up to its limits.
    Evaluate,
    /// Wait besides for what policies ask of others.
    Wait,
}

impl Pdp {
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        recorder: Recorder,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            snapshot,
            recorder,
            metrics,
            shadowing: Workers::default(),
        }
    }

    /// Decides by policies that stay as they are. Nothing is remembered and nothing recorded, and
    /// no keys are fetched: for tools that ask without a server.
    pub fn over(policies: PolicySet) -> Self {
        let off = CacheSettings {
            max_bytes: 0,
            ttl: Duration::from_secs(1),
            tokens_max_bytes: 0,
        };
        let snapshot = Snapshot::new(0, Arc::new(policies), RemoteKeySets::default(), off);
        Self::new(
            Arc::new(ArcSwap::from_pointee(snapshot)),
            Recorder::default(),
            Arc::new(Metrics::default()),
        )
    }

    /// The snapshot a check would see now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Whether anybody wants to know whose trace a check is for.
    pub fn is_tracing(&self) -> bool {
        self.recorder.is_tracing()
    }

    /// Has metrics tell how full the cache of the active snapshot is.
    pub fn note_cache_use(&self) {
        let usage = self.snapshot.load().cache.usage();
        self.metrics.cache_holds(usage.entries, usage.bytes);
        self.metrics
            .cache_evicted(usage.evicted_for_room, usage.evicted_at_end);
    }

    /// Decides a request and records the decision. `arrival` may be the time in nanoseconds since 1970.
    pub fn check(
        &self,
        attributes: impl Borrow<Attributes>,
        arrival: impl Into<Arrival>,
    ) -> Answer {
        self.check_under(&self.snapshot.load(), attributes.borrow(), arrival)
            .0
    }

    /// Decides a request as `check` does, if that takes no more than `effort`. Otherwise it fails with
    /// what it takes: the request then belongs on a thread that may give as much.
    pub fn check_within(
        &self,
        effort: Effort,
        attributes: &Attributes,
        arrival: impl Into<Arrival>,
    ) -> Result<Answer, Effort> {
        let decided = self.decide_under(&self.snapshot.load(), attributes, arrival, effort);
        decided.map(|(answer, _)| answer)
    }

    /// Decides a request as `check` does, and tells what it looked at. For people.
    pub fn check_explained(
        &self,
        attributes: impl Borrow<Attributes>,
        now_ns: i64,
    ) -> (Answer, Explanation) {
        let attributes = attributes.borrow();
        let snapshot = self.snapshot.load_full();
        let explain = || Explanation::of(&snapshot, attributes, now_ns);
        let mut explanation = catch_unwind(AssertUnwindSafe(explain)).unwrap_or_default();
        let (answer, cache) = self.check_under(&snapshot, attributes, now_ns);
        explanation.cache = Some(cache.as_str());
        (answer, explanation)
    }

    fn check_under(
        &self,
        snapshot: &Snapshot,
        attributes: &Attributes,
        arrival: impl Into<Arrival>,
    ) -> (Answer, CacheResult) {
        let arrival = arrival.into();
        let now_ns = arrival.now_ns;
        let decided = self.decide_under(snapshot, attributes, arrival, Effort::Wait);
        decided.unwrap_or_else(|_| (self.failed(attributes, now_ns), NO_DECISION))
    }

    fn decide_under(
        &self,
        snapshot: &Snapshot,
        attributes: &Attributes,
        arrival: impl Into<Arrival>,
        effort: Effort,
    ) -> Result<(Answer, CacheResult), Effort> {
        let arrival = arrival.into();
        // A panic anywhere below denies this request and no other.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            match Workload::of(attributes, &snapshot.policies.settings.workloads) {
                Ok(workload) => {
                    let decided = decide(snapshot, &workload, attributes, &arrival, effort);
                    decided.map(|(decision, cache)| (workload, decision, cache))
                }
                Err(why) => {
                    let decision = malformed(why).about(&reported(attributes), None);
                    Ok((Arc::default(), Arc::new(decision), NO_DECISION))
                }
            }
        }));
        match decided {
            Ok(Ok((workload, decision, cache))) => {
                let found = (decision, cache);
                let answer = self.answer(attributes, &workload, found, snapshot, &arrival);
                Ok((answer, cache))
            }
            Ok(Err(needs)) => Err(needs),
            Err(_) => Ok((self.failed(attributes, arrival), NO_DECISION)),
        }
    }

    /// Denies a request whose check failed by a fault of ours, and records that.
    pub fn failed(&self, attributes: &Attributes, arrival: impl Into<Arrival>) -> Answer {
        self.metrics.panics.inc();
        let reason = Reason::new(ReasonKind::InternalError, "the check failed");
        self.undecided(attributes, Decision::fail(500, reason), &arrival.into())
    }

    /// Denies a request that there is no place for, and records that.
    pub fn crowded_out(
        &self,
        attributes: &Attributes,
        why: String,
        arrival: impl Into<Arrival>,
    ) -> Answer {
        let decision = Decision::fail(503, Reason::new(ReasonKind::Overloaded, why));
        self.undecided(attributes, decision, &arrival.into())
    }

    /// Denies a request that could not be read, and records that.
    pub fn refuse(&self, why: impl Into<String>, arrival: impl Into<Arrival>) -> Answer {
        self.undecided(&Attributes::default(), malformed(why), &arrival.into())
    }

    /// Answers without having looked at policies.
    fn undecided(&self, attributes: &Attributes, decision: Decision, arrival: &Arrival) -> Answer {
        let decision = Arc::new(decision);
        self.answer(
            attributes,
            &Arc::default(),
            (decision, NO_DECISION),
            &self.snapshot.load(),
            arrival,
        )
    }

    fn answer(
        &self,
        attributes: &Attributes,
        workload: &Arc<Workload>,
        (decision, cache): (Arc<Decision>, CacheResult),
        snapshot: &Snapshot,
        arrival: &Arrival,
    ) -> Answer {
        let revision = snapshot.revision;
        let id = Uuid::new_v4();
        let cached = cache == CacheResult::Hit;
        let lookalikes = match (decision.reply(), attributes.http()) {
            (Ok(mutations), Some(http)) => lookalikes(mutations, &http.headers),
            _ => Vec::new(),
        };
        let asked = (attributes, workload, &decision);
        let shadow = self.ask_shadows(snapshot, asked, arrival.now_ns);
        let record = |decision: &Arc<Decision>, cached, lookalikes: &[String]| {
            self.recorder.record(&Record {
                id,
                time_ns: arrival.now_ns,
                stopwatch: &arrival.stopwatch,
                caller: arrival.caller,
                revision,
                cached,
                decision,
                lookalikes,
                workload,
                policies: &snapshot.policies,
                attributes,
                shadow: shadow.as_ref(),
            })
        };
        let (decision, cached, lookalikes, pending) = match record(&decision, cached, &lookalikes) {
            Recorded::Settled => (decision, cached, lookalikes, None),
            Recorded::Waits(pending) => (decision, cached, lookalikes, Some(pending)),
            // Rule: no record, no allow. The denial is recorded, or counted as lost.
            Recorded::Refused => {
                let denial = Arc::new(decision.unrecorded());
                drop(record(&denial, false, &[]));
                (denial, false, Vec::new(), None)
            }
        };
        count(&self.metrics, &decision, cache);
        count_policies(&snapshot.tallies, &decision);
        if cache != CacheResult::Hit {
            self.metrics.steps_took(&arrival.stopwatch);
        }
        Answer {
            decision,
            id,
            revision,
            cached,
            lookalikes,
            pending,
        }
    }
}

fn seconds(now_ns: i64) -> u64 {
    u64::try_from(now_ns / 1_000_000_000).unwrap_or(0)
}

/// Looks into the cache, or evaluates and remembers. Fails with what it needs if that is more than
/// `effort`.
fn decide(
    snapshot: &Snapshot,
    workload: &Arc<Workload>,
    attributes: &Attributes,
    arrival: &Arrival,
    effort: Effort,
) -> Result<(Arc<Decision>, CacheResult), Effort> {
    let now_ns = arrival.now_ns;
    let policies = &snapshot.policies;
    let refused = |decision: Decision| {
        let decision = decision.about(&reported(attributes), None);
        Ok((Arc::new(decision), NO_DECISION))
    };
    let attached = attached(policies, workload);
    let needs = attached.as_ref().map(|it| needs(policies, it));
    // Where nothing is remembered, nothing is looked for.
    if let Some(needs) = needs.filter(|needs| *needs > effort && !snapshot.cache.is_on()) {
        return Err(needs);
    }
    if let Err(why) = check_form(attributes) {
        return refused(malformed(why));
    }
    let target = match normal_target(attributes, policies.settings.path_normalization) {
        Ok(target) => target,
        Err(why) => return refused(malformed(why)),
    };
    let Some((attached, needs)) = attached.zip(needs) else {
        return refused(unknown_workload(workload));
    };
    let plan = policies.plan(&attached);
    let cache = &snapshot.cache;
    let key = cache.key(&attached.label, plan, attributes);
    if let Some(key) = &key
        && let Some(decision) = cache.get(key, now_ns)
    {
        return Ok((decision, CacheResult::Hit));
    }
    if needs > effort {
        return Err(needs);
    }
    let caller = match identify(
        &plan.reads,
        &policies.settings.trusted_xfcc_peers,
        attributes,
    ) {
        Ok(caller) => caller,
        Err(why) => return refused(malformed(why)),
    };
    let question = Question {
        attributes,
        target,
        caller,
        now_ns,
        stopwatch: &arrival.stopwatch,
    };
    let ask = || evaluate(snapshot, workload, &attached, &question, effort);
    let decision = arrival.stopwatch.asking_policies(now_ns, ask)?;
    let decision = Arc::new(decision);
    let result = match &key {
        Some(key) => cache.insert(key, &decision, now_ns),
        None => CACHE_IS_OFF,
    };
    Ok((decision, result))
}

/// What evaluating the policies of a workload can take, whatever tokens the request carries.
fn needs(policies: &PolicySet, attached: &Attached) -> Effort {
    let each = policies
        .entrypoints(attached)
        .map(|entrypoint| match entrypoint {
            entrypoint if entrypoint.reads().external => Effort::Wait,
            entrypoint if entrypoint.is_settled() => Effort::Little,
            _ => Effort::Evaluate,
        });
    each.max().unwrap_or(Effort::Little)
}

/// The policies for a workload; `None` if it cannot be told which these are.
fn attached(policies: &PolicySet, workload: &Arc<Workload>) -> Option<Arc<Attached>> {
    let mesh_wide = policies.settings.unknown_workload == UnknownWorkload::MeshPolicies;
    let found = policies.native.attached(workload);
    found.or_else(|| mesh_wide.then(|| policies.native.mesh_wide()))
}

fn malformed(why: impl Into<String>) -> Decision {
    Decision::fail(400, Reason::new(ReasonKind::InvalidRequest, why))
}

fn unknown_workload(workload: &Workload) -> Decision {
    let missing = if workload.namespace.is_none() {
        "namespace is"
    } else {
        "labels are"
    };
    let why = format!(
        "the workload's {missing} not known: set `mesh.default_workload`, \
         or context extensions `doorward.namespace` and `doorward.labels` in the proxy"
    );
    Decision::fail(403, Reason::new(ReasonKind::UnknownWorkload, why))
}
