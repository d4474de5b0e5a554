//! Public keys and the signatures they verify. A key is bound to its algorithms here, so that a
//! token cannot choose. `jsonwebtoken` checks all signatures but those on P-521, which it does not
//! know. How keys are written in a set is left to `jwks`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use jsonwebtoken::{DecodingKey, crypto};

/// Length of an Ed25519 signature, in bytes.
const ED25519_SIGNATURE: usize = 64;

/// What a token may say it is signed with (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
    /// HS256, HS384 and HS512. No key is ever of this kind: a shared secret is no proof of who
    /// signed.
    Symmetric,
}

/// A name that is none of an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownAlgorithm;

/// A public key, and what its signatures can be made with.
#[derive(Clone)]
pub(super) struct PublicKey {
    algorithms: &'static [Algorithm],
    material: Material,
}

#[derive(Clone)]
enum Material {
    Library(DecodingKey),
    P521(Arc<ParsedPublicKey>),
}

const RSA: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

// === impl Algorithm ===

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Ok(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "EdDSA" => Self::EdDsa,
            "HS256" | "HS384" | "HS512" => Self::Symmetric,
            _ => return Err(UnknownAlgorithm),
        })
    }
}

impl Algorithm {
    /// The name of it that `jsonwebtoken` has, if it has one and we leave the check to it.
    fn in_library(self) -> Option<jsonwebtoken::Algorithm> {
        use jsonwebtoken::Algorithm as Library;
        Some(match self {
            Self::Rs256 => Library::RS256,
            Self::Rs384 => Library::RS384,
            Self::Rs512 => Library::RS512,
            Self::Ps256 => Library::PS256,
            Self::Ps384 => Library::PS384,
            Self::Ps512 => Library::PS512,
            Self::Es256 => Library::ES256,
            Self::Es384 => Library::ES384,
            Self::EdDsa => Library::EdDSA,
            Self::Es512 | Self::Symmetric => return None,
        })
    }
}

// === impl PublicKey ===

impl PublicKey {
    /// An RSA key of a modulus and an exponent that were checked.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self {
            algorithms: RSA,
            material: Material::Library(DecodingKey::from_rsa_raw_components(n, e)),
        }
    }

    /// An Ed25519 key of 32 bytes.
    pub(super) fn ed25519(x: &[u8]) -> Self {
        Self {
            algorithms: &[Algorithm::EdDsa],
            material: Material::Library(DecodingKey::from_ed_der(x)),
        }
    }

    pub(super) fn p256(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let (point, _) = point(x, y, 32, &ECDSA_P256_SHA256_FIXED)?;
        Ok(Self {
            algorithms: &[Algorithm::Es256],
            material: Material::Library(DecodingKey::from_ec_der(&point)),
        })
    }

    pub(super) fn p384(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let (point, _) = point(x, y, 48, &ECDSA_P384_SHA384_FIXED)?;
        Ok(Self {
            algorithms: &[Algorithm::Es384],
            material: Material::Library(DecodingKey::from_ec_der(&point)),
        })
    }

    pub(super) fn p521(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let (_, key) = point(x, y, 66, &ECDSA_P521_SHA512_FIXED)?;
        Ok(Self {
            algorithms: &[Algorithm::Es512],
            material: Material::P521(Arc::new(key)),
        })
    }

    /// Whether signatures of this algorithm can be this key's.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether a signature of so many bytes cannot be this key's, where Envoy says so.
    pub(super) fn is_wrong_length(&self, signature: usize) -> bool {
        self.algorithms == [Algorithm::EdDsa] && signature != ED25519_SIGNATURE
    }

    /// Checks a signature, which is given as it stands in the token and decoded.
    pub(super) fn verifies(
        &self,
        algorithm: Algorithm,
        signed: &[u8],
        written: &str,
        signature: &[u8],
    ) -> bool {
        // Rule: the key's type, not the token, says what a signature can be made with.
        if !self.is_for(algorithm) {
            return false;
        }
        match (&self.material, algorithm.in_library()) {
            (Material::Library(key), Some(algorithm)) => {
                crypto::verify(written, signed, key, algorithm) == Ok(true)
            }
            // Rule (RFC 7518 section 3.4): r and s, 66 bytes each; the fixed form takes no other.
            (Material::P521(key), None) => key.verify_sig(signed, signature).is_ok(),
            _ => false,
        }
    }
}

/// The uncompressed point, and the key if the point is on the curve.
fn point(
    x: &[u8],
    y: &[u8],
    length: usize,
    curve: &'static EcdsaVerificationAlgorithm,
) -> Result<(Vec<u8>, ParsedPublicKey), String> {
    if x.len() != length || y.len() != length {
        return Err("has a coordinate of the wrong length".to_owned());
    }
    let point = [&[4], x, y].concat();
    let key =
        ParsedPublicKey::new(curve, &point).map_err(|_| "is no point of its curve".to_owned())?;
    Ok((point, key))
}

/// Keys are long and say nothing to a reader.
impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PublicKey")
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
