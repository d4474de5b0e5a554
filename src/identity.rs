//! Who asks: the peer behind the connection and the principal a verified token names. Only the
//! verifier in here can make a `VerifiedToken`. Whether that identity is enough is policy's matter.

mod algorithm;
mod certificate;
mod claims;
mod extract;
mod jwks;
mod jwt;
mod keyring;
mod peer;
mod signature;
mod source;
mod spiffe;
mod token;
mod xfcc;

#[cfg(test)]
pub(crate) mod tests;

pub use algorithm::{JwsAlgorithm, UnknownAlgorithm};
pub use certificate::CertificateError;
pub use claims::Claims;
pub use extract::{FoundToken, Location};
pub use jwks::{KeySet, KeySetError};
pub use jwt::{Keys, VerifiedToken, Verifier};
pub use keyring::{KeySignal, Keyring, PresentedToken, RemoteKeySets, RemoteKeys};
pub use peer::{Caller, PeerIdentity};
pub use source::{KeySource, KeyUrlError, SourceKind, check_key_url, parse_key_url};
pub use spiffe::{SpiffeId, SpiffeIdError};
pub use token::TokenError;
pub use xfcc::{XFCC_HEADER, XfccError};

/// The scheme in front of every SPIFFE id, which policies leave out.
pub const SPIFFE_SCHEME: &str = "spiffe://";
