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

const REGO: &str = "\
package p

default allow := false

allow if input.method == data.methods[_]
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
    let nothing = "nothing to run, as there is no `*.cases.yaml` and no Rego test in these paths";
    check(&[("p.yaml", POLICY)], &["."], 1, &[nothing], &[]);
    check(&[("p.rego", REGO)], &["."], 1, &[nothing], &[]);
    let unfit = [("p.rego", REGO), ("q.rego", REGO)];
    check(&unfit, &["."], 1, &[nothing], &[]);
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

const REGO_TESTS: &str = "\
package p_test

import data.p

test_read if p.allow with input as {\"method\": \"GET\"} with data.methods as [\"GET\"]

test_write if {
	print(\"asked\", input.method)
	p.allow with input as {\"method\": \"PUT\"}
}

test_each[method] if {
	some method in [\"GET\", \"PUT\"]
	p.allow with input as {\"method\": method}
}

todo_test_delete if false
";

const METHODS: &str = "{\"methods\": [\"GET\"]}";

/// Lines with the time a test took left out.
fn timeless(said: &str) -> String {
    let lines = said.lines().map(|line| match line.split_once(" (") {
        Some((line, _)) if line.contains(": ") => line,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn rego_tests_are_told_as_opa_does() {
    let files = [
        ("p.rego", REGO),
        ("p_test.rego", REGO_TESTS),
        ("data.json", METHODS),
    ];
    let line = "-".repeat(80);
    let rows: [(&[&str], i32, String); 4] = [
        (
            &["."],
            1,
            format!(
                "./p_test.rego:
data.p_test.test_write: FAIL

  asked <undefined>

data.p_test.test_each: FAIL
  PUT: FAIL
data.p_test.todo_test_delete: SKIPPED
{line}
PASS: 2/5
FAIL: 2/5
SKIPPED: 1/5"
            ),
        ),
        (
            &["--run", "p_test.test_(read|none)", "."],
            0,
            "PASS: 1/1".to_owned(),
        ),
        (
            &["-v", "-r", "test_(read|write)", "."],
            1,
            format!(
                "FAILURES
{line}
data.p_test.test_write: FAIL

  ./p_test.rego:7

SUMMARY
{line}
./p_test.rego:
data.p_test.test_read: PASS
data.p_test.test_write: FAIL

  asked <undefined>

{line}
PASS: 1/2
FAIL: 1/2"
            ),
        ),
        (
            &["-z", "-r", "todo", "."],
            0,
            format!("./p_test.rego:\ndata.p_test.todo_test_delete: SKIPPED\n{line}\nSKIPPED: 1/1"),
        ),
    ];
    for (arguments, code, expected) in rows {
        let output = test(&files, arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(timeless(&said), expected, "{arguments:?}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
    // Skipped is not passed, and a name that no test has runs nothing.
    check(&files, &["-r", "todo", "."], 1, &["SKIPPED: 1/1"], &[]);
    check(
        &files,
        &["-r", "nonsense", "."],
        1,
        &["nothing to run"],
        &[],
    );
    check(&files, &["-r", "(", "."], 2, &[], &["regex parse error"]);
}

#[test]
fn rego_tests_are_told_to_programs() {
    let files = [
        ("p.rego", REGO),
        ("p_test.rego", REGO_TESTS),
        ("data.json", METHODS),
    ];
    let output = test(&files, &["--format", "json", "."]);
    let mut told: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    for entry in &mut told {
        assert!(entry["duration"].is_u64(), "{entry}");
        entry.as_object_mut().unwrap().remove("duration");
    }
    let entry = |row: u64, name: &str, more: serde_json::Value| {
        let mut entry = serde_json::json!({
            "location": {"file": "./p_test.rego", "row": row, "col": 1},
            "package": "data.p_test",
            "name": name,
        });
        let more = more.as_object().unwrap().clone();
        entry.as_object_mut().unwrap().extend(more);
        entry
    };
    let cases = serde_json::json!({"GET": {"name": "GET"}, "PUT": {"name": "PUT", "fail": true}});
    let expected = [
        entry(5, "test_read", serde_json::json!({})),
        // `asked <undefined>` and a line's end.
        entry(
            7,
            "test_write",
            serde_json::json!({"fail": true, "output": "YXNrZWQgPHVuZGVmaW5lZD4K"}),
        ),
        entry(
            12,
            "test_each",
            serde_json::json!({"fail": true, "sub_results": cases}),
        ),
        entry(17, "todo_test_delete", serde_json::json!({"skip": true})),
    ];
    assert_eq!(told, expected);
}

#[test]
fn rego_tests_and_cases_are_summed_up_together() {
    // Rego that is loaded is asked: what these cases are about is listed.
    let listed = format!("policies: [p.yaml]\n{GOOD}");
    let files = [
        ("p.yaml", POLICY),
        ("good.cases.yaml", &listed),
        ("q_test.rego", "package q_test\n\ntest_it if true\n"),
    ];
    check(
        &files,
        &["."],
        0,
        &["  ok        reading\n", "\nPASS: 2/2\n"],
        &[],
    );
    check(&files, &["q_test.rego"], 0, &["PASS: 1/1\n"], &[]);
    check(
        &files,
        &["good.cases.yaml"],
        0,
        &["1 case in 1 file: 1 ok, 0 failed\n"],
        &[],
    );
    check(&files, &["--count", "2", "."], 0, &["PASS: 2/2\n"], &[]);
}

#[test]
fn bundles_and_older_rego_are_tested() {
    let manifest = "{\"roots\": [\"p\", \"p_test\", \"methods\"]}";
    let text = REGO.replace("package p\n", "package p\n\n# of a bundle\n");
    let files = [
        (".manifest", manifest),
        ("p.rego", &text),
        ("p_test.rego", REGO_TESTS),
        ("data.json", METHODS),
    ];
    check(
        &files,
        &["-b", "-r", "read", "-v", "."],
        0,
        &["./p_test.rego:\n", "PASS: 1/1\n"],
        &[],
    );
    let other = [(".manifest", "{\"roots\": [\"q\"]}"), ("p.rego", &text)];
    check(
        &other,
        &["-b", "."],
        3,
        &["1 file not loaded"],
        &["./p.rego:1:1: bundle_error"],
    );
    let old = [("p_test.rego", "package p\n\ntest_it { true }\n")];
    check(&old, &["--v0-compatible", "."], 0, &["PASS: 1/1\n"], &[]);
    check(&old, &["."], 3, &["1 file not loaded"], &["p_test.rego:3:"]);
}

#[test]
fn a_rego_test_that_does_not_end_is_ended() {
    let slow = "package p\n\ntest_slow if {\n\tsome x in numbers.range(1, 9999)\n\tsome y in numbers.range(1, 9999)\n\tx + y == 0\n}\n";
    let told = "  eval_cancel_error: evaluation took longer than 50ms\n";
    check(
        &[("p.rego", slow)],
        &["--timeout", "50ms", "."],
        1,
        &[told, "ERROR: 1/1\n"],
        &[],
    );
}

#[test]
fn what_rego_tests_reach_is_told() {
    let two = "package p\n\na if input.x\n\nb if input.y\n\ntest_a if a with input.x as true\n";
    let file = serde_json::json!({
        "covered": [{"start": {"row": 3}, "end": {"row": 3}}, {"start": {"row": 7}, "end": {"row": 7}}],
        "not_covered": [{"start": {"row": 5}, "end": {"row": 5}}],
        "covered_lines": 2,
        "not_covered_lines": 1,
        "coverage": 200.0 / 3.0,
    });
    let output = test(&[("p.rego", two)], &["--coverage", "."]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!({
        "files": {"./p.rego": file},
        "covered_lines": 2,
        "not_covered_lines": 1,
        "coverage": 200.0 / 3.0,
    });
    assert_eq!(told, expected);
    check(
        &[("p.rego", two)],
        &["--threshold", "66", "."],
        0,
        &["\"coverage\""],
        &[],
    );
    let missed = [
        "code coverage threshold not met: got 66.67 instead of 67.00",
        "  ./p.rego:5\n",
    ];
    check(
        &[("p.rego", two)],
        &["-v", "--threshold", "67", "."],
        1,
        &[],
        &missed,
    );
    check(
        &[("p.rego", two)],
        &["--threshold", "101", "."],
        2,
        &[],
        &["between 0 and 100"],
    );
    let failing = two.replace("as true", "as false");
    check(
        &[("p.rego", &failing)],
        &["-c", "."],
        1,
        &["test_a: FAIL", "FAIL: 1/1"],
        &[],
    );
}
