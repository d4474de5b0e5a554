//! What records tell of what was masked, as policies may read it.

use serde_json::{Value, json};

use super::inputs::{posted, shown_in};
use super::*;
use crate::decision_log::{hidden_in, workload_name};
use crate::policy::{Hidden, Names};

/// Places part by part, each with all names that it may mean; `header NAME` is a header.
fn hidden(places: &[&[&[&str]]], headers: &[&str]) -> Hidden {
    let mut hidden = Hidden::default();
    for place in places {
        let names = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        hidden.add(place.iter().map(names).collect::<Vec<Names>>());
    }
    headers.iter().for_each(|name| hidden.add_header(name));
    hidden
}

#[test]
fn masks_are_read_from_records() {
    const H: [&[&str]; 4] = [&["attributes"], &["request"], &["http"], &["headers"]];
    let header = |name| [H[0], H[1], H[2], H[3], name];
    let line = "/input/attributes/request/http/headerMap/headers/1/rawValue";
    let lines = json!({"attributes": {"request": {"http": {"headerMap": {"headers": [
        {"key": "x-a"}, {"key": "Authorization"}]}}}}});
    let rows: Vec<(Value, Hidden)> = vec![
        (json!({}), Hidden::default()),
        (
            json!({"masked": ["/result/headers/a", "/nd_builtin_cache/x"]}),
            Hidden::default(),
        ),
        (
            json!({"masked": ["/input/attributes/request/http/headers/a"]}),
            hidden(&[&header(&["a"])], &[]),
        ),
        (
            json!({"erased": ["/input/attributes/request/http/headers/a%2Db"]}),
            hidden(&[&header(&["a%2Db", "a-b"])], &[]),
        ),
        // A name that was masked may be any.
        (
            json!({"masked": ["/input/attributes/request/http/headers/**"]}),
            hidden(&[&header(&[])], &[]),
        ),
        (
            json!({"masked": [line], "input": lines}),
            hidden(&[], &["Authorization"]),
        ),
        // Where a line is gone, others have its number.
        (
            json!({"masked": [line], "input": lines,
                "erased": ["/input/attributes/request/http/headerMap/headers/0"]}),
            hidden(
                &[
                    &[H[0], H[1], H[2], &["headerMap"], &["headers"], &["0"]],
                    &[
                        H[0],
                        H[1],
                        H[2],
                        &["headerMap"],
                        &["headers"],
                        &["1"],
                        &["rawValue"],
                    ],
                ],
                &[],
            ),
        ),
        (json!({"masked": [1]}), Hidden::everything()),
        (json!({"masked": "all"}), Hidden::everything()),
        (json!({"erased": ["no pointer"]}), Hidden::everything()),
        (
            json!({"erased": [format!("/input/{}", "x".repeat(5_000))]}),
            Hidden::everything(),
        ),
    ];
    for (record, expected) in rows {
        assert_eq!(hidden_in(&record), expected, "{record}");
    }
}

/// As the log's own masks leave them.
#[test]
fn masked_lines_are_known_by_their_headers() {
    let mut record = posted("/x", &[], "text/plain", "");
    let http = record.attributes.request.as_mut();
    let lines = [("Authorization", "Bearer abcd"), ("x-role", "admin")];
    let lines = lines.map(|(name, value)| {
        let value = Bytes::from_static(value.as_bytes());
        (name.to_owned(), value)
    });
    http.and_then(|it| it.http.as_mut()).unwrap().headers =
        Headers::new(Vec::new(), Some(lines.into()));
    let shown = shown_in(Scope::default(), record);
    let masked = json!(["/input/attributes/request/http/headerMap/headers/0/rawValue"]);
    assert_eq!(shown["masked"], masked, "{shown}");
    assert_eq!(hidden_in(&shown), hidden(&[], &["Authorization"]));
}

#[test]
fn workloads_have_the_name_they_are_best_known_by() {
    for (workload, expected) in [
        (
            json!({"namespace": "shop", "labels": {"app": "cart"}}),
            Some("shop/cart"),
        ),
        (json!({"namespace": "shop"}), Some("shop/*")),
        (json!(1), None),
        (Value::Null, None),
    ] {
        let name = workload_name(&json!({ "workload": workload }));
        assert_eq!(name.as_deref(), expected);
    }
}
