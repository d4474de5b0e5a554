//! What a request can be like so that something secret in it is not found.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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

/// In whatever a path and query can be written.
#[test]
fn secrets_in_targets_are_found() {
    const SECRET: &str = "c4n4ry";
    let token = "eyJhbGciOiJIUzI1NiJ9.c4n4ry.c2ln";
    let aws = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c4n4ry%2F20260101%2Fs3\
               &X-Amz-Date=1&X-Amz-Signature=c4n4ry&X-Amz-Security-Token=c4n4ry";
    let rows = [
        // URLs in URLs.
        "/x?next=https%3A%2F%2Fy%2F%3Ftoken%3Dc4n4ry",
        "/x?next=https%253A%252F%252Fy%252F%253Ftoken%253Dc4n4ry",
        "/x?next=https://y/?token=c4n4ry",
        "/x?next=%2Fy%3Fa%3D1%26code%3Dc4n4ry",
        "/x?a%3D1%26access_token%3Dc4n4ry",
        "/x/https%3A%2F%2Fy%2F%3Faccess_token%3Dc4n4ry",
        "/x/https%253A%252F%252Fy%252F%253Faccess_token%253Dc4n4ry%252Fc4n4ry",
        "/x/https:%2F%2Fy%3Faccess_token=c4n4ry",
        // Names escaped once, twice, and more often than anybody would.
        "/x?access%5Ftoken=c4n4ry",
        "/x?access%255Ftoken=c4n4ry",
        "/x?%2570assword=c4n4ry",
        "/x?%2525252525252570assword=c4n4ry",
        "/x?q=%2525252525252570assword%25252525252525253Dc4n4ry",
        // Other ways to write names.
        "/x?ACCESS.TOKEN=c4n4ry",
        "/x?x+api+key=c4n4ry",
        "/x?user[password]=c4n4ry",
        "/x?user%5Bpassword%5D=c4n4ry",
        "/x?accessKey=c4n4ry",
        "/x?privateKey=c4n4ry",
        "/x?subscription-key=c4n4ry",
        "/x?subscriptionKey=c4n4ry",
        "/x?new_pwd=c4n4ry",
        "/x?pin=c4n4ry",
        "/x?PHPSESSID=c4n4ry",
        "/x?SAMLResponse=c4n4ry",
        "/x?ticket=c4n4ry",
        // Signed URLs.
        &format!("/x?{aws}"),
        "/x?sv=2026&sr=b&sig=c4n4ry&se=1",
        "/x?X-Goog-Signature=c4n4ry&X-Goog-Credential=c4n4ry",
        "/x?Expires=1&Signature=c4n4ry",
        // Passwords of URLs.
        "/x?u=https%3A%2F%2Fuser%3Ac4n4ry%40host%2F",
        "/x/https://user:c4n4ry@host/",
        "/x/https%3A%2F%2Fuser%3Ac4n4ry%40host%2F",
        "https://c4n4ry@host/x",
        "https://user:c4n4ry@host/x?a=b",
        // JSON.
        "/x?filter={\"password\":\"c4n4ry\"}",
        "/x?filter={\"password\":\"a&c4n4ry\"}",
        "/x?filter=%7B%22password%22%3A%22c4n4ry%22%7D",
        "/x?filter=%7B%22p\\u0061ssword%22%3A%22c4n4ry%22%7D",
        "/x?filter=%7B%22p%5Cu0061ssword%22%3A%22c4n4ry%22%7D",
        "/x?filter=%7B%22a%22%3A%22%7B%5C%22password%5C%22%3A%5C%22c4n4ry%5C%22%7D%22%7D",
        "/x/%7B%22password%22%3A%22a%2Fc4n4ry%22%7D",
        // GraphQL, and what needs no quotes.
        "/x?query=mutation%7Blogin(password:%22c4n4ry%22)%7Bid%7D%7D",
        "/x?q=(password:c4n4ry)",
        // Segments and their parameters.
        "/x/y;jsessionid=c4n4ry",
        "/x/y;jsessionid=c4n4ry/c4n4ry",
        "/x/token=c4n4ry/y",
        &format!("/x/{token}/y"),
        &format!("/x/{}/y", token.replace('.', "%252E")),
        "/x/ghp_c4n4ryc4n4ryc4n4ry/y",
        "/x?a=ghp_c4n4ryc4n4ryc4n4ry",
        "/x?a=Bearer%20c4n4ry",
        "/x?a=Bearer+c4n4ry",
        "/x?a=b#id_token=c4n4ry",
        "/x#/callback?code=c4n4ry",
    ];
    for path in rows {
        for in_header in [false, true] {
            let record = match in_header {
                false => posted(path, &[], "text/plain", ""),
                true => posted("/", &[("referer", path), ("x-any", path)], "text/plain", ""),
            };
            let shown = shown_in(Scope::default(), record).to_string();
            assert!(!shown.contains(SECRET), "{path}: {shown}");
            assert!(shown.contains("\"input\""), "{path}: {shown}");
        }
    }
}

