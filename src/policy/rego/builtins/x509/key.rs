//! Public keys of certificates and requests, as Go's `crypto/x509` takes and shows them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
};
use num_bigint::BigUint;
use regorus::Value;

use super::super::Failure;
use super::super::der::{Oid, Reader};
use super::super::go_json::{bytes, natural, object};

const RSA: &[u32] = &[1, 2, 840, 113_549, 1, 1, 1];
const DSA: &[u32] = &[1, 2, 840, 10040, 4, 1];
const EC: &[u32] = &[1, 2, 840, 10045, 2, 1];
const ED25519: &[u32] = &[1, 3, 101, 112];
const X25519: &[u32] = &[1, 3, 101, 110];

const NULL: &[u8] = &[5, 0];
/// Length of a key of Ed25519 and of X25519, in bytes.
pub(in super::super) const KEY_25519: usize = 32;

/// What a key is for, by its object identifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum KeyType {
    Unknown,
    Rsa,
    Dsa,
    Ec,
    Ed25519,
    /// Known only of private keys.
    X25519,
}

/// The curves that ECDSA is done on. P-224 is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Curve {
    P256,
    P384,
    P521,
}

#[derive(Clone, PartialEq, Eq)]
pub(in super::super) enum PublicKey<'a> {
    /// Of an algorithm that is not known; nothing verifies with it.
    Unknown,
    Rsa {
        n: BigUint,
        e: i64,
    },
    Dsa([BigUint; 4]),
    /// An uncompressed point.
    Ec(Curve, &'a [u8]),
    Ed25519(&'a [u8]),
}

/// An algorithm and the encoding of its parameters, which is empty if there are none.
#[derive(Clone)]
pub(in super::super) struct Algorithm<'a> {
    pub(in super::super) oid: Oid,
    pub(in super::super) parameters: &'a [u8],
}

// === impl KeyType ===

impl KeyType {
    pub(in super::super) fn of(oid: &[u32]) -> Self {
        match oid {
            RSA => Self::Rsa,
            DSA => Self::Dsa,
            EC => Self::Ec,
            ED25519 => Self::Ed25519,
            X25519 => Self::X25519,
            _ => Self::Unknown,
        }
    }
}

// === impl Curve ===

impl Curve {
    pub(in super::super) fn of(oid: &[u32]) -> Option<Self> {
        match oid {
            [1, 2, 840, 10045, 3, 1, 7] => Some(Self::P256),
            [1, 3, 132, 0, 34] => Some(Self::P384),
            [1, 3, 132, 0, 35] => Some(Self::P521),
            _ => None,
        }
    }

    /// Length of a coordinate, in bytes.
    pub(in super::super) fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn has(self, point: &[u8]) -> bool {
        // Only points that are not compressed.
        let is_whole = point.first() == Some(&4);
        let algorithm = match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
        };
        is_whole && ParsedPublicKey::new(algorithm, point).is_ok()
    }

    /// The coordinates of an uncompressed point.
    pub(in super::super) fn coordinates(self, point: &[u8]) -> (&[u8], &[u8]) {
        let both = point.get(1..).unwrap_or_default();
        both.split_at_checked(self.length()).unwrap_or_default()
    }
}

/// Rule: a curve shows nothing of itself.
pub(in super::super) fn point_value(curve: Curve, point: &[u8]) -> Value {
    let (x, y) = curve.coordinates(point);
    object([
        ("Curve", Value::new_object()),
        ("X", natural(&BigUint::from_bytes_be(x))),
        ("Y", natural(&BigUint::from_bytes_be(y))),
    ])
}

// === impl Algorithm ===

impl<'a> Algorithm<'a> {
    /// Content of an AlgorithmIdentifier. What is behind the parameters is not looked at.
    pub(in super::super) fn parse(mut algorithm: Reader<'a>) -> Result<Self, Failure> {
        let oid = algorithm.oid()?;
        let parameters = match algorithm.is_empty() {
            true => &[],
            false => algorithm.any()?.whole,
        };
        Ok(Self { oid, parameters })
    }
}

// === impl PublicKey ===

impl<'a> PublicKey<'a> {
    /// Content of a SubjectPublicKeyInfo.
    pub(super) fn parse(mut info: Reader<'a>) -> Result<(KeyType, Self), Failure> {
        let algorithm = Algorithm::parse(info.sequence()?)?;
        let bits = info.bits()?;
        // A key is whole bytes; of one that is not, Go looks at other bytes, which are no key.
        let data = match bits.unused {
            0 => bits.bytes,
            _ => &[],
        };
        let key_type = KeyType::of(&algorithm.oid);
        let key = match key_type {
            KeyType::Rsa => Self::rsa(&algorithm, data)?,
            KeyType::Dsa => Self::dsa(&algorithm, data)?,
            KeyType::Ec => Self::ec(&algorithm, data)?,
            KeyType::Ed25519 => Self::ed25519(&algorithm, data)?,
            // Rule: what else a key is for is not known of certificates.
            KeyType::X25519 | KeyType::Unknown => return Ok((KeyType::Unknown, Self::Unknown)),
        };
        Ok((key_type, key))
    }

    fn rsa(algorithm: &Algorithm<'a>, data: &[u8]) -> Result<Self, Failure> {
        // Rule (RFC 3279 section 2.3.1): the parameters are NULL.
        if algorithm.parameters != NULL {
            return Err(Failure::Failed("RSA key missing NULL parameters"));
        }
        let mut key = Reader::new(data).sequence()?;
        let (n, e) = (key.positive()?, key.integer()?);
        if e <= 0 {
            return Err(Failure::Failed("RSA public exponent is not positive"));
        }
        Ok(Self::Rsa { n, e })
    }

    fn dsa(algorithm: &Algorithm<'a>, data: &[u8]) -> Result<Self, Failure> {
        let y = Reader::new(data).positive()?;
        let mut parameters = Reader::new(algorithm.parameters).sequence()?;
        let (p, q) = (parameters.positive()?, parameters.positive()?);
        Ok(Self::Dsa([p, q, parameters.positive()?, y]))
    }

    fn ec(algorithm: &Algorithm<'a>, data: &'a [u8]) -> Result<Self, Failure> {
        let oid = Reader::new(algorithm.parameters).oid()?;
        let curve = Curve::of(&oid).ok_or(Failure::Failed("unsupported elliptic curve"))?;
        match curve.has(data) {
            true => Ok(Self::Ec(curve, data)),
            false => Err(Failure::Failed("a point is not on its curve")),
        }
    }

    fn ed25519(algorithm: &Algorithm<'a>, data: &'a [u8]) -> Result<Self, Failure> {
        // Rule (RFC 8410 section 3): there are no parameters.
        match algorithm.parameters.is_empty() && data.len() == KEY_25519 {
            true => Ok(Self::Ed25519(data)),
            false => Err(Failure::Failed("not an Ed25519 key")),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Unknown => Value::Null,
            Self::Rsa { n, e } => object([("N", natural(n)), ("E", Value::from(*e))]),
            Self::Dsa([p, q, g, y]) => object([
                ("P", natural(p)),
                ("Q", natural(q)),
                ("G", natural(g)),
                ("Y", natural(y)),
            ]),
            Self::Ec(curve, point) => point_value(*curve, point),
            Self::Ed25519(key) => bytes(key),
        }
    }
}
