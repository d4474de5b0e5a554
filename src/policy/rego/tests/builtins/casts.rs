use super::*;

#[test]
fn numbers_out_of_texts() {
    check(&[
        ("to_number(\"12\")", json!(12)),
        ("to_number(\"+1\")", json!(1)),
        ("to_number(\"01\")", json!(1)),
        ("to_number(\"1_000\")", json!(1_000)),
        ("to_number(\"-1.5e2\")", json!(-150)),
        ("to_number(\".5\")", json!(0.5)),
        ("to_number(\"5.\")", json!(5)),
        ("to_number(null)", json!(0)),
        ("to_number(true)", json!(1)),
    ]);
    check_undefined(&[
        "to_number(\"\")",
        "to_number(\"abc\")",
        "to_number(\"0x10\")",
        "to_number(\"1 \")",
        "to_number(\"--1\")",
        "to_number(\".\")",
        "to_number(\"1e\")",
        "to_number(\"_1\")",
        "to_number(\"1__0\")",
        "to_number(\"1_.5\")",
        "to_number(\"1e999\")",
        "to_number(\"inf\")",
        "to_number(\"NaN\")",
        "to_number([1])",
    ]);
    let why = refusal(&format!("to_number({})", quoted(&"1".repeat(5_000))));
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn values_of_a_type() {
    check(&[
        ("cast_array({2, 1})", json!([1, 2])),
        ("cast_array([2, 1])", json!([2, 1])),
        ("cast_set([1, 1])", json!([1])),
        ("cast_string(\"a\")", json!("a")),
        ("cast_boolean(false)", json!(false)),
        ("cast_null(null)", json!(null)),
        ("cast_object({\"a\": 1})", json!({"a": 1})),
    ]);
    check_undefined(&[
        "cast_array(1)",
        "cast_set({\"a\": 1})",
        "cast_string(1)",
        "cast_boolean(\"true\")",
        "cast_null(false)",
        "cast_object([])",
    ]);
}
