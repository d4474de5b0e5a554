use super::*;

#[test]
fn subsets() {
    check(&[
        (
            r#"object.subset({"a": 1, "b": {"c": [2, 3]}}, {"b": {"c": [3]}})"#,
            json!(true),
        ),
        ("object.subset([1, 2, 3], [2, 3])", json!(true)),
        ("object.subset([1, 2, 3], [1, 3])", json!(false)),
        ("object.subset([1, 2], [])", json!(true)),
        ("object.subset([], [])", json!(true)),
        ("object.subset([1, 2, 3], {3, 1})", json!(true)),
        ("object.subset({1, 2}, {2})", json!(true)),
        (r#"object.subset({"a": [1]}, {"a": {1}})"#, json!(false)),
        (r#"object.subset({"a": 1}, {"a": 2})"#, json!(false)),
    ]);
    check_undefined(&["object.subset(1, 1)", "object.subset({1}, [1])"]);
}

#[test]
fn unions_of_many() {
    check(&[
        ("object.union_n([])", json!({})),
        (
            "object.union_n([{\"a\": {\"x\": 1}}, {\"a\": {\"y\": 2}}])",
            json!({"a": {"x": 1, "y": 2}}),
        ),
        (
            "object.union_n([{\"a\": {\"x\": 1}}, {\"a\": 5}, {\"a\": {\"y\": 2}, 1: 2}])",
            json!({"a": {"y": 2}, "1": 2}),
        ),
        (
            "object.union_n([{\"a\": {\"x\": 1}}, {\"a\": 5}])",
            json!({"a": 5}),
        ),
        ("union({{1, 2}, {2, 3}, set()})", json!([1, 2, 3])),
        ("union(set()) == set()", json!(true)),
    ]);
    check_undefined(&[
        "object.union_n([{}, 1])",
        "object.union_n({})",
        "union({{1}, 2})",
        "union([{1}])",
    ]);
}
