//! What is told of each test of each rule.

use super::*;
use crate::attributes::Pairs;

/// `FIELD VALUES against FOUND holds`, for each test of the first rule that is explained.
fn explained(policies: &[Value], asked: &Asked) -> Vec<String> {
    let policies = compile_in(&mesh(), policies);
    let attached = policies.attached(&Arc::new(workload("shop", &[]))).unwrap();
    let rules = attached.explain(&asked.facts());
    let tests = rules.iter().flat_map(|rule| &rule.tests);
    let shown = |test: &ExplainedTest| {
        let (values, found) = (test.values.join(" "), test.found.join(" "));
        format!("{} [{values}] [{found}] {}", test.field, test.holds)
    };
    tests.map(shown).collect()
}

fn rule(spec: &Value) -> Vec<Value> {
    vec![authorization(&json!({"rules": [spec]}))]
}

#[test]
fn every_field_shows_what_was_asked_and_found() {
    let asked = Asked::get("/a/b?c=d")
        .by_peer("spiffe://td/ns/web/sa/cart")
        .by_ip("10.0.0.1")
        .to("::1", 80)
        .with_claims(&json!({"iss": "i", "sub": "s", "groups": ["a", "b"], "n": 7}))
        .with(|http| {
            http.host = "Shop:80".to_owned();
            let line = |value| ("x-a".to_owned(), Bytes::from_static(value));
            let lines = vec![line(b"one"), line(b"\xff")];
            http.headers = Headers::new(Pairs::new(), Some(lines));
        });
    let source = |name: &str, value: &str| json!({"from": [{"source": {name: [value]}}]});
    let operation = |name: &str, value: &str| json!({"to": [{"operation": {name: [value]}}]});
    let when = |key: &str, value: &str| json!({"when": [{"key": key, "values": [value]}]});
    let peer = "[spiffe://td/ns/web/sa/cart]";
    let rows = [
        (
            source("principals", "td/*"),
            format!("from[0].source.principals [td/*] {peer} true"),
        ),
        (
            source("notPrincipals", "*"),
            format!("from[0].source.notPrincipals [*] {peer} false"),
        ),
        (
            source("namespaces", "w*b"),
            format!("from[0].source.namespaces [w*b] {peer} true"),
        ),
        (
            source("serviceAccounts", "cart"),
            format!("from[0].source.serviceAccounts [shop/cart] {peer} false"),
        ),
        (
            source("trustDomains", "*d"),
            format!("from[0].source.trustDomains [*d] {peer} true"),
        ),
        (
            source("requestPrincipals", "i/*"),
            "from[0].source.requestPrincipals [iss i and sub *] [iss \"i\" sub \"s\"] true"
                .to_owned(),
        ),
        (
            source("ipBlocks", "10.1.2.3/8"),
            "from[0].source.ipBlocks [10.0.0.0/8] [10.0.0.1] true".to_owned(),
        ),
        (
            source("remoteIpBlocks", "::1"),
            "from[0].source.remoteIpBlocks [::1/128] [] false".to_owned(),
        ),
        (
            operation("hosts", "shop*"),
            "to[0].operation.hosts [shop*] [Shop:80] true".to_owned(),
        ),
        (
            operation("notPorts", "80"),
            "to[0].operation.notPorts [80] [80] false".to_owned(),
        ),
        (
            operation("methods", "*T"),
            "to[0].operation.methods [*T] [GET] true".to_owned(),
        ),
        (
            operation("paths", "/a/{*}"),
            "to[0].operation.paths [/a/{*}] [/a/b] true".to_owned(),
        ),
        (
            operation("notPaths", "/x/{**}/y"),
            "to[0].operation.notPaths [/x/{**}/y] [/a/b] true".to_owned(),
        ),
        (
            when("request.headers[X-A]", "one"),
            "when[request.headers[x-a]].values [one] [one \u{fffd}] true".to_owned(),
        ),
        (
            when("request.headers[:path]", "*d"),
            "when[request.headers[:path]].values [*d] [/a/b?c=d] true".to_owned(),
        ),
        (
            when("request.auth.claims[groups]", "b"),
            "when[request.auth.claims[groups]].values [b] [[\"a\",\"b\"]] true".to_owned(),
        ),
        (
            when("request.auth.claims[n]", "7"),
            "when[request.auth.claims[n]].values [7] [7] false".to_owned(),
        ),
        (
            when("request.auth.audiences", "x"),
            "when[request.auth.claims[aud]].values [x] [] false".to_owned(),
        ),
        (
            when("destination.ip", "::/0"),
            "when[destination.ip].values [::/0] [::1] true".to_owned(),
        ),
        (
            when("connection.sni", "a"),
            "when[connection.sni].values [a] [] false".to_owned(),
        ),
        (
            when("experimental.envoy.filters.http.x[k]", "[v]"),
            "when[experimental.envoy.filters.http.x[k]].values [[v]] [] false".to_owned(),
        ),
    ];
    for (spec, expected) in rows {
        assert_eq!(explained(&rule(&spec), &asked), [expected], "{spec}");
    }
    let not = json!({"when": [{"key": "source.ip", "values": ["::1"], "notValues": ["::2"]}]});
    assert_eq!(
        explained(&rule(&not), &asked),
        [
            "when[source.ip].values [::1/128] [10.0.0.1] false",
            "when[source.ip].notValues [::2/128] [10.0.0.1] true"
        ]
    );
}

#[test]
fn every_rule_is_told_in_the_order_of_the_verdict() {
    let policy = |name: &str, spec: Value| object("AuthorizationPolicy", "shop", name, &spec);
    let rules = json!([{}, {"to": [{"operation": {"methods": ["PUT"]}}]}]);
    let mut dry = policy("dry", json!({"action": "DENY", "rules": rules}));
    dry["metadata"]["annotations"] = json!({"istio.io/dry-run": "true"});
    let policies = [
        dry,
        policy("audit", json!({"action": "AUDIT", "rules": rules})),
        policy("allow", json!({"rules": rules})),
        policy("deny", json!({"action": "DENY", "rules": rules})),
        policy(
            "custom",
            json!({"action": "CUSTOM", "provider": {"name": "a"}, "rules": rules}),
        ),
    ];
    let policies = compile_in(&mesh(), &policies);
    let attached = policies.attached(&Arc::new(workload("shop", &[]))).unwrap();
    let told: Vec<_> = attached
        .explain(&Asked::get("/").facts())
        .iter()
        .map(|rule| {
            format!(
                "{} {} {} {} {}",
                rule.action, rule.policy, rule.rule, rule.dry_run, rule.matched
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "CUSTOM shop/custom 0 false true",
            "CUSTOM shop/custom 1 false false",
            "DENY shop/deny 0 false true",
            "DENY shop/deny 1 false false",
            "ALLOW shop/allow 0 false true",
            "ALLOW shop/allow 1 false false",
            "AUDIT shop/audit 0 false true",
            "AUDIT shop/audit 1 false false",
            "DENY shop/dry 0 true true",
            "DENY shop/dry 1 true false",
        ]
    );
}
