//! Keys of `when`: which there are, and those with a name in brackets. Testing the attributes they
//! name is left to `authorization`.

use super::authorization::{HeaderName, Matcher, MetadataPattern};
use super::matcher::Pattern;
use crate::policy::resource::Values;

pub(super) fn claim(path: Vec<String>, values: Vec<Pattern>) -> Matcher {
    Matcher::Claim { path, values }
}

/// Keys with a name in brackets.
pub(super) fn bracketed(key: &str, values: &Values) -> Result<Matcher, String> {
    let patterns = || values.iter().map(|value| Pattern::parse(value)).collect();
    if let Some(rest) = key.strip_prefix("request.headers") {
        let name = inside_brackets(rest).ok_or_else(|| unknown_key(key))?;
        return Ok(Matcher::Header {
            name: HeaderName::parse(name),
            values: patterns(),
        });
    }
    if let Some(rest) = key.strip_prefix("request.auth.claims") {
        let path = claim_path(rest).ok_or_else(|| unknown_key(key))?;
        return Ok(claim(path, patterns()));
    }
    if let Some(rest) = key.strip_prefix("experimental.") {
        let (filter, rest) = rest.split_once('[').ok_or_else(|| unknown_key(key))?;
        let name = rest
            .strip_suffix(']')
            .filter(|name| !name.is_empty())
            .ok_or_else(|| unknown_key(key))?;
        let values = values.iter().map(|value| metadata_pattern(value)).collect();
        return Ok(Matcher::Metadata {
            filter: filter.to_owned(),
            key: name.to_owned(),
            values,
        });
    }
    Err(unknown_key(key))
}

pub(super) fn is_condition_key(key: &str) -> bool {
    const PLAIN: [&str; 12] = [
        "source.ip",
        "remote.ip",
        "source.namespace",
        "source.serviceAccount",
        "source.principal",
        "source.trustDomain",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
    ];
    const BRACKETED: [&str; 3] = [
        "request.headers[",
        "request.auth.claims[",
        "experimental.envoy.filters.",
    ];
    PLAIN.contains(&key) || BRACKETED.iter().any(|start| key.starts_with(start))
}

pub(super) fn unknown_key(key: &str) -> String {
    format!("`{key}` is not a known attribute, or lacks the form `attribute[name]`")
}

fn inside_brackets(text: &str) -> Option<&str> {
    let name = text.strip_prefix('[')?.strip_suffix(']')?;
    Some(name).filter(|name| !name.is_empty())
}

/// Rule: `[a][b]` is a path; text that is no sequence of pairs is one name as a whole.
fn claim_path(text: &str) -> Option<Vec<String>> {
    let whole = inside_brackets(text)?;
    let steps: Vec<_> = whole.split("][").map(str::to_owned).collect();
    let nested = steps
        .iter()
        .any(|step| step.is_empty() || step.contains(['[', ']']));
    Some(if nested {
        vec![whole.to_owned()]
    } else {
        steps
    })
}

/// Rule: `[v]` asks for a list, and `[[v]]` means the same.
fn metadata_pattern(value: &str) -> MetadataPattern {
    let inner = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    MetadataPattern {
        list: inner.is_some(),
        pattern: Pattern::parse(inner.map_or(value, |inner| inner.trim_matches(['[', ']']))),
    }
}
