//! Who brings messages, by SASL: `PLAIN` (RFC 4616) and `SCRAM` (RFC 5802, RFC 7677). Nothing of it is
//! ever shown.

use std::num::NonZeroU32;
use std::path::PathBuf;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::KafkaError;
use super::connection::Connection;
use super::wire::{Answer, put_bytes, put_text};
use crate::bundle::Secret;
use crate::fetch::blocking;
use crate::service::read_text;

const HANDSHAKE: (i16, i16) = (17, 1);
const AUTHENTICATE: (i16, i16) = (36, 0);
/// How often a password may be hashed: fewer would be weak, more would keep the sink busy.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;

/// How it is shown who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// A name and a password, as it is or in a file that is read for each connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    pub mechanism: Mechanism,
    pub username: String,
    #[serde(default, skip_serializing)]
    pub password: Option<Secret>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// One side of a SCRAM exchange.
pub(super) struct Scram {
    hash: (
        hmac::Algorithm,
        pbkdf2::Algorithm,
        &'static digest::Algorithm,
    ),
    first: String,
    nonce: String,
    /// What the other side must show in the end.
    signature: Vec<u8>,
}

// === impl Sasl ===

impl Sasl {
    pub(super) async fn authenticate(&self, connection: &mut Connection) -> Result<(), KafkaError> {
        let password = match (&self.password, &self.password_file) {
            (Some(Secret(password)), _) => password.clone(),
            (None, file) => {
                let file = file.clone().unwrap_or_default();
                blocking(move || read_text(&file)).await?
            }
        };
        let mut request = Vec::new();
        put_text(&mut request, self.mechanism.name());
        let answer = connection.ask(HANDSHAKE, &request).await?;
        if Answer::of(&answer).i16()? != 0 {
            return Err(KafkaError::Refused);
        }
        let Some(mut scram) = Scram::new(self.mechanism, &self.username) else {
            let line = format!("\0{}\0{password}", self.username);
            return step(connection, line.as_bytes()).await.map(drop);
        };
        let challenge = step(connection, scram.first().as_bytes()).await?;
        let proof = scram.answer(&challenge, &password)?;
        let last = step(connection, proof.as_bytes()).await?;
        scram.verify(&last)
    }
}

async fn step(connection: &mut Connection, bytes: &[u8]) -> Result<Vec<u8>, KafkaError> {
    let mut request = Vec::new();
    put_bytes(&mut request, bytes);
    let answer = connection.ask(AUTHENTICATE, &request).await?;
    let mut answer = Answer::of(&answer);
    if answer.i16()? != 0 {
        return Err(KafkaError::Refused);
    }
    answer.text()?;
    Ok(answer.bytes()?.to_vec())
}

// === impl Mechanism ===

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

// === impl Scram ===

impl Scram {
    /// `None` where nothing is exchanged.
    pub(super) fn new(mechanism: Mechanism, name: &str) -> Option<Self> {
        Self::with(mechanism, name, uuid::Uuid::new_v4().simple().to_string())
    }

    pub(super) fn with(mechanism: Mechanism, name: &str, nonce: String) -> Option<Self> {
        let hash = match mechanism {
            Mechanism::Plain => return None,
            Mechanism::ScramSha256 => (
                hmac::HMAC_SHA256,
                pbkdf2::PBKDF2_HMAC_SHA256,
                &digest::SHA256,
            ),
            Mechanism::ScramSha512 => (
                hmac::HMAC_SHA512,
                pbkdf2::PBKDF2_HMAC_SHA512,
                &digest::SHA512,
            ),
        };
        let name = name.replace('=', "=3D").replace(',', "=2C");
        Some(Self {
            hash,
            first: format!("n={name},r={nonce}"),
            nonce,
            signature: Vec::new(),
        })
    }

    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// Proves to know the password. Rule: the nonce goes on with ours, and no password is hashed too
    /// seldom or too often.
    pub(super) fn answer(
        &mut self,
        challenge: &[u8],
        password: &str,
    ) -> Result<String, KafkaError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| KafkaError::Answer)?;
        let mut parts = challenge.split(',');
        let mut part = |name: &str| {
            let part = parts.next().and_then(|part| part.strip_prefix(name));
            part.ok_or(KafkaError::Answer)
        };
        let nonce = part("r=")?;
        let salt = STANDARD
            .decode(part("s=")?)
            .map_err(|_| KafkaError::Answer)?;
        let iterations = part("i=")?.parse().map_err(|_| KafkaError::Answer)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(KafkaError::Answer);
        }
        if !ITERATIONS.contains(&iterations) {
            return Err(KafkaError::Refused);
        }
        let iterations = NonZeroU32::new(iterations).ok_or(KafkaError::Refused)?;
        let (algorithm, hashing, digesting) = self.hash;
        let mut salted = vec![0; digesting.output_len()];
        pbkdf2::derive(hashing, iterations, &salt, password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| {
            let key = hmac::Key::new(algorithm, key);
            hmac::sign(&key, text).as_ref().to_vec()
        };
        // `biws` is `n,,`: no channel is bound.
        let last = format!("c=biws,r={nonce}");
        let whole = format!("{},{challenge},{last}", self.first);
        let key = sign(&salted, b"Client Key");
        let stored = digest::digest(digesting, &key);
        let proof = sign(stored.as_ref(), whole.as_bytes());
        let proof: Vec<_> = key
            .iter()
            .zip(&proof)
            .map(|(left, right)| left ^ right)
            .collect();
        self.signature = sign(&sign(&salted, b"Server Key"), whole.as_bytes());
        Ok(format!("{last},p={}", STANDARD.encode(proof)))
    }

    /// Rule: the broker must know the password as well.
    pub(super) fn verify(&self, last: &[u8]) -> Result<(), KafkaError> {
        let shown = std::str::from_utf8(last).ok().and_then(|last| {
            let shown = last.strip_prefix("v=")?.split(',').next()?;
            STANDARD.decode(shown).ok()
        });
        let shown = shown.ok_or(KafkaError::Refused)?;
        constant_time::verify_slices_are_equal(&shown, &self.signature)
            .map_err(|_| KafkaError::Refused)
    }
}
