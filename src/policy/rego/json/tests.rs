use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Value, String> {
    parse(text.as_bytes()).map_err(|error| error.message)
}

/// The JSON text of a number that was read.
fn shown(text: &str) -> String {
    match read(text) {
        Ok(Value::Number(number)) if number.is_integer() => number.format_decimal(),
        Ok(value) => serde_json::to_string(&value).unwrap(),
        Err(why) => panic!("{text}: {why}"),
    }
}

#[test]
fn documents() {
    let rows = [
        (" null ", json!(null)),
        ("\t{}\r\n", json!({})),
        ("[ ]", json!([])),
        ("[[], {}, [1, [2]], true]", json!([[], {}, [1, [2]], true])),
        (
            "{\"a\": {\"b\": [1, {\"c\": false}]}, \"d\": \"e\"}",
            json!({"a": {"b": [1, {"c": false}]}, "d": "e"}),
        ),
        // Rule: of members with one name the last counts.
        ("{\"a\": 1, \"b\": 2, \"a\": 3}", json!({"a": 3, "b": 2})),
        (
            "\"\\u00e9\\ud83d\\ude00\\n\\\"\\/\"",
            json!("\u{e9}\u{1f600}\n\"/"),
        ),
        // Surrogates that are no pair.
        (
            "[\"\\ud800x\", \"\\udc00\", \"\\ud800\\ud83d\\ude00\", \"\\ud800\\u0041\"]",
            json!(["\u{fffd}x", "\u{fffd}", "\u{fffd}\u{1f600}", "\u{fffd}A"]),
        ),
        ("\"\u{7f}\u{feff}\"", json!("\u{7f}\u{feff}")),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text), Ok(Value::from(expected)), "{text}");
    }
    let bytes = b"{\"a\": \"\xff\xfe\", \"\xc3\": 1, \"\xe2\x82\": 2}";
    let expected = json!({"a": "\u{fffd}\u{fffd}", "\u{fffd}": 1, "\u{fffd}\u{fffd}": 2});
    assert_eq!(parse(bytes), Ok(Value::from(expected)));
}

#[test]
fn what_is_no_document() {
    let rows = [
        ("", "EOF"),
        (" \n", "EOF"),
        ("{\"a\":", "unexpected EOF"),
        ("[1", "unexpected EOF"),
        ("\"a", "unexpected EOF"),
        (
            "\u{feff}1",
            "invalid character '\\ufeff' looking for beginning of value",
        ),
        (
            "{\"a\":1,}",
            "invalid character '}' looking for beginning of object key string",
        ),
        (
            "{a:1}",
            "invalid character 'a' looking for beginning of object key string",
        ),
        (
            "[1,]",
            "invalid character ']' looking for beginning of value",
        ),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        (
            "{\"a\": 0x10}",
            "invalid character 'x' after object key:value pair",
        ),
        ("[1 2]", "invalid character '2' after array element"),
        (
            "{\"a\":1} {}",
            "error: invalid character '{' after top-level value",
        ),
        ("tru", "unexpected EOF"),
        (
            "nul1",
            "invalid character '1' in literal null (expecting 'l')",
        ),
        (
            "NaN",
            "invalid character 'N' looking for beginning of value",
        ),
        (".5", "invalid character '.' looking for beginning of value"),
        ("+1", "invalid character '+' looking for beginning of value"),
        ("-x", "invalid character 'x' in numeric literal"),
        (
            "1.x",
            "invalid character 'x' after decimal point in numeric literal",
        ),
        (
            "1e+x",
            "invalid character 'x' in exponent of numeric literal",
        ),
        ("01", "error: invalid character '1' after top-level value"),
        (
            "'a'",
            "invalid character '\\'' looking for beginning of value",
        ),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        (
            "\"\\u12g4\"",
            "invalid character 'g' in \\u hexadecimal character escape",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text), Err(expected.to_owned()), "{text}");
    }
    let error = parse(b"{\n  \"a\": 1,\n  x\n}").unwrap_err();
    assert_eq!((error.row, error.col), (3, 3));
    assert!(parse(b"\xff\xfe{").is_err());
}

#[test]
fn numbers_are_exact_or_bounded() {
    let long = "123456789".repeat(45);
    let rows = [
        ("0", "0"),
        ("-0", "0"),
        ("-7", "-7"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        (&long, &long),
        ("1e3", "1000"),
        ("1.50e1", "15"),
        ("12.5e1", "125"),
        ("0.5e2", "50"),
        ("0.005e3", "5"),
        ("1e22", "10000000000000000000000"),
        ("0e999999999999", "0"),
        ("-0.0", "0"),
        (
            "123456789012345678901234567890.0",
            "123456789012345678901234567890",
        ),
        ("0.1", "0.1"),
        ("1e-7", "1e-7"),
        // What is not zero stays so.
        ("1e-2000000", "5e-324"),
        ("-1e-99999999999999999999", "-5e-324"),
    ];
    for (text, expected) in rows {
        assert_eq!(shown(text), expected, "{text}");
    }
    let fraction = format!("1{}.5", "0".repeat(400));
    assert_eq!(read(&fraction), read(&format!("1{}", "0".repeat(400))));
    assert!(read("1e400").unwrap() > read("1e399").unwrap());
    assert!(read("[1, -1e999, 9e998]").is_ok());
}

#[test]
fn numbers_that_would_cost_too_much_are_refused() {
    let digits = "9".repeat(1_001);
    let many = format!("[{}1]", "1e900,".repeat(1_200));
    for text in [
        "1e2000000",
        "-1e2000000",
        "1e1000",
        "1e99999999999999999999",
        &digits,
        &many,
    ] {
        let why = read(text).unwrap_err();
        assert!(why.contains("digits"), "{why}");
    }
}

#[test]
fn depth() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = |depth: usize| {
            let inner = if open == "[" { "" } else { "1" };
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        let value = read(&text(MAX_DEPTH)).unwrap();
        assert_eq!(value, value.clone());
        assert_eq!(serde_json::to_string(&value).unwrap(), text(MAX_DEPTH));
        for beyond in [MAX_DEPTH + 1, 1_000_000] {
            let why = read(&text(beyond)).unwrap_err();
            assert_eq!(why, "exceeded max depth");
        }
    }
    assert_eq!(
        read(&"[".repeat(MAX_DEPTH)),
        Err("unexpected EOF".to_owned())
    );
}

