//! What headers say of a trace, row by row; which checks are traced has a file of its own.

mod sampling;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// What is found in headers: trace, span, and whether they are traced.
fn found(headers: &[(&str, &str)]) -> String {
    let lines = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    let context = Carriers::of(lines).context();
    let parent = context.parent;
    let parent = parent.map_or("-".to_owned(), |(trace, span)| format!("{trace} {span}"));
    let sampled = context.sampled.map_or("?", |sampled| match sampled {
        true => "yes",
        false => "no",
    });
    format!("{parent} {sampled}")
}

fn known(sampled: &str) -> String {
    format!("{TRACE} {SPAN} {sampled}")
}

#[test]
fn trace_context() {
    let zeros = format!("00-{}-{SPAN}-01", "0".repeat(32));
    let no_span = format!("00-{TRACE}-{}-01", "0".repeat(16));
    let rows = [
        (format!("00-{TRACE}-{SPAN}-01"), known("yes")),
        (format!("00-{TRACE}-{SPAN}-00"), known("no")),
        (format!("00-{TRACE}-{SPAN}-ff"), known("yes")),
        (format!("00-{TRACE}-{SPAN}-fe"), known("no")),
        // A later version may say more.
        (format!("01-{TRACE}-{SPAN}-01"), known("yes")),
        (format!("cc-{TRACE}-{SPAN}-01-what-follows"), known("yes")),
        (format!("cc-{TRACE}-{SPAN}-01-"), known("yes")),
        (format!("cc-{TRACE}-{SPAN}-01.what"), "- ?".to_owned()),
        (format!("cc-{TRACE}-{SPAN}-012"), "- ?".to_owned()),
        // This one may not.
        (format!("00-{TRACE}-{SPAN}-01-what"), "- ?".to_owned()),
        (format!("00-{TRACE}-{SPAN}-01-"), "- ?".to_owned()),
        (format!("ff-{TRACE}-{SPAN}-01"), "- ?".to_owned()),
        // Lengths.
        (String::new(), "- ?".to_owned()),
        ("00".to_owned(), "- ?".to_owned()),
        (format!("00-{TRACE}-{SPAN}"), "- ?".to_owned()),
        (format!("00-{TRACE}-{SPAN}-"), "- ?".to_owned()),
        (format!("00-{TRACE}-{SPAN}-1"), "- ?".to_owned()),
        (format!("0-{TRACE}-{SPAN}-001"), "- ?".to_owned()),
        (format!("00-{}-{SPAN}-01", &TRACE[1..]), "- ?".to_owned()),
        (format!("00-0{TRACE}-{SPAN}-01"), "- ?".to_owned()),
        (format!("00-0{TRACE}-{}-01", &SPAN[1..]), "- ?".to_owned()),
        (format!("00-{TRACE}{SPAN}--01"), "- ?".to_owned()),
        // Zeros, digits, case, spaces, other separators.
        (zeros, "- ?".to_owned()),
        (no_span, "- ?".to_owned()),
        (
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            "- ?".to_owned(),
        ),
        (
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            "- ?".to_owned(),
        ),
        (format!("00-{TRACE}-{SPAN}-0A"), "- ?".to_owned()),
        (format!("0x-{TRACE}-{SPAN}-01"), "- ?".to_owned()),
        (format!("+0-{TRACE}-{SPAN}-01"), "- ?".to_owned()),
        (format!(" 00-{TRACE}-{SPAN}-01"), "- ?".to_owned()),
        (format!("00-{TRACE}-{SPAN}-01 "), "- ?".to_owned()),
        (format!("00_{TRACE}_{SPAN}_01"), "- ?".to_owned()),
        (
            format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
            "- ?".to_owned(),
        ),
        // What is in no character set.
        (format!("00-{}é-{SPAN}-01", &TRACE[..30]), "- ?".to_owned()),
    ];
    for (value, expected) in rows {
        assert_eq!(found(&[("traceparent", &value)]), expected, "{value}");
    }
}

