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

#[test]
fn over_variables_that_are_told_nowhere_else() {
    let rows = [
        ("x contains input.nope[i]", json!({"x": []})),
        ("x contains input.s[i]", json!({"x": []})),
        ("x contains input.l[i].z", json!({"x": [4]})),
        ("x contains [i, input.nope[i]]", json!({"x": []})),
        (
            "x contains [i, input.l[i].z] if input.n",
            json!({"x": [[1, 4]]}),
        ),
        ("x contains input.m[i][j] if input.n", json!({"x": []})),
        (
            "x contains [i, j, input.o[i].b[j]] if input.n",
            json!({"x": [["a", 0, 1], ["a", 1, 2]]}),
        ),
        ("x := [input.nope[i] | true]", json!({"x": []})),
        (
            "x := {i: input.l[i] | true}",
            json!({"x": {"0": 3, "1": {"z": 4}}}),
        ),
        ("x := {i: input.s[i] | true}", json!({"x": {}})),
        ("x[i] := input.l[i]", json!({"x": {"0": 3, "1": {"z": 4}}})),
        ("x[i] := input.nope[i]", json!({"x": {}})),
        ("x[input.o.a.b[i]] := i", json!({"x": {"1": 0, "2": 1}})),
        ("x[input.nope[i]] := i", json!({"x": {}})),
        (
            "x[i] contains input.l[i]",
            json!({"x": {"0": [3], "1": [{"z": 4}]}}),
        ),
        ("x := input.nope[i]", json!({})),
        ("x := input.l[i].z", json!({"x": 4})),
        (
            "x := [input.o[i].b, v] if { some i; v := input.l[i] }",
            json!({}),
        ),
        ("f(y) := y[i]\nx if not f(5)", json!({"x": true})),
        (
            "x contains [i, input.o.a.b[i]] if { not [true][i] }",
            json!({"x": [[1, 2]]}),
        ),
        ("f(y) := y[_].z\nx := f(input.l)", json!({"x": 4})),
        (
            "y := {\"k\": 1}\nx contains y[k] if { some k in [\"k\", \"l\"] }",
            json!({"x": [1], "y": {"k": 1}}),
        ),
        ("x contains input.o[_].b[[0, 1][_]]", json!({"x": [1, 2]})),
        (
            "s := {[1, 2], [1, 3]}\nx := {y | y := s[[1, _]][1]}",
            json!({"s": [[1, 2], [1, 3]], "x": [2, 3]}),
        ),
    ];
    for (rules, expected) in rows {
        check(rules, &expected);
    }
}

#[test]
fn in_names_of_rules() {
    let rows = [
        ("x[input.nope[_]] := 1", json!({"x": {}})),
        ("x[input.l[_].z] := 1", json!({"x": {"4": 1}})),
        ("x[input.l[_].z] := 1 if input.n", json!({"x": {"4": 1}})),
        ("x[input.s[_]] if input.n", json!({"x": {}})),
        ("x[input.l[_].z].b := 2", json!({"x": {"4": {"b": 2}}})),
        ("x[input.nope[_]].b := 2", json!({})),
        (
            "x[input.o.a.b[_]].c contains input.l[_].z",
            json!({"x": {"1": {"c": [4]}, "2": {"c": [4]}}}),
        ),
        ("x[input.nope[_]].c contains 1 if input.n", json!({})),
        (
            "x.y[input.o.a.b[_]] := input.l[_].z",
            json!({"x": {"y": {"1": 4, "2": 4}}}),
        ),
        ("x.y[input.nope[_]] := 1", json!({"x": {"y": {}}})),
        (
            "x[input.o.a.b[_]][input.o.a.b[_]] := 1",
            json!({"x": {"1": {"1": 1, "2": 1}, "2": {"1": 1, "2": 1}}}),
        ),
    ];
    for (rules, expected) in rows {
        check(rules, &expected);
    }
}

