//! Which keys of a set are used, and which of them for a token.

use std::sync::Arc;

use aws_lc_rs::signature;
use serde_json::{Value, json};

use super::super::*;
use super::signer::{RS256, Signer, base64};
use super::verify;

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// `RS256`'s key with some members changed.
fn rsa_with(changes: Value) -> Value {
    with(&RS256.jwk, changes)
}

#[expect(clippy::needless_pass_by_value, reason = "rows are built in place")]
fn with(key: &Value, changes: Value) -> Value {
    let mut key = key.clone();
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

#[test]
fn keys_that_cannot_verify_are_left_out() {
    let (es256, es384, es512, ed) = (
        Signer::es256().jwk,
        Signer::es384().jwk,
        Signer::es512().jwk,
        Signer::eddsa().jwk,
    );
    let weak = |bits: usize| {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        base64(modulus)
    };
    let exponent = "rsa has an unusable exponent";
    let length = "ec has a coordinate of the wrong length";
    let off_curve = "ec is no point of its curve";
    let small = "ed is a point of small order: anybody can sign for it";
    // An encoded point, by its lowest, its middle and its highest byte.
    let point = |lowest: u8, middle: u8, highest: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (lowest, highest);
        bytes
    };
    let rows = [
        (rsa_with(json!({})), ""),
        (
            rsa_with(json!({"use": "sig", "key_ops": ["sign", "verify"], "alg": "PS512"})),
            "",
        ),
        (rsa_with(json!({"x5c": ["ignored"], "unknown": 1})), ""),
        // Some issuers pad, and some write a leading zero byte.
        (rsa_with(json!({"e": "AQAB=="})), ""),
        (rsa_with(json!({"e": base64([0, 1, 0, 1])})), ""),
        (rsa_with(json!({"use": "enc"})), "rsa is not for signatures"),
        (rsa_with(json!({"use": ""})), "rsa is not for signatures"),
        (
            rsa_with(json!({"key_ops": []})),
            "rsa is not for verification",
        ),
        (
            rsa_with(json!({"key_ops": ["sign"]})),
            "rsa is not for verification",
        ),
        (
            rsa_with(json!({"alg": "ES256"})),
            "rsa is bound to algorithm `ES256`, which is not its own",
        ),
        (
            rsa_with(json!({"alg": "HS256"})),
            "rsa is bound to algorithm `HS256`, which is not its own",
        ),
        (
            rsa_with(json!({"alg": "none"})),
            "rsa is bound to algorithm `none`, which is not its own",
        ),
        (
            rsa_with(json!({"n": weak(512)})),
            "rsa has a modulus of 512 bits",
        ),
        (
            rsa_with(json!({"n": weak(2047)})),
            "rsa has a modulus of 2047 bits",
        ),
        (rsa_with(json!({"n": weak(2048)})), ""),
        (rsa_with(json!({"n": weak(8192)})), ""),
        (
            rsa_with(json!({"n": weak(8193)})),
            "rsa has a modulus of 8193 bits",
        ),
        (
            rsa_with(json!({"n": "AAAA"})),
            "rsa has a modulus of 0 bits",
        ),
        (
            rsa_with(json!({"n": "!"})),
            "rsa has a `n` that is not base64url",
        ),
        (rsa_with(json!({"n": null})), "rsa lacks `n`"),
        (rsa_with(json!({"e": null})), "rsa lacks `e`"),
        (rsa_with(json!({"e": "AQ"})), exponent),
        (rsa_with(json!({"e": "Ag"})), exponent),
        (rsa_with(json!({"e": "Aw"})), ""),
        (rsa_with(json!({"e": ""})), exponent),
        (rsa_with(json!({"e": base64([0xff; 9])})), exponent),
        (rsa_with(json!({"kid": "k".repeat(256)})), ""),
        (
            rsa_with(json!({"kid": "k".repeat(257)})),
            &format!("{} has a key id over 256 bytes", "k".repeat(257)),
        ),
        (
            json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}),
            "s is symmetric",
        ),
        (
            json!({"kty": "none"}),
            "#0 has type `none`, which is not supported",
        ),
        (es256.clone(), ""),
        (es384.clone(), ""),
        (es512.clone(), ""),
        (with(&es512, json!({"alg": "ES512"})), ""),
        (
            with(&es512, json!({"alg": "ES256"})),
            "ec is bound to algorithm `ES256`, which is not its own",
        ),
        (with(&es512, json!({"x": base64([1; 65])})), length),
        (with(&es512, json!({"x": es512["y"]})), off_curve),
        (with(&es256, json!({"x": es256["y"]})), off_curve),
        (with(&es384, json!({"x": es384["y"]})), off_curve),
        (ed.clone(), ""),
        (with(&es256, json!({"alg": "ES256"})), ""),
        (
            with(&es256, json!({"alg": "ES384"})),
            "ec is bound to algorithm `ES384`, which is not its own",
        ),
        (with(&es256, json!({"crv": "P-384"})), length),
        (with(&es384, json!({"crv": "P-256"})), length),
        (
            with(&es256, json!({"crv": "secp256k1"})),
            "ec has type `EC` with curve `secp256k1`, which is not supported",
        ),
        (with(&es256, json!({"y": null})), "ec lacks `y`"),
        (
            with(&ed, json!({"crv": "X25519"})),
            "ed has type `OKP` with curve `X25519`, which is not supported",
        ),
        (
            with(&ed, json!({"x": base64([9; 31])})),
            "ed has a coordinate of the wrong length",
        ),
        (with(&ed, json!({"x": base64(point(0, 0, 0))})), small),
        (with(&ed, json!({"x": base64(point(0, 0, 0x80))})), small),
        (with(&ed, json!({"x": base64(point(1, 0, 0))})), small),
        (with(&ed, json!({"x": base64(point(1, 0, 0x80))})), small),
        (
            with(&ed, json!({"x": base64(point(0xec, 0xff, 0x7f))})),
            small,
        ),
        (
            with(&ed, json!({"x": base64(point(0xed, 0xff, 0xff))})),
            small,
        ),
        (
            with(&ed, json!({"x": base64(point(0xee, 0xff, 0x7f))})),
            small,
        ),
        (
            with(
                &ed,
                json!({"x": "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU"}),
            ),
            small,
        ),
        (
            with(
                &ed,
                json!({"x": "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA_o"}),
            ),
            small,
        ),
        (with(&ed, json!({"x": base64(point(2, 0, 0))})), ""),
        (with(&ed, json!({"x": base64(point(0xeb, 0xff, 0x7f))})), ""),
    ];
    for (key, expected) in rows {
        let actual = KeySet::parse(&set(std::slice::from_ref(&key)));
        let expected = match expected {
            "" => Ok(()),
            why => Err(KeySetError::NoUsableKey(format!(": {why}"))),
        };
        assert_eq!(actual.map(drop), expected, "{key}");
        // Beside a good one it does no harm.
        let good = rsa_with(json!({"kid": "good"}));
        let both = KeySet::parse(&set(&[key.clone(), good])).unwrap();
        assert!(both.key_ids().contains("good"), "{key}");
        assert_eq!(
            both.key_ids().len(),
            1 + usize::from(expected.is_ok()),
            "{key}"
        );
    }
}

