//! URLs as Go's `net/url` takes them apart and writes them, for what OPA shows of certificates and
//! signs for AWS. Nothing here decides on a request's path.

#[cfg(test)]
mod tests;

use super::hexadecimal;

/// Parts of a URL; those that were escaped are bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    /// What follows the scheme if it does not begin with a slash.
    pub(super) opaque: String,
    pub(super) user: Option<User>,
    pub(super) host: Vec<u8>,
    pub(super) path: Vec<u8>,
    /// The path as it was written, if it would be written otherwise.
    pub(super) raw_path: String,
    /// A scheme and a path with one slash.
    pub(super) omit_host: bool,
    /// A `?` with nothing behind it.
    pub(super) force_query: bool,
    pub(super) raw_query: String,
    pub(super) fragment: Vec<u8>,
    pub(super) raw_fragment: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// The part of a URL that something is in: each has its own reserved bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    User,
    Host,
    Zone,
    Fragment,
}

// === impl Url ===

impl Url {
    /// `None` for what is no URL.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Self::without_fragment(text)?;
        (url.fragment, url.raw_fragment) = decoded(fragment, Part::Fragment)?;
        Some(url)
    }

    fn without_fragment(text: &str) -> Option<Self> {
        let mut url = Self::default();
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return None;
        }
        if text == "*" {
            url.path = b"*".to_vec();
            return Some(url);
        }
        let (scheme, mut rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        match rest.split_once('?') {
            Some((front, "")) => (rest, url.force_query) = (front, true),
            Some((front, query)) => (rest, url.raw_query) = (front, query.to_owned()),
            None => {}
        }
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                rest.clone_into(&mut url.opaque);
                return Some(url);
            }
            // Rule: without a scheme there is no colon in the first segment.
            if rest.split('/').next()?.contains(':') {
                return None;
            }
        }
        let has_authority = !scheme.is_empty() || !rest.starts_with("///");
        if let Some(after) = rest.strip_prefix("//").filter(|_| has_authority) {
            let slash = after.find('/').unwrap_or(after.len());
            let (authority, path) = after.split_at_checked(slash)?;
            (url.user, url.host) = split_authority(authority)?;
            rest = path;
        } else if !scheme.is_empty() && rest.starts_with('/') {
            url.omit_host = true;
        }
        (url.path, url.raw_path) = decoded(rest, Part::Path)?;
        Some(url)
    }

    /// The path in the way it was written, as far as that is one way to write it.
    pub(super) fn escaped_path(&self) -> String {
        match self.path.as_slice() {
            b"*" => "*".to_owned(),
            path => as_written(path, &self.raw_path, Part::Path),
        }
    }

    pub(super) fn written(&self) -> String {
        let mut text = String::new();
        if !self.scheme.is_empty() {
            text.push_str(&self.scheme);
            text.push(':');
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(&mut text);
        } else {
            text.push_str(&self.opaque);
        }
        if self.force_query || !self.raw_query.is_empty() {
            text.push('?');
            text.push_str(&self.raw_query);
        }
        if !self.fragment.is_empty() {
            text.push('#');
            text.push_str(&as_written(
                &self.fragment,
                &self.raw_fragment,
                Part::Fragment,
            ));
        }
        text
    }

    fn write_hierarchy(&self, text: &mut String) {
        let has_authority = !self.host.is_empty() || self.user.is_some();
        let names_it = !self.scheme.is_empty() || has_authority;
        if names_it && (has_authority || !self.omit_host) {
            if has_authority || !self.path.is_empty() {
                text.push_str("//");
            }
            if let Some(user) = &self.user {
                user.write(text);
            }
            text.push_str(&escaped(&self.host, Part::Host));
        }
        let path = self.escaped_path();
        if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
            text.push('/');
        }
        // Rule: a colon in the first segment would make a scheme of it.
        if text.is_empty() && path.split('/').next().is_some_and(|it| it.contains(':')) {
            text.push_str("./");
        }
        text.push_str(&path);
    }
}

// === impl User ===

impl User {
    fn write(&self, text: &mut String) {
        text.push_str(&escaped(&self.name, Part::User));
        if let Some(password) = &self.password {
            text.push(':');
            text.push_str(&escaped(password, Part::User));
        }
        text.push('@');
    }
}

