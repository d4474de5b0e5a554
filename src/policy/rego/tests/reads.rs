//! What is told about an entrypoint's reads by looking at it.

mod attributes;
mod building;
mod names;
mod reached;

use super::*;

const HTTP: &str = "input.attributes.request.http";

/// Input paths that the entrypoint of some modules can read.
fn paths(modules: &[&str]) -> Vec<String> {
    let modules: Vec<_> = (0..)
        .zip(modules)
        .map(|(at, text)| module(&format!("{at}.rego"), &text.replace("HTTP", HTTP)))
        .collect();
    let policies = RegoPolicies::compile(&modules, Data::default(), &settings());
    let policies = policies.unwrap_or_else(|errors| panic!("{errors:?}: {modules:?}"));
    policies.entrypoint().unwrap().input().references("input")
}

/// `…` stands for the HTTP request.
fn check(modules: &[&str], expected: &[&str]) {
    let mut expected: Vec<_> = expected
        .iter()
        .map(|path| path.replace('…', HTTP))
        .collect();
    expected.sort();
    let mut found = paths(modules);
    found.sort();
    assert_eq!(found, expected, "{modules:?}");
}

fn check_body(body: &str, expected: &[&str]) {
    check(&[&format!("package envoy.authz\n{body}\n")], expected);
}

#[test]
fn reads_are_the_constant_beginnings_of_references() {
    let rows: &[(&str, &[&str])] = &[
        ("allow := true", &[]),
        (
            "allow := input.parsed_path[0] == \"a\"",
            &["input.parsed_path"],
        ),
        (
            "allow := input.parsed_query.x[_] == \"a\"",
            &["input.parsed_query.x"],
        ),
        ("allow := HTTP.method == \"GET\"", &["….method"]),
        ("allow := HTTP[\"method\"] == \"GET\"", &["….method"]),
        ("allow := HTTP[`method`] == \"GET\"", &["….method"]),
        (
            "allow := HTTP.headers[\"x-a\"] == \"a\"",
            &["….headers[\"x-a\"]"],
        ),
        (
            "allow := HTTP.headers[HTTP.host] == \"a\"",
            &["….headers", "….host"],
        ),
        (
            "allow if { some name; HTTP.headers[name] == \"a\" }",
            &["….headers"],
        ),
        (
            "allow if { some k, v in HTTP.headers; k == v }",
            &["….headers"],
        ),
        ("allow if \"a\" in HTTP.headers", &["….headers"]),
        (
            "allow := input.attributes.source.address.socketAddress.address == \"a\"",
            &["input.attributes.source.address.socketAddress.address"],
        ),
        // Statements, comprehensions, `every`, heads.
        (
            "allow := count([1 | HTTP.method == \"GET\"]) == 1",
            &["….method"],
        ),
        (
            "allow := count({HTTP.method: 1 | HTTP.path}) == 1",
            &["….method", "….path"],
        ),
        (
            "allow if { every _ in [1] { HTTP.scheme == \"http\" } }",
            &["….scheme"],
        ),
        (
            "allow if { every x in HTTP.headers { x == 1 } }",
            &["….headers"],
        ),
        ("allow contains HTTP.method if true", &["….method"]),
        ("allow[HTTP.method] := 1", &["….method"]),
        ("allow.a[HTTP.method].b := 1", &["….method"]),
        ("allow if not HTTP.method", &["….method"]),
        ("allow if not startswith(HTTP.path, \"/\")", &["….path"]),
        (
            "allow := {\"allowed\": true, \"body\": HTTP.host}",
            &["….host"],
        ),
        ("allow := $\"{HTTP.host}\" == \"\"", &["….host"]),
        (
            "allow := 1 if { false } else := 2 if { HTTP.host } else := HTTP.path",
            &["….host", "….path"],
        ),
        ("default f(_) := true\nallow if f(HTTP.host)", &["….host"]),
        // What cannot be told any closer.
        ("allow := count(input) == 1", &["input"]),
        ("allow if { some k; input[k] == 1 }", &["input"]),
        ("allow if { walk(input, [p, v]); v == 1 }", &["input"]),
        (
            "allow if { some k, v in input.attributes; v == 1 }",
            &["input.attributes"],
        ),
        ("allow if json.marshal(HTTP) == \"\"", &["…"]),
        ("allow := input == {}", &["input"]),
        ("import input as doc\nallow := doc == 1", &["input"]),
    ];
    for (body, expected) in rows {
        check_body(body, expected);
    }
}
