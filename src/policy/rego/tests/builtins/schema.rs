use super::*;

/// The type, field and text of each error.
fn errors(document: &str, schema: &str) -> Vec<String> {
    let call = format!(
        "json.match_schema({}, {})",
        quoted(document),
        quoted(schema)
    );
    let matched = result(&call).unwrap();
    let errors = matched[1].as_array().unwrap();
    assert_eq!(matched[0], json!(errors.is_empty()), "{call}");
    let line = |error: &Json| {
        let text = |name| error[name].as_str().unwrap();
        assert_eq!(
            text("error"),
            format!("{}: {}", text("field"), text("desc"))
        );
        format!("{} {}", text("type"), text("error"))
    };
    errors.iter().map(line).collect()
}

#[test]
fn documents_and_schemas() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            r#"{"id": "x"}"#,
            r#"{"properties": {"id": {"type": "integer"}}, "required": ["id", "name"]}"#,
            &[
                "required (root): name is required",
                "invalid_type id: Invalid type. Expected: integer, given: string",
            ],
        ),
        ("1.0", r#"{"type": "integer"}"#, &[]),
        (
            "1.5",
            r#"{"type": ["integer", "null"]}"#,
            &["invalid_type (root): Invalid type. Expected: [integer,null], given: number"],
        ),
        (
            "[1, \"a\"]",
            r#"{"items": {"type": "string"}}"#,
            &["invalid_type 0: Invalid type. Expected: string, given: integer"],
        ),
        (
            "[1, 2]",
            r#"{"items": [{}], "additionalItems": false}"#,
            &["array_no_additional_items (root): No additional items allowed on array"],
        ),
        (
            "[1, 1.0]",
            r#"{"uniqueItems": true, "minItems": 3, "maxItems": 1}"#,
            &[
                "array_min_items (root): Array must have at least 3 items",
                "array_max_items (root): Array must have at most 1 items",
                "unique (root): array items[0,1] must be unique",
            ],
        ),
        (
            "[1]",
            r#"{"contains": {"const": 2}}"#,
            &[
                "contains (root): At least one of the items must match",
                "const 0: 0 does not match: 2",
            ],
        ),
        (
            "{\"a\": 1, \"xb\": 2}",
            r#"{"additionalProperties": false, "patternProperties": {"^x": {"minimum": 3}}}"#,
            &[
                "additional_property_not_allowed (root): Additional property a is not allowed",
                "number_gte xb: Must be greater than or equal to 3",
            ],
        ),
        (
            "{\"a\": {\"b\": [0]}}",
            r#"{"properties": {"a": {"properties": {"b": {"items": {"exclusiveMinimum": 0}}}}}}"#,
            &["number_gt a.b.0: Must be greater than 0"],
        ),
        (
            "{\"a\": 1}",
            r#"{"minProperties": 2, "propertyNames": {"minLength": 2}, "dependencies": {"a": ["b"]}}"#,
            &[
                "missing_dependency (root): Has a dependency on b",
                "array_min_properties (root): Must have at least 2 properties",
                "invalid_property_name (root): Property name of \"a\" does not match",
                "string_gte (root): String length must be greater than or equal to 2",
            ],
        ),
        (
            "10",
            r#"{"maximum": 5, "multipleOf": 3}"#,
            &[
                "multiple_of (root): Must be a multiple of 3",
                "number_lte (root): Must be less than or equal to 5",
            ],
        ),
        ("0.3", r#"{"multipleOf": 0.1}"#, &[]),
        (
            "5",
            r#"{"maximum": 5, "exclusiveMaximum": true}"#,
            &["number_lt (root): Must be less than 5"],
        ),
        (
            "\"abc\"",
            r#"{"maxLength": 2, "pattern": "^\\d+$", "enum": ["x", 1]}"#,
            &[
                "enum (root): (root) must be one of the following: \"x\", 1",
                "string_lte (root): String length must be less than or equal to 2",
                "pattern (root): Does not match pattern '^\\d+$'",
            ],
        ),
        (
            "1",
            r#"{"anyOf": [{"type": "string"}, {"minimum": 2}]}"#,
            &[
                "number_any_of (root): Must validate at least one schema (anyOf)",
                "number_gte (root): Must be greater than or equal to 2",
            ],
        ),
        (
            "3",
            r#"{"oneOf": [{"minimum": 1}, {"minimum": 2}]}"#,
            &["number_one_of (root): Must validate one and only one schema (oneOf)"],
        ),
        (
            "3",
            r#"{"allOf": [{"minimum": 5}], "not": {"type": "number"}}"#,
            &[
                "number_gte (root): Must be greater than or equal to 5",
                "number_all_of (root): Must validate all the schemas (allOf)",
                "number_not (root): Must not validate the schema (not)",
            ],
        ),
        (
            "3",
            r#"{"if": {"minimum": 1}, "then": {"maximum": 2}, "else": false}"#,
            &[
                "condition_then (root): Must validate \"then\" as \"if\" was valid",
                "number_lte (root): Must be less than or equal to 2",
            ],
        ),
        (
            "{\"a\": 1}",
            r#"{"properties": {"a": false}}"#,
            &["false a: False always fails validation"],
        ),
        (
            "{\"a\": {\"a\": 1}}",
            r##"{"properties": {"a": {"$ref": "#/definitions/o"}}, "definitions": {"o": {"type": "object", "properties": {"a": {"$ref": "#/definitions/o"}}}}}"##,
            &["invalid_type a.a: Invalid type. Expected: object, given: integer"],
        ),
        (
            "1",
            r##"{"$id": "http://x/y", "definitions": {"s": {"$id": "#s", "type": "string"}}, "allOf": [{"$ref": "#s"}]}"##,
            &[
                "invalid_type (root): Invalid type. Expected: string, given: integer",
                "number_all_of (root): Must validate all the schemas (allOf)",
            ],
        ),
        (
            "null",
            r#"{"type": "object"}"#,
            &["invalid_type (root): Invalid type. Expected: object, given: null"],
        ),
    ];
    for (document, schema, expected) in rows {
        let document = match *document {
            object if object.starts_with(['{', '[']) => object.to_owned(),
            // A string is JSON's text.
            scalar => scalar.to_owned(),
        };
        assert_eq!(errors(&document, schema), *expected, "{document} {schema}");
    }
    check(&[(
        r#"json.match_schema({"id": {1, 2}}, {"properties": {"id": {"type": "array"}}})"#,
        json!([true, []]),
    )]);
    check_undefined(&[
        r#"json.match_schema({"id": 1}, {"type": "unknown"})"#,
        r#"json.match_schema({"id": 1}, "{")"#,
        r#"json.match_schema("{", {})"#,
        "json.match_schema(1, {})",
        "json.match_schema({}, 1)",
    ]);
}

