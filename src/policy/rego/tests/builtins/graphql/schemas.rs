//! Schemas, read and checked.

use super::*;

#[test]
fn schemas_as_objects() {
    let definition = |kind: &str, rest: Json| {
        let mut definition =
            json!({"Kind": kind, "Name": "T", "Description": "", "BuiltIn": false});
        let rest = rest.as_object().unwrap().clone();
        definition.as_object_mut().unwrap().extend(rest);
        json!({"Definitions": [definition]})
    };
    let directives = json!([{"Name": "d", "Location": ""}]);
    let int = json!({"NamedType": "Int", "NonNull": true});
    let rows = [
        ("", json!({})),
        ("scalar T", definition("SCALAR", json!({}))),
        ("type T", definition("OBJECT", json!({}))),
        ("interface T", definition("INTERFACE", json!({}))),
        (
            "input T @d",
            definition("INPUT_OBJECT", json!({"Directives": directives})),
        ),
        ("union T", definition("UNION", json!({}))),
        (
            "union T =| A|B",
            definition("UNION", json!({"Types": ["A", "B"]})),
        ),
        (
            "interface T implements &A&B @d {\"x\" f: Int! @d}",
            definition(
                "INTERFACE",
                json!({
                    "Interfaces": ["A", "B"],
                    "Directives": directives,
                    "Fields": [{
                        "Name": "f", "Description": "x", "Type": int, "Directives": directives,
                    }],
                }),
            ),
        ),
        (
            "enum T {\"\"\"x\"\"\" A @d B}",
            definition(
                "ENUM",
                json!({"EnumValues": [
                    {"Name": "A", "Description": "x", "Directives": directives},
                    {"Name": "B", "Description": ""},
                ]}),
            ),
        ),
        (
            "input T {a: Int! = 1 @d}",
            definition(
                "INPUT_OBJECT",
                json!({"Fields": [{
                    "Name": "a",
                    "Description": "",
                    "Type": int,
                    "DefaultValue": {"Kind": 1, "Raw": "1", "ExpectedTypeHasDefault": false},
                    "Directives": directives,
                }]}),
            ),
        ),
        (
            "\"x\" directive @d(\"y\" a: Int!) repeatable on | FIELD | QUERY",
            json!({"Directives": [{
                "Name": "d",
                "Description": "x",
                "IsRepeatable": true,
                "Locations": ["FIELD", "QUERY"],
                "Arguments": [{"Name": "a", "Description": "y", "Type": int}],
            }]}),
        ),
        (
            "\"x\" schema @d {query: A subscription: B}",
            json!({"Schema": [{
                "Description": "x",
                "Directives": directives,
                "OperationTypes": [
                    {"Operation": "query", "Type": "A"},
                    {"Operation": "subscription", "Type": "B"},
                ],
            }]}),
        ),
        ("schema", json!({"Schema": [{"Description": ""}]})),
        (
            "\"\" extend union T = A",
            json!({"Extensions": [{
                "Kind": "UNION", "Name": "T", "Description": "", "BuiltIn": false, "Types": ["A"],
            }]}),
        ),
    ];
    for (schema, expected) in rows {
        assert_eq!(parsed("parse_schema", schema), Some(expected), "{schema}");
    }
}

#[test]
fn texts_that_are_no_schemas() {
    for schema in [
        "type",
        "type {a: Int}",
        "type T {}",
        "type T {a}",
        "type T {a:}",
        "type T {a(): Int}",
        "type T {a: Int",
        "type T {a: Int = 1}",
        "type T implements {a: Int}",
        "type T implements A B {a: Int}",
        "union T =",
        "union T = A |",
        "union T = || A",
        "enum T {}",
        "enum T {1}",
        "input T {a(b: Int): Int}",
        "schema {}",
        "schema {other: T}",
        "schema {query}",
        "directive @d",
        "directive d on FIELD",
        "directive @d on",
        "directive @d on NOWHERE",
        "directive @d() on FIELD",
        "extend",
        "extend type T",
        "extend scalar T",
        "extend schema",
        "extend union T",
        "extend enum T",
        "extend input T",
        "extend interface T implements A",
        "extend directive @d on FIELD",
        "\"x\" extend type T {a: Int}",
        "\"x\"",
        "{a}",
        "query {a}",
        "scalar T {",
        "type T {a: Int @d(b: $c)}",
        "type T {a: [Int}",
    ] {
        assert_eq!(parsed("parse_schema", schema), None, "{schema}");
        assert!(!holds("schema_is_valid", &[schema]), "{schema}");
    }
    // Variables get into the directives of extended inputs alone.
    assert!(parsed("parse_schema", "extend input T @d(a: $b)").is_some());
    check_undefined(&["graphql.parse_schema(1)", "graphql.parse_schema({})"]);
}