#[test]
fn sets_that_are_refused_whole() {
    let private = |member: &str| {
        let key = rsa_with(json!({"kid": "leaked", member: "AQ"}));
        set(&[RS256.jwk.clone(), key])
    };
    let many: Vec<_> = (0..101).map(|_| RS256.jwk.clone()).collect();
    let rows = [
        (set(&[]), "has no usable public key"),
        (set(&many), "has 101 keys, more than 100"),
        (private("d"), "key leaked holds private key material"),
        (private("p"), "key leaked holds private key material"),
        (private("q"), "key leaked holds private key material"),
        (
            "{}".to_owned(),
            "is not a JSON Web Key Set: missing field `keys` at line 1 column 2",
        ),
        (
            "{\"keys\":{}}".to_owned(),
            "is not a JSON Web Key Set: invalid type: map, expected a sequence at line 1 column 8",
        ),
    ];
    for (text, expected) in rows {
        let actual = KeySet::parse_published(&text).map(drop).unwrap_err();
        assert_eq!(actual.to_string(), expected);
    }
    // In a policy, the key's public half is used and its user warned.
    let set_in_policy = KeySet::parse(&private("d")).unwrap();
    assert_eq!(set_in_policy.private_key(), Some("leaked"));
    assert!(KeySet::parse(&set(&many[1..])).is_ok());
    for text in [
        "",
        "null",
        "[]",
        "<html>",
        "{\"keys\":[7]}",
        "{\"keys\":[]} x",
    ] {
        let actual = KeySet::parse(text);
        assert!(
            matches!(actual, Err(KeySetError::Format(_))),
            "{text}: {actual:?}"
        );
    }
}