// === Taking apart ===

/// Rule: a scheme begins with a letter and ends with a colon; what has none is all rest.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let is_of_scheme =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let end = text.bytes().position(|byte| !is_of_scheme(byte));
    let Some((scheme, rest)) = end.and_then(|end| text.split_at_checked(end)) else {
        return Some(("", text));
    };
    match rest.strip_prefix(':') {
        Some(_) if scheme.is_empty() => None,
        Some(rest) if scheme.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            Some((scheme, rest))
        }
        _ => Some(("", text)),
    }
}

fn split_authority(authority: &str) -> Option<(Option<User>, Vec<u8>)> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Some((None, decoded_host(authority)?));
    };
    let host = decoded_host(host)?;
    let is_of_user =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(is_of_user) {
        return None;
    }
    let (name, password) = match user.split_once(':') {
        Some((name, password)) => (name, Some(unescaped(password, Part::User)?)),
        None => (user, None),
    };
    let name = unescaped(name, Part::User)?;
    Some((Some(User { name, password }), host))
}

/// Rule: an IPv6 address is in brackets, perhaps with a zone; a port is of digits.
fn decoded_host(host: &str) -> Option<Vec<u8>> {
    if !host.starts_with('[') {
        let port = host.rfind(':').and_then(|at| host.get(at..));
        return match port {
            Some(port) if !is_port(port) => None,
            _ => unescaped(host, Part::Host),
        };
    }
    let (address, port) = host.split_at_checked(host.rfind(']')?)?;
    if !is_port(port.get(1..)?) {
        return None;
    }
    let Some(zone) = address.find("%25") else {
        return unescaped(host, Part::Host);
    };
    let (address, zone) = address.split_at_checked(zone)?;
    let parts = [
        unescaped(address, Part::Host)?,
        unescaped(zone, Part::Zone)?,
        unescaped(port, Part::Host)?,
    ];
    Some(parts.concat())
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.is_empty(),
    }
}

// === Escapes ===

/// Rule: besides the bytes that never need it, each part has some that stand for themselves.
fn needs_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    let plain: &[u8] = match part {
        Part::Path => b"$&+,/:;=@",
        Part::User => b"$&+,;=",
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    !plain.contains(&byte)
}

fn escaped(bytes: &[u8], part: Part) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if needs_escape(*byte, part) {
            text.push('%');
            text.push_str(&hexadecimal(&[*byte]).to_ascii_uppercase());
        } else {
            text.push(char::from(*byte));
        }
    }
    text
}

/// Rule: an escape is `%` and two digits; in a host it is only for what is not ASCII, and for `%`.
fn unescaped(text: &str, part: Part) -> Option<Vec<u8>> {
    let is_host = matches!(part, Part::Host | Part::Zone);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            if is_host && first.is_ascii() && needs_escape(*first, part) {
                return None;
            }
            bytes.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        if digits.contains(&b'+') {
            return None;
        }
        let allowed = match part {
            Part::Host => byte >= 0x80 || digits == b"25",
            Part::Zone => digits == b"25" || byte == b' ' || !needs_escape(byte, Part::Host),
            _ => true,
        };
        if !allowed {
            return None;
        }
        bytes.push(byte);
        rest = after;
    }
    Some(bytes)
}

/// The bytes of a part, and how they were written if that is not how they would be written.
fn decoded(text: &str, part: Part) -> Option<(Vec<u8>, String)> {
    let bytes = unescaped(text, part)?;
    let written = match escaped(&bytes, part) == text {
        true => String::new(),
        false => text.to_owned(),
    };
    Some((bytes, written))
}

/// Rule: a part is written as it was if nothing in that would have to be escaped.
fn as_written(bytes: &[u8], raw: &str, part: Part) -> String {
    let stands = |byte: u8| !needs_escape(byte, part) || b"!$&'()*+,;=:@[]%".contains(&byte);
    match !raw.is_empty() && raw.bytes().all(stands) {
        true => raw.to_owned(),
        false => escaped(bytes, part),
    }
}
