//! Asks shadows what they would have decided, on threads of their own: the check has its reply by then,
//! and no shadow can change it, whatever it does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Effort, Pdp, decide};
use crate::attributes::Attributes;
use crate::decision::{Decision, Reason, ReasonKind};
use crate::policy::native::Workload;
use crate::shadow::{Difference, Finding, Job, Skip, Slot, Verdict};
use crate::snapshot::{Shadow, Snapshot};
use crate::telemetry::{Arrival, Metrics};

/// One request, to be asked of all shadows of the snapshot that it was decided under.
struct Comparison {
    shadows: Arc<[Shadow]>,
    attributes: Attributes,
    workload: Arc<Workload>,
    now_ns: i64,
    enforced: Arc<Decision>,
    slot: Arc<Slot>,
    metrics: Arc<Metrics>,
}

impl Pdp {
    /// Has the shadows asked, if there are any and policies were, or skips them where there is no room.
    /// What they say comes to the place in the decision's record that is returned.
    pub(super) fn ask_shadows(
        &self,
        snapshot: &Snapshot,
        (attributes, workload, enforced): (&Attributes, &Arc<Workload>, &Arc<Decision>),
        now_ns: i64,
    ) -> Option<Arc<Slot>> {
        let shadows = &snapshot.shadows;
        let was_asked = !matches!(
            enforced.reason.kind,
            ReasonKind::InvalidRequest
                | ReasonKind::UnknownWorkload
                | ReasonKind::Overloaded
                | ReasonKind::InternalError
        );
        if shadows.is_empty() || !was_asked {
            return None;
        }
        let slot = Arc::new(Slot::default());
        let weight = attributes.weight() + size_of::<Comparison>();
        if !self.shadowing.reserve(weight) {
            skip(shadows, Skip::Busy, &slot, &self.metrics);
            return Some(slot);
        }
        let comparison = Comparison {
            shadows: Arc::clone(shadows),
            attributes: attributes.clone(),
            workload: Arc::clone(workload),
            now_ns,
            enforced: Arc::clone(enforced),
            slot: Arc::clone(&slot),
            metrics: Arc::clone(&self.metrics),
        };
        self.shadowing.put(Box::new(comparison), weight);
        Some(slot)
    }
}

impl Job for Comparison {
    fn run(self: Box<Self>) {
        if self.slot.is_closed() {
            return self.skip(Skip::Late);
        }
        let verdicts = self.shadows.iter().map(|shadow| {
            let would_be = would_be(
                shadow,
                &self.workload,
                &self.attributes,
                self.now_ns,
                &self.metrics,
            );
            let finding = match would_be {
                Ok(decision) => Finding::Decided {
                    difference: Difference::between(&self.enforced, &decision),
                    decision,
                },
                Err(why) => Finding::Skipped(why),
            };
            verdict(shadow, finding)
        });
        let verdicts: Vec<_> = verdicts.collect();
        let found: Vec<_> = verdicts.iter().map(|one| one.finding.clone()).collect();
        let in_time = self.slot.fill(verdicts);
        for (shadow, finding) in self.shadows.iter().zip(found) {
            match finding {
                // Rule: the count and the records say the same.
                Finding::Decided { .. } if !in_time => {
                    self.metrics
                        .shadow_skipped(&shadow.bundle, Skip::Late.as_str());
                }
                Finding::Decided { difference, .. } => self
                    .metrics
                    .shadow_decided(&shadow.bundle, difference.result.as_str()),
                Finding::Skipped(why) => {
                    self.metrics.shadow_skipped(&shadow.bundle, why.as_str());
                }
            }
        }
    }

    fn skip(self: Box<Self>, why: Skip) {
        skip(&self.shadows, why, &self.slot, &self.metrics);
    }
}

fn skip(shadows: &[Shadow], why: Skip, slot: &Slot, metrics: &Metrics) {
    for shadow in shadows {
        metrics.shadow_skipped(&shadow.bundle, why.as_str());
    }
    let verdicts = shadows.iter();
    let verdicts = verdicts.map(|shadow| verdict(shadow, Finding::Skipped(why)));
    slot.fill(verdicts.collect());
}

fn verdict(shadow: &Shadow, finding: Finding) -> Verdict {
    Verdict {
        bundle: Arc::clone(&shadow.bundle),
        bundle_revision: Arc::clone(&shadow.bundle_revision),
        finding,
    }
}

/// What a shadow would have decided. It is the same way as that of enforced policy, over a snapshot of
/// its own: what it remembers is found by all that it reads. Rule: others are asked once for a request,
/// by what is enforced.
pub(super) fn would_be(
    shadow: &Shadow,
    workload: &Arc<Workload>,
    attributes: &Attributes,
    now_ns: i64,
    metrics: &Metrics,
) -> Result<Arc<Decision>, Skip> {
    let arrival = Arrival::from(now_ns);
    let ask = || {
        decide(
            &shadow.snapshot,
            workload,
            attributes,
            &arrival,
            Effort::Evaluate,
        )
    };
    guarded(metrics, || ask().map(|(decision, _)| decision))
}

/// What was decided. Rule: a panic is an answer like any other failure, and is counted.
pub(super) fn guarded<E>(
    metrics: &Metrics,
    ask: impl FnOnce() -> Result<Arc<Decision>, E>,
) -> Result<Arc<Decision>, Skip> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(decided) => decided.map_err(|_| Skip::External),
        Err(_) => {
            metrics.panics.inc();
            let reason = Reason::new(ReasonKind::InternalError, "the evaluation failed");
            Ok(Arc::new(Decision::fail(500, reason)))
        }
    }
}
