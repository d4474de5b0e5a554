//! Tokens that are good, too old, too new, forged or hardly different, and the keys to verify them with.
//! All of them are the same in every run.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Seconds since 1970 around which everything happens.
pub const BEGIN: i64 = 1_700_000_000;
/// What tokens of HS256 are signed with.
pub const SECRET: &str = "a secret of thirty-two characters";

/// Keys for signing; whoever verifies knows at most the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    A,
    B,
    Unknown,
}

/// A token, and how to call it.
pub struct Token {
    pub name: String,
    pub text: String,
}

static KEYS: LazyLock<[Ed25519KeyPair; 3]> = LazyLock::new(|| {
    [1, 2, 3].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
});

/// All tokens.
pub static TOKENS: LazyLock<Vec<Token>> = LazyLock::new(|| {
    let mut tokens: Vec<_> = claims()
        .iter()
        .map(|(key, claims)| signed(*key, claims))
        .collect();
    tokens.extend(
        [
            json!({"exp": BEGIN + 2}),
            json!({"exp": BEGIN + 40, "nbf": BEGIN + 3}),
        ]
        .map(|times| shared(&of("iss-a", "alice", &times))),
    );
    let forged = tokens[0].text.clone();
    let changed = |at: usize| {
        let mut text = forged.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        Token {
            name: format!("the first, changed at {at}"),
            text: String::from_utf8(text).unwrap(),
        }
    };
    let payload = forged.find('.').unwrap();
    tokens.extend([changed(payload + 20), changed(forged.len() - 10)]);
    tokens.extend(["a.b.c", "", "nothing"].map(|text| Token {
        name: format!("`{text}`"),
        text: text.to_owned(),
    }));
    tokens
});

/// Seconds at which a token begins or ends to be good, as native policies see it and as Rego does.
pub static EDGES: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let times = [1, 2, 3, 5, 7, 8, 10, 20, 30, 40];
    let of_rego = times.map(|time| BEGIN + time);
    let later = times.map(|time| BEGIN + time + 60);
    let earlier = times.map(|time| BEGIN + time - 60);
    [of_rego, later, earlier].concat()
});

fn claims() -> Vec<(Key, Value)> {
    let alice = |more: Value| of("iss-a", "alice", &more);
    vec![
        (Key::A, alice(json!({}))),
        (Key::A, alice(json!({"exp": BEGIN + 1}))),
        (Key::A, alice(json!({"exp": BEGIN + 30}))),
        (Key::A, alice(json!({"nbf": BEGIN + 5}))),
        (
            Key::A,
            alice(json!({"exp": BEGIN + 3600, "nbf": BEGIN - 3600})),
        ),
        (Key::A, alice(json!({"exp": BEGIN - 1000}))),
        (Key::A, alice(json!({"exp": 1_700_000_007.5}))),
        (Key::Unknown, alice(json!({}))),
        (Key::B, alice(json!({}))),
        (
            Key::A,
            of(
                "iss-a",
                "bob",
                &json!({"exp": BEGIN + 10, "groups": "admin"}),
            ),
        ),
        (
            Key::B,
            of(
                "iss-b",
                "bob",
                &json!({"exp": BEGIN + 20, "nbf": BEGIN - 10, "aud": ["aud-b"]}),
            ),
        ),
        (Key::A, alice(json!({"level": 1}))),
        (Key::A, alice(json!({"level": "1"}))),
        (Key::A, alice(json!({"level": 1.0}))),
        (Key::A, alice(json!({"level": null}))),
        (Key::A, alice(json!({"level": "null"}))),
        (Key::A, alice(json!({"level": ""}))),
        (
            Key::A,
            alice(json!({"custom": "write", "permission": "read"})),
        ),
        (
            Key::A,
            of("https://idp.example/", "alice", &json!({"azp": "app"})),
        ),
        (Key::A, json!({"sub": "alice"})),
    ]
}

fn of(issuer: &str, subject: &str, more: &Value) -> Value {
    let mut claims = json!({"iss": issuer, "sub": subject, "aud": "aud-a", "azp": "app", "groups": ["admin", "eng"],
        "scope": "read write", "nested": {"role": "admin"}});
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    claims
}

/// A key set with these keys.
pub fn jwks(keys: &[Key]) -> String {
    let keys = keys.iter().map(|key| {
        let x = base64(KEYS[*key as usize].public_key().as_ref());
        json!({"kty": "OKP", "kid": kid(*key), "crv": "Ed25519", "x": x})
    });
    json!({"keys": keys.collect::<Vec<_>>()}).to_string()
}

fn signed(key: Key, claims: &Value) -> Token {
    let text = part(&json!({"alg": "EdDSA", "kid": kid(key)}), claims);
    let signature = base64(KEYS[key as usize].sign(text.as_bytes()).as_ref());
    Token {
        name: format!("{key:?} {claims}"),
        text: format!("{text}.{signature}"),
    }
}

fn shared(claims: &Value) -> Token {
    let text = part(&json!({"alg": "HS256"}), claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = base64(hmac::sign(&key, text.as_bytes()));
    Token {
        name: format!("HS256 {claims}"),
        text: format!("{text}.{signature}"),
    }
}

/// A forger says the name of a good key.
fn kid(key: Key) -> &'static str {
    match key {
        Key::A | Key::Unknown => "a",
        Key::B => "b",
    }
}

fn part(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        base64(header.to_string()),
        base64(claims.to_string())
    )
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
