//! Public keys and the signatures they verify. A key is bound to its algorithms here, so that a
//! token cannot choose. `jsonwebtoken` checks all signatures but those on P-521, which it does not
//! know. How keys are written in a set is left to `jwks`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use jsonwebtoken::{DecodingKey, crypto};

use super::algorithm::JwsAlgorithm;

/// Length of an Ed25519 signature, in bytes.
const ED25519_SIGNATURE: usize = 64;

/// A public key, and what its signatures can be made with.
#[derive(Clone)]
pub(super) struct PublicKey {
    algorithms: &'static [JwsAlgorithm],
    material: Material,
}

#[derive(Clone)]
enum Material {
    Library(DecodingKey),
    P521(Arc<ParsedPublicKey>),
}

const RSA: &[JwsAlgorithm] = &[
    JwsAlgorithm::Rs256,
    JwsAlgorithm::Rs384,
    JwsAlgorithm::Rs512,
    JwsAlgorithm::Ps256,
    JwsAlgorithm::Ps384,
    JwsAlgorithm::Ps512,
];

/// The name of an algorithm that `jsonwebtoken` has, if it has one and we leave the check to it.
fn in_library(algorithm: JwsAlgorithm) -> Option<jsonwebtoken::Algorithm> {
    use jsonwebtoken::Algorithm as Library;
    Some(match algorithm {
        JwsAlgorithm::Rs256 => Library::RS256,
        JwsAlgorithm::Rs384 => Library::RS384,
        JwsAlgorithm::Rs512 => Library::RS512,
        JwsAlgorithm::Ps256 => Library::PS256,
        JwsAlgorithm::Ps384 => Library::PS384,
        JwsAlgorithm::Ps512 => Library::PS512,
        JwsAlgorithm::Es256 => Library::ES256,
        JwsAlgorithm::Es384 => Library::ES384,
        JwsAlgorithm::EdDsa => Library::EdDSA,
        // No key is ever for a shared secret, which is no proof of who signed.
        JwsAlgorithm::Es512 | JwsAlgorithm::Hs256 | JwsAlgorithm::Hs384 | JwsAlgorithm::Hs512 => {
            return None;
        }
    })
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
            algorithms: &[JwsAlgorithm::EdDsa],
            material: Material::Library(DecodingKey::from_ed_der(x)),
        }
    }

    pub(super) fn p256(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let (point, _) = point(x, y, 32, &ECDSA_P256_SHA256_FIXED)?;
        Ok(Self {
            algorithms: &[JwsAlgorithm::Es256],
            material: Material::Library(DecodingKey::from_ec_der(&point)),
        })
    }

    pub(super) fn p384(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let (point, _) = point(x, y, 48, &ECDSA_P384_SHA384_FIXED)?;
        Ok(Self {
            algorithms: &[JwsAlgorithm::Es384],
            material: Material::Library(DecodingKey::from_ec_der(&point)),
        })
    }

    pub(super) fn p521(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let (_, key) = point(x, y, 66, &ECDSA_P521_SHA512_FIXED)?;
        Ok(Self {
            algorithms: &[JwsAlgorithm::Es512],
            material: Material::P521(Arc::new(key)),
        })
    }

    /// Whether signatures of this algorithm can be this key's.
    pub(super) fn is_for(&self, algorithm: JwsAlgorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether a signature of so many bytes cannot be this key's, where Envoy says so.
    pub(super) fn is_wrong_length(&self, signature: usize) -> bool {
        self.algorithms == [JwsAlgorithm::EdDsa] && signature != ED25519_SIGNATURE
    }

    /// Checks a signature, which is given as it stands in the token and decoded.
    pub(super) fn verifies(
        &self,
        algorithm: JwsAlgorithm,
        signed: &[u8],
        written: &str,
        signature: &[u8],
    ) -> bool {
        // Rule: the key's type, not the token, says what a signature can be made with.
        if !self.is_for(algorithm) {
            return false;
        }
        match (&self.material, in_library(algorithm)) {
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
