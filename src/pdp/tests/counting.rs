//! What is counted of decisions: by policy, by limit, by step.

use std::time::Instant;

use super::*;

fn counted(setup: &Setup) -> Pdp {
    let pdp = setup.pdp();
    let snapshot = pdp.snapshot();
    let tallies = pdp.metrics.of_policies.tallies(snapshot.policies.names());
    let keys = RemoteKeySets::default();
    let cache = CacheSettings {
        max_bytes: setup.cache_bytes,
        ttl: Duration::from_secs(3600),
        tokens_max_bytes: setup.cache_bytes,
    };
    let policies = Arc::clone(&snapshot.policies);
    let snapshot = Snapshot::new(7, policies, keys, cache).counted_by(Arc::new(tallies));
    pdp.snapshot.store(Arc::new(snapshot));
    pdp
}

fn assert_has(pdp: &Pdp, lines: &[&str]) {
    let text = pdp.metrics.encode();
    for line in lines {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
}

/// Each once, whether it came from the cache or not.
#[test]
fn decisions_are_counted_by_policy() {
    let signer = Signer::eddsa();
    let mut dry = on_header("DENY", "x-dry");
    dry["metadata"] = json!({"namespace": "shop", "name": "try",
        "annotations": {"istio.io/dry-run": "true"}});
    let objects = [
        jwt(&signer),
        on_header("DENY", "x-deny"),
        on_header("ALLOW", "x-allow"),
        dry,
    ];
    for setup in [Setup::native(&objects), Setup::native(&objects).cached()] {
        let pdp = counted(&setup);
        let requests: [&[&str]; 5] = [
            &["x-deny: 1"],
            &["x-allow: 1"],
            &["x-allow: 1", "x-dry: 1"],
            &["authorization: Bearer junk"],
            &[],
        ];
        for _ in 0..3 {
            for lines in requests {
                pdp.check(get(lines), NOW_NS);
            }
        }
        assert_has(
            &pdp,
            &[
                "doorward_policy_decisions_total{effect=\"deny\",policy=\"shop/deny\"} 3",
                "doorward_policy_decisions_total{effect=\"allow\",policy=\"shop/allow\"} 6",
                "doorward_policy_decisions_total{effect=\"deny\",policy=\"shop/jwt\"} 3",
                "doorward_policy_decisions_total{effect=\"deny\",policy=\"none\"} 3",
                "doorward_dry_run_total{action=\"deny\",policy=\"shop/try\",result=\"denied\"} 3",
                "doorward_dry_run_total{action=\"deny\",policy=\"none\",result=\"allowed\"} 6",
            ],
        );
    }
    // What is in no table is counted all the same.
    let pdp = Setup::native(&objects).pdp();
    assert!(
        pdp.check(get(&["x-allow: 1"]), NOW_NS)
            .decision
            .reply()
            .is_ok()
    );
}

#[test]
fn rego_is_counted_by_its_rule() {
    let pdp = counted(&Setup::native(&[]).with_rego(REGO));
    pdp.check(get(&["x-rego: true"]), NOW_NS);
    pdp.check(get(&["x-rego: false"]), NOW_NS);
    assert_has(
        &pdp,
        &[
            "doorward_policy_decisions_total{effect=\"allow\",policy=\"envoy/authz/allow\"} 1",
            "doorward_policy_decisions_total{effect=\"deny\",policy=\"envoy/authz/allow\"} 1",
        ],
    );
}

#[test]
fn limits_are_counted() {
    let slow = "package envoy.authz\n\
        allow if count([1 | numbers.range(1, 3000)[_]; numbers.range(1, 3000)[_]]) > 0\n";
    let large = "package envoy.authz\nallow if sprintf(\"%2000d\", [1]) != \"\"\n";
    let failing = "package envoy.authz\nallow := 1\nallow := 2 if input.version\n";
    for (rego, limit) in [(slow, Some("time")), (large, Some("size")), (failing, None)] {
        let setup = Setup::native(&[]).with_rego(rego);
        let pdp = counted(&setup.with(|settings| {
            settings.rego.evaluation_limit = match limit {
                Some("time") => Duration::from_millis(20),
                _ => Duration::from_secs(60),
            };
        }));
        let answer = pdp.check(get(&[]), NOW_NS);
        assert_eq!(answer.decision.reason.kind, ReasonKind::RegoError, "{rego}");
        let text = pdp.metrics.encode();
        let line = limit.map(|limit| format!("doorward_limits_hit_total{{limit=\"{limit}\"}} 1\n"));
        match line {
            Some(line) => assert!(text.contains(&line), "{answer:?} {text}"),
            None => assert!(!text.contains("limits_hit_total{"), "{text}"),
        }
    }
    let pdp = counted(&Setup::default());
    pdp.crowded_out(&get(&[]), "full".to_owned(), NOW_NS);
    assert_has(&pdp, &["doorward_limits_hit_total{limit=\"overloaded\"} 1"]);
}

/// Only what was evaluated, and native policies of some checks only.
#[test]
fn steps_are_measured() {
    let count = |pdp: &Pdp, step: &str, expected: u64| {
        let line =
            format!("doorward_check_step_duration_seconds_count{{step=\"{step}\"}} {expected}");
        assert_has(pdp, &[&line]);
    };
    let signer = Signer::eddsa();
    let token = signer.token(&json!({"iss": "i", "sub": "s"}));
    let line = format!("authorization: Bearer {token}");
    let setup = Setup::native(&[jwt(&signer)]).with_rego(REGO).cached();
    let pdp = counted(&setup);
    let ask = |now_ns| {
        let arrival = Arrival::measured(now_ns, Instant::now());
        let answer = pdp.check(get(&[&line, "x-rego: true"]), arrival);
        assert_eq!(answer.decision.effect(), Effect::Allow);
    };
    // A time that is none of those whose checks are sampled.
    ask(NOW_NS + 1);
    for (step, expected) in [("authenticate", 1), ("rego", 1), ("native", 0)] {
        count(&pdp, step, expected);
    }
    // From the cache nothing is measured.
    ask(NOW_NS + 16);
    for (step, expected) in [("authenticate", 1), ("rego", 1), ("native", 0)] {
        count(&pdp, step, expected);
    }
    let pdp = counted(&setup);
    pdp.check(
        get(&[&line, "x-rego: true"]),
        Arrival::measured(NOW_NS, Instant::now()),
    );
    for (step, expected) in [("authenticate", 1), ("rego", 1), ("native", 1)] {
        count(&pdp, step, expected);
    }
    // Nobody asks how long it takes.
    let pdp = counted(&setup);
    pdp.check(get(&[&line, "x-rego: true"]), NOW_NS);
    for step in ["authenticate", "rego", "native"] {
        count(&pdp, step, 0);
    }
}
