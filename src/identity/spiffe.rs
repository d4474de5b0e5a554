//! SPIFFE ids, read strictly by the SPIFFE ID standard (section 2). Istio's layout of the path
//! (`/ns/NAMESPACE/sa/ACCOUNT`) is an addition of its own.

use thiserror::Error;

use super::SPIFFE_SCHEME;

/// Longest id the standard asks implementations to accept, in bytes.
const MAX_LENGTH: usize = 2048;

/// A valid SPIFFE id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpiffeId<'a> {
    /// Trust domain and path.
    without_scheme: &'a str,
    trust_domain: &'a str,
    /// Empty or beginning with `/`.
    path: &'a str,
}

/// Why a text is no SPIFFE id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SpiffeIdError {
    #[error("is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("does not begin with `spiffe://`")]
    Scheme,
    #[error("has an invalid trust domain")]
    TrustDomain,
    #[error("has an invalid path")]
    Path,
}

impl<'a> SpiffeId<'a> {
    /// Parses an id.
    pub fn parse(text: &'a str) -> Result<Self, SpiffeIdError> {
        if text.len() > MAX_LENGTH {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text
            .strip_prefix(SPIFFE_SCHEME)
            .ok_or(SpiffeIdError::Scheme)?;
        let (trust_domain, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        // Rule: lower-case letters, digits, dots, dashes, underscores; at least one.
        let valid_domain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        if trust_domain.is_empty() || !trust_domain.bytes().all(valid_domain) {
            return Err(SpiffeIdError::TrustDomain);
        }
        // Rule: segments are not empty, not `.` or `..`; no trailing slash.
        let valid_segment = |segment: &str| {
            let valid =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !matches!(segment, "" | "." | "..") && segment.bytes().all(valid)
        };
        if !path.is_empty() && !path.split('/').skip(1).all(valid_segment) {
            return Err(SpiffeIdError::Path);
        }
        Ok(Self {
            without_scheme: rest,
            trust_domain,
            path,
        })
    }

    /// The id the way policies write it.
    pub fn without_scheme(&self) -> &'a str {
        self.without_scheme
    }

    /// The authority that issued the identity.
    pub fn trust_domain(&self) -> &'a str {
        self.trust_domain
    }

    /// Whether it names somebody in the trust domain.
    pub fn has_path(&self) -> bool {
        !self.path.is_empty()
    }

    /// Namespace and service account, if the path has Istio's layout.
    pub fn workload(&self) -> Option<(&'a str, &'a str)> {
        let mut parts = self.path.split('/').skip(1);
        match (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) {
            (Some("ns"), Some(namespace), Some("sa"), Some(account), None) => {
                Some((namespace, account))
            }
            _ => None,
        }
    }
}
