//! Key sets (RFC 7517): which of their keys are used, and which of those a token may mean. Checking
//! signatures is left to `signature`, where sets come from to others.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use thiserror::Error;

use super::algorithm::JwsAlgorithm;
use super::signature::PublicKey;

/// Most keys a set may have.
const MAX_KEYS: usize = 100;
/// Longest key id, in bytes.
const MAX_KID: usize = 256;
/// RSA moduli outside of this are refused, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Verification keys of one issuer.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// In the order of the set, those that cannot verify anything among them.
    keys: Vec<VerificationKey>,
    private: Option<String>,
}

/// One public key.
#[derive(Debug, Clone)]
pub(super) struct VerificationKey {
    pub(super) kid: Option<String>,
    /// The algorithm the set binds this key to, if it does.
    pub(super) bound: Option<JwsAlgorithm>,
    /// `None` for a key that is not used.
    pub(super) key: Option<PublicKey>,
}

/// Why a key set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeySetError {
    #[error("is not a JSON Web Key Set: {0}")]
    Format(String),
    #[error("has {0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
    #[error("key {0} holds private key material")]
    Private(String),
    #[error("has no usable public key{0}")]
    NoUsableKey(String),
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<RawKey>,
}

/// Members that matter; others are ignored as RFC 7517 section 4 asks.
#[derive(Deserialize)]
struct RawKey {
    #[serde(default)]
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde_json::Value>,
    p: Option<serde_json::Value>,
    q: Option<serde_json::Value>,
    dp: Option<serde_json::Value>,
    dq: Option<serde_json::Value>,
    qi: Option<serde_json::Value>,
    oth: Option<serde_json::Value>,
}

// === impl KeySet ===

impl KeySet {
    /// Parses a set that its issuer shows to everybody. A private key among them is known to all, and
    /// so is how to sign with it.
    pub fn parse_published(json: &str) -> Result<Self, KeySetError> {
        let raw = RawSet::parse(json)?;
        match raw.private_key() {
            Some(name) => Err(KeySetError::Private(name)),
            None => Self::of(raw),
        }
    }

    /// Parses a set. Keys that cannot verify signatures are not used; one usable key must remain.
    pub fn parse(json: &str) -> Result<Self, KeySetError> {
        Self::of(RawSet::parse(json)?)
    }

    fn of(raw: RawSet) -> Result<Self, KeySetError> {
        let private = raw.private_key();
        let mut keys = Vec::with_capacity(raw.keys.len());
        let mut refused = Vec::new();
        for (index, key) in raw.keys.into_iter().enumerate() {
            let name = key.name(index);
            let unused = VerificationKey {
                kid: key.kid.clone(),
                bound: key.alg.as_ref().and_then(|name| name.parse().ok()),
                key: None,
            };
            keys.push(VerificationKey::new(key).unwrap_or_else(|why| {
                refused.push(format!("{name} {why}"));
                unused
            }));
        }
        if keys.iter().all(|key| key.key.is_none()) {
            let why = if refused.is_empty() {
                String::new()
            } else {
                format!(": {}", refused.join(", "))
            };
            return Err(KeySetError::NoUsableKey(why));
        }
        Ok(Self { keys, private })
    }

    /// Keys that a token with this algorithm and key id may mean, of whatever type.
    pub(super) fn named<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: JwsAlgorithm,
    ) -> impl Iterator<Item = &'a VerificationKey> {
        // Rule: a key is skipped if both key ids are there and differ, or if it is bound to
        // another algorithm.
        self.keys.iter().filter(move |key| {
            let same_kid = match (kid, &key.kid) {
                (Some(wanted), Some(has)) => wanted.is_empty() || has.is_empty() || wanted == has,
                _ => true,
            };
            same_kid && key.bound.is_none_or(|bound| bound == algorithm)
        })
    }

    /// A key that holds more than its public half, by its id or position.
    pub fn private_key(&self) -> Option<&str> {
        self.private.as_deref()
    }

    /// How many keys are used.
    pub fn usable(&self) -> usize {
        self.keys.iter().filter(|key| key.key.is_some()).count()
    }

    /// Ids of all keys that are used, for status reports.
    pub fn key_ids(&self) -> HashSet<&str> {
        self.keys
            .iter()
            .filter(|key| key.key.is_some())
            .filter_map(|key| key.kid.as_deref())
            .collect()
    }
}

// === impl RawSet ===

impl RawSet {
    fn parse(json: &str) -> Result<Self, KeySetError> {
        let raw: Self =
            serde_json::from_str(json).map_err(|error| KeySetError::Format(error.to_string()))?;
        match raw.keys.len() {
            ..=MAX_KEYS => Ok(raw),
            many => Err(KeySetError::TooMany(many)),
        }
    }

    fn private_key(&self) -> Option<String> {
        let mut keys = self.keys.iter().enumerate();
        let (index, key) = keys.find(|(_, key)| key.is_private())?;
        Some(key.name(index))
    }
}

// === impl RawKey ===

