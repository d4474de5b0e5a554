//! What must not be seen in a log: values of headers, parameters and extensions whose name says
//! they are secret. Masked on the log's own copy, so that no reply ever changes.

use std::borrow::Cow;
use std::collections::HashMap;

/// What stands in place of a secret.
pub(super) const MASKED: &str = "**";
/// Header names whose values are never shown.
const HEADERS: [&str; 6] = [
    "authorization",
    "cookie",
    "set-cookie",
    "proxy-authorization",
    "x-api-key",
    "x-forwarded-client-cert",
];
/// Parts of names that give a secret away.
const PARTS: [&str; 12] = [
    "token",
    "secret",
    "password",
    "passwd",
    "api-key",
    "api_key",
    "apikey",
    "signature",
    "credential",
    "session",
    "assertion",
    "x-auth",
];
/// Parameter names besides: OAuth codes, signed URLs.
const PARAMETERS: [&str; 8] = ["code", "sig", "key", "auth", "jwt", "sid", "pwd", "pass"];

/// How JSON's first bytes, `{"`, look in base64url.
const TOKEN_START: &str = "eyJ";
/// Most names of headers whose answers are kept, and the longest of them.
const MAX_KNOWN: usize = 1_024;
const MAX_KNOWN_NAME: usize = 64;

/// Names to mask beside the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    names: Vec<String>,
}

/// A mask with the names of headers it was asked about before: they are few, and come again.
#[derive(Debug)]
pub(super) struct Masking {
    mask: Mask,
    known: HashMap<Box<str>, bool>,
}

// === impl Masking ===

impl Masking {
    pub(super) fn new(mask: Mask) -> Self {
        let known = HashMap::new();
        Self { mask, known }
    }

    /// A header value as it may be shown.
    pub(super) fn header<'a>(&mut self, name: &str, value: &'a str) -> Cow<'a, str> {
        let is_hidden = self.hides(name);
        self.mask.value(name, is_hidden, value)
    }

    /// A path or URL as it may be shown.
    pub(super) fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
        self.mask.target(target)
    }

    /// The name of a member as it may be shown.
    #[expect(clippy::unused_self, reason = "what masks is asked of the mask")]
    pub(super) fn name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(match looks_like_token(name) {
            true => MASKED,
            false => name,
        })
    }

    /// Whether what a member of this name holds is not shown. What clients choose all names of may be
    /// called as parameters are.
    pub(super) fn hides_member(&mut self, name: &str, is_parameter: bool) -> bool {
        self.hides(name)
            || is_parameter && PARAMETERS.iter().any(|one| one.eq_ignore_ascii_case(name))
    }

    fn hides(&mut self, name: &str) -> bool {
        if let Some(is_hidden) = self.known.get(name) {
            return *is_hidden;
        }
        let is_hidden = self.mask.hides(name, &HEADERS);
        if name.len() <= MAX_KNOWN_NAME {
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
            self.known.insert(name.into(), is_hidden);
        }
        is_hidden
    }
}

// === impl Mask ===

impl Mask {
    /// `names` are header and parameter names in any case.
    pub fn new(names: &[String]) -> Self {
        Self {
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    fn hides(&self, name: &str, more: &[&str]) -> bool {
        let name = name.to_ascii_lowercase();
        more.contains(&name.as_str())
            || PARTS.iter().any(|part| name.contains(part))
            || self.names.contains(&name)
    }

    /// A header value as it may be shown.
    pub fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        self.value(name, self.hides(name, &HEADERS), value)
    }

    fn value<'a>(&self, name: &str, is_hidden: bool, value: &'a str) -> Cow<'a, str> {
        let is_path = name == ":path";
        if is_hidden && !is_path {
            return Cow::Borrowed(MASKED);
        }
        if is_plain(value) {
            return Cow::Borrowed(value);
        }
        if !is_path && looks_like_token(value) {
            return Cow::Borrowed(MASKED);
        }
        // Any header may hold a URL: `referer`, `x-envoy-original-path`.
        self.target(value)
    }

    /// A path or URL with its query string and fragment as it may be shown.
    pub fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
        if is_plain(target) {
            return Cow::Borrowed(target);
        }
        let Some(end) = target.find(['?', '#']) else {
            return path(target);
        };
        let (start, rest) = target.split_at(end);
        let parts: Vec<_> = rest.split('&').map(|pair| self.pair(pair)).collect();
        Cow::Owned(format!("{}{}", path(start), parts.join("&")))
    }

    /// What stands between two `&`. A value may hold a URL of its own, or end in a fragment, and some
    /// readers take `;` for `&`.
    fn pair(&self, pair: &str) -> String {
        let mut shown = String::with_capacity(pair.len());
        for part in pair.split_inclusive(['?', '#', ';']) {
            match part.split_once('=') {
                // A token may stand where a name does.
                Some((name, _)) if looks_like_token(name) => return format!("{shown}{MASKED}"),
                Some((name, value))
                    if self.hides(&decoded(name), &PARAMETERS) || looks_like_token(value) =>
                {
                    // All that follows may belong to the value.
                    return format!("{shown}{name}={MASKED}");
                }
                None if looks_like_token(part) => return format!("{shown}{MASKED}"),
                _ => shown.push_str(part),
            }
        }
        shown
    }
}

/// A path may hold a token as one of its segments.
fn path(path: &str) -> Cow<'_, str> {
    if !looks_like_token(path) {
        return Cow::Borrowed(path);
    }
    let segments = path.split('/').map(|segment| {
        if looks_like_token(segment) {
            MASKED
        } else {
            segment
        }
    });
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

fn decoded(name: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(name).decode_utf8_lossy()
}

/// Whether there is nothing to look for: no query, no escape, no token. Most values are such.
fn is_plain(value: &str) -> bool {
    let (mut dots, mut others) = (0_usize, false);
    // Without an early end and with short sums, many bytes are looked at at once.
    for chunk in value.as_bytes().chunks(128) {
        let (mut in_chunk, mut other) = (0_u8, 0_u8);
        for byte in chunk {
            in_chunk = in_chunk.wrapping_add(u8::from(*byte == b'.'));
            other |= u8::from(matches!(byte, b'?' | b'#' | b'%'));
        }
        dots = dots.wrapping_add(usize::from(in_chunk));
        others |= other != 0;
    }
    !others && (dots < 2 || !value.contains(TOKEN_START))
}

/// Whether a header of this name, in lower case, is hidden whatever else is configured.
pub(super) fn is_never_shown(name: &str) -> bool {
    HEADERS.contains(&name)
}

/// A signed token gives itself away wherever it stands, and whatever of it is escaped: `{"` in
/// base64url, and two dots.
fn looks_like_token(value: &str) -> bool {
    let value = decoded(value);
    value.contains(TOKEN_START) && value.bytes().filter(|byte| *byte == b'.').count() >= 2
}
