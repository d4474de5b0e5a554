//! Private keys out of PEM and DER, checked as Go's `crypto/x509` checks them, and the built-ins that
//! show them. A result holds the key, as OPA's does; no error says anything of one.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use num_bigint::BigUint;
use regorus::Value;

use super::der::{OCTET_STRING, Oid, Reader, explicit};
use super::go_json::{bytes, insert, natural, object};
use super::pem::{self, Blocks};
use super::x509::Certificate;
use super::x509::key::{Algorithm, Curve, KEY_25519, KeyType, PublicKey, point_value};
use super::{Answer, Builtin, Failure, text};

/// Longest modulus of an RSA key, in bits: checking one takes time with the square of it.
const MAX_MODULUS: u64 = 8192;

const BEGIN: &str = "-----BEGIN ";

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("crypto.parse_private_keys", 1, parse_private_keys),
    Builtin::pure("crypto.x509.parse_keypair", 2, parse_keypair),
    Builtin::pure("crypto.x509.parse_rsa_private_key", 1, parse_to_jwk),
];

enum PrivateKey {
    Rsa(Box<RsaKey>),
    Ec(EcKey),
    /// The seed, and the public key.
    Ed25519(Vec<u8>, Vec<u8>),
    X25519(Vec<u8>, Vec<u8>),
}

/// A key of two primes.
struct RsaKey {
    n: BigUint,
    e: u32,
    d: BigUint,
    p: BigUint,
    q: BigUint,
    dp: BigUint,
    dq: BigUint,
    qinv: BigUint,
}

struct EcKey {
    curve: Curve,
    d: Vec<u8>,
    point: Vec<u8>,
}

// === Built-ins ===

/// Rule: `null` for no text, else an array of the keys in it, which may be empty. One that is broken
/// spoils all.
fn parse_private_keys(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let keys = keys(text)?;
    let values: Vec<_> = keys.iter().map(PrivateKey::to_value).collect();
    Ok(Value::from(values))
}

/// Rule: the first key of a text as a JSON Web Key, of whatever kind it is; `null` if there is none.
fn parse_to_jwk(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    if text.is_empty() {
        return Err(Failure::Failed("input PEM data was empty"));
    }
    let decoded;
    let text = match text.starts_with("-----BEGIN") {
        true => text,
        false => {
            decoded = pem::base64(text.as_bytes())?;
            str::from_utf8(&decoded).unwrap_or_default()
        }
    };
    let keys = keys(text)?;
    Ok(keys.first().map_or(Value::Null, PrivateKey::to_jwk))
}

/// Rule: certificates, of which the first is for the key.
fn parse_keypair(arguments: &[Value]) -> Answer {
    let certificates = Half::of(text(arguments, 0)?)?;
    let certificates = certificates.all(|label| label == b"CERTIFICATE")?;
    let [first, ..] = certificates.as_slice() else {
        return Err(Failure::Failed("no certificate in the certificate input"));
    };
    let leaf = Certificate::parse_only(first)?;
    let is_key = |label: &[u8]| label == b"PRIVATE KEY" || label.ends_with(b" PRIVATE KEY");
    let keys = Half::of(text(arguments, 1)?)?.all(is_key)?;
    let [key, ..] = keys.as_slice() else {
        return Err(Failure::Failed("no private key in the key input"));
    };
    let key = PrivateKey::of_any_form(key)?;
    if !key.is_of(&leaf.key) {
        return Err(Failure::Failed("private key does not match public key"));
    }
    let certificates: Vec<_> = certificates.iter().map(|der| bytes(der)).collect();
    Ok(object([
        ("Certificate", Value::from(certificates)),
        ("PrivateKey", key.to_value()),
        ("SupportedSignatureAlgorithms", Value::Null),
        ("OCSPStaple", Value::Null),
        ("SignedCertificateTimestamps", Value::Null),
        ("Leaf", leaf.to_value()),
    ]))
}

