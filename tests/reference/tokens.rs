//! A handful of valid tokens with telling claims, signed once with a key made for this run.

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A token and what it claims.
#[derive(Debug)]
pub struct Token {
    pub claims: Value,
    pub text: String,
}

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// All tokens.
pub static TOKENS: LazyLock<Vec<Token>> = LazyLock::new(|| {
    let claims = [
        json!({"iss": "iss-a", "sub": "alice", "aud": "aud-a", "azp": "app", "groups": ["admin", "eng"],
            "nested": {"role": "admin", "list": ["read"]}, "admin": true, "level": 3, "scope": "read write"}),
        json!({"iss": "iss-a", "sub": "bob", "aud": ["aud-a", "aud-b"], "groups": "admin",
            "nested": {"role": ["admin", 1]}, "permission": "read", "scope": "read"}),
        json!({"iss": "iss-a", "aud": "aud-b", "groups": ["eng"]}),
        json!({"sub": "alice", "groups": "eng", "azp": ""}),
        json!({"iss": "https://idp.example/", "sub": "alice", "azp": "app2", "nested": {"list": [["read"]]}}),
        json!({"iss": "https://idp.example", "sub": "a/b", "aud": "https://aud-b", "custom": "read write"}),
        json!({"iss": "iss-b", "sub": "*", "custom": "write", "nested": "admin"}),
        json!({"iss": "iss-a", "sub": "", "a.b": "admin", "https://x/y": "read", "a[b]": "admin"}),
        json!({"iss": "iss-b", "sub": "al\nice", "groups": ["a\nb"], "custom": "a\nb", "aud": ""}),
        json!({"iss": "iss-b", "sub": "alice", "aud": [], "scope": ["read write", "admin"], "custom": ["read write"]}),
        json!({"iss": "iss-a", "sub": "alicex", "nested": {"role": {"deep": "admin"}}, "admin": "true", "level": "3",
            "groups": [["admin"], 3, true, null], "scope": " read  write "}),
        json!({"iss": "iss-b", "sub": "bob", "scope": "  ", "groups": [], "permission": "read\twrite", "azp": "ap",
            "nested": {"role": null, "list": "read"}}),
        json!({"iss": "", "sub": "alice", "groups": {"admin": "admin"}, "permission": "write read"}),
    ];
    claims.into_iter().map(sign).collect()
});

/// The key set to verify them with.
pub fn jwks() -> String {
    let x = base64(KEY.public_key().as_ref());
    json!({"keys": [{"kty": "OKP", "kid": "k", "crv": "Ed25519", "x": x}]}).to_string()
}

fn sign(claims: Value) -> Token {
    let header = json!({"alg": "EdDSA", "kid": "k"}).to_string();
    let signed = format!("{}.{}", base64(header), base64(claims.to_string()));
    let signature = base64(KEY.sign(signed.as_bytes()).as_ref());
    Token {
        claims,
        text: format!("{signed}.{signature}"),
    }
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