/// What is no secret stays as it is.
#[test]
fn what_is_no_secret_is_shown() {
    for path in [
        "/v1/secrets:list?a=b",
        "/x/secret/y?q=a:b&time=12:30:00",
        "/users/alice@example.com?mail=bob@example.com",
        "/x?next=https%3A%2F%2Fy%2F%3Fa%3Db",
        "/x/https://y/z",
        "/x;v=1/y;w=2",
        "/x?filter=%7B%22name%22%3A%22c%22%7D",
        "/x?q=the%20token%20is",
        "/x?percent=100%25",
        "/x?q=visual+basic+for+tokens",
        "/x?primaryKey=7&monkey=1",
    ] {
        let headers = [
            ("accept", "text/html,application/xml;q=0.9"),
            ("forwarded", "for=192.0.2.1;proto=https;host=\"a:80\""),
            (
                "sec-ch-ua",
                "\"Not=A?Brand\";v=\"8\", \"Chromium\";v=\"120\"",
            ),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko",
            ),
            ("x-envoy-peer-metadata-id", "sidecar~10.0.0.1~a.b~b.svc"),
            (
                "x-goog-authenticated-user-email",
                "accounts.google.com:alice@example.com",
            ),
            ("idempotency-key", "4f1c"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("host", "auth:8080"),
            ("x-message", "the token expired, ask for basic training"),
            ("x-principal", "spiffe://td/ns/session/sa/token"),
        ];
        let shown = shown_in(Scope::default(), posted(path, &headers, "text/plain", ""));
        assert_eq!(shown["request"]["path"], path);
        let http = &shown["input"]["attributes"]["request"]["http"];
        assert_eq!(http["path"], path);
        for (name, value) in headers {
            assert_eq!(shown["request"]["headers"][name], value);
            assert_eq!(http["headers"][name], value);
        }
        assert_eq!(shown.get("masked"), None, "{shown}");
    }
}

/// By whatever name, and under whatever.
#[test]
fn secrets_in_headers_are_found() {
    for (name, value) in [
        ("x_api_key", "c4n4ry"),
        ("X-Api-Key", "c4n4ry"),
        ("x-original-authorization", "c4n4ry"),
        ("proxy_authorization", "c4n4ry"),
        ("x-cookie", "c4n4ry"),
        ("x-forwarded-client-cert", "Hash=c4n4ry"),
        ("x-any", "Bearer c4n4ry"),
        ("x-any", "basic c4n4ry"),
        (
            "x-any",
            "Digest username=\"u\", response=\"c4n4ry\", signature=\"c4n4ry\"",
        ),
        (
            "x-any",
            "AWS4-HMAC-SHA256 Credential=c4n4ry, Signature=c4n4ry",
        ),
        ("x-any", "user=u; password=c4n4ry"),
        ("x-any", "{\"password\": \"a/c4n4ry\"}"),
        ("x-any", "password: c4n4ry"),
        ("x-any", "password:c4n4ry"),
        ("x-any", "password:\"c4n4ry\""),
        ("x-any", "token ghp_c4n4ryc4n4ryc4n4ry"),
        ("x-any", "key hvs.c4n4ryc4n4ryc4n4ry"),
        ("x-any", "x=1,ghp_c4n4ryc4n4ryc4n4ry"),
        ("x-any", "a, Bearer c4n4ryabc"),
        ("x-any", "foo bearer c4n4ryabc bar"),
        ("x-any", "foo Basic c4n4ryabc bar"),
        ("x-any", "Token c4n4ry"),
        ("ocp-apim-subscription-key", "c4n4ry"),
        ("x-functions-key", "c4n4ry"),
        ("x-amz-server-side-encryption-customer-key", "c4n4ry"),
        ("dd-application-key", "c4n4ry"),
        ("x-any", "postgres://user:c4n4ry@db/x"),
        ("x-any", "<https://y/?token=c4n4ry>; rel=next"),
        ("baggage", "a=1,session=c4n4ry"),
        ("link", "<https://user:c4n4ry@y/>"),
        (":authority", "user:c4n4ry@shop.example"),
        ("host", "user:c4n4ry@shop.example"),
    ] {
        let mut record = posted("/x", &[(name, value)], "text/plain", "");
        let http = record.attributes.request.as_mut().unwrap().http.as_mut();
        http.unwrap().host = "user:c4n4ry@shop.example".to_owned();
        let shown = shown_in(Scope::default(), record).to_string();
        assert!(!shown.contains("c4n4ry"), "{name}: {shown}");
        assert!(shown.contains("@shop.example"), "{shown}");
    }
}