#[test]
fn b3_in_one_header() {
    let short = format!("{:0>32} {SPAN} yes", "8448eb211c80319c");
    let rows = [
        (format!("{TRACE}-{SPAN}-1"), known("yes")),
        (format!("{TRACE}-{SPAN}-d"), known("yes")),
        (format!("{TRACE}-{SPAN}-0"), known("no")),
        (format!("{TRACE}-{SPAN}"), known("?")),
        (format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"), known("yes")),
        (format!("8448eb211c80319c-{SPAN}-1"), short),
        // A state alone.
        ("0".to_owned(), "- no".to_owned()),
        ("1".to_owned(), "- yes".to_owned()),
        ("d".to_owned(), "- yes".to_owned()),
        // Whatever else.
        (String::new(), "- ?".to_owned()),
        ("2".to_owned(), "- ?".to_owned()),
        ("D".to_owned(), "- ?".to_owned()),
        (TRACE.to_owned(), "- ?".to_owned()),
        (format!("{TRACE}-"), "- ?".to_owned()),
        (format!("{TRACE}-{SPAN}-"), "- ?".to_owned()),
        (format!("{TRACE}-{SPAN}-2"), "- ?".to_owned()),
        (format!("{TRACE}-{SPAN}-true"), "- ?".to_owned()),
        (format!("{TRACE}-{SPAN}-1-"), "- ?".to_owned()),
        (format!("{TRACE}-{SPAN}-1-05e3"), "- ?".to_owned()),
        (
            format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-1"),
            "- ?".to_owned(),
        ),
        (format!("{}-{SPAN}-1", &TRACE[1..]), "- ?".to_owned()),
        (format!("{}-{SPAN}-1", &TRACE[..24]), "- ?".to_owned()),
        (
            format!("{}-{SPAN}-1", TRACE.to_uppercase()),
            "- ?".to_owned(),
        ),
        (format!("{}-{SPAN}-1", "0".repeat(32)), "- ?".to_owned()),
        (format!("{}-{SPAN}-1", "0".repeat(16)), "- ?".to_owned()),
        (format!("{TRACE}-{}-1", "0".repeat(16)), "- ?".to_owned()),
        (format!("{TRACE}-{}-1", &SPAN[1..]), "- ?".to_owned()),
    ];
    for (value, expected) in rows {
        assert_eq!(found(&[("b3", &value)]), expected, "{value}");
    }
}

#[test]
fn b3_in_several_headers() {
    let ids = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)];
    let with = |more: &[(&'static str, &'static str)]| found(&[&ids, more].concat());
    let rows = [
        (with(&[]), known("?")),
        (with(&[("x-b3-sampled", "1")]), known("yes")),
        (with(&[("x-b3-sampled", "true")]), known("yes")),
        (with(&[("x-b3-sampled", "0")]), known("no")),
        (with(&[("x-b3-sampled", "false")]), known("no")),
        (with(&[("x-b3-sampled", "d")]), known("?")),
        (with(&[("x-b3-sampled", "")]), known("?")),
        (with(&[("x-b3-flags", "1")]), known("yes")),
        (
            with(&[("x-b3-flags", "1"), ("x-b3-sampled", "0")]),
            known("yes"),
        ),
        (
            with(&[("x-b3-flags", "0"), ("x-b3-sampled", "0")]),
            known("no"),
        ),
        (with(&[("x-b3-parentspanid", "junk")]), known("?")),
        // Twice, nobody knows which one is meant.
        (with(&[("x-b3-traceid", TRACE)]), "- ?".to_owned()),
        (with(&[("x-b3-spanid", SPAN)]), "- ?".to_owned()),
        (
            with(&[("x-b3-sampled", "1"), ("x-b3-sampled", "1")]),
            known("?"),
        ),
        // A half.
        (found(&ids[..1]), "- ?".to_owned()),
        (found(&ids[1..]), "- ?".to_owned()),
        (
            found(&[("x-b3-traceid", "1"), ("x-b3-spanid", SPAN)]),
            "- ?".to_owned(),
        ),
        (
            found(&[("x-b3-traceid", TRACE), ("x-b3-spanid", "zz")]),
            "- ?".to_owned(),
        ),
        (found(&[("x-b3-sampled", "0")]), "- no".to_owned()),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
    }
}

#[test]
fn the_one_goes_before_the_other() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let other = "80f198ee56343ba864fe8b2a57d3eff7";
    let single = format!("{other}-{SPAN}-0");
    let several = [("x-b3-traceid", other), ("x-b3-spanid", SPAN)];
    let check = |headers: &[(&str, &str)], expected: String| {
        let headers = [headers, &several].concat();
        assert_eq!(found(&headers), expected, "{headers:?}");
    };
    check(&[("TraceParent", &parent), ("b3", &single)], known("yes"));
    check(&[("b3", &single)], format!("{other} {SPAN} no"));
    // One that is none leaves it to the next.
    check(
        &[("traceparent", "00"), ("b3", &single)],
        format!("{other} {SPAN} no"),
    );
    check(&[("b3", "junk")], format!("{other} {SPAN} ?"));
    let twice = [("traceparent", parent.as_str()), ("traceparent", &parent)];
    check(&twice, format!("{other} {SPAN} ?"));
    assert_eq!(found(&[("x-traceparent", &parent)]), "- ?");
    assert_eq!(found(&[]), "- ?");
}

#[test]
fn headers_of_traces() {
    for (name, expected) in [
        ("traceparent", true),
        ("TRACEPARENT", true),
        ("B3", true),
        ("X-B3-Flags", true),
        ("tracestate", false),
        ("x-b3-parentspanid", false),
        ("x-request-id", false),
        ("", false),
    ] {
        assert_eq!(is_carrier(name), expected, "{name}");
    }
}
