//! What tokens are checked with under one snapshot, and those already found good. A keyring dies
//! with its snapshot, so that no token outlives the keys and rules it was checked with. What makes a
//! token good is the verifier's matter.

use std::cell::OnceCell;
use std::sync::Arc;

use aws_lc_rs::digest;
use moka::sync::Cache;

use super::jwt::{TokenError, VerifiedToken, Verifier, VerifierId};
use super::token::UnverifiedToken;

/// Memory an entry takes besides the token, in bytes.
const ENTRY_OVERHEAD: usize = 160;

/// Verified tokens of one snapshot.
#[derive(Debug)]
pub struct Keyring {
    /// `None` if nothing is to be remembered.
    pub(super) verified: Option<Cache<TokenKey, Arc<VerifiedToken>>>,
}

/// Which token, and whose rules it fulfilled. The token itself is not kept: who reads this memory
/// must not be able to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    digest: [u8; digest::SHA256_OUTPUT_LEN],
    verifier: VerifierId,
}

/// A token as a request carries it: taken apart and digested once, and only if somebody asks.
pub struct PresentedToken<'a> {
    text: &'a str,
    parsed: OnceCell<Result<UnverifiedToken<'a>, TokenError>>,
    digest: OnceCell<[u8; digest::SHA256_OUTPUT_LEN]>,
}

// === impl Keyring ===

impl Keyring {
    /// Remembers verified tokens in so much memory; none in 0.
    pub fn new(max_bytes: u64) -> Self {
        let verified = (max_bytes > 0).then(|| {
            Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|_, token: &Arc<VerifiedToken>| {
                    u32::try_from(token.weight() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
                })
                .build()
        });
        Self { verified }
    }

    /// Checks a token at a time given in seconds since 1970. A token that was good before has its
    /// times checked and nothing else; refusals are not remembered.
    pub fn verify(
        &self,
        verifier: &Verifier,
        token: &PresentedToken<'_>,
        now: u64,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        let Some(cache) = &self.verified else {
            return verifier.verify(token.parsed()?, now).map(Arc::new);
        };
        let key = TokenKey {
            digest: token.digest(),
            verifier: verifier.id(),
        };
        if let Some(verified) = cache.get(&key) {
            return verified.check_times(now).map(|()| verified);
        }
        let verified = Arc::new(verifier.verify(token.parsed()?, now)?);
        cache.insert(key, Arc::clone(&verified));
        Ok(verified)
    }

    /// How many tokens are remembered, about.
    pub fn remembered(&self) -> u64 {
        self.verified.as_ref().map_or(0, Cache::entry_count)
    }
}

// === impl PresentedToken ===

impl<'a> PresentedToken<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            parsed: OnceCell::new(),
            digest: OnceCell::new(),
        }
    }

    fn parsed(&self) -> Result<&UnverifiedToken<'a>, TokenError> {
        let parse = || UnverifiedToken::parse(self.text);
        self.parsed
            .get_or_init(parse)
            .as_ref()
            .map_err(|error| *error)
    }

    fn digest(&self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        *self.digest.get_or_init(|| {
            let digest = digest::digest(&digest::SHA256, self.text.as_bytes());
            let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
            bytes.copy_from_slice(digest.as_ref());
            bytes
        })
    }
}
