use super::*;

#[test]
fn amounts() {
    check(&[
        (r#"units.parse("1k")"#, json!(1_000)),
        (r#"units.parse("1Ki")"#, json!(1_024)),
        (r#"units.parse("100m")"#, json!(0.1)),
        (r#"units.parse("2M")"#, json!(2_000_000)),
        (r#"units.parse("1.5G")"#, json!(1_500_000_000)),
        (r#"units.parse("1E")"#, json!(1_000_000_000_000_000_000_i64)),
        (r#"units.parse("1e3")"#, json!(1_000)),
        (r#"units.parse("1e3Mi")"#, json!(1_048_576_000)),
        (r#"units.parse("-.5kI")"#, json!(-512)),
        (r#"units.parse("\"1k\"")"#, json!(1_000)),
        (r#"units.parse("0.00000000001")"#, json!(0)),
        (r#"units.parse_bytes("1KB")"#, json!(1_000)),
        (r#"units.parse_bytes("1.5gib")"#, json!(1_610_612_736)),
        (r#"units.parse_bytes("1.9")"#, json!(1)),
        (r#"units.parse_bytes("1m")"#, json!(1_000_000)),
        (
            r#"units.parse_bytes("2E")"#,
            json!(2_000_000_000_000_000_000_i64),
        ),
        (
            r#"units.parse_bytes("8Ei")"#,
            json!(9_223_372_036_854_775_808_u64),
        ),
    ]);
    check_undefined(&[
        r#"units.parse("")"#,
        r#"units.parse("abc")"#,
        r#"units.parse("1 k")"#,
        r#"units.parse("1kb")"#,
        r#"units.parse("1da")"#,
        r#"units.parse("1Q")"#,
        r#"units.parse("1.2.3")"#,
        r#"units.parse("1é")"#,
        r#"units.parse_bytes("1kbb")"#,
        r#"units.parse_bytes("")"#,
        "units.parse(1)",
    ]);
    for bad in ["1e999999", "1e-999", "1e-2147483648"] {
        let why = refusal(&format!("units.parse({})", quoted(bad)));
        assert!(why.contains("refused"), "{why}");
    }
}
