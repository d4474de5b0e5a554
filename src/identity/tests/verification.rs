//! Whether a token is accepted, and the message of its refusal.

use std::sync::Arc;

use aws_lc_rs::{hmac, signature};
use serde_json::{Value, json};

use super::super::*;
use super::signer::{RS256, Signer, base64, rsa_public_der};

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://idp.example.com";
const EXPIRED: &str = "Jwt is expired";
const NOT_YET: &str = "Jwt not yet valid";
const FAILS: &str = "Jwt verification fails";
const NO_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";
const PAYLOAD_JSON: &str = "Jwt payload is an invalid JSON";
const FORMAT: &str =
    "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";

fn verifier(signer: &Signer, audiences: &[&str]) -> Verifier {
    let keys = Arc::new(KeySet::parse(&signer.jwks()).unwrap());
    let audiences: Vec<_> = audiences.iter().map(ToString::to_string).collect();
    Verifier::new(ISSUER, &audiences, keys, &["groups".to_owned()])
}

/// Verifies at `NOW` and compares the message, `""` for an accepted token.
fn check(verifier: &Verifier, token: &str, expected: &str, about: &str) {
    let actual = verifier.verify(token, NOW);
    let actual = actual.map_or_else(|error| error.to_string(), |_| String::new());
    assert_eq!(actual, expected, "{about}");
}

#[test]
fn every_algorithm_is_accepted_with_its_own_key_only() {
    let signers = [
        Signer::rsa("RS256", &signature::RSA_PKCS1_SHA256),
        Signer::rsa("RS384", &signature::RSA_PKCS1_SHA384),
        Signer::rsa("RS512", &signature::RSA_PKCS1_SHA512),
        Signer::rsa("PS256", &signature::RSA_PSS_SHA256),
        Signer::rsa("PS384", &signature::RSA_PSS_SHA384),
        Signer::rsa("PS512", &signature::RSA_PSS_SHA512),
        Signer::es256(),
        Signer::es384(),
        Signer::eddsa(),
    ];
    let claims = json!({"iss": ISSUER, "sub": "alice"});
    for signer in &signers {
        let own = verifier(signer, &[]);
        check(&own, &signer.token(&claims), "", signer.algorithm);
        for other in &signers {
            // The same signature under the name of another algorithm.
            let header = json!({"alg": other.algorithm});
            let token = signer.token_of(header.to_string(), claims.to_string());
            let both = (signer.algorithm, other.algorithm);
            let expected = if both.0 == both.1 { "" } else { FAILS };
            check(&own, &token, expected, &format!("{both:?}"));
        }
    }
}

