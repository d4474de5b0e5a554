//! `doorward test` as people call it: what it prints, and the code it ends with.

use std::process::Output;

use crate::support::{doorward, root};

const POLICY: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: get, namespace: shop }
spec:
  rules:
    - to: [{ operation: { methods: [GET] } }]
";

const GOOD: &str = "\
workload: { namespace: shop, labels: {} }
cases:
  - { name: reading, request: {}, expect: { effect: allow, policy: shop/get } }
";

const BAD: &str = "\
workload: { namespace: shop, labels: {} }
cases:
  - { name: reading, request: {}, expect: { effect: allow } }
  - { name: writing, request: { method: PUT }, expect: { effect: allow, status: 200 } }
";

/// Runs the command in a folder of these files.
fn test(files: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = doorward();
    command.arg("test").args(arguments);
    command.current_dir(folder.path()).output().unwrap()
}

/// Arguments, exit code, and what must stand on standard output and error.
fn check(files: &[(&str, &str)], arguments: &[&str], code: i32, out: &[&str], err: &[&str]) {
    let output = test(files, arguments);
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    let about = format!("{arguments:?}\n{said}{complained}");
    assert_eq!(output.status.code(), Some(code), "{about}");
    for line in out {
        assert!(said.contains(line), "{line:?} is missing: {about}");
    }
    for line in err {
        assert!(complained.contains(line), "{line:?} is missing: {about}");
    }
    assert_eq!(complained.is_empty(), err.is_empty(), "{about}");
}

#[test]
fn a_line_a_case_and_a_summary() {
    let good = [("p.yaml", POLICY), ("good.cases.yaml", GOOD)];
    let lines = [
        "good.cases.yaml\n  ok        reading\n",
        "1 case in 1 file: 1 ok, 0 failed\n",
    ];
    check(&good, &["."], 0, &lines, &[]);
    check(&good, &["good.cases.yaml"], 0, &lines, &[]);

    let bad = [("p.yaml", POLICY), ("bad.cases.yaml", BAD)];
    let lines = [
        "  ok        reading\n",
        "  FAILED    writing\n",
        "              effect: expected allow, got deny\n",
        "              status: expected 200, got 403\n",
        "              decided: deny 403 (no_allow_rule): no ALLOW rule matched\n",
        "2 cases in 1 file: 1 ok, 1 failed\n",
    ];
    check(&bad, &["."], 1, &lines, &[]);
}

#[test]
fn what_was_not_run_has_not_passed() {
    let nothing = "no cases found, as there is no `*.cases.yaml` in these paths";
    check(&[("p.yaml", POLICY)], &["."], 1, &[nothing], &[]);
    let rego = [("p_test.rego", "package p\n\ntest_it if true\n")];
    let not_run = "p_test.rego: Rego tests are not supported yet";
    let counted = "0 ok, 0 failed, 1 Rego test file not run";
    check(&rego, &["."], 1, &[not_run, nothing, counted], &[]);
    check(&rego, &["p_test.rego"], 1, &["NOT RUN", not_run], &[]);
}

#[test]
fn what_cannot_be_loaded_is_told_with_its_place() {
    let typo = GOOD.replace("effect: allow", "efect: allow");
    let bad_policy = POLICY.replace("methods", "method");
    let rows: [(&str, &str, &str); 2] = [
        (
            POLICY,
            &typo,
            "doorward: x.cases.yaml:3:45: `expect.efect`: unknown field `efect`",
        ),
        (
            &bad_policy,
            GOOD,
            "doorward: ./p.yaml:6:27: invalid_resource:",
        ),
    ];
    for (policy, cases, expected) in rows {
        let files = [("p.yaml", policy), ("x.cases.yaml", cases)];
        check(
            &files,
            &["x.cases.yaml"],
            3,
            &["1 file not loaded"],
            &[expected],
        );
    }
    // The others are run all the same.
    let files = [
        ("p.yaml", POLICY),
        ("a.cases.yaml", &typo),
        ("b.cases.yaml", GOOD),
    ];
    let lines = ["  ok        reading", "1 ok, 0 failed, 1 file not loaded"];
    check(&files, &["."], 3, &lines, &["a.cases.yaml:3:"]);
    check(&[], &["gone"], 3, &[], &["gone: No such file"]);
    check(&[], &[], 2, &[], &["required"]);
    check(&[], &["--nonsense", "."], 2, &[], &["--nonsense"]);
}

#[test]
fn what_no_case_needs_fails_if_asked_for() {
    let more = POLICY.replace("name: get", "name: more");
    let files = [
        ("p.yaml", POLICY),
        ("q.yaml", &more),
        ("good.cases.yaml", GOOD),
    ];
    check(&files, &["."], 0, &["1 ok, 0 failed\n"], &[]);
    let lines = [
        "  UNTESTED  AuthorizationPolicy/shop/more: no case fails without it",
        "1 ok, 0 failed, 1 policy untested",
    ];
    check(&files, &["--mutate", "."], 1, &lines, &[]);
}

/// The policy and the cases that the documentation shows.
#[test]
fn the_documented_cases_pass() {
    let document = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let blocks: Vec<_> = document
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let files = [("shop.yaml", blocks[0]), ("shop.cases.yaml", blocks[1])];
    let summary = "3 cases in 1 file: 3 ok, 0 failed, 0 policies untested";
    check(&files, &["--mutate", "."], 0, &[summary], &[]);
}
