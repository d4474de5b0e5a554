//! What a token may claim: types, times, audiences; and what is told of one that was verified.

use serde_json::{Value, json};

use super::signer::{RS256, Signer};
use super::*;

const EXPIRED: &str = "Jwt is expired";
const NOT_YET: &str = "Jwt not yet valid";
const PAYLOAD_JSON: &str = "Jwt payload is an invalid JSON";

#[test]
fn claims_of_the_wrong_type() {
    let exp = "Jwt payload [exp] field is not an integer";
    let exp_sign = "Jwt payload [exp] field is not a positive 64 bit integer";
    let aud = "Jwt payload [aud] field is not a string or string list";
    let issuer = "Jwt issuer is not configured";
    // Members beside a good issuer.
    let rows = [
        (r#""exp":1700000000"#, ""),
        (r#""exp":1.7e9"#, ""),
        (
            r#""exp":9999999999,"iat":1,"nbf":2,"jti":"x","sub":"a""#,
            "",
        ),
        (
            r#""exp":18446744073709551615"#,
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        (r#""exp":"9""#, exp),
        (r#""exp":"9999999999""#, exp),
        (r#""exp":[9999999999]"#, exp),
        (r#""exp":{}"#, exp),
        (r#""exp":null"#, exp),
        (r#""exp":true"#, exp),
        (r#""exp":-1"#, exp_sign),
        (r#""exp":1e300"#, exp_sign),
        (r#""exp":18446744073709551616"#, exp_sign),
        (r#""exp":1e400"#, PAYLOAD_JSON),
        (r#""exp":NaN"#, PAYLOAD_JSON),
        (r#""nbf":"1""#, "Jwt payload [nbf] field is not an integer"),
        (
            r#""nbf":-1"#,
            "Jwt payload [nbf] field is not a positive 64 bit integer",
        ),
        (r#""iat":"1""#, "Jwt payload [iat] field is not an integer"),
        (r#""sub":7"#, "Jwt payload [sub] field is not a string"),
        (r#""sub":null"#, "Jwt payload [sub] field is not a string"),
        (r#""jti":7"#, "Jwt payload [jti] field is not a string"),
        (r#""aud":{}"#, aud),
        (r#""aud":7"#, aud),
        (r#""aud":["a",7]"#, aud),
        (r#""aud":[["a"]]"#, aud),
        (r#""aud":[]"#, ""),
        // A repeated member means one thing to one reader and another to the next.
        (r#""role":"user","role":"admin""#, PAYLOAD_JSON),
        (r#""iss":"https://idp.example.com""#, PAYLOAD_JSON),
        (r#""a":{"b":[{"c":1,"c":1}]}"#, PAYLOAD_JSON),
        (r#""a":"\ud800""#, PAYLOAD_JSON),
        ("", PAYLOAD_JSON),
    ];
    let verifier = verifier(&RS256, &[]);
    let header = json!({"alg": "RS256"}).to_string();
    for (members, expected) in rows {
        let payload = format!("{{\"iss\":\"{ISSUER}\",{members}}}");
        check(
            &verifier,
            &RS256.token_of(&header, payload),
            expected,
            members,
        );
    }
    // Numbers of any length and size are read in no time, and none becomes another.
    let digits = "9".repeat(400);
    let fraction = format!("1700000000.{}", "9".repeat(400));
    let huge = [
        digits.as_str(),
        "1e2000000",
        "-1e2000000",
        "1e99999999999999999999",
    ];
    for name in ["exp", "nbf", "iat", "level"] {
        let refused = huge.map(|number| (number, PAYLOAD_JSON));
        // What is too small for a double is next to nothing, and never the 0 that never expires.
        let tiny = if name == "exp" { EXPIRED } else { "" };
        let rows = [("1e-2000000", tiny), (fraction.as_str(), "")];
        for (number, expected) in refused.into_iter().chain(rows) {
            let payload = format!("{{\"iss\":\"{ISSUER}\",\"{name}\":{number}}}");
            let token = RS256.token_of(&header, &payload);
            check(&verifier, &token, expected, &payload);
        }
    }
    let nested = |levels| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!("{{\"iss\":\"{ISSUER}\",\"a\":{open}{close}}}")
    };
    // The object itself is the first of 64 levels.
    let (deep, deeper, deepest) = (nested(63), nested(64), nested(200));
    let whole: [(&[u8], &str); 12] = [
        (br#"{"iss":7}"#, "Jwt payload [iss] field is not a string"),
        (
            br#"{"iss":["https://idp.example.com"]}"#,
            "Jwt payload [iss] field is not a string",
        ),
        (
            br#"{"iss":null}"#,
            "Jwt payload [iss] field is not a string",
        ),
        (br#"{"iss":"https://idp.example.com/"}"#, issuer),
        (br#"{"iss":"HTTPS://idp.example.com"}"#, issuer),
        (b"{}", issuer),
        (b"[]", PAYLOAD_JSON),
        (b"\"x\"", PAYLOAD_JSON),
        (b"{\"a\":\"\xff\"}", PAYLOAD_JSON),
        (deep.as_bytes(), ""),
        (deeper.as_bytes(), PAYLOAD_JSON),
        (deepest.as_bytes(), PAYLOAD_JSON),
    ];
    for (payload, expected) in whole {
        let about = String::from_utf8_lossy(payload);
        check(
            &verifier,
            &RS256.token_of(&header, payload),
            expected,
            &about,
        );
    }
}

#[test]
fn times_have_a_tolerance_of_a_minute() {
    let rows = [
        (json!({}), ""),
        (json!({"exp": NOW}), ""),
        (json!({"exp": NOW - 60}), ""),
        (json!({"exp": NOW - 61}), EXPIRED),
        (json!({"exp": 1}), EXPIRED),
        // Zero is no expiry.
        (json!({"exp": 0}), ""),
        // Not the 0 that never expires, though Envoy cuts it to that.
        (json!({"exp": 0.9}), EXPIRED),
        (json!({"exp": 1e-300}), EXPIRED),
        (json!({"exp": -0.0}), EXPIRED),
        // Fractions are cut off.
        (json!({"exp": (NOW - 60) as f64 + 0.5}), ""),
        (json!({"exp": (NOW - 61) as f64 + 0.9}), EXPIRED),
        (json!({"nbf": NOW + 60}), ""),
        (json!({"nbf": (NOW + 60) as f64 + 0.9}), ""),
        (json!({"nbf": NOW + 61}), NOT_YET),
        (json!({"nbf": u64::MAX - 4_096}), NOT_YET),
        (json!({"nbf": NOW + 61, "exp": 1}), NOT_YET),
        // When it was issued is of no meaning.
        (json!({"iat": NOW + 9999}), ""),
    ];
    let verifier = verifier(&RS256, &[]);
    for (mut claims, expected) in rows {
        claims["iss"] = ISSUER.into();
        check(
            &verifier,
            &RS256.token(&claims),
            expected,
            &claims.to_string(),
        );
        // The issuer comes before the times.
        claims["iss"] = "other".into();
        check(
            &verifier,
            &RS256.token(&claims),
            "Jwt issuer is not configured",
            "issuer",
        );
    }
}

#[test]
fn a_clock_at_either_end_overflows_nothing() {
    let verifier = verifier(&RS256, &[]);
    let token = |claims: Value| RS256.token(&claims);
    let verify = |claims, now| verify(&verifier, &token(claims), now).map(drop);
    assert_eq!(verify(json!({"iss": ISSUER, "exp": 1}), 0), Ok(()));
    assert_eq!(verify(json!({"iss": ISSUER, "nbf": 60}), 0), Ok(()));
    assert_eq!(
        verify(
            json!({"iss": ISSUER, "exp": u64::MAX - 4_096}),
            u64::MAX - 4_096
        ),
        Ok(())
    );
    let expired = verify(json!({"iss": ISSUER, "exp": NOW}), u64::MAX);
    assert_eq!(expired, Err(TokenError::Expired));
}

#[test]
fn audiences() {
    let denied = "Audiences in Jwt are not allowed";
    let rows: &[(&[&str], Value, &str)] = &[
        (&[], json!(null), ""),
        (&[], json!("any"), ""),
        (&["api"], json!(null), denied),
        (&["api"], json!([]), denied),
        (&["api"], json!("api"), ""),
        (&["api"], json!("API"), denied),
        (&["api"], json!("apis"), denied),
        (&["api"], json!(["other", "api"]), ""),
        (&["web", "api"], json!("api"), ""),
        // Scheme and one trailing slash are left aside, on both sides.
        (&["https://api.example.com/"], json!("api.example.com"), ""),
        (&["api.example.com"], json!("http://api.example.com/"), ""),
        (
            &["http://api.example.com"],
            json!("https://api.example.com"),
            "",
        ),
        (&["api.example.com"], json!("api.example.com//"), denied),
        (&["api.example.com"], json!("ftp://api.example.com"), denied),
        (
            &["api.example.com"],
            json!("https://https://api.example.com"),
            denied,
        ),
        (&["api.example.com/v1"], json!("api.example.com"), denied),
        // Nothing is left of these, which makes them no equals.
        (&["https://"], json!("https://"), ""),
        (&["https://"], json!("http://"), denied),
        (&["https://"], json!("/"), denied),
        (&["https://"], json!(""), denied),
    ];
    for (allowed, audience, expected) in rows {
        let mut claims = json!({"iss": ISSUER});
        if !audience.is_null() {
            claims["aud"] = audience.clone();
        }
        let verifier = verifier(&RS256, allowed);
        let about = format!("{allowed:?} {audience}");
        check(&verifier, &RS256.token(&claims), expected, &about);
    }
}

#[test]
fn what_a_verified_token_tells() {
    let signer = Signer::es256();
    let claims = json!({"iss": ISSUER, "sub": "alice", "exp": NOW, "scope": " a  b ",
        "permission": "p", "groups": "x y", "empty": "", "other": "x y", "nested": {"scope": "a b"}});
    let token = signer.token(&claims);
    let verified = verify(&verifier(&signer, &[]), &token, NOW).unwrap();
    assert_eq!(
        verified.principal().as_deref(),
        Some("https://idp.example.com/alice")
    );
    assert_eq!(verified.accepted_until(), Some(NOW + 60));
    assert_eq!(Some(verified.payload()), token.split('.').nth(1));
    let rows = [
        ("scope", json!(["a", "b"])),
        // Nothing to split.
        ("empty", json!("")),
        ("permission", json!(["p"])),
        ("groups", json!(["x", "y"])),
        ("other", json!("x y")),
        ("nested", json!({"scope": "a b"})),
    ];
    for (name, expected) in rows {
        assert_eq!(verified.claims().get(name), Some(&expected), "{name}");
    }
    for (name, expected) in claims.as_object().unwrap() {
        let path = [name.clone()];
        assert_eq!(verified.written_claim(&path), Some(expected), "{name}");
    }
    let nested = ["nested", "scope"].map(str::to_owned);
    assert_eq!(verified.written_claim(&nested), Some(&json!("a b")));
    for (claims, expected) in [
        (json!({"iss": ISSUER}), None),
        (json!({"iss": ISSUER, "sub": ""}), None),
        (
            json!({"iss": ISSUER, "sub": "a/b"}),
            Some("https://idp.example.com/a/b"),
        ),
    ] {
        let verified = verify(&verifier(&signer, &[]), &signer.token(&claims), NOW).unwrap();
        assert_eq!(verified.principal().as_deref(), expected);
        assert_eq!(verified.accepted_until(), None);
    }
}

#[test]
fn only_a_wrong_audience_is_forbidden() {
    assert_eq!(TokenError::Audience.status(), 403);
    for error in [TokenError::Expired, TokenError::NoKey, TokenError::Format] {
        assert_eq!(error.status(), 401, "{error}");
    }
}
