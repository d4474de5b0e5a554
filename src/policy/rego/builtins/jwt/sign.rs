//! `io.jwt.encode_sign` and `io.jwt.encode_sign_raw`: tokens made with a private JSON Web Key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{error::KeyRejected, hmac};
use base64::Engine as _;
use regorus::Value;

use super::super::encoding::json_text;
use super::super::{Answer, Failure, any, text};
use super::keys::{Curve, Jwk, Key, mac, number};
use super::{BASE64URL, MAX_TOKEN, json_object, member};
use crate::identity::JwsAlgorithm;

/// Rule: header, payload and key are values, written as JSON without spaces, keys in order, numbers with
/// all their digits.
pub(super) fn encode_sign(arguments: &[Value]) -> Answer {
    let json = |index| {
        let value = any(arguments, index)?;
        let Value::Object(_) = value else {
            return Err(Failure::Failed("header, payload and key must be objects"));
        };
        json_text(value)
    };
    encode(&json(0)?, &json(1)?, &json(2)?)
}

/// Rule: header, payload and key are texts, signed as they are.
pub(super) fn encode_sign_raw(arguments: &[Value]) -> Answer {
    encode(
        text(arguments, 0)?,
        text(arguments, 1)?,
        text(arguments, 2)?,
    )
}

fn encode(header: &str, payload: &str, key: &str) -> Answer {
    if header.len().saturating_add(payload.len()) > MAX_TOKEN {
        return Err(Failure::Limit(format!(
            "signing more than {MAX_TOKEN} bytes is refused"
        )));
    }
    let key = Jwk::first(key)?;
    let members = json_object(header)?;
    let string = |name| member(&members, name).and_then(|value| value.as_string().ok());
    let algorithm = string("alg")
        .ok_or(Failure::Failed("missing or invalid 'alg' header"))?
        .parse()
        .map_err(|_| Failure::Failed("unknown JWS algorithm"))?;
    // Rule: what says it is a JWT, or says nothing, must have JSON for a payload.
    let is_jwt = string("typ").is_none_or(|typ| typ.is_empty() || typ.as_ref() == "JWT");
    if is_jwt && serde_json::from_str::<serde::de::IgnoredAny>(payload).is_err() {
        return Err(Failure::Failed("type is JWT but payload is not JSON"));
    }
    let mut token = BASE64URL.encode(header);
    token.push('.');
    token.push_str(&BASE64URL.encode(payload));
    let signature = signature(algorithm, &key, token.as_bytes())?;
    token.push('.');
    token.push_str(&BASE64URL.encode(signature));
    Ok(Value::from(token))
}

fn signature(algorithm: JwsAlgorithm, key: &Jwk, message: &[u8]) -> Result<Vec<u8>, Failure> {
    if let Some(mac) = mac(algorithm) {
        let Key::Secret(secret) = key.key()? else {
            return Err(wrong_key());
        };
        let tag = hmac::sign(&hmac::Key::new(mac, &secret), message);
        return Ok(tag.as_ref().to_vec());
    }
    match algorithm {
        JwsAlgorithm::Rs256 => rsa(key, &RSA_PKCS1_SHA256, message),
        JwsAlgorithm::Rs384 => rsa(key, &RSA_PKCS1_SHA384, message),
        JwsAlgorithm::Rs512 => rsa(key, &RSA_PKCS1_SHA512, message),
        JwsAlgorithm::Ps256 => rsa(key, &RSA_PSS_SHA256, message),
        JwsAlgorithm::Ps384 => rsa(key, &RSA_PSS_SHA384, message),
        JwsAlgorithm::Ps512 => rsa(key, &RSA_PSS_SHA512, message),
        JwsAlgorithm::Es256 => ecdsa(key, Curve::P256, message),
        JwsAlgorithm::Es384 => ecdsa(key, Curve::P384, message),
        JwsAlgorithm::Es512 => ecdsa(key, Curve::P521, message),
        JwsAlgorithm::EdDsa => eddsa(key, message),
        JwsAlgorithm::Hs256 | JwsAlgorithm::Hs384 | JwsAlgorithm::Hs512 => Err(wrong_key()),
    }
}

fn wrong_key() -> Failure {
    Failure::Failed("the JWK is not one for this algorithm")
}

fn rejected(_: KeyRejected) -> Failure {
    wrong_key()
}

fn rsa(key: &Jwk, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Result<Vec<u8>, Failure> {
    if key.kty != "RSA" {
        return Err(wrong_key());
    }
    let (n, e) = key.modulus_and_exponent()?;
    let pair = RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d: number(key.d.as_ref())?,
        p: number(key.p.as_ref())?,
        q: number(key.q.as_ref())?,
        dP: number(key.dp.as_ref())?,
        dQ: number(key.dq.as_ref())?,
        qInv: number(key.qi.as_ref())?,
    })
    .map_err(rejected)?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| Failure::Failed("signing failed"))?;
    Ok(signature)
}

fn ecdsa(key: &Jwk, curve: Curve, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let (own, point) = key.point()?;
    if key.kty != "EC" || own != curve {
        return Err(wrong_key());
    }
    let algorithm = match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    };
    let d = number(key.d.as_ref())?;
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point).map_err(rejected)?;
    let signature = pair
        .sign(&SystemRandom::new(), message)
        .map_err(|_| Failure::Failed("signing failed"))?;
    Ok(signature.as_ref().to_vec())
}

fn eddsa(key: &Jwk, message: &[u8]) -> Result<Vec<u8>, Failure> {
    if key.kty != "OKP" {
        return Err(wrong_key());
    }
    let pair = Ed25519KeyPair::from_seed_and_public_key(&number(key.d.as_ref())?, &key.x()?)
        .map_err(rejected)?;
    Ok(pair.sign(message).as_ref().to_vec())
}
