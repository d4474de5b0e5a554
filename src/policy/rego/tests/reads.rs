//! What is told about a policy's reads by looking at it.

use super::*;
use crate::policy::reads::{Field, Reads};

/// Reads of a module with a body: fields beside those every document depends on, headers, and
/// whether it is everything.
fn check(body: &str, fields: &[Field], headers: &[&str], whole: bool) {
    let policies = compile(&format!("package envoy.authz\n{body}\n"));
    let reads = policies.reads();
    let mut expected = Reads::of_input([]);
    fields.iter().for_each(|field| expected.field(*field));
    headers.iter().for_each(|name| expected.header(name));
    expected.whole_input = whole;
    assert_eq!(*reads, expected, "{body}");
}

#[test]
fn reads_are_the_constant_beginnings_of_references() {
    const HTTP: &str = "input.attributes.request.http";
    let rows: &[(&str, &[Field], &[&str], bool)] = &[
        ("allow := true", &[], &[], false),
        ("allow := input.parsed_path[0] == \"a\"", &[], &[], false),
        ("allow := input.parsed_query.x[_] == \"a\"", &[], &[], false),
        (
            "allow := HTTP.method == \"GET\"",
            &[Field::Method],
            &[],
            false,
        ),
        (
            "allow := HTTP[\"method\"] == \"GET\"",
            &[Field::Method],
            &[],
            false,
        ),
        (
            "allow := HTTP.headers.authorization == \"a\"",
            &[],
            &["authorization"],
            false,
        ),
        (
            "allow := HTTP.headers[\"x-a\"] == \"a\"",
            &[],
            &["x-a"],
            false,
        ),
        (
            "allow := HTTP.headers[HTTP.host] == \"a\"",
            &[Field::Headers, Field::Host],
            &[],
            false,
        ),
        (
            "allow if { some name; HTTP.headers[name] == \"a\" }",
            &[Field::Headers],
            &[],
            false,
        ),
        (
            "allow := input.source_principal == \"a\"",
            &[Field::Principal],
            &[],
            false,
        ),
        (
            "allow := input.attributes.source.principal == \"a\"",
            &[Field::Principal],
            &[],
            false,
        ),
        (
            "allow := input.attributes.source.certificate == \"a\"",
            &[Field::Principal],
            &[],
            false,
        ),
        (
            "allow := input.attributes.source.address.socketAddress.address == \"a\"",
            &[Field::SourceAddress],
            &[],
            false,
        ),
        (
            "allow := input.attributes.contextExtensions.k == \"a\"",
            &[Field::ContextExtensions],
            &[],
            false,
        ),
        (
            "allow := input.attributes.metadataContext.filterMetadata.f.k == 1",
            &[Field::Metadata],
            &[],
            false,
        ),
        (
            "allow := input.attributes.tlsSession.sni == \"a\"",
            &[Field::TlsSession],
            &[],
            false,
        ),
        ("allow := input.parsed_body.role == \"a\"", &[], &[], false),
        // Imports, functions, comprehensions, `every`, `with`, heads, defaults' helpers.
        (
            "import input.attributes.request.http as h\nallow := h.method == \"GET\"",
            &[Field::Method],
            &[],
            false,
        ),
        (
            "import input.attributes.request.http\nallow := http.headers.a == \"b\"",
            &[],
            &["a"],
            false,
        ),
        (
            "f(x) := input.attributes.request.http.host\nallow := f(1) == \"a\"",
            &[Field::Host],
            &[],
            false,
        ),
        (
            "allow := count([1 | HTTP.method == \"GET\"]) == 1",
            &[Field::Method],
            &[],
            false,
        ),
        (
            "allow if { every x in [1] { HTTP.scheme == \"http\" } }",
            &[Field::Scheme],
            &[],
            false,
        ),
        (
            "a if HTTP.method == \"GET\"\nallow := true if a with input as {\"b\": HTTP.host}",
            &[Field::Method, Field::Host],
            &[],
            false,
        ),
        (
            "allow contains HTTP.method if true",
            &[Field::Method],
            &[],
            false,
        ),
        ("allow[HTTP.method] := 1", &[Field::Method], &[], false),
        ("allow if not HTTP.method", &[Field::Method], &[], false),
        (
            "allow := {\"allowed\": true, \"body\": HTTP.host}",
            &[Field::Host],
            &[],
            false,
        ),
        // What cannot be told any closer is everything.
        ("allow := count(input) == 1", &[], &[], true),
        (
            "allow if { x := input.attributes; x.source }",
            &[],
            &[],
            true,
        ),
        (
            "allow := input[\"attributes\"][\"re\"] == 1",
            &[],
            &[],
            true,
        ),
        ("allow if { some k; input[k] == 1 }", &[], &[], true),
        ("allow if { walk(input, [p, v]); v == 1 }", &[], &[], true),
        (
            "allow := input.attributes.request.time.seconds > 1",
            &[],
            &[],
            true,
        ),
        ("allow := HTTP.id == \"a\"", &[], &[], true),
        (
            "import input as doc\nallow := doc.attributes == 1",
            &[],
            &[],
            true,
        ),
    ];
    for (body, fields, headers, whole) in rows {
        check(&body.replace("HTTP", HTTP), fields, headers, *whole);
    }
}
