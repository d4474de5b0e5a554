//! What a policy gets to see of a case's request.

use super::*;

/// Whether Rego sees that of a case, `request: {…}` or another form.
fn check(request: &str, condition: &str) {
    let condition = condition.replace("$http", "input.attributes.request.http");
    let rego = format!("package envoy.authz\n\ndefault allow := false\n\nallow if {condition}\n");
    let case = format!("{request}, expect: {{ effect: allow }}");
    let verdict = run_with(&case, &[("p.rego", &rego)]);
    assert!(verdict.passed(), "{request}: {condition}: {verdict:?}");
}

#[test]
fn requests_look_as_from_a_proxy() {
    let rows = [
        ("request: {}", "$http.method == `GET`"),
        ("request: {}", "$http.path == `/`"),
        ("request: {}", "not $http.host"),
        ("request: {}", "not input.attributes.source"),
        ("request: {}", "not input.attributes.destination"),
        (
            "request: { path: \"/a?b=c\" }",
            "input.parsed_query == {`b`: [`c`]}",
        ),
        (
            "request: { method: PUT, path: /a, host: h, scheme: https }",
            "$http.headers == {`:authority`: `h`, `:method`: `PUT`, `:path`: `/a`, `:scheme`: `https`}",
        ),
        (
            "request: { headers: { X-A: b } }",
            "$http.headers[`x-a`] == `b`",
        ),
        (
            "request: { headers: { x-a: [b, c] } }",
            "$http.headers[`x-a`] == `b,c`",
        ),
        (
            "request: { headers: { x-a: [b, c] }, raw_headers: true }",
            "count([line | some line in $http.headerMap.headers; line.key == `x-a`]) == 2",
        ),
        (
            "request: { token: a.b.c }",
            "$http.headers.authorization == `Bearer a.b.c`",
        ),
        (
            "request: { body: '{\"a\": 1}', headers: { content-type: application/json } }",
            "input.parsed_body == {`a`: 1}",
        ),
        (
            "connection: { destination: { port: 80 } }",
            "not input.attributes.request",
        ),
        (
            "connection: { sni: Web.Example }",
            "input.attributes.destination.service == `web.example`",
        ),
        (
            "request: {}, context_extensions: { a: b }",
            "input.attributes.contextExtensions == {`a`: `b`}",
        ),
        (
            "check_request: { attributes: { request: { http: { id: \"7\" } } } }",
            "$http.id == `7`",
        ),
    ];
    for (request, condition) in rows {
        check(request, condition);
    }
}

#[test]
fn ends_of_a_connection() {
    let rows = [
        (
            "source: { principal: spiffe://a/ns/b/sa/c }",
            "source == {`principal`: `spiffe://a/ns/b/sa/c`}",
        ),
        (
            "source: { ip: 10.0.0.7, port: 5 }",
            "source.address.socketAddress == {`address`: `10.0.0.7`, `portValue`: 5}",
        ),
        (
            "destination: { ip: \"::1\", port: 80 }",
            "destination.address.socketAddress == {`address`: `::1`, `portValue`: 80}",
        ),
        (
            "destination: { port: 80 }",
            "destination.address.socketAddress.portValue == 80",
        ),
    ];
    for (end, condition) in rows {
        for form in ["request", "connection"] {
            let request = format!("{form}: {{ {end} }}");
            check(&request, &format!("input.attributes.{condition}"));
        }
    }
}

/// The time is one for tokens, for Rego and in the request, unless the request has its own.
#[test]
fn times() {
    let rows = [
        ("request: {}", "time.now_ns() == 1700000000000000000"),
        (
            "request: {}",
            "input.attributes.request.time.seconds == 1700000000",
        ),
        (
            "request: {}, time: 2001-09-09T01:46:40Z",
            "time.now_ns() == 1000000000000000000",
        ),
        (
            "request: {}, time: 2001-09-09T01:46:40Z",
            "input.attributes.request.time.seconds == 1000000000",
        ),
        (
            "check_request: { attributes: { request: { time: \"2001-09-09T01:46:40Z\" } } }",
            "input.attributes.request.time.seconds == 1000000000",
        ),
    ];
    for (request, condition) in rows {
        check(request, condition);
    }
}

#[test]
fn a_workload_is_told_as_a_proxys_route_does() {
    let workload = "{ namespace: a, labels: { x: y, v: w }, service_account: b }";
    for (name, value) in [
        ("namespace", "a"),
        ("labels", "v=w,x=y"),
        ("service-account", "b"),
    ] {
        let request = format!("request: {{}}, workload: {workload}");
        let extension = format!("input.attributes.contextExtensions[`doorward.{name}`]");
        check(&request, &format!("{extension} == `{value}`"));
    }
}

