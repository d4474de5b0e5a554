//! The path that native policies match, out of the target a proxy sent: Envoy's normalisation in
//! the modes that Istio offers, as Envoy 1.40 does it, and a mode that refuses what could be read
//! in several ways. Query and fragment are no part of it; what a policy makes of it is left to it.

use std::borrow::Cow;

use percent_encoding::{percent_decode_str, percent_encode_byte};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is done to a path before it is matched. Each mode but the last two does what the one
/// before it does, and more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathNormalization {
    /// Nothing: the proxy did it.
    #[default]
    None,
    /// Dot segments, escaped letters and digits, backslashes.
    Base,
    /// And slashes in a row.
    MergeSlashes,
    /// And escaped slashes and backslashes, before everything else.
    DecodeAndMergeSlashes,
    /// Nothing, but a path that any mode would change or that is ambiguous otherwise is refused.
    Reject,
}

/// A target whose path is normal under a mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NormalTarget<'a> {
    whole: Cow<'a, str>,
    /// Length of the path.
    path: usize,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RefusedPath {
    #[error("holds an escaped NUL")]
    Nul,
    #[error("does not begin with `/`")]
    NoPath,
    #[error("has a fragment")]
    Fragment,
    #[error("is not in normal form")]
    NotNormal,
    #[error("has a dot segment with parameters")]
    DotSegment,
    #[error("has a `%` that escapes nothing")]
    BrokenEscape,
    #[error("has an escaped `%` before two hexadecimal digits")]
    DoubleEscape,
    #[error("holds an escaped control character")]
    ControlCharacter,
    #[error("has escapes that are no UTF-8")]
    NoUtf8,
}

/// Parts of normalisation that not every mode has.
#[derive(Clone, Copy)]
struct Steps {
    decode_slashes: bool,
    merge_slashes: bool,
}

// === impl NormalTarget ===

impl NormalTarget<'_> {
    /// The path, without what follows it.
    pub fn path(&self) -> &str {
        self.whole.get(..self.path).unwrap_or(&self.whole)
    }

    /// The path with what followed it, as it was.
    pub fn whole(&self) -> &str {
        &self.whole
    }
}

// === impl PathNormalization ===

impl PathNormalization {
    /// Normalises the path of a target, which ends at the first `?` or `#`. Allocates only if it
    /// is changed.
    pub fn apply(self, target: &str) -> Result<NormalTarget<'_>, RefusedPath> {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let mut normal = NormalTarget {
            whole: Cow::Borrowed(target),
            path: path.len(),
        };
        let (decode_slashes, merge_slashes) = match self {
            Self::None => return Ok(normal),
            Self::Reject => {
                check_unambiguous(target, path)?;
                return Ok(normal);
            }
            Self::Base => (false, false),
            Self::MergeSlashes => (false, true),
            Self::DecodeAndMergeSlashes => (true, true),
        };
        let steps = Steps {
            decode_slashes,
            merge_slashes,
        };
        // What is no path cannot be normalised, and is not taken for one by any policy.
        if path.starts_with('/') && !is_normal(path, steps) {
            let mut whole = normalize(path, steps)?;
            normal.path = whole.len();
            whole.push_str(target.get(path.len()..).unwrap_or_default());
            normal.whole = Cow::Owned(whole);
        }
        Ok(normal)
    }
}

/// Whether no step would change or refuse the path. It may say no to one that stays as it is.
fn is_normal(path: &str, steps: Steps) -> bool {
    let stays = |(at, byte): (usize, u8)| match byte {
        b'%' => match escaped_at(path, at) {
            Some(b'/' | b'\\') => !steps.decode_slashes,
            Some(byte) => byte != 0 && !is_unreserved(byte),
            None => true,
        },
        b'\\' => false,
        _ => !must_be_escaped(byte),
    };
    path.bytes().enumerate().all(stays)
        && !(steps.merge_slashes && path.contains("//"))
        && !path.split('/').any(is_dots)
}

/// A segment that is `.` or `..`, with or without parameters.
fn is_dots(segment: &str) -> bool {
    matches!(without_parameters(segment), "." | "..")
}

fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

