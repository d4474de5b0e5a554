//! Expected trees are written short: `v` is a variable, `s` a string, `n` a number, `r` a reference.

use serde_json::{Value as Json, json};

use super::*;

mod refusals;

fn parsed(text: &str) -> Result<Json, Failure> {
    let value = parse("x.rego", text)?;
    Ok(serde_json::from_str(&value.to_json_str().unwrap()).unwrap())
}

fn tree(text: &str) -> Json {
    parsed(text).unwrap_or_else(|failure| panic!("{text}: {failure}"))
}

fn rules(text: &str) -> Json {
    tree(&format!("package x\n{text}"))["rules"].take()
}

fn typed(kind: &str, value: Json) -> Json {
    let mut term = json!({"type": kind});
    term["value"] = value;
    term
}

fn v(name: &str) -> Json {
    typed("var", json!(name))
}

fn s(text: &str) -> Json {
    typed("string", json!(text))
}

fn n(number: i64) -> Json {
    typed("number", json!(number))
}

fn yes() -> Json {
    typed("boolean", json!(true))
}

/// A reference: its first part a variable, the others strings.
fn r(path: &str) -> Json {
    typed("ref", path_of(path))
}

fn path_of(path: &str) -> Json {
    let mut parts = path.split('.');
    let first = parts.next().map(v);
    Json::Array(first.into_iter().chain(parts.map(s)).collect())
}

fn call(operator: &str, operands: &[Json]) -> Json {
    typed("call", terms(operator, operands))
}

fn terms(operator: &str, operands: &[Json]) -> Json {
    Json::Array(
        std::iter::once(&r(operator))
            .chain(operands)
            .cloned()
            .collect(),
    )
}

fn body(expressions: &[Json]) -> Json {
    let with_index = |(index, terms): (usize, &Json)| json!({"index": index, "terms": terms});
    Json::Array(expressions.iter().enumerate().map(with_index).collect())
}

/// `p` as long as `body` holds.
fn holds(body: &Json) -> Json {
    json!([{"head": {"name": "p", "ref": [v("p")], "value": yes()}, "body": body}])
}

fn check_terms(rows: &[(&str, Json)]) {
    for (text, expected) in rows {
        let value = &rules(&format!("p := {text}"))[0]["head"]["value"];
        assert_eq!(value, expected, "{text}");
    }
}

fn check_bodies(rows: &[(&str, Json)]) {
    for (text, expected) in rows {
        let rules = rules(&format!("p if {{\n{text}\n}}"));
        assert_eq!(rules, holds(expected), "{text}");
    }
}

#[test]
fn a_module_is_its_package_imports_rules_and_comments() {
    let package = json!({"path": path_of("data.a.b")});
    assert_eq!(tree("package a.b"), json!({"package": package}));
    assert_eq!(
        tree(
            "package a[\"b\"]\nimport data.c\nimport input.d as e\nimport input\nimport rego.v1\nimport future.keywords.in\n"
        ),
        json!({"package": package, "imports": [
            {"path": r("data.c")},
            {"path": r("input.d"), "alias": "e"},
            {"path": r("input")},
            {"path": r("rego.v1")},
            {"path": r("future.keywords.in")},
        ]})
    );
}

#[test]
fn comments_tell_where_they_stand() {
    let comments = tree("# one\npackage a # \u{e9}\r\n#\np := \"é #\" #two")["comments"].take();
    let at = |row: u64, col: u64| json!({"file": "x.rego", "row": row, "col": col});
    assert_eq!(
        comments,
        json!([
            {"Text": "IG9uZQ==", "Location": at(1, 1)},
            {"Text": "IMOp", "Location": at(2, 11)},
            {"Text": null, "Location": at(3, 1)},
            {"Text": "dHdv", "Location": at(4, 12)},
        ])
    );
}

