use super::*;

mod asked;
mod queries;
mod schemas;

fn holds(function: &str, texts: &[&str]) -> bool {
    let arguments: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    let call = format!("graphql.{function}({})", arguments.join(", "));
    result(&call).unwrap().as_bool().unwrap()
}

fn parsed(function: &str, text: &str) -> Option<Json> {
    result(&format!("graphql.{function}({})", quoted(text)))
}

#[test]
fn both_documents_at_once() {
    let schema = "type Query {a: Int}";
    let query_object = parsed("parse_query", "{a}").unwrap();
    let schema_object = parsed("parse_schema", schema).unwrap();
    let call = |function: &str, query: &str, schema: &str| {
        result(&format!("graphql.{function}({query}, {schema})"))
    };
    let (query, schema) = (quoted("{a}"), quoted(schema));
    let objects = (query_object.to_string(), schema_object.to_string());
    for (query, schema) in [
        (&query, &schema),
        (&objects.0, &schema),
        (&objects.0, &objects.1),
    ] {
        assert_eq!(
            call("parse", query, schema),
            Some(json!([query_object, schema_object]))
        );
        assert_eq!(
            call("parse_and_verify", query, schema),
            Some(json!([true, query_object, schema_object]))
        );
        assert_eq!(call("is_valid", query, schema), Some(json!(true)));
    }
    let nothing = json!([false, {}, {}]);
    for (query, schema) in [
        (quoted("{b}"), &schema),
        (quoted("{"), &schema),
        (query.clone(), &quoted("{")),
        (query.clone(), &quoted("type Query {a: Missing}")),
        ("1".to_owned(), &schema),
        (query.clone(), &"null".to_owned()),
    ] {
        assert_eq!(call("parse", &query, schema), None, "{query} {schema}");
        assert_eq!(
            call("parse_and_verify", &query, schema).as_ref(),
            Some(&nothing)
        );
        assert_eq!(call("is_valid", &query, schema), Some(json!(false)));
    }
}

