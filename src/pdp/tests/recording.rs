//! What a log that takes no more does to answers.

use super::*;
use crate::decision_log::Overflow;
use crate::decision_log::tests::overflow::{ended_recorder, full_recorder};

fn pdp(recorder: Recorder) -> Pdp {
    let setup = Setup::native(&[on_header("ALLOW", "x-a")]).cached();
    Pdp {
        recorder,
        ..setup.pdp()
    }
}

/// Rule: no record, no allow. Nothing of the denial is remembered.
#[test]
fn without_a_record_nothing_is_allowed() {
    let (full, make_room) = full_recorder(Overflow::Deny);
    let (allowed, denied) = (get(&["x-a: 1"]), get(&[]));
    let allowed = by(allowed, "spiffe://cluster.local/ns/a/sa/b");
    let full = pdp(full);
    for pdp in [&full, &pdp(ended_recorder(Overflow::Deny))] {
        // Evaluated, and from memory.
        for _ in 0..2 {
            let answer = pdp.check(&allowed, NOW_NS);
            let decision = &answer.decision;
            assert_eq!(decision.effect(), Effect::Deny);
            assert_eq!(decision.status(), 503);
            assert_eq!(decision.reason.kind, ReasonKind::NotRecorded);
            assert_eq!(
                decision.peer_principal.as_deref(),
                Some("spiffe://cluster.local/ns/a/sa/b")
            );
            assert!(!answer.cached && answer.pending.is_none());
        }
        let kind = pdp.check(&denied, NOW_NS).decision.reason.kind;
        assert_eq!(kind, ReasonKind::NoAllowRule);
    }
    make_room();
    assert_eq!(
        full.check(&allowed, NOW_NS).decision.effect(),
        Effect::Allow
    );
    let text = full.metrics.encode();
    for line in [
        "doorward_decisions_total{effect=\"deny\",reason=\"not_recorded\"} 2",
        "doorward_decisions_total{effect=\"allow\",reason=\"authorization_policy\"} 1",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

/// Elsewhere the log has no say.
#[test]
fn decisions_do_not_depend_on_a_log_that_may_lose_some() {
    for overflow in [Overflow::Count, Overflow::Block] {
        let allowed = get(&["x-a: 1"]);
        let (full, _) = full_recorder(overflow);
        let answer = pdp(ended_recorder(overflow)).check(&allowed, NOW_NS);
        assert!(answer.pending.is_none());
        assert_eq!(answer.decision.effect(), Effect::Allow);
        let answer = pdp(full).check(&allowed, NOW_NS);
        assert_eq!(answer.decision.effect(), Effect::Allow);
    }
}
