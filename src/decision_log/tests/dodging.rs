//! What a request can be like so that something secret in it is not found.

use super::inputs::{posted, scope, shown_in};
use super::*;

/// No request gets around masks by what it is like.
#[test]
fn masks_are_not_dodged() {
    const SECRET: &str = "c4n4ry";
    let check = |what: &str, pointer: &str, record: Sample| {
        let shown = shown_in(scope(&[pointer]), record).to_string();
        assert!(!shown.contains(SECRET), "{what}: {shown}");
    };
    let plain = "text/plain";
    let query = "/input/parsed_query/ssn";
    for path in ["/x?ssn=c4n4ry", "/x?ssn=c4n4ry&a=;", "/x?ssn=c4n4ry&a=%zz"] {
        check(path, query, posted(path, &[], plain, ""));
    }
    let unread = posted("/x?ssn=c4n4ry", &[], "application/json", "{");
    check("a body that is no JSON", query, unread);
    let segment = posted("/x/c4n4ry?a=%zz", &[], plain, "");
    check(
        "a query that cannot be read",
        "/input/parsed_path/1",
        segment,
    );
    let mut lines = posted("/x", &[], plain, "");
    if let Some(http) = lines
        .attributes
        .request
        .as_mut()
        .and_then(|it| it.http.as_mut())
    {
        http.headers = Headers::new(
            Vec::new(),
            Some(vec![(
                "X-Ssn".to_owned(),
                Bytes::from_static(SECRET.as_bytes()),
            )]),
        );
    }
    let header = "/input/attributes/request/http/headers/x-ssn";
    check("headers as lines", header, lines);
    let failing = posted("/x?a=%zz", &[("x-request-id", SECRET)], plain, "");
    check("an id of a request", query, failing);
}

/// By their names and looks, with nothing configured.
#[test]
fn secrets_are_found_wherever_they_stand() {
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
    let check = |record: Sample, secret: &str| {
        let shown = shown_in(Scope::default(), record).to_string();
        assert!(!shown.contains(secret), "{shown}");
        assert!(shown.contains("/x"), "{shown}");
    };
    let json = "application/json";
    check(posted(&format!("/x?{TOKEN}"), &[], "text/plain", ""), TOKEN);
    check(
        posted(&format!("/x?{TOKEN}=1"), &[], "text/plain", ""),
        TOKEN,
    );
    check(
        posted("/x", &[], json, &format!("{{\"{TOKEN}\": 1}}")),
        TOKEN,
    );
    for body in [
        r#"{"password": "c4n4ry", "password": null}"#,
        r#"{"user": {"password": "c4n4ry"}, "user": 1}"#,
        r#"{"a": [{"password": "c4n4ry", "password": 1}]}"#,
    ] {
        check(posted("/x", &[], json, body), "c4n4ry");
        // Nor if the proxy tells headers as lines.
        let mut lines = posted("/x", &[], json, body);
        if let Some(http) = lines
            .attributes
            .request
            .as_mut()
            .and_then(|it| it.http.as_mut())
        {
            let kind = (
                "content-type".to_owned(),
                Bytes::from_static(b"application/json"),
            );
            http.headers = Headers::new(Vec::new(), Some(vec![kind]));
        }
        check(lines, "c4n4ry");
    }
    // What is not read as JSON first of all stays as it was.
    let body = r#"{"a": "x: y, \"b\": {", "c": [{"d": 1}]}"#;
    let shown = shown_in(Scope::default(), posted("/x", &[], json, body));
    assert_eq!(
        shown["input"]["attributes"]["request"]["http"]["body"],
        body
    );
}

/// Until a bundle comes nobody knows what it would mask.
#[test]
fn what_a_missing_bundle_would_mask_is_not_shown() {
    let mut record = posted("/x?secret=1", &[], "text/plain", "");
    let sources = PolicySources {
        lacks_bundle: true,
        ..PolicySources::default()
    };
    let settings = record.policies.settings.clone();
    record.policies = Arc::new(PolicySet::compile(sources, &settings).unwrap());
    let shown = shown_in(Scope::default(), record);
    assert_eq!(shown["mask_error"], "bundle_missing");
    assert!(shown.get("input").is_none(), "{shown}");
}
