//! Matchers over single values, compiled once from what users write, by the rules Istio compiles
//! them to. They compare bytes; no pattern of a user ever becomes a regular expression. Which
//! attribute a value comes from is left to `authorization`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::path_template::PathTemplate;
use crate::identity::{Claims, SPIFFE_SCHEME};

/// A string with a star at its begin or end, or neither. The rest is literal, further stars too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `*`: there is a value.
    Present,
    Exact(String),
    Prefix(String),
    Suffix(String),
}

/// Peer names, written without `spiffe://`.
#[derive(Debug, Clone)]
pub(super) struct PrincipalPattern(Pattern);

/// Namespace out of a peer name; stars stand anywhere in it.
#[derive(Debug, Clone)]
pub(super) struct NamespacePattern {
    /// Literal pieces between stars of `*/ns/VALUE/*`.
    pieces: Vec<String>,
}

/// A service account in a namespace.
#[derive(Debug, Clone)]
pub(super) struct ServiceAccount {
    /// `NAMESPACE/ACCOUNT`
    written: String,
    /// `/ns/NAMESPACE/`
    namespace: String,
    /// `/sa/ACCOUNT`
    account: String,
}

/// Trust domain of a peer name, with at most one star that stays inside it.
#[derive(Debug, Clone)]
pub(super) enum TrustDomainPattern {
    Any,
    Exact(String),
    Wildcard { before: String, after: String },
}

/// Issuer and subject of a token.
#[derive(Debug, Clone)]
pub(super) struct RequestPrincipalPattern {
    issuer: Pattern,
    subject: Pattern,
}

/// A request path: a template, or a pattern.
#[derive(Debug, Clone)]
pub(super) enum PathPattern {
    Pattern(Pattern),
    Template(PathTemplate),
}

// === impl Pattern ===

impl Pattern {
    /// Rule: `*` alone, then a leading star, then a trailing one, else exact.
    pub(super) fn parse(value: &str) -> Self {
        if value == "*" {
            Self::Present
        } else if let Some(suffix) = value.strip_prefix('*') {
            Self::Suffix(suffix.to_owned())
        } else if let Some(prefix) = value.strip_suffix('*') {
            Self::Prefix(prefix.to_owned())
        } else {
            Self::Exact(value.to_owned())
        }
    }

    /// Rule for strings (paths, claims, server names): present is `.+`, so not empty and without
    /// a line break.
    pub(super) fn matches_text(&self, text: &str) -> bool {
        match self {
            Self::Present => !text.is_empty() && !text.contains('\n'),
            _ => self.matches_bytes(text.as_bytes()),
        }
    }

    /// Rule for headers: present is there, even if empty.
    pub(super) fn matches_bytes(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(exact) => bytes == exact.as_bytes(),
            Self::Prefix(prefix) => bytes.starts_with(prefix.as_bytes()),
            Self::Suffix(suffix) => bytes.ends_with(suffix.as_bytes()),
        }
    }

    /// Rule for hosts: as headers, without regard to ASCII case; the port belongs to the host.
    pub(super) fn matches_host(&self, host: &str) -> bool {
        let bytes = host.as_bytes();
        match self {
            Self::Present => true,
            Self::Exact(exact) => host.eq_ignore_ascii_case(exact),
            Self::Prefix(prefix) => bytes
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
            Self::Suffix(suffix) => bytes
                .len()
                .checked_sub(suffix.len())
                .and_then(|start| bytes.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes())),
        }
    }

    /// Rule for claims: a string that matches, or a list with a string that does. Numbers, truth
    /// values, null and objects never match; lists in lists are not looked into.
    pub(super) fn matches_claim(&self, value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => self.matches_text(text),
            serde_json::Value::Array(items) => items
                .iter()
                .filter_map(serde_json::Value::as_str)
                .any(|text| self.matches_text(text)),
            _ => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => formatter.write_str("*"),
            Self::Exact(exact) => formatter.write_str(exact),
            Self::Prefix(prefix) => write!(formatter, "{prefix}*"),
            Self::Suffix(suffix) => write!(formatter, "*{suffix}"),
        }
    }
}

// === impl PrincipalPattern ===

