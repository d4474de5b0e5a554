//! What must not be seen in a log: values of headers, parameters and extensions whose name says
//! they are secret. Masked on the log's own copy, so that no reply ever changes.

use std::borrow::Cow;

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

/// Names to mask beside the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    names: Vec<String>,
}

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
        if name != ":path" && (self.hides(name, &HEADERS) || looks_like_token(value)) {
            return Cow::Borrowed(MASKED);
        }
        // Any header may hold a URL: `referer`, `x-envoy-original-path`.
        self.target(value)
    }

    /// A path or URL with its query string and fragment as it may be shown.
    pub fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
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

/// A signed token gives itself away wherever it stands, and whatever of it is escaped: `{"` in
/// base64url, and two dots.
fn looks_like_token(value: &str) -> bool {
    let value = decoded(value);
    value.contains("eyJ") && value.bytes().filter(|byte| *byte == b'.').count() >= 2
}
