//! How long decisions of Rego are remembered, and which are not.

use super::caching::check_equal;
use super::*;
use crate::cache::CacheResult;
use crate::policy::lifetime::Unremembered;

const SECOND: i64 = 1_000_000_000;

/// What the cache has to do with a GET at so many nanoseconds.
fn result(pdp: &Pdp, lines: &[&str], later: i64) -> CacheResult {
    let snapshot = pdp.snapshot();
    pdp.check_under(&snapshot, &get(lines), NOW_NS + later).1
}

/// Asks at each of these times and compares what the cache had to do with it.
fn check(rego: &'static str, rows: &[(i64, CacheResult)]) {
    let pdp = Setup::default().with_rego(rego).cached().pdp();
    for (later, expected) in rows {
        assert_eq!(result(&pdp, &[], *later), *expected, "{rego} at {later}");
    }
}

use CacheResult::{Hit, Miss, Not};

#[test]
fn a_header_that_nobody_reads_makes_no_difference() {
    let signer = Signer::eddsa();
    let token = signer.token(&json!({"iss": "i", "sub": "s"}));
    let operation = json!({"methods": ["GET"], "paths": ["/"], "hosts": ["h"]});
    let rule = json!({"from": [{"source": {"requestPrincipals": ["i/*"]}}], "to": [{"operation": operation}]});
    let native = || Setup::native(&[jwt(&signer), policy("readers", &json!({"rules": [rule]}))]);
    const READS: &str = "package envoy.authz\n\
        import input.attributes.request.http\n\
        allow if { http.method == \"GET\"; startswith(http.headers.authorization, \"Bearer \") }\n";
    let rego = || Setup::default().with_rego(READS);
    let both = || native().with_rego(READS);
    let requests: Vec<_> = (0..50)
        .map(|at| {
            get(&[
                &format!("authorization: Bearer {token}"),
                &format!("traceparent: 00-{at:032x}-{at:016x}-01"),
                &format!("x-request-id: {at}"),
            ])
        })
        .collect();
    // Asked twice, and all but the first are hits.
    assert_eq!(check_equal(native, &requests), 99);
    assert_eq!(check_equal(rego, &requests), 99);
    assert_eq!(check_equal(both, &requests), 99);
    let all = "package envoy.authz\nallow if count(input.attributes.request.http.headers) > 0\n";
    assert_eq!(
        check_equal(|| Setup::default().with_rego(all), &requests),
        50
    );
}