// === Reading texts ===

/// The keys of a text. Rule: it may be base64; blocks that are no keys are passed over.
fn keys(text: &str) -> Result<Vec<PrivateKey>, Failure> {
    let decoded = match pem::base64(text.as_bytes()) {
        Ok(decoded) => Some(decoded),
        Err(Failure::Failed(_)) => None,
        Err(limit) => return Err(limit),
    };
    let mut blocks = Blocks::of(decoded.as_deref().unwrap_or(text.as_bytes()))?;
    let mut keys = Vec::new();
    while let Some(block) = blocks.next()? {
        let der = &block.bytes;
        keys.push(match block.label {
            b"RSA PRIVATE KEY" => PrivateKey::pkcs1(der)?,
            b"PRIVATE KEY" => PrivateKey::pkcs8(der)?,
            b"EC PRIVATE KEY" => PrivateKey::sec1(der, None)?,
            _ => continue,
        });
    }
    Ok(keys)
}

/// What one half of a pair is written in.
enum Half {
    Pem(Vec<u8>),
    Der(Vec<u8>),
}

impl Half {
    /// Rule: PEM, or base64 of PEM or of DER.
    fn of(text: &str) -> Result<Self, Failure> {
        if text.starts_with(BEGIN) {
            return Ok(Self::Pem(text.as_bytes().to_vec()));
        }
        let bytes = pem::base64(text.as_bytes())?;
        Ok(match bytes.starts_with(BEGIN.as_bytes()) {
            true => Self::Pem(bytes),
            false => Self::Der(bytes),
        })
    }

    /// The contents of the blocks that are wanted.
    fn all(self, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, Failure> {
        let text = match self {
            Self::Der(der) => return Ok(vec![der]),
            Self::Pem(text) => text,
        };
        let mut blocks = Blocks::of(&text)?;
        let mut contents = Vec::new();
        while let Some(block) = blocks.next()? {
            if is_wanted(block.label) {
                contents.push(block.bytes);
            }
        }
        Ok(contents)
    }
}

// === impl PrivateKey ===

impl PrivateKey {
    /// Rule: one of the three forms, whatever the label says.
    fn of_any_form(der: &[u8]) -> Result<Self, Failure> {
        if let Ok(key) = Self::pkcs1(der) {
            return Ok(key);
        }
        match Self::pkcs8(der) {
            Ok(Self::X25519(..)) => Err(Failure::Failed("unknown private key type")),
            Ok(key) => Ok(key),
            Err(_) => Self::sec1(der, None),
        }
    }

    /// An `RSAPrivateKey` (RFC 8017).
    fn pkcs1(der: &[u8]) -> Result<Self, Failure> {
        let mut whole = Reader::new(der);
        let mut key = whole.sequence()?;
        if !whole.is_empty() {
            return Err(Failure::Failed("trailing data"));
        }
        // Version 1 is for keys of more than two primes.
        if key.integer()? != 0 {
            return Err(Failure::Failed("unsupported private key version"));
        }
        let n = key.positive()?;
        if n.bits() > MAX_MODULUS {
            return Err(Failure::Failed("an RSA key is too long"));
        }
        let e = u32::try_from(key.integer()?).map_err(|_| INVALID_RSA)?;
        let (d, p, q) = (key.positive()?, key.positive()?, key.positive()?);
        let mut written = Vec::new();
        while !key.is_empty() && written.len() < 3 {
            written.push(key.positive()?);
        }
        let key = RsaKey::checked(n, e, d, p, q).ok_or(INVALID_RSA)?;
        // Rule: what the key says that follows from the rest must follow.
        let derived = [&key.dp, &key.dq, &key.qinv];
        let follows = written.iter().zip(derived).all(|(own, right)| own == right);
        match follows {
            true => Ok(Self::Rsa(Box::new(key))),
            false => Err(INVALID_RSA),
        }
    }