impl RawKey {
    /// What errors call it.
    fn name(&self, index: usize) -> String {
        self.kid.clone().unwrap_or_else(|| format!("#{index}"))
    }

    /// Members of RFC 7518 sections 6.2.2 and 6.3.2.
    fn is_private(&self) -> bool {
        let members = [
            &self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth,
        ];
        members.into_iter().any(Option::is_some)
    }
}

// === impl VerificationKey ===

impl VerificationKey {
    fn new(raw: RawKey) -> Result<Self, String> {
        if raw.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(format!("has a key id over {MAX_KID} bytes"));
        }
        if raw.usage.as_ref().is_some_and(|usage| usage != "sig") {
            return Err("is not for signatures".to_owned());
        }
        if raw
            .key_ops
            .as_ref()
            .is_some_and(|operations| !operations.iter().any(|operation| operation == "verify"))
        {
            return Err("is not for verification".to_owned());
        }
        let key = public_key(&raw)?;
        let bound = match &raw.alg {
            None => None,
            Some(name) => match name.parse() {
                Ok(bound) if key.is_for(bound) => Some(bound),
                _ => {
                    return Err(format!(
                        "is bound to algorithm `{name}`, which is not its own"
                    ));
                }
            },
        };
        Ok(Self {
            kid: raw.kid,
            bound,
            key: Some(key),
        })
    }
}

fn public_key(raw: &RawKey) -> Result<PublicKey, String> {
    let coordinates = || {
        let (x, y) = (member(raw.x.as_ref(), "x")?, member(raw.y.as_ref(), "y")?);
        Ok::<_, String>((x, y))
    };
    match (raw.kty.as_str(), raw.crv.as_deref()) {
        ("RSA", _) => {
            let (n, e) = (member(raw.n.as_ref(), "n")?, member(raw.e.as_ref(), "e")?);
            check_rsa(&n, &e)?;
            Ok(PublicKey::rsa(&n, &e))
        }
        ("EC", Some("P-256")) => coordinates().and_then(|(x, y)| PublicKey::p256(&x, &y)),
        ("EC", Some("P-384")) => coordinates().and_then(|(x, y)| PublicKey::p384(&x, &y)),
        ("EC", Some("P-521")) => coordinates().and_then(|(x, y)| PublicKey::p521(&x, &y)),
        ("OKP", Some("Ed25519")) => {
            let x = member(raw.x.as_ref(), "x")?;
            if x.len() != 32 {
                return Err("has a coordinate of the wrong length".to_owned());
            }
            if is_small_order(&x) {
                return Err("is a point of small order: anybody can sign for it".to_owned());
            }
            Ok(PublicKey::ed25519(&x))
        }
        ("oct", _) => Err("is symmetric".to_owned()),
        (kty, crv) => Err(format!(
            "has type `{kty}`{}, which is not supported",
            crv.map(|crv| format!(" with curve `{crv}`"))
                .unwrap_or_default()
        )),
    }
}

/// Some identity providers pad; the rest is as strict as RFC 7515 section 2.
fn member(value: Option<&String>, name: &str) -> Result<Vec<u8>, String> {
    let value = value.ok_or_else(|| format!("lacks `{name}`"))?;
    URL_SAFE_NO_PAD
        .decode(value.trim_end_matches('='))
        .map_err(|_| format!("has a `{name}` that is not base64url"))
}

/// y of the points of order 8, little-endian.
const Y_OF_ORDER_8: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Rule: the points whose order divides 8, in all encodings, whatever the sign bit. A signature can
/// be made for them without a private key, and RFC 8032 leaves refusing them to the application.
fn is_small_order(x: &[u8]) -> bool {
    let [lowest, between @ .., last] = x else {
        return false;
    };
    let top = last & 0x7f;
    // y is 0 or 1; or p - 1, p or p + 1, where p = 2^255 - 19.
    let is_tiny = top == 0 && between.iter().all(|byte| *byte == 0) && *lowest <= 1;
    let is_near_p =
        top == 0x7f && between.iter().all(|byte| *byte == 0xff) && (0xec..=0xee).contains(lowest);
    let is_of_order_8 = Y_OF_ORDER_8
        .iter()
        .any(|[low, middle @ .., high]| low == lowest && middle == between && *high == top);
    is_tiny || is_near_p || is_of_order_8
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), String> {
    let significant = n.iter().skip_while(|byte| **byte == 0);
    let leading = significant
        .clone()
        .next()
        .map_or(8, |byte| byte.leading_zeros() as usize);
    let bits = (significant.count() * 8).saturating_sub(leading);
    if !RSA_BITS.contains(&bits) {
        return Err(format!("has a modulus of {bits} bits"));
    }
    // Rule: an odd exponent from 3 to 2^33 (FIPS 186-5 allows more, no issuer uses it).
    let exponent = e.iter().fold(0u64, |value, byte| {
        value.saturating_mul(256).saturating_add(u64::from(*byte))
    });
    if exponent < 3 || exponent % 2 == 0 || exponent > 1 << 33 {
        return Err("has an unusable exponent".to_owned());
    }
    Ok(())
}
