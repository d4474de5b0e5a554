//! Objects that are refused, each with the line of what is wrong.

use super::*;

mod authentication;

/// `problem` is `LINE: MESSAGE`, or `LINE:…` for the begin of a message.
fn check(text: &str, expected: &[&str]) {
    let actual: Vec<_> = match Resource::parse_stream(text) {
        Err(problems) => problems,
        Ok(resources) => match NativePolicies::compile(&resources, &mesh()) {
            Ok(_) => panic!("accepted:\n{text}"),
            Err(problems) => problems.into_iter().map(|(_, problem)| problem).collect(),
        },
    }
    .into_iter()
    .map(|problem| format!("{}: {}", problem.mark.unwrap().row, problem.message))
    .collect();
    let same = actual.len() == expected.len()
        && actual
            .iter()
            .zip(expected)
            .all(|(actual, expected)| match expected.strip_suffix('…') {
                Some(start) => actual.starts_with(start),
                None => actual == expected,
            });
    assert!(same, "{text}\n{actual:#?}\nexpected {expected:#?}");
}

/// The object's head takes lines 1 to 3; `spec` begins at line 4.
fn check_spec(kind: &str, spec: &str, expected: &[&str]) {
    let head = format!(
        "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: p, namespace: shop}}\n"
    );
    check(&format!("{head}{spec}"), expected);
}

