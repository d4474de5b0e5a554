//! Verification of signed tokens (RFC 7519) with the checks, their order and their messages as in
//! Envoy's JWT filter; stricter where Envoy is lax (`docs/istio-differences.md` lists it).
//! Every claim is checked in `token` and here, since `jsonwebtoken` lets claims of the wrong type
//! pass; signatures are left to `signature`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::attributes::{object_weight, value_weight};

use super::claims::Claims;
use super::jwks::KeySet;
use super::signature::PublicKey;
use super::source::KeySource;
use super::token::{Times, TokenError, UnverifiedToken};

/// Most keys tried for a token without key id.
const MAX_CANDIDATES: usize = 8;

/// Where the keys of a verifier are.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Given with the rule.
    Given(Arc<KeySet>),
    /// Fetched; what there is of them is in the snapshot's keyring.
    Remote(KeySource),
}

/// What a token must satisfy, and where the keys to check it with are.
#[derive(Debug, Clone)]
pub struct Verifier {
    id: VerifierId,
    /// `""` accepts any issuer.
    issuer: String,
    /// Empty accepts any audience.
    audiences: Vec<String>,
    keys: Keys,
    /// Claims that are lists of words written as one string.
    space_delimited: Vec<String>,
}

/// Tells verifiers of one process apart; a copy has the id of its original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct VerifierId(u64);

/// Claims whose signature, issuer, audience and times were checked. Only `Verifier` makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedToken {
    claims: Claims,
    /// Claims that were split into words, as one string.
    as_written: Vec<(String, Value)>,
    issuer: Option<String>,
    subject: Option<String>,
    payload: String,
    times: Times,
}

// === impl Verifier ===

impl Verifier {
    /// A verifier for one issuer. `space_delimited` names further claims like `scope`.
    pub fn new(issuer: &str, audiences: &[String], keys: Keys, space_delimited: &[String]) -> Self {
        // Rule: `scope` and `permission` are always lists of words.
        let always = ["scope", "permission"].map(str::to_owned);
        Self {
            id: VerifierId::next(),
            issuer: issuer.to_owned(),
            audiences: audiences.to_vec(),
            keys,
            space_delimited: always
                .into_iter()
                .chain(space_delimited.iter().cloned())
                .collect(),
        }
    }

    pub(super) fn id(&self) -> VerifierId {
        self.id
    }

    /// Where its keys are fetched from, if they are.
    pub fn key_source(&self) -> Option<&KeySource> {
        match &self.keys {
            Keys::Given(_) => None,
            Keys::Remote(source) => Some(source),
        }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Checks a token at a time given in seconds since 1970. `keys` are those of the verifier, `None`
    /// if they were never fetched.
    pub(super) fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        keys: Option<&KeySet>,
        now: u64,
    ) -> Result<VerifiedToken, TokenError> {
        self.check_claims(token, now)?;
        check_signature(token, keys.ok_or(TokenError::NoKeySet)?)?;
        let mut claims = token.claims.clone();
        let as_written = self
            .space_delimited
            .iter()
            .filter_map(|name| Some((name.clone(), claims.split_at_spaces(name)?)))
            .collect();
        Ok(VerifiedToken {
            claims,
            as_written,
            issuer: token.issuer.clone(),
            subject: token.subject.clone(),
            payload: token.payload.to_owned(),
            times: token.times,
        })
    }

    /// All that is checked before the signature, which takes by far the most.
    pub(super) fn check_claims(
        &self,
        token: &UnverifiedToken<'_>,
        now: u64,
    ) -> Result<(), TokenError> {
        // Rule: issuer, then times, then audience, then signature; the first failure is reported.
        if !self.issuer.is_empty() && token.issuer.as_deref() != Some(&self.issuer) {
            return Err(TokenError::UnknownIssuer);
        }
        token.times.check(now)?;
        self.check_audience(token)
    }

    fn check_audience(&self, token: &UnverifiedToken<'_>) -> Result<(), TokenError> {
        // Rule: without configured audiences none is checked; else one of the token's must be
        // among them, scheme and one trailing slash left aside. What nothing is left of (`/`,
        // `http://`) is the same only as itself, though Envoy takes all of those for one.
        let same = |own: &str, audience: &str| {
            let bare = bare_audience(own);
            own == audience || (!bare.is_empty() && bare == bare_audience(audience))
        };
        let allowed = self.audiences.is_empty()
            || token
                .audiences
                .iter()
                .any(|audience| self.audiences.iter().any(|own| same(own, audience)));
        if allowed {
            Ok(())
        } else {
            Err(TokenError::Audience)
        }
    }
}

fn check_signature(token: &UnverifiedToken<'_>, keys: &KeySet) -> Result<(), TokenError> {
    let mut failure = TokenError::NoKey;
    let mut tried = 0;
    for key in keys.named(token.kid.as_deref(), token.algorithm) {
        if let Some(public) = key.key.as_ref().filter(|key| key.is_for(token.algorithm))
            && tried < MAX_CANDIDATES
        {
            tried += 1;
            let signed = token.signed.as_bytes();
            if public.verifies(token.algorithm, signed, token.written, &token.signature) {
                return Ok(());
            }
        }
        let length = token.signature.len();
        let is_wrong_length = |key: &PublicKey| key.is_wrong_length(length);
        failure = match key.key.as_ref().is_some_and(is_wrong_length) {
            true => TokenError::SignatureLength,
            false => TokenError::Signature,
        };
    }
    Err(failure)
}

fn bare_audience(audience: &str) -> &str {
    let bare = audience
        .strip_prefix("https://")
        .or_else(|| audience.strip_prefix("http://"))
        .unwrap_or(audience);
    bare.strip_suffix('/').unwrap_or(bare)
}

// === impl VerifierId ===

impl VerifierId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

// === impl VerifiedToken ===

impl VerifiedToken {
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// A claim as it stands in the token, where `claims` may show a list of words.
    pub fn written_claim(&self, path: &[String]) -> Option<&Value> {
        let whole = match path {
            [name] => self.as_written.iter().find(|(split, _)| split == name),
            _ => None,
        };
        whole.map_or_else(|| self.claims.lookup(path), |(_, text)| Some(text))
    }

    /// `iss/sub`, if the token has both and neither is empty.
    pub fn principal(&self) -> Option<String> {
        let issuer = self.issuer.as_deref().filter(|issuer| !issuer.is_empty())?;
        let subject = self
            .subject
            .as_deref()
            .filter(|subject| !subject.is_empty())?;
        Some(format!("{issuer}/{subject}"))
    }

    /// The payload as it stood in the token, base64url.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// Last second at which the token is still accepted, the tolerance included.
    pub fn accepted_until(&self) -> Option<u64> {
        self.times.accepted_until()
    }

    /// Checks again what changes on its own.
    pub(super) fn check_times(&self, now: u64) -> Result<(), TokenError> {
        self.times.check(now)
    }

    /// Roughly how much memory this holds, in bytes.
    pub(super) fn weight(&self) -> usize {
        let texts = [&self.issuer, &self.subject].into_iter().flatten();
        let split = self.as_written.iter();
        size_of::<Self>()
            + self.payload.len()
            + texts.map(String::len).sum::<usize>()
            + split
                .map(|(name, value)| name.len() + 24 + value_weight(value))
                .sum::<usize>()
            + object_weight(self.claims.as_object())
    }
}
