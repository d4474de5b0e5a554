//! Where a request may carry a token, and taking it from there as Envoy's JWT filter does.
//! Whether the token is good is the verifier's matter.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::attributes::HttpRequest;

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
/// take another. Rule: an escape that is broken stays as it is, and spoils the token.
fn in_query<'a>(path: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
        return Cow::Owned(decoded.into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

/// Every cookie of the name, for the same reason; one without a value is an empty token.
fn in_cookies<'a>(value: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let pairs = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| {
        let (key, value) = cookie(pair)?;
        if key == name.as_bytes() {
            let value = String::from_utf8_lossy(value.trim_ascii());
            return Some(without_quotes(value));
        }
        // Envoy does not see these, but what runs behind it may: as a whole they are a bad token. A
        // proxy that joins the lines of a header puts commas between them.
        let pieces = pair.split(|byte| *byte == b',');
        let mut keys = pieces.filter_map(cookie).map(|(key, _)| key.trim_ascii());
        let is_hidden = keys.any(|key| key == name.as_bytes());
        is_hidden.then(|| String::from_utf8_lossy(pair))
    })
}

fn cookie(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    Some((pair.get(..at)?, pair.get(at + 1..)?))
}

fn without_quotes(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches('"')),
        Cow::Owned(text) => Cow::Owned(text.trim_matches('"').to_owned()),
    }
}
