//! Objects and variables that are matched: in bodies, behind `some`, as parameters, in brackets, and by
//! what calls come to.

use super::*;

/// The value of rule `x`, or `null` if it has none.
fn value_of(rules: &str, input: &Json) -> Json {
    let module = module("p.rego", &format!("package p\n{rules}\n"));
    let document = document_for(module, input.clone());
    let document = document.unwrap_or_else(|error| panic!("{rules}: {error}"));
    document.get("x").cloned().unwrap_or(Json::Null)
}

fn check(rows: &[(&str, Json)], input: &Json) {
    let _unchecked = check::Unchecked::set();
    let mut wrong = Vec::new();
    for (rules, expected) in rows {
        let value = value_of(rules, input);
        if value != *expected {
            wrong.push(format!("{rules}: {value}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn input() -> Json {
    json!({
        "o": {"a": 1, "b": 2, "c": 3},
        "one": {"a": 1},
        "claims": {"role": "admin", "exp": 5},
        "l": [{"k": "a", "v": 1}, {"k": "a", "v": 2, "w": 3}, {"k": "b", "v": 4}],
        "deep": {"p": {"q": {"a": 1, "b": 2}}},
        "key": "a",
        "s": "{\"a\": 1, \"b\": 2}",
    })
}

#[test]
fn an_object_matches_one_of_the_same_keys() {
    let rows = [
        ("x := y if { {\"a\": y} := input.o }", json!(null)),
        ("x := y if { {\"a\": y} := input.one }", json!(1)),
        ("x := y if { {\"a\": y} = input.o }", json!(null)),
        ("x := y if { {\"a\": y} = input.one }", json!(1)),
        ("x := y if { input.one = {\"a\": y} }", json!(1)),
        ("x := y if { input.o = {\"a\": y} }", json!(null)),
        ("x := y if {\"a\": y} = input.one", json!(1)),
        ("x := y if {\"a\": y} = input.o", json!(null)),
        (
            "x := y if { some z in [input.o, input.one]; {\"a\": y} = z }",
            json!(1),
        ),
        (
            "x := [y | some z in [input.o, input.one]; z = {\"a\": y}]",
            json!([1]),
        ),
        ("x := y if { z = {\"a\": w}; w = 4; y := z.a }", json!(4)),
        (
            "x := y if { z = {\"a\": w}\n w = input.one.a\n y := z.a }",
            json!(1),
        ),
        ("x := y if { [{\"a\": y}, z] = [input.o, 1] }", json!(null)),
        ("x := y if { [{\"a\": y}, 1] = [input.one, z] }", json!(1)),
        (
            "x := y if { {\"p\": {\"q\": {\"a\": y}}} = input.deep }",
            json!(null),
        ),
        (
            "x := y if { {\"p\": {\"q\": {\"a\": y, \"b\": _}}} = input.deep }",
            json!(1),
        ),
        (
            "x := y if { {\"p\": {\"q\": y}} = input.deep }",
            json!({"a": 1, "b": 2}),
        ),
        ("x := 1 if { {\"a\": _} = input.o }", json!(null)),
        ("x := 1 if { {\"a\": _} = input.one }", json!(1)),
        ("x := 1 if not f\nf if { {\"a\": _} = input.o }", json!(1)),
        ("x := y if { k := input.key; {k: y} = input.one }", json!(1)),
        (
            "x := y if { k := input.key; {k: y} = input.o }",
            json!(null),
        ),
        ("x := y if { {input.key: y} := input.one }", json!(1)),
        ("x := y if { {\"a\": y} := {\"a\": 7} }", json!(7)),
        (
            "x := y if { k := \"q\"; {\"p\": {k: {\"a\": y}}} = input.deep }",
            json!(null),
        ),
        (
            "x := y if { k := \"q\"; {\"p\": {k: {\"a\": y, \"b\": _}}} = input.deep }",
            json!(1),
        ),
        (
            "x := y if { {\"p\": {input.q: {\"a\": y, \"b\": _}}} = input.deep with input.q as \"q\" }",
            json!(1),
        ),
        (
            "x := y if { {\"p\": {input.q: {\"a\": y}}} = input.deep with input.q as \"q\" }",
            json!(null),
        ),
        (
            "x := y if { {\"a\": y} := f(1) }\nf(_) := input.o",
            json!(null),
        ),
        (
            "x := y if { {\"a\": y} := f(1) }\nf(_) := input.one",
            json!(1),
        ),
        (
            "x := y if { {\"a\": y} := {k: v | some k, v in input.one} }",
            json!(1),
        ),
        ("x := y if { {\"a\": y} = input.nope }", json!(null)),
        ("x := y if { {\"a\": y} = input.key }", json!(null)),
        (
            "x := [y, z] if { {\"a\": y} = input.one with input as {\"one\": {\"a\": 5}}; z := 1 }",
            json!([5, 1]),
        ),
        (
            "x := y if { {\"a\": y} = input.one with input as {\"one\": {\"a\": 5, \"b\": 1}} }",
            json!(null),
        ),
        (
            "x := 1 if { every z in [input.one] { {\"a\": y} = z; y == 1 } }",
            json!(1),
        ),
        (
            "x := 1 if { every z in [input.o] { {\"a\": y} = z; y == 1 } }",
            json!(null),
        ),
        (
            "x := 1 if { every y in [[1, 2], [3, 4]] { y = [a, b]; a < b } }",
            json!(1),
        ),
        (
            "x := 1 if { every y in [[1, 2], [4, 3]] { [a, b] = y; a < b } }",
            json!(null),
        ),
        (
            "x := 1 if { every k, y in {\"a\": [\"a\"]} { y = [a]; k == a } }",
            json!(1),
        ),
    ];
    check(&rows, &input());
}

#[test]
fn members_match_by_all_of_their_keys() {
    let rows = [
        (
            "x if { some {\"role\": \"admin\"} in [input.claims] }",
            json!(null),
        ),
        (
            "x if some {\"role\": \"admin\"} in [input.claims]",
            json!(null),
        ),
        (
            "x if some {\"role\": \"admin\", \"exp\": 5} in [input.claims]",
            json!(true),
        ),
        (
            "x := [v | some {\"k\": \"a\", \"v\": v} in input.l]",
            json!([1]),
        ),
        (
            "x := [[i, v] | some i, {\"k\": _, \"v\": v} in input.l]",
            json!([[0, 1], [2, 4]]),
        ),
        (
            "x := [v | some {\"a\": v} in {\"m\": input.o, \"n\": input.one}]",
            json!([1]),
        ),
        (
            "x := [k | some k, {\"a\": _} in {\"m\": input.o, \"n\": input.one}]",
            json!(["n"]),
        ),
        (
            "x := [v | some {\"a\": v} in {input.o, input.one}]",
            json!([1]),
        ),
        ("x := [v | some {\"a\": v} in input.nope]", json!([])),
        ("x := [v | some {\"a\": v} in input.key]", json!([])),
        (
            "x := [v | some {\"a\": v} in input.l with input.l as [{\"a\": 1}, {\"a\": 2, \"b\": 3}]]",
            json!([1]),
        ),
        (
            "x := [v | input.l[_] = {\"k\": \"a\", \"v\": v}]",
            json!([1]),
        ),
        (
            "x := [v | {\"k\": \"a\", \"v\": v} = input.l[_]]",
            json!([1]),
        ),
    ];
    check(&rows, &input());
}

#[test]
fn what_calls_come_to_matches_by_all_of_its_keys() {
    let rows = [
        ("x := [y | walk(input, [[\"o\"], {\"a\": y}])]", json!([])),
        (
            "x := [y | walk(input, [[\"one\"], {\"a\": y}])]",
            json!([1]),
        ),
        ("x := [p | walk(input, [p, {\"a\": _}])]", json!([["one"]])),
        (
            "x := y if { json.unmarshal(input.s, {\"a\": y}) }",
            json!(null),
        ),
        (
            "x := y if json.unmarshal(input.s, {\"a\": y, \"b\": _})",
            json!(1),
        ),
        (
            "x := y if { f(1, {\"a\": y}) }\nf(_) := input.o",
            json!(null),
        ),
        (
            "x := y if { data.p.f(1, {\n\t\"a\": y,\n}) }\nf(_) := input.one",
            json!(1),
        ),
        (
            "x := y if { io.jwt.decode(\"eyJhbGciOiJub25lIn0.eyJhIjoxLCJiIjoyfQ.\", [_, {\"a\": y}, _]) }",
            json!(null),
        ),
        (
            "x := y if { io.jwt.decode(\"eyJhbGciOiJub25lIn0.eyJhIjoxLCJiIjoyfQ.\", [_, {\"a\": y, \"b\": _}, _]) }",
            json!(1),
        ),
        ("x := y if { f({\"a\": 1}, y) }\nf(z) := z", json!({"a": 1})),
        (
            "x := [y | s[{\"a\": y}]]\ns := {input.o, input.one}",
            json!([1]),
        ),
        (
            "x := [y | s[[_, {\"a\": y}]]]\ns := {[1, input.o], [2, input.one]}",
            json!([1]),
        ),
        (
            "x := 1 if { y := 1; s[{\"a\": y}] }\ns := {input.o, input.one}",
            json!(1),
        ),
        (
            "x := 1 if { y := 1; not s[{\"a\": y}] }\ns := {input.o}",
            json!(1),
        ),
    ];
    check(&rows, &input());
}

#[test]
fn a_parameter_matches_by_all_of_its_keys() {
    let rows = [
        ("x if f(input.o)\nf({\"a\": 1}) := true", json!(null)),
        ("x if f(input.one)\nf({\"a\": 1}) := true", json!(true)),
        ("x if f(input.one)\nf({\"a\": 1}) if true", json!(true)),
        ("x if f(input.o)\nf({\"a\": 1}) if true", json!(null)),
        ("x if f(input.o)\nf({}) := true", json!(null)),
        ("x if f({})\nf({}) := true", json!(true)),
        ("x := f(input.o)\nf({\"a\": y}) := y", json!(null)),
        ("x := f(input.one)\nf({\"a\": y}) := y", json!(1)),
        (
            "x := f(input.one)\nf({\n\t\"a\": y, # a\n}) := y if y > 0",
            json!(1),
        ),
        (
            "x := f(input.one)\nf({\"a\": y}) := 2 if { y > 1 } else := y",
            json!(1),
        ),
        (
            "x := f(input.one)\nf({\"a\": y}) := 2 if y > 1 else := 3 if { y == 1 }",
            json!(3),
        ),
        (
            "x := f(input.o)\nf({\"a\": y}) := 2 if y > 1 else := 3",
            json!(null),
        ),
        (
            "x := f(1, [input.one, 5])\nf(z, [{\"a\": y}, w]) := [z, y, w]",
            json!([1, 1, 5]),
        ),
        (
            "x := f(1, [input.o, 5])\nf(z, [{\"a\": y}, w]) := [z, y, w]",
            json!(null),
        ),
        (
            "x := f({\"x\": 1, \"y\": 2})\nf({\"x\": _}) := 1\nf({\"x\": _, \"y\": _}) := 2",
            json!(2),
        ),
        (
            "x := f(input.o)\nf({\"a\": y}) := y\ny := 5\ndefault f(_) := 7",
            json!(7),
        ),
        (
            "x := f(input.one)\nf({\"a\": y}) := z if { z := [w | some w in [y]] }\ny := 5",
            json!([1]),
        ),
        ("x := f(\"b\", {\"b\": 4})\nf(k, {k: y}) := y", json!(4)),
        ("x if f(input.one)\nf(input.one) := true", json!(true)),
    ];
    check(&rows, &input());
}

#[test]
fn a_variable_in_several_parameters_is_one() {
    let rows = [
        ("x if f(\"eve\", \"bob\")\nf(y, y) if y", json!(null)),
        ("x if f(\"eve\", \"eve\")\nf(y, y) if y", json!(true)),
        ("x if f(\"eve\", \"bob\")\nf(y, y) if true", json!(null)),
        ("x := f(1, 1)\nf(y, y) := y", json!(1)),
        ("x := f(1, 2)\nf(y, y) := y", json!(null)),
        ("x := f(1, 2, [1])\nf(y, _, [y]) := y", json!(1)),
        ("x := f(1, 2, [3])\nf(y, _, [y]) := y", json!(null)),
        ("x := f({\"a\": 1}, 1)\nf({\"a\": y}, y) := y", json!(1)),
        ("x := f({\"a\": 1}, 2)\nf({\"a\": y}, y) := y", json!(null)),
        ("x := f(1, {\"a\": 1})\nf(y, {\"a\": y}) := y", json!(1)),
        ("x := f(1, {\"a\": 2})\nf(y, {\"a\": y}) := y", json!(null)),
        (
            "x := f(1, {\"a\": 1, \"b\": 2})\nf(y, {\"a\": y}) := y",
            json!(null),
        ),
        (
            "x := [f(1, 1), f(1, 2)]\nf(y, y) := false\nf(y, z) := true if y != z",
            json!([false, true]),
        ),
        ("x := f(1, 1, 1)\nf(y, y, y) := y", json!(1)),
        ("x := f(1, 1, 2)\nf(y, y, y) := y", json!(null)),
        ("x := f(1, 2)\nf(y, y) := 1 if y > 5 else := 2", json!(null)),
        (
            "x := f(1, 1)\nf(y, y) := 1 if y > 5 else := 2 if { y == 1 }",
            json!(2),
        ),
        ("x := f([1, 1])\nf([y, y]) := y", json!(1)),
        ("x := f([1, 2])\nf([y, y]) := y", json!(null)),
        ("x := f(1, 1)\nf(_, _) := 3", json!(3)),
    ];
    check(&rows, &input());
}

#[test]
fn version_0_matches_the_same() {
    let document = |rules: &str| {
        let module = RegoModule {
            v0: true,
            ..module("p.rego", &format!("package p\n{rules}\n"))
        };
        document_for(module, input()).unwrap()
    };
    let rows = [
        ("x { f(input.o) }\nf({\"a\": 1}) = true", json!({})),
        (
            "x { f(input.one) }\nf({\"a\": 1}) = true",
            json!({"x": true}),
        ),
        ("x = y { {\"a\": y} = input.o }", json!({})),
        ("x = f(1, 2)\nf(y, y) = y", json!({})),
        ("x = f(1, 1)\nf(y, y) = y { y }", json!({"x": 1})),
    ];
    for (rules, expected) in rows {
        assert_eq!(document(rules), expected, "{rules}");
    }
}

#[test]
fn a_query_matches_the_same() {
    let policies = compile("package p\nx := {\"a\": 1, \"b\": 2}\n");
    let rows = [
        ("{\"a\": y} = data.p.x", 0),
        ("{\"a\": y, \"b\": _} = data.p.x", 1),
        ("some {\"a\": y} in [data.p.x]", 0),
    ];
    for (query, solutions) in rows {
        let found = policies.query(query, Data::default(), false, NOW_NS);
        assert_eq!(found.map(|found| found.len()), Ok(solutions), "{query}");
    }
}

#[test]
fn what_cannot_be_written_otherwise_is_refused() {
    let rows = [
        // What is moved would have to be changed itself.
        (
            "x := [y |\n\ts[{\"a\": y, \"b\": [z | s[{\"c\": z}]]}]]\ns := set()",
            "p.rego:3:",
        ),
        (
            "x if {\n\t{[1]: {\"a\": y}} = input.o\n\ty == 1\n}",
            "p.rego:3:",
        ),
    ];
    for (rules, place) in rows {
        let module = module("p.rego", &format!("package p\n{rules}\n"));
        let said = document_for(module, input()).expect_err(rules);
        let expected = said.contains("not supported") && said.contains(place);
        assert!(expected, "{rules}: {said}");
    }
}
