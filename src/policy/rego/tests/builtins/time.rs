use super::*;

#[test]
fn dates_go_on_into_the_next_month() {
    let rows = [
        ("2024-01-31T00:00:00Z", "0, 1, 0", "2024-03-02T00:00:00Z"),
        ("2023-01-31T00:00:00Z", "0, 1, 0", "2023-03-03T00:00:00Z"),
        (
            "2024-02-29T01:02:03.000000004Z",
            "1, 0, 0",
            "2025-03-01T01:02:03.000000004Z",
        ),
        ("2024-01-15T00:00:00Z", "0, -1, 0", "2023-12-15T00:00:00Z"),
        ("2024-01-15T00:00:00Z", "0, 25, 0", "2026-02-15T00:00:00Z"),
        ("2024-01-15T00:00:00Z", "0, 0, -15", "2023-12-31T00:00:00Z"),
        ("1960-01-01T00:00:00Z", "10, 0, 1", "1970-01-02T00:00:00Z"),
    ];
    for (time, added, expected) in rows {
        let call = format!(
            "time.add_date(time.parse_rfc3339_ns(\"{time}\"), {added}) == time.parse_rfc3339_ns(\"{expected}\")"
        );
        assert_eq!(result(&call), Some(json!(true)), "{call}");
    }
    check(&[(
        "time.add_date([1700000000000000000, \"Europe/Berlin\"], 0, 0, 1)",
        json!(1_700_086_400_000_000_000_i64),
    )]);
    check_undefined(&[
        "time.add_date(0, 9223372036854775807, 0, 0)",
        "time.add_date(0, 0, 9223372036854775807, 1)",
        "time.add_date(0, 0, 0, 9223372036854775807)",
        "time.add_date(0, 300, 0, 0)",
        "time.add_date(0, 1.5, 0, 0)",
        "time.add_date(\"0\", 0, 0, 0)",
    ]);
}

#[test]
fn times_as_rfc_3339_writes_them() {
    check(&[
        (
            "time.parse_rfc3339_ns(\"1970-01-01T00:00:01Z\")",
            json!(1_000_000_000),
        ),
        (
            "time.parse_rfc3339_ns(\"1970-01-01T01:00:00.5+01:00\")",
            json!(500_000_000),
        ),
    ]);
    check_undefined(&[
        "time.parse_rfc3339_ns(\"1970-01-01t00:00:01Z\")",
        "time.parse_rfc3339_ns(\"1970-01-01T00:00:01z\")",
        "time.parse_rfc3339_ns(\"1970-01-01 00:00:01Z\")",
        "time.parse_rfc3339_ns(\"1970-01-01T00:00:01\")",
        "time.parse_rfc3339_ns(\"\")",
        "time.parse_rfc3339_ns(1)",
    ]);
}