fn normalize(path: &str, steps: Steps) -> Result<String, RefusedPath> {
    // Rule: escaped slashes and backslashes first, once: what that leaves escaped stays so.
    let path = if steps.decode_slashes {
        Cow::Owned(decode_slashes(path))
    } else {
        Cow::Borrowed(path)
    };
    // Rule: parameters are cut off segments that are dots as written, not escaped; a backslash
    // does not end those. Everywhere else it is a slash.
    let segments = path.strip_prefix('/').unwrap_or(&path).split('/');
    let segments = segments.flat_map(|segment| {
        let dots = Some(without_parameters(segment)).filter(|dots| matches!(*dots, "." | ".."));
        dots.unwrap_or(segment).split('\\')
    });
    let mut segments = segments.peekable();
    let mut normal = String::with_capacity(path.len());
    normal.push('/');
    while let Some(segment) = segments.next() {
        let start = normal.len();
        push_unescaped(&mut normal, segment)?;
        match normal.get(start..).unwrap_or_default() {
            // Rule: `.` goes, and so does the slash behind it.
            "." => normal.truncate(start),
            // Rule: `..` goes with the segment before it, an empty one too; there is none before
            // the root.
            ".." => {
                normal.truncate(start);
                normal.pop();
                let parent = normal.rfind('/').map_or(0, |slash| slash + 1);
                normal.truncate(parent);
                if normal.is_empty() {
                    normal.push('/');
                }
            }
            _ if segments.peek().is_some() => normal.push('/'),
            _ => {}
        }
    }
    Ok(match steps.merge_slashes && normal.contains("//") {
        true => merge_slashes(&normal),
        false => normal,
    })
}

fn decode_slashes(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        decoded.push_str(before);
        let (character, length) = match escaped_at(from, 0) {
            Some(byte @ (b'/' | b'\\')) => (char::from(byte), 3),
            _ => ('%', 1),
        };
        decoded.push(character);
        rest = from.get(length..).unwrap_or_default();
    }
    decoded.push_str(rest);
    decoded
}

/// Rule: escaped unreserved characters are decoded, other escapes stay as they are written, and
/// characters that cannot stand in a path are escaped.
fn push_unescaped(normal: &mut String, segment: &str) -> Result<(), RefusedPath> {
    let mut rest = segment;
    let mut broken = None;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        match escaped_at(rest, 0) {
            Some(0) => return Err(RefusedPath::Nul),
            Some(byte) if is_unreserved(byte) => {
                normal.push(char::from(byte));
                length = 3;
            }
            None if character == '%' => {
                broken = Some(normal.len());
                normal.push('%');
            }
            _ => {
                let (text, _) = rest.split_at_checked(length).unwrap_or((rest, ""));
                if text.bytes().any(must_be_escaped) {
                    normal.extend(text.bytes().map(percent_encode_byte));
                } else {
                    normal.push_str(text);
                }
            }
        }
        // Rule: what is decoded behind a `%` that escaped nothing must not make an escape of it.
        if let Some(at) = broken.take_if(|at| escaped_at(normal, *at).is_some()) {
            normal.insert_str(at + 1, "25");
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// Rule: empty segments go, but for those that make the slash at the begin and the end: so slashes
/// alone stay two.
fn merge_slashes(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        merged.push('/');
        merged.push_str(segment);
    }
    if merged.is_empty() {
        merged.push('/');
    }
    if path.ends_with('/') {
        merged.push('/');
    }
    merged
}

/// The byte that `%` and two hexadecimal digits at a place stand for.
fn escaped_at(text: &str, at: usize) -> Option<u8> {
    match *text.as_bytes().get(at..at + 3)? {
        [b'%', high, low] => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        }
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn must_be_escaped(byte: u8) -> bool {
    !byte.is_ascii_graphic()
        || matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// What mode `reject` lets through: targets of CONNECT and OPTIONS that are no paths, and paths
/// that every reader reads alike.
fn check_unambiguous(target: &str, path: &str) -> Result<(), RefusedPath> {
    if matches!(target, "" | "*") {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(RefusedPath::NoPath);
    }
    let behind = target.get(path.len()..).unwrap_or_default();
    if behind.starts_with('#') {
        return Err(RefusedPath::Fragment);
    }
    // Some readers decode `%3b` before they look for parameters.
    let is_dots = |segment: &str| {
        let written = segment.split(['%', ';']).next().unwrap_or_default();
        let behind = segment.get(written.len()..).unwrap_or_default();
        let has_parameters = behind.starts_with(';') || escaped_at(behind, 0) == Some(b';');
        matches!(written, "." | "..") && has_parameters
    };
    if path.split('/').any(is_dots) {
        return Err(RefusedPath::DotSegment);
    }
    let strictest = Steps {
        decode_slashes: true,
        merge_slashes: true,
    };
    for (at, _) in path.match_indices('%') {
        match escaped_at(path, at) {
            None => return Err(RefusedPath::BrokenEscape),
            Some(0) => return Err(RefusedPath::Nul),
            Some(byte) if byte.is_ascii_control() => return Err(RefusedPath::ControlCharacter),
            // Some readers decode twice.
            Some(b'%') if is_hexadecimal(path.get(at + 3..at + 5)) => {
                return Err(RefusedPath::DoubleEscape);
            }
            Some(_) => {}
        }
    }
    if !is_normal(path, strictest) {
        return Err(RefusedPath::NotNormal);
    }
    // Overlong forms of slashes and dots are read as such by some.
    match percent_decode_str(path).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => Err(RefusedPath::NoUtf8),
    }
}

fn is_hexadecimal(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
