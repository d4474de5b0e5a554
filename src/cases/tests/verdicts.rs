//! Comparing what is expected with what was decided.

use super::*;

const JWT: &str = "\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: jwt, namespace: shop }
spec:
  jwtRules:
    - issuer: i
      jwks: |
        {\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}
      outputClaimToHeaders: [{ header: x-user, claim: sub }]
";

/// Sets a header and removes one.
const REGO: &str = "\
package envoy.authz

allow := {
	\"allowed\": true,
	\"headers\": {\"X-Two\": [\"a\", \"b\"], \"x-one\": \"1\"},
	\"request_headers_to_remove\": [\"X-Gone\"],
}
";

/// Each member by itself, once as it is and once as it is not.
#[test]
fn every_member_is_compared() {
    // Request, the rest of `expect`, and the member that does not fit.
    let rows = [
        ("{}", "effect: allow", ""),
        ("{}", "effect: deny", "effect"),
        ("{ path: /admin }", "effect: allow", "effect"),
        ("{}", "effect: allow, status: 200", ""),
        ("{ path: /admin }", "effect: deny, status: 403", ""),
        ("{ path: /admin }", "effect: deny, status: 401", "status"),
        ("{ method: PUT }", "effect: deny, reason: no_allow_rule", ""),
        (
            "{ path: /admin }",
            "effect: deny, reason: no_allow_rule",
            "reason",
        ),
        ("{}", "effect: allow, policy: shop/get, rule: 0", ""),
        ("{}", "effect: allow, policy: shop/no-admin", "policy"),
        (
            "{ method: PUT }",
            "effect: deny, policy: shop/no-admin",
            "policy",
        ),
        ("{ method: PUT }", "effect: deny, rule: 0", "rule"),
        ("{}", "effect: allow, headers: {}, removed_headers: []", ""),
        ("{}", "effect: allow, headers: { x-a: b }", "headers"),
        (
            "{}",
            "effect: allow, removed_headers: [x-a]",
            "removed_headers",
        ),
        ("{}", "effect: allow, audited: false", ""),
        ("{}", "effect: allow, audited: true", "audited"),
        ("{ path: /old }", "effect: allow, audited: true", ""),
        ("{ path: /old }", "effect: allow, audited: false", "audited"),
        (
            "{}",
            "effect: allow, dry_run: { deny: { result: allowed } }",
            "",
        ),
        (
            "{}",
            "effect: allow, dry_run: { deny: { result: denied } }",
            "dry_run.deny",
        ),
        ("{}", "effect: allow, dry_run: {}", "dry_run.deny"),
        (
            "{}",
            "effect: allow, dry_run: { allow: { result: allowed }, deny: { result: allowed } }",
            "dry_run.allow",
        ),
        (
            "{ path: /old }",
            "effect: allow, dry_run: { deny: { result: denied } }",
            "",
        ),
        (
            "{ path: /old }",
            "effect: allow, dry_run: { deny: { result: denied, matched: \"ns[shop]-policy[try]-rule[0]\" } }",
            "",
        ),
        (
            "{ path: /old }",
            "effect: allow, dry_run: { deny: { result: denied, matched: \"ns[shop]-policy[get]-rule[0]\" } }",
            "dry_run.deny",
        ),
    ];
    for (request, expect, wrong) in rows {
        let verdict = run_one(&format!("request: {request}, expect: {{ {expect} }}"));
        let members: Vec<_> = verdict
            .mismatches
            .iter()
            .map(|mismatch| mismatch.member)
            .collect();
        let expected = if wrong.is_empty() {
            vec![]
        } else {
            vec![wrong]
        };
        assert_eq!(members, expected, "{request} {expect}: {verdict:#?}");
    }
}

#[test]
fn headers_are_compared_as_a_whole() {
    let rows = [
        (
            "headers: { x-one: \"1\", X-TWO: [a, b] }, removed_headers: [x-gone]",
            "",
        ),
        ("headers: { x-one: \"1\" }", "headers"),
        ("headers: { x-one: \"1\", x-two: [b, a] }", "headers"),
        ("headers: { x-one: \"2\", x-two: [a, b] }", "headers"),
        ("removed_headers: [x-gone, x-more]", "removed_headers"),
        ("removed_headers: []", "removed_headers"),
    ];
    for (expect, wrong) in rows {
        let case = format!("request: {{}}, expect: {{ effect: allow, {expect} }}");
        let verdict = run_with(&case, &[("p.rego", REGO)]);
        let members: Vec<_> = verdict
            .mismatches
            .iter()
            .map(|mismatch| mismatch.member)
            .collect();
        let expected = if wrong.is_empty() {
            vec![]
        } else {
            vec![wrong]
        };
        assert_eq!(members, expected, "{expect}: {verdict:#?}");
    }
    // What a client writes in the place of a governed header is removed too, under its own name.
    let case = "request: { headers: { X_User: me } },
        expect: { effect: allow, removed_headers: [x-user, x_user] }";
    let verdict = run_with(case, &[("p.yaml", POLICIES), ("jwt.yaml", JWT)]);
    assert!(verdict.passed(), "{verdict:#?}");
}

#[test]
fn a_failure_says_what_was_expected_and_why() {
    let verdict = run_one("request: { path: /admin }, expect: { effect: allow, status: 200 }");
    let lines: Vec<_> = verdict
        .mismatches
        .iter()
        .map(|mismatch| format!("{} {} {}", mismatch.member, mismatch.expected, mismatch.got))
        .collect();
    assert_eq!(lines, ["effect allow deny", "status 200 403"]);
    assert_eq!(
        verdict.decided,
        "deny 403 by shop/no-admin rule 0: DENY rule matched"
    );
    let verdict = run_one("request: { method: PUT }, expect: { effect: deny }");
    assert_eq!(
        verdict.decided,
        "deny 403 (no_allow_rule): no ALLOW rule matched"
    );
}

/// A denial that has nothing to do with the policies is no success, unless it was asked for.
#[test]
fn a_denial_for_another_reason_does_not_pass() {
    let unknown = "cases:\n  - { name: one, request: {}, expect: { effect: deny } }\n  \
        - { name: two, request: {}, expect: { effect: deny, reason: unknown_workload } }\n";
    let verdicts = load(unknown, &[("p.yaml", POLICIES)]).unwrap().run(NOW_NS);
    let mismatch = &verdicts[0].mismatches[0];
    assert_eq!(
        (mismatch.member, mismatch.got.as_str()),
        ("reason", "unknown_workload")
    );
    assert!(verdicts[1].passed(), "{verdicts:#?}");

    for (request, rego, reason) in [
        ("{ headers: { x-a: \"a\\nb\" } }", REGO, "invalid_request"),
        ("{}", "package other\n", "rego_error"),
    ] {
        for (expect, passes) in [
            ("effect: deny".to_owned(), false),
            (format!("effect: deny, reason: {reason}"), true),
        ] {
            let case = format!("request: {request}, expect: {{ {expect} }}");
            let verdict = run_with(&case, &[("p.rego", rego)]);
            assert_eq!(verdict.passed(), passes, "{expect}: {verdict:#?}");
        }
    }
}
