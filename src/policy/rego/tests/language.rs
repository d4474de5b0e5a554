//! Language that is lowered in front of the interpreter's parser, and where errors in it are said
//! to be.

use super::*;

/// The document of package `p`, for the input `{"a": "abc", "n": 1}`.
fn document(text: &str) -> Result<Json, String> {
    document_for(module("p.rego", text), json!({"a": "abc", "n": 1}))
}

fn check(rules: &str, expected: Json) {
    assert_eq!(
        document(&format!("package p\n{rules}")),
        Ok(expected),
        "{rules}"
    );
}

fn check_refused(text: &str, expected: &str) {
    assert_eq!(document(text), Err(expected.to_owned()), "{text}");
}

#[test]
fn template_strings() {
    let rows = [
        (r#"x := $"""#, json!("")),
        (r#"x := $"\{{1 + 1}}\t" "#, json!("{2}\t")),
        ("x := $`a\n{\n2\n}\\n`", json!("a\n2\\n")),
        (
            r#"x := $"{input.a} {input.b} {input.n}""#,
            json!("abc <undefined> 1"),
        ),
        (
            r#"x := $"{[1, "}", {2}]} {{}} {set()} {{"k": null}}""#,
            json!(r#"[1, "}", {2}] {} set() {"k": null}"#),
        ),
        (r#"x := $"{$"{input.a}!"}""#, json!("abc!")),
        (r#"x := $"{input.a with input.a as 3}""#, json!("3")),
        ("x := \"$`{\" # $\"", json!("$`{")),
    ];
    for (rule, value) in rows {
        check(rule, json!({"x": value}));
    }
}

#[test]
fn bad_template_strings() {
    let rows = [
        (
            "package p\nx := $\"{",
            "p.rego:2:8: rego_parse_error: invalid template string: expected }",
        ),
        (
            "package p\nx := $\"a",
            "p.rego:2:6: rego_parse_error: non-terminated template string",
        ),
        (
            "package p\nx := $\"a\n\"",
            "p.rego:2:6: rego_parse_error: non-terminated template string",
        ),
        (
            "package p\nx := $\"é{ }\"",
            "p.rego:2:9: rego_parse_error: invalid template string: no expression in braces",
        ),
        (
            "package p\nx := [$\"é{1}\", nope(2)]",
            "p.rego:2:16: rego_type_error: undefined function nope",
        ),
        (
            "package p\nx := $\"{nope(2)}\"",
            "p.rego:2:9: rego_type_error: undefined function nope",
        ),
        (
            "package p\nx := [$`\n{1}\n`, nope(2)]",
            "p.rego:4:4: rego_type_error: undefined function nope",
        ),
        (
            "package p\nf($\"{x}\") := 1 if x = 2",
            "p.rego:2:3: rego_compile_error: a template string, call or comprehension as a function's parameter is not supported",
        ),
    ];
    for (text, expected) in rows {
        check_refused(text, expected);
    }
    let deep = format!("package p\nx := {}1{}", "$\"{".repeat(9), "}\"".repeat(9));
    assert!(document(&deep).unwrap_err().contains("nested too deep"));
    for (begin, end) in [
        ("{\"a\": ", "}"),
        ("{", "}"),
        ("{1 | ", "}"),
        ("{\"a\": [", "]}"),
    ] {
        let text = format!("package p\nx := {}1{}", begin.repeat(15), end.repeat(15));
        assert!(
            document(&text).unwrap_err().contains("nested too deep"),
            "{text}"
        );
    }
    let behind = format!("package p\nx := {}1{}", "{1, ".repeat(30), "}".repeat(30));
    assert!(document(&behind).is_ok());
    let several = document("package p\nx := $\"{[1, 2][_]}\"");
    assert!(several.unwrap_err().contains("multiple outputs"));
}

#[test]
fn references_that_begin_with_a_keyword() {
    check(
        "y := 2\nif.foo := 1\nx := if.foo",
        json!({"y": 2, "x": 1, "if": {"foo": 1}}),
    );
    check(
        "in.f(n) := n + data.p.y if n > data.p.y\nx := in.f(3)\ny := 2",
        json!({"y": 2, "x": 5, "in": {}}),
    );
    check(
        "default not.x := false\nnot.x if {\n  input.n == 2\n} else := 5 if input.n == 1",
        json!({"not": {"x": 5}}),
    );
    check(
        "a.if contains 1\nx if 1 in a.if",
        json!({"x": true, "a": {"if": [1]}}),
    );
    check_refused(
        "package p\nx := if.y",
        "p.rego:2:6: rego_parse_error: `if` begins a reference, but no rule of this module",
    );
    check_refused(
        "package p\nif.in := 1",
        "p.rego:2:1: rego_parse_error: a rule whose name is made of keywords alone is not supported",
    );
    check_refused(
        "package p\nif.y := 1\nif.z := y",
        "p.rego:3:9: rego_parse_error: in this rule, `y` must be written `data.p.y`",
    );
    check_refused(
        "package p\nif.y := 1\n\tx := if.y + nope(1)",
        "p.rego:3:14: rego_type_error: undefined function nope",
    );
}

/// Rule: what a call under `not` is given is evaluated before the negation.
#[test]
fn arguments_under_not() {
    let undefined = [
        "f(input.nope)",
        "startswith(input.nope, \"x\")",
        "1 in input.nope",
        "input.nope != 1",
        "input.n > input.nope",
        "s[input.nope]",
        "to_number(\"x\") == 1",
        "count(input.nope) > 0",
        "f({\"k\": [input.nope]})",
        "f(r)",
        "f(input.a) with input as {\"a.b\": \"c\"}",
        "f(concat(\"\", [k | some k in [\"b\"]; not f(input.nope)])) == \"\"",
    ];
    let holds = [
        "input.nope == 1",
        "input.nope",
        "input.n.nope",
        "startswith(input.a, \"x\")",
        "startswith(input.n, \"x\") with input.n as \"abc\"",
        "input.n == 2",
        "f(input.n) == \"a\"",
        "f(1) == f(2)",
        "f(count([k | some k in [1, 2]; not k > 1]) == 2)",
    ];
    let rules = "f(x) := x\ns := {1, 2}\nr if false\nfalse_f := f(false)\n";
    for (literals, expected) in [(&undefined[..], None), (&holds[..], Some(&json!(true)))] {
        for literal in literals {
            for body in [
                format!("not {literal}"),
                format!("{{\n\ttrue; not {literal} # }}\n}}"),
            ] {
                let document = document(&format!("package p\n{rules}x if {body}\n")).unwrap();
                assert_eq!(document.get("x"), expected, "{body}");
            }
        }
    }
}

/// Rule: `not` gives no variable a value.
#[test]
fn variables_under_not_wait_for_their_values() {
    let rules =
        "l := [\"y\", \"z\"]\nb := [true]\nc := [{\"d\": 1}]\ns := {[0, 1]}\nf(i) if i == 0\n";
    let bodies = [
        "not b[i]; v := l[i]",
        "v := l[i]; not b[i]",
        "some i; not b[i]; v := l[i]",
        "not b[i]; not c[i]; v := l[i]",
        "not c[i].d == 1; v := l[i]",
        "not input.nope[i]; not b[i]; v := l[i]",
        "not f(i); v := l[i]",
        "not s[[i, 1]]; v := l[i]",
        "not b[to_number(i)]; v := l[i]",
        "not b[i] with input.x as 1; v := l[i]",
        "not b[i]\n\ti = k # why\n\tv := l[k]",
        "not {\"k\": b}.k[i]; v := l[i]",
        "v := [w | not b[i]; w := l[i]][_]",
        "every k in [1] { not b[k]; l[k] }; v := l[1]",
    ];
    for body in bodies {
        for rule in [
            format!("x contains v if {{ {body} }}"),
            format!("x := {{v | {body} }}"),
        ] {
            let document = document(&format!("package p\n{rules}{rule}\n"));
            let document = document.unwrap_or_else(|why| panic!("{rule}: {why}"));
            assert_eq!(document["x"], json!(["z"]), "{rule}");
        }
    }
    check(
        "b := [true]\nx contains [i, input.t[i]] if { not b[i] }\ny := {i: input.t[i] | not b[i]}",
        json!({"b": [true], "x": [], "y": {}}),
    );
}

#[test]
fn walk_as_a_value() {
    let numbers = "y := {\"a\": [5, {\"b\": 6}]}\n";
    let rows = [
        ("x := [v | [_, v] := walk(y); is_number(v)]", json!([5, 6])),
        ("x := [v | [_, v] = walk(y); is_number(v)]", json!([5, 6])),
        ("x := [v | walk(y, [_, v]); is_number(v)]", json!([5, 6])),
        ("x := [v | v := walk(y)[1]; is_number(v)]", json!([5, 6])),
        (
            "x contains p if { [p, 6] = walk(y) }",
            json!([["a", 1, "b"]]),
        ),
    ];
    for (rule, expected) in rows {
        let document = document(&format!("package p\n{numbers}{rule}")).unwrap();
        assert_eq!(document["x"], expected, "{rule}");
    }
}

/// An entrypoint that several rules with variables in their names make.
#[test]
fn scattered_entrypoints() {
    let text =
        "package envoy.authz\nallow[k].x := false if some k in [\"a\"]\nallow.allowed := true";
    let policies = compile(text);
    let answer = ask(&policies, &Attributes::default());
    assert!(answer.is_ok_and(|outcome| outcome.allowed));
}

#[test]
fn nothing_is_walked_through() {
    let rows = [
        ("[x | x := walk(input.nope)]", json!([])),
        ("[x | walk(input.nope, x)]", json!([])),
        ("[x[1] | x := walk([1])]", json!([[1], 1])),
        ("[x | x := walk(walk(1))][0][0]", json!([])),
    ];
    for (expression, expected) in rows {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn with_replaces_a_rule_by_its_name() {
    let rows = [
        (
            "a := 1\nb := a + 1\nx := v if v := b with a as 10",
            json!({"a": 1, "b": 2, "x": 11}),
        ),
        (
            "a.c := 1\nb := a.c + 1\nx := v if v := b with a.c as 10",
            json!({"a": {"c": 1}, "b": 2, "x": 11}),
        ),
        (
            "f(y) := y\ng(y) := y * 2\nb := f(1)\nx := v if v := b with f as g",
            json!({"b": 1, "x": 2}),
        ),
        (
            "f(y) := y\nb := f(1)\nx := v if v := b with f as 7",
            json!({"b": 1, "x": 7}),
        ),
        (
            "b := count([])\nx := v if v := b with count as 3",
            json!({"b": 0, "x": 3}),
        ),
    ];
    for (rules, expected) in rows {
        check(rules, expected);
    }
}
