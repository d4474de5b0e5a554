use serde_json::{Value, json};

use super::*;
use crate::policy::config::{MeshConfig, RegoConfig, settings};

/// The example of RFC 8037, appendix A.
const PRIVATE_KEY: &str = "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"k\", \
    \"d\": \"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\", \
    \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

fn object(kind: &str, namespace: &str, spec: &Value) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": kind,
        "metadata": {"namespace": namespace, "name": "p"}, "spec": spec})
}

/// What is doubted, as `PATH: MESSAGE`.
fn doubts(objects: &[Value]) -> Vec<String> {
    let list = json!({"kind": "List", "items": objects}).to_string();
    let resources = Resource::parse_stream(&list).unwrap();
    let rego = RegoConfig {
        providers: [("known".to_owned(), "a/b".to_owned())].into(),
        ..RegoConfig::default()
    };
    let second = std::time::Duration::from_secs(1);
    let settings = settings(&MeshConfig::default(), &rego, &[], second);
    let resources: Vec<_> = resources.iter().collect();
    let found = warnings(&resources, &settings).into_iter();
    found
        .map(|(_, problem)| {
            let path = problem.path.rsplit_once("].spec.");
            let path = path.map_or(problem.path.as_str(), |(_, path)| path);
            format!("{}: {}", path.trim_start_matches("spec."), problem.message)
        })
        .collect()
}

/// `expected` is the begin of the only warning, or empty.
fn check(objects: &[Value], expected: &str) {
    let actual = doubts(objects);
    let same = match actual.as_slice() {
        [] => expected.is_empty(),
        [one] => !expected.is_empty() && one.starts_with(expected),
        _ => false,
    };
    assert!(same, "{objects:?}\n{actual:#?}\nexpected {expected}");
}

