//! Action CUSTOM: which providers are asked, when, and what their answers do.

use super::*;

/// Each provider answers what its header says, read as JSON; the global entrypoint allows.
const ONE: &str = "package one\n\
    allow := json.unmarshal(input.attributes.request.http.headers[\"x-one\"])\n";
const TWO: &str = "package two\n\
    allow := json.unmarshal(input.attributes.request.http.headers[\"x-two\"])\n";
const GLOBAL: &str = "package envoy.authz\nallow := true\n";

/// Asks a provider for requests that have a header.
fn custom(name: &str, provider: &str, header: &str) -> Value {
    let key = format!("request.headers[{header}]");
    policy(
        name,
        &json!({"action": "CUSTOM", "provider": {"name": provider},
            "rules": [{"when": [{"key": "request.headers[none]", "values": ["*"]}]},
                {"when": [{"key": key, "values": ["*"]}]}]}),
    )
}

fn setup(objects: &[Value]) -> Setup {
    Setup::native(objects)
        .with_rego(ONE)
        .with_rego(TWO)
        .with_rego(GLOBAL)
        .cached()
}

fn objects() -> [Value; 5] {
    [
        custom("a", "two", "x-two"),
        custom("b", "one", "x-one"),
        custom("c", "missing", "x-missing"),
        on_header("DENY", "x-deny"),
        jwt(&Signer::eddsa()),
    ]
}

#[test]
fn providers_are_asked_for_what_their_rules_match() {
    type Row = (
        &'static [&'static str],
        u16,
        Option<&'static str>,
        Option<&'static str>,
    );
    let rows: &[Row] = &[
        // Nothing matches, nobody is asked.
        (&[], 200, None, Some("envoy/authz/allow")),
        (&["x-one: true"], 200, None, Some("envoy/authz/allow")),
        (&["x-one: false"], 403, Some("shop/b"), Some("one/allow")),
        (
            &["x-one: {\"allowed\": false, \"http_status\": 409}"],
            409,
            Some("shop/b"),
            Some("one/allow"),
        ),
        // Both must allow; the first by name is told.
        (
            &["x-one: true", "x-two: true"],
            200,
            None,
            Some("envoy/authz/allow"),
        ),
        (
            &["x-one: true", "x-two: false"],
            403,
            Some("shop/a"),
            Some("two/allow"),
        ),
        (
            &["x-one: false", "x-two: false"],
            403,
            Some("shop/b"),
            Some("one/allow"),
        ),
        // No answer is no allow.
        (&["x-one: junk"], 403, Some("shop/b"), Some("one/allow")),
        // One that is not configured denies what it matches.
        (&["x-missing: a"], 403, Some("shop/c"), None),
        (&["x-missing: a", "x-one: true"], 403, Some("shop/c"), None),
        (&["x-missing: a", "x-one: false"], 403, Some("shop/c"), None),
        // A provider comes before DENY, a token before both.
        (
            &["x-deny: a", "x-one: false"],
            403,
            Some("shop/b"),
            Some("one/allow"),
        ),
        (&["x-deny: a", "x-one: true"], 403, Some("shop/deny"), None),
        (
            &["authorization: Bearer a.b.c", "x-one: false"],
            401,
            Some("shop/jwt"),
            None,
        ),
    ];
    let pdp = setup(&objects()).pdp();
    for (lines, status, policy, entrypoint) in rows {
        for _ in 0..2 {
            let answer = pdp.check(get(lines), NOW_NS);
            let reason = &answer.decision.reason;
            let actual = (
                answer.decision.status(),
                reason.policy.as_deref(),
                reason.entrypoint.as_deref(),
            );
            assert_eq!(actual, (*status, *policy, *entrypoint), "{lines:?}");
        }
    }
}

#[test]
fn the_rule_that_asks_is_told() {
    let pdp = setup(&objects()).pdp();
    for line in ["x-one: false", "x-missing: a"] {
        let answer = pdp.check(get(&[line]), NOW_NS);
        assert_eq!(answer.decision.reason.rule, Some(1), "{line}");
    }
    let answer = pdp.check(get(&["x-missing: a"]), NOW_NS);
    assert_eq!(
        answer.decision.reason.message,
        "CUSTOM rule matched and its provider `missing` is not configured"
    );
}

#[test]
fn without_rego_a_provider_denies() {
    let pdp = Setup::native(&[custom("b", "one", "x-one")])
        .with(|settings| settings.default_action = DefaultAction::Allow)
        .pdp();
    assert_eq!(
        pdp.check(get(&["x-one: true"]), NOW_NS).decision.status(),
        403
    );
    assert_eq!(pdp.check(get(&[]), NOW_NS).decision.status(), 200);
}

#[test]
fn on_tcp_a_provider_is_asked_for_more() {
    let tcp_only = json!({"action": "CUSTOM", "provider": {"name": "missing"},
        "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]});
    let pdp = setup(&[policy("p", &tcp_only)]).pdp();
    let decision = pdp.check(Attributes::default(), NOW_NS).decision;
    assert_eq!(decision.reason.policy.as_deref(), Some("shop/p"));
}

#[test]
fn an_earlier_provider_governs_its_headers() {
    let answer = |header: &str, value: &str| {
        format!(
            "{{\"allowed\": true, \"headers\": {{\"{header}\": \"{value}\"}}, \"request_headers_to_remove\": [\"x-both\"]}}"
        )
    };
    let one = format!("x-one: {}", answer("x-user", "one"));
    let two = format!("x-two: {}", answer("X_User", "two"));
    let decision = setup(&objects())
        .pdp()
        .check(get(&[&one, &two]), NOW_NS)
        .decision;
    let mutations = decision.reply().unwrap();
    assert_eq!(
        mutations.set_headers,
        [("x-user".to_owned(), "one".to_owned())]
    );
    assert_eq!(mutations.remove_headers, ["x-both"]);
}

#[test]
fn what_watches_does_not_see_what_a_provider_denied() {
    let watch = json!({"action": "AUDIT", "rules": [{}]});
    let pdp = setup(&[custom("b", "one", "x-one"), policy("audit", &watch)]).pdp();
    for (line, audited) in [("x-one: true", Some(true)), ("x-one: false", None)] {
        let decision = pdp.check(get(&[line]), NOW_NS).decision;
        assert_eq!(decision.observed.audited, audited, "{line}");
    }
}
