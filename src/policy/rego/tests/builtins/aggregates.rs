use super::*;

#[test]
fn members_counted_and_ordered() {
    check(&[
        ("count(\"h\u{1f600}é\")", json!(3)),
        ("count({1, 1, 2})", json!(2)),
        ("max([null, 1, \"a\", [0], {\"k\": 1}, {2}])", json!([2])),
        ("min({\"a\", 1, false})", json!(false)),
        (
            "sort([{\"a\": 1}, [1], \"s\", 2, true, null, {3}])",
            json!([null, true, 2, "s", [1], {"a": 1}, [3]]),
        ),
        (
            "sort([{\"a\": 2}, {\"a\": 1, \"b\": 0}, {\"a\": 1}])",
            json!([{"a": 1}, {"a": 1, "b": 0}, {"a": 2}]),
        ),
        ("sort([{2}, {1, 3}, set()])", json!([[], [1, 3], [2]])),
        ("sum([0.1, 0.2, 0.3])", json!(0.6)),
        ("sum([1, 2.5])", json!(3.5)),
        ("sum([])", json!(0)),
        ("sum([1e300, 0.5])", json!(1e300)),
        ("product([1.1, 1.1])", json!(1.21)),
        ("product([-0.5, 3])", json!(-1.5)),
        ("product([])", json!(1)),
        ("any([false, true])", json!(true)),
        ("any([])", json!(false)),
        ("all([true, 1])", json!(false)),
        ("all(set())", json!(true)),
        ("set_diff({1, 2}, {2})", json!([1])),
    ]);
    check_undefined(&[
        "count(1)",
        "max([])",
        "max({\"a\": 1})",
        "sum([\"a\", 0.5])",
        "sum(1)",
        "sort(\"a\")",
        "any(1)",
        "set_diff([1], {1})",
    ]);
}