    /// A `PrivateKeyInfo` (RFC 5208).
    fn pkcs8(der: &[u8]) -> Result<Self, Failure> {
        let mut info = Reader::new(der).sequence()?;
        info.integer()?;
        let algorithm = Algorithm::parse(info.sequence()?)?;
        let key = info.content(OCTET_STRING)?;
        match KeyType::of(&algorithm.oid) {
            KeyType::Rsa => Self::pkcs1(key),
            KeyType::Ec => {
                let curve = Reader::new(algorithm.parameters).oid().ok();
                Self::sec1(key, curve)
            }
            KeyType::Ed25519 => {
                let seed = seed(&algorithm, key)?;
                let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| INVALID_KEY)?;
                let public = pair.public_key().as_ref().to_vec();
                Ok(Self::Ed25519(seed.to_vec(), public))
            }
            KeyType::X25519 => {
                let seed = seed(&algorithm, key)?;
                let public = public(&agreement::X25519, seed)?;
                Ok(Self::X25519(seed.to_vec(), public))
            }
            KeyType::Dsa | KeyType::Unknown => {
                Err(Failure::Failed("a private key of an unknown algorithm"))
            }
        }
    }

    /// An `ECPrivateKey` (RFC 5915). Rule: a curve that is named around it counts, else its own.
    fn sec1(der: &[u8], curve: Option<Oid>) -> Result<Self, Failure> {
        let mut key = Reader::new(der).sequence()?;
        if key.integer()? != 1 {
            return Err(Failure::Failed("unknown EC private key version"));
        }
        let written = key.content(OCTET_STRING)?;
        let own = key.optional(explicit(0))?;
        let own = own.map(|own| Reader::new(own.content).oid()).transpose()?;
        let curve = curve.or(own).unwrap_or_default();
        let curve = Curve::of(&curve).ok_or(Failure::Failed("unknown elliptic curve"))?;
        // Rule: zeros in front may be too many or too few.
        let zeros = written.iter().take_while(|byte| **byte == 0).count();
        let digits = written.get(zeros..).unwrap_or_default();
        let missing = curve
            .length()
            .checked_sub(digits.len())
            .ok_or(INVALID_KEY)?;
        let d = [vec![0; missing], digits.to_vec()].concat();
        let algorithm = match curve {
            Curve::P256 => &ECDH_P256,
            Curve::P384 => &ECDH_P384,
            Curve::P521 => &ECDH_P521,
        };
        let point = public(algorithm, &d)?;
        Ok(Self::Ec(EcKey { curve, d, point }))
    }

    /// Whether this is the private half of a key.
    fn is_of(&self, public: &PublicKey<'_>) -> bool {
        match (self, public) {
            (Self::Rsa(own), PublicKey::Rsa { n, .. }) => own.n == *n,
            (Self::Ec(own), PublicKey::Ec(curve, point)) => {
                own.curve == *curve && own.point == *point
            }
            (Self::Ed25519(_, own), PublicKey::Ed25519(key)) => own == key,
            _ => false,
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Rsa(key) => key.to_value(),
            Self::Ec(key) => {
                let mut value = point_value(key.curve, &key.point);
                let d = natural(&BigUint::from_bytes_be(&key.d));
                insert(&mut value, [("D", d)]);
                value
            }
            // Rule: seed and public key in one.
            Self::Ed25519(seed, public) => bytes(&[seed.as_slice(), public].concat()),
            // Rule: such a key shows nothing of itself.
            Self::X25519(..) => Value::new_object(),
        }
    }

