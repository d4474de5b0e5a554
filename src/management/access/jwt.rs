//! Callers with a signed token of the configured issuer, checked as tokens of requests are; what they
//! may do is among its claims.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::role::{Area, Grants, Role};
use crate::address::names_loopback;
use crate::identity::{
    KeySet, KeySource, Keyring, Keys, PresentedToken, RemoteKeySets, TokenError, VerifiedToken,
    Verifier,
};

/// Longest that one document with keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest name of a caller, in bytes.
const MAX_NAME: usize = 512;

/// Section `management.jwt`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    pub issuer: String,
    /// Of these a token must have one.
    pub audiences: Vec<String>,
    /// The keys; or their URL; with neither the issuer is asked (OpenID Connect Discovery).
    #[serde(default)]
    pub jwks: Option<String>,
    #[serde(default, serialize_with = "without_query")]
    pub jwks_uri: Option<String>,
    /// Lets keys be fetched without encryption from another machine.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Claim with the roles: a list, or words in a string.
    #[serde(default = "roles_claim")]
    pub roles_claim: String,
    /// Claim with the scope, if callers have one.
    #[serde(default)]
    pub scope_claim: Option<String>,
}

/// What a URL may show: its query may hold a secret.
fn without_query<S: Serializer>(url: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let source = url.as_deref().map(KeySource::at);
    // One that is none was refused.
    let shown = source.and_then(Result::ok).map(|source| source.to_string());
    shown.serialize(serializer)
}

fn roles_claim() -> String {
    "roles".to_owned()
}

/// Checks tokens of the issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    verifier: Verifier,
    keyring: ArcSwap<Keyring>,
    roles_claim: String,
    scope_claim: Option<String>,
}

/// Why a token is no caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("Jwt has no end (`exp`)")]
    NoEnd,
    #[error("Jwt names nobody (`sub`) that can be told")]
    NoName,
}

impl JwtConfig {
    fn verifier(&self) -> Result<Verifier, String> {
        if self.issuer.is_empty() {
            return Err("`issuer` is empty".to_owned());
        }
        // Rule: a token for somebody else is no token for here.
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err("`audiences` names nobody".to_owned());
        }
        let keys = match (&self.jwks, &self.jwks_uri) {
            (Some(_), Some(_)) => return Err("only one of `jwks` and `jwks_uri` can be set".into()),
            (Some(jwks), None) => {
                let keys = KeySet::parse_published(jwks);
                let keys = keys.map_err(|error| format!("`jwks` {error}"))?;
                Keys::Given(Arc::new(keys))
            }
            (None, Some(url)) => {
                let source = KeySource::at(url);
                Keys::Remote(source.map_err(|error| format!("`jwks_uri` {error}"))?)
            }
            (None, None) => {
                let source = KeySource::of_issuer(&self.issuer);
                Keys::Remote(source.map_err(|error| {
                    format!("without `jwks` and `jwks_uri` the issuer is asked, but it {error}")
                })?)
            }
        };
        // Rule: whoever can change what comes from there is every caller.
        if let Keys::Remote(source) = &keys
            && source.url().scheme() == "http"
            && !names_loopback(source.url())
            && !self.allow_plaintext
        {
            return Err(format!(
                "keys would be fetched without encryption from {source}; use https, or \
                 `allow_plaintext: true` if the way there is protected"
            ));
        }
        Ok(Verifier::new(&self.issuer, &self.audiences, keys, &[]))
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.verifier().err()
    }
}

impl Issuer {
    pub(super) fn new(config: &JwtConfig) -> Result<Self, String> {
        Ok(Self {
            verifier: config.verifier()?,
            keyring: ArcSwap::from_pointee(Keyring::new(RemoteKeySets::new(), 0)),
            roles_claim: config.roles_claim.clone(),
            scope_claim: config.scope_claim.clone(),
        })
    }

    /// Where its keys are fetched from, and how long that may take.
    pub(super) fn key_sources(&self) -> BTreeMap<KeySource, Duration> {
        let source = self.verifier.key_source().into_iter();
        source
            .map(|source| (source.clone(), FETCH_TIMEOUT))
            .collect()
    }

    pub(super) fn set_keys(&self, keys: RemoteKeySets) {
        self.keyring.store(Arc::new(Keyring::new(keys, 0)));
    }

    /// Who holds the token, at a time in seconds since 1970, and what they may do.
    pub(super) fn verify(&self, token: &str, now: u64) -> Result<(String, Grants), JwtError> {
        let keyring = self.keyring.load();
        let token = PresentedToken::new(token);
        let verified = keyring.verify(&self.verifier, &token, now)?;
        // Rule: what never ends cannot be taken back.
        if verified.accepted_until().is_none() {
            return Err(JwtError::NoEnd);
        }
        let name = verified.principal();
        let is_name = |name: &String| name.len() <= MAX_NAME && !name.contains(char::is_control);
        let name = name.filter(is_name).ok_or(JwtError::NoName)?;
        Ok((name, self.grants(&verified)))
    }

    /// Rule: words that are no roles, and parts of a scope that are none, permit nothing.
    fn grants(&self, token: &VerifiedToken) -> Grants {
        let words = |claim: &String| words(token.written_claim(std::slice::from_ref(claim)));
        let roles = words(&self.roles_claim).into_iter();
        let roles = roles.filter_map(|word| word.parse::<Role>().ok());
        let scope = self.scope_claim.as_ref().map(|claim| {
            let areas = words(claim).into_iter();
            areas.filter_map(|word| word.parse::<Area>().ok()).collect()
        });
        Grants::claimed(roles.collect(), scope)
    }
}

/// A claim as a list of words.
fn words(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => text.split_ascii_whitespace().collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