#[test]
fn authorization_policies() {
    let tcp = "rules[0]: also denies plain TCP";
    let rows = [
        (
            json!({"selector": {}}),
            "selector: workload selector specified without labels",
        ),
        (json!({"selector": {"matchLabels": {"a": ""}}}), ""),
        (json!({"rules": [{}]}), ""),
        (json!({"action": "DENY", "rules": [{}]}), ""),
        // HTTP fields that do not count on TCP.
        (
            json!({"action": "DENY", "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}),
            tcp,
        ),
        (
            json!({"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}),
            "",
        ),
        (
            json!({"action": "DENY", "rules": [{"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}]}),
            "",
        ),
        (
            json!({"action": "DENY", "rules": [{"to": [{"operation": {"ports": ["80"]}}, {"operation": {"notPaths": ["/"]}}]}]}),
            tcp,
        ),
        (
            json!({"action": "DENY", "rules": [{"from": [{"source": {"requestPrincipals": ["a/b"]}}]}]}),
            tcp,
        ),
        (
            json!({"action": "DENY", "rules": [{"from": [{"source": {"requestPrincipals": ["a/b"], "ipBlocks": ["::1"]}}]}]}),
            "",
        ),
        (
            json!({"action": "DENY", "rules": [{"from": [{"source": {"principals": ["a"]}}], "to": [{"operation": {"hosts": ["a"]}}]}]}),
            tcp,
        ),
        (
            json!({"action": "DENY", "rules": [{"when": [{"key": "request.headers[a]", "values": ["b"]}]}]}),
            tcp,
        ),
        (
            json!({"action": "DENY", "rules": [{"when": [{"key": "request.headers[a]", "values": ["b"]}, {"key": "source.ip", "values": ["::1"]}]}]}),
            "",
        ),
        // Values that never match.
        (
            json!({"rules": [{"when": [{"key": "request.auth.claims[exp]", "values": ["1"]}]}]}),
            "rules[0].when[0].key: this claim is never a string",
        ),
        (
            json!({"rules": [{"when": [{"key": "request.auth.claims[a][exp]", "values": ["1"]}]}]}),
            "",
        ),
        (
            json!({"rules": [{"when": [{"key": "connection.sni", "notValues": ["a", "A.b"]}]}]}),
            "rules[0].when[0].notValues[1]: `A.b` never matches",
        ),
        (
            json!({"rules": [{"from": [{"source": {"principals": ["spiffe://td/ns/a/sa/b"]}}]}]}),
            "rules[0].from[0].source.principals[0]: `spiffe://td/ns/a/sa/b` never matches",
        ),
        (
            json!({"rules": [{"from": [{"source": {"principals": ["cluster.local*"]}}]}]}),
            "rules[0].from[0].source.principals[0]: `cluster.local*` ends inside a name",
        ),
        (
            json!({"rules": [{"from": [{"source": {"principals": ["cluster.local/*", "*", "*/a"]}}]}]}),
            "",
        ),
        (
            json!({"rules": [{"from": [{"source": {"requestPrincipals": ["issuer"]}}]}]}),
            "rules[0].from[0].source.requestPrincipals[0]: `issuer` never matches",
        ),
        (
            json!({"rules": [{"when": [{"key": "request.auth.principal", "values": ["https://idp.example.com*"]}]}]}),
            "rules[0].when[0].values[0]: `https://idp.example.com*` never matches",
        ),
        (
            json!({"rules": [{"from": [{"source": {"requestPrincipals": ["https://idp.example.com/*", "*", "a*", "*/b"]}}]}]}),
            "",
        ),
        // Peers without identity.
        (
            json!({"rules": [{"from": [{"source": {"notNamespaces": ["a"]}}]}]}),
            "rules[0].from[0].source.notNamespaces: also holds for peers without identity",
        ),
        (
            json!({"rules": [{"when": [{"key": "source.principal", "notValues": ["a"]}]}]}),
            "rules[0].when[0].notValues: also holds for peers without identity",
        ),
        (
            json!({"action": "DENY", "rules": [{"from": [{"source": {"notPrincipals": ["*"]}}]}]}),
            "",
        ),
        // Providers and references.
        (
            json!({"action": "CUSTOM", "provider": {"name": "known"}, "rules": [{}]}),
            "",
        ),
        (
            json!({"action": "CUSTOM", "provider": {"name": "other"}, "rules": [{}]}),
            "provider.name: is not configured in `rego.providers`",
        ),
        (
            json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint"}]}),
            "targetRefs: only class `istio-waypoint`, named in the root namespace",
        ),
    ];
    for (spec, expected) in rows {
        check(&[object("AuthorizationPolicy", "shop", &spec)], expected);
    }
}

#[test]
fn a_strict_mesh_knows_its_peers() {
    let policy = object(
        "AuthorizationPolicy",
        "shop",
        &json!({"rules": [{"from": [{"source": {"notNamespaces": ["a"]}}]}]}),
    );
    let doubt = "rules[0].from[0].source.notNamespaces: also holds";
    let strict = json!({"mtls": {"mode": "STRICT"}});
    let selected = json!({"selector": {"matchLabels": {"a": "b"}}, "mtls": {"mode": "STRICT"}});
    let rows = [
        ("istio-system", strict.clone(), ""),
        ("shop", strict.clone(), ""),
        ("web", strict, doubt),
        ("shop", json!({"mtls": {"mode": "PERMISSIVE"}}), doubt),
        ("shop", selected, doubt),
    ];
    for (namespace, spec, expected) in rows {
        let peer = object("PeerAuthentication", namespace, &spec);
        check(&[policy.clone(), peer], expected);
    }
}

#[test]
fn other_kinds() {
    let selected = json!({"selector": {"matchLabels": {"a": "b"}}});
    let rows = [
        (
            "PeerAuthentication",
            "shop",
            json!({"selector": {}}),
            "selector: workload selector",
        ),
        ("PeerAuthentication", "shop", selected.clone(), ""),
        (
            "PeerAuthentication",
            "istio-system",
            selected.clone(),
            "selector: is ignored",
        ),
        ("RequestAuthentication", "istio-system", selected, ""),
        (
            "RequestAuthentication",
            "shop",
            json!({"selector": {}}),
            "selector: workload selector",
        ),
        ("RequestAuthentication", "shop", json!({}), ""),
    ];
    let private = json!({"jwtRules": [{"issuer": "a", "jwks": PRIVATE_KEY}]});
    check(
        &[object("RequestAuthentication", "shop", &private)],
        "jwtRules[0].jwks: key k is private",
    );
    for (kind, namespace, spec, expected) in rows {
        check(&[object(kind, namespace, &spec)], expected);
    }
    let mut older = object("PeerAuthentication", "shop", &json!({}));
    older["metadata"]["name"] = json!("q");
    older["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    let younger = object("PeerAuthentication", "shop", &json!({}));
    check(&[younger, older], "spec: is ignored: an older");
}
