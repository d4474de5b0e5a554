//! Keys for `io.jwt.*` out of what policies write them as: PEM certificates and public keys, JSON Web
//! Keys and sets of them. A key's type, never the token, says what its signatures can be.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey, VerificationAlgorithm,
};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::super::Failure;
use super::BASE64URL;
use crate::identity::JwsAlgorithm;

/// Longest text of keys, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Most keys of a set.
const MAX_KEYS: usize = 100;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// Keys of which one must have signed.
pub(super) struct KeySet(Vec<NamedKey>);

struct NamedKey {
    kid: String,
    alg: String,
    key: Key,
}

/// What signatures are checked with.
pub(super) enum Key {
    Secret(Vec<u8>),
    /// An `RSAPublicKey` structure.
    Rsa(Vec<u8>),
    RsaComponents {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ec(Curve, Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

/// A JSON Web Key (RFC 7517) with its private members.
#[derive(Deserialize)]
pub(super) struct Jwk {
    pub(super) kty: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    alg: String,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    pub(super) d: Option<String>,
    pub(super) p: Option<String>,
    pub(super) q: Option<String>,
    pub(super) dp: Option<String>,
    pub(super) dq: Option<String>,
    pub(super) qi: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JwkOrSet {
    Set { keys: Vec<Jwk> },
    One(Box<Jwk>),
}

// === Algorithms ===

/// The authentication code of an algorithm with a shared secret.
pub(super) fn mac(algorithm: JwsAlgorithm) -> Option<hmac::Algorithm> {
    Some(match algorithm {
        JwsAlgorithm::Hs256 => hmac::HMAC_SHA256,
        JwsAlgorithm::Hs384 => hmac::HMAC_SHA384,
        JwsAlgorithm::Hs512 => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn rsa(algorithm: JwsAlgorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        JwsAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        JwsAlgorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        JwsAlgorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        JwsAlgorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        JwsAlgorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        JwsAlgorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

// === impl KeySet ===

impl KeySet {
    /// Keys out of one PEM block, a JSON Web Key or a set. One key that cannot be read spoils all.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if text.len() > MAX_TEXT {
            return Err(Failure::Limit(format!(
                "keys of more than {MAX_TEXT} bytes are refused"
            )));
        }
        if text.contains("-----BEGIN ") {
            return Ok(Self(vec![NamedKey::anonymous(from_pem(text)?)]));
        }
        let keys = match serde_json::from_str(text) {
            Ok(JwkOrSet::Set { keys }) => keys,
            Ok(JwkOrSet::One(key)) => vec![*key],
            Err(_) => return Err(Failure::Failed("failed to parse a JWK key (set)")),
        };
        if keys.len() > MAX_KEYS {
            return Err(Failure::Limit(format!(
                "a set of more than {MAX_KEYS} keys is refused"
            )));
        }
        let keys = keys.into_iter().map(|jwk| {
            Ok(NamedKey {
                key: jwk.key()?,
                kid: jwk.kid,
                alg: jwk.alg,
            })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn of_secret(secret: &[u8]) -> Self {
        Self(vec![NamedKey::anonymous(Key::secret(secret))])
    }

    /// Whether one of the keys made the signature. `written` is the algorithm the header names.
    pub(super) fn verifies(
        &self,
        kid: &str,
        written: &str,
        algorithm: JwsAlgorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        let by = |key: &NamedKey| key.key.verifies(algorithm, signed, signature);
        // Rule: the first key of that id decides, whatever it is meant for.
        let named = self.0.iter().find(|key| key.kid == kid);
        if let Some(key) = named.filter(|_| !kid.is_empty()) {
            return by(key);
        }
        // Rule: else any key that is not bound to another algorithm.
        let mut unbound = self.0.iter();
        unbound.any(|key| (key.alg.is_empty() || key.alg == written) && by(key))
    }
}

// === impl NamedKey ===

impl NamedKey {
    fn anonymous(key: Key) -> Self {
        Self {
            kid: String::new(),
            alg: String::new(),
            key,
        }
    }
}

// === impl Key ===

impl Key {
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::Secret(secret.to_vec())
    }

    pub(super) fn verifies(
        &self,
        algorithm: JwsAlgorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        match self {
            // In constant time.
            Self::Secret(secret) => mac(algorithm).is_some_and(|mac| {
                let tag = hmac::sign(&hmac::Key::new(mac, secret), signed);
                constant_time::verify_slices_are_equal(tag.as_ref(), signature).is_ok()
            }),
            Self::Rsa(key) => rsa(algorithm).is_some_and(|rsa| checks(rsa, key, signed, signature)),
            Self::RsaComponents { n, e } => rsa(algorithm).is_some_and(|rsa| {
                let key = PublicKeyComponents { n, e };
                key.verify(rsa, signed, signature).is_ok()
            }),
            // Rule (RFC 7518 section 3.4): each algorithm has its curve.
            Self::Ec(curve, point) => match (curve, algorithm) {
                (Curve::P256, JwsAlgorithm::Es256) => {
                    checks(&ECDSA_P256_SHA256_FIXED, point, signed, signature)
                }
                (Curve::P384, JwsAlgorithm::Es384) => {
                    checks(&ECDSA_P384_SHA384_FIXED, point, signed, signature)
                }
                (Curve::P521, JwsAlgorithm::Es512) => {
                    checks(&ECDSA_P521_SHA512_FIXED, point, signed, signature)
                }
                _ => false,
            },
            Self::Ed25519(key) => {
                algorithm == JwsAlgorithm::EdDsa && checks(&ED25519, key, signed, signature)
            }
        }
    }
}

fn checks(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> bool {
    let key = UnparsedPublicKey::new(algorithm, key);
    key.verify(signed, signature).is_ok()
}

// === PEM ===

/// The key of exactly one block.
fn from_pem(text: &str) -> Result<Key, Failure> {
    let (label, der) =
        pem_block(text).ok_or(Failure::Failed("failed to parse a PEM certificate"))?;
    let unreadable = Failure::Failed("failed to extract a key from the PEM block");
    let info = match label {
        "CERTIFICATE" => Certificate::from_der(&der).map(|certificate| {
            let certificate = certificate.tbs_certificate();
            certificate.subject_public_key_info().clone()
        }),
        "PUBLIC KEY" => SubjectPublicKeyInfoOwned::from_der(&der),
        _ => return Err(unreadable),
    };
    let info = info.map_err(|_| Failure::Failed("failed to parse a PEM certificate"))?;
    from_info(&info).ok_or(unreadable)
}

/// Label and content of a text that is one block and nothing behind it.
fn pem_block(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, rest) = rest.split_once("-----END ")?;
    let end = rest.strip_prefix(label)?.strip_prefix("-----")?;
    if !matches!(end, "" | "\n" | "\r\n") {
        return None;
    }
    let body: String = body.split_ascii_whitespace().collect();
    Some((label, STANDARD.decode(body).ok()?))
}

fn from_info(info: &SubjectPublicKeyInfoOwned) -> Option<Key> {
    let key = info.subject_public_key.as_bytes()?.to_vec();
    match info.algorithm.oid {
        RSA => Some(Key::Rsa(key)),
        EC => {
            let parameters = info.algorithm.parameters.as_ref()?;
            let curve = match parameters.decode_as::<ObjectIdentifier>().ok()? {
                P256 => Curve::P256,
                P384 => Curve::P384,
                P521 => Curve::P521,
                _ => return None,
            };
            Some(Key::Ec(curve, key))
        }
        ED => Some(Key::Ed25519(key)),
        _ => None,
    }
}

// === impl Jwk ===

impl Jwk {
    /// The first key of a text, with all its members.
    pub(super) fn first(text: &str) -> Result<Self, Failure> {
        if text.len() > MAX_TEXT {
            return Err(Failure::Limit(format!(
                "keys of more than {MAX_TEXT} bytes are refused"
            )));
        }
        let first = match serde_json::from_str(text) {
            Ok(JwkOrSet::Set { keys }) => keys.into_iter().next(),
            Ok(JwkOrSet::One(key)) => Some(*key),
            Err(_) => None,
        };
        first.ok_or(Failure::Failed("failed to parse a JWK key (set)"))
    }

    /// The public half, or the secret.
    pub(super) fn key(&self) -> Result<Key, Failure> {
        match self.kty.as_str() {
            "oct" => Ok(Key::Secret(number(self.k.as_ref())?)),
            "RSA" => Ok(Key::RsaComponents {
                n: unsigned(self.n.as_ref())?,
                e: unsigned(self.e.as_ref())?,
            }),
            "EC" => {
                let (curve, point) = self.point()?;
                Ok(Key::Ec(curve, point))
            }
            "OKP" if self.crv.as_deref() == Some("Ed25519") => {
                Ok(Key::Ed25519(number(self.x.as_ref())?))
            }
            _ => Err(Failure::Failed("a JWK of a type that is not known")),
        }
    }

    /// Curve and uncompressed point.
    pub(super) fn point(&self) -> Result<(Curve, Vec<u8>), Failure> {
        let (curve, length) = match self.crv.as_deref() {
            Some("P-256") => (Curve::P256, 32),
            Some("P-384") => (Curve::P384, 48),
            Some("P-521") => (Curve::P521, 66),
            _ => return Err(Failure::Failed("a JWK of a curve that is not known")),
        };
        let (x, y) = (number(self.x.as_ref())?, number(self.y.as_ref())?);
        if x.len() != length || y.len() != length {
            return Err(Failure::Failed("a JWK with a coordinate of wrong length"));
        }
        Ok((curve, [&[4], x.as_slice(), y.as_slice()].concat()))
    }
}

/// Bytes of a member, which must be there.
pub(super) fn number(member: Option<&String>) -> Result<Vec<u8>, Failure> {
    let text = member.ok_or(Failure::Failed("a JWK lacks a member"))?;
    BASE64URL
        .decode(text)
        .ok()
        .filter(|bytes| !bytes.is_empty())
        .ok_or(Failure::Failed("a JWK with a member that is no base64url"))
}

/// The same without leading zeros.
pub(super) fn unsigned(member: Option<&String>) -> Result<Vec<u8>, Failure> {
    let bytes = number(member)?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

impl Jwk {
    /// Members `n` and `e` without leading zeros.
    pub(super) fn modulus_and_exponent(&self) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        Ok((unsigned(self.n.as_ref())?, unsigned(self.e.as_ref())?))
    }

    pub(super) fn x(&self) -> Result<Vec<u8>, Failure> {
        number(self.x.as_ref())
    }
}
