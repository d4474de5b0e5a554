//! What certificates are signed with, and whether a signature is good. SHA-1, MD5 and DSA are known
//! by name only: nothing signed with them verifies.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, EcdsaVerificationAlgorithm,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, UnparsedPublicKey,
};

use super::super::Failure;
use super::super::der::{Reader, explicit};
use super::key::{Algorithm, Curve, PublicKey};

const PSS: &[u32] = &[1, 2, 840, 113_549, 1, 1, 10];
const MGF1: &[u32] = &[1, 2, 840, 113_549, 1, 1, 8];
const NULL: &[u8] = &[5, 0];

/// By the numbers that Go gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureAlgorithm {
    Unknown = 0,
    Md2Rsa = 1,
    Md5Rsa = 2,
    Sha1Rsa = 3,
    Sha256Rsa = 4,
    Sha384Rsa = 5,
    Sha512Rsa = 6,
    DsaSha1 = 7,
    DsaSha256 = 8,
    EcdsaSha1 = 9,
    EcdsaSha256 = 10,
    EcdsaSha384 = 11,
    EcdsaSha512 = 12,
    Sha256Pss = 13,
    Sha384Pss = 14,
    Sha512Pss = 15,
    Ed25519 = 16,
}

impl SignatureAlgorithm {
    pub(super) fn of(algorithm: &Algorithm<'_>) -> Self {
        match algorithm.oid.as_slice() {
            [1, 2, 840, 113_549, 1, 1, 2] => Self::Md2Rsa,
            [1, 2, 840, 113_549, 1, 1, 4] => Self::Md5Rsa,
            [1, 2, 840, 113_549, 1, 1, 5] | [1, 3, 14, 3, 2, 29] => Self::Sha1Rsa,
            PSS => Self::of_pss(algorithm).unwrap_or(Self::Unknown),
            [1, 2, 840, 113_549, 1, 1, 11] => Self::Sha256Rsa,
            [1, 2, 840, 113_549, 1, 1, 12] => Self::Sha384Rsa,
            [1, 2, 840, 113_549, 1, 1, 13] => Self::Sha512Rsa,
            [1, 2, 840, 10040, 4, 3] => Self::DsaSha1,
            [2, 16, 840, 1, 101, 3, 4, 3, 2] => Self::DsaSha256,
            [1, 2, 840, 10045, 4, 1] => Self::EcdsaSha1,
            [1, 2, 840, 10045, 4, 3, 2] => Self::EcdsaSha256,
            [1, 2, 840, 10045, 4, 3, 3] => Self::EcdsaSha384,
            [1, 2, 840, 10045, 4, 3, 4] => Self::EcdsaSha512,
            // Rule (RFC 8410 section 3): there are no parameters.
            [1, 3, 101, 112] if algorithm.parameters.is_empty() => Self::Ed25519,
            _ => Self::Unknown,
        }
    }

    /// Rule: the mask is made with the hash of the message, the salt is as long as that hash, and the
    /// trailer is the usual one.
    fn of_pss(algorithm: &Algorithm<'_>) -> Result<Self, Failure> {
        let mut parameters = Reader::new(algorithm.parameters).sequence()?;
        let mut explicit_algorithm = |number| {
            let algorithm = parameters.inside(explicit(number))?.sequence()?;
            Algorithm::parse(algorithm)
        };
        let (hash, mask) = (explicit_algorithm(0)?, explicit_algorithm(1)?);
        let salt = parameters.inside(explicit(2))?.integer()?;
        let trailer = match parameters.optional(explicit(3))? {
            Some(trailer) => Reader::new(trailer.content).integer()?,
            None => 1,
        };
        let mask_hash = Algorithm::parse(Reader::new(mask.parameters).sequence()?)?;
        let is_plain = |hash: &Algorithm<'_>| matches!(hash.parameters, [] | NULL);
        let fits = is_plain(&hash) && is_plain(&mask_hash) && mask_hash.oid == hash.oid;
        if mask.oid != MGF1 || !fits || trailer != 1 {
            return Ok(Self::Unknown);
        }
        Ok(match (hash.oid.as_slice(), salt) {
            ([2, 16, 840, 1, 101, 3, 4, 2, 1], 32) => Self::Sha256Pss,
            ([2, 16, 840, 1, 101, 3, 4, 2, 2], 48) => Self::Sha384Pss,
            ([2, 16, 840, 1, 101, 3, 4, 2, 3], 64) => Self::Sha512Pss,
            _ => Self::Unknown,
        })
    }

    pub(super) fn verifies(self, key: &PublicKey<'_>, signed: &[u8], signature: &[u8]) -> bool {
        match key {
            PublicKey::Rsa { n, e } => self.rsa().is_some_and(|rsa| {
                let (n, e) = (n.to_bytes_be(), e.to_be_bytes());
                let zeros = e.iter().take_while(|byte| **byte == 0).count();
                let e = e.get(zeros..).unwrap_or_default().to_vec();
                let key = PublicKeyComponents { n: &n, e: &e };
                key.verify(rsa, signed, signature).is_ok()
            }),
            PublicKey::Ec(curve, point) => self.ecdsa(*curve).is_some_and(|ecdsa| {
                let key = UnparsedPublicKey::new(ecdsa, point);
                key.verify(signed, signature).is_ok()
            }),
            PublicKey::Ed25519(key) if self == Self::Ed25519 => {
                let key = UnparsedPublicKey::new(&ED25519, key);
                key.verify(signed, signature).is_ok()
            }
            PublicKey::Ed25519(_) | PublicKey::Dsa(_) | PublicKey::Unknown => false,
        }
    }

    /// Rule: keys of 1,024 bits are still accepted, where the library still has it.
    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Sha256Rsa => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            Self::Sha384Rsa => &RSA_PKCS1_2048_8192_SHA384,
            Self::Sha512Rsa => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            Self::Sha256Pss => &RSA_PSS_2048_8192_SHA256,
            Self::Sha384Pss => &RSA_PSS_2048_8192_SHA384,
            Self::Sha512Pss => &RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }

    /// Rule: any of the hashes goes with any of the curves.
    fn ecdsa(self, curve: Curve) -> Option<&'static EcdsaVerificationAlgorithm> {
        Some(match (curve, self) {
            (Curve::P256, Self::EcdsaSha256) => &ECDSA_P256_SHA256_ASN1,
            (Curve::P256, Self::EcdsaSha384) => &ECDSA_P256_SHA384_ASN1,
            (Curve::P256, Self::EcdsaSha512) => &ECDSA_P256_SHA512_ASN1,
            (Curve::P384, Self::EcdsaSha256) => &ECDSA_P384_SHA256_ASN1,
            (Curve::P384, Self::EcdsaSha384) => &ECDSA_P384_SHA384_ASN1,
            (Curve::P384, Self::EcdsaSha512) => &ECDSA_P384_SHA512_ASN1,
            (Curve::P521, Self::EcdsaSha256) => &ECDSA_P521_SHA256_ASN1,
            (Curve::P521, Self::EcdsaSha384) => &ECDSA_P521_SHA384_ASN1,
            (Curve::P521, Self::EcdsaSha512) => &ECDSA_P521_SHA512_ASN1,
            _ => return None,
        })
    }
}