#[test]
fn constants_and_collections() {
    check_terms(&[
        ("null", typed("null", json!({}))),
        ("false", typed("boolean", json!(false))),
        ("12", n(12)),
        ("- 3", n(-3)),
        ("0.5", typed("number", json!(0.5))),
        (r#""a\"\u00e9""#, s("a\"é")),
        (r"`a\n`", s(r"a\n")),
        ("[]", typed("array", json!([]))),
        ("[1, \"a\",]", typed("array", json!([n(1), s("a")]))),
        ("[, 1]", typed("array", json!([n(1)]))),
        ("{}", typed("object", json!([]))),
        ("set()", typed("set", json!([]))),
        // Members are in order, each once.
        (
            "{\"b\", 2, \"a\", 2, null}",
            typed(
                "set",
                json!([typed("null", json!({})), n(2), s("a"), s("b")]),
            ),
        ),
        (
            "{\"b\": 1, \"a\": 2, \"b\": 3,}",
            typed("object", json!([[s("a"), n(2)], [s("b"), n(3)]])),
        ),
        (
            "{input.x, y, 1, [2]}",
            typed(
                "set",
                json!([n(1), v("y"), r("input.x"), typed("array", json!([n(2)]))]),
            ),
        ),
    ]);
}

#[test]
fn variables_references_and_calls() {
    check_terms(&[
        ("x", v("x")),
        ("_", v("$0")),
        ("input", r("input")),
        ("data", r("data")),
        ("input.a[\"b\"]", r("input.a.b")),
        ("input.if.package", r("input.if.package")),
        ("a[_][_]", typed("ref", json!([v("a"), v("$0"), v("$1")]))),
        ("a[input.b]", typed("ref", json!([v("a"), r("input.b")]))),
        (
            "a[1 + 2]",
            typed("ref", json!([v("a"), call("plus", &[n(1), n(2)])])),
        ),
        (
            "[1][0]",
            typed("ref", json!([typed("array", json!([n(1)])), n(0)])),
        ),
        ("f()", call("f", &[])),
        ("a.b.f(1, x)", call("a.b.f", &[n(1), v("x")])),
        (
            "f(x).y",
            typed("ref", json!([call("f", &[v("x")]), s("y")])),
        ),
        ("contains(a, b)", call("contains", &[v("a"), v("b")])),
    ]);
}

#[test]
fn operators_by_precedence() {
    let member = |operands: &[Json]| {
        let name = ["internal.member_2", "internal.member_3"][operands.len() - 2];
        call(name, operands)
    };
    check_terms(&[
        (
            "a + b * c",
            call("plus", &[v("a"), call("mul", &[v("b"), v("c")])]),
        ),
        (
            "(a + b) * c",
            call("mul", &[call("plus", &[v("a"), v("b")]), v("c")]),
        ),
        (
            "a - b -c",
            call("minus", &[call("minus", &[v("a"), v("b")]), v("c")]),
        ),
        ("a - -1", call("minus", &[v("a"), n(-1)])),
        (
            "a / b % c",
            call("rem", &[call("div", &[v("a"), v("b")]), v("c")]),
        ),
        (
            "a | b & c",
            call("or", &[v("a"), call("and", &[v("b"), v("c")])]),
        ),
        ("a == b", call("equal", &[v("a"), v("b")])),
        ("a != b", call("neq", &[v("a"), v("b")])),
        ("a < b", call("lt", &[v("a"), v("b")])),
        ("a <= b", call("lte", &[v("a"), v("b")])),
        ("a > b", call("gt", &[v("a"), v("b")])),
        (
            "a >= b + 1",
            call("gte", &[v("a"), call("plus", &[v("b"), n(1)])]),
        ),
        ("a in b", member(&[v("a"), v("b")])),
        ("a, b in c", member(&[v("a"), v("b"), v("c")])),
        ("a in b in c", member(&[member(&[v("a"), v("b")]), v("c")])),
        (
            "[a in b, c]",
            typed("array", json!([member(&[v("a"), v("b")]), v("c")])),
        ),
        (
            "{a: b in c}",
            typed("object", json!([[v("a"), member(&[v("b"), v("c")])]])),
        ),
        ("f(a + 1)", call("f", &[call("plus", &[v("a"), n(1)])])),
        (
            "[a | b, c]",
            typed("array", json!([call("or", &[v("a"), v("b")]), v("c")])),
        ),
        (
            "{a: b | c, d: 1}",
            typed(
                "object",
                json!([[v("a"), call("or", &[v("b"), v("c")])], [v("d"), n(1)]]),
            ),
        ),
    ]);
}

#[test]
fn comprehensions() {
    let condition = body(&[terms("gt", &[v("x"), n(1)])]);
    check_terms(&[
        (
            "[x | x > 1]",
            typed(
                "arraycomprehension",
                json!({"term": v("x"), "body": condition}),
            ),
        ),
        (
            "{x | x > 1}",
            typed(
                "setcomprehension",
                json!({"term": v("x"), "body": condition}),
            ),
        ),
        (
            "{x: y | x > 1}",
            typed(
                "objectcomprehension",
                json!({"key": v("x"), "value": v("y"), "body": condition}),
            ),
        ),
        (
            "[x | x := 1; y]",
            typed(
                "arraycomprehension",
                json!({
                    "term": v("x"),
                    "body": body(&[terms("assign", &[v("x"), n(1)]), v("y")]),
                }),
            ),
        ),
    ]);
}

#[test]
fn bodies_are_expressions_with_an_index() {
    check_bodies(&[
        ("input.a", body(&[r("input.a")])),
        ("{}", body(&[typed("object", json!([]))])),
        ("a; b\nc", body(&[v("a"), v("b"), v("c")])),
        ("x := 1", body(&[terms("assign", &[v("x"), n(1)])])),
        ("x = 1", body(&[terms("eq", &[v("x"), n(1)])])),
        ("f(1)", body(&[terms("f", &[n(1)])])),
        ("a == 1", body(&[terms("equal", &[v("a"), n(1)])])),
        (
            "not a",
            json!([{"index": 0, "negated": true, "terms": v("a")}]),
        ),
        (
            "not a == 1",
            json!([{"index": 0, "negated": true, "terms": terms("equal", &[v("a"), n(1)])}]),
        ),
        (
            "a with input.b as 1 with f as g",
            json!([{"index": 0, "terms": v("a"), "with": [
                {"target": r("input.b"), "value": n(1)},
                {"target": v("f"), "value": v("g")},
            ]}]),
        ),
        ("some a, b", body(&[json!({"symbols": [v("a"), v("b")]})])),
        (
            "some a in b",
            body(&[json!({"symbols": [call("internal.member_2", &[v("a"), v("b")])]})]),
        ),
        (
            "some a, _ in b",
            body(&[json!({"symbols": [call("internal.member_3", &[v("a"), v("$0"), v("b")])]})]),
        ),
        (
            "every a in b { c }",
            body(&[
                json!({"key": null, "value": v("a"), "domain": v("b"), "body": body(&[v("c")])}),
            ]),
        ),
        (
            "every a, b in c { d; e }",
            body(&[json!({
                "key": v("a"), "value": v("b"), "domain": v("c"), "body": body(&[v("d"), v("e")]),
            })]),
        ),
        ("if.a == 1", body(&[terms("equal", &[r("if.a"), n(1)])])),
        ("a\n[1]", body(&[v("a"), typed("array", json!([n(1)]))])),
    ]);
}

#[test]
fn heads() {
    let always = body(&[yes()]);
    let given = body(&[v("y")]);
    let f = json!({"name": "f", "ref": [v("f")], "args": [v("x")]});
    let with = |base: &Json, more: Json| {
        let mut base = base.clone();
        let members = more.as_object().unwrap().clone();
        base.as_object_mut().unwrap().extend(members);
        base
    };
    let p = json!({"name": "p", "ref": [v("p")]});
    let pq = json!({"ref": path_of("p.q")});
    let px = json!({"ref": [v("p"), v("x")]});
    let rows: &[(&str, Json, &Json)] = &[
        (
            "p := 1",
            with(&p, json!({"value": n(1), "assign": true})),
            &always,
        ),
        ("p = 1", with(&p, json!({"value": n(1)})), &always),
        ("p if y", with(&p, json!({"value": yes()})), &given),
        ("p if { y }", with(&p, json!({"value": yes()})), &given),
        (
            "p := 1 if y",
            with(&p, json!({"value": n(1), "assign": true})),
            &given,
        ),
        ("p contains 1", with(&p, json!({"key": n(1)})), &always),
        ("p contains 1 if y", with(&p, json!({"key": n(1)})), &given),
        (
            "f(x) := 1",
            with(&f, json!({"value": n(1), "assign": true})),
            &always,
        ),
        ("f (x) = 1 if y", with(&f, json!({"value": n(1)})), &given),
        ("f(x) if y", with(&f, json!({"value": yes()})), &given),
        ("f(x)", with(&f, json!({"value": yes()})), &always),
        (
            "p.q := 1",
            with(
                &pq,
                json!({"name": "p", "key": s("q"), "value": n(1), "assign": true}),
            ),
            &always,
        ),
        (
            "p.q := 1 if y",
            with(&pq, json!({"name": "p", "value": n(1), "assign": true})),
            &given,
        ),
        ("p.q if y", with(&pq, json!({"value": yes()})), &given),
        (
            "p.q contains 1 if y",
            with(&pq, json!({"key": n(1)})),
            &given,
        ),
        (
            "p[x] := 1 if y",
            with(
                &px,
                json!({"name": "p", "key": v("x"), "value": n(1), "assign": true}),
            ),
            &given,
        ),
        (
            "p[x] if y",
            with(&px, json!({"key": v("x"), "value": yes()})),
            &given,
        ),
        (
            "p.q.r := 1",
            json!({"ref": path_of("p.q.r"), "value": n(1), "assign": true}),
            &always,
        ),
        (
            "p.q.r if y",
            json!({"ref": path_of("p.q.r"), "value": yes()}),
            &given,
        ),
        (
            "if.q := 1 if y",
            json!({"ref": path_of("if.q"), "name": "if", "value": n(1), "assign": true}),
            &given,
        ),
        (
            "p.q(x) := 1",
            with(
                &pq,
                json!({"args": [v("x")], "value": n(1), "assign": true}),
            ),
            &always,
        ),
        (
            "p.q(x) if y",
            with(&pq, json!({"name": "p", "args": [v("x")], "value": yes()})),
            &given,
        ),
    ];
    for (text, head, body) in rows {
        assert_eq!(rules(text), json!([{"head": head, "body": body}]), "{text}");
    }
    assert_eq!(
        rules("default p := [1]"),
        json!([{
            "default": true,
            "head": with(&p, json!({"value": typed("array", json!([n(1)])), "assign": true})),
            "body": always,
        }])
    );
    assert_eq!(
        rules("default f(x) = 1"),
        json!([{"default": true, "head": with(&f, json!({"value": n(1)})), "body": always}])
    );
}

#[test]
fn further_bodies_and_else() {
    let head = |argument: &str, value: Json| json!({"name": "f", "ref": [v("f")], "args": [v(argument)], "value": value});
    assert_eq!(
        rules("f(_) = 1 if a\nelse = 2 if { b } else = 3"),
        json!([{
            "head": head("$0", n(1)),
            "body": body(&[v("a")]),
            "else": {
                "head": head("$1", n(2)),
                "body": body(&[v("b")]),
                "else": {"head": head("$2", n(3)), "body": body(&[yes()])},
            },
        }])
    );
    assert_eq!(
        rules("f(_) = 1 if { a[_] } { b[_] }"),
        json!([
            {"head": head("$0", n(1)), "body": body(&[typed("ref", json!([v("a"), v("$1")]))])},
            {"head": head("$3", n(1)), "body": body(&[typed("ref", json!([v("b"), v("$2")]))])},
        ])
    );
    let otherwise = &rules("p := 1 if a else if b")[0]["else"]["head"];
    assert_eq!(otherwise["value"], yes());
    assert_eq!(otherwise["assign"], json!(true));
}
