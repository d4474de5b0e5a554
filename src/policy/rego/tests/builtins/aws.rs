use super::*;

const TIME: &str = "1451311705000000000";

fn config(change: &str) -> String {
    let all = r#"{"aws_access_key": "MYAWSACCESSKEYGOESHERE",
        "aws_secret_access_key": "MYAWSSECRETACCESSKEYGOESHERE",
        "aws_service": "s3", "aws_region": "us-east-1"}"#;
    format!("object.union({all}, {change})").replace('\n', " ")
}

fn signed(request: &str, change: &str) -> Option<Json> {
    let config = config(change);
    result(&format!(
        "providers.aws.sign_req({request}, {config}, {TIME})"
    ))
}

fn signature(request: &str, change: &str) -> String {
    let signed = signed(request, change).unwrap();
    let authorization = signed["headers"]["Authorization"].as_str().unwrap();
    authorization.split("Signature=").nth(1).unwrap().to_owned()
}

#[test]
fn a_request_is_signed_over_its_parts() {
    let plain = r#"{"method": "GET", "url": "https://example.com/a"}"#;
    // Each is signed, so each makes another signature.
    let different = [
        r#"{"method": "PUT", "url": "https://example.com/a"}"#,
        r#"{"method": "GET", "url": "https://example.org/a"}"#,
        r#"{"method": "GET", "url": "https://example.com/b"}"#,
        r#"{"method": "GET", "url": "https://example.com/a?b=c"}"#,
        r#"{"method": "GET", "url": "https://example.com/a", "headers": {"x": "y"}}"#,
        r#"{"method": "GET", "url": "https://example.com/a", "body": {}}"#,
        r#"{"method": "GET", "url": "https://example.com/a", "raw_body": "x"}"#,
    ];
    for request in different {
        assert_ne!(
            signature(request, "{}"),
            signature(plain, "{}"),
            "{request}"
        );
    }
    // These are not.
    let same = [
        r#"{"method": "GET", "url": "http://example.com/a"}"#,
        r#"{"method": "GET", "url": "https://example.com/a#b"}"#,
        r#"{"method": "GET", "url": "https://example.com/a", "headers": {"User-Agent": "x"}}"#,
        r#"{"method": "GET", "url": "https://example.com/a", "headers": {"AUTHORIZATION": "x"}}"#,
        r#"{"method": "GET", "url": "https://example.com/a", "raw_body": 1, "body": 2}"#,
    ];
    for request in same {
        assert_eq!(
            signature(request, "{}"),
            signature(plain, "{}"),
            "{request}"
        );
    }
    for change in [
        r#"{"aws_secret_access_key": "other"}"#,
        r#"{"aws_region": "eu-west-1"}"#,
        r#"{"aws_service": "sqs"}"#,
        r#"{"aws_session_token": "t"}"#,
        r#"{"disable_payload_signing": true}"#,
    ] {
        assert_ne!(signature(plain, change), signature(plain, "{}"), "{change}");
    }
}

#[test]
fn headers_that_are_added() {
    let request = r#"{"method": "get", "url": "https://u:p@example.com:8443/", "timeout": "1s",
        "headers": {"Host": "other", "X-Number": 1}}"#
        .replace('\n', " ");
    let headers = signed(&request, r#"{"aws_session_token": "token"}"#).unwrap();
    assert_eq!(headers["timeout"], json!("1s"));
    let headers = &headers["headers"];
    assert_eq!(headers["host"], json!("example.com:8443"));
    assert_eq!(headers["Host"], json!("other"));
    assert_eq!(headers["X-Number"], json!(""));
    assert_eq!(headers["x-amz-date"], json!("20151228T140825Z"));
    assert_eq!(headers["x-amz-security-token"], json!("token"));
    let headers = signed(&request, r#"{"aws_service": "sqs"}"#).unwrap();
    assert_eq!(headers["headers"].get("x-amz-content-sha256"), None);
}

/// The digest is that of the JSON which Go writes.
#[test]
fn bodies() {
    let digest = |body: &str| {
        let request = format!(r#"{{"method": "PUT", "url": "https://example.com", {body}}}"#);
        signed(&request, "{}").unwrap()["headers"]["x-amz-content-sha256"].clone()
    };
    let rows = [
        (
            r#""body": {"b": [1, {2}], "a": null}"#,
            r#"{"a":null,"b":[1,[2]]}"#,
        ),
        (r#""body": "<&>""#, r#""\u003c\u0026\u003e""#),
        (r#""raw_body": "<&>""#, "<&>"),
    ];
    for (body, text) in rows {
        let expected = result(&format!("crypto.sha256({})", quoted(text)));
        assert_eq!(Some(digest(body)), expected, "{body}");
    }
}

#[test]
fn requests_that_cannot_be_signed() {
    let request = r#"{"method": "get", "url": "https://example.com"}"#;
    for bad in [
        r#"{"url": "https://example.com"}"#,
        r#"{"method": "get"}"#,
        r#"{"method": 1, "url": "https://example.com"}"#,
        r#"{"method": "get", "url": 1}"#,
        r#"{"method": "get", "url": "://"}"#,
        r#"{"method": "get", "url": "https://example.com/%zz"}"#,
        r#"{"method": "get", "url": "https://example.com", "headers": []}"#,
        r#"{"method": "get", "url": "https://example.com", "other": 1}"#,
        r#"{"method": "get", "url": "https://example.com", 1: 1}"#,
        "[]",
    ] {
        assert_eq!(signed(bad, "{}"), None, "{bad}");
    }
    for change in [
        r#"{"aws_region": 1}"#,
        r#"{"aws_service": null}"#,
        r#"{"disable_payload_signing": "true"}"#,
    ] {
        assert_eq!(signed(request, change), None, "{change}");
    }
    let config = config("{}");
    for time in ["-1", "1.5", "\"1\"", "null", "99999999999999999999"] {
        let call = format!("providers.aws.sign_req({request}, {config}, {time})");
        assert_eq!(result(&call), None, "{time}");
    }
    let call = format!("providers.aws.sign_req({request}, {{\"aws_region\": \"r\"}}, {TIME})");
    assert_eq!(result(&call), None);
}

#[test]
fn long_numbers_are_signed_with_all_their_digits() {
    let of = |id: &str| {
        let request = format!(
            r#"{{"method": "post", "url": "https://example.com", "body": {{"id": {id}}}}}"#
        );
        signed(&request, "{}").unwrap()["headers"].clone()
    };
    let (one, two) = (
        of("100000000000000000000001"),
        of("100000000000000000000002"),
    );
    assert_ne!(one, two);
}
