//! Names that stand for a part of the input: imports, variables, rules, and `object.get`.

use super::check_body;

#[test]
fn other_names_for_a_path_are_followed() {
    let rows: &[(&str, &[&str])] = &[
        (
            "import HTTP as h\nallow := h.method == \"GET\"",
            &["….method"],
        ),
        (
            "import HTTP\nallow := http.headers.a == \"b\"",
            &["….headers.a"],
        ),
        (
            "import HTTP as h\nallow if { x := h.headers; x.a == \"\" }",
            &["….headers.a"],
        ),
        ("allow := h.path if { h := HTTP }", &["….path"]),
        (
            "allow if { h := HTTP; count([1 | h.path; h.host]) == 1 }",
            &["….host", "….path"],
        ),
        // One name for two things counts for both, unless one hides the other.
        (
            "allow if { h := HTTP; h.path }\nallow if { h := HTTP.headers; h.a }",
            &["….headers.a", "….path"],
        ),
        (
            "allow if { h := HTTP; h.a; count([1 | h := HTTP.headers; h.b]) > 0 }",
            &["….a", "….headers.b"],
        ),
        // A name that is used as such is all it stands for.
        ("allow if { h := HTTP; h == {} }", &["…"]),
        ("allow if { h := HTTP; g := h; count(g) > 0 }", &["…"]),
        ("allow if { h := HTTP; some k; h[k] == 1 }", &["…"]),
        (
            "allow if { h := HTTP; f(h) }\nf(x) := x.method == \"\"",
            &["…"],
        ),
        ("allow if { h = HTTP; h.method == \"GET\" }", &["…"]),
        (
            "allow if { [h, _] := [HTTP, 1]; h.method == \"GET\" }",
            &["…"],
        ),
        ("allow if { some h in [HTTP]; h.method == \"GET\" }", &["…"]),
        // Names in a circle end.
        (
            "allow if { x := input.a; y := x.b; x.c; y.d }",
            &["input.a.b.d", "input.a.c"],
        ),
        // Rules.
        ("h := HTTP\nallow if h.method == \"GET\"", &["….method"]),
        (
            "h := HTTP\nallow if { g := h.headers; g.a }",
            &["….headers.a"],
        ),
        ("h := HTTP\nallow if { g := h; g.host }", &["….host"]),
        (
            "h := HTTP\nallow if data.envoy.authz.h.method == \"GET\"",
            &["….method"],
        ),
        (
            "import data.envoy.authz as me\nh := HTTP\nallow if me.h.method == \"GET\"",
            &["….method"],
        ),
        (
            "import HTTP as http_request\nh := http_request\nallow if h.method == \"GET\"",
            &["….method"],
        ),
        ("h := HTTP\nallow if h == {}", &["…"]),
        ("h := HTTP\nallow if count(h) > 1", &["…"]),
        ("h := HTTP\nallow if { some k; h[k] }", &["…"]),
        (
            "h := HTTP if HTTP.path\nallow if h.method == \"GET\"",
            &["…"],
        ),
        (
            "default h := {}\nh := HTTP\nallow if h.method == \"GET\"",
            &["…"],
        ),
        ("h := HTTP\nh := HTTP\nallow if h.method == \"GET\"", &["…"]),
        (
            "h := HTTP if false\nelse := input.attributes\nallow if h.method == \"GET\"",
            &["input.attributes"],
        ),
        (
            "x := input.a\nr := x if { x := input.b }\nallow if r.m",
            &["input.b"],
        ),
        // `object.get` with a constant key.
        (
            "allow := object.get(HTTP.headers, \"x-a\", \"\") == \"a\"",
            &["….headers[\"x-a\"]"],
        ),
        (
            "allow := object.get(input, [\"attributes\", \"source\"], HTTP.path) == \"a\"",
            &["….path", "input.attributes.source"],
        ),
        (
            "h := HTTP\nallow := object.get(h.headers, \"x-a\", \"\") == \"a\"",
            &["….headers[\"x-a\"]"],
        ),
        (
            "allow if { h := HTTP; object.get(h, \"host\", \"\") == \"a\" }",
            &["….host"],
        ),
        (
            "allow := object.get(HTTP.headers, HTTP.host, \"\") == \"a\"",
            &["….headers", "….host"],
        ),
        ("allow := object.get(HTTP, [], \"\") == \"a\"", &["…"]),
        (
            "allow := object.get(HTTP, [\"headers\", 1], \"\") == \"a\"",
            &["…"],
        ),
        (
            "r := object.get(HTTP, \"host\", \"\")\nf(o, _, _) := count(o)\nallow if r > 1 with object.get as f",
            &["…"],
        ),
    ];
    for (body, expected) in rows {
        check_body(body, expected);
    }
}
