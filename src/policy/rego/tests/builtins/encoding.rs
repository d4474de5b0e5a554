use super::*;

#[test]
fn base64_and_hexadecimal() {
    check(&[
        (
            r#"base64.decode("YWxpY2U6c2VjcmV0")"#,
            json!("alice:secret"),
        ),
        (r#"base64.decode("YWxp\r\nY2U=")"#, json!("alice")),
        (r#"base64.decode("YR==")"#, json!("a")),
        (r#"base64.decode("4oI=")"#, json!("\u{fffd}\u{fffd}")),
        (r#"base64.is_valid("YWxp\nY2U=")"#, json!(true)),
        (r#"base64.is_valid("YWxpY2U")"#, json!(false)),
        ("base64.is_valid(1)", json!(false)),
        (r#"base64url.decode("YT8-")"#, json!("a?>")),
        (r#"base64url.decode("YWI=")"#, json!("ab")),
        (r#"base64url.decode("YWI")"#, json!("ab")),
        (r#"hex.decode("6162C3a9")"#, json!("abé")),
        (r#"hex.decode("")"#, json!("")),
    ]);
    check_undefined(&[
        r#"base64.decode("YWxpY2U")"#,
        r#"base64.decode("YWxp Y2U=")"#,
        r#"base64.decode("_-8=")"#,
        r#"base64url.decode("YWJjZ")"#,
        r#"base64url.decode("YT8+")"#,
        r#"hex.decode("abc")"#,
        r#"hex.decode("xy")"#,
    ]);
}

#[test]
fn json_as_go_writes_it() {
    check(&[
        (
            r#"json.marshal({"b": "<a>&\u2028", "a": [{2, 1}, null, "\"\\\b\f\n\r\t\u0001é"]})"#,
            json!(
                "{\"a\":[[1,2],null,\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001é\"],\"b\":\"\\u003ca\\u003e\\u0026\\u2028\"}"
            ),
        ),
        (
            r#"json.marshal({1: "x", true: "y", [1]: "z"})"#,
            json!(r#"{"1":"x","[1]":"z","true":"y"}"#),
        ),
        (
            r#"json.marshal_with_options({"a": [1, []], "b": {}}, {"indent": " ", "prefix": ">"})"#,
            json!(">{\n> \"a\": [\n>  1,\n>  []\n> ],\n> \"b\": {}\n>}"),
        ),
        (
            r#"json.marshal_with_options([1], {"pretty": true})"#,
            json!("[\n\t1\n]"),
        ),
        (
            r#"json.marshal_with_options([1], {"pretty": false, "indent": " "})"#,
            json!("[1]"),
        ),
        ("json.marshal_with_options([1], {})", json!("[1]")),
        (r#"json.is_valid("{\"a\": 1e400}")"#, json!(true)),
        (r#"json.is_valid("{")"#, json!(false)),
        ("json.is_valid({})", json!(false)),
        ("yaml.is_valid(1)", json!(false)),
        (r#"yaml.is_valid("a: [")"#, json!(false)),
        (r#"yaml.is_valid("a: 1")"#, json!(true)),
    ]);
    check_undefined(&[
        r#"json.marshal_with_options(1, {"pretty": 1})"#,
        r#"json.marshal_with_options(1, {"other": "x"})"#,
        r#"json.marshal_with_options(1, "x")"#,
    ]);
}
