//! What must not be seen in a log: values of headers, parameters and extensions whose name says
//! they are secret. Masked on the log's own copy, so that no reply ever changes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::looks::{is_plain, looks_like_token, looks_secret, named_secret, unescaped, user_of};

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
/// Parts of names that give a secret away, in the form of [`plain_name`].
const PARTS: [&str; 21] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "api-key",
    "apikey",
    "access-key",
    "accesskey",
    "private-key",
    "privatekey",
    "signature",
    "credential",
    "session",
    "sessid",
    "assertion",
    "authorization",
    "cookie",
    "csrf",
    "x-auth",
];
/// Names that end so are those of keys that let somebody in, and of changed passwords.
const ENDS: [&str; 2] = ["-key", "-pwd"];
/// Keys that let nobody in.
const HARMLESS: [&str; 14] = [
    "sec-websocket-key",
    "idempotency-key",
    "x-idempotency-key",
    "cache-key",
    "x-cache-key",
    "surrogate-key",
    "public-key",
    "primary-key",
    "foreign-key",
    "partition-key",
    "sort-key",
    "routing-key",
    "group-key",
    "message-key",
];
/// Parameter names besides: OAuth codes, signed URLs, SAML and CAS.
const PARAMETERS: [&str; 19] = [
    "code",
    "code-verifier",
    "auth-code",
    "device-code",
    "user-code",
    "sig",
    "hmac",
    "key",
    "auth",
    "bearer",
    "jwt",
    "sid",
    "pwd",
    "pass",
    "otp",
    "pin",
    "ticket",
    "samlresponse",
    "samlrequest",
];

/// Most names of headers whose answers are kept, and the longest of them.
const MAX_KNOWN: usize = 1_024;
const MAX_KNOWN_NAME: usize = 64;
/// Most values of headers that are known to hold nothing secret, and the longest of them.
const MAX_HARMLESS: usize = 2_048;
const MAX_HARMLESS_VALUE: usize = 256;

/// Names to mask beside the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    names: Vec<String>,
}

/// A mask with what it was asked about before: names of headers are few, and most values come again.
#[derive(Debug)]
pub(super) struct Masking {
    mask: Mask,
    known: HashMap<Box<str>, bool>,
    /// Values that are shown as they are, in whichever header but those that name a host or a path.
    harmless: HashSet<Box<str>>,
}

// === impl Masking ===

impl Masking {
    pub(super) fn new(mask: Mask) -> Self {
        Self {
            mask,
            known: HashMap::new(),
            harmless: HashSet::new(),
        }
    }

