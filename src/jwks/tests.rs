//! What can be told without a server: documents, times, and what is kept of a fetch.
//! Fetching itself is tested in `tests/jwks.rs` with the whole program.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use url::Url;

use super::fetch::{jwks_uri, parse};
use super::*;
use crate::fetch::FetchError;
use crate::identity::tests::signer::{RS256, Signer};
use crate::telemetry::KeyFetch;

#[test]
fn fetches_are_spread_and_failures_thin_them_out() {
    let schedule = |interval| Schedule {
        interval: Duration::from_secs(interval),
        cool_down: Duration::from_secs(30),
    };
    let seconds = Duration::from_secs_f64;
    let rows = [
        // Failures in a row, and the shortest and longest pause for an interval of 20 minutes.
        (0, seconds(1080.0), seconds(1200.0)),
        (1, seconds(0.5), seconds(1.0)),
        (2, seconds(1.0), seconds(2.0)),
        (3, seconds(2.0), seconds(4.0)),
        (11, seconds(512.0), seconds(1024.0)),
        (12, seconds(600.0), seconds(1200.0)),
        (100, seconds(600.0), seconds(1200.0)),
        (u32::MAX, seconds(600.0), seconds(1200.0)),
    ];
    for (failures, shortest, longest) in rows {
        let schedule = schedule(1200);
        assert_eq!(schedule.pause(failures, u8::MAX), shortest, "{failures}");
        assert_eq!(schedule.pause(failures, 0), longest, "{failures}");
    }
    assert_eq!(schedule(1).pause(5, 0), Duration::from_secs(1));
}

#[test]
fn documents_that_are_no_key_set() {
    let format = "the answer is not a JSON Web Key Set";
    let mut private = RS256.jwk.clone();
    private["d"] = json!("AQ");
    let rows: [(Vec<u8>, &str); 9] = [
        (RS256.jwks().into(), ""),
        (Vec::new(), format),
        (b"<html>".to_vec(), format),
        (b"\xff".to_vec(), format),
        (br#"{"keys":"root:x:0:0"}"#.to_vec(), format),
        (b"[]".to_vec(), format),
        (
            br#"{"keys":[]}"#.to_vec(),
            "the key set has no usable public key",
        ),
        (
            br#"{"keys":[{"kty":"oct","kid":"s","k":"c2VjcmV0"}]}"#.to_vec(),
            "the key set has no usable public key: s is symmetric",
        ),
        (
            json!({"keys": [RS256.jwk, private]}).to_string().into(),
            "the key set key rsa holds private key material",
        ),
    ];
    for (body, expected) in rows {
        let actual = parse(&body).map_or_else(|error| error.message(), |_| String::new());
        assert_eq!(actual, expected, "{}", body.escape_ascii());
    }
}

#[test]
fn messages_are_short_and_of_one_line() {
    let kid = format!("a\r\nb{}", "c".repeat(1000));
    let body = json!({"keys": [{"kty": "oct", "kid": kid}]}).to_string();
    let message = parse(body.as_bytes()).unwrap_err().message();
    assert!(
        message.starts_with("the key set has no usable public key: abccc"),
        "{message}"
    );
    assert_eq!(message.chars().count(), 200);
}

#[test]
fn where_a_provider_says_its_keys_are() {
    let lacks = "the provider's metadata lacks `jwks_uri`";
    let rows = [
        (r#"{"jwks_uri":"https://b/keys"}"#, "https://b/keys"),
        (r#"{"jwks_uri":7}"#, lacks),
        ("{}", lacks),
        ("[]", lacks),
        ("", lacks),
        (
            r#"{"jwks_uri":"http://b/keys"}"#,
            "`jwks_uri` of the provider's metadata leads from https to http",
        ),
        (
            r#"{"jwks_uri":"file:///etc/passwd"}"#,
            "`jwks_uri` of the provider's metadata is neither `http` nor `https`",
        ),
        (
            r#"{"jwks_uri":"https://u:p@b/"}"#,
            "`jwks_uri` of the provider's metadata holds a user name or password",
        ),
    ];
    let from = Url::parse("https://a/.well-known/openid-configuration").unwrap();
    for (metadata, expected) in rows {
        let actual = jwks_uri(metadata.as_bytes(), &from);
        let actual = actual.map_or_else(|error| error.message(), String::from);
        assert_eq!(actual, expected, "{metadata}");
    }
    let plain = Url::parse("http://a/").unwrap();
    assert!(jwks_uri(br#"{"jwks_uri":"http://b/keys"}"#, &plain).is_ok());
}

#[test]
fn a_set_is_replaced_only_by_another_good_one() {
    let source = Source::new(KeySource::at("https://a/keys?secret=1").unwrap());
    let time = |second| Timestamp::from_second(second).unwrap();
    let (first, second) = (RS256.jwk.clone(), Signer::es256().jwk);
    let set = |keys: serde_json::Value| parse(json!({ "keys": keys }).to_string().as_bytes());
    let spaced = format!("{{ \"other\": 1, \"keys\": [{second}, {first}] }}");
    let failure = || Err(FetchError::Status(StatusCode::INTERNAL_SERVER_ERROR).into());
    let (both, one) = (vec!["ec", "rsa"], vec!["ec"]);
    let rows = [
        (failure(), KeyFetch::Failure, vec![], Some(1)),
        (
            set(json!([first, second])),
            KeyFetch::Changed,
            both.clone(),
            None,
        ),
        (
            set(json!([first, second])),
            KeyFetch::Unchanged,
            both.clone(),
            None,
        ),
        (
            parse(spaced.as_bytes()),
            KeyFetch::Unchanged,
            both.clone(),
            None,
        ),
        (failure(), KeyFetch::Failure, both.clone(), Some(5)),
        (set(json!([])), KeyFetch::Failure, both, Some(6)),
        (set(json!([second])), KeyFetch::Changed, one, None),
    ];
    assert!(source.keys().set.is_none());
    for (at, (result, expected, key_ids, failed)) in (1..).zip(rows) {
        let outcome = source.record(result, Duration::from_secs(10), time(at));
        assert_eq!(outcome, expected, "{at}");
        let status = source.status();
        assert_eq!(status.uri, "https://a/keys");
        assert_eq!(status.key_ids, key_ids, "{at}");
        assert_eq!(status.keys, key_ids.len(), "{at}");
        assert_eq!(source.keys().set.is_some(), !key_ids.is_empty(), "{at}");
        assert_eq!(
            status.last_error.map(|error| error.time),
            failed.map(time),
            "{at}"
        );
        assert_eq!(status.next_attempt, Some(time(at + 10)), "{at}");
    }
    assert_eq!(source.status().last_success, Some(time(7)));
}

#[test]
fn settings_that_cannot_be_meant() {
    let spans = [
        (Span::from_secs(1), 0),
        (Span::from_secs(30 * 86_400), 0),
        (Span::from_millis(999), 2),
        (Span::from_secs(0), 2),
        (Span::from_secs(30 * 86_400 + 1), 2),
    ];
    for (span, problems) in spans {
        let config = Config {
            refresh_interval: span,
            cool_down: span,
        };
        assert_eq!(config.problems().len(), problems, "{span}");
    }
    assert!(Config::default().problems().is_empty());
}