#[test]
fn heads() {
    let rows = [
        (
            "apiVersion: v1\nkind: AuthorizationPolicy\nmetadata: {name: p}",
            "1: `v1` is not `security.istio.io/v1` or `security.istio.io/v1beta1`",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: Authorization\nmetadata: {name: p}",
            "2: `Authorization` is neither `AuthorizationPolicy`, `RequestAuthentication`, `PeerAuthentication` nor `Telemetry`",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: Telemetry\nmetadata: {name: p}",
            "1: `security.istio.io/v1` is not `telemetry.istio.io/v1` or `telemetry.istio.io/v1alpha1`",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}",
            "2: `NetworkPolicy` is enforced by the network plugin, not here",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: A_b",
            "4: is not a valid Kubernetes name (a-z, 0-9, `-` and `.`)",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nsepc: {}",
            "4: unknown field `sepc`…",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata:\n  name: p\n  annotations: {istio.io/dry-run: \"true\"}",
            "5: `istio.io/dry-run` is for AuthorizationPolicy only",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: p\n  annotations: {istio.io/dry-run: \"true\"}\nspec: {action: AUDIT, rules: [{}]}",
            "5: `istio.io/dry-run` is for ALLOW and DENY only",
        ),
        // Not a boolean: Istio would enforce it and only log that.
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: p\n  annotations: {istio.io/dry-run: \"maybe\"}",
            "5: `istio.io/dry-run` is neither true nor false",
        ),
        (
            "kind: AuthorizationPolicy\nmetadata: {name: p}",
            "1: missing field `apiVersion`",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {}",
            "3: missing field `name`",
        ),
    ];
    for (text, expected) in rows {
        check(text, &[expected]);
    }
}

#[test]
fn authorization_policies() {
    let rows: &[(&str, &[&str])] = &[
        ("spec:\n  ruels: []", &["5: unknown field `ruels`…"]),
        (
            "spec:\n  rules:\n  - from:\n    - source:\n        principal: [a]",
            &["8: unknown field `principal`…"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation:\n        paths: /a",
            &["8: invalid type: string \"/a\", expected a sequence"],
        ),
        (
            "spec:\n  rules:\n  - from: []",
            &["6: must not be empty; leave it out to match all"],
        ),
        (
            "spec:\n  rules:\n  - {}\n  - to: []",
            &["7: must not be empty; leave it out to match all"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - {}",
            &["7: missing field `source`"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - {}",
            &["7: missing field `operation`"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {}",
            &["7: the source must have at least one field with values"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation: {paths: []}",
            &["7: the operation must have at least one field with values"],
        ),
        ("spec:\n  rules:\n  - null", &["6: …"]),
        (
            "spec:\n  rules:\n  - from:\n    - source:\n        ipBlocks:\n        - 10.0.0.1\n        - 10.0.0.0/33\n        - x",
            &["10: bad CIDR range `10.0.0.0/33`", "11: bad IP address `x`"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {remoteIpBlocks: [010.0.0.1]}",
            &["7: bad IP address `010.0.0.1`"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {ipBlocks: [010.0.0.0/8, 10.0.0.0/08, 10.0.0.0/+8, 10.0.0.0/, \"::/129\"]}",
            &[
                "7: bad CIDR range `010.0.0.0/8`",
                "7: bad CIDR range `10.0.0.0/08`",
                "7: bad CIDR range `10.0.0.0/+8`",
                "7: bad CIDR range `10.0.0.0/`",
                "7: bad CIDR range `::/129`",
            ],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {ipBlocks: [\"fe80::1%eth0/64\"]}",
            &["7: bad CIDR range `fe80::1%eth0/64`"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation:\n        ports: [\"80\", \"65536\", \"-1\", http, \"+80\", \"*\"]",
            &[
                "8: bad port `65536`",
                "8: bad port `-1`",
                "8: bad port `http`",
                "8: bad port `+80`",
                "8: bad port `*`",
            ],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation:\n        paths: [\"/a/{*}x\"]",
            &["8: segment `{*}x` is neither `{*}`, `{**}` nor free of braces"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation:\n        paths: [\"/a/{name}\"]",
            &["8: segment `{name}` is neither `{*}`, `{**}` nor free of braces"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation: {notPaths: [\"/{**}/{*}\"]}",
            &["7: `{**}` must be the last operator"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation: {paths: [\"/{**}/{**}\"]}",
            &["7: `{**}` must be the last operator"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation: {paths: [\"/{*}/a*\"]}",
            &["7: segment `a*` cannot stand in a path template"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation: {paths: [\"/{*}//a\"]}",
            &["7: segment `` cannot stand in a path template"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation: {paths: [\"{*}/a\"]}",
            &["7: a path template must begin with `/`"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {serviceAccounts: [\"a/*\"]}",
            &["7: wildcards are not supported in service accounts"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {serviceAccounts: [a/b/c]}",
            &["7: is not `ACCOUNT` or `NAMESPACE/ACCOUNT`"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {serviceAccounts: [/b]}",
            &["7: is not `ACCOUNT` or `NAMESPACE/ACCOUNT`"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {serviceAccounts: [a], principals: [b]}",
            &["7: `serviceAccounts` cannot stand beside `principals` or `namespaces`"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {trustDomains: [\"a*b\"]}",
            &["7: a trust domain can hold one `*`, at its begin or end"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {trustDomains: [\"*a*\"]}",
            &["7: a trust domain can hold one `*`, at its begin or end"],
        ),
        (
            "spec:\n  rules:\n  - from:\n    - source: {trustDomains: [a/b]}",
            &["7: a trust domain cannot hold `/`"],
        ),
        (
            "spec:\n  rules:\n  - to:\n    - operation:\n        paths:\n        - /a\n        - \"\"",
            &["10: empty value not allowed"],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - key: source.port\n      values: [a]",
            &["7: `source.port` is not a known attribute, or lacks the form `attribute[name]`"],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - {key: \"request.headersx[a]\", values: [a]}",
            &[
                "7: `request.headersx[a]` is not a known attribute, or lacks the form `attribute[name]`",
            ],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - {key: \"request.headers[]\", values: [a]}",
            &[
                "7: `request.headers[]` is not a known attribute, or lacks the form `attribute[name]`",
            ],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - {key: \"request.auth.claims[a\", values: [a]}",
            &[
                "7: `request.auth.claims[a` is not a known attribute, or lacks the form `attribute[name]`",
            ],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - {key: \"destination.labels[a]\", values: [a]}",
            &[
                "7: `destination.labels[a]` is not a known attribute, or lacks the form `attribute[name]`",
            ],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - {key: paths, values: [a]}",
            &["7: `paths` is not a known attribute, or lacks the form `attribute[name]`"],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - {key: source.ip, values: []}",
            &["7: at least one of `values` and `notValues` is needed"],
        ),
        (
            "spec:\n  rules:\n  - when:\n    - {values: [a]}",
            &["7: missing field `key`"],
        ),
        (
            "spec: {action: DENY}",
            &["4: DENY action without `rules` is meaningless: it never triggers"],
        ),
        (
            "spec: {action: DENY, rules: []}",
            &["4: DENY action without `rules` is meaningless: it never triggers"],
        ),
        (
            "spec:\n  action: CUSTOM\n  provider: {name: a}",
            &["4: CUSTOM action without `rules` is meaningless: it never triggers"],
        ),
        (
            "spec:\n  action: CUSTOM\n  rules: [{}]",
            &["4: `provider.name` must not be empty"],
        ),
        (
            "spec:\n  action: CUSTOM\n  provider: {}\n  rules: [{}]",
            &["6: `provider.name` must not be empty"],
        ),
        (
            "spec:\n  action: CUSTOM\n  provider: {name: A.b}\n  rules: [{}]",
            &["6: is not a name…"],
        ),
        (
            "spec:\n  action: CUSTOM\n  provider: {name: a}\n  rules:\n  - from:\n    - source:\n        namespaces: [a]\n        notPrincipals: [b]",
            &[
                "11: identities are not supported with CUSTOM action",
                "10: identities are not supported with CUSTOM action",
            ],
        ),
        (
            "spec:\n  action: CUSTOM\n  provider: {name: a}\n  rules:\n  - when:\n    - key: \"request.auth.claims[a]\"\n      values: [b]",
            &["10: identities are not supported with CUSTOM action"],
        ),
        (
            "spec: {action: allow}",
            &["4: unknown variant `allow`, expected one of `ALLOW`, `DENY`, `AUDIT`, `CUSTOM`"],
        ),
        (
            "spec:\n  provider: {name: a}",
            &["5: `provider` must not be with non CUSTOM action"],
        ),
        (
            "spec:\n  targetRefs:\n  - {kind: Gateway, name: a}",
            &["6: `/Gateway` is neither `core/Service`…"],
        ),
        (
            "spec:\n  targetRef: {group: apps, kind: Deployment, name: a}",
            &["5: `apps/Deployment` is neither `core/Service`…"],
        ),
        (
            "spec:\n  targetRefs:\n  - {kind: Service, name: a}\n  - {kind: Service}",
            &["7: must not be empty"],
        ),
        (
            "spec:\n  targetRefs:\n  - {kind: Service, name: a, namespace: b}",
            &["6: cross namespace referencing is not supported"],
        ),
        (
            "spec:\n  targetRefs:\n  - {kind: Service, name: a, port: 1}",
            &["6: unknown field `port`…"],
        ),
        (
            "spec:\n  targetRefs: [{kind: Service, name: a}]\n  selector: {}",
            &["5: only one of `targetRefs` and `selector` can be set"],
        ),
        (
            "spec:\n  targetRefs: [{kind: Service, name: a}]\n  targetRef: {kind: Service, name: a}",
            &["5: only one of `targetRefs` and `selector` can be set"],
        ),
        (
            "spec:\n  selector: {matchLabels: {\"a*\": b}}",
            &["5: wildcard is not supported in selector"],
        ),
        (
            "spec:\n  selector: {matchLabels: {a: \"*\"}}",
            &["5: wildcard is not supported in selector"],
        ),
        (
            "spec:\n  selector: {matchLabels: {\"\": b}}",
            &["5: empty key is not supported in selector"],
        ),
        (
            "spec:\n  selector: {matchExpressions: []}",
            &["5: unknown field `matchExpressions`…"],
        ),
    ];
    for (spec, expected) in rows {
        check_spec("AuthorizationPolicy", spec, expected);
    }
}

#[test]
fn every_problem_of_every_object_is_told() {
    let bad = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - to:\n    - operation: {ports: [x], paths: [\"{\"]}\n";
    check(
        &format!("{bad}---\n{bad}"),
        &[
            "7: bad port `x`",
            "7: segment `{` is neither `{*}`, `{**}` nor free of braces",
            "15: bad port `x`",
            "15: segment `{` is neither `{*}`, `{**}` nor free of braces",
        ],
    );
}

#[test]
fn what_has_no_meaning_here_is_accepted() {
    let text = "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata:\n  name: p\n  uid: x\n  labels: {a: b}\n  annotations: {istio.io/dry-run: \"false\", other: x}\nspec:\n  rules: [{}]\nstatus: {conditions: []}\n";
    let resources = Resource::parse_stream(text).unwrap();
    let ids: Vec<_> = resources
        .iter()
        .map(|resource| resource.id.to_string())
        .collect();
    assert_eq!(ids, ["AuthorizationPolicy/default/p"]);
    assert!(NativePolicies::compile(&resources, &mesh()).is_ok());
}

#[test]
fn peer_authentications() {
    let rows = [
        (
            "spec: {mtls: {mode: STRONG}}",
            "4: unknown variant `STRONG`…",
        ),
        ("spec: {mtls: {mod: STRICT}}", "4: unknown field `mod`…"),
        (
            "spec: {portLevelMtls: {8080: {mode: STRICT}}}",
            "4: port level mTLS needs a workload selector",
        ),
        (
            "spec:\n  selector: {matchLabels: {a: b}}\n  portLevelMtls: {}",
            "6: must not be empty",
        ),
        (
            "spec:\n  selector: {matchLabels: {a: b}}\n  portLevelMtls: {0: {}}",
            "6: bad port `0`",
        ),
        (
            "spec:\n  selector: {matchLabels: {a: b}}\n  portLevelMtls: {70000: {}}",
            "6: bad port `70000`",
        ),
        (
            "spec: {selector: {matchLabels: {\"a*\": b}}}",
            "4: wildcard is not supported in selector",
        ),
    ];
    for (spec, problem) in rows {
        check_spec("PeerAuthentication", spec, &[problem]);
    }
}