impl PrincipalPattern {
    pub(super) fn parse(value: &str) -> Self {
        Self(Pattern::parse(value))
    }

    /// What the name must match behind the scheme; or be there, whatever it is.
    pub(super) fn pattern(&self) -> &Pattern {
        &self.0
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        // Rule: `*` is any identity, SPIFFE or not; everything else needs the scheme.
        if self.0 == Pattern::Present {
            return self.0.matches_text(name);
        }
        name.strip_prefix(SPIFFE_SCHEME)
            .is_some_and(|rest| self.0.matches_bytes(rest.as_bytes()))
    }
}

impl fmt::Display for PrincipalPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

// === impl NamespacePattern ===

impl NamespacePattern {
    pub(super) fn parse(value: &str) -> Self {
        let whole = format!("*/ns/{value}/*");
        Self {
            pieces: whole.split('*').map(str::to_owned).collect(),
        }
    }

    /// Rule: the whole name matches, where each star is any run of characters but line breaks.
    pub(super) fn matches(&self, name: &str) -> bool {
        if name.contains('\n') {
            return false;
        }
        // The first and last piece are empty: the pattern begins and ends with a star. So taking
        // the leftmost place for each piece in turn finds a match if there is one.
        let mut rest = name;
        for piece in &self.pieces {
            match rest.find(piece.as_str()) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.pieces.join("*");
        let value = whole.strip_prefix("*/ns/");
        let value = value.and_then(|value| value.strip_suffix("/*"));
        formatter.write_str(value.unwrap_or(&whole))
    }
}

// === impl ServiceAccount ===

impl ServiceAccount {
    /// `NAMESPACE/ACCOUNT`, or `ACCOUNT` in the namespace of the policy.
    pub(super) fn parse(value: &str, own_namespace: &str) -> Result<Self, String> {
        if value.contains('*') {
            return Err("wildcards are not supported in service accounts".to_owned());
        }
        if value.len() > 320 {
            return Err("is longer than 320 bytes".to_owned());
        }
        let (namespace, account) = value.split_once('/').unwrap_or((own_namespace, value));
        if namespace.is_empty() || account.is_empty() || account.contains('/') {
            return Err("is not `ACCOUNT` or `NAMESPACE/ACCOUNT`".to_owned());
        }
        Ok(Self {
            written: format!("{namespace}/{account}"),
            namespace: format!("/ns/{namespace}/"),
            account: format!("/sa/{account}"),
        })
    }

    /// Rule: `spiffe://` a trust domain `/ns/NAMESPACE/` anything or nothing `sa/ACCOUNT`, and then
    /// the end or `/` and more; no line breaks in what is left open.
    pub(super) fn matches(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(SPIFFE_SCHEME) else {
            return false;
        };
        if rest.contains('\n') {
            return false;
        }
        let Self {
            namespace, account, ..
        } = self;
        // What fits behind a later place of the namespace fits behind the first.
        let Some(at) = places(rest, namespace).find(|at| *at > 0) else {
            return false;
        };
        // The slash before `sa` may be the one that ends the namespace.
        let tail = rest.get(at + namespace.len() - 1..).unwrap_or_default();
        places(tail, account).any(|at| {
            let after = tail.get(at + account.len()..).unwrap_or_default();
            let between_is_open = at == 0 || at > 1;
            between_is_open && (after.is_empty() || (after.starts_with('/') && after.len() > 1))
        })
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

/// Where in a text a part that begins with a slash stands, also where two places overlap.
fn places<'a>(text: &'a str, part: &'a str) -> impl Iterator<Item = usize> {
    text.match_indices('/')
        .map(|(at, _)| at)
        .filter(move |at| text.get(*at..).is_some_and(|rest| rest.starts_with(part)))
}

// === impl TrustDomainPattern ===

impl TrustDomainPattern {
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        if value.contains('/') {
            return Err("a trust domain cannot hold `/`".to_owned());
        }
        if value == "*" {
            return Ok(Self::Any);
        }
        let Some((before, after)) = value.split_once('*') else {
            return Ok(Self::Exact(value.to_owned()));
        };
        if after.contains('*') || !(before.is_empty() || after.is_empty()) {
            return Err("a trust domain can hold one `*`, at its begin or end".to_owned());
        }
        Ok(Self::Wildcard {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(SPIFFE_SCHEME) else {
            return false;
        };
        let domain = rest.split_once('/').map(|(domain, _)| domain);
        match self {
            Self::Any => true,
            Self::Exact(exact) => domain == Some(exact),
            Self::Wildcard { before, after } => domain.is_some_and(|domain| {
                domain.len() >= before.len() + after.len()
                    && domain.starts_with(before.as_str())
                    && domain.ends_with(after.as_str())
                    && !rest.contains('\n')
            }),
        }
    }
}

impl fmt::Display for TrustDomainPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Exact(exact) => formatter.write_str(exact),
            Self::Wildcard { before, after } => write!(formatter, "{before}*{after}"),
        }
    }
}