#[test]
fn equal_texts_of_long_documents_are_stored_once() {
    let value = read(&format!("[{}null]", "{\"name\": \"x\"}, ".repeat(1_000))).unwrap();
    let items = value.as_array().unwrap();
    let text = |at: usize| {
        let (key, value) = items[at].as_object().unwrap().iter().next().unwrap();
        (
            key.as_string().unwrap().as_ptr(),
            value.as_string().unwrap().as_ptr(),
        )
    };
    assert_eq!(text(0), text(1));
}

/// The form that signatures are over: content in one way, numbers as they are written.
#[test]
fn documents_have_one_canonical_form() {
    let rows = [
        (" { \"b\" : 1.50 , \"a\" : [ ] } ", "{\"a\":[],\"b\":1.50}"),
        (
            "[1e5, -0, 1E+2, 12345678901234567890123]",
            "[1e5,-0,1E+2,12345678901234567890123]",
        ),
        ("{\"a\": 1, \"a\": {\"x\": null}}", "{\"a\":{\"x\":null}}"),
        ("{\"\\u0061\": 1, \"a\": 2}", "{\"a\":2}"),
        (
            "{\"b\": 1, \"B\": 2, \"\": 3, \"\u{e4}\": 4, \"a/b\": 5}",
            "{\"\":3,\"B\":2,\"a/b\":5,\"b\":1,\"\u{e4}\":4}",
        ),
        ("\"<>&\\/ \\u003c\\u00e4\"", "\"<>&/ <\u{e4}\""),
        (
            "\"\\u0000\\u001f\\u007f\\b\\f\\n\\r\\t\\\\\\\"\"",
            "\"\\u0000\\u001f\u{7f}\\b\\f\\n\\r\\t\\\\\\\"\"",
        ),
        (
            "\"\\u2028\\u2029\\ud83d\\ude00\\ud83d\"",
            "\"\\u2028\\u2029\u{1f600}\u{fffd}\"",
        ),
        ("true", "true"),
    ];
    for (json, expected) in rows {
        let form = canonical(json.as_bytes()).unwrap();
        assert_eq!(form, expected, "{json}");
        // It says the same, and is its own form.
        assert_eq!(canonical(form.as_bytes()).unwrap(), form);
        assert_eq!(parse(form.as_bytes()), parse(json.as_bytes()));
    }
    for bad in ["", "{", "[1,]", "{\"a\" 1}", "01", "\"\n\"", "1 2", "nul"] {
        assert!(canonical(bad.as_bytes()).is_err(), "{bad}");
    }
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    assert_eq!(canonical(deep.as_bytes()).unwrap(), deep);
    // What was YAML has its numbers as Go writes them.
    let value = serde_json::json!({"b": [1.0, 0.5, 1e21, 1e-7, 3, -2], "a": "<x>"});
    assert_eq!(
        canonical_value(&value),
        "{\"a\":\"<x>\",\"b\":[1,0.5,1e+21,1e-7,3,-2]}"
    );
}

#[test]
fn memory_is_asked_for_before_values_are_made() {
    let asked_for = |json: &str| {
        let mut asked = 0;
        let take = &mut |bytes| {
            asked += bytes;
            true
        };
        assert!(parse_within(json.as_bytes(), take).is_ok());
        asked
    };
    let repeated = |part: &str| format!("[{}1]", format!("{part},").repeat(100_000));
    // What a few bytes become in memory.
    for (part, least) in [
        ("1", 24),
        ("[1]", 80),
        (r#"{"a":1}"#, 600),
        (r#""abcdefghijklmnopqrstuvwxyz""#, 60),
    ] {
        let asked = asked_for(&repeated(part));
        assert!(asked >= least * 100_000, "{part}: {asked}");
        assert!(asked < 3 * least * 100_000, "{part}: {asked}");
    }
    let text = format!("[\"{}\"]", "a".repeat(1 << 20));
    assert!(asked_for(&text) >= 1 << 20);
    // A document of which no more is wanted ends there.
    let mut asked = 0;
    let take = &mut |bytes| {
        asked += bytes;
        asked < 1 << 20
    };
    assert!(parse_within(repeated("1").as_bytes(), take).is_err());
    assert!(asked < 2 << 20, "{asked}");
}
