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
        let mut tokens: Vec<_> = match self {
            Self::Header { name, prefix } => {
                let value = http.headers.joined(name);
                let token = value.and_then(|value| in_header(value, prefix));
                token.map(found).into_iter().collect()
            }
            Self::Parameter(name) => in_query(&http.path, name).map(found).collect(),
            Self::Cookie(name) => http
                .headers
                .values("cookie")
                .flat_map(|value| in_cookies(value, name))
                .map(found)
                .collect(),
        };
        // One that is repeated is verified once.
        tokens.dedup();
        tokens
    }
}

/// Rule: several lines are one value; the prefix is searched as a substring; the token is what
/// follows, spaces left aside. With no token character behind the prefix it is missing. Envoy skips
/// other characters too; here they are part of the token and make it a bad one. Without a prefix the
/// whole value is the token, even an empty one.
fn in_header<'a>(text: Cow<'a, str>, prefix: &str) -> Option<Cow<'a, str>> {
    if prefix.is_empty() {
        return Some(text);
    }
    let start = text.find(prefix)? + prefix.len();
    let rest = text.get(start..)?;
    rest.bytes().position(is_token_byte)?;
    let offset = rest.len() - rest.trim_start_matches(' ').len();
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start + offset..)?),
        Cow::Owned(ref text) => Cow::Owned(text.get(start + offset..)?.to_owned()),
    })
}

/// Every value of the parameter, decoded: Envoy takes the first, but what runs behind the proxy may
/// take another.
fn in_query<'a>(path: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    // Each pair by itself: a broken pair elsewhere must not hide the token.
    query
        .split('&')
        .filter_map(|pair| decode_query(pair).ok())
        .filter_map(move |mut parameters| parameters.remove(name)?.into_iter().next())
        .map(Cow::Owned)
}

/// Every cookie of the name, for the same reason; one without a value is an empty token.
fn in_cookies<'a>(value: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| Cow::Borrowed(value.trim_matches('"')))
}
