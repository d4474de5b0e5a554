use super::*;
use crate::identity::tests::signer::{RS256, Signer, base64, rsa_public_der};

const SECRET: &str = r#"{"kty": "oct", "k": "c2VjcmV0"}"#;

fn hs256(claims: &str) -> String {
    encode(r#"{"alg": "HS256", "typ": "JWT"}"#, claims)
}

fn encode(header: &str, claims: &str) -> String {
    let token = result(&format!("io.jwt.encode_sign({header}, {claims}, {SECRET})"));
    token.unwrap().as_str().unwrap().to_owned()
}

fn verified(token: &str, constraints: &str) -> Option<bool> {
    let constraints = constraints.trim();
    result(&format!("io.jwt.decode_verify(\"{token}\", {constraints})")).map(|answer| {
        let valid = answer[0].as_bool().unwrap();
        assert!(valid || answer == json!([false, {}, {}]), "{answer}");
        valid
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    use ::base64::Engine as _;
    let body = ::base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// No number becomes another one.
#[test]
fn numbers_are_signed_with_all_their_digits() {
    let claims = r#"{"n": 123456789012345678901234567890, "m": -18446744073709551617, "<": 0.5}"#;
    let key = r#"{"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#;
    let token = format!(r#"io.jwt.encode_sign({{"alg": "HS256"}}, {claims}, {key})"#);
    let payload = format!("base64url.decode(split({token}, \".\")[1])");
    let expected = r#"{"\u003c":0.5,"m":-18446744073709551617,"n":123456789012345678901234567890}"#;
    assert_eq!(result(&payload), Some(json!(expected)));
}

#[test]
fn tokens_are_taken_apart() {
    let token = hs256(r#"{"sub": "alice"}"#);
    let decoded = result(&format!("io.jwt.decode(\"{token}\")")).unwrap();
    assert_eq!(decoded[0], json!({"alg": "HS256", "typ": "JWT"}));
    assert_eq!(decoded[1], json!({"sub": "alice"}));
    assert_eq!(decoded[2].as_str().unwrap().len(), 64);
    let header = base64(r#"{"alg":"HS256"}"#);
    let bad = [
        String::new(),
        "a".to_owned(),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        format!("!!.{}.AA", base64("{}")),
        format!("{header}.{}.AA", base64("not JSON")),
        format!("{header}.{}.AA", base64("[1]")),
        format!("{}.{}.AA", base64("nope"), base64("{}")),
        format!("{}.{}.AA", base64(r#"{"enc":"A128GCM"}"#), base64("{}")),
        format!("{header}.{}.!", base64("{}")),
        format!("{}.{}.AA", base64(r#"{"cty":"JWT"}"#), base64("abc")),
    ];
    for token in bad {
        assert_eq!(
            result(&format!("io.jwt.decode({})", quoted(&token))),
            None,
            "{token}"
        );
    }
    assert_eq!(result("io.jwt.decode(1)"), None);
}

#[test]
fn a_token_that_came_before_is_taken_apart_as_at_first() {
    let [header, claims, others] =
        [r#"{"alg":"HS256"}"#, r#"{"n":1.50}"#, r#"{"n":2}"#].map(base64);
    let check = |token: String, expected: Option<serde_json::Value>| {
        let query = format!("io.jwt.decode({})", quoted(&token));
        for time in ["first", "second", "third"] {
            assert_eq!(result(&query), expected, "{token} for the {time} time");
        }
    };
    let decoded = |n, signature| Some(json!([{"alg": "HS256"}, {"n": n}, signature]));
    check(format!("{header}.{claims}.AA"), decoded(1.5, "00"));
    // Only the signature is another one, or none.
    check(format!("{header}.{claims}.AQ"), decoded(1.5, "01"));
    check(format!("{header}.{claims}."), decoded(1.5, ""));
    check(format!("{header}.{claims}.!"), None);
    check(
        format!("{header}.{others}.AA"),
        Some(json!([{"alg": "HS256"}, {"n": 2}, "00"])),
    );
    // The period stands elsewhere.
    check(format!("{header}{claims}..AA"), None);
}

#[test]
fn tokens_inside_of_tokens_have_a_bound() {
    let nested = |depth| {
        let wrap =
            |inner: String, _| format!("{}.{}.AA", base64(r#"{"cty":"JWT"}"#), base64(inner));
        let innermost = format!("{}.{}.AA", base64("{}"), base64(r#"{"a":1}"#));
        (0..depth).fold(innermost, wrap)
    };
    let decode = |depth| format!("io.jwt.decode(\"{}\")[1]", nested(depth));
    assert_eq!(result(&decode(3)), Some(json!({"a": 1})));
    assert_eq!(
        refusal(&decode(9)),
        "a token inside of more than 8 others is refused"
    );
    let long = format!("io.jwt.decode(\"{}\")", "a".repeat(70_000));
    assert_eq!(
        refusal(&long),
        "a token of more than 65536 bytes is refused"
    );
}

#[test]
fn signatures_of_every_algorithm() {
    let rsa = [
        ("RS384", &aws_lc_rs::signature::RSA_PKCS1_SHA384),
        ("RS512", &aws_lc_rs::signature::RSA_PKCS1_SHA512),
        ("PS256", &aws_lc_rs::signature::RSA_PSS_SHA256),
        ("PS384", &aws_lc_rs::signature::RSA_PSS_SHA384),
        ("PS512", &aws_lc_rs::signature::RSA_PSS_SHA512),
    ];
    let mut signers: Vec<_> = rsa
        .into_iter()
        .map(|(name, encoding)| Signer::rsa(name, encoding))
        .collect();
    signers.extend([
        Signer::es256(),
        Signer::es384(),
        Signer::es512(),
        Signer::eddsa(),
    ]);
    for signer in &signers {
        let name = signer.algorithm.to_lowercase();
        let token = signer.token(&json!({"sub": "alice"}));
        let (start, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{start}.{}", base64(vec![7; signature.len() * 3 / 4]));
        for key in [signer.jwks(), signer.jwk.to_string()] {
            let verify = |token: &str| {
                let key = quoted(&key);
                let call = format!("io.jwt.verify_{name}(\"{token}\", {key})");
                (
                    result(&call),
                    verified(token, &format!("{{\"cert\": {key}}}")),
                )
            };
            assert_eq!(verify(&token), (Some(json!(true)), Some(true)), "{name}");
            assert_eq!(verify(&forged), (Some(json!(false)), Some(false)), "{name}");
        }
        // The key of another algorithm is not an error, and verifies nothing.
        let others = format!("io.jwt.verify_hs256(\"{token}\", \"secret\")");
        assert_eq!(result(&others), Some(json!(false)));
    }
    for name in ["HS256", "HS384", "HS512"] {
        let token = encode(&format!("{{\"alg\": \"{name}\"}}"), "{}");
        let verify = |secret: &str| {
            let name = name.to_lowercase();
            result(&format!("io.jwt.verify_{name}(\"{token}\", \"{secret}\")"))
        };
        assert_eq!(
            (verify("secret"), verify("other")),
            (Some(json!(true)), Some(json!(false)))
        );
    }
}

#[test]
fn keys_are_not_confused() {
    let key = pem("PUBLIC KEY", &rsa_public_der());
    let cert = quoted(&key);
    let token = RS256.token(&json!({}));
    assert_eq!(
        verified(&token, &format!("{{\"cert\": {cert}}}")),
        Some(true)
    );
    // A token signed with the text of the public key as a shared secret.
    let k = base64(&key);
    let forged = result(&format!(
        "io.jwt.encode_sign({{\"alg\": \"HS256\"}}, {{}}, {{\"kty\": \"oct\", \"k\": \"{k}\"}})"
    ));
    let forged = forged.unwrap().as_str().unwrap().to_owned();
    assert_eq!(
        verified(&forged, &format!("{{\"cert\": {cert}}}")),
        Some(false)
    );
    let call = format!("io.jwt.verify_rs256(\"{forged}\", {cert})");
    assert_eq!(result(&call), Some(json!(false)));
    let none = format!("{}.{}.", base64(r#"{"alg":"none"}"#), base64("{}"));
    for constraints in [
        format!("{{\"cert\": {cert}}}"),
        "{\"secret\": \"s\"}".to_owned(),
    ] {
        assert_eq!(verified(&none, &constraints), Some(false));
    }
    assert_eq!(verified(&token, "{\"secret\": \"s\"}"), Some(false));
}

#[test]
fn which_key_of_a_set() {
    let (mut one, mut other) = (Signer::es256(), Signer::es256());
    one.jwk["kid"] = json!("one");
    other.jwk["kid"] = json!("other");
    let token = one.token(&json!({}));
    let mut anonymous = one.jwk.clone();
    anonymous.as_object_mut().unwrap().remove("kid");
    let mut bound = anonymous.clone();
    bound["alg"] = json!("ES384");
    let mut misnamed = one.jwk.clone();
    misnamed["alg"] = json!("ES384");
    let mut as_one = other.jwk.clone();
    as_one["kid"] = json!("one");
    let secret = json!({"kty": "oct", "k": "AA"});
    let rows = [
        (json!([one.jwk]), Some(true)),
        (json!([other.jwk, one.jwk]), Some(true)),
        (json!([secret, one.jwk]), Some(true)),
        (json!([other.jwk]), Some(false)),
        // The key id decides alone, whatever else the key says.
        (json!([misnamed]), Some(true)),
        (json!([as_one, one.jwk]), Some(false)),
        // Without it every key is tried that is not bound to another algorithm.
        (json!([other.jwk, anonymous]), Some(true)),
        (json!([bound]), Some(false)),
        (json!([]), Some(false)),
        // One key that cannot be read spoils the set.
        (json!([one.jwk, {"kty": "new"}]), None),
        (
            json!([one.jwk, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]),
            None,
        ),
        (json!([one.jwk, {"kty": "RSA", "n": 1, "e": "AQAB"}]), None),
    ];
    for (keys, expected) in rows {
        let set = quoted(&json!({ "keys": keys }).to_string());
        assert_eq!(
            verified(&token, &format!("{{\"cert\": {set}}}")),
            expected,
            "{keys}"
        );
    }
    let many = json!({"keys": vec![json!({"kty": "oct", "k": "AA"}); 101]});
    let call = format!(
        "io.jwt.verify_es256(\"{token}\", {})",
        quoted(&many.to_string())
    );
    assert_eq!(refusal(&call), "a set of more than 100 keys is refused");
}

#[test]
fn constraints() {
    let token = hs256(r#"{"iss": "i", "aud": ["a", "b"], "exp": 2000000000, "nbf": 1500000000}"#);
    let rows = [
        (r#""aud": "a""#, Some(true)),
        (
            r#""aud": "b", "iss": "i", "alg": "HS256", "time": 1.6e18"#,
            Some(true),
        ),
        ("", Some(false)),
        (r#""aud": """#, Some(false)),
        (r#""aud": "c""#, Some(false)),
        (r#""aud": "a", "iss": "j""#, Some(false)),
        (r#""aud": "a", "alg": "HS512""#, Some(false)),
        (r#""aud": "a", "time": 2000000000000000000"#, Some(false)),
        (r#""aud": "a", "time": 1999999999000000000"#, Some(true)),
        (r#""aud": "a", "time": 1500000000000000000"#, Some(true)),
        (r#""aud": "a", "time": 1499999999000000000"#, Some(false)),
        (r#""aud": ["a"]"#, None),
        (r#""aud": "a", "time": -1"#, None),
        (r#""aud": "a", "time": "now""#, None),
        (r#""aud": "a", "cert": "{\"keys\": []}""#, None),
        (r#""aud": "a", "unknown": 1"#, None),
        (r#""aud": "a", 1: 2"#, None),
    ];
    for (constraints, expected) in rows {
        let constraints = format!("{{\"secret\": \"secret\", {constraints}}}").replace(", }", "}");
        assert_eq!(verified(&token, &constraints), expected, "{constraints}");
    }
    for constraints in [
        "{}",
        "1",
        "{\"secret\": \"\"}",
        "{\"cert\": \"garbage\"}",
        "{\"cert\": \"\"}",
    ] {
        assert_eq!(verified(&token, constraints), None, "{constraints}");
    }
    let secret = "{\"secret\": \"secret\"}";
    let rows = [
        ("{}", Some(true)),
        // The clock of these tests stands at 1700000000.
        (r#"{"exp": 1700000000}"#, Some(false)),
        (r#"{"exp": 1700000001}"#, Some(true)),
        (r#"{"nbf": 1700000001}"#, Some(false)),
        (r#"{"iat": 4102444800}"#, Some(true)),
        (r#"{"exp": null}"#, None),
        (r#"{"nbf": "1"}"#, None),
        (r#"{"exp": 123456789012345678901234567890}"#, Some(true)),
        (r#"{"aud": {"a": 1}}"#, Some(false)),
        (r#"{"aud": []}"#, Some(false)),
    ];
    for (claims, expected) in rows {
        assert_eq!(verified(&hs256(claims), secret), expected, "{claims}");
    }
}

#[test]
fn headers() {
    let secret = "{\"secret\": \"secret\"}";
    let rows = [
        (r#"{"alg": "HS256", "crit": ["x"], "x": 1}"#, Some(false)),
        (r#"{"alg": "HS256", "crit": []}"#, Some(false)),
        (r#"{"alg": "HS256", "kid": ""}"#, Some(true)),
        (r#"{"alg": "HS256", "kid": 1}"#, None),
        (r#"{"alg": "HS256", "cty": 1}"#, None),
        (r#"{"alg": "HS256", "enc": "x"}"#, None),
    ];
    for (header, expected) in rows {
        assert_eq!(
            verified(&encode(header, "{}"), secret),
            expected,
            "{header}"
        );
    }
}

#[test]
fn what_is_not_signed() {
    check_undefined(&[
        r#"io.jwt.encode_sign({"alg": "HS256"}, {}, {"kty": "oct"})"#,
        r#"io.jwt.encode_sign({"alg": "none"}, {}, {"kty": "oct", "k": "AA"})"#,
        r#"io.jwt.encode_sign({}, {}, {"kty": "oct", "k": "AA"})"#,
        r#"io.jwt.encode_sign({"alg": "RS256"}, {}, {"kty": "oct", "k": "AA"})"#,
        r#"io.jwt.encode_sign({"alg": "RS256"}, {}, {"kty": "RSA", "n": "AA", "e": "AA", "d": "AA", "p": "AA", "q": "AA", "dp": "AA", "dq": "AA", "qi": "AA"})"#,
        r#"io.jwt.encode_sign({"alg": "ES256"}, {}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"})"#,
        r#"io.jwt.encode_sign({"alg": "EdDSA"}, {}, {"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"})"#,
        r#"io.jwt.encode_sign("x", {}, {"kty": "oct", "k": "AA"})"#,
        r#"io.jwt.encode_sign_raw("{\"alg\":\"HS256\"}", "no JSON", "{\"kty\":\"oct\",\"k\":\"AA\"}")"#,
        r#"io.jwt.encode_sign_raw("", "{}", "{\"kty\":\"oct\",\"k\":\"AA\"}")"#,
        r#"io.jwt.encode_sign_raw("{\"alg\":\"HS256\"}", "{}", "{\"keys\":[]}")"#,
    ]);
}

/// Policies with a decision `io.jwt.*` comes to, asked again and again with headers.
fn asking(call: &str) -> impl Fn(&[(&str, &str)], i64) -> bool {
    let policies = compile(&format!(
        "package envoy.authz
        q := input.attributes.request.http.headers
        allow := {{\"allowed\": false, \"body\": json.marshal({call})}}"
    ));
    move |headers, seconds| {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let attributes = http(HttpRequest {
            headers: Headers::new(headers.collect(), None),
            ..HttpRequest::default()
        });
        let now = seconds * 1_000_000_000;
        let outcome = policies.evaluate(policies.entrypoint().unwrap(), &attributes, now);
        outcome.unwrap().body.unwrap() == "true"
    }
}

/// A token that was good has its times and claims checked again, and its keys: nothing but the
/// signature is remembered.
#[test]
fn tokens_that_were_good_before() {
    let token = hs256(r#"{"iss": "a", "exp": 1700000010}"#);
    let other = hs256(r#"{"iss": "b", "exp": 1700000010}"#);
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, base64("forged"));
    let asks = asking(
        "io.jwt.decode_verify(q.token, {\"secret\": q.secret, \"iss\": q.iss, \"alg\": q.alg})[0]",
    );
    let ask = |token, secret, iss, alg, seconds| {
        let headers = [
            ("token", token),
            ("secret", secret),
            ("iss", iss),
            ("alg", alg),
        ];
        asks(&headers, seconds)
    };
    for _ in 0..2 {
        assert!(ask(&token, "secret", "a", "HS256", 1_700_000_000));
        assert!(ask(&other, "secret", "b", "HS256", 1_700_000_000));
        assert!(!ask(&token, "secret", "a", "HS256", 1_700_000_010));
        assert!(!ask(&token, "secret", "b", "HS256", 1_700_000_000));
        assert!(!ask(&token, "Secret", "a", "HS256", 1_700_000_000));
        assert!(!ask(&token, "secret", "a", "HS512", 1_700_000_000));
        assert!(!ask(&forged, "secret", "a", "HS256", 1_700_000_000));
    }
}

#[test]
fn signatures_that_were_good_before() {
    let (one, other) = (Signer::es256(), Signer::es256());
    let token = one.token(&json!({}));
    let asks = asking("io.jwt.verify_es256(q.token, q.keys)");
    let decodes = asking("io.jwt.decode_verify(q.token, {\"cert\": q.keys})[0]");
    let wrong = asking("io.jwt.verify_rs256(q.token, q.keys)");
    for _ in 0..2 {
        for (keys, expected) in [(one.jwks(), true), (other.jwks(), false)] {
            let headers = [("token", token.as_str()), ("keys", keys.as_str())];
            assert_eq!(asks(&headers, 0), expected);
            assert_eq!(decodes(&headers, 0), expected);
            assert!(!wrong(&headers, 0));
        }
    }
}
