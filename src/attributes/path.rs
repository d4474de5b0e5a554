//! Splitting and decoding of a request's path and query, as opa-envoy-plugin does it: cut at the
//! first `?`, decode, then split. No dot segments are resolved and no URL type is involved, so
//! nothing of the path can get lost. Which path a policy matches is left to the matchers.

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// Query parameters by name, each with its values in order, sorted by name.
pub(super) type QueryParameters = std::collections::BTreeMap<String, Vec<String>>;

/// Why a path or query cannot be decoded. The texts are those of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    #[error("invalid URL escape \"{0}\"")]
    Escape(String),
    #[error("invalid semicolon separator in query")]
    Semicolon,
}

/// The path as decoded segments (leading slashes dropped, inner empty segments kept) and the query.
pub fn split_path_and_query(target: &str) -> Result<(Vec<String>, QueryParameters), PathError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Decoding comes before splitting: `%2f` separates segments.
    let decoded = unescape(path)?;
    let segments = decoded
        .trim_start_matches('/')
        .split('/')
        .map(str::to_owned)
        .collect();
    Ok((segments, decode_query(query)?))
}

/// Decodes `a=1&b=2`: `+` and `%20` are spaces, a name without `=` has the value `""`, empty parts
/// are skipped, a `;` is an error.
pub fn decode_query(query: &str) -> Result<QueryParameters, PathError> {
    let mut parameters = QueryParameters::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        if part.contains(';') {
            return Err(PathError::Semicolon);
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = unescape(&name.replace('+', " "))?;
        let value = unescape(&value.replace('+', " "))?;
        parameters.entry(name).or_default().push(value);
    }
    Ok(parameters)
}

/// Percent-decodes, refusing broken escapes; bytes that are not UTF-8 become U+FFFD.
pub(super) fn unescape(text: &str) -> Result<String, PathError> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    check_escapes(text)?;
    Ok(percent_decode_str(text).decode_utf8_lossy().into_owned())
}

fn check_escapes(text: &str) -> Result<(), PathError> {
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = bytes.get(at + 1..at + 3).unwrap_or(&[]);
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            let shown = bytes.get(at..bytes.len().min(at + 3)).unwrap_or(&[]);
            return Err(PathError::Escape(
                String::from_utf8_lossy(shown).into_owned(),
            ));
        }
    }
    Ok(())
}
