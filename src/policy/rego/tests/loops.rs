//! Loops over what is no collection, or is not there: nothing, and no failure.

use super::*;

/// The document of package `p`, for inputs with a text, a number, a list and an object.
fn check(rules: &str, expected: &Json) {
    let text = format!("package p\n{rules}");
    let input = json!({"s": "abc", "n": 5, "l": [3, {"z": 4}], "o": {"a": {"b": [1, 2]}}});
    let document = document_for(module("p.rego", &text), input);
    assert_eq!(document.as_ref(), Ok(expected), "{rules}");
}

#[test]
fn over_what_is_no_collection() {
    let rows = [
        ("x contains y if some y in input.s", json!({"x": []})),
        ("x contains y if some _, y in input.nope", json!({"x": []})),
        ("x := [y | some y in input.n]", json!({"x": []})),
        ("x := {k: v | some k, v in input.s}", json!({"x": {}})),
        ("x := [y | some y in lower(input.s)]", json!({"x": []})),
        ("x contains input.s[_]", json!({"x": []})),
        ("x contains input.nope[_].y", json!({"x": []})),
        ("x contains input.s[_] if input.l", json!({"x": []})),
        (
            "x contains input.l[_].z[_] if { input.l }",
            json!({"x": []}),
        ),
        ("x[k] := input.s[_] if some k in [\"a\"]", json!({"x": {}})),
        ("x := input.s[_]", json!({})),
        ("x := input.nope[_] if input.l", json!({})),
        ("x := 1 if input.nope else := input.s[_]", json!({})),
        ("x := [input.s[_] | true]", json!({"x": []})),
        ("x := {input.s[_]: input.nope[_] | true}", json!({"x": {}})),
        ("x := {[input.nope[_], 1] | true}", json!({"x": []})),
        ("f(y) := y[_]\nx := f(input.n)", json!({})),
        ("f(y) := y[_]\nx if not f(5)", json!({"x": true})),
    ];
    for (rules, expected) in rows {
        check(rules, &expected);
    }
}

#[test]
fn over_collections() {
    let rows = [
        ("x := [input.l[_] | true]", json!({"x": [3, {"z": 4}]})),
        ("x := {input.o[_].b[_] | true}", json!({"x": [1, 2]})),
        (
            "x := {k: v | some k, v in input.o.a}",
            json!({"x": {"b": [1, 2]}}),
        ),
        (
            "x := [[input.l[_], input.o[\"a\"][\"b\"][_]] | true]",
            json!({"x": [[3, 1], [3, 2], [{"z": 4}, 1], [{"z": 4}, 2]]}),
        ),
        (
            "x := [y | some y in [input.l[_] | true]]",
            json!({"x": [3, {"z": 4}]}),
        ),
        ("x := [y | some {\"z\": y} in input.l]", json!({"x": [4]})),
        ("x contains input.l[_].z", json!({"x": [4]})),
        ("x contains input.l[_].z if input.l", json!({"x": [4]})),
        (
            "x contains input.l[_].z if {\n\t# why\n\tinput.l # more\n}",
            json!({"x": [4]}),
        ),
        (
            "x contains [input.l[ # why\n_].z] if input.l",
            json!({"x": [[4]]}),
        ),
        (
            "x contains {\"a\": input.l[_].z,\n\"b\": input.l[\n_].z}",
            json!({"x": [{"a": 4, "b": 4}]}),
        ),
        (
            "x[k] := input.l[_].z if some k in [\"a\"]",
            json!({"x": {"a": 4}}),
        ),
        ("x := input.l[_].z", json!({"x": 4})),
        (
            "x contains v.b[_] if { some v in input.o }",
            json!({"x": [1, 2]}),
        ),
        (
            "x contains input.o[k].b[_] if {\n\tk := \"a\" # why\n}",
            json!({"x": [1, 2]}),
        ),
        (
            "x[k] := v.b[_] if some k, v in {\"c\": {\"b\": [7]}}",
            json!({"x": {"c": 7}}),
        ),
        (
            "x := y if { y := [v[_] | some v in input.o.a] } else := 2",
            json!({"x": [1, 2]}),
        ),
    ];
    for (rules, expected) in rows {
        check(rules, &expected);
    }
}
