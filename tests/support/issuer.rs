//! An issuer of tokens: signs them, and serves its keys as it is told to, well or badly.

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::depot::Depot;
pub use super::depot::Reply as Play;

/// A key pair with an id.
pub struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

/// A server on a free port, stopped when dropped.
pub struct Issuer {
    depot: Depot,
    /// Answers by the beginning of a path; the first that fits.
    replies: Arc<Mutex<Vec<(String, Play)>>>,
}

impl Key {
    pub fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let id = id.to_owned();
        Self { id, pair }
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": base64(x), "y": base64(y)})
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.id}).to_string();
        let signed = format!("{}.{}", base64(header), base64(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", base64(signature.unwrap()))
    }
}

/// The set of some keys.
pub fn jwks(keys: &[&Key]) -> Play {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    Play::body(json!({ "keys": keys }).to_string())
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    pub fn start(reply: Play) -> Self {
        let replies = Arc::new(Mutex::new(vec![(String::new(), reply)]));
        let depot = Depot::start({
            let replies = Arc::clone(&replies);
            move |asked| {
                let replies = replies.lock().unwrap();
                let mut fitting = replies.iter();
                let found = fitting.find(|(path, _)| asked.target.starts_with(path));
                found.unwrap().1.clone()
            }
        });
        Self { depot, replies }
    }

    pub fn url(&self, path: &str) -> String {
        self.depot.url(path)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.url("").replace("http://", "")
    }

    /// Answers so from now on, whatever is asked for.
    pub fn play(&self, reply: Play) {
        *self.replies.lock().unwrap() = vec![(String::new(), reply)];
    }

    /// Answers so to paths that begin like this.
    pub fn play_at(&self, path: &str, reply: Play) {
        let mut replies = self.replies.lock().unwrap();
        replies.insert(0, (path.to_owned(), reply));
    }

    /// Targets of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.depot.asked().into_iter();
        asked.map(|asked| asked.target).collect()
    }
}