    /// As a JSON Web Key (RFC 7518 section 6, RFC 8037).
    fn to_jwk(&self) -> Value {
        let okp = |curve: &str, seed: &[u8], public: &[u8]| {
            object([
                ("kty", Value::from("OKP")),
                ("crv", Value::from(curve)),
                ("d", base64url(seed)),
                ("x", base64url(public)),
            ])
        };
        match self {
            Self::Rsa(key) => key.to_jwk(),
            Self::Ec(key) => {
                let (x, y) = key.curve.coordinates(&key.point);
                let curve = match key.curve {
                    Curve::P256 => "P-256",
                    Curve::P384 => "P-384",
                    Curve::P521 => "P-521",
                };
                object([
                    ("kty", Value::from("EC")),
                    ("crv", Value::from(curve)),
                    ("d", base64url(&key.d)),
                    ("x", base64url(x)),
                    ("y", base64url(y)),
                ])
            }
            Self::Ed25519(seed, public) => okp("Ed25519", seed, public),
            Self::X25519(seed, public) => okp("X25519", seed, public),
        }
    }
}

const INVALID_KEY: Failure = Failure::Failed("invalid private key");
const INVALID_RSA: Failure = Failure::Failed("invalid RSA private key");

fn base64url(bytes: &[u8]) -> Value {
    Value::from(URL_SAFE_NO_PAD.encode(bytes))
}

/// Rule (RFC 8410 section 7): 32 bytes, and no parameters.
fn seed<'a>(algorithm: &Algorithm<'_>, key: &'a [u8]) -> Result<&'a [u8], Failure> {
    let seed = Reader::new(key).content(OCTET_STRING)?;
    let fits = algorithm.parameters.is_empty() && seed.len() == KEY_25519;
    fits.then_some(seed).ok_or(INVALID_KEY)
}

/// The public half of a private number.
fn public(algorithm: &'static agreement::Algorithm, key: &[u8]) -> Result<Vec<u8>, Failure> {
    let key = agreement::PrivateKey::from_private_key(algorithm, key).map_err(|_| INVALID_KEY)?;
    let public = key.compute_public_key().map_err(|_| INVALID_KEY)?;
    Ok(public.as_ref().to_vec())
}

// === impl RsaKey ===

impl RsaKey {
    /// Rule: n is the product of the primes, and d undoes e with each of them.
    fn checked(n: BigUint, e: u32, d: BigUint, p: BigUint, q: BigUint) -> Option<Self> {
        let one = BigUint::from(1u8);
        let is_odd = |number: &BigUint| number.bit(0);
        let small = e < 2 || e > i32::MAX.unsigned_abs() || !is_odd(&BigUint::from(e));
        if small || p <= one || q <= one || &p * &q != n || !is_odd(&n) || d >= n {
            return None;
        }
        let (below_p, below_q) = (&p - &one, &q - &one);
        let product = &d * e;
        if &product % &below_p != one || &product % &below_q != one {
            return None;
        }
        Some(Self {
            dp: &d % below_p,
            dq: &d % below_q,
            qinv: q.modinv(&p)?,
            n,
            e,
            d,
            p,
            q,
        })
    }

    fn to_value(&self) -> Value {
        let precomputed = object([
            ("Dp", natural(&self.dp)),
            ("Dq", natural(&self.dq)),
            ("Qinv", natural(&self.qinv)),
            ("CRTValues", Value::new_array()),
        ]);
        let primes = vec![natural(&self.p), natural(&self.q)];
        object([
            ("N", natural(&self.n)),
            ("E", Value::from(self.e)),
            ("D", natural(&self.d)),
            ("Primes", Value::from(primes)),
            ("Precomputed", precomputed),
        ])
    }

    fn to_jwk(&self) -> Value {
        let number = |number: &BigUint| base64url(&number.to_bytes_be());
        object([
            ("kty", Value::from("RSA")),
            ("n", number(&self.n)),
            ("e", number(&BigUint::from(self.e))),
            ("d", number(&self.d)),
            ("p", number(&self.p)),
            ("q", number(&self.q)),
            ("dp", number(&self.dp)),
            ("dq", number(&self.dq)),
            ("qi", number(&self.qinv)),
        ])
    }
}
