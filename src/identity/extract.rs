//! Where a request may carry a token, and taking it from there as Envoy's JWT filter does.
//! Whether the token is good is the verifier's matter.

use std::borrow::Cow;

use crate::attributes::{HttpRequest, decode_query};

/// Characters a token consists of.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// One place to look for a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    Header { name: String, prefix: String },
    Parameter(String),
    Cookie(String),
}

/// A token and the place it was found at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundToken<'a> {
    pub location: &'a Location,
    pub text: Cow<'a, str>,
}

impl Location {
    /// Places that are looked at when a rule names none.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::Header {
                name: "authorization".to_owned(),
                prefix: "Bearer ".to_owned(),
            },
            Self::Parameter("access_token".to_owned()),
        ]
    }

    /// The tokens a request carries here.
    pub fn find<'a>(&'a self, http: &'a HttpRequest) -> Vec<FoundToken<'a>> {
        let found = |text| FoundToken {
            location: self,
            text,
        };
        match self {
            Self::Header { name, prefix } => http
                .headers
                .values(name)
                .filter_map(|value| in_header(value, prefix))
                .map(found)
                .collect(),
            Self::Parameter(name) => in_query(&http.path, name).map(found).into_iter().collect(),
            Self::Cookie(name) => http
                .headers
                .values("cookie")
                .filter_map(|value| in_cookies(value, name))
                .map(found)
                .collect(),
        }
    }
}

/// Rule: the prefix is searched as a substring; the token is what follows, from the first token
/// character to the end. Nothing behind the prefix is a missing token. Without a prefix the whole
/// value is the token, even an empty one.
fn in_header<'a>(value: &'a [u8], prefix: &str) -> Option<Cow<'a, str>> {
    let text = String::from_utf8_lossy(value);
    if prefix.is_empty() {
        return Some(text);
    }
    let start = text.find(prefix)? + prefix.len();
    let rest = text.get(start..)?;
    let offset = rest.bytes().position(is_token_byte)?;
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start + offset..)?),
        Cow::Owned(ref text) => Cow::Owned(text.get(start + offset..)?.to_owned()),
    })
}

/// Rule: the first value of the parameter, decoded.
fn in_query<'a>(path: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, query) = path.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    // Each pair by itself: a broken pair elsewhere must not hide the token.
    query
        .split('&')
        .filter_map(|pair| decode_query(pair).ok())
        .find_map(|mut parameters| parameters.remove(name)?.into_iter().next())
        .map(Cow::Owned)
}

fn in_cookies<'a>(value: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let text = std::str::from_utf8(value).ok()?;
    text.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| Cow::Borrowed(value.trim_matches('"')))
        .filter(|value| !value.is_empty())
}
