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
    check(&[
        (
            "object.subset([1, 1, 2, 1, 1, 1, 2], [1, 1, 1, 2])",
            json!(true),
        ),
        (
            "object.subset([1, 1, 2, 1, 1, 2], [1, 1, 1, 2])",
            json!(false),
        ),
        ("object.subset([1], [1, 1])", json!(false)),
        ("object.subset([1, 2], {3})", json!(false)),
        (r#"object.subset({"a": {1, 2}}, {"a": {2}})"#, json!(true)),
        (
            r#"object.subset({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}})"#,
            json!(true),
        ),
        (r#"object.subset({"a": {"b": 1}}, {"a": 1})"#, json!(false)),
    ]);
    check_undefined(&["object.subset(1, 1)", "object.subset({1}, [1])"]);
}

/// It is a matter of both sizes, not of their product.
#[test]
fn subsets_of_much() {
    let all = "[x | some i in numbers.range(1, 100000); x := i % 2]";
    let some = "[x | some i in numbers.range(1, 50000); x := max([i % 2, i - 49999])]";
    check(&[
        (&*format!("object.subset({all}, {some})"), json!(false)),
        (
            "object.subset(numbers.range(1, 100000), {x | some x in numbers.range(50001, 100000)})",
            json!(true),
        ),
    ]);
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
