//! Keys made for one run of the tests, and tokens signed with them.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key pair bound to one algorithm.
pub(crate) struct Signer {
    pub(crate) algorithm: &'static str,
    /// The public key, without `alg` and `use`.
    pub(crate) jwk: Value,
    sign: Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>,
}

impl Signer {
    pub(crate) fn rsa(algorithm: &'static str, encoding: &'static dyn RsaEncoding) -> Self {
        let key = &RSA;
        let der = key.public_key().as_ref();
        // RSAPublicKey ends in 256 bytes of modulus, then a header of two bytes and 65537.
        let (rest, exponent) = der.split_at(der.len() - 3);
        let modulus = &rest[rest.len() - 2 - 256..rest.len() - 2];
        Self {
            algorithm,
            jwk: json!({"kty": "RSA", "kid": "rsa", "n": base64(modulus), "e": base64(exponent)}),
            sign: Box::new(move |message| {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            }),
        }
    }

    fn ec(
        algorithm: &'static str,
        curve: &'static str,
        suite: &'static EcdsaSigningAlgorithm,
    ) -> Self {
        let key = EcdsaKeyPair::generate(suite).unwrap();
        let point = &key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "kid": "ec", "crv": curve, "x": base64(x), "y": base64(y)});
        Self {
            algorithm,
            jwk,
            sign: Box::new(move |message| {
                let signed = key.sign(&SystemRandom::new(), message).unwrap();
                signed.as_ref().to_vec()
            }),
        }
    }

    pub(crate) fn es256() -> Self {
        Self::ec(
            "ES256",
            "P-256",
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        )
    }

    pub(crate) fn es384() -> Self {
        Self::ec(
            "ES384",
            "P-384",
            &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        )
    }

    pub(crate) fn es512() -> Self {
        Self::ec(
            "ES512",
            "P-521",
            &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        )
    }

    pub(crate) fn eddsa() -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        let x = base64(key.public_key().as_ref());
        Self {
            algorithm: "EdDSA",
            jwk: json!({"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": x}),
            sign: Box::new(move |message| key.sign(message).as_ref().to_vec()),
        }
    }

    /// The set with this key alone.
    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [self.jwk]}).to_string()
    }

    /// A token with a plain header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm, "kid": self.jwk["kid"]});
        self.token_of(header.to_string(), claims.to_string())
    }

    /// A token with a header and a payload that may be anything.
    pub(crate) fn token_of(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", base64(header), base64(payload));
        let signature = (self.sign)(signed.as_bytes());
        format!("{signed}.{}", base64(signature))
    }
}

static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// The RSA key most tests use.
pub(crate) static RS256: LazyLock<Signer> =
    LazyLock::new(|| Signer::rsa("RS256", &signature::RSA_PKCS1_SHA256));

/// Its public half as DER, for those who would take it for a shared secret.
pub(crate) fn rsa_public_der() -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = RSA.public_key().as_der().unwrap();
    der.as_ref().to_vec()
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