// === impl RequestPrincipalPattern ===

impl RequestPrincipalPattern {
    /// Rule: the value is split at its last slash into issuer and subject, before stars are
    /// looked at; a value without slash and star is an issuer with an empty subject.
    pub(super) fn parse(value: &str) -> Self {
        let exact = |text: &str| Pattern::Exact(text.to_owned());
        let (issuer, subject) = match value.rsplit_once('/') {
            _ if value == "*" => (Pattern::Present, Pattern::Present),
            None => match Pattern::parse(value) {
                Pattern::Suffix(subject) => (Pattern::Present, Pattern::Suffix(subject)),
                Pattern::Prefix(issuer) => (Pattern::Prefix(issuer), Pattern::Present),
                _ => (exact(value), exact("")),
            },
            Some((issuer, subject)) if value.starts_with('*') => {
                (Pattern::parse(issuer), exact(subject))
            }
            Some((issuer, subject)) if value.ends_with('*') => {
                (exact(issuer), Pattern::parse(subject))
            }
            Some((issuer, subject)) => (exact(issuer), exact(subject)),
        };
        Self { issuer, subject }
    }

    /// Rule: both claims must be strings, so a token without one never matches.
    pub(super) fn matches(&self, claims: &Claims) -> bool {
        let matches = |pattern: &Pattern, claim| {
            claims
                .get(claim)
                .and_then(serde_json::Value::as_str)
                .is_some_and(|text| pattern.matches_text(text))
        };
        matches(&self.issuer, "iss") && matches(&self.subject, "sub")
    }
}

impl fmt::Display for RequestPrincipalPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "iss {} and sub {}", self.issuer, self.subject)
    }
}

// === impl PathPattern ===

impl PathPattern {
    /// `lenient` lets a template match bytes that Envoy's misses; for rules that deny.
    pub(super) fn parse(value: &str, lenient: bool) -> Result<Self, String> {
        match PathTemplate::parse(value, lenient)? {
            Some(template) => Ok(Self::Template(template)),
            None => Ok(Self::Pattern(Pattern::parse(value))),
        }
    }

    /// Matches a path without query string and fragment.
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches_text(path),
            Self::Template(template) => template.matches(path),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => pattern.fmt(formatter),
            Self::Template(template) => template.fmt(formatter),
        }
    }
}

/// Parses an address or a block of them. Host bits are allowed; `1.2.3.4` is `1.2.3.4/32`.
pub(super) fn parse_ip_block(value: &str) -> Result<IpNet, String> {
    if let Some((address, length)) = value.split_once('/') {
        // Rule: as Go reads them, without further zeros in front, which some take for octal.
        let address = address.parse::<IpAddr>().ok();
        let plain = length == "0" || !length.starts_with(['0', '+']);
        let length = length.parse().ok().filter(|_| plain);
        let block = address.zip(length);
        let block = block.and_then(|(address, length)| IpNet::new(address, length).ok());
        let block = block.ok_or_else(|| format!("bad CIDR range `{value}`"))?;
        return Ok(block.trunc());
    }
    value
        .parse::<IpAddr>()
        .map(IpNet::from)
        .map_err(|_| format!("bad IP address `{value}`"))
}

/// Parses a port.
pub(super) fn parse_port(value: &str) -> Result<u32, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let port: Option<u16> = value.parse().ok().filter(|_| digits);
    port.map(u32::from)
        .ok_or_else(|| format!("bad port `{value}`"))
}