#[test]
fn schemas_that_are_valid() {
    for schema in [
        "",
        asked::SCHEMA,
        "type T {a: Int}",
        "extend type T {a: Int} extend type T {b: T}",
        "scalar Query schema {query: Query}",
        "type A {a: Int} schema {query: A} extend schema {mutation: A}",
        "interface I {a: [I!]} type T implements I {a: [T!]!} ",
        "interface I {a: I} interface J implements I {a: J} type T implements J & I {a: T}",
        "union U = T type T implements I {a: T} interface I {a: U}",
        "interface I {a(b: Int): Int} type T implements I {a(b: Int, c: Int! = 1, d: Int): Int}",
        "interface I {a(b: Int!): Int} type T implements I {a(b: Int): Int}",
        "enum E {A A} type T {a(b: E): E}",
        "directive @d(a: Int!) on OBJECT type T @d(a: 1) {a: Int}",
        "directive @d on ARGUMENT_DEFINITION directive @e(a: Int @d) on FIELD",
        "directive @d on ENUM_VALUE enum E {A @d}",
        "directive @d repeatable on SCALAR scalar S @d @d",
        "directive @d on SCHEMA type T {a: Int} schema @d {query: T}",
        "directive @skip on OBJECT type T @skip {a: Int}",
        "extend scalar Int @specifiedBy(url: \"x\")",
        "extend type __Type {more: Int}",
        "input A {a: B!} input B {a: A!}",
        "type T {a(b: Int = \"not checked\"): Int}",
        "union U",
    ] {
        assert!(holds("schema_is_valid", &[schema]), "{schema}");
    }
}

#[test]
fn schemas_that_are_not_valid() {
    for schema in [
        "type T {a: Int} type T {a: Int}",
        "scalar Int",
        "type T",
        "type T {a: Int a: Int}",
        "type T {a: Int} extend type T {a: Int}",
        "type T {a: Missing}",
        "type T {a(b: Missing): Int}",
        "type T {a: [[Missing]]}",
        "type __T {a: Int}",
        "extend type __T {a: Int}",
        "type T {__a: Int}",
        "type T {a(__b: Int): Int}",
        "directive @__d on FIELD",
        "scalar T extend type T {a: Int}",
        "input I {a: Int} type T {a: I}",
        "type T {a(b: T): Int}",
        "type T {a: Int} input I {a: [T]}",
        "union U = Missing",
        "union U = Int",
        "interface I {a: Int} union U = I",
        "interface I",
        "input I",
        "enum E",
        "enum E {true}",
        "enum E {A null}",
        "enum E {A @missing}",
        "type T implements Missing {a: Int}",
        "type T implements U {a: Int} type U {a: Int}",
        "interface I {a: Int} type T implements I {b: Int}",
        "interface I {a: Int!} type T implements I {a: Int}",
        "interface I {a: [Int]} type T implements I {a: Int}",
        "interface I {a: Int} type T implements I {a: String}",
        "interface I {a(b: Int): Int} type T implements I {a: Int}",
        "interface I {a(b: Int): Int} type T implements I {a(b: Int!): Int}",
        "interface I {a(b: Int): Int} type T implements I {a(b: String): Int}",
        "interface I {a: Int} type T implements I {a(b: Int!): Int}",
        "interface I {a: I} interface J implements I {a: J} type T implements J {a: T}",
        "interface I implements J {a: Int} interface J implements I {a: Int}",
        "type T @missing {a: Int}",
        "type T @deprecated {a: Int}",
        "type T {a: Int @skip(if: true)}",
        "type T {a(b: Int @include(if: true)): Int}",
        "scalar S @specifiedBy",
        "scalar S @specifiedBy(url: null)",
        "scalar S @specifiedBy(url: \"\", other: 1)",
        "directive @d on FIELD directive @d on FIELD",
        "directive @d(a: Int @d) on ARGUMENT_DEFINITION",
        "directive @d(a: Missing) on FIELD",
        "type T {a: Int} directive @d(a: T) on FIELD",
        "schema {query: Missing}",
        "extend schema {query: Missing}",
        "scalar A schema {query: A} schema {query: A}",
        "scalar A schema @missing {query: A}",
        "extend schema @deprecated",
    ] {
        assert!(parsed("parse_schema", schema).is_some(), "{schema}");
        assert!(!holds("schema_is_valid", &[schema]), "{schema}");
    }
    for value in ["1", "null", "[]", "{1}", "true"] {
        let call = format!("graphql.schema_is_valid({value})");
        assert_eq!(result(&call), Some(json!(false)), "{call}");
    }
}

#[test]
fn schemas_say_where_operations_begin() {
    let rows = [
        ("mutation {a}", "type Query {a: Int}", false),
        ("{a}", "type Query {a: Int}", true),
        ("{a}", "type Mutation {a: Int}", false),
        ("{a}", "", false),
        ("{a}", "type A {a: Int} schema {query: A}", true),
        (
            "{__schema {types {name}}}",
            "type A {a: Int} schema {query: A}",
            true,
        ),
        // With a schema definition, names mean nothing.
        (
            "mutation {a}",
            "type A {a: Int} type Mutation {a: Int} schema {query: A}",
            false,
        ),
        (
            "mutation {a}",
            "type A {a: Int} type Mutation {a: Int} extend schema {query: A}",
            true,
        ),
        ("{a}", "extend type Query {a: Int}", true),
        ("{a} {a}", "type Query {a: Int}", false),
        ("{a", "type Query {a: Int}", false),
        ("{a}", "type Query {a: Int", false),
        ("{a}", "type Query {a: Missing}", false),
        // An interface is not one of its own types.
        (
            "{a {... on I {b}}}",
            "type Query {a: I} interface I {b: Int}",
            false,
        ),
        ("{a @d}", "type Query {a: Int} directive @d on FIELD", true),
    ];
    for (query, schema, expected) in rows {
        assert_eq!(
            holds("is_valid", &[query, schema]),
            expected,
            "{query} {schema}"
        );
    }
}
