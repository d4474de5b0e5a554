//! Rules with several bodies that follow each other without `else`.

use super::*;

const INPUT: &str = r#"{"a": 1, "b": "x", "l": ["y", "z"]}"#;

fn document(rules: &str, v0: bool) -> Result<Json, String> {
    let text = format!("package p\n{rules}\n");
    let module = RegoModule {
        v0,
        ..module("p.rego", &text)
    };
    document_for(module, serde_json::from_str(INPUT).unwrap())
}

fn check(v0: bool, rows: &[(&str, Json)]) {
    for (rules, expected) in rows {
        assert_eq!(document(rules, v0).as_ref(), Ok(expected), "{rules}");
    }
}

#[test]
fn each_is_a_rule_with_the_same_head() {
    check(
        false,
        &[
            (
                "x := 5 if { input.a == 2 } { input.a == 1 }",
                json!({"x": 5}),
            ),
            (
                "x := false if {\n\tinput.a == 2\n}\n{\n\tinput.a == 1\n}",
                json!({"x": false}),
            ),
            (
                "x := 5 if { false } { false } { input.a == 1 }\ny := 1",
                json!({"x": 5, "y": 1}),
            ),
            (
                "default x := false\nx := \"}{\" if { false } { true }",
                json!({"x": "}{"}),
            ),
            (
                "default x := 7\nx := 5 if { false } { false }",
                json!({"x": 7}),
            ),
            ("x if { false } { input.a == 1 }", json!({"x": true})),
            ("x := v if { false; v := 1 } { v := 2 }", json!({"x": 2})),
            ("x := v if { v := 2 } { v := 1; false }", json!({"x": 2})),
            ("x := 5 if input.a == 2 { input.a == 1 }", json!({"x": 5})),
            (
                "x := 5 if \"q\" == input.b { input.a == 1 }",
                json!({"x": 5}),
            ),
            (
                "x := 5 # one } {\nif { # two {\n\tfalse # three }\n} # four {\n# five\n{ # six\n\ttrue # seven }\n}\ny := 1",
                json!({"x": 5, "y": 1}),
            ),
            (
                "x := [ # one\n\"#\", # ]\n`a`\n] if { false } { true }",
                json!({"x": ["#", "a"]}),
            ),
            (
                "x := `a\n\t\"b\"\n` if { false } { true }",
                json!({"x": "a\n\t\"b\"\n"}),
            ),
            (
                "x := [v |\n\tsome v in [1, 2, 3] # some\n\tv > 1; v < 4\n\tnot v == 3\n] if { false } { true }",
                json!({"x": [2]}),
            ),
            (
                "f(n) := \"low\" if { n < 1 } { n > 8 }\nx := [f(0), f(9)]",
                json!({"x": ["low", "low"]}),
            ),
            (
                "f(n) := n if { n < 1 } { n == 8 }\nf(9) := 10\nx := [y | some n in [0, 5, 8, 9]; y := f(n)]",
                json!({"x": [0, 8, 10]}),
            ),
            (
                "f([n, _], {\"k\": m}) := n + m if { false } { m > 1 }\nx := f([1, 0], {\"k\": 2})",
                json!({"x": 3}),
            ),
            (
                "f(n) if { n < 1 } { n > 8 }\nx if f(9)\ny if f(3)",
                json!({"x": true}),
            ),
            (
                "x[k] := v if { some k, v in {\"a\": 1} } { k := \"b\"; v := 2 }",
                json!({"x": {"a": 1, "b": 2}}),
            ),
            (
                "x.y.z := 3 if { false } { true }",
                json!({"x": {"y": {"z": 3}}}),
            ),
            (
                "x[input.b].z := 3 if { false } { true }",
                json!({"x": {"x": {"z": 3}}}),
            ),
            (
                "x := 1 if { false } { false }\nx := 2 if { false } else := 3 if { true }",
                json!({"x": 3}),
            ),
            (
                "x := {\"if\": 1} if {\n\tevery e in [1] { e == 2 }\n}\n{\n\tevery e in [1] { e == 1 }\n}",
                json!({"x": {"if": 1}}),
            ),
        ],
    );
}

