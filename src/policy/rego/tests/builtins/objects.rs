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
