//! What `format` asks of strings. Other values, and formats that are not known, are always right.

use std::net::IpAddr;

use serde_json::Value as Json;

use super::super::{regex, time};
use super::MAX_PATTERN;

pub(super) fn is_format(format: &str, value: &Json) -> bool {
    let Json::String(text) = value else {
        return true;
    };
    match format {
        "date" => time::reads("2006-01-02", text),
        "time" => is_time(text),
        "date-time" => {
            let layouts = ["2006-01-02", "RFC3339", "RFC3339Nano"];
            is_time(text) || layouts.iter().any(|layout| time::reads(layout, text))
        }
        "hostname" => is_hostname(text),
        "email" | "idn-email" => is_email(text),
        // Rule: IPv4 within IPv6 is both.
        "ipv4" => text.contains('.') && text.parse::<IpAddr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<IpAddr>().is_ok(),
        "uri" | "iri" => url(text).is_some_and(|url| url.has_scheme) && !text.contains('\\'),
        "uri-reference" | "iri-reference" => url(text).is_some() && !text.contains('\\'),
        "uri-template" => {
            let path = url(text).filter(|_| !text.contains('\\'));
            path.is_some_and(|url| has_closed_braces(url.path))
        }
        "uuid" => is_uuid(text),
        "regex" => text.is_empty() || regex::compiled(text, MAX_PATTERN).is_ok(),
        "json-pointer" => is_pointer(text),
        "relative-json-pointer" => is_relative_pointer(text),
        _ => true,
    }
}

fn is_time(text: &str) -> bool {
    time::reads("15:04:05", text) || time::reads("15:04:05Z07:00", text)
}

fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_character)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() < 256 && text.split('.').all(is_label)
}

/// Rule: an address, perhaps with a name before it and then in brackets.
fn is_email(text: &str) -> bool {
    let address = match text.trim().strip_suffix('>') {
        Some(named) => match named.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text.trim(),
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let quoted = local
        .strip_prefix('"')
        .and_then(|local| local.strip_suffix('"'));
    let is_literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted.is_some() || is_dotted(local)) && (is_literal || is_dotted(domain))
}

fn is_dotted(text: &str) -> bool {
    let is_character = |next: char| {
        next.is_ascii_alphanumeric() || !next.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(next)
    };
    let is_part = |part: &str| !part.is_empty() && part.chars().all(is_character);
    text.split('.').all(is_part)
}

struct Parts<'a> {
    has_scheme: bool,
    path: &'a str,
}

/// A URL as Go's `url.Parse` takes it.
fn url(text: &str) -> Option<Parts<'_>> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = scheme(text)?;
    let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
    let has_scheme = scheme.is_some();
    let is_rooted = rest.starts_with('/');
    if !is_rooted && has_scheme {
        // What is behind such a scheme is not looked at.
        return Some(Parts {
            has_scheme,
            path: "",
        });
    }
    let first = rest.split('/').next().unwrap_or_default();
    if !is_rooted && first.contains(':') {
        return None;
    }
    let path = match rest.strip_prefix("//") {
        Some(rest) if !rest.starts_with('/') => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            is_authority(authority).then_some(path)?
        }
        _ => rest,
    };
    (has_good_escapes(path) && has_good_escapes(fragment)).then_some(Parts { has_scheme, path })
}

/// The scheme, if there is one, and what is behind it.
fn scheme(text: &str) -> Option<(Option<&str>, &str)> {
    let is_more = |byte: u8| byte.is_ascii_digit() || b"+-.".contains(&byte);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b':' if at == 0 => return None,
            b':' => return Some((text.get(..at), text.get(at + 1..)?)),
            _ if byte.is_ascii_alphabetic() || (at > 0 && is_more(byte)) => {}
            _ => break,
        }
    }
    Some((None, text))
}

fn is_authority(authority: &str) -> bool {
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match host.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => return false,
        },
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    let is_host = |next: char| !" <>\"\\^`{|}".contains(next);
    host.chars().all(is_host)
        && has_good_escapes(authority)
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_good_escapes(text: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let mut escapes = text.split('%').skip(1).map(str::as_bytes);
    escapes.all(|rest| rest.len() >= 2 && rest.iter().take(2).all(is_digit))
}

fn has_closed_braces(path: &str) -> bool {
    let mut parts = path.split('{').skip(1);
    parts.all(|part| part.contains('}'))
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.into_iter().all(is_part)
}

fn is_pointer(text: &str) -> bool {
    let mut escapes = text.split('~').skip(1);
    (text.is_empty() || text.starts_with('/')) && escapes.all(|rest| rest.starts_with(['0', '1']))
}

fn is_relative_pointer(text: &str) -> bool {
    let end = text.find(|next: char| !next.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    let is_number = number == "0" || (!number.is_empty() && !number.starts_with('0'));
    is_number && (rest == "#" || is_pointer(rest))
}
