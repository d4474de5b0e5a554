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

const TIME: &str = "1704164645123456789";

#[test]
fn times_written_by_layouts() {
    let rows = [
        ("UTC", "ANSIC", "Tue Jan  2 03:04:05 2024"),
        ("UTC", "RFC1123", "Tue, 02 Jan 2024 03:04:05 UTC"),
        ("Europe/Berlin", "RFC850", "Tuesday, 02-Jan-24 04:04:05 CET"),
        (
            "America/New_York",
            "RFC1123Z",
            "Mon, 01 Jan 2024 22:04:05 -0500",
        ),
        ("America/Sao_Paulo", "MST Z07", "-03 -03"),
        (
            "Asia/Kolkata",
            "RFC3339Nano",
            "2024-01-02T08:34:05.123456789+05:30",
        ),
        ("", "3:04PM 15h pm", "3:04AM 03h am"),
        ("", "06/1/2 __2 002 _2", "24/1/2   2 002  2"),
        ("", "05.000 05,999 .99x 5.0001", "05.123 05,123 .12x 5.0001"),
        ("", "Z0700 -07:00:00 Z070000", "Z +00:00:00 Z"),
        (
            "",
            "January Janet Monday Money _2006",
            "January Janet Tuesday Money _2024",
        ),
        ("", "é2006é", "é2024é"),
    ];
    for (zone, layout, expected) in rows {
        let call = format!(
            "time.format([{TIME}, {}, {}])",
            quoted(zone),
            quoted(layout)
        );
        assert_eq!(result(&call), Some(json!(expected)), "{call}");
    }
    check(&[
        (
            "time.format(1704164645000000000)",
            json!("2024-01-02T03:04:05Z"),
        ),
        ("time.format([0])", json!("1970-01-01T00:00:00Z")),
        (
            "time.format([4102444800000000000, \"Europe/Berlin\", \"MST -07\"])",
            json!("CET +01"),
        ),
    ]);
    check_undefined(&[
        "time.format([])",
        "time.format(\"0\")",
        "time.format([0, \"Nowhere/Town\"])",
        "time.format([0, \"europe/berlin\"])",
        "time.format([0, 1])",
        "time.format(1.5)",
    ]);
}

#[test]
fn times_read_by_layouts() {
    let rows = [
        ("2006-01-02", "2024-02-29", "2024-02-29T00:00:00Z"),
        (
            "RFC1123",
            "Tue, 02 Jan 2024 03:04:05 UTC",
            "2024-01-02T03:04:05Z",
        ),
        (
            "RFC1123Z",
            "tue, 02 jan 2024 03:04:05 -0130",
            "2024-01-02T04:34:05Z",
        ),
        ("RFC822", "02 Jan 24 15:04 GMT+2", "2024-01-02T13:04:00Z"),
        ("RFC822", "02 Jan 24 15:04 MST", "2024-01-02T15:04:00Z"),
        ("2006 002", "2024 060", "2024-02-29T00:00:00Z"),
        ("3:04 PM 2006", "12:30 AM 2024", "2024-01-01T00:30:00Z"),
        (
            "2006-01-02 15:04:05",
            "2024-01-02 03:04:05.25",
            "2024-01-02T03:04:05.25Z",
        ),
        ("06 Jan _2", "69 Dec  9", "1969-12-09T00:00:00Z"),
        ("2006 05.00", "2024 07.50", "2024-01-01T00:00:07.5Z"),
        ("2006 Z07:00", "2024 +01:00", "2023-12-31T23:00:00Z"),
    ];
    for (layout, text, expected) in rows {
        let call = format!(
            "time.format(time.parse_ns({}, {}))",
            quoted(layout),
            quoted(text)
        );
        assert_eq!(result(&call), Some(json!(expected)), "{call}");
    }
    let bad = [
        ("2006-01-02", "2023-02-29"),
        ("2006-01-02", "2024-13-01"),
        ("2006-01-02", "2024-01-02x"),
        ("2006-01-02", "2024-1-2"),
        ("2006-01-02", ""),
        ("15:04", "24:00"),
        ("2006 002", "2023 366"),
        ("2006 MST", "2024 Xy"),
        ("2006 05.00", "2024 07.5"),
        ("é", "e"),
        ("RFC3339", "2262-04-12T00:00:00Z"),
        ("2006", "é024"),
    ];
    for (layout, text) in bad {
        let call = format!("time.parse_ns({}, {})", quoted(layout), quoted(text));
        assert_eq!(result(&call), None, "{call}");
    }
}

#[test]
fn calendars_and_clocks() {
    check(&[
        (
            "time.date([0, \"America/New_York\"])",
            json!([1969, 12, 31]),
        ),
        ("time.clock([0, \"America/New_York\"])", json!([19, 0, 0])),
        ("time.weekday(0)", json!("Thursday")),
        (
            "time.diff(1704164645000000000, 1700000000000000000)",
            json!([0, 1, 17, 4, 50, 45]),
        ),
        (
            "time.diff([0, \"Asia/Tokyo\"], 86399000000000)",
            json!([0, 0, 0, 23, 59, 59]),
        ),
        // The clocks of Berlin go from 2 to 3 on March 31st.
        (
            "time.format(time.add_date([1711762200000000000, \"Europe/Berlin\"], 0, 0, 1))",
            json!("2024-03-31T01:30:00Z"),
        ),
    ]);
    check_undefined(&[
        "time.clock(99999999999999999999)",
        "time.clock(1704164645.9)",
        "time.date([0, \"X\"])",
        "time.diff(0, \"x\")",
    ]);
}

#[test]
fn durations() {
    check(&[
        ("time.parse_duration_ns(\"-1.5s\")", json!(-1_500_000_000)),
        (
            "time.parse_duration_ns(\"1h15m30.918s\")",
            json!(4_530_918_000_000_i64),
        ),
        ("time.parse_duration_ns(\"1us1µs1μs\")", json!(3_000)),
        ("time.parse_duration_ns(\".5ms\")", json!(500_000)),
        ("time.parse_duration_ns(\"+0\")", json!(0)),
        (
            "time.parse_duration_ns(\"-9223372036854775808ns\")",
            json!(i64::MIN),
        ),
    ]);
    check_undefined(&[
        "time.parse_duration_ns(\"\")",
        "time.parse_duration_ns(\"-\")",
        "time.parse_duration_ns(\"1\")",
        "time.parse_duration_ns(\"1d\")",
        "time.parse_duration_ns(\"1é\")",
        "time.parse_duration_ns(\".s\")",
        "time.parse_duration_ns(\"9223372036854775808ns\")",
        "time.parse_duration_ns(\"99999999999999999999h\")",
    ]);
}
