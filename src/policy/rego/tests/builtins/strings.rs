use super::*;

#[test]
fn texts_counted() {
    check(&[
        ("strings.count(\"cheese\", \"e\")", json!(3)),
        ("strings.count(\"aaaa\", \"aa\")", json!(2)),
        ("strings.count(\"dummy\", \"\")", json!(6)),
        ("strings.count(\"é\", \"\")", json!(2)),
        ("strings.count(\"\", \"\")", json!(1)),
        ("strings.count(\"\", \"x\")", json!(0)),
    ]);
    check_undefined(&["strings.count(1, \"\")", "strings.count(\"\", null)"]);
}

#[test]
fn arrays_flattened() {
    check(&[
        ("array.flatten([])", json!([])),
        (
            "array.flatten([[1, 2], \"a\", [3, [4]], {\"k\": [5]}])",
            json!([1, 2, "a", 3, [4], {"k": [5]}]),
        ),
    ]);
    check_undefined(&["array.flatten(1)", "array.flatten({1})"]);
}

#[test]
fn letters_one_by_one() {
    check(&[
        ("upper(\"straße\")", json!("STRAßE")),
        ("upper(\"\u{1fb3}\u{1f80}\")", json!("\u{1fbc}\u{1f88}")),
        ("lower(\"ÉAΣ\")", json!("éaσ")),
        ("lower(\"\u{130}\")", json!("i")),
    ]);
}

#[test]
fn parts_of_texts() {
    check(&[
        ("concat(\",\", [\"a\", \"b\"])", json!("a,b")),
        ("concat(\",\", {\"b\", \"a\"})", json!("a,b")),
        ("concat(\",\", [])", json!("")),
        ("indexof(\"héllo\", \"l\")", json!(2)),
        ("indexof(\"abc\", \"z\")", json!(-1)),
        ("indexof_n(\"aaa\", \"aa\")", json!([0, 1])),
        ("substring(\"héllo\", 1, 2)", json!("él")),
        ("substring(\"abc\", 1, -1)", json!("bc")),
        ("substring(\"abc\", 10, 2)", json!("")),
    ]);
    check_undefined(&[
        "concat(\",\", [1])",
        "concat(\",\", \"a\")",
        "indexof(\"abc\", \"\")",
        "indexof_n(\"abc\", \"\")",
        "substring(\"abc\", -1, 2)",
        "substring(\"abc\", 1.5, 2)",
        "substring(\"abc\", 1, 1.5)",
    ]);
    let why = refusal(&format!(
        "concat({}, [\"a\" | numbers.range(1, 10000)[_]])",
        quoted(&"x".repeat(10_000))
    ));
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn texts_replaced_all_at_once() {
    check(&[
        (
            "strings.replace_n({\"a\": \"b\", \"b\": \"c\"}, \"abab\")",
            json!("bcbc"),
        ),
        (
            "strings.replace_n({\"ab\": \"X\", \"a\": \"Y\"}, \"ab\")",
            json!("Yb"),
        ),
        ("strings.replace_n({\"\": \"-\"}, \"ab\")", json!("-a-b-")),
        ("strings.replace_n({}, \"ab\")", json!("ab")),
        (
            "strings.replace_n({\"\": \"-\", \"b\": \"X\", \"bc\": \"Y\"}, \"abcb\")",
            json!("-a-X-c-X-"),
        ),
        (
            "strings.replace_n({\"abc\": \"X\", \"b\": \"Y\"}, \"ababcab\")",
            json!("aYXaY"),
        ),
        (
            "strings.replace_n({\"é\": \"e\", \"\": \"\"}, \"aéa\")",
            json!("aea"),
        ),
        ("strings.replace_n({\"a\": \"\"}, \"\")", json!("")),
    ]);
    check_undefined(&[
        "strings.replace_n({1: \"b\"}, \"ab\")",
        "strings.replace_n({\"a\": 1}, \"ab\")",
        "strings.replace_n([], \"ab\")",
    ]);
}

/// It is a matter of both lengths, not of their product.
#[test]
fn many_patterns_in_a_long_text() {
    let long = r#"concat("", [PART | some i in numbers.range(1, 1000)])"#;
    let patterns = r#"{p: "" | some i in numbers.range(1, 600); p := concat("", [substring(PART, 0, i), "b"])}"#;
    let call = format!("count(strings.replace_n({patterns}, {long}))");
    let call = call.replace("PART", &quoted(&"a".repeat(900)));
    assert_eq!(result(&call), Some(json!(900_000)));
    let why = refusal(
        &format!("strings.replace_n({{p: \"\" | p := {long}}}, \"\")")
            .replace("PART", &quoted(&"a".repeat(900))),
    );
    assert!(why.contains("patterns of more than"), "{why}");
}

#[test]
fn searches_that_overlap() {
    check(&[
        ("indexof_n(\"aaaa\", \"aa\")", json!([0, 1, 2])),
        ("indexof_n(\"ababcababa\", \"aba\")", json!([0, 5, 7])),
        ("indexof_n(\"éaéaé\", \"éaé\")", json!([0, 2])),
        ("indexof(\"aaéab\", \"éab\")", json!(2)),
        ("indexof(\"aaab\", \"aab\")", json!(1)),
        ("indexof(\"abc\", \"d\")", json!(-1)),
    ]);
    let half = "a".repeat(200_000);
    let call = format!(
        "count(indexof_n({}, {}))",
        quoted(&half.repeat(2)),
        quoted(&half)
    );
    assert_eq!(result(&call), Some(json!(200_001)));
}
