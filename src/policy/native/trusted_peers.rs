//! Peers whose word counts on who a request comes from: `mesh.trusted_xfcc_peers`. What they say
//! is read elsewhere; here stands only whom to believe.

use serde::{Deserialize, Serialize};

use super::matcher::Pattern;
use crate::identity::{PeerIdentity, SPIFFE_SCHEME};

/// SPIFFE ids of peers, written as in `principals`: exact, `PREFIX*` or `*SUFFIX`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedPeer {
    text: String,
    pattern: Pattern,
}

impl TrustedPeer {
    /// Whether any of `peers` stands for a peer. Only a valid SPIFFE id counts: other names are
    /// not those of proxies of a mesh.
    pub fn is_any(peers: &[Self], peer: &PeerIdentity<'_>) -> bool {
        peer.spiffe_id().is_some_and(|id| {
            peers.iter().any(|trusted| {
                trusted
                    .pattern
                    .matches_bytes(id.without_scheme().as_bytes())
            })
        })
    }
}

impl TryFrom<String> for TrustedPeer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with(SPIFFE_SCHEME) {
            return Err(format!(
                "`{text}`: leave `{SPIFFE_SCHEME}` out, as in `principals`"
            ));
        }
        let pattern = Pattern::parse(&text);
        let (literal, is_whole) = match &pattern {
            Pattern::Present => {
                return Err("`*` would believe every peer; name those that may be".to_owned());
            }
            Pattern::Exact(id) => (id, !id.starts_with('/') && !id.ends_with('/')),
            // Half a trust domain or half a name could be completed by somebody else.
            Pattern::Prefix(prefix) => (prefix, prefix.find('/').is_some_and(|at| at > 0)),
            Pattern::Suffix(suffix) => (suffix, suffix.starts_with('/') && !suffix.ends_with('/')),
        };
        let can_stand =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
        if literal.is_empty() || !is_whole || !literal.bytes().all(can_stand) {
            return Err(format!(
                "`{text}` is neither a SPIFFE id (`TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`), \
                 nor one's begin with the whole trust domain, nor one's end from a `/` on"
            ));
        }
        Ok(Self { text, pattern })
    }
}

impl From<TrustedPeer> for String {
    fn from(peer: TrustedPeer) -> Self {
        peer.text
    }
}
