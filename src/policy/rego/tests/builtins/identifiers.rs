use super::*;

#[test]
fn versions() {
    let before = [
        ("1.2.3", "1.10.0"),
        ("1.0.0-rc.1", "1.0.0"),
        ("1.0.0-alpha", "1.0.0-alpha.1"),
        ("1.0.0-alpha.2", "1.0.0-alpha.10"),
        ("1.0.0-1", "1.0.0-a"),
        ("01.2.3", "1.2.4"),
    ];
    for (one, other) in before {
        let one_first = format!("semver.compare({}, {})", quoted(one), quoted(other));
        assert_eq!(result(&one_first), Some(json!(-1)), "{one_first}");
        let other_first = format!("semver.compare({}, {})", quoted(other), quoted(one));
        assert_eq!(result(&other_first), Some(json!(1)), "{other_first}");
    }
    check(&[
        (r#"semver.compare("1.0.0+a", "1.0.0+b")"#, json!(0)),
        (r#"semver.is_valid("01.2.3")"#, json!(true)),
        (r#"semver.is_valid("1.2.3-beta.1+5")"#, json!(true)),
        (r#"semver.is_valid("v1.2.3")"#, json!(false)),
        (r#"semver.is_valid("1.2")"#, json!(false)),
        (r#"semver.is_valid("1.2.3-a..b")"#, json!(false)),
        (r#"semver.is_valid("1.2.3.4")"#, json!(false)),
        (r#"semver.is_valid("")"#, json!(false)),
        ("semver.is_valid(1)", json!(false)),
    ]);
    check_undefined(&[
        r#"semver.compare("1.2", "1.2.0")"#,
        r#"semver.compare(1, "1.2.0")"#,
    ]);
}

#[test]
fn uuids() {
    check(&[
        (
            r#"uuid.parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")"#,
            json!({
                "clocksequence": 180, "macvariables": "global:unicast", "nodeid": "00-c0-4f-d4-30-c8",
                "time": 886_630_433_151_182_400_i64, "variant": "RFC4122", "version": 1,
            }),
        ),
        (
            r#"uuid.parse("0190b5f4-7b3c-7000-8000-000000000000")"#,
            json!({"variant": "RFC4122", "version": 7}),
        ),
        (
            r#"uuid.parse("00000000-0000-0000-0000-000000000000").variant"#,
            json!("Reserved"),
        ),
    ]);
    check_undefined(&[r#"uuid.parse("bad")"#, "uuid.parse(1)"]);
}