#[test]
fn headers() {
    let unsupported = "Jwt header [alg] is not supported";
    let required = "Jwt header [alg] field is required and must be a string";
    let kid_type = "Jwt header [kid] field is not a string";
    let json = "Jwt header is an invalid JSON";
    let rows = [
        (r#"{"alg":"RS256"}"#, ""),
        (r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#, ""),
        // An empty key id names no key.
        (r#"{"alg":"RS256","kid":""}"#, ""),
        (r#"{"alg":"RS256","kid":"other"}"#, NO_KEY),
        (r#"{"alg":"RS256","kid":"RSA"}"#, NO_KEY),
        (r#"{"alg":"RS256","kid":"../../dev/null"}"#, NO_KEY),
        (r#"{"alg":"RS256","kid":7}"#, kid_type),
        (r#"{"alg":"RS256","kid":null}"#, kid_type),
        (r#"{"alg":"RS256","kid":["rsa"]}"#, kid_type),
        // Keys that a token brings along are never looked at.
        (
            r#"{"alg":"RS256","jku":"https://evil","jwk":{"kty":"oct"},"x5c":["x"]}"#,
            "",
        ),
        (r#"{"alg":"none"}"#, unsupported),
        (r#"{"alg":"None"}"#, unsupported),
        (r#"{"alg":"NONE"}"#, unsupported),
        (r#"{"alg":"nOnE"}"#, unsupported),
        (r#"{"alg":""}"#, unsupported),
        (r#"{"alg":"rs256"}"#, unsupported),
        (r#"{"alg":"RS256 "}"#, unsupported),
        (r#"{"alg":"ES256K"}"#, unsupported),
        (r#"{"kid":"rsa"}"#, required),
        (r#"{"alg":null}"#, required),
        (r#"{"alg":["RS256"]}"#, required),
        (
            r#"{"alg":"RS256","crit":["exp"]}"#,
            "Jwt header [crit] is not supported",
        ),
        (
            r#"{"alg":"RS256","crit":[]}"#,
            "Jwt header [crit] is not supported",
        ),
        (
            r#"{"alg":"RS256","b64":false}"#,
            "Jwt header [b64] is not supported",
        ),
        (
            r#"{"alg":"RS256","zip":"DEF"}"#,
            "Jwt header [zip] is not supported",
        ),
        (
            r#"{"alg":"RS256","enc":"A128GCM"}"#,
            "Jwt header [enc] is not supported",
        ),
        (r#"{"alg":"RS256","alg":"none"}"#, json),
        (r#"{"alg":"none","alg":"RS256"}"#, json),
        (r#"{"alg":"RS256","x":{"a":1,"a":1}}"#, json),
        (r#"["RS256"]"#, json),
        (r#"{"alg":"RS256"} x"#, json),
        ("", FORMAT),
    ];
    let verifier = verifier(&RS256, &[]);
    let payload = json!({"iss": ISSUER}).to_string();
    for (header, expected) in rows {
        check(
            &verifier,
            &RS256.token_of(header, &payload),
            expected,
            header,
        );
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let verifier = verifier(&RS256, &[]);
    let der = rsa_public_der();
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let secrets: [&[u8]; 4] = [&der, pem.as_bytes(), RS256.jwks().as_bytes(), b""].map(|secret| {
        let secret: &'static [u8] = secret.to_vec().leak();
        secret
    });
    for (name, algorithm) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        for secret in secrets {
            let header = json!({"alg": name, "kid": "rsa"}).to_string();
            let payload = json!({"iss": ISSUER}).to_string();
            let signed = format!("{}.{}", base64(header), base64(payload));
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
            check(&verifier, &format!("{signed}.{}", base64(tag)), FAILS, name);
        }
    }
}

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
    let verify = |claims, now| verifier.verify(&token(claims), now).map(drop);
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
fn tokens_have_three_parts_in_strict_base64url() {
    let good = RS256.token(&json!({"iss": ISSUER}));
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        panic!("{good}")
    };
    let header_base64 = "Jwt header is an invalid Base64url encoded";
    let payload_base64 = "Jwt payload is an invalid Base64url encoded";
    let signature_base64 = "Jwt signature is an invalid Base64url encoded";
    // 256 bytes leave four bits of the last character unused.
    let (start, last) = signature.split_at(signature.len() - 1);
    let other_bits = match last {
        "A" => "B",
        "Q" => "R",
        "g" => "h",
        _ => "x",
    };
    let tampered = base64(json!({"iss": ISSUER, "sub": "root"}).to_string());
    let zeros = base64([0; 256]);
    let rows = [
        (good.clone(), ""),
        (String::new(), FORMAT),
        ("abc".to_owned(), FORMAT),
        ("..".to_owned(), FORMAT),
        (format!("{header}.{payload}"), FORMAT),
        (format!("{header}.{payload}."), FORMAT),
        (format!("{header}..{signature}"), FORMAT),
        (format!(".{payload}.{signature}"), FORMAT),
        (format!("{good}."), FORMAT),
        (format!("{good}.x.y"), FORMAT),
        (".".repeat(1 << 20), FORMAT),
        ("a".repeat(1 << 20), FORMAT),
        (
            format!("a.b.{}", "c".repeat(61_436)),
            "Jwt header is an invalid Base64url encoded",
        ),
        (format!("a.b.{}", "c".repeat(61_437)), "Jwt is too long"),
        (format!("{header}=.{payload}.{signature}"), header_base64),
        (format!(" {good}"), header_base64),
        (format!("{header}.{payload}=.{signature}"), payload_base64),
        (format!("{header}.{payload} .{signature}"), payload_base64),
        (format!("{good}="), signature_base64),
        (format!("{good}=="), signature_base64),
        (format!("{good} "), signature_base64),
        (format!("{good}\n"), signature_base64),
        (format!("{header}.{payload}.a+b/"), signature_base64),
        (
            format!("{header}.{payload}.{start}{other_bits}"),
            signature_base64,
        ),
        (format!("{header}.{tampered}.{signature}"), FAILS),
        (format!("{header}.{payload}.{zeros}"), FAILS),
        (format!("{header}.{payload}.AA"), FAILS),
    ];
    let verifier = verifier(&RS256, &[]);
    for (token, expected) in rows {
        check(&verifier, &token, expected, &token[..token.len().min(2000)]);
    }
}

#[test]
fn elliptic_signatures_of_other_forms_fail() {
    let signer = Signer::es256();
    let verifier = verifier(&signer, &[]);
    let good = signer.token(&json!({"iss": ISSUER}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    // 30 06 02 01 00 02 01 00: the same zeros as DER.
    let der = [0x30, 6, 2, 1, 0, 2, 1, 0];
    for signature in [
        base64([0; 64]),
        base64([0xff; 64]),
        base64(der),
        base64([1]),
    ] {
        check(
            &verifier,
            &format!("{signed}.{signature}"),
            FAILS,
            &signature,
        );
    }
}

#[test]
fn edwards_signatures_have_their_length() {
    let signer = Signer::eddsa();
    let good = signer.token(&json!({"iss": ISSUER}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let length = "Jwt ED25519 signature is wrong length";
    for (bytes, expected) in [(63, length), (64, FAILS), (65, length)] {
        let token = format!("{signed}.{}", base64(vec![1; bytes]));
        check(
            &verifier(&signer, &[]),
            &token,
            expected,
            &bytes.to_string(),
        );
    }
}

#[test]
fn what_a_verified_token_tells() {
    let signer = Signer::es256();
    let claims = json!({"iss": ISSUER, "sub": "alice", "exp": NOW, "scope": " a  b ",
        "permission": "p", "groups": "x y", "empty": "", "other": "x y", "nested": {"scope": "a b"}});
    let token = signer.token(&claims);
    let verified = verifier(&signer, &[]).verify(&token, NOW).unwrap();
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
        let verified = verifier(&signer, &[])
            .verify(&signer.token(&claims), NOW)
            .unwrap();
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
