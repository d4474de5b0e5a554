//! Operators on what is no operand of theirs, as OPA has them: undefined, with an order of all types,
//! and tenths that add up.

use super::*;

/// What an expression comes to for `{"text": "a", "number": 2, "list": [1]}`, or `"undefined"`.
fn check(expression: &str, expected: &Json) {
    let _unchecked = check::Unchecked::set();
    let text = format!("package p\nv := {expression}\n");
    let policies = RegoPolicies::compile(&[module("p.rego", &text)], Data::default(), &settings());
    let policies = policies.unwrap_or_else(|errors| panic!("{expression}: {}", errors[0]));
    let input = Data::from_json(json!({"text": "a", "number": 2, "list": [1]}));
    let solutions = policies.query("x = data.p", input, false, NOW_NS);
    let solutions = solutions.unwrap_or_else(|why| panic!("{expression}: {why}"));
    let document = solutions[0].member("x").unwrap().to_json().unwrap();
    let document: Json = serde_json::from_str(&document).unwrap();
    let value = document.get("v").cloned().unwrap_or(json!("undefined"));
    assert_eq!(&value, expected, "{expression}");
}

fn check_all(rows: &[(&str, Json)]) {
    for (expression, expected) in rows {
        check(expression, expected);
    }
}

#[test]
fn wrong_types_are_undefined() {
    let operands = [
        "input.text + 1",
        "1 + input.text",
        "input.text - 1",
        "input.text - {1}",
        "{1} - input.number",
        "input.list * 2",
        "input.number / input.text",
        "input.text % 2",
        "input.number % 1.5",
        "input.list | {1}",
        "{1} & input.text",
        "input.number / (input.number - 2)",
        "input.number % 0",
        "(input.text + 1) + 2",
        "1 + input.missing",
        "1 in input.missing",
        "input.missing in [1]",
        r#""k", input.missing in {"k": 1}"#,
        "input.missing, input.absent in {1: 2}",
    ];
    for expression in operands {
        check(expression, &json!("undefined"));
    }
}

#[test]
fn what_is_undefined_is_not_false() {
    let rows = [
        // Rule: a negation of what cannot be evaluated does not hold; see also `lower::negation`.
        ("[x | x := 1; not input.missing in [1]]", json!([])),
        ("[x | x := 1; not 2 in input.list]", json!([1])),
        ("[x | x := 1; not input.text + 1 == 2]", json!([])),
        ("[x | x := input.list[_]; x in input.list]", json!([1])),
    ];
    check_all(&rows);
}

#[test]
fn values() {
    let rows = [
        ("0.1 + 0.2", json!(0.3)),
        ("0.3 - 0.1", json!(0.2)),
        ("1.1 * 1.1", json!(1.21)),
        ("1.5 + 1.5", json!(3)),
        ("1e300 * 10", json!(1e301)),
        ("1 / 4", json!(0.25)),
        ("-7 % 3", json!(-1)),
        ("9007199254740993 + 0", json!(9007199254740993u64)),
        ("1 + 2 * 3 - 4", json!(3)),
        ("(1 + 2) * (3 - -4)", json!(21)),
        ("input.number -1", json!(1)),
        ("input.number - # minus\n 1", json!(1)),
        (r##"count("a+b#") + count(")")"##, json!(5)),
        ("[1 + 1, {2 * 2: 3 + 3}]", json!([2, {"4": 6}])),
        ("{1, 2} | {3} & {3, 4}", json!([1, 2, 3])),
        ("{1, 2} - {2} | {5}", json!([1, 5])),
        ("[x | some x in [1, 2]; x + 1 in [3]]", json!([2])),
        ("1 in [1] == true", json!(false)),
        ("(1 in [1]) == true", json!(true)),
        (r#"1, "b" in ["a", "b"]"#, json!(true)),
        (r#""k", 1 in {"k": 1}"#, json!(true)),
        ("2, 2 in {2}", json!(true)),
        ("1, 2 in {2}", json!(false)),
        ("1 in 1", json!(false)),
        ("1, 1 in 1", json!(false)),
        ("plus(1, mul(2, 3))", json!(7)),
        ("internal.member_2(1, [1])", json!(true)),
    ];
    check_all(&rows);
}

#[test]
fn all_types_have_an_order() {
    let rows = [
        (
            "[null < false, false < 0, 1 < \"a\", \"z\" < [], [] < {}, {} < set()]",
            json!([true, true, true, true, true, true]),
        ),
        (
            "[{1} > {\"a\": 1}, [{1}] >= [{}], {} <= {1}]",
            json!([true, true, true]),
        ),
        ("{1, 9} < {2}", json!(true)),
        (r#"{"a": 1} < ({"b": [2]})"#, json!(true)),
        (
            r#"[{"a": 1} < {"a": 2}, {"a": 1} < {"b": 0}, {"a": 1} < {"a": 1, "b": 1}]"#,
            json!([true, true, true]),
        ),
        ("[{1}] < [{1, 2}]", json!(true)),
        ("{x: 1 | x := 1} >= {x | x := 2}", json!(false)),
        ("input.text < {x | x := 1}", json!(true)),
    ];
    check_all(&rows);
}
