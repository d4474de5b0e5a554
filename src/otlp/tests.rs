//! The declarations against bytes that others' libraries make of the same messages, and what answers mean.

use prost::Message as _;
use serde_json::json;

use super::logs::*;
use super::*;

/// Written by hand from the field numbers and wire types of the published `.proto` files.
#[test]
fn a_record_has_the_bytes_that_it_has_elsewhere() {
    let record = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 2,
        severity_number: WARN,
        severity_text: "W".to_owned(),
        body: Some(AnyValue::of(Any::Text("b".to_owned()))),
        attributes: vec![
            attribute("i", AnyValue::of_json(&json!(-1))),
            attribute("m", AnyValue::of_json(&json!({"x": [true, 0.5, null]}))),
        ],
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        event_name: "e".to_owned(),
    };
    let mut expected = vec![0x09, 1, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([0x10, 13, 0x1a, 1, b'W', 0x2a, 3, 0x0a, 1, b'b']);
    expected.extend([0x32, 16, 0x0a, 1, b'i', 0x12, 11, 0x18]);
    expected.extend([0xff; 9]);
    expected.push(1);
    let array = [
        [0x0a, 2, 0x10, 1].as_slice(),
        &[0x0a, 9, 0x21, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
        &[0x0a, 0],
    ]
    .concat();
    let array = [vec![0x2a, 17], array].concat();
    let member = [vec![0x0a, 1, b'x', 0x12, 19], array].concat();
    let map = [vec![0x32, 26, 0x0a, 24], member].concat();
    expected.extend([0x32, 33, 0x0a, 1, b'm', 0x12, 28]);
    expected.extend(map);
    expected.extend([0x4a, 16]);
    expected.extend([7; 16]);
    expected.extend([0x52, 8]);
    expected.extend([8; 8]);
    expected.extend([0x59, 2, 0, 0, 0, 0, 0, 0, 0, 0x62, 1, b'e']);
    // Fields come in the order of their declaration or their numbers: both are the same message.
    assert_eq!(LogRecord::decode(expected.as_slice()).unwrap(), record);
    assert_eq!(record.encoded_len(), expected.len());
}

#[test]
fn answers() {
    let rows = [
        (200, Answer::Taken),
        (202, Answer::Taken),
        (301, Answer::Refused),
        (400, Answer::Refused),
        (401, Answer::Refused),
        (404, Answer::Refused),
        (408, Answer::Refused),
        (413, Answer::TooLarge),
        (429, Answer::Again),
        (500, Answer::Refused),
        (502, Answer::Again),
        (503, Answer::Again),
        (504, Answer::Again),
    ];
    for (status, expected) in rows {
        assert_eq!(answer(status), expected, "{status}");
    }
}

#[test]
fn what_is_given_stands_over_what_the_process_is() {
    let given = BTreeMap::from([("service.name".to_owned(), "shop".to_owned())]);
    let names = resource("i", &given).attributes.into_iter();
    let found: Vec<_> = names
        .map(|attribute| (attribute.key, attribute.value))
        .collect();
    let value = |value: &str| Some(AnyValue::of(Any::Text(value.to_owned())));
    assert_eq!(
        found,
        [
            ("service.instance.id".to_owned(), value("i")),
            ("service.name".to_owned(), value("shop")),
            (
                "service.version".to_owned(),
                value(env!("CARGO_PKG_VERSION"))
            ),
        ]
    );
}