#[test]
fn formats() {
    let rows = [
        ("date", "2024-02-29", "2023-02-29"),
        ("time", "03:04:05Z", "25:00:00"),
        (
            "date-time",
            "2024-01-02T03:04:05.6+01:00",
            "2024-01-02 03:04:05",
        ),
        ("hostname", "a-b.example", "-a.example"),
        ("email", "Al <al@example.com>", "al@"),
        ("ipv4", "10.0.0.1", "10.0.0.01"),
        ("ipv6", "::1", "10.0.0.1"),
        ("uri", "http://h:1/a%20b?q#f", "/a"),
        ("uri", "mailto:a@b", "http://[::1"),
        ("uri-reference", "/a?b", "a:b:/%zz\u{7f}"),
        ("uri-template", "/a/{b}", "/a/{b"),
        ("uuid", "6BA7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810"),
        ("regex", "^a+$", "("),
        ("json-pointer", "/a/~0b", "a"),
        ("relative-json-pointer", "1/a", "/a"),
        ("json-pointer", "", "/~2"),
        ("relative-json-pointer", "0#", "01"),
    ];
    for (format, good, bad) in rows {
        let schema = format!("{{\"format\": {}}}", quoted(format));
        assert!(errors(&quoted(good), &schema).is_empty(), "{format} {good}");
        assert_eq!(
            errors(&quoted(bad), &schema),
            [format!("format (root): Does not match format '{format}'")],
            "{bad}"
        );
    }
    assert!(errors("1", r#"{"format": "date"}"#).is_empty());
    assert!(errors("\"x\"", r#"{"format": "other"}"#).is_empty());
}

#[test]
fn schemas_that_are_none() {
    let rows = [
        (
            r#"{"type": "unknown"}"#,
            "has a primitive type that is NOT VALID -- given: /unknown/ Expected valid values are:[array boolean integer number null object string]",
        ),
        (
            r#"{"type": ["string", "string"]}"#,
            "string type is duplicated",
        ),
        (
            r#"{"type": 1}"#,
            "Invalid type. Expected: type, given: string/array of strings",
        ),
        ("[]", "schema is invalid"),
        ("{", "invalid JSON string"),
        (r#"{"properties": 1}"#, "properties must be of type object"),
        (
            r#"{"properties": {"a": 1}}"#,
            "Expected: schema, given: Invalid JSON",
        ),
        (r#"{"required": "a"}"#, "required must be of an array"),
        (
            r#"{"required": ["a", "a"]}"#,
            "required items must be unique",
        ),
        (
            r#"{"minLength": -1}"#,
            "minLength must be greater than or equal to 0",
        ),
        (r#"{"minLength": 1.5}"#, "minLength must be of an integer"),
        (
            r#"{"minLength": 2, "maxLength": 1}"#,
            "minLength cannot be greater than maxLength",
        ),
        (
            r#"{"multipleOf": 0}"#,
            "multipleOf must be strictly greater than 0",
        ),
        (r#"{"maximum": "1"}"#, "maximum must be of a number"),
        (
            r#"{"exclusiveMinimum": true}"#,
            "exclusiveMinimum cannot be used without minimum",
        ),
        (r#"{"pattern": "("}"#, "pattern must be a valid regex"),
        (
            r#"{"patternProperties": {"(": {}}}"#,
            "Invalid regex pattern '('",
        ),
        (r#"{"enum": [1, 1]}"#, "enum items must be unique"),
        (
            r##"{"$ref": "#/definitions/x"}"##,
            "Object has no key 'definitions'",
        ),
        (r#"{"$schema": 1}"#, "$schema must be of type string"),
        (r#"{"not": 1}"#, "not must be of an object"),
        (
            r#"{"items": 1}"#,
            "Invalid type. Expected: schema/array of schemas, given: items",
        ),
    ];
    for (schema, why) in rows {
        let call = format!("json.verify_schema({})", quoted(schema));
        let expected = json!([false, format!("jsonschema: {why}")]);
        assert_eq!(result(&call), Some(expected), "{schema}");
    }
    check(&[
        (
            r#"json.verify_schema({"type": "boolean"})"#,
            json!([true, null]),
        ),
        ("json.verify_schema(\"true\")", json!([true, null])),
        (
            "json.verify_schema(1)",
            json!([false, "jsonschema: wrong type, expected string or object"]),
        ),
        // What is elsewhere is not fetched.
        (
            r#"json.verify_schema({"$ref": "http://example.com/s"})[0]"#,
            json!(false),
        ),
        (
            r#"json.verify_schema({"$schema": "http://json-schema.org/draft-04/schema#", "const": 1, "additionalProperties": false})"#,
            json!([true, null]),
        ),
    ]);
}

#[test]
fn schemas_that_take_too_long() {
    let nested = format!("{}1{}", "{\"not\":".repeat(200), "}".repeat(200));
    let many: Vec<_> = (0..12_000).map(|_| "{}").collect();
    let many = format!("{{\"anyOf\": [{}]}}", many.join(","));
    for schema in [nested, many] {
        let call = format!("json.verify_schema({})", quoted(&schema));
        let outcome = call_or_error(&call);
        assert!(
            outcome.contains("refused") || outcome.contains("invalid"),
            "{outcome}"
        );
    }
    // Each level doubles what is to be done.
    let doubling: Vec<_> = (0..30)
        .map(|at| {
            let next = format!("{{\"$ref\": \"#/definitions/d{}\"}}", at + 1);
            format!("\"d{at}\": {{\"allOf\": [{next}, {next}]}}")
        })
        .collect();
    let schema = format!(
        "{{\"$ref\": \"#/definitions/d0\", \"definitions\": {{{}, \"d30\": {{}}}}}}",
        doubling.join(", ")
    );
    let why = refusal(&format!("json.match_schema({{}}, {})", quoted(&schema)));
    assert!(why.contains("refused"), "{why}");
    let endless =
        r##"{"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}}"##;
    let why = refusal(&format!("json.match_schema({{}}, {})", quoted(endless)));
    assert!(why.contains("refused"), "{why}");
}

fn call_or_error(expression: &str) -> String {
    match call(expression) {
        Ok(value) => value.to_string(),
        Err(error) => error,
    }
}

#[test]
fn complaints_are_bounded_in_bytes() {
    let document = format!("{{\"{}\": [{}0]}}", "k".repeat(100_000), "0,".repeat(5_000));
    let schema = r#"{"additionalProperties": {"items": {"type": "string"}}}"#;
    let call = format!(
        "json.match_schema({}, {})",
        quoted(&document),
        quoted(schema)
    );
    let why = refusal(&call);
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn whole_numbers_are_not_rounded() {
    let call = |document: &str| {
        let schema = r#"{"properties": {"id": {"const": 18446744073709551615}}}"#;
        format!("json.match_schema({document}, {schema})[0]")
    };
    check(&[
        (&call(r#"{"id": 18446744073709551615}"#), json!(true)),
        (&call(r#"{"id": 18446744073709551614}"#), json!(false)),
        (&call(r#"{"id": 1e20, "x": 0.1}"#), json!(false)),
    ]);
    for document in [
        r#"{"id": 100000000000000000000001}"#,
        r#"{"id": [-100000000000000000000001]}"#,
        r#""{\"id\": 100000000000000000000001}""#,
    ] {
        let why = refusal(&call(document));
        assert!(why.contains("refused"), "{document}: {why}");
    }
}