/// A case's workload fills what it says, and the file's the rest.
#[test]
fn workloads_of_a_case_and_of_its_file() {
    let rows = [
        ("", "allow"),
        ("workload: { labels: { app: other } },", "allow"),
        ("workload: { namespace: warehouse },", "deny"),
        ("workload: { namespace: warehouse, labels: {} },", "deny"),
    ];
    for (workload, effect) in rows {
        let case = format!("{workload} request: {{}}, expect: {{ effect: {effect} }}");
        let verdict = run_one(&case);
        assert!(verdict.passed(), "{workload}: {}", verdict.decided);
    }
    for twice in [
        "check_request: { attributes: { contextExtensions: { doorward.namespace: b } } }",
        "request: {}, context_extensions: { doorward.namespace: b }",
    ] {
        let cases = format!(
            "cases: [{{ name: one, workload: {{ namespace: a }}, expect: {{ effect: deny }}, {twice} }}]"
        );
        let errors = load(&cases, &[("p.yaml", POLICIES)]).unwrap_err();
        assert_eq!(
            errors,
            [
                "x.cases.yaml:1:22: `workload`: there is a context extension `doorward.namespace` already"
            ]
        );
    }
}

#[test]
fn server_names_reach_native_policies() {
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
        metadata: { name: sni, namespace: shop }\n\
        spec: { rules: [{ when: [{ key: connection.sni, values: [web.example] }] }] }\n";
    for request in [
        "request: { sni: web.example }",
        "connection: { sni: web.example }",
    ] {
        let case = format!("{request}, expect: {{ effect: allow, policy: shop/sni }}");
        let verdict = run_with(&case, &[("p.yaml", policy)]);
        assert!(verdict.passed(), "{request}: {}", verdict.decided);
    }
}

/// Settings of the mesh, bundles and Rego mean what they mean in the configuration.
#[test]
fn settings_of_a_file() {
    let text = "\
bundles: { b: { path: bundle } }
rego: { entrypoint: a/b, on_error: deny, v0_compatible: true }
mesh: { default_action: allow }
cases:
  - { name: one, request: { path: /x }, expect: { effect: allow, policy: a/b } }
  - { name: two, request: { path: /y }, expect: { effect: deny, reason: rego, policy: a/b } }
";
    let files = [
        (
            "bundle/p.rego",
            "package a\n\nb { input.parsed_path[0] == data.open }\nb = false { input.parsed_path[0] != data.open }\n",
        ),
        ("bundle/data.json", "{\"open\": \"x\"}"),
    ];
    let policies = format!("policies: [q.rego]\n{text}");
    let mut all = files.to_vec();
    all.push(("q.rego", "package q\n\nr { true }\n"));
    // A bundle says itself in which version of Rego it is written.
    all.push(("bundle/.manifest", "{\"rego_version\": 0}"));
    let suite = load(&policies, &all).unwrap();
    let verdicts = suite.run(NOW_NS);
    assert!(verdicts.iter().all(Verdict::passed), "{verdicts:#?}");
}

/// A policy that asks a provider is decided as by the server.
#[test]
fn providers_of_custom_are_asked() {
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
        metadata: { name: ask, namespace: shop }\n\
        spec: { action: CUSTOM, provider: { name: opa }, rules: [{}] }\n";
    let rego = "package a\n\nb := input.parsed_path[0] == \"open\"\n\n\
        c := true\n";
    let cases = "workload: { namespace: shop, labels: {} }\n\
        rego: { entrypoint: a/c, providers: { opa: a/b } }\n\
        cases:\n  \
        - { name: open, request: { path: /open }, expect: { effect: allow } }\n  \
        - { name: shut, request: { path: /shut }, expect: { effect: deny, reason: rego, policy: shop/ask, rule: 0 } }\n";
    let suite = load(cases, &[("p.yaml", policy), ("p.rego", rego)]).unwrap();
    let verdicts = suite.run(NOW_NS);
    assert!(verdicts.iter().all(Verdict::passed), "{verdicts:#?}");
    assert!(suite.unneeded(NOW_NS).unwrap().is_empty());
}

/// A Gateway is told as its proxy does.
#[test]
fn target_references_are_followed() {
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
        metadata: { name: gate, namespace: shop }\n\
        spec:\n  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]\n  \
        rules: [{ to: [{ operation: { methods: [GET] } }] }]\n";
    for (extensions, policy_decides) in [("{ doorward.gateway: edge }", true), ("{}", false)] {
        let case = format!(
            "request: {{}}, context_extensions: {extensions}, expect: {{ effect: {} }}",
            if policy_decides { "allow" } else { "deny" }
        );
        let verdict = run_with(&case, &[("p.yaml", policy)]);
        assert!(verdict.passed(), "{extensions}: {verdict:?}");
    }
}
