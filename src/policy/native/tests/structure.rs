//! How the parts of a rule, and of a policy, go together.

use super::*;

/// `(rule, asked, matches)` over HTTP, the same under both actions.
fn check_rules(rows: &[(Value, Asked, bool)]) {
    for (rule, asked, expected) in rows {
        for action in ["ALLOW", "DENY"] {
            let actual = matches(action, rule, asked);
            assert_eq!(actual, *expected, "{action} {rule}");
        }
    }
}

#[test]
fn rules_are_and_of_or() {
    let a = "spiffe://td/ns/a/sa/x";
    let get = |path: &str| Asked::get(path).by_peer(a).to("10.0.0.1", 80);
    let from_a = json!({"source": {"namespaces": ["a"]}});
    let from_b = json!({"source": {"namespaces": ["b"]}});
    let to_x = json!({"operation": {"paths": ["/x"]}});
    let to_y = json!({"operation": {"paths": ["/y"], "methods": ["GET", "PUT"]}});
    let to_z = json!({"operation": {"paths": ["/y"], "methods": ["PUT"]}});
    let yes = json!({"key": "destination.port", "values": ["80"]});
    let no = json!({"key": "destination.port", "values": ["81"]});
    check_rules(&[
        (json!({}), get("/x"), true),
        (
            json!({"from": null, "to": null, "when": null}),
            get("/x"),
            true,
        ),
        (json!({"when": []}), get("/x"), true),
        // `from` and `to` are alternatives.
        (json!({"from": [from_b, from_a]}), get("/x"), true),
        (json!({"from": [from_b]}), get("/x"), false),
        (json!({"to": [to_x, to_y]}), get("/x"), true),
        (json!({"to": [to_x, to_y]}), get("/y"), true),
        (json!({"to": [to_x, to_y]}), get("/z"), false),
        // Fields of one are together.
        (json!({"to": [to_z]}), get("/y"), false),
        // The three parts are together.
        (json!({"from": [from_a], "to": [to_x]}), get("/x"), true),
        (json!({"from": [from_b], "to": [to_x]}), get("/x"), false),
        (
            json!({"from": [from_a], "to": [to_x], "when": [no]}),
            get("/x"),
            false,
        ),
        // So are all conditions.
        (json!({"when": [yes, yes]}), get("/x"), true),
        (json!({"when": [yes, no]}), get("/x"), false),
    ]);
}

#[test]
fn values_and_their_negation_stand_together() {
    let rule =
        json!({"to": [{"operation": {"paths": ["/a*", "/b*"], "notPaths": ["*/x", "*/y"]}}]});
    check_rules(&[
        (rule.clone(), Asked::get("/a"), true),
        (rule.clone(), Asked::get("/b/z"), true),
        (rule.clone(), Asked::get("/a/x"), false),
        (rule.clone(), Asked::get("/b/y"), false),
        (rule, Asked::get("/c"), false),
    ]);
    let rule = json!({"when": [{"key": "source.ip", "values": ["10.0.0.0/8"], "notValues": ["10.1.0.0/16"]}]});
    check_rules(&[
        (rule.clone(), Asked::get("/").by_ip("10.2.0.1"), true),
        (rule.clone(), Asked::get("/").by_ip("10.1.0.1"), false),
        (rule, Asked::get("/"), false),
    ]);
    // Of repeated headers any line counts, for and against.
    let rule =
        json!({"when": [{"key": "request.headers[r]", "values": ["a"], "notValues": ["b"]}]});
    let with = |lines: &[&str]| {
        let lines = headers(lines);
        Asked::get("/").with(|http| http.headers = lines)
    };
    check_rules(&[
        (rule.clone(), with(&["r: a"]), true),
        (rule.clone(), with(&["r: c", "r: a"]), true),
        (rule, with(&["r: a", "r: b"]), false),
    ]);
    // An empty list is none.
    let rule = json!({"to": [{"operation": {"paths": [], "notPaths": null, "methods": ["GET"]}}]});
    check_rules(&[(rule, Asked::get("/"), true)]);
}

#[test]
fn what_is_missing_matches_only_negations() {
    let asked = Asked::http();
    let fields = [
        Field::Source("principals"),
        Field::Source("requestPrincipals"),
        Field::Source("namespaces"),
        Field::Source("serviceAccounts"),
        Field::Source("ipBlocks"),
        Field::Source("remoteIpBlocks"),
        Field::Source("trustDomains"),
        Field::Operation("hosts"),
        Field::Operation("ports"),
        Field::Operation("methods"),
        Field::Operation("paths"),
        Field::When("request.headers[x]"),
        Field::When("source.ip"),
        Field::When("remote.ip"),
        Field::When("source.namespace"),
        Field::When("source.serviceAccount"),
        Field::When("source.principal"),
        Field::When("source.trustDomain"),
        Field::When("request.auth.principal"),
        Field::When("request.auth.audiences"),
        Field::When("request.auth.presenter"),
        Field::When("request.auth.claims[a][b]"),
        Field::When("destination.ip"),
        Field::When("destination.port"),
        Field::When("connection.sni"),
        Field::When("experimental.envoy.filters.a[b]"),
    ];
    for field in fields {
        let value = match format!("{field:?}").to_lowercase() {
            name if name.contains("ip\"") || name.contains("ipblocks") => "0.0.0.0/0",
            name if name.contains("port") => "80",
            name if name.contains("account") => "a/b",
            _ => "*",
        };
        check(&field, value, &asked, false, "nothing");
    }
}

