//! Where a key set is to be fetched from, checked when policy is loaded. Fetching is left to others;
//! nothing here knows what came of it.

use std::fmt;

use thiserror::Error;
use url::Url;

/// Longest URL that is accepted, in bytes.
const MAX_URL: usize = 2048;
/// Where an OpenID provider describes itself (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// Names a key set that is fetched. Equal sources are fetched once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySource {
    kind: SourceKind,
    url: Url,
}

/// What the URL of a source answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The key set.
    Jwks,
    /// An OpenID provider's metadata, which tells where the key set is.
    Discovery,
}

/// Why a URL is not asked for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyUrlError {
    #[error("is not a URL: {0}")]
    Syntax(url::ParseError),
    #[error("holds white space, a backslash or control characters")]
    Characters,
    #[error("is longer than {MAX_URL} bytes")]
    TooLong,
    #[error("is neither `http` nor `https`")]
    Scheme,
    #[error("holds a user name or password")]
    Credentials,
    #[error("has port 0")]
    Port,
    #[error("has a query or a fragment, which an issuer cannot have")]
    Issuer,
}

// === impl KeySource ===

impl KeySource {
    /// The key set at a URL.
    pub fn at(url: &str) -> Result<Self, KeyUrlError> {
        Ok(Self {
            kind: SourceKind::Jwks,
            url: parse_key_url(url)?,
        })
    }

    /// The key set that an OpenID provider publishes.
    pub fn of_issuer(issuer: &str) -> Result<Self, KeyUrlError> {
        let url = parse_key_url(issuer)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(KeyUrlError::Issuer);
        }
        // Rule: one slash at the end of the issuer is not doubled.
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        Ok(Self {
            kind: SourceKind::Discovery,
            url: parse_key_url(&format!("{base}{DISCOVERY_PATH}"))?,
        })
    }

    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// As it may be shown: the query may hold a secret.
impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.url.as_str().find(['?', '#']);
        let shown = end.and_then(|end| self.url.as_str().get(..end));
        formatter.write_str(shown.unwrap_or(self.url.as_str()))
    }
}

/// Parses a URL that may be asked for keys.
pub fn parse_key_url(text: &str) -> Result<Url, KeyUrlError> {
    if text.len() > MAX_URL {
        return Err(KeyUrlError::TooLong);
    }
    // What the parser would silently remove or turn round.
    let is_odd =
        |character: char| character.is_whitespace() || character.is_control() || character == '\\';
    if text.contains(is_odd) {
        return Err(KeyUrlError::Characters);
    }
    let url = Url::parse(text).map_err(KeyUrlError::Syntax)?;
    check_key_url(&url)?;
    Ok(url)
}

/// Checks a URL that something else led to, such as a redirect.
pub fn check_key_url(url: &Url) -> Result<(), KeyUrlError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(KeyUrlError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(KeyUrlError::Credentials);
    }
    if url.port() == Some(0) {
        return Err(KeyUrlError::Port);
    }
    if url.as_str().len() > MAX_URL {
        return Err(KeyUrlError::TooLong);
    }
    Ok(())
}
