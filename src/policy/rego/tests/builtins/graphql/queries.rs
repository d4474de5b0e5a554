//! Queries, read.

use super::*;

/// A query with one field `f` with this after it.
fn field(rest: &Json) -> Json {
    let mut field = json!({"Alias": "f", "Name": "f"});
    field
        .as_object_mut()
        .unwrap()
        .extend(rest.as_object().unwrap().clone());
    json!({"Operations": [{"Operation": "query", "Name": "", "SelectionSet": [field]}]})
}

/// A value of an argument `a`, as text and as an object.
fn check_value(text: &str, kind: u8, raw: &str) {
    let value = json!({"Kind": kind, "Raw": raw, "ExpectedTypeHasDefault": false});
    let expected = field(&json!({"Arguments": [{"Name": "a", "Value": value}]}));
    let query = format!("{{ f(a: {text}) }}");
    assert_eq!(parsed("parse_query", &query), Some(expected), "{text}");
}

#[test]
fn values_of_queries() {
    check_value("$x", 0, "x");
    check_value("-0", 1, "-0");
    check_value("120", 1, "120");
    check_value("0.10", 2, "0.10");
    check_value("1e5", 2, "1e5");
    check_value("-1.5E-3", 2, "-1.5E-3");
    check_value("true", 5, "true");
    check_value("null", 6, "null");
    check_value("nulls", 7, "nulls");
    check_value(r#""""#, 3, "");
    check_value(
        r#""a\"\\\/\b\f\n\r\té\u00e9\ud800""#,
        3,
        "a\"\\/\u{8}\u{c}\n\r\té\u{e9}\u{fffd}",
    );
    check_value(r#""""""""#, 4, "");
    check_value(r#"""" a " \""" \n """"#, 4, r#" a " """ \n "#);
    check_value(
        "\"\"\"\n    a\r\n      b\r\t\r    c\n\n\"\"\"",
        4,
        "a\n  b\n\nc",
    );
    check_value("\"\"\"a\n  b\"\"\"", 4, "a\n  b");
}

#[test]
fn values_that_are_none() {
    for text in [
        "",
        "00",
        "01",
        "-",
        "-a",
        "1.",
        "1.a",
        ".5",
        "1e",
        "1e+",
        "+1",
        "'a'",
        "\"a",
        "\"a\nb\"",
        "\"\u{7}\"",
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\"#,
        r#""""a"#,
        "\"\"\"\u{7}\"\"\"",
        "$",
        "$1",
        "[",
        "[1",
        "{",
        "{a}",
        "{a:}",
        "{1: 1}",
        "%",
        "\u{203b}",
        "..",
    ] {
        let query = format!("{{ f(a: {text}) }}");
        assert_eq!(parsed("parse_query", &query), None, "{text}");
    }
}

#[test]
fn queries_as_objects() {
    let name = |name: &str| json!({"Alias": name, "Name": name});
    let rows = [
        ("", json!({})),
        ("# nothing", json!({})),
        ("\u{feff},{f,}", field(&json!({}))),
        ("{x: f}", field(&json!({"Alias": "x"}))),
        (
            "{f @a(b: []) @c {g}}",
            field(&json!({
                "Directives": [
                    {"Name": "a", "Location": "", "Arguments": [{
                        "Name": "b",
                        "Value": {"Kind": 8, "Raw": "", "ExpectedTypeHasDefault": false},
                    }]},
                    {"Name": "c", "Location": ""},
                ],
                "SelectionSet": [name("g")],
            })),
        ),
        // Numbers may touch names.
        (
            "{f(a:1b:2)}",
            field(&json!({"Arguments": [
                {"Name": "a", "Value": {"Kind": 1, "Raw": "1", "ExpectedTypeHasDefault": false}},
                {"Name": "b", "Value": {"Kind": 1, "Raw": "2", "ExpectedTypeHasDefault": false}},
            ]})),
        ),
        (
            "query Q($a: [[Int!]]! = 1 @d) @e {...F ... on T {g} ... @h {g} ...\"on\" T {g}}",
            json!({"Operations": [{
                "Operation": "query",
                "Name": "Q",
                "VariableDefinitions": [{
                    "Variable": "a",
                    "Used": false,
                    "Type": {"NamedType": "", "NonNull": true, "Elem": {
                        "NamedType": "", "NonNull": false, "Elem": {
                            "NamedType": "Int", "NonNull": true,
                        },
                    }},
                    "DefaultValue": {"Kind": 1, "Raw": "1", "ExpectedTypeHasDefault": false},
                    "Directives": [{"Name": "d", "Location": ""}],
                }],
                "Directives": [{"Name": "e", "Location": ""}],
                "SelectionSet": [
                    {"Name": "F"},
                    {"TypeCondition": "T", "SelectionSet": [name("g")]},
                    {
                        "TypeCondition": "",
                        "Directives": [{"Name": "h", "Location": ""}],
                        "SelectionSet": [name("g")],
                    },
                    {"TypeCondition": "T", "SelectionSet": [name("g")]},
                ],
            }]}),
        ),
        (
            "fragment F($a: Int) on T @d {g}",
            json!({"Fragments": [{
                "Name": "F",
                "TypeCondition": "T",
                "VariableDefinition": [
                    {"Variable": "a", "Used": false, "Type": {"NamedType": "Int", "NonNull": false}},
                ],
                "Directives": [{"Name": "d", "Location": ""}],
                "SelectionSet": [name("g")],
            }]}),
        ),
    ];
    for (query, expected) in rows {
        assert_eq!(parsed("parse_query", query), Some(expected), "{query}");
    }
}

#[test]
fn texts_that_are_no_queries() {
    for query in [
        "{",
        "{}",
        "{a",
        "a",
        "query",
        "query {}",
        "query Q() {a}",
        "{a()}",
        "{a {}}",
        "{a: }",
        "{a b: }",
        "{...}",
        "{...on}",
        "{... on T}",
        "{... on {a}}",
        "fragment on on T {a}",
        "fragment F T {a}",
        "fragment F on T",
        "fragment \"on\" on T {a}",
        "query ($a) {b}",
        "query ($a: [Int) {b}",
        "query ($a: Int = $b) {c}",
        "query (a: Int) {b}",
        "{a} type T {b: Int}",
        "{a}}",
        "{a @}",
        "\"a\" {b}",
        "subscription",
        "mutation M",
        "{a\u{0}}",
        "#\u{0}",
        "extend type T {a: Int}",
        "query ($a: Int!!) {b}",
    ] {
        assert_eq!(parsed("parse_query", query), None, "{query}");
    }
    check_undefined(&["graphql.parse_query(1)", "graphql.parse_query({})"]);
}

#[test]
fn comments_are_kept_with_what_follows_them() {
    let comment = |text: &str| json!({"List": [{"Value": text}]});
    let query = "#0
        query #1
        Q( #2
           #3\r\n$a: Int) { #4
           f #5
           ( #6
             a: #7
                [ #8
                  1 {#9
                     b: 2}]) @d #10
           #11
           ...F #12
        } #13";
    let number = |raw: &str| json!({"Kind": 1, "Raw": raw, "ExpectedTypeHasDefault": false});
    let expected = json!({"Operations": [{
        "Operation": "query",
        "Name": "Q",
        "Comment": comment("#0"),
        "VariableDefinitions": [{
            "Variable": "a",
            "Used": false,
            "Type": {"NamedType": "Int", "NonNull": false},
            "Comment": {"List": [{"Value": "#2"}, {"Value": "#3"}]},
        }],
        "SelectionSet": [
            {
                "Alias": "f",
                "Name": "f",
                "Comment": comment("#4"),
                "Arguments": [{
                    "Name": "a",
                    "Comment": comment("#6"),
                    "Value": {
                        "Kind": 8,
                        "Raw": "",
                        "ExpectedTypeHasDefault": false,
                        "Comment": comment("#7"),
                        "Children": [
                            {"Name": "", "Value": number("1")},
                            {"Name": "", "Value": {
                                "Kind": 9,
                                "Raw": "",
                                "ExpectedTypeHasDefault": false,
                                "Children": [
                                    {"Name": "b", "Value": number("2"), "Comment": comment("#9")},
                                ],
                            }},
                        ],
                    },
                }],
                "Directives": [{"Name": "d", "Location": ""}],
            },
            {"Name": "F", "Comment": {"List": [{"Value": "#10"}, {"Value": "#11"}]}},
        ],
    }]});
    assert_eq!(parsed("parse_query", query), Some(expected));
    let schema = "#0
        \"about\"
        #1
        type T { #2
            \"about it\" #3
            a( #4
               b: Int): Int
            #5
        }
        #6
        extend schema @d { #7
            query: T #8
        }
        #9";
    let int = json!({"NamedType": "Int", "NonNull": false});
    let expected = json!({
        "Comment": comment("#9"),
        "Definitions": [{
            "Kind": "OBJECT",
            "Name": "T",
            "Description": "about",
            "BuiltIn": false,
            "BeforeDescriptionComment": comment("#0"),
            "AfterDescriptionComment": comment("#1"),
            "EndOfDefinitionComment": comment("#5"),
            "Fields": [{
                "Name": "a",
                "Description": "about it",
                "BeforeDescriptionComment": comment("#2"),
                "AfterDescriptionComment": comment("#3"),
                "Arguments": [{
                    "Name": "b",
                    "Description": "",
                    "AfterDescriptionComment": comment("#4"),
                    "Type": int,
                }],
                "Type": int,
            }],
        }],
        "SchemaExtension": [{
            "Description": "",
            "AfterDescriptionComment": comment("#6"),
            "EndOfDefinitionComment": comment("#8"),
            "Directives": [{"Name": "d", "Location": ""}],
            "OperationTypes": [{"Operation": "query", "Type": "T", "Comment": comment("#7")}],
        }],
    });
    assert_eq!(parsed("parse_schema", schema), Some(expected));
}