#[test]
fn a_token_chooses_neither_key_nor_algorithm() {
    let other = Signer::es256();
    let own = Signer::es256();
    let kid = |signer: &Signer, kid: Value| with(&signer.jwk, json!({ "kid": kid }));
    let ps256 = Signer::rsa("PS256", &signature::RSA_PSS_SHA256);
    let bound = rsa_with(json!({"alg": "RS256"}));
    let eight = vec![kid(&other, Value::Null); 8];
    let seven = eight[1..].to_vec();
    let last = |mut keys: Vec<Value>| {
        keys.push(kid(&own, Value::Null));
        keys
    };
    let (ok, fails, no_key) = (Ok(()), Err(TokenError::Signature), Err(TokenError::NoKey));
    let rows: Vec<(
        &str,
        &Signer,
        Option<&str>,
        Vec<Value>,
        Result<(), TokenError>,
    )> = vec![
        ("same id", &own, Some("a"), vec![kid(&own, json!("a"))], ok),
        (
            "other id",
            &own,
            Some("b"),
            vec![kid(&own, json!("a"))],
            no_key,
        ),
        (
            "token without id",
            &own,
            None,
            vec![kid(&own, json!("a"))],
            ok,
        ),
        (
            "key without id",
            &own,
            Some("b"),
            vec![kid(&own, Value::Null)],
            ok,
        ),
        (
            "id of another key",
            &own,
            Some("a"),
            vec![kid(&other, json!("a")), kid(&own, json!("b"))],
            fails,
        ),
        (
            "one id, two keys",
            &own,
            Some("a"),
            vec![kid(&other, json!("a")), kid(&own, json!("a"))],
            ok,
        ),
        ("another key", &own, None, vec![other.jwk.clone()], fails),
        (
            "another type of key",
            &own,
            None,
            vec![RS256.jwk.clone()],
            fails,
        ),
        ("bound elsewhere", &ps256, None, vec![bound.clone()], no_key),
        ("bound here", &RS256, None, vec![bound], ok),
        ("eighth key", &own, None, last(seven), ok),
        // More are not tried, or a token could cost as many checks as there are keys.
        ("ninth key", &own, None, last(eight), fails),
    ];
    for (about, signer, kid, keys, expected) in rows {
        let keys = Keys::Given(Arc::new(KeySet::parse(&set(&keys)).unwrap()));
        let verifier = Verifier::new("i", &[], keys, &[]);
        let mut header = json!({"alg": signer.algorithm});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let token = signer.token_of(header.to_string(), r#"{"iss":"i"}"#);
        assert_eq!(verify(&verifier, &token, 0).map(drop), expected, "{about}");
    }
}
