//! From protobuf's JSON to attributes.

use serde_json::{Value, json};

use super::super::{from_input, from_json};
use crate::policy::rego::{InputSettings, input_document};

#[test]
fn a_request_is_read_as_if_a_proxy_had_sent_it() {
    let attributes = from_json(&json!({"attributes": {
        "source": {"principal": "spiffe://td/ns/a/sa/b",
            "address": {"socketAddress": {"address": "10.0.0.7", "portValue": 1}}},
        "request": {"time": "2023-11-14T22:13:20Z", "http": {
            "method": "GET", "path": "/a?b", "headers": {"x-a": "1"},
            "headerMap": {"headers": [{"key": "x-a", "rawValue": "/w=="}]}}},
        "contextExtensions": {"doorward.namespace": "shop"},
        "tlsSession": {"sni": "web.example"}}}))
    .unwrap();
    let http = attributes.http().unwrap();
    assert_eq!((http.method.as_str(), http.path.as_str()), ("GET", "/a?b"));
    assert_eq!(http.headers.values("x-a").next(), Some(&b"\xff"[..]));
    assert_eq!(attributes.source_principal(), "spiffe://td/ns/a/sa/b");
    assert_eq!(attributes.source_ip().unwrap().to_string(), "10.0.0.7");
    assert_eq!(attributes.server_name(), Some("web.example"));
    assert_eq!(
        attributes.context_extension("doorward.namespace"),
        Some("shop")
    );
    let time = attributes.request.unwrap().time.unwrap();
    assert_eq!(time.seconds, 1_700_000_000);
}

#[test]
fn what_the_message_does_not_have_is_refused() {
    let rows: [(Value, &str); 3] = [
        (json!({"attribute": {}}), "unrecognized field name"),
        (json!({"attributes": {"source": 1}}), "invalid type"),
        (json!([]), "invalid type"),
    ];
    for (json, expected) in rows {
        let why = from_json(&json).unwrap_err();
        assert!(why.contains(expected), "{json}: {why}");
    }
}

/// What Rego saw of a request is the request, but for what is not kept.
#[test]
fn an_input_document_is_read_back() {
    let sent = json!({"attributes": {
        "source": {"principal": "spiffe://td/ns/a/sa/b", "labels": {"a": "b"},
            "address": {"socketAddress": {"address": "10.0.0.7", "portValue": 1, "protocol": "UDP"}}},
        "destination": {"address": {"pipe": {"path": "/p", "mode": 7}}},
        "request": {"time": "2023-11-14T22:13:20.5Z", "http": {
            "method": "POST", "path": "/a?b", "headers": {"x-a": "1", "content-type": "application/json"},
            "headerMap": {"headers": [{"key": "x-a", "rawValue": "/w=="}]},
            "size": "-1", "host": "h", "scheme": "https", "body": "{\"n\": 1}", "rawBody": "eyJuIjogMX0="}},
        "metadataContext": {"filterMetadata": {"f": {"k": [1, "v", null, {"a": 1.5}]}}},
        "contextExtensions": {"doorward.namespace": "shop"},
        "tlsSession": {"sni": "web.example"}}});
    let attributes = from_json(&sent).unwrap();
    let document = input_document(&attributes, &InputSettings::default()).unwrap();
    let document: Value = serde_json::from_str(&document.to_json().unwrap()).unwrap();
    assert_eq!(document["parsed_body"], json!({"n": 1}));
    assert_eq!(from_input(&document).unwrap(), attributes);

    // Also where path and body cannot be read.
    let mut broken = attributes;
    let http = broken.request.as_mut().unwrap().http.as_mut().unwrap();
    http.path = "/%zz?a=%zz".to_owned();
    http.body = "{".to_owned();
    let document = input_document(&broken, &InputSettings::default()).unwrap_err();
    let document: Value = serde_json::from_str(&document.to_json().unwrap()).unwrap();
    assert_eq!(from_input(&document).unwrap(), broken);

    for (document, expected) in [
        (json!({"version": {"ext_authz": "v2"}}), "version 3"),
        (json!({"attributes": {"request": {"time": "now"}}}), "time"),
        (json!({"attributes": {"requests": {}}}), "unrecognized"),
    ] {
        let why = from_input(&document).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}
