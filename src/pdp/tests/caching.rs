//! Answers from memory are the answers one would get anew.

use super::*;

/// Asks everything twice, with and without a cache; returns how many answers came from memory.
pub(super) fn check_equal(setup: impl Fn() -> Setup, requests: &[Attributes]) -> usize {
    let (cached, fresh) = (setup().cached().pdp(), setup().pdp());
    let mut hits = 0;
    let mut ids = std::collections::HashSet::new();
    for attributes in requests.iter().chain(requests) {
        let answer = cached.check(attributes.clone(), NOW_NS);
        let expected = fresh.check(attributes.clone(), NOW_NS);
        assert_eq!(answer.decision, expected.decision, "{attributes:?}");
        assert!(!expected.cached);
        assert!(
            ids.insert(answer.id) && ids.insert(expected.id),
            "an id came twice"
        );
        hits += usize::from(answer.cached);
    }
    hits
}

/// Requests that differ in one thing or another.
fn requests(lines: &[&str]) -> Vec<Attributes> {
    let mut requests = Vec::new();
    for peer in ["", "spiffe://td/ns/a/sa/alice", "spiffe://td/ns/a/sa/bob"] {
        for line in lines {
            requests.push(by(get(&[line]), peer));
        }
    }
    requests.push(Attributes::default());
    requests
}

#[test]
fn native_policies_alone() {
    let setup = || Setup::native(&[on_header("DENY", "x-deny"), on_header("ALLOW", "x-allow")]);
    let requests = requests(&["x-deny: 1", "x-allow: 1", "x-other: 1", "x-other: 2"]);
    let hits = check_equal(setup, &requests);
    // The second round, and the header that nobody reads in the first.
    assert_eq!(hits, requests.len() + 3);
}

/// What is not asked does not count among what was read.
#[test]
fn rego_that_is_only_for_providers() {
    const CLOCK: &str = "package envoy.authz\nallow if time.now_ns() > 0\n";
    const ONE: &str = "package one\nallow if input.attributes.request.http.method == \"GET\"\n";
    let setup = || {
        let asks = json!({"action": "CUSTOM", "provider": {"name": "one"}, "rules": [{}]});
        let setup = Setup::native(&[policy("asks", &asks)]);
        setup.with_rego(CLOCK).with_rego(ONE).with(|settings| {
            settings.rego.asked = Asked::Nothing;
        })
    };
    let requests = [get(&["x-a: 1"]), get(&["x-a: 2"])];
    assert_eq!(check_equal(setup, &requests), 3);
}

#[test]
fn tokens() {
    let signer = Signer::eddsa();
    let token = |subject: &str, exp: u64| {
        let token = signer.token(&json!({"iss": "i", "sub": subject, "exp": exp}));
        format!("authorization: Bearer {token}")
    };
    let principals = json!({"rules": [{"from": [{"source": {"requestPrincipals": ["i/alice"]}}]}]});
    let setup = || Setup::native(&[jwt(&signer), policy("alice", &principals)]);
    let lines = [
        token("alice", NOW),
        token("bob", NOW),
        token("alice", 1),
        "authorization: Bearer x".to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let requests = requests(&lines);
    let hits = check_equal(setup, &requests);
    // Refused tokens are looked at anew each time: two lines of three peers.
    assert_eq!(hits, requests.len() - 6);
}

#[test]
fn rego() {
    let setup = || Setup::native(&[on_header("ALLOW", "x-rego")]).with_rego(REGO);
    let allowed = "x-rego: {\"allowed\": true, \"headers\": {\"a\": \"b\"}, \"dynamic_metadata\": {\"c\": 1}}";
    let requests = requests(&[
        "x-rego: true",
        "x-rego: false",
        "x-rego: 1",
        "x-none: 1",
        allowed,
    ]);
    let hits = check_equal(setup, &requests);
    // Errors are not remembered: two lines of three peers, and the connection.
    assert_eq!(hits, requests.len() - 7);
}

#[test]
fn a_token_bounds_how_long_a_decision_holds() {
    let signer = Signer::eddsa();
    let line = format!(
        "authorization: Bearer {}",
        signer.token(&json!({"iss": "i", "sub": "s", "exp": NOW}))
    );
    let all = json!({"rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]});
    let deny = json!({"action": "DENY", "rules": all["rules"]});
    for (spec, status) in [(all, 200), (deny, 403)] {
        let pdp = Setup::native(&[jwt(&signer), policy("p", &spec)])
            .cached()
            .pdp();
        let rows = [
            (0, status, false),
            (0, status, true),
            (60, status, true),
            (61, 401, false),
            // Not replaced by the refusal, and still no longer than the token.
            (62, 401, false),
        ];
        for (later, status, cached) in rows {
            let answer = pdp.check(get(&[&line]), NOW_NS + later * 1_000_000_000);
            assert_eq!(
                (answer.decision.status(), answer.cached),
                (status, cached),
                "{later}"
            );
        }
    }
}

/// The time asked about can go back: clocks do, and whoever asks for another time.
#[test]
fn a_decision_does_not_hold_before_its_token() {
    let signer = Signer::eddsa();
    let token = signer.token(&json!({"iss": "i", "sub": "s", "nbf": NOW}));
    let line = format!("authorization: Bearer {token}");
    let pdp = Setup::native(&[jwt(&signer), policy("all", &json!({"rules": [{}]}))])
        .cached()
        .pdp();
    for (later, status, cached) in [(0, 200, false), (-60, 200, false), (-61, 401, false)] {
        let answer = pdp.check(get(&[&line]), NOW_NS + later * 1_000_000_000);
        let got = (answer.decision.status(), answer.cached);
        assert_eq!(got, (status, cached), "{later}");
    }
}

#[test]
fn what_changes_on_its_own_is_not_remembered() {
    let volatile = "package envoy.authz\nallow := {\"allowed\": true, \"headers\": {\"now\": sprintf(\"%d\", [time.now_ns()])}}";
    let pdp = Setup::default().with_rego(volatile).cached().pdp();
    for now in [1, 2] {
        let answer = pdp.check(get(&[]), now);
        assert!(!answer.cached);
        let headers = &answer.decision.reply().unwrap().set_headers;
        assert_eq!(*headers, vec![("now".to_owned(), now.to_string())]);
    }
}

#[test]
fn a_push_ends_what_was_remembered() {
    let pdp = Setup::native(&[policy("all", &json!({"rules": [{}]}))])
        .cached()
        .pdp();
    for cached in [false, true] {
        let answer = pdp.check(get(&[]), NOW_NS);
        assert_eq!(
            (answer.decision.effect(), answer.cached),
            (Effect::Allow, cached)
        );
    }
    let next = Setup::native(&[on_header("ALLOW", "x-allow")])
        .cached()
        .pdp();
    pdp.snapshot.store(next.snapshot());
    let answer = pdp.check(get(&[]), NOW_NS);
    assert_eq!(
        (answer.decision.effect(), answer.cached),
        (Effect::Deny, false)
    );
}
