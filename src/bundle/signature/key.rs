//! Keys that bundles are signed and verified with. A key is bound to its algorithm when it is read, so
//! that no signature can choose another.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, VerificationAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use crate::identity::JwsAlgorithm;

/// A key that signatures are checked with.
#[derive(Clone)]
pub struct VerificationKey {
    algorithm: JwsAlgorithm,
    material: Public,
    /// What signatures by it are for, unless that is said elsewhere.
    pub(super) scope: Option<String>,
}

#[derive(Clone)]
enum Public {
    Secret(Arc<hmac::Key>),
    Key(Arc<ParsedPublicKey>),
}

/// A key that signatures are made with.
pub struct SigningKey {
    algorithm: JwsAlgorithm,
    material: Private,
}

enum Private {
    Secret(Box<hmac::Key>),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// How an algorithm's signatures are checked and made.
enum Scheme {
    Mac(hmac::Algorithm),
    Rsa(&'static dyn VerificationAlgorithm, &'static dyn RsaEncoding),
    Ecdsa(
        &'static dyn VerificationAlgorithm,
        &'static EcdsaSigningAlgorithm,
    ),
    Ed25519,
}

fn scheme(algorithm: JwsAlgorithm) -> Scheme {
    match algorithm {
        JwsAlgorithm::Hs256 => Scheme::Mac(hmac::HMAC_SHA256),
        JwsAlgorithm::Hs384 => Scheme::Mac(hmac::HMAC_SHA384),
        JwsAlgorithm::Hs512 => Scheme::Mac(hmac::HMAC_SHA512),
        JwsAlgorithm::Rs256 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA256, &RSA_PKCS1_SHA256),
        JwsAlgorithm::Rs384 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA384, &RSA_PKCS1_SHA384),
        JwsAlgorithm::Rs512 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA512, &RSA_PKCS1_SHA512),
        JwsAlgorithm::Ps256 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA256, &RSA_PSS_SHA256),
        JwsAlgorithm::Ps384 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA384, &RSA_PSS_SHA384),
        JwsAlgorithm::Ps512 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA512, &RSA_PSS_SHA512),
        JwsAlgorithm::Es256 => {
            Scheme::Ecdsa(&ECDSA_P256_SHA256_FIXED, &ECDSA_P256_SHA256_FIXED_SIGNING)
        }
        JwsAlgorithm::Es384 => {
            Scheme::Ecdsa(&ECDSA_P384_SHA384_FIXED, &ECDSA_P384_SHA384_FIXED_SIGNING)
        }
        JwsAlgorithm::Es512 => {
            Scheme::Ecdsa(&ECDSA_P521_SHA512_FIXED, &ECDSA_P521_SHA512_FIXED_SIGNING)
        }
        JwsAlgorithm::EdDsa => Scheme::Ed25519,
    }
}

// === impl VerificationKey ===

impl VerificationKey {
    /// Reads a key: for HMAC the secret itself, otherwise PEM of a public key or a certificate.
    pub fn new(algorithm: JwsAlgorithm, text: &str, scope: Option<String>) -> Result<Self, String> {
        let material = match scheme(algorithm) {
            Scheme::Mac(mac) => Public::Secret(Arc::new(secret(mac, text)?)),
            Scheme::Rsa(verification, _) | Scheme::Ecdsa(verification, _) => {
                Public::of_pem(verification, algorithm, text)?
            }
            Scheme::Ed25519 => Public::of_pem(&ED25519, algorithm, text)?,
        };
        Ok(Self {
            algorithm,
            material,
            scope,
        })
    }

    pub(super) fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            // In constant time.
            Public::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
            Public::Key(key) => key.verify_sig(signed, signature).is_ok(),
        }
    }
}

impl Public {
    fn of_pem(
        verification: &'static dyn VerificationAlgorithm,
        algorithm: JwsAlgorithm,
        pem: &str,
    ) -> Result<Self, String> {
        let info = public_key_info(pem)?;
        let key = ParsedPublicKey::new(verification, info)
            .map_err(|_| format!("the public key is not one for {algorithm}"))?;
        Ok(Self::Key(Arc::new(key)))
    }
}

/// The key of the first block.
fn public_key_info(pem: &str) -> Result<Vec<u8>, String> {
    if let Ok(info) = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()) {
        return Ok(info.to_vec());
    }
    let unreadable = || "is neither a public key nor a certificate in PEM".to_owned();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())?;
    let certificate = Certificate::from_der(&certificate).map_err(|_| unreadable())?;
    let info = certificate.tbs_certificate().subject_public_key_info();
    info.to_der().map_err(|_| unreadable())
}

fn secret(mac: hmac::Algorithm, text: &str) -> Result<hmac::Key, String> {
    match text.is_empty() {
        true => Err("the secret is empty".to_owned()),
        false => Ok(hmac::Key::new(mac, text.as_bytes())),
    }
}

/// Keys are not for reading.
impl fmt::Debug for VerificationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerificationKey")
            .field("algorithm", &self.algorithm)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

// === impl SigningKey ===

impl SigningKey {
    /// Reads a key: for HMAC the secret itself, otherwise PEM of a private key.
    pub fn new(algorithm: JwsAlgorithm, text: &str) -> Result<Self, String> {
        let wrong = || format!("the private key is not one for {algorithm}");
        let pem = || {
            PrivateKeyDer::from_pem_slice(text.as_bytes())
                .map_err(|_| "is no private key in PEM".to_owned())
        };
        let material = match scheme(algorithm) {
            Scheme::Mac(mac) => Private::Secret(Box::new(secret(mac, text)?)),
            Scheme::Rsa(_, encoding) => {
                let key = match pem()? {
                    PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
                    PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
                    _ => return Err(wrong()),
                };
                Private::Rsa(Box::new(key.map_err(|_| wrong())?), encoding)
            }
            Scheme::Ecdsa(_, signing) => {
                let key = EcdsaKeyPair::from_private_key_der(signing, pem()?.secret_der());
                Private::Ecdsa(key.map_err(|_| wrong())?)
            }
            Scheme::Ed25519 => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem()?.secret_der());
                Private::Ed25519(key.map_err(|_| wrong())?)
            }
        };
        Ok(Self {
            algorithm,
            material,
        })
    }

    pub(super) fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |_| "the bundle could not be signed".to_owned();
        Ok(match &self.material {
            Private::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Private::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), message, &mut signature)
                    .map_err(failed)?;
                signature
            }
            Private::Ecdsa(key) => {
                let signature = key.sign(&SystemRandom::new(), message);
                signature.map_err(failed)?.as_ref().to_vec()
            }
            Private::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        })
    }
}

/// Keys are not for reading.
impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