/// Terms that move from their heads, with all that can stand in them.
#[test]
fn in_terms_of_any_form() {
    let rows = [
        (
            "x contains input.l[ # a } comment\n_].nope",
            json!({"x": []}),
        ),
        (
            "y if not x[1]\nx contains input.nope[\"#\"][_]",
            json!({"x": [], "y": true}),
        ),
        (
            "x contains {`#\n`: input.l[_].z}",
            json!({"x": [{"#\n": 4}]}),
        ),
        ("x contains {`#\n`: 4}[_]", json!({"x": [4]})),
        (
            "x contains {`#\n`: [4], \"`\": 5}[`#\n`][_]",
            json!({"x": [4]}),
        ),
        (
            "x contains [y |\n\ty := 1 # one\n\ttrue\n][_]\nz := 1",
            json!({"x": [1], "z": 1}),
        ),
        ("x contains [y | some y in input.s][_]", json!({"x": []})),
        ("x contains [input.nope[_] | true][_]", json!({"x": []})),
        (
            "x contains [[input.l[_].z | input.n][_] | true][_]",
            json!({"x": [4]}),
        ),
        (
            "x contains [{[k, input.o[k].b[_]] | some k in [\"a\"]; input.o[k].b[0]} | true][_]",
            json!({"x": [[["a", 1], ["a", 2]]]}),
        ),
        (
            "x contains input.l[_].z if \"abc\" == input.s",
            json!({"x": [4]}),
        ),
        (
            "x contains input.l[_].z if input.s == \"abc\" # c\ny := 1",
            json!({"x": [4], "y": 1}),
        ),
        (
            "x contains y[_] if some y in input.o.a",
            json!({"x": [1, 2]}),
        ),
        (
            "x contains input.l[_].z if {\n\tinput.s == \"abc\" # }\n}",
            json!({"x": [4]}),
        ),
        (
            "x contains input.l[_].z if {\n\tinput.s == \"abc\"; # }\n\tinput.n }\ny := 1",
            json!({"x": [4], "y": 1}),
        ),
        (
            "x[input.o.a.b[_]] := \"s\"\ny := `t`",
            json!({"x": {"1": "s", "2": "s"}, "y": "t"}),
        ),
        (
            "x := 1 if input.nope else := input.l[_].z if input.n else := 3",
            json!({"x": 4}),
        ),
        (
            "x := input.nope[_] if input.n else := input.s[_] if input.n else := 3",
            json!({"x": 3}),
        ),
        (
            "f(n) := input.nope[_] if n else := input.l[_].z\nx := f(1)",
            json!({"x": 4}),
        ),
        (
            "x contains container.image.tags[_] if { some container in [{\"image\": {\"tags\": [\"t\"]}}, {}] }",
            json!({"x": ["t"]}),
        ),
        (
            "x contains input.o[u].b[_] if { u := \"a\" }",
            json!({"x": [1, 2]}),
        ),
        (
            "x contains sprintf(\"%v %v\", [input.o[i].b[_], i]) if { some i; input.o[i].b }",
            json!({"x": ["1 a", "2 a"]}),
        ),
        (
            "x[y] := input.o[y][_] if { some y in [\"a\", \"b\"] }",
            json!({"x": {"a": [1, 2]}}),
        ),
    ];
    for (rules, expected) in rows {
        check(rules, &expected);
    }
}

#[test]
fn several_values_of_one_rule() {
    for rules in [
        "x := input.o.a.b[_]",
        "x := input.o.a.b[i]",
        "f(y) := y[_]\nx := f(input.o.a.b)",
        "x := 1 if input.nope else := input.o.a.b[_]",
        "x.y := input.o.a.b[_] if input.n",
        "x[k] := input.o.a.b[_] if some k in [1]",
    ] {
        let text = format!("package p\n{rules}");
        let input = json!({"n": 5, "o": {"a": {"b": [1, 2]}}});
        let error = document_for(module("p.rego", &text), input).unwrap_err();
        assert!(error.contains("eval_conflict_error"), "{rules}: {error}");
    }
}
