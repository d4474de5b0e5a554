//! Bearer tokens: what is known of each, and the file they may stand in. The tokens themselves are
//! known to their holders only; here are their digests.

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::{constant_time, digest};
use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::role::{Area, Grants, Role};
use crate::yaml::Document;

/// Most tokens, in the configuration or in the file.
pub(super) const MAX_TOKENS: usize = 1_000;
/// Longest name of a token, in bytes.
const MAX_NAME: usize = 64;
/// Largest file of tokens, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Who but its owner may do anything with the file of tokens: nobody.
const OTHERS: u32 = 0o077;
/// How much of its digest names a token that has no name of its own.
const SHOWN: usize = 4;

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub(super) name: String,
    digest: Digest,
    pub(super) grants: Grants,
    expires: Option<Timestamp>,
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digest([u8; digest::SHA256_OUTPUT_LEN]);

/// Why a configured token cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("a token is written as `sha256:` and 64 hex digits (printf %s TOKEN | sha256sum)")]
    Digest,
    #[error("a token's name consists of letters, digits, `-`, `_` and `.`, {MAX_NAME} at most")]
    Name,
}

/// Why a file of tokens cannot be used.
#[derive(Debug, Error)]
pub enum TokensFileError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0} is open to others than its owner (mode {1:03o}); it must be 0600 or stricter")]
    Open(PathBuf, u32),
    #[error("{0} is larger than {MAX_FILE} bytes")]
    TooLarge(PathBuf),
    #[error("{0}: {1}")]
    Content(PathBuf, String),
}

// === impl Token ===

impl Token {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// Rule: a digest alone is that of a token that may do everything.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let digest: Digest = text
            .strip_prefix("sha256:")
            .ok_or(TokenError::Digest)?
            .parse()?;
        let shown = digest.0.iter().take(SHOWN);
        let shown: String = shown.map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            name: format!("sha256:{shown}"),
            digest,
            grants: Grants::admin(),
            expires: None,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    sha256: Digest,
    roles: Vec<Role>,
    scope: Option<Vec<Area>>,
    expires: Option<Timestamp>,
}

impl TryFrom<Written> for Token {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !(1..=MAX_NAME).contains(&written.name.len()) || !written.name.bytes().all(is_part) {
            return Err(TokenError::Name.to_string());
        }
        let grants =
            Grants::new(written.roles, written.scope).map_err(|error| error.to_string())?;
        Ok(Self {
            name: written.name,
            digest: written.sha256,
            grants,
            expires: written.expires,
        })
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

struct TokenVisitor;

impl<'de> Visitor<'de> for TokenVisitor {
    type Value = Token;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`sha256:DIGEST`, or name, sha256 and roles of a token")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Token, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Token, A::Error> {
        let written = Written::deserialize(MapAccessDeserializer::new(members))?;
        written.try_into().map_err(A::Error::custom)
    }
}

// === impl Digest ===

impl Digest {
    fn of(token: &str) -> Self {
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }
}

impl FromStr for Digest {
    type Err = TokenError;

    fn from_str(hex: &str) -> Result<Self, TokenError> {
        let mut digest = [0; digest::SHA256_OUTPUT_LEN];
        if hex.len() != 2 * digest.len() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(TokenError::Digest);
        }
        for (index, byte) in digest.iter_mut().enumerate() {
            let pair = hex.get(2 * index..2 * index + 2);
            let pair = pair.ok_or(TokenError::Digest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| TokenError::Digest)?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest(..)")
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hex = text.strip_prefix("sha256:").unwrap_or(&text);
        hex.parse().map_err(D::Error::custom)
    }
}

/// The token that was sent, among those that are known. All are compared, each in constant time.
pub(super) fn find<'a>(tokens: impl Iterator<Item = &'a Token>, sent: &str) -> Option<&'a Token> {
    let sent = Digest::of(sent);
    let is_it =
        |token: &&Token| constant_time::verify_slices_are_equal(&sent.0, &token.digest.0).is_ok();
    tokens.filter(is_it).last()
}

/// When tokens end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The token that is the next to end, and when.
    pub next: Option<(String, Timestamp)>,
    /// Names of those that never do.
    pub never: Vec<String>,
}

impl Ends {
    pub(super) fn of<'a>(tokens: impl Iterator<Item = &'a Token>, now: Timestamp) -> Self {
        let mut ends = Self::default();
        for token in tokens.filter(|token| !token.is_expired(now)) {
            match (token.expires, &ends.next) {
                (None, _) => ends.never.push(token.name.clone()),
                (Some(end), Some((_, next))) if *next <= end => {}
                (Some(end), _) => ends.next = Some((token.name.clone(), end)),
            }
        }
        ends
    }
}

/// What is wrong with tokens that are all right one by one.
pub(super) fn contradiction(tokens: &[Token]) -> Option<String> {
    if tokens.len() > MAX_TOKENS {
        return Some(format!("there are more than {MAX_TOKENS} tokens"));
    }
    let mut names: Vec<_> = tokens.iter().map(|token| &token.name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(one),
        _ => None,
    });
    if let Some(name) = twice {
        return Some(format!("two tokens are named `{name}`"));
    }
    // Rule: what a token may do is said once.
    let mut known = HashMap::new();
    let same = tokens.iter().find_map(|token| {
        known
            .insert(token.digest.0, &token.name)
            .zip(Some(&token.name))
    });
    same.map(|(one, other)| format!("`{one}` and `{other}` are the same token"))
}

/// Tokens in a file of their own, read again when it has changed.
#[derive(Debug)]
pub(super) struct TokensFile {
    path: PathBuf,
    tokens: ArcSwap<Vec<Token>>,
}

impl TokensFile {
    pub(super) fn open(path: &Path) -> Result<Self, TokensFileError> {
        Ok(Self {
            path: path.to_owned(),
            tokens: ArcSwap::from_pointee(read(path)?),
        })
    }

    pub(super) fn tokens(&self) -> Arc<Vec<Token>> {
        self.tokens.load_full()
    }

    /// Reads the file again and tells whether other tokens are known now. On an error the known ones
    /// stay.
    pub(super) fn reload(&self) -> Result<bool, TokensFileError> {
        let tokens = read(&self.path)?;
        let changed = **self.tokens.load() != tokens;
        if changed {
            self.tokens.store(Arc::new(tokens));
        }
        Ok(changed)
    }
}

fn read(path: &Path) -> Result<Vec<Token>, TokensFileError> {
    let unreadable = |error| TokensFileError::Read(path.to_owned(), error);
    let wrong = |why: String| TokensFileError::Content(path.to_owned(), why);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Of the file that was opened: one of that name may be another by now.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(TokensFileError::Open(path.to_owned(), mode & 0o777));
    }
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    if read.map_err(unreadable)? as u64 > MAX_FILE {
        return Err(TokensFileError::TooLarge(path.to_owned()));
    }
    let mut documents = Document::parse_stream(&text).map_err(|error| wrong(error.to_string()))?;
    let tokens: Vec<Token> = match documents.pop() {
        Some(document) if documents.is_empty() => {
            let read = document.read();
            read.map_err(|error| wrong(error.without_value().to_string()))?
        }
        _ => return Err(wrong("is not one list of tokens".to_owned())),
    };
    match contradiction(&tokens) {
        Some(why) => Err(wrong(why)),
        None => Ok(tokens),
    }
}
