//! Rego tests: which rules are some, and what each of them comes to.

use super::*;

/// Each test of modules `a.rego`, `b.rego` … with its verdict, and its cases behind it.
pub(super) fn ran(texts: &[&str], v0: bool) -> Vec<String> {
    let modules: Vec<_> = texts
        .iter()
        .zip('a'..)
        .map(|(text, name)| RegoModule {
            v0,
            ..module(&format!("{name}.rego"), text)
        })
        .collect();
    let data = Data::from_json(json!({"users": {"ann": "admin"}}));
    let tests = RegoTests::compile(&modules, data, Duration::from_secs(20), false).unwrap();
    let lines = tests.tests().iter().map(|test| {
        let result = tests.run(test, NOW_NS);
        let verdict = match result.verdict {
            TestVerdict::Error(error) => error.to_string(),
            verdict => format!("{verdict:?}"),
        };
        let cases = flat(&result.cases);
        format!("{} {verdict}{cases}", test.full_name)
    });
    lines.collect()
}

fn flat(cases: &Cases) -> String {
    let cases = cases.iter().map(|(name, case)| {
        let failed = if case.failed { "-" } else { "+" };
        format!(" {failed}{name}{}", flat(&case.cases))
    });
    cases.collect()
}

/// One module in version 1, without its package.
pub(super) fn check(body: &str, expected: &[&str]) {
    let text = format!("package p_test\n\n{body}\n");
    assert_eq!(ran(&[&text], false), expected, "{body}");
}

#[test]
fn a_test_passes_if_it_is_true() {
    let rows = [
        ("if true", "Passed"),
        (":= true", "Passed"),
        ("if false", "Failed"),
        (":= false", "Failed"),
        ("if input.x", "Failed"),
        (":= 1", "Failed"),
        ("contains 1", "Failed"),
        ("if 1 == 1 / 0", "Failed"),
        ("if time.now_ns() == 1700000000123456789", "Passed"),
    ];
    for (body, expected) in rows {
        check(
            &format!("test_x {body}"),
            &[&format!("data.p_test.test_x {expected}")],
        );
    }
}

