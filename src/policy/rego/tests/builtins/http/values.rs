//! Numbers that are sent, told apart and received with all their digits, and how much a check may ask
//! and be told.

use super::*;

/// Two numbers that are one as doubles.
const ID: &str = "12345678901234567890123";
const OTHER: &str = "12345678901234567890124";

#[test]
fn numbers_are_sent_with_all_their_digits() {
    let rows = [
        (ID.to_owned(), ID.to_owned()),
        (
            format!(r#"{{"id": {ID}, "n": [{OTHER}]}}"#),
            format!(r#"{{"id":{ID},"n":[{OTHER}]}}"#),
        ),
        (
            "18446744073709551616".to_owned(),
            "18446744073709551616".to_owned(),
        ),
        (
            "-9223372036854775809".to_owned(),
            "-9223372036854775809".to_owned(),
        ),
        ("1.5".to_owned(), "1.5".to_owned()),
        (r#"{1: "a"}"#.to_owned(), r#"{"1":"a"}"#.to_owned()),
    ];
    for (body, expected) in rows {
        let sent = sent(&format!(
            r#"{{"method": "POST", "url": "u", "body": {body}}}"#
        ));
        assert_eq!(String::from_utf8(sent.body).unwrap(), expected);
    }
}

#[test]
fn requests_that_differ_in_a_digit_are_two() {
    let request = |id: &str| {
        format!(
            r#"{{"method": "POST", "url": "u", "force_cache": true, "force_cache_duration_seconds": 9, "body": {{"id": {id}}}}}"#
        )
    };
    assert_ne!(sent(&request(ID)).key, sent(&request(OTHER)).key);
    assert_eq!(sent(&request(ID)).key, sent(&request(ID)).key);
    let others = Others::answering(200, &[], "");
    let both = format!(
        "a := http.send({}); b := http.send({}); x := a == b",
        request(ID),
        request(OTHER)
    );
    assert_eq!(evaluate(&others, &both), Ok(json!(true)));
    assert_eq!(others.sent().len(), 2);
}

#[test]
fn numbers_are_received_with_all_their_digits() {
    let body = format!("[{ID}, {OTHER}]");
    let others = Others::answering(200, &[("content-type", "application/json")], &body);
    let body = r#"y := http.send({"method": "GET", "url": "u"}).body; x := [y[0] == y[1], json.marshal(y[0])]"#;
    assert_eq!(evaluate(&others, body), Ok(json!([false, ID])));
}

#[test]
fn a_check_asks_so_often_and_so_much_only() {
    let others = Others::answering(200, &[], "");
    let many = |count: usize| {
        format!(
            r#"x := count([y | some n in numbers.range(1, {count}); y := http.send({{"method": "GET", "url": sprintf("%d", [n])}})])"#
        )
    };
    assert_eq!(evaluate(&others, &many(256)), Ok(json!(256)));
    let error = evaluate(&others, &many(257)).unwrap_err();
    assert!(error.contains("more than 256 calls"), "{error}");

    let others = Others::answering(200, &[], &"x".repeat(8 << 20));
    let error = evaluate(&others, &many(9)).unwrap_err();
    assert!(error.contains("more than 67108864 bytes"), "{error}");
}

/// Rule: an answer counts for what it takes as a value, before it is made one.
#[test]
fn many_small_values_are_much() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const YAML: (&str, &str) = ("content-type", "application/yaml");
    let list = |item: &str, many: usize| format!("[{}1]", format!("{item},").repeat(many));
    let rows = [
        (JSON, list("[]", 100_000), true),
        (JSON, list("[]", 1_000_000), false),
        (JSON, list(r#"{"":0}"#, 400_000), false),
        // What stands in a text is no value.
        (
            JSON,
            list(&format!("\"{}\\\"\"", ",[".repeat(1_000_000)), 1),
            true,
        ),
        (("content-type", "text/plain"), list("[]", 1_000_000), true),
        (YAML, list("1", 1_100_000), false),
        (YAML, "- 1\n".repeat(1_000_000), false),
    ];
    for (form, body, is_taken) in rows {
        let others = Others::answering(200, &[form], &body);
        let result = evaluate(
            &others,
            r#"x := http.send({"method": "GET", "url": "u"}).status_code"#,
        );
        let shown = (form.1, body.len());
        match is_taken {
            true => assert_eq!(result, Ok(json!(200)), "{shown:?}"),
            false => {
                let error = result.unwrap_err();
                assert!(
                    error.contains("more than 67108864 bytes"),
                    "{shown:?}: {error}"
                );
            }
        }
    }
}

#[test]
fn requests_that_are_too_large_end_the_evaluation() {
    let long = |member: &str, times: usize| {
        format!(
            r#"{{"method": "GET", "raise_error": false, {member}: concat("", [a | some n in numbers.range(1, {times}); a := sprintf("%01000d", [n])])}}"#
        )
    };
    let others = Others::answering(200, &[], "");
    let error = send(&others, &long(r#""url""#, 17)).unwrap_err();
    assert!(error.contains("a URL of more than 16384 bytes"), "{error}");
    assert!(send(&others, &long(r#""url": "u", "raw_body""#, 17)).is_ok());
}

/// Rule: null says that an answer had no such form; one that is beyond what is read ends the evaluation.
#[test]
fn answers_beyond_what_is_read_are_no_null() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const YAML: (&str, &str) = ("content-type", "application/yaml");
    let nested = "[".repeat(2_000) + &"]".repeat(2_000);
    let rows = [
        (JSON, "{".to_owned(), true),
        (YAML, "a: [".to_owned(), true),
        (JSON, nested.clone(), false),
        (YAML, nested, false),
        (YAML, format!("a: {}", "b".repeat(2 << 20)), false),
    ];
    for (form, body, is_null) in rows {
        let others = Others::answering(200, &[form], &body);
        let result = evaluate(
            &others,
            r#"x := http.send({"method": "GET", "url": "u", "raise_error": false}).body == null"#,
        );
        assert_eq!(
            result.is_ok(),
            is_null,
            "{} {}: {result:?}",
            form.1,
            body.len()
        );
    }
}
