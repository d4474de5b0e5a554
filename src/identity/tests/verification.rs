//! Whether a token is of the right form and signed by a key of its issuer, and the message of its
//! refusal. What it claims is left to `claims`.

use aws_lc_rs::{hmac, signature};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::signer::{RS256, Signer, base64, rsa_public_der};
use super::*;

const FAILS: &str = "Jwt verification fails";
const NO_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";
const FORMAT: &str =
    "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";

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
        Signer::es512(),
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
        (r#"{"alg":1}"#, required),
        (r#"{"alg":1e2000000}"#, json),
        (r#"{"alg":true}"#, required),
        (r#"{"alg":{"RS256":1}}"#, required),
        (r#"{"alg":"RS256","kid":[]}"#, kid_type),
        (r#"{"alg":"RS256","kid":{}}"#, kid_type),
        // What the type is, nobody asks.
        (r#"{"alg":"RS256","typ":{},"cty":[1]}"#, ""),
        (
            r#"{"alg":"RS256","crit":["exp"]}"#,
            "Jwt header [crit] is not supported",
        ),
        (
            r#"{"alg":"RS256","crit":[]}"#,
            "Jwt header [crit] is not supported",
        ),
        (
            r#"{"alg":"RS256","crit":null}"#,
            "Jwt header [crit] is not supported",
        ),
        (
            r#"{"alg":"RS256","crit":"exp"}"#,
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
        ("7", json),
        ("null", json),
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
    for (signer, length) in [
        (Signer::es256(), 64),
        (Signer::es384(), 96),
        (Signer::es512(), 132),
    ] {
        let verifier = verifier(&signer, &[]);
        let good = signer.token(&json!({"iss": ISSUER}));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let signature = base64::Engine::decode(&URL_SAFE_NO_PAD, signature).unwrap();
        assert_eq!(signature.len(), length);
        // 30 06 02 01 00 02 01 00: zeros as DER.
        let der = vec![0x30, 6, 2, 1, 0, 2, 1, 0];
        let longer = [signature.as_slice(), &[0]].concat();
        for bad in [
            vec![0; length],
            vec![0xff; length],
            der,
            vec![1],
            signature[1..].to_vec(),
            longer,
        ] {
            let token = format!("{signed}.{}", base64(&bad));
            check(&verifier, &token, FAILS, &format!("{bad:?}"));
        }
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
