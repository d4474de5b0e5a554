use super::*;

#[test]
fn blocks_and_addresses() {
    check(&[
        (
            "net.cidr_contains(\"10.0.0.0/8\", \"10.1.2.3\")",
            json!(true),
        ),
        (
            "net.cidr_contains(\"10.9.9.9/8\", \"10.1.0.0/16\")",
            json!(true),
        ),
        (
            "net.cidr_contains(\"10.1.0.0/16\", \"10.0.0.0/8\")",
            json!(false),
        ),
        ("net.cidr_contains(\"10.0.0.0/8\", \"::1\")", json!(false)),
        ("net.cidr_contains(\"::/0\", \"10.0.0.1\")", json!(false)),
        (
            "net.cidr_contains(\"10.0.0.0/8\", \"::ffff:10.0.0.1\")",
            json!(true),
        ),
        (
            "net.cidr_contains(\"::ffff:10.0.0.0/104\", \"10.9.0.1\")",
            json!(true),
        ),
        (
            "net.cidr_contains(\"::/0\", \"::ffff:10.0.0.1\")",
            json!(false),
        ),
        (
            "net.cidr_contains(\"2001:db8::/32\", \"2001:db8::1\")",
            json!(true),
        ),
        (
            "net.cidr_overlap(\"10.0.0.0/8\", \"10.0.0.1\")",
            json!(true),
        ),
        (
            "net.cidr_intersects(\"10.0.0.0/8\", \"10.1.0.0/16\")",
            json!(true),
        ),
        (
            "net.cidr_intersects(\"10.1.0.0/16\", \"10.0.0.0/8\")",
            json!(true),
        ),
        (
            "net.cidr_intersects(\"10.0.0.0/8\", \"11.0.0.0/8\")",
            json!(false),
        ),
        ("net.cidr_is_valid(\"10.0.0.0/33\")", json!(false)),
        ("net.cidr_is_valid(\"10.0.0.1/32\")", json!(true)),
        ("net.cidr_is_valid(\"10.0.0.1\")", json!(false)),
        ("net.cidr_is_valid(\"010.0.0.0/8\")", json!(false)),
    ]);
    check_undefined(&[
        "net.cidr_contains(\"10.0.0.0\", \"10.0.0.1\")",
        "net.cidr_contains(\"10.0.0.0/8\", \"x\")",
        "net.cidr_contains(\"10.0.0.0/8\", 1)",
        "net.cidr_contains(\"10.0.0.0/99\", \"10.0.0.1\")",
        "net.cidr_intersects(\"10.0.0.0/8\", \"10.0.0.1\")",
    ]);
}

#[test]
fn pairs_of_blocks_and_addresses() {
    check(&[
        (
            "net.cidr_contains_matches([\"1.1.2.0/24\", [\"1.1.1.0/24\", 1]], [\"1.1.1.1\", \"1.1.2.1\"])",
            json!([[0, 1], [1, 0]]),
        ),
        (
            "net.cidr_contains_matches({\"a\": \"1.1.1.0/24\", \"b\": [\"1.1.0.0/16\"]}, \"1.1.1.128\")",
            json!([["a", "1.1.1.128"], ["b", "1.1.1.128"]]),
        ),
        (
            "net.cidr_contains_matches({[\"1.1.1.0/24\", \"x\"]}, {\"1.1.1.1\"})",
            json!([[["1.1.1.0/24", "x"], "1.1.1.1"]]),
        ),
        ("net.cidr_contains_matches([], [])", json!([])),
    ]);
    check_undefined(&[
        "net.cidr_contains_matches([1], [])",
        "net.cidr_contains_matches([[]], [])",
        "net.cidr_contains_matches(1, [])",
        "net.cidr_contains_matches([\"1.1.1.0/24\"], [\"x\"])",
    ]);
    let many = "[x | some _ in numbers.range(1, 2000); x := \"1.1.1.0/24\"]";
    assert_eq!(
        refusal(&format!("net.cidr_contains_matches({many}, {many})")),
        "comparing more than 1000000 pairs of address blocks is refused"
    );
}

#[test]
fn blocks_merged() {
    check(&[
        ("net.cidr_merge([])", json!([])),
        (
            "net.cidr_merge([\"10.0.0.0/25\", \"10.0.0.128/25\"])",
            json!(["10.0.0.0/24"]),
        ),
        (
            "net.cidr_merge({\"10.0.0.64/26\", \"10.0.0.128/25\", \"10.0.0.0/26\"})",
            json!(["10.0.0.0/24"]),
        ),
        // The halves of different blocks are not joined.
        (
            "net.cidr_merge([\"10.0.0.128/25\", \"10.0.1.0/25\"])",
            json!(["10.0.0.128/25", "10.0.1.0/25"]),
        ),
        (
            "net.cidr_merge([\"0.0.0.0/0\", \"10.0.0.0/8\"])",
            json!(["0.0.0.0/0"]),
        ),
        (
            "net.cidr_merge([\"0.0.0.0/1\", \"128.0.0.0/1\", \"::/1\", \"8000::/1\"])",
            json!(["0.0.0.0/0", "::/0"]),
        ),
        (
            "net.cidr_merge([\"192.0.2.112\", \"10.1.1.1\"])",
            json!(["10.0.0.0/8", "192.0.2.0/24"]),
        ),
    ]);
    check_undefined(&[
        "net.cidr_merge([\"x\"])",
        "net.cidr_merge([1])",
        "net.cidr_merge(\"10.0.0.0/8\")",
        "net.cidr_merge([\"2001:db8::1\"])",
        "net.cidr_merge([\"224.0.0.1\"])",
    ]);
}
