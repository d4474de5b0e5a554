//! What tokens are checked with under one snapshot, and those already found good. A keyring dies
//! with its snapshot, so that no token outlives the keys and rules it was checked with. What makes a
//! token good is the verifier's matter.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use moka::sync::Cache;

use super::jwks::KeySet;
use super::jwt::{Keys, VerifiedToken, Verifier, VerifierId};
use super::source::KeySource;
use super::token::{MAX_TOKEN, TokenError, UnverifiedToken};

/// Memory an entry takes besides the token, in bytes.
const ENTRY_OVERHEAD: usize = 160;

/// Fetched keys and verified tokens of one snapshot.
#[derive(Debug)]
pub struct Keyring {
    remote: RemoteKeySets,
    /// `None` if nothing is to be remembered.
    pub(super) verified: Option<Cache<TokenKey, Arc<VerifiedToken>>>,
}

/// Fetched key sets by where they come from.
pub type RemoteKeySets = HashMap<KeySource, RemoteKeys>;

/// What there is of a key set that is fetched.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    /// The last good set; `None` if there never was one.
    pub set: Option<Arc<KeySet>>,
    pub signal: Arc<dyn KeySignal>,
}

/// Tells whoever fetches keys that one was missed. Called while a request waits: it must return at
/// once, however often it is called.
pub trait KeySignal: fmt::Debug + Send + Sync {
    fn key_missed(&self);
}

/// Fetches nothing.
#[derive(Debug)]
struct Nobody;

impl KeySignal for Nobody {
    fn key_missed(&self) {}
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
    pub fn new(remote: RemoteKeySets, max_bytes: u64) -> Self {
        let verified = (max_bytes > 0).then(|| {
            Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|_, token: &Arc<VerifiedToken>| {
                    u32::try_from(token.weight() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
                })
                .build()
        });
        Self { remote, verified }
    }

    /// The same fetched keys, for questions beside the checks: nothing is remembered, and nobody hears of
    /// a key that is missing.
    pub fn aside(&self) -> Self {
        let remote = self.remote.iter().map(|(source, keys)| {
            let keys = RemoteKeys {
                set: keys.set.clone(),
                signal: Arc::new(Nobody),
            };
            (source.clone(), keys)
        });
        Self::new(remote.collect(), 0)
    }

    /// Checks a token at a time given in seconds since 1970. A token that was good before has its
    /// times checked and nothing else; refusals are not remembered.
    pub fn verify(
        &self,
        verifier: &Verifier,
        token: &PresentedToken<'_>,
        now: u64,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        if let Some(known) = self.recall(verifier, token, now) {
            return known;
        }
        let verified = Arc::new(self.verify_anew(verifier, token, now)?);
        if let Some((cache, key)) = self.place(verifier, token) {
            cache.insert(key, Arc::clone(&verified));
        }
        Ok(verified)
    }

    /// What `verify` says of a token that was good before; `None` of any other.
    pub fn recall(
        &self,
        verifier: &Verifier,
        token: &PresentedToken<'_>,
        now: u64,
    ) -> Option<Result<Arc<VerifiedToken>, TokenError>> {
        let (cache, key) = self.place(verifier, token)?;
        let verified = cache.get(&key)?;
        Some(verified.check_times(now).map(|()| verified))
    }

    /// Where a token is remembered, if it is one that can be.
    fn place(
        &self,
        verifier: &Verifier,
        token: &PresentedToken<'_>,
    ) -> Option<(&Cache<TokenKey, Arc<VerifiedToken>>, TokenKey)> {
        // What is refused for its length alone is not worth a digest.
        let cache = self
            .verified
            .as_ref()
            .filter(|_| token.text.len() <= MAX_TOKEN)?;
        let digest = token.digest();
        let verifier = verifier.id();
        Some((cache, TokenKey { digest, verifier }))
    }

    fn verify_anew(
        &self,
        verifier: &Verifier,
        token: &PresentedToken<'_>,
        now: u64,
    ) -> Result<VerifiedToken, TokenError> {
        let token = token.parsed()?;
        let source = match verifier.keys() {
            Keys::Given(keys) => return verifier.verify(token, Some(keys), now),
            Keys::Remote(source) => source,
        };
        let remote = self.remote.get(source);
        let keys = remote.and_then(|remote| remote.set.as_deref());
        let verified = verifier.verify(token, keys, now);
        // Rule: a key that is not in the set may be in a newer one. The request does not wait for it.
        if let Err(TokenError::NoKey | TokenError::NoKeySet) = verified
            && let Some(remote) = remote
        {
            remote.signal.key_missed();
        }
        verified
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

    /// Why it is refused before anybody looks at its signature, if it is.
    pub fn refused_by(&self, verifier: &Verifier, now: u64) -> Option<TokenError> {
        let checked = self.parsed();
        let checked = checked.and_then(|token| verifier.check_claims(token, now));
        checked.err()
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
