//! A token taken apart (RFC 7515, RFC 7519): its form, and the types of what it claims, checked in
//! the order and with the messages of Envoy's JWT filter. Whether to believe it is the verifier's
//! matter.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use thiserror::Error;

use super::algorithm::JwsAlgorithm;
use super::claims::Claims;

/// Longest token that is looked at, in bytes: what fits into a request under Envoy's default limits.
pub(super) const MAX_TOKEN: usize = 60 * 1024;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Tolerance for `exp` and `nbf`, in seconds.
const CLOCK_SKEW: u64 = 60;
/// A token taken apart, once for all who look at it; nothing in it may be believed yet.
pub(super) struct UnverifiedToken<'a> {
    pub(super) signed: &'a str,
    pub(super) payload: &'a str,
    /// The signature as it is written, and decoded.
    pub(super) written: &'a str,
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: JwsAlgorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Claims,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) times: Times,
}

/// When a token holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) not_before: Option<u64>,
    pub(super) expires: Option<u64>,
}

/// Why a token is refused. The texts are the bodies Envoy answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("Jwt is missing")]
    Missing,
    #[error("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")]
    Format,
    #[error("Jwt is too long")]
    TooLong,
    #[error("Jwt header is an invalid Base64url encoded")]
    HeaderBase64,
    #[error("Jwt header is an invalid JSON")]
    HeaderJson,
    #[error("Jwt header [alg] field is required and must be a string")]
    AlgorithmMissing,
    #[error("Jwt header [alg] is not supported")]
    AlgorithmUnsupported,
    #[error("Jwt header [kid] field is not a string")]
    KeyIdType,
    #[error("Jwt header [{0}] is not supported")]
    HeaderUnsupported(&'static str),
    #[error("Jwt payload is an invalid Base64url encoded")]
    PayloadBase64,
    #[error("Jwt payload is an invalid JSON")]
    PayloadJson,
    #[error("Jwt payload [{0}] field is not a string")]
    NotAString(&'static str),
    #[error("Jwt payload [{0}] field is not an integer")]
    NotAnInteger(&'static str),
    #[error("Jwt payload [{0}] field is not a positive 64 bit integer")]
    NotPositive(&'static str),
    #[error("Jwt payload [aud] field is not a string or string list")]
    AudienceType,
    #[error("Jwt signature is an invalid Base64url encoded")]
    SignatureBase64,
    #[error("Jwt issuer is not configured")]
    UnknownIssuer,
    #[error("Jwt not yet valid")]
    NotYetValid,
    #[error("Jwt is expired")]
    Expired,
    #[error("Audiences in Jwt are not allowed")]
    Audience,
    #[error("Jwks remote fetch is failed")]
    NoKeySet,
    #[error("Jwks doesn't have key to match kid or alg from Jwt")]
    NoKey,
    #[error("Jwt verification fails")]
    Signature,
    #[error("Jwt ED25519 signature is wrong length")]
    SignatureLength,
    #[error("Request carries two different Jwts")]
    Ambiguous,
}

/// What the first part of a token says.
struct Header {
    algorithm: JwsAlgorithm,
    kid: Option<String>,
    /// A member that asks for more than is understood here.
    unsupported: Option<&'static str>,
}

// === impl UnverifiedToken ===

impl<'a> UnverifiedToken<'a> {
    /// Rules in the order of Envoy's parser, which decides what is reported.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(written), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Format);
        };
        if header.is_empty() || payload.is_empty() || written.is_empty() {
            return Err(TokenError::Format);
        }
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let Header {
            algorithm,
            kid,
            unsupported,
        } = parse_header(header)?;

        let json = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| TokenError::PayloadBase64)?;
        let claims = Claims::parse(&json).ok_or(TokenError::PayloadJson)?;
        let issuer = string(&claims, "iss")?;
        let subject = string(&claims, "sub")?;
        seconds(&claims, "iat")?;
        let times = Times {
            not_before: seconds(&claims, "nbf")?,
            expires: seconds(&claims, "exp")?,
        };
        string(&claims, "jti")?;
        let audiences = audiences(&claims)?;

        let signed = token
            .get(..header.len() + 1 + payload.len())
            .ok_or(TokenError::Format)?;
        let signature = URL_SAFE_NO_PAD
            .decode(written)
            .map_err(|_| TokenError::SignatureBase64)?;
        if let Some(name) = unsupported {
            return Err(TokenError::HeaderUnsupported(name));
        }
        Ok(Self {
            signed,
            payload,
            written,
            signature,
            algorithm,
            kid,
            claims,
            issuer,
            subject,
            audiences,
            times,
        })
    }
}

fn parse_header(header: &str) -> Result<Header, TokenError> {
    let json = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| TokenError::HeaderBase64)?;
    let header = Claims::parse(&json).ok_or(TokenError::HeaderJson)?;
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err(TokenError::AlgorithmMissing);
    };
    let algorithm = algorithm
        .parse()
        .map_err(|_| TokenError::AlgorithmUnsupported)?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(TokenError::KeyIdType),
    };
    // Members that change how the token is to be read: not understood, so not accepted
    // (RFC 7515 section 4.1.11). Envoy ignores them.
    let unsupported = ["crit", "b64", "zip", "enc"]
        .into_iter()
        .find(|name| header.get(name).is_some());
    Ok(Header {
        algorithm,
        kid,
        unsupported,
    })
}

fn string(claims: &Claims, name: &'static str) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::NotAString(name)),
    }
}

/// Rule: a number is a double, and its fraction is cut off; but what only then is 0 (`0.9`) is not
/// the 0 that Envoy takes for "never expires".
fn seconds(claims: &Claims, name: &'static str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let number = value.as_number().ok_or(TokenError::NotAnInteger(name))?;
    let float = number
        .as_f64()
        .filter(|float| (0.0..TWO_TO_64).contains(float))
        .ok_or(TokenError::NotPositive(name))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked just above"
    )]
    let cut = || (float as u64).max(1);
    Ok(Some(number.as_u64().unwrap_or_else(cut)))
}

fn audiences(claims: &Claims) -> Result<Vec<String>, TokenError> {
    match claims.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(audience)) => Ok(vec![audience.clone()]),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or(TokenError::AudienceType)
            })
            .collect(),
        Some(_) => Err(TokenError::AudienceType),
    }
}

// === impl Times ===

impl Times {
    pub(super) fn check(self, now: u64) -> Result<(), TokenError> {
        // Rule: `nbf` first; a missing `exp`, and 0, never expire.
        if self.accepted_from().is_some_and(|from| now < from) {
            return Err(TokenError::NotYetValid);
        }
        if self.accepted_until().is_some_and(|until| now > until) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }

    /// First second at which the token is accepted, the tolerance included.
    fn accepted_from(self) -> Option<u64> {
        Some(self.not_before?.saturating_sub(CLOCK_SKEW))
    }

    /// Last second at which the token is still accepted, the tolerance included.
    pub(super) fn accepted_until(self) -> Option<u64> {
        let expires = self.expires.filter(|expires| *expires != 0)?;
        Some(expires.saturating_add(CLOCK_SKEW))
    }
}

// === impl TokenError ===

impl TokenError {
    /// HTTP status of the refusal.
    pub fn status(self) -> u16 {
        if self == Self::Audience { 403 } else { 401 }
    }
}
