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