#[test]
fn a_policy_says_how_long() {
    let off = Not(Unremembered::PolicyOff);
    let time = Not(Unremembered::ReadsTime);
    let random = Not(Unremembered::ReadsRandom);
    let rows: [(&'static str, Vec<(i64, CacheResult)>); 12] = [
        (
            "allow := {\"allowed\": true, \"cache_ttl_seconds\": 2}",
            vec![
                (0, Miss),
                (2 * SECOND - 1, Hit),
                (2 * SECOND, Miss),
                (2 * SECOND, Hit),
            ],
        ),
        (
            "allow := {\"allowed\": false, \"cache_ttl_seconds\": 0.5}",
            vec![(0, Miss), (SECOND / 2 - 1, Hit), (SECOND / 2, Miss)],
        ),
        (
            "allow := {\"allowed\": true, \"cache_ttl_seconds\": 0}",
            vec![(0, off), (0, off)],
        ),
        // Never longer than configured, which is an hour.
        (
            "allow := {\"allowed\": true, \"cache_ttl_seconds\": 1e300}",
            vec![(0, Miss), (3600 * SECOND - 1, Hit), (3600 * SECOND, Miss)],
        ),
        ("allow := time.now_ns() > 0", vec![(0, time), (0, time)]),
        (
            "allow := {\"allowed\": time.now_ns() > 0}",
            vec![(0, time), (0, time)],
        ),
        (
            "allow := {\"allowed\": time.now_ns() > 0, \"cache_ttl_seconds\": 2}",
            vec![(0, Miss), (2 * SECOND - 1, Hit), (2 * SECOND, Miss)],
        ),
        (
            "allow := {\"allowed\": time.now_ns() > 0, \"cache_ttl_seconds\": 0}",
            vec![(0, off)],
        ),
        (
            "allow := rand.intn(\"a\", 5) < 9",
            vec![(0, random), (0, random)],
        ),
        (
            "allow := {\"allowed\": rand.intn(\"a\", 5) < 9, \"cache_ttl_seconds\": 1}",
            vec![(0, Miss), (0, Hit)],
        ),
        // Of several the strongest is told.
        (
            "allow := rand.intn(\"a\", 5) < time.now_ns()",
            vec![(0, random)],
        ),
        (
            "allow := io.jwt.encode_sign({\"alg\": \"HS256\"}, {}, {\"kty\": \"oct\", \"k\": \"YQ\"}) != \"\"",
            vec![(0, random)],
        ),
    ];
    for (rule, rows) in rows {
        let text = format!("package envoy.authz\n{rule}\n").leak();
        check(text, &rows);
    }
}

/// Whether it is asked, or not even reached for this request, decides; not what could be.
#[test]
fn only_rules_that_were_asked_count() {
    const TWO: &str = "package two\nallow := {\"allowed\": true, \"cache_ttl_seconds\": 3}\n";
    const CLOCK: &str = "package one\nallow if time.now_ns() > 0\n";
    let asks = |provider: &str, header: &str| {
        let when = json!([{"key": format!("request.headers[{header}]"), "values": ["*"]}]);
        let spec =
            json!({"action": "CUSTOM", "provider": {"name": provider}, "rules": [{"when": when}]});
        policy(provider, &spec)
    };
    let objects = [
        on_header("DENY", "x-deny"),
        asks("one", "x-one"),
        asks("two", "x-two"),
    ];
    let setup = || Setup::native(&objects).with_rego(CLOCK).with_rego(TWO);
    let pdp = |global: &'static str| setup().with_rego(global).cached().pdp();

    let pure = pdp("package envoy.authz\nallow := {\"allowed\": true, \"cache_ttl_seconds\": 5}\n");
    let time = Not(Unremembered::ReadsTime);
    let rows: &[(&[&str], i64, CacheResult)] = &[
        (&[], 0, Miss),
        (&[], 5 * SECOND - 1, Hit),
        // The least of two.
        (&["x-two: 1"], 0, Miss),
        (&["x-two: 1"], 3 * SECOND - 1, Hit),
        (&["x-two: 1"], 3 * SECOND, Miss),
        // One that reads the clock and says nothing.
        (&["x-one: 1"], 0, time),
        (&["x-one: 1", "x-two: 1"], 0, time),
        // It is asked before, and its answer counts for nothing that follows.
        (&["x-deny: 1", "x-one: 1"], 0, time),
        (&["x-deny: 1"], 0, Miss),
        (&["x-deny: 1"], 3_599 * SECOND, Hit),
    ];
    for (lines, later, expected) in rows {
        assert_eq!(result(&pure, lines, *later), *expected, "{lines:?} {later}");
    }
    // A denial of native policy never asks the entrypoint.
    let clock = pdp("package envoy.authz\nallow if time.now_ns() > 0\n");
    assert_eq!(result(&clock, &[], 0), time);
    assert_eq!(result(&clock, &["x-deny: 1"], 0), Miss);
    assert_eq!(result(&clock, &["x-deny: 1"], 1), Hit);
}

#[test]
fn rules_that_are_turned_off() {
    const ONE: &str = "package one\nallow := {\"allowed\": true, \"cache_ttl_seconds\": 9}\n";
    const GLOBAL: &str = "package envoy.authz\nallow := true\n";
    let asks = json!({"action": "CUSTOM", "provider": {"name": "one"},
        "rules": [{"when": [{"key": "request.headers[x-one]", "values": ["*"]}]}]});
    let off = Not(Unremembered::EntrypointOff);
    let rows = [
        ("one/allow", Miss, off),
        ("/one/allow", Miss, off),
        ("envoy/authz/allow", off, off),
    ];
    for (path, without, with) in rows {
        let setup = Setup::native(&[policy("asks", &asks)]);
        let pdp = setup
            .with_rego(ONE)
            .with_rego(GLOBAL)
            .with(|settings| settings.rego.caching.off = [path.to_owned()].into())
            .cached()
            .pdp();
        assert_eq!(result(&pdp, &[], 0), without, "{path}");
        for _ in 0..2 {
            assert_eq!(result(&pdp, &["x-one: 1"], 0), with, "{path}");
        }
    }
    let pdp = Setup::default().with_rego(GLOBAL).pdp();
    assert_eq!(result(&pdp, &[], 0), Not(Unremembered::Off));
}

/// What others answer is remembered only by the policy's word; and a check that finds it so waits for nobody.
#[test]
fn what_others_answer() {
    const ASKS: &str = "package envoy.authz\n\
        default allow := {\"allowed\": false}\n\
        allow := {\"allowed\": true, \"cache_ttl_seconds\": 5} if input.attributes.request.http.headers[\"x-known\"]\n\
        allow := http.send({\"method\": \"GET\", \"url\": \"http://h\"}).body if input.attributes.request.http.headers[\"x-ask\"]\n";
    let pdp = Setup::default().with_rego(ASKS).cached().pdp();
    let external = Not(Unremembered::External);
    let at_once = |lines: &[&str]| {
        let snapshot = pdp.snapshot();
        let answer = pdp.decide_under(&snapshot, &get(lines), NOW_NS, Effort::Evaluate);
        answer.ok().map(|(_, result)| result)
    };
    assert_eq!(at_once(&["x-known: 1"]), None);
    assert_eq!(result(&pdp, &["x-known: 1"], 0), Miss);
    assert_eq!(at_once(&["x-known: 1"]), Some(Hit));
    assert_eq!(result(&pdp, &[], 0), external);
    assert_eq!(at_once(&[]), None);
    // Nobody is there to be asked.
    assert_eq!(result(&pdp, &["x-ask: 1"], 0), Not(Unremembered::Failure));
}

/// Tokens that Rego verifies bound a decision by their own times.
#[test]
fn a_token_that_rego_verifies() {
    let signer = Signer::eddsa();
    let with = |more: &str| {
        let rego = format!(
            "package envoy.authz\n\
             token := input.attributes.request.http.headers[\"x-token\"]\n\
             allow := io.jwt.decode_verify(token, {{\"cert\": `{}`{more}}})[0]\n",
            signer.jwks()
        );
        Setup::default().with_rego(rego.leak()).cached().pdp()
    };
    let line = |claims: Value| format!("x-token: {}", signer.token(&claims));
    let now = NOW;
    let day = 86_400 * SECOND;
    let margin = 10_000;
    let rows: Vec<(&str, Value, Vec<(i64, u16, CacheResult)>)> = vec![
        // Until just before it expires; a second after it was remembered.
        (
            "",
            json!({"exp": now + 1}),
            vec![
                (0, 200, Miss),
                (SECOND - margin - 1, 200, Hit),
                (SECOND - margin, 200, Miss),
                (SECOND, 403, Miss),
                (2 * SECOND, 403, Hit),
            ],
        ),
        (
            "",
            json!({"exp": now}),
            vec![(0, 403, Miss), (SECOND, 403, Hit)],
        ),
        (
            "",
            json!({"exp": 1_700_000_001.5}),
            vec![
                (0, 200, Miss),
                (SECOND, 200, Hit),
                (3 * SECOND / 2, 403, Miss),
            ],
        ),
        // Until it begins to be valid.
        (
            "",
            json!({"nbf": now + 2}),
            vec![
                (0, 403, Miss),
                (SECOND, 403, Hit),
                (2 * SECOND, 200, Miss),
                (3 * SECOND, 200, Hit),
            ],
        ),
        (
            "",
            json!({"nbf": now + 2, "exp": now + 3}),
            vec![
                (0, 403, Miss),
                (SECOND, 403, Hit),
                (2 * SECOND, 200, Miss),
                (3 * SECOND, 403, Miss),
                (4 * SECOND, 403, Hit),
            ],
        ),
        // Without times, and with one that is given, it does not depend on the clock.
        (
            "",
            json!({}),
            vec![(0, 200, Miss), (3_599 * SECOND, 200, Hit)],
        ),
        (
            "",
            json!({"exp": 1e300}),
            vec![(0, 200, Miss), (3_599 * SECOND, 200, Hit)],
        ),
        (
            ", \"time\": 5000000000",
            json!({"exp": 6}),
            vec![(0, 200, Miss), (3_599 * SECOND, 200, Hit)],
        ),
        (
            ", \"time\": 6000000000",
            json!({"exp": 6}),
            vec![(0, 403, Miss), (day, 403, Miss), (day, 403, Hit)],
        ),
        // What fails before times are looked at holds on.
        (
            ", \"iss\": \"other\"",
            json!({"iss": "i", "exp": now + 1}),
            vec![(0, 403, Miss), (2 * SECOND, 403, Hit)],
        ),
        (
            ", \"time\": time.now_ns()",
            json!({"exp": now + 1}),
            vec![(0, 200, Not(Unremembered::ReadsTime))],
        ),
    ];
    for (constraints, claims, rows) in rows {
        let pdp = with(constraints);
        let line = line(claims.clone());
        for (later, status, expected) in rows {
            let snapshot = pdp.snapshot();
            let (answer, result) = pdp.check_under(&snapshot, &get(&[&line]), NOW_NS + later);
            let actual = (answer.decision.status(), result);
            assert_eq!(
                actual,
                (status, expected),
                "{constraints} {claims} at {later}"
            );
        }
    }
}

/// A check that began before a push remembers what it decides where nobody looks any more.
#[test]
fn a_late_decision_goes_with_its_snapshot() {
    let allows = Setup::native(&[policy("all", &json!({"rules": [{}]}))]).cached();
    let pdp = allows.pdp();
    let before = pdp.snapshot();
    let next = Setup::native(&[on_header("ALLOW", "x-allow")])
        .cached()
        .pdp();
    pdp.snapshot.store(next.snapshot());
    let (late, result) = pdp.check_under(&before, &get(&[]), NOW_NS);
    assert_eq!((late.decision.effect(), result), (Effect::Allow, Miss));
    let answer = pdp.check(get(&[]), NOW_NS);
    assert_eq!(
        (answer.decision.effect(), answer.cached),
        (Effect::Deny, false)
    );
    let (again, result) = pdp.check_under(&before, &get(&[]), NOW_NS);
    assert_eq!((again.decision.effect(), result), (Effect::Allow, Hit));
}

#[test]
fn everything_is_counted_and_explained() {
    const REGO: &str = "package envoy.authz\n\
        allow := {\"allowed\": time.now_ns() > 0, \"cache_ttl_seconds\": to_number(http.headers[\"x-ttl\"])}\n\
        http := input.attributes.request.http\n";
    let pdp = Setup::native(&[on_header("DENY", "x-deny")])
        .with_rego(REGO)
        .cached()
        .pdp();
    let rows = [
        ("x-deny: 1", "miss"),
        ("x-deny: 1", "hit"),
        ("x-ttl: 1", "miss"),
        ("x-ttl: 1", "hit"),
        ("x-ttl: 0", "policy_off"),
        ("x-ttl: -1", "failure"),
        ("x-bad: a\rb", "failure"),
    ];
    for (line, expected) in rows {
        let (_, explanation) = pdp.check_explained(get(&[line]), NOW_NS);
        assert_eq!(explanation.cache, Some(expected), "{line}");
        if let Some(key) = explanation.cache_key {
            assert_eq!(key.volatile.as_deref(), Some("time.now_ns"));
            assert!(key.headers.contains("x-ttl") && key.headers.contains("x-deny"));
        }
    }
    pdp.note_cache_use();
    let metrics = pdp.metrics.encode();
    for row in [
        "doorward_decision_cache_total{result=\"hit\"} 2",
        "doorward_decision_cache_total{result=\"miss\"} 2",
        "doorward_decision_cache_total{result=\"policy_off\"} 1",
        "doorward_decision_cache_total{result=\"failure\"} 2",
        "doorward_decision_cache_entries 2",
        "doorward_decisions_total{effect=\"allow\",reason=\"rego\"} 3",
        "doorward_decisions_total{effect=\"deny\",reason=\"authorization_policy\"} 2",
        "doorward_decisions_total{effect=\"deny\",reason=\"rego_error\"} 1",
        "doorward_decisions_total{effect=\"deny\",reason=\"invalid_request\"} 1",
    ] {
        assert!(metrics.lines().any(|line| line == row), "{row}\n{metrics}");
    }
    // Nothing is shown that was not counted.
    assert!(
        !metrics.contains("reads_time") && !metrics.contains("no_policy"),
        "{metrics}"
    );
}