#[test]
fn objects_are_read_as_go_reads_them() {
    let schema = quoted("type Query {a(b: Int): Int}");
    let valid = |selections: &str| {
        let query = format!(r#"{{"Operations": [{{"SelectionSet": {selections}}}]}}"#);
        result(&format!("graphql.is_valid({query}, {schema})")).unwrap() == json!(true)
    };
    for selections in [
        r#"[{"Name": "a"}]"#,
        r#"[{"Name": "a", "other": 1, "Alias": null, "Directives": []}]"#,
        r#"[{"Name": "a", "Arguments": [{"name": "b", "VALUE": {"kind": 1, "raw": "1"}}]}]"#,
        // What is no selection is passed over.
        r#"[{"Name": "a"}, 1, "a", [], {"Name": 1}]"#,
        r#"{{"Name": "a"}}"#,
    ] {
        assert!(valid(selections), "{selections}");
    }
    for selections in [
        r#"[{"Name": "a"}, null]"#,
        r#"[{"Name": "a", "Arguments": [null]}]"#,
        // Selections have their names as they are.
        r#"[{"name": "a"}]"#,
        r#"[{"Name": "b"}]"#,
        // Fragments are read as fields.
        r#"[{"TypeCondition": "Query", "SelectionSet": [{"Name": "a"}]}]"#,
        r#"[{"Name": "a", "SelectionSet": [{"Name": "a"}]}]"#,
        r#"[{"Name": "a", "Arguments": [{"Name": "b"}]}]"#,
        r#"[{"Name": "a", "Arguments": [{"Name": "b", "Value": {"Kind": 10}}]}]"#,
        r#"[{"Name": "a", "Arguments": [{"Name": "b", "Value": {"Kind": 1, "Raw": "x"}}]}]"#,
        r#"[{"Name": "a", "Arguments": [{"Name": "b", "Value": {"Kind": 3, "Raw": "1"}}]}]"#,
        "1",
    ] {
        assert!(!valid(selections), "{selections}");
    }
    let query = r#"{"Name": "a"}"#;
    for document in [
        format!(r#"{{"Operations": [{{"Operation": "other", "SelectionSet": [{query}]}}]}}"#),
        format!(r#"{{"Operations": [{{"Name": 1, "SelectionSet": [{query}]}}]}}"#),
        // What is no field, but could be a spread, is not one if it lacks something.
        format!(
            r#"{{"Operations": [{{"SelectionSet": [{{"Name": "F", "Arguments": [{{}}]}}]}}],
            "Fragments": [{{"Name": "F", "TypeCondition": "Query", "SelectionSet": [{query}]}}]}}"#
        ),
        r#"{"Operations": [null]}"#.to_owned(),
        r#"{"Operations": {}}"#.to_owned(),
        r#"{"operations": [{"SelectionSet": [{"Name": "b"}]}]}"#.to_owned(),
        r#"{"Fragments": [{"Name": "F"}]}"#.to_owned(),
    ] {
        let call = format!("graphql.is_valid({document}, {schema})");
        assert_eq!(result(&call), Some(json!(false)), "{document}");
    }
    for (document, expected) in [
        ("{}", true),
        (r#"{"Definitions": null}"#, true),
        (
            r#"{"Definitions": [{"Kind": "SCALAR", "Name": "A"}]}"#,
            true,
        ),
        (
            r#"{"definitions": [{"kind": "SCALAR", "name": "Int"}]}"#,
            false,
        ),
        (
            r#"{"Definitions": [{"Kind": "OTHER", "Name": "A"}]}"#,
            false,
        ),
        (r#"{"Definitions": [{"Name": "A"}]}"#, false),
        (
            r#"{"Definitions": [{"Kind": "SCALAR", "Name": "__A"}]}"#,
            false,
        ),
        (
            r#"{"Definitions": [{"Kind": "SCALAR", "Name": "__A", "BuiltIn": true}]}"#,
            true,
        ),
        (
            r#"{"Definitions": [{"Kind": "OBJECT", "Name": "A", "Fields": [{"Name": "a"}]}]}"#,
            false,
        ),
        (
            r#"{"Schema": [{"OperationTypes": [{"Operation": "query", "Type": "Int"}]}]}"#,
            true,
        ),
        (r#"{"Schema": [{"Directives": [{"Name": "skip"}]}]}"#, false),
    ] {
        let call = format!("graphql.schema_is_valid({document})");
        assert_eq!(result(&call), Some(json!(expected)), "{document}");
    }
}

#[test]
fn what_costs_too_much_is_refused() {
    let nested = |open: &str, close: &str, count| open.repeat(count) + &close.repeat(count);
    let call = |function: &str, text: &str| format!("graphql.{function}({})", quoted(text));
    let deep = |count| format!("{{a(b: {})}}", nested("[", "]", count));
    let counted = format!("count({})", call("parse_query", &deep(90)));
    assert_eq!(result(&counted), Some(json!(1)));
    for text in [
        deep(200),
        nested("{a", "}", 100_000),
        format!("query ($a: {}", "[".repeat(100_000)),
        format!("{{{}}}", "a ".repeat(200_000)),
        "#\n".repeat(200_000),
    ] {
        assert!(refusal(&call("parse_query", &text)).contains("refused"));
    }
    // What is read is not deeper than what can be checked.
    let read = format!("graphql.is_valid({}, ``)", call("parse_query", &deep(90)));
    assert_eq!(result(&read), Some(json!(false)));
    let scalar = format!("scalar S {}", "@a".repeat(300_000));
    assert!(refusal(&call("schema_is_valid", &scalar)).contains("refused"));
    // Six megabytes of comments.
    let long = format!(
        "concat({}, [`#`, ``, ``, ``, ``, ``, ``])",
        quoted(&"#".repeat(1 << 19))
    );
    let long = format!("graphql.parse_query(concat({long}, [``, ``, ``]))");
    assert!(refusal(&long).contains("refused"));
}

/// Fragments as a chain; introspection that goes into fragments twice at each step; fields of one
/// name.
#[test]
fn fragments_that_grow_are_refused() {
    let schema = "type Query {a: Query b(c: Int): Int}";
    let chain = |length: usize, kind: &str, leaf: &str, spread: &dyn Fn(usize) -> String| {
        let fragment = |index| format!("fragment F{index} on {kind} {{{}}} ", spread(index + 1));
        let fragments: String = (0..length).map(fragment).collect();
        format!("{fragments} fragment F{length} on {kind} {{{leaf}}}")
    };
    let once = |next| format!("a {{...F{next}}}");
    let twice = |next| format!("a {{...F{next}}} a {{...F{next}}} x: a {{...F{next}}}");
    for query in [
        format!("{{...F0}} {}", chain(50, "Query", "b", &once)),
        // Equal ones are compared once.
        format!("{{...F0}} {}", chain(50, "Query", "b", &twice)),
    ] {
        assert!(holds("is_valid", &[&query, schema]), "{query}");
    }
    let types = |next| format!("a: ofType {{...F{next}}} b: ofType {{...F{next}}}");
    let introspection = chain(60, "__Type", "name", &types);
    for query in [
        format!("{{...F0}} {}", chain(2_000, "Query", "b", &once)),
        format!("{{__schema {{types {{...F0}}}}}} {introspection}"),
        format!("{{{}}}", "b ".repeat(5_000)),
    ] {
        let call = format!("graphql.is_valid({}, {})", quoted(&query), quoted(schema));
        assert!(refusal(&call).contains("refused"));
    }
}
