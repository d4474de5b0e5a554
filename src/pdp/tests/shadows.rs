//! Shadows: asked beside, held against what was decided, and without a say in it.

use super::*;
use crate::pdp::shadowing::{guarded, would_be};
use crate::policy::ShadowPolicies;
use crate::shadow::{Compared, Difference, Skip};

/// The policies of `setup`, with those of others tried out beside.
fn beside(setup: &Setup, shadows: &[&Setup]) -> Pdp {
    let mut policies = setup.policies();
    let shadows = shadows.iter().enumerate();
    let shadows = shadows.map(|(at, shadow)| ShadowPolicies {
        bundle: format!("b{at}").into(),
        bundle_revision: "r".into(),
        policies: Arc::new(shadow.policies()),
    });
    policies.shadows = shadows.collect();
    setup.pdp_over(policies)
}

fn rego(text: &'static str) -> Setup {
    Setup::default().cached().with_rego(text)
}

fn asked(pdp: &Pdp, at: usize, request: &Attributes, now_ns: i64) -> Result<Arc<Decision>, Skip> {
    let snapshot = pdp.snapshot();
    let workload = Workload::of(request, &snapshot.policies.settings.workloads).unwrap();
    would_be(
        &snapshot.shadows[at],
        &workload,
        request,
        now_ns,
        &Metrics::default(),
    )
}