/// A body as it came is kept only where all of it was read.
#[test]
fn secrets_in_bodies_are_found() {
    let multipart = "multipart/form-data; boundary=b";
    let json = "application/json";
    let part = "--b\r\ncontent-disposition: form-data; name=a";
    for (kind, body) in [
        (
            multipart,
            format!("{part}; filename=c4n4ry\r\n\r\n1\r\n--b--\r\n"),
        ),
        (
            multipart,
            format!("{part}\r\nx-secret: c4n4ry\r\n\r\n1\r\n--b--\r\n"),
        ),
        (
            multipart,
            format!("c4n4ry\r\n{part}\r\n\r\n1\r\n--b--\r\nc4n4ry"),
        ),
        (
            multipart,
            format!("{part}\r\n\r\n1\r\n--b\r\n\r\nc4n4ry\r\n--b--\r\n"),
        ),
        (
            json,
            r#"{"query": "mutation { login(password: \"c4n4ry\") { id } }"}"#.to_owned(),
        ),
        (
            json,
            r#"{"query": "q", "variables": {"password": "c4n4ry"}}"#.to_owned(),
        ),
        (json, r#"{"p\u0061ssword": "c4n4ry"}"#.to_owned()),
        (
            json,
            r#"{"payload": "{\"password\": \"c4n4ry\"}"}"#.to_owned(),
        ),
        (json, r#"{"payload": "a=1&password=c4n4ry"}"#.to_owned()),
        (
            json,
            r#"[{"name": "password", "value": "c4n4ry"}]"#.to_owned(),
        ),
        (json, r#"{"url": "https://u:c4n4ry@y/"}"#.to_owned()),
        (
            json,
            r#"{"a": "-----BEGIN PRIVATE KEY-----\nc4n4ry"}"#.to_owned(),
        ),
        (json, r#"{"password=c4n4ry": 1}"#.to_owned()),
        (
            "application/x-www-form-urlencoded",
            "p%2561ssword=c4n4ry".to_owned(),
        ),
        (
            "application/x-www-form-urlencoded",
            "a=%7B%22password%22:%22c4n4ry%22%7D".to_owned(),
        ),
    ] {
        for is_raw in [false, true] {
            let mut record = posted("/x", &[], kind, &body);
            let http = record
                .attributes
                .request
                .as_mut()
                .unwrap()
                .http
                .as_mut()
                .unwrap();
            if is_raw {
                http.raw_body = std::mem::take(&mut http.body).into();
            }
            let shown = shown_in(Scope::default(), record);
            let http = &shown["input"]["attributes"]["request"]["http"];
            if let Some(raw) = http["rawBody"].as_str() {
                let raw = STANDARD.decode(raw).unwrap();
                assert!(
                    !String::from_utf8(raw).unwrap().contains("c4n4ry"),
                    "{body}"
                );
            }
            assert!(!shown.to_string().contains("c4n4ry"), "{body}: {shown}");
            assert!(
                shown["input"].get("parsed_body").is_some(),
                "{body}: {shown}"
            );
            let is_said = shown.get("masked").is_some() || shown.get("erased").is_some();
            assert!(is_said, "{body}: {shown}");
        }
    }
}

/// Fields that no descriptor has, and messages after the first.
#[test]
fn messages_are_not_kept_as_they_came() {
    let shown = |body: Vec<u8>| {
        let mut record = posted("/x", &[], "application/grpc", "");
        let http = record.attributes.request.as_mut().unwrap().http.as_mut();
        http.unwrap().raw_body = body.into();
        shown_in(Scope::default(), record)
    };
    let shown = shown(b"\0\0\0\0\x08\x0a\x06c4n4ry".to_vec());
    let http = &shown["input"]["attributes"]["request"]["http"];
    assert_eq!(http.get("rawBody"), None);
    assert_eq!(
        shown["erased"],
        json!(["/input/attributes/request/http/rawBody"])
    );
}

/// What is wrong with a request is told with words of the request.
#[test]
fn reasons_tell_no_secrets() {
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
    for kind in [ReasonKind::InvalidRequest, ReasonKind::RegoError] {
        let mut record = posted("/x", &[], "text/plain", "");
        let why = format!("parsing \"{TOKEN}\": invalid syntax");
        record.decision = Arc::new(Decision::deny(400, Reason::new(kind, why)));
        let shown = shown_in(Scope::default(), record).to_string();
        assert!(!shown.contains("eyJ"), "{shown}");
    }
}
