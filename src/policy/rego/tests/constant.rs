//! Entrypoints whose outcome is the same for all requests: asked once, and what can make them differ.

use super::*;

/// Whether two questions, a second and a request apart, have different outcomes.
fn differs(body: &str) -> bool {
    let policies = compile(&format!("package envoy.authz\n{body}\n"));
    let outcomes = [("GET", 0), ("POST", 1_000_000_000)].map(|(method, later)| {
        let request = http(HttpRequest {
            method: method.to_owned(),
            ..HttpRequest::default()
        });
        policies.evaluate(policies.entrypoint().unwrap(), &request, NOW_NS + later)
    });
    let [first, second] = outcomes;
    first != second
}

#[test]
fn only_what_no_request_changes_is_constant() {
    let rows = [
        ("allow := true", false),
        ("default allow := false", false),
        ("allow if count([1, 2]) == 2", false),
        (
            "allow if input.attributes.request.http.method == \"GET\"",
            true,
        ),
        (
            "allow if f(input)\nf(x) if x.attributes.request.http.method == \"GET\"",
            true,
        ),
        (
            "allow if { some k; input[k].request.http.method == \"GET\" }",
            true,
        ),
        (
            "allow if p with input.a as 1\np if time.now_ns() % 2000000000 < 1000000000",
            true,
        ),
        ("allow if time.now_ns() % 2000000000 < 1000000000", true),
        (
            "allow := {\"allowed\": false, \"body\": uuid.rfc4122(\"x\")}",
            true,
        ),
        (
            "allow := {\"allowed\": false, \"body\": sprintf(\"%v\", [rand.intn(\"x\", 1000000000)])}",
            true,
        ),
    ];
    for (body, expected) in rows {
        assert_eq!(differs(body), expected, "{body}");
    }
}

#[test]
fn a_request_without_a_document_has_no_outcome_of_a_constant_policy_either() {
    let policies = compile("package envoy.authz\nallow := true");
    let bad = http(HttpRequest {
        path: "/a?%zz=1".to_owned(),
        ..HttpRequest::default()
    });
    let good = http(HttpRequest::default());
    for _ in 0..2 {
        assert!(ask(&policies, &good).unwrap().allowed);
        let error = ask(&policies, &bad).unwrap_err();
        assert!(error.starts_with("request_parse_error"), "{error}");
    }
}

#[test]
fn failures_are_not_kept() {
    let text = "package envoy.authz\nallow := x if some x in [true, false]";
    let policies = compile(text);
    for _ in 0..2 {
        let error = ask(&policies, &Attributes::default()).unwrap_err();
        assert!(error.contains("eval_conflict_error"), "{error}");
    }
}