#[test]
fn on_a_connection_rules_lose_what_only_http_has() {
    let connection = || {
        Asked::default()
            .by_peer("spiffe://td/ns/a/sa/x")
            .to("10.0.0.1", 80)
    };
    let port = |port: &str| json!({"operation": {"ports": [port]}});
    // `(rule, ALLOW matches, DENY matches)`
    let rows = [
        (json!({}), true, true),
        (json!({"to": [port("80")]}), true, true),
        (json!({"to": [port("81")]}), false, false),
        (
            json!({"from": [{"source": {"namespaces": ["a"]}}]}),
            true,
            true,
        ),
        (
            json!({"to": [{"operation": {"methods": ["GET"]}}]}),
            false,
            true,
        ),
        (
            json!({"to": [{"operation": {"notMethods": ["GET"]}}]}),
            false,
            true,
        ),
        (
            json!({"to": [{"operation": {"hosts": ["a"], "ports": ["80"]}}]}),
            false,
            true,
        ),
        (
            json!({"to": [{"operation": {"hosts": ["a"], "ports": ["81"]}}]}),
            false,
            false,
        ),
        // Left out whole, although the first alternative needs no HTTP.
        (
            json!({"to": [port("80"), {"operation": {"paths": ["/"]}}]}),
            false,
            true,
        ),
        (
            json!({"from": [{"source": {"requestPrincipals": ["*"]}}]}),
            false,
            true,
        ),
        (
            json!({"from": [{"source": {"notRequestPrincipals": ["*"]}}]}),
            false,
            true,
        ),
        (
            json!({"when": [{"key": "request.headers[a]", "values": ["b"]}]}),
            false,
            true,
        ),
        (
            json!({"when": [{"key": "request.auth.claims[a]", "values": ["b"]}]}),
            false,
            true,
        ),
        (
            json!({"when": [{"key": "request.auth.audiences", "notValues": ["b"]}]}),
            false,
            true,
        ),
        (
            json!({"when": [{"key": "request.auth.presenter", "values": ["b"]}], "to": [port("81")]}),
            false,
            false,
        ),
        (
            json!({"when": [{"key": "connection.sni", "values": ["a"]}]}),
            false,
            false,
        ),
        (
            json!({"when": [{"key": "experimental.envoy.filters.a[b]", "values": ["a"]}]}),
            false,
            false,
        ),
    ];
    for (rule, allow, deny) in rows {
        assert_eq!(
            matches("ALLOW", &rule, &connection()),
            allow,
            "ALLOW {rule}"
        );
        assert_eq!(matches("DENY", &rule, &connection()), deny, "DENY {rule}");
    }
}

#[test]
fn a_policy_without_rules_matches_nothing_and_is_there() {
    for (spec, rules, allowed) in [
        (json!({}), 0, false),
        (json!(null), 0, false),
        (json!({"rules": []}), 0, false),
        (json!({"rules": null}), 0, false),
        (json!({"rules": [{}]}), 1, true),
        (json!({"action": "ALLOW", "rules": [{}]}), 1, true),
    ] {
        let policies = compile_in(&mesh(), &[authorization(&spec)]);
        let attached = policies.attached(&Arc::new(workload("shop", &[]))).unwrap();
        assert!(attached.allow.has_policy(), "{spec}");
        assert_eq!(attached.allow.iter().count(), rules, "{spec}");
        assert_eq!(
            attached.allowed_by(&Asked::get("/").facts()).is_some(),
            allowed,
            "{spec}"
        );
        assert!(
            attached.denied_by(&Asked::get("/").facts()).is_none(),
            "{spec}"
        );
    }
    let deny = authorization(&json!({"action": "DENY", "rules": [{}]}));
    let attached = compile_in(&mesh(), &[deny])
        .attached(&Arc::new(workload("shop", &[])))
        .unwrap();
    assert!(!attached.allow.has_policy());
}

#[test]
fn the_first_in_byte_order_of_ids_is_reported() {
    let rule = |path: &str| json!({"to": [{"operation": {"paths": [path]}}]});
    let mut rules = vec![rule("/none"); 11];
    rules[2] = rule("/*");
    rules[10] = rule("/x*");
    for action in ["ALLOW", "DENY"] {
        let one = json!({"action": action, "rules": [rule("/a")]});
        let many = json!({"action": action, "rules": rules});
        let policies = compile_in(
            &mesh(),
            &[
                object("AuthorizationPolicy", "shop", "a", &one),
                object("AuthorizationPolicy", "shop", "a.b", &one),
                object("AuthorizationPolicy", "istio-system", "z", &one),
                object("AuthorizationPolicy", "shop", "many", &many),
            ],
        );
        let attached = policies.attached(&Arc::new(workload("shop", &[]))).unwrap();
        // `ns[istio…` before `ns[shop…`, `a.b]` before `a]`, `rule[10]` before `rule[2]`.
        for (path, expected) in [
            ("/a", "ns[istio-system]-policy[z]-rule[0]"),
            ("/x", "ns[shop]-policy[many]-rule[10]"),
            ("/y", "ns[shop]-policy[many]-rule[2]"),
        ] {
            let asked = Asked::get(path);
            let facts = asked.facts();
            let rule = attached.denied_by(&facts).or(attached.allowed_by(&facts));
            assert_eq!(rule.unwrap().id(), expected, "{action} {path}");
        }
        let ids: Vec<_> = attached
            .deny
            .iter()
            .chain(attached.allow.iter())
            .map(CompiledRule::id)
            .collect();
        let at = |policy: &str| ids.iter().position(|id| id.contains(policy)).unwrap();
        assert!(at("policy[a.b]") < at("policy[a]"), "{ids:?}");
    }
}