/// How many decisions a shadow's counters tell of, by their labels.
fn counted(pdp: &Pdp, labels: &str) -> u64 {
    let text = pdp.metrics.encode();
    let lines = text.lines().filter(|line| {
        line.starts_with("doorward_shadow_") && line.contains(labels) && !line.starts_with('#')
    });
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

/// Rule: never a stale verdict and never another request's, whatever is remembered on either side.
#[test]
fn a_shadow_says_what_it_would_if_it_were_enforced() {
    const ENFORCED: &str =
        "package envoy.authz\nallow if input.attributes.request.http.headers.a == \"1\"\n";
    // It reads more than what is enforced, something else, less, and the time.
    const MORE: &str = "package envoy.authz\nimport input.attributes.request.http.headers as h\nallow if { h.a == \"1\"; h.b == \"1\" }\n";
    const OTHER: &str = "package envoy.authz\nallow := {\"allowed\": true, \"headers\": {\"b\": input.attributes.request.http.headers.b}}\n";
    const LESS: &str = "package envoy.authz\nallow := true\n";
    const CLOCK: &str = "package envoy.authz\nallow if time.now_ns() % 2 == 0\n";
    let enforced = rego(ENFORCED);
    let shadows = [MORE, OTHER, LESS, CLOCK].map(rego);
    let pdp = beside(&enforced, &shadows.each_ref());
    let alone = enforced.pdp();
    let fresh = shadows.each_ref().map(|shadow| {
        let uncached = Setup {
            cache_bytes: 0,
            ..Setup::default()
        };
        uncached.pdp_over(shadow.policies())
    });
    let values = ["1", "2"];
    let mut requests = vec![get(&[])];
    for (a, b) in values.iter().flat_map(|a| values.map(|b| (*a, b))) {
        requests.push(get(&[&format!("a: {a}"), &format!("b: {b}")]));
        requests.push(get(&[&format!("b: {b}"), &format!("c: {a}")]));
    }
    let mut hits = 0;
    for round in 0..4 {
        for request in &requests {
            let now_ns = NOW_NS + round;
            let answer = pdp.check(request, now_ns);
            hits += usize::from(answer.cached);
            assert_eq!(
                answer.decision.reply(),
                alone.check(request, now_ns).decision.reply()
            );
            for (at, fresh) in fresh.iter().enumerate() {
                let expected = fresh.check(request, now_ns).decision;
                let shadow = asked(&pdp, at, request, now_ns).unwrap();
                assert_eq!(shadow, expected, "{at} {request:?}");
            }
        }
    }
    assert!(hits > 0, "nothing came from memory");
}

#[test]
fn differences_are_told_apart() {
    const ALLOW: &str = "package envoy.authz\nallow := true\n";
    const DENY: &str = "package envoy.authz\nallow := false\n";
    const TEAPOT: &str =
        "package envoy.authz\nallow := {\"allowed\": false, \"http_status\": 401}\n";
    const CONFLICT: &str = "package envoy.authz\nallow if { x := {true, false}[_]; f(1) == x }\nf(_) := true\nf(_) := false\n";
    const NOTHING: &str = "package envoy.other\nallow := true\n";
    for (enforced, shadow, result, changed) in [
        (ALLOW, ALLOW, Compared::Same, false),
        (DENY, DENY, Compared::Same, false),
        (ALLOW, DENY, Compared::ChangedToDeny, true),
        (DENY, ALLOW, Compared::ChangedToAllow, true),
        (DENY, TEAPOT, Compared::ChangedReply, true),
        (ALLOW, CONFLICT, Compared::Error, true),
        (ALLOW, NOTHING, Compared::Error, true),
    ] {
        let pdp = beside(&rego(enforced), &[&rego(shadow)]);
        let decision = pdp.check(get(&[]), NOW_NS).decision;
        assert_eq!(
            decision.reply(),
            rego(enforced)
                .pdp()
                .check(get(&[]), NOW_NS)
                .decision
                .reply()
        );
        let would_be = asked(&pdp, 0, &get(&[]), NOW_NS).unwrap();
        let expected = Difference { result, changed };
        assert_eq!(
            Difference::between(&decision, &would_be),
            expected,
            "{shadow}"
        );
    }
}

#[test]
fn a_shadow_asks_nobody() {
    const ALLOW: &str = "package envoy.authz\nallow := true\n";
    const OUTSIDE: &str = "package envoy.authz\nallow if http.send({\"method\": \"GET\", \"url\": \"http://127.0.0.1:1\"}).status_code == 200\n";
    let pdp = beside(&rego(ALLOW), &[&rego(OUTSIDE)]);
    assert!(pdp.check(get(&[]), NOW_NS).decision.reply().is_ok());
    assert_eq!(asked(&pdp, 0, &get(&[]), NOW_NS), Err(Skip::External));
}

/// Rule: of every decision by policies, each shadow is counted once, whatever becomes of it.
#[test]
fn every_decision_is_counted() {
    const ALLOW: &str = "package envoy.authz\nallow := true\n";
    let slow = rego(
        "package envoy.authz\nallow if count([x | x := numbers.range(1, 3000)[_]; x % 7 == 0; input.attributes.request.http.headers.n != \"\"]) < 0\ndefault allow := false\n",
    );
    let pdp = beside(&rego(ALLOW), &[&rego(ALLOW), &slow]);
    let count = 5_000;
    for number in 0..count {
        let request = get(&[&format!("n: {number}")]);
        assert!(pdp.check(request, NOW_NS).decision.reply().is_ok());
    }
    // What policies were not asked for, no shadow is asked.
    let mut malformed = get(&[]);
    malformed
        .request
        .as_mut()
        .unwrap()
        .http
        .as_mut()
        .unwrap()
        .path = "/\u{7}".to_owned();
    assert!(pdp.check(malformed, NOW_NS).decision.reply().is_err());
    let all = |pdp: &Pdp| ["b0", "b1"].map(|bundle| counted(pdp, &format!("bundle=\"{bundle}\"")));
    while all(&pdp) != [count, count] {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(counted(&pdp, "result=\"changed_to_allow\""), 0);
}

/// A panic in a shadow is its error, and nobody else's.
#[test]
fn a_panic_of_a_shadow_is_counted() {
    let metrics = Metrics::default();
    let decided = guarded::<()>(&metrics, || panic!("as the test wants it")).unwrap();
    assert_eq!(decided.reason.kind, ReasonKind::InternalError);
    assert_eq!(metrics.panics.get(), 1);
    let pdp = rego("package envoy.authz\n\nallow := true\n").pdp();
    let enforced = pdp.check(Attributes::default(), NOW_NS).decision;
    let difference = Difference::between(&enforced, &decided);
    assert_eq!(
        (difference.result, difference.changed),
        (Compared::Error, true)
    );
}