#[test]
fn documents_and_functions_are_replaced() {
    let body = "\
allow if { input.role == data.users[input.name]; now > 5 }
now := time.now_ns()
test_input if allow with input as {\"name\": \"ann\", \"role\": \"admin\"}
test_data if {
\tallow with input as {\"name\": \"bob\", \"role\": \"x\"} with data.users.bob as \"x\"
}
test_function if not allow with input as {\"name\": \"ann\", \"role\": \"admin\"} with time.now_ns as 1
test_nothing if not allow
";
    check(
        body,
        &[
            "data.p_test.test_input Passed",
            "data.p_test.test_data Passed",
            "data.p_test.test_function Passed",
            "data.p_test.test_nothing Passed",
        ],
    );
}

#[test]
fn names_tell_tests() {
    check(
        "todo_test_x if false\na.test_y if true\na_test_z if false\ntest := false\na.b.test_c.d if true",
        &[
            "data.p_test.todo_test_x Skipped",
            "data.p_test.a.test_y Passed",
            "data.p_test.a.b.test_c Passed +d",
        ],
    );
    // Rule: of one name, each is a test of its own, in other files of the package too.
    assert_eq!(
        ran(
            &[
                "package p\ntest_x if true\ntest_x if false",
                "package p\ntest_x if true else := false",
                "package q\ntest_x if true",
            ],
            false
        ),
        [
            "data.p.test_x Passed",
            "data.p[\"test_x#01\"] Failed",
            "data.p[\"test_x#02\"] Passed",
            "data.q.test_x Passed",
        ]
    );
    assert_eq!(
        ran(
            &["package p\ntest_x { true }\ntest_y { false }\ntest_z[x] { x := 1 }"],
            true
        ),
        [
            "data.p.test_x Passed",
            "data.p.test_y Failed",
            "data.p.test_z Failed"
        ]
    );
}

#[test]
fn cases_are_told_one_by_one() {
    let rows = [
        // The case that fails has no value: it is noted before it does.
        (
            "test_x[c.note] if {\n\tsome c in [{\"note\": \"a\", \"n\": 1}, {\"note\": \"b\", \"n\": 2}]\n\tn := c.n\n\tn == 1\n}",
            "Failed +a -b",
        ),
        (
            "test_x[c[\"note\"]] if {\n\tsome c in [{\"note\": \"a ] b\"}]\n\t\"a ] b\" == c.note\n}",
            "Passed +a ] b",
        ),
        (
            "test_x[g][n] if { some g, m in {\"g\": {\"a\": 1, \"b\": 2}}; some n, v in m; v == 1 }",
            "Failed -g +a -b",
        ),
        (
            "test_x[i] := v if some i, v in [true, false]",
            "Failed +0 -1",
        ),
        (
            "test_x[n] if { some n; [true, false][n]; n < 5 }",
            "Passed +0",
        ),
        ("test_x[\"a\"] if { input.a; input.b }", "Failed -a"),
        ("test_x[n] if some n in []", "Passed"),
        (
            "test_x[n] if { some n in [\"a\"]; internal.test_case([\"b\"]) }",
            "Failed +a -b",
        ),
    ];
    for (body, expected) in rows {
        check(body, &[&format!("data.p_test.test_x {expected}")]);
    }
}

#[test]
fn errors_are_told_with_their_place() {
    check(
        "v := x if some x in [1, 2]\ntest_x if v == 1",
        &[
            "data.p_test.test_x a.rego:3:1: eval_conflict_error: complete rules must not produce multiple outputs",
        ],
    );
}

#[test]
fn a_test_has_a_time_of_its_own() {
    let text = "package p\ntest_slow if { some x in numbers.range(1, 9999); some y in numbers.range(1, 9999); x + y == 0 }\ntest_fast if true";
    let modules = [module("p.rego", text)];
    let tests =
        RegoTests::compile(&modules, Data::default(), Duration::from_millis(20), false).unwrap();
    let verdicts: Vec<_> = tests
        .tests()
        .iter()
        .map(|test| tests.run(test, NOW_NS).verdict)
        .collect();
    assert!(
        matches!(&verdicts[0], TestVerdict::Error(error) if error.code == "eval_cancel_error"),
        "{verdicts:?}"
    );
    assert_eq!(verdicts[1], TestVerdict::Passed);
}

/// A test fails where a request would be denied: it is evaluated as one.
#[test]
fn a_test_goes_by_the_limits_of_a_request() {
    let text = "package p
        test_range if verdict(1) == 2
        verdict(x) := 1 if { x > 0; count(numbers.range(1, 999999999)) >= 0 }
        verdict(x) := 2 if x != 0
        test_runtime if opa.runtime().env.NAME == \"a\"
        test_next if true";
    let modules = [module("p.rego", text)];
    let limit = Duration::from_secs(20);
    let tests = RegoTests::compile(&modules, Data::default(), limit, false).unwrap();
    let runtime = Data::parse(r#"{"env": {"NAME": "a"}}"#).unwrap();
    let tests = tests.with_runtime(Some(&runtime));
    let run = |test| tests.run(test, NOW_NS).verdict;
    let [range, told, next] = tests.tests() else {
        panic!("{:?}", tests.tests());
    };
    match run(range) {
        TestVerdict::Error(error) => {
            assert_eq!(error.code, "eval_internal_error");
            assert!(error.message.contains("a range of more than"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(run(told), TestVerdict::Passed);
    assert_eq!(run(next), TestVerdict::Passed);
}

#[test]
fn what_is_printed_is_kept() {
    let text = "package p\ntest_x if { print(\"a: b\", input.x, {1: 2}); print(); false }";
    let tests = RegoTests::compile(
        &[module("p.rego", text)],
        Data::default(),
        Duration::from_secs(20),
        false,
    )
    .unwrap();
    let result = tests.run(&tests.tests()[0], NOW_NS);
    assert_eq!(result.output, ["a: b <undefined> {1: 2}", ""]);
}

#[test]
fn modules_that_do_not_compile_are_refused_with_their_place() {
    let modules = [module(
        "p.rego",
        "package p\n\ntest_x if {\n\tno.such(1)\n}",
    )];
    let errors =
        RegoTests::compile(&modules, Data::default(), Duration::from_secs(1), false).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "p.rego:4:2: rego_type_error: undefined function no.such"
    );
    let broken = [module("p.rego", "package p\n\ntest_x if {")];
    assert!(RegoTests::compile(&broken, Data::default(), Duration::from_secs(1), false).is_err());
    assert!(RegoTests::are_in(&broken));
    assert!(!RegoTests::are_in(&[module(
        "p.rego",
        "package p\n\n# test_\nx := 1"
    )]));
}

/// Lines reached and lines missed of a module with its tests.
fn lines(text: &str, v0: bool) -> (Vec<u32>, Vec<u32>) {
    let modules = [RegoModule {
        v0,
        ..module("p.rego", text)
    }];
    let limit = Duration::from_secs(20);
    let tests = RegoTests::compile(&modules, Data::default(), limit, true).unwrap();
    let results: Vec<_> = tests
        .tests()
        .iter()
        .map(|test| tests.run(test, NOW_NS))
        .collect();
    assert!(
        results
            .iter()
            .all(|result| result.verdict == TestVerdict::Passed),
        "{results:?}"
    );
    let coverage = tests.coverage(&results);
    let rows = |ranges: &[Range]| {
        let rows = ranges
            .iter()
            .flat_map(|range| range.start.row..=range.end.row);
        rows.collect::<Vec<_>>()
    };
    let file = &coverage.files["p.rego"];
    assert_eq!(coverage.covered_lines, file.covered_lines);
    (rows(&file.covered), rows(&file.not_covered))
}

#[test]
fn lines_are_reached_or_not() {
    let text = "\
package p

default allow := false

allow if {
	input.a == 1
	some x
	input.b[x] == {
		\"c\": 1,
	}
}

allow if {
	input.never
	input.asked
}

f(y) if {
	y > 1
} else if {
	y == 0
}

all contains z if {
	some z in [1, 2]
	every w in [z] {
		w > 0
	}
}

none := [z | z := input.z; z > 1]

unused := 1

test_denied if not allow with input as {\"a\": 2}
test_f if f(0)
test_all if count(all) == 2
test_none if none == []
";
    let (reached, missed) = lines(text, false);
    assert_eq!(
        reached,
        [3, 6, 14, 19, 21, 24, 25, 26, 27, 31, 35, 36, 37, 38]
    );
    assert_eq!(missed, [5, 8, 13, 15, 18, 33]);
    let v0 = "package p\nallow {\n  input.a\n}\nallow = false {\n  input.b\n}\ntest_x {\n  allow with input.a as true\n}";
    assert_eq!(lines(v0, true), (vec![2, 3, 6, 8, 9], vec![5]));
}

#[test]
fn what_has_no_value_is_true() {
    let rows = [
        "f(x) := 5 if { x > 1 } else if { x == 0 }",
        "f(x) := 5 if {\n\tx > 1\n} else := 6 if {\n\tx > 2\n} else if {\n\tx == 0\n}",
        "f(x) if { x > 1 } else if { x == 0 }",
        "r := 5 if { input.no } else if { true }\nf(_) := r",
    ];
    for row in rows {
        let expected = "data.p_test.test_x Passed";
        check(&format!("{row}\ntest_x if f(0) == true"), &[expected]);
    }
    let v0 = "package p\nf(x) = 5 { x > 1 } else { x == 0 }\ntest_x { f(0) == true }";
    assert_eq!(ran(&[v0], true), ["data.p.test_x Passed"]);
}

#[test]
fn names_that_are_put_in_are_taken() {
    for name in [
        "test_x__doorward_again_01",
        "__doorward_built_in_sum",
        "__argument_0__",
    ] {
        let text = format!("package p\n\n{name} if true\n");
        let error = RegoTests::compile(
            &[module("a.rego", &text)],
            Data::default(),
            Duration::from_secs(20),
            false,
        )
        .unwrap_err();
        let message = error[0].to_string();
        assert!(message.contains("are taken"), "{name}: {message}");
        assert_eq!((error[0].row, error[0].col), (3, 1), "{name}");
    }
}