    /// A header value as it may be shown.
    pub(super) fn header<'a>(&mut self, name: &str, value: &'a str) -> Cow<'a, str> {
        let is_hidden = self.hides(name);
        let may_be_known = !is_hidden
            && value.len() <= MAX_HARMLESS_VALUE
            && !matches!(name, ":path" | ":authority" | "host");
        if may_be_known && self.harmless.contains(value) {
            return Cow::Borrowed(value);
        }
        let shown = self.mask.value(name, is_hidden, value);
        if may_be_known && shown == value {
            if self.harmless.len() >= MAX_HARMLESS {
                self.harmless.clear();
            }
            self.harmless.insert(value.into());
        }
        shown
    }

    /// A path or URL as it may be shown.
    pub(super) fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
        self.mask.target(target)
    }

    /// A host as it may be shown.
    pub(super) fn host<'a>(&self, host: &'a str) -> Cow<'a, str> {
        self.mask.host(host)
    }

    /// The name of a member as it may be shown.
    pub(super) fn name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(match self.mask.holds_secret(name) {
            true => MASKED,
            false => name,
        })
    }

    /// Whether what a member of this name holds is not shown. What clients choose all names of may be
    /// called as parameters are.
    pub(super) fn hides_member(&mut self, name: &str, is_parameter: bool) -> bool {
        self.hides(name) || is_parameter && self.mask.hides(name, &PARAMETERS)
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
        let names = names.iter().map(|name| plain_name(name));
        Self {
            names: names.collect(),
        }
    }

    /// Rule: a name that is escaped more often than anybody would is one of a secret.
    fn hides(&self, name: &str, more: &[&str]) -> bool {
        let Some(name) = unescaped(name) else {
            return true;
        };
        // `subscriptionKey` as `subscription-key`.
        let is_key = name.strip_suffix("Key").is_some_and(|word| {
            word.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit())
                && !HARMLESS.contains(&format!("{}-key", plain_name(word)).as_str())
        });
        let name = plain_name(&name);
        let name_ends = ENDS.iter().any(|end| name.ends_with(end));
        more.contains(&name.as_str())
            || is_key
            || name_ends && !HARMLESS.contains(&name.as_str())
            || PARTS.iter().any(|part| name.contains(part))
            || self.names.contains(&name)
    }

    /// A header value as it may be shown.
    pub fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        self.value(name, self.hides(name, &HEADERS), value)
    }

    fn value<'a>(&self, name: &str, is_hidden: bool, value: &'a str) -> Cow<'a, str> {
        if name == ":path" {
            return self.target(value);
        }
        if is_hidden {
            return Cow::Borrowed(MASKED);
        }
        if matches!(name, ":authority" | "host") {
            return self.host(value);
        }
        if is_plain(value) {
            return Cow::Borrowed(value);
        }
        if looks_like_token(value) {
            return Cow::Borrowed(MASKED);
        }
        // Any header may hold a URL: `referer`, `x-envoy-original-path`.
        if is_url(value) {
            return self.target(value);
        }
        Cow::Borrowed(match self.holds_secret(value) {
            true => MASKED,
            false => value,
        })
    }

    /// A host, which may say who asks: `name:password@host`.
    fn host<'a>(&self, host: &'a str) -> Cow<'a, str> {
        match host.rfind('@').and_then(|at| host.get(at..)) {
            Some(rest) => Cow::Owned(format!("{MASKED}{rest}")),
            None => self.value("", false, host),
        }
    }

    /// Whether a text of any kind has something in it that is secret by its look, or by the name
    /// before it.
    fn holds_secret(&self, text: &str) -> bool {
        !is_plain(text)
            && (looks_secret(text)
                || unescaped(text).is_none_or(|text| self.named(&text).is_some()))
    }

    /// Where in a text something begins that is secret by its name.
    fn named(&self, text: &str) -> Option<usize> {
        named_secret(text, |name| self.hides(name, &PARAMETERS))
    }

    /// A path or URL with its query string and fragment as it may be shown.
    pub fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
        if is_plain(target) {
            return Cow::Borrowed(target);
        }
        let Some(end) = target.find(['?', '#']) else {
            return self.path(target);
        };
        let (start, rest) = target.split_at(end);
        // What no client escapes so is no list of parameters: nobody knows where a secret in it ends.
        if rest.contains(['{', '"']) && self.holds_secret(rest) {
            return Cow::Owned(format!("{}?{MASKED}", self.path(start)));
        }
        let parts: Vec<_> = rest.split('&').map(|pair| self.pair(pair)).collect();
        Cow::Owned(format!("{}{}", self.path(start), parts.join("&")))
    }

    /// What stands between two `&`. A value may hold a URL of its own, or end in a fragment, and some
    /// readers take `;` for `&`.
    fn pair(&self, pair: &str) -> String {
        let mut shown = String::with_capacity(pair.len());
        for part in pair.split_inclusive(['?', '#', ';']) {
            match part.split_once('=') {
                // A token may stand where a name does.
                Some((name, _)) if self.holds_secret(name) => return format!("{shown}{MASKED}"),
                Some((name, value))
                    if self.hides(name, &PARAMETERS) || self.holds_secret(value) =>
                {
                    // All that follows may belong to the value.
                    return format!("{shown}{name}={MASKED}");
                }
                None if self.holds_secret(part) => return format!("{shown}{MASKED}"),
                _ => shown.push_str(part),
            }
        }
        shown
    }

    /// A path may have a token as one of its segments, a URL in it, or parameters: `/a;session=b`.
    fn path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if !self.holds_secret(path) {
            return Cow::Borrowed(path);
        }
        let mut shown = String::with_capacity(path.len());
        let (mut is_masked, mut was_empty) = (false, false);
        for (index, segment) in path.split('/').enumerate() {
            if index > 0 {
                shown.push('/');
            }
            let user = user_of(segment).filter(|end| was_empty && *end > 0);
            was_empty = segment.is_empty() && index > 0;
            match user {
                Some(end) => {
                    shown.push_str(MASKED);
                    let host = segment.get(end..).unwrap_or_default();
                    shown.push_str(if self.holds_secret(host) { "" } else { host });
                }
                None if !self.holds_secret(segment) => {
                    shown.push_str(segment);
                    continue;
                }
                None if looks_secret(segment) => shown.push_str(MASKED),
                None => {
                    // All that follows may belong to the value.
                    let is_escaped = !matches!(unescaped(segment), Some(Cow::Borrowed(_)));
                    let end = self.named(segment).filter(|_| !is_escaped);
                    let end = end.unwrap_or_default();
                    shown.push_str(segment.get(..end).unwrap_or_default());
                    shown.push_str(MASKED);
                    return Cow::Owned(shown);
                }
            }
            is_masked = true;
        }
        match is_masked {
            true => Cow::Owned(shown),
            // What is secret only with the slashes in it.
            false => Cow::Borrowed(MASKED),
        }
    }
}

/// How names are compared: those of headers, parameters, and members of languages and formats differ in
/// case and in what stands between words.
fn plain_name(name: &str) -> String {
    let plain = |character: char| match character {
        '_' | '.' | ' ' | '+' => '-',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(plain).collect()
}

/// A path, or a URL with its scheme.
fn is_url(value: &str) -> bool {
    let scheme = || value.split_once("://").map_or("", |(scheme, _)| scheme);
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    value.starts_with('/') || !scheme().is_empty() && scheme().bytes().all(in_scheme)
}

/// Whether a header of this name, in lower case, is hidden whatever else is configured.
pub(super) fn is_never_shown(name: &str) -> bool {
    HEADERS.contains(&name)
}
