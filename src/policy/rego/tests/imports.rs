//! Imports: names that hold for one file.

use super::*;

/// The document of package `p` under several files, for the input `{"a": {"n": 1}, "b": {"n": 2}}`.
fn check(files: &[&str], expected: &Json) {
    let modules = files.iter().enumerate();
    let modules: Vec<_> = modules
        .map(|(at, text)| module(&format!("{at}.rego"), text))
        .collect();
    let data = Data::from_json(json!({"d": {"n": 3, "if-": 4}}));
    let policies = RegoPolicies::compile(&modules, data, &settings()).unwrap();
    let input = Data::from_json(json!({"a": {"n": 1, "if": 5}, "b": {"n": 2}}));
    let solutions = policies.query("x = data.p", input, false, NOW_NS).unwrap();
    let value = solutions[0].member("x").unwrap().to_json().unwrap();
    let value: Json = serde_json::from_str(&value).unwrap();
    assert_eq!(&value, expected, "{files:?}");
}

#[test]
fn an_import_holds_for_its_file() {
    let first = "package p\nimport input.a as x\none := x.n";
    let second = "package p\nimport input.b as x\ntwo := x.n";
    check(&[first, second], &json!({"one": 1, "two": 2}));
    check(&[second, first], &json!({"one": 1, "two": 2}));
}

#[test]
fn imports_stand_for_what_they_name() {
    let rows = [
        ("import input.a\nx := a.n", json!(1)),
        ("import input as a\nx := a.b.n", json!(2)),
        ("import data.d\nx := d.n", json!(3)),
        ("import data.d[\"if-\"] as d\nx := d", json!(4)),
        ("import input.a[\"if\"] as d\nx := [d]", json!([5])),
        ("import input.a\nx[a.n] := 1", json!({"1": 1})),
        ("import input.a\nx := {y | y := a[_]}", json!([1, 5])),
        ("import input.a\nx := $\"{a.n}\"", json!("1")),
        ("import input.a\nx := y if y := a.n with a.n as 7", json!(7)),
        ("import input.a\nx := 1 if not a.nope", json!(1)),
        ("import data.q.f\nx := f(1)", json!(2)),
        ("import data.q as r\nx := r.f(1)", json!(2)),
        ("import data.q as r\nx := r.y", json!(6)),
    ];
    let other = "package q\nf(x) := x + 1\ny := 6";
    for (rules, value) in rows {
        check(
            &[&format!("package p\n{rules}"), other],
            &json!({"x": value}),
        );
    }
}

#[test]
fn a_declared_variable_hides_an_import() {
    let rows = [
        ("import input.a\nx := a.n if a := {\"n\": 7}", json!(7)),
        ("import input.a\nx := f({\"n\": 7})\nf(a) := a.n", json!(7)),
        ("import input.a\nx := [a | some a; a = 7]", json!([7])),
        (
            "import input.a\nx := 7 if every a in [7] { a == 7 }",
            json!(7),
        ),
        ("import input.a\nx := y if [a, y] := [8, 7]", json!(7)),
    ];
    for (rules, value) in rows {
        check(&[&format!("package p\n{rules}")], &json!({"x": value}));
    }
}

#[test]
fn imports_hold_in_a_document_of_packages() {
    let input = "package p.inner\nimport input.a\ny := a.n";
    check(&[input], &json!({"inner": {"y": 1}}));
    let data = "package p.inner\nimport data.d as e\ny if e.n == 3";
    check(&[data], &json!({"inner": {"y": true}}));
    let rule = "package p.inner\nimport data.q\ny := q.f(1)";
    check(
        &[rule, "package q\nf(x) := x + 1"],
        &json!({"inner": {"y": 2}}),
    );
}

#[test]
fn an_import_is_meant_before_a_rule() {
    let rule = "package p\na := {\"n\": 9}\nf(_) := 8";
    let rows = [
        ("import input.a\nx := a.n", json!(1)),
        ("import input.a\nx := [y | y := a[\"n\"]]", json!([1])),
        ("import input.a\nx := 1 if not a.m", json!(1)),
        ("import input.a\nx := y if y := a.n with a.n as 7", json!(7)),
        (
            "import input.a\nx := y if { a := {\"n\": 7}; y := a.n }",
            json!(7),
        ),
        ("import data.q.f\nx := f(1)", json!(2)),
        ("x := f(1)", json!(8)),
        ("x := a.n", json!(9)),
        ("import data.d as a\nx := a.n", json!(3)),
    ];
    let others = [
        "package q\nf(x) := x + 1",
        "package p\nimport data.q.f\ny := f(1)",
    ];
    for (rules, value) in rows {
        let files = [&format!("package p\n{rules}"), rule, others[0], others[1]];
        check(&files, &json!({"x": value, "a": {"n": 9}, "y": 2}));
    }
    // In one file.
    check(
        &["package p\nimport input.a\na := {\"n\": 9} if a.n\nb := a.n"],
        &json!({"a": {"n": 9}, "b": 1}),
    );
}

/// The interpreter would call what the other file imports.
#[test]
fn an_import_of_another_file_cannot_stand_for_a_built_in() {
    let modules = [
        module(
            "a.rego",
            "package p\nimport data.lib.object\nu := object.get({}, \"x\", 1)",
        ),
        module(
            "b.rego",
            "package p\nx := object.get({\"role\": \"user\"}, \"role\", \"none\")",
        ),
        module("lib.rego", "package lib.object\nget(_, _, _) := \"admin\""),
    ];
    let refused = RegoPolicies::compile(&modules, Data::default(), &settings()).unwrap_err();
    let refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "b.rego:2:6: rego_compile_error: built-in object.get is hidden by an import in another \
             file of the package: give that another name"
        ]
    );
}
