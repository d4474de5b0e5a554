//! Who asks: the peer behind the connection and the principal a verified token names. Only the
//! verifier in here can make a `VerifiedToken`. Whether that identity is enough is policy's matter.

mod claims;
mod extract;
mod jwks;
mod jwt;
mod keyring;
mod signature;
mod source;
mod spiffe;
mod token;

#[cfg(test)]
pub(crate) mod tests;

pub use claims::Claims;
pub use extract::{FoundToken, Location};
pub use jwks::{KeySet, KeySetError};
pub use jwt::{CLOCK_SKEW, Keys, TokenError, VerifiedToken, Verifier};
pub use keyring::{KeySignal, Keyring, PresentedToken, RemoteKeySets, RemoteKeys};
pub use source::{KeySource, KeyUrlError, SourceKind, check_key_url, parse_key_url};
pub use spiffe::{SpiffeId, SpiffeIdError};

/// The scheme in front of every SPIFFE id, which policies leave out.
pub const SPIFFE_SCHEME: &str = "spiffe://";

/// Names under which the peer's certificate is known. Empty without a client certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerIdentity<'a> {
    principal: &'a str,
}

impl<'a> PeerIdentity<'a> {
    /// The identity a proxy reports in `source.principal`.
    pub fn new(principal: &'a str) -> Self {
        Self { principal }
    }

    /// Every name, the way the certificate spells it.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + Clone {
        Some(self.principal)
            .into_iter()
            .filter(|name| !name.is_empty())
    }

    /// The name shown in records, `None` without one.
    pub fn display(&self) -> Option<&'a str> {
        self.names().next()
    }
}
