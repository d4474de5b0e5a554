use super::*;

#[test]
fn parts_of_urls() {
    check(&[
        (
            r#"urlquery.encode("a b&c=d/é+~*")"#,
            json!("a+b%26c%3Dd%2F%C3%A9%2B~%2A"),
        ),
        (r#"urlquery.encode("")"#, json!("")),
        (r#"urlquery.decode("a+b%26c%3dd")"#, json!("a b&c=d")),
        (r#"urlquery.decode("a;b&c=d%25")"#, json!("a;b&c=d%")),
        (r#"urlquery.decode("%ff")"#, json!("\u{fffd}")),
        (
            r#"urlquery.encode_object({"b": "x y", "a": ["2", "1"], "s": {"q", "p"}, "e": []})"#,
            json!("a=2&a=1&b=x+y&s=p&s=q"),
        ),
        (r#"urlquery.encode_object({})"#, json!("")),
        (
            r#"urlquery.decode_object("a=1&a=2&b=%20x&c")"#,
            json!({"a": ["1", "2"], "b": [" x"], "c": [""]}),
        ),
    ]);
    check_undefined(&[
        r#"urlquery.decode("%zz")"#,
        r#"urlquery.decode("%")"#,
        r#"urlquery.decode("%4")"#,
        r#"urlquery.decode("%é")"#,
        r#"urlquery.decode("%4%41")"#,
        r#"urlquery.decode_object("a;b")"#,
        r#"urlquery.decode_object("a=%zz")"#,
        r#"urlquery.encode_object({"a": 1})"#,
        r#"urlquery.encode_object({1: "a"})"#,
        r#"urlquery.encode_object({"a": [1]})"#,
        r#"urlquery.encode(1)"#,
    ]);
}