#[test]
fn in_version_0() {
    check(
        true,
        &[
            ("x = 5 { false } { input.a == 1 }", json!({"x": 5})),
            ("x = 5 { false } { true } { false }", json!({"x": 5})),
            ("x = {5} { false } { true }", json!({"x": [5]})),
            (
                "x = {\"k\": 5} {\n  false\n} {\n  true\n}",
                json!({"x": {"k": 5}}),
            ),
            ("x { false } { true }", json!({"x": true})),
            ("default x = 0\nx = 5 { false } { false }", json!({"x": 0})),
            ("f(n) = 5 { n == 1 } { n == 2 }\nx = f(2)", json!({"x": 5})),
            ("f(n) { n == 1 } { n == 2 }\nx { f(2) }", json!({"x": true})),
            (
                "x[k] = v { k := \"a\"; v := 1 } { k := \"b\"; v := 2 }",
                json!({"x": {"a": 1, "b": 2}}),
            ),
            (
                "import future.keywords.if\nx = 5 if { false } { true }",
                json!({"x": 5}),
            ),
            (
                "import rego.v1\nx := 5 if { false } { true }",
                json!({"x": 5}),
            ),
        ],
    );
}

#[test]
fn sets() {
    check(
        false,
        &[
            (
                "x contains v if { v := 1 } { v := 2 } {\n\tsome v in [3, 4]\n}",
                json!({"x": [1, 2, 3, 4]}),
            ),
            ("x contains 1 if { false } { false }", json!({"x": []})),
            (
                "x contains input.l[_] if { false } { true }",
                json!({"x": ["y", "z"]}),
            ),
            ("x contains v if v := 1 { v := 2 }", json!({"x": [1, 2]})),
            (
                "x contains \"}{\" if {\n\tfalse # }\n} # {\n{ # {\n\tinput.b == \"x\" }\ny contains 2 if { false } { true }\nz := 5 if { false } { true }",
                json!({"x": ["}{"], "y": [2], "z": 5}),
            ),
            (
                "x.y contains {\n\"k\": v, # k\n} if { v := 1 } { v := {2} }",
                json!({"x": {"y": [{"k": 1}, {"k": [2]}]}}),
            ),
        ],
    );
    check(
        true,
        &[
            (
                "deny[x] { x := 1 } { x := 2 }\ndeny[x] { x := 3 }",
                json!({"deny": [1, 2, 3]}),
            ),
            (
                "deny[{\"k\": \"}{\"}] { false } { true }",
                json!({"deny": [{"k": "}{"}]}),
            ),
            (
                "deny[`a\n`] {\n  false\n}\n\n{\n  true\n}",
                json!({"deny": ["a\n"]}),
            ),
            ("x.y { false } { true }", json!({"x": ["y"]})),
            ("x.y { false }\nok { x.y }", json!({"x": []})),
            (
                "x.y { false }\nx[\"z\"] { true }\nok { x.z }",
                json!({"x": ["z"], "ok": true}),
            ),
            ("x.if { true }\nx.y", json!({"x": ["if", "y"]})),
            (
                "import future.keywords.contains\nimport future.keywords.if\nx contains v if { v := 1 } { v := 2 }\ny contains {1} { false } { true }",
                json!({"x": [1, 2], "y": [[1]]}),
            ),
        ],
    );
}

#[test]
fn what_is_no_rule_of_its_own() {
    let rows = [
        (
            "x contains 1 if { false } else := 2 if { true }",
            "else cannot be used with set rules",
        ),
        (
            "x := 1 if { false } else := 2 if { true } { true }",
            "expected `else` keyword",
        ),
        (
            "x := 1 if { false } { true } else := 2",
            "p.rego:2:30: rego_parse_error: unexpected keyword `else`",
        ),
        (
            "x := 5 if {\n\tfalse\n} {\n\ttrue; nope(1)\n}",
            "p.rego:5:8: rego_type_error: undefined function nope",
        ),
        (
            "x := 5 if { true } { y }\nz := 1",
            "p.rego:2:22: rego_unsafe_var_error: var y is unsafe",
        ),
        (
            "x contains v if { v := 1 }\n{ v := nope(2) }",
            "p.rego:3:8: rego_type_error: undefined function nope",
        ),
    ];
    for (rules, expected) in rows {
        let error = document(rules, false).unwrap_err();
        assert!(error.contains(expected), "{rules}: {error}");
    }
}

#[test]
fn too_many_for_a_long_head() {
    let bodies = "{ true }\n".repeat(10_000);
    let error = document(
        &format!("x := \"{}\" if {bodies}", "a".repeat(1_000)),
        false,
    );
    assert!(
        error
            .unwrap_err()
            .contains("too long for each to stand alone")
    );
}
