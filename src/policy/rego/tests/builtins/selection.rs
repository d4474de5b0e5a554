use super::*;

#[test]
fn what_lies_on_paths() {
    check(&[
        (
            r#"json.filter({"a": {"b": 1, "c": 2}, "d": 3}, ["a/b", "d"])"#,
            json!({"a": {"b": 1}, "d": 3}),
        ),
        (
            r#"json.filter({"a": {"b": 1, "c": 2}}, ["/a/b"])"#,
            json!({"a": {"b": 1}}),
        ),
        (
            r#"json.filter({"a": {"b": 1, "c": 2}}, ["//a/b"])"#,
            json!({"a": {"b": 1}}),
        ),
        (
            r#"json.filter({"a/b": 1, "~": 2, "c": 3}, {"a~1b", "~0"})"#,
            json!({"a/b": 1, "~": 2}),
        ),
        // A path that leads on from what has no parts.
        (
            r#"json.filter({"a": 1, "b": [2]}, ["a/b", "b/0/1"])"#,
            json!({"a": 1, "b": [2]}),
        ),
        (
            r#"json.filter({"a": {"b": 1}}, ["a", "a/x"])"#,
            json!({"a": {"b": 1}}),
        ),
        (
            r#"json.filter({"a": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}, ["a/10", "a/2"])"#,
            json!({"a": [3, 11]}),
        ),
        (
            r#"json.filter({"a": [1, 2]}, [["a", 1]])"#,
            json!({"a": []}),
        ),
        (
            r#"json.filter({"a": {1: 2, 3: 4}}, [["a", 1]])"#,
            json!({"a": {"1": 2}}),
        ),
        (
            r#"json.filter({"a": {"x", "y"}}, ["a/x"])"#,
            json!({"a": ["x"]}),
        ),
        (r#"json.filter({"a": 1}, [])"#, json!({})),
        (r#"json.filter({"a": 1}, [""])"#, json!({})),
        (r#"json.filter({"a": 1, "": 2}, ["/"])"#, json!({"": 2})),
        (r#"json.filter({"a": 1, "null": 2}, [[null]])"#, json!({})),
    ]);
}

#[test]
fn what_lies_on_no_path() {
    check(&[
        (
            r#"json.remove({"a": {"b": 1, "c": 2}, "d": 3}, ["a/b", "d"])"#,
            json!({"a": {"c": 2}}),
        ),
        (
            r#"json.remove({"a": {"b": 1, "c": 2}}, {"/a/b"})"#,
            json!({"a": {"c": 2}}),
        ),
        (
            r#"json.remove({"a/b": 1, "~": 2, "c": 3}, ["a~1b", "~0"])"#,
            json!({"c": 3}),
        ),
        (r#"json.remove({"a": 1}, ["a/b"])"#, json!({"a": 1})),
        (
            r#"json.remove({"a": {"b": 1}}, ["a/x", "y"])"#,
            json!({"a": {"b": 1}}),
        ),
        (
            r#"json.remove({"a": [1, 2, 3]}, ["a/0", ["a", "2"]])"#,
            json!({"a": [2]}),
        ),
        (
            r#"json.remove({"a": [1, 2, 3]}, [["a", 0]])"#,
            json!({"a": [1, 2, 3]}),
        ),
        (
            r#"json.remove({"a": {"x", "y"}}, ["a/x"])"#,
            json!({"a": ["y"]}),
        ),
        (r#"json.remove({"a": 1}, [])"#, json!({"a": 1})),
        (r#"json.remove({"a": 1}, [""])"#, json!({"a": 1})),
        (r#"json.remove({"a": {"b": 1}}, ["a", "a/b"])"#, json!({})),
        (r#"json.remove({"a": {"b": 1}}, ["a/b", "a"])"#, json!({})),
    ]);
}

#[test]
fn what_are_no_paths() {
    check_undefined(&[
        r#"json.filter({"a": 1}, "a")"#,
        r#"json.filter({"a": 1}, [1])"#,
        r#"json.filter([1], ["0"])"#,
        r#"json.remove({"a": 1}, {"a": 1})"#,
        r#"json.remove({"a": 1}, [{"a"}])"#,
        r#"json.remove("a", ["a"])"#,
    ]);
    let long = r#"json.remove({"a": 1}, [concat("/", [x | some x in numbers.range(1, 2000)])])"#;
    let long = long.replace("[x | some", r#"[format_int(x, 10) | some"#);
    let why = refusal(&long);
    assert!(why.contains("refused"), "{why}");
}
