//! `net.lookup_ip_addr`: the addresses of a name. Asking for them is left to the capability that the
//! check was given.

use std::collections::BTreeSet;
use std::net::IpAddr;

use regorus::Value;

use super::{Answer, Builtin, Failure, text};
use crate::policy::rego::external::{ExternalError, reach};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::external(NAME, 1, lookup_ip_addr)];

const NAME: &str = "net.lookup_ip_addr";
/// Longest name there can be.
const MAX_NAME: usize = 254;
const MAX_LABEL: usize = 63;

/// Rule: an address is its own; a name that is none, or has none, is undefined.
fn lookup_ip_addr(arguments: &[Value]) -> Answer {
    let name = text(arguments, 0)?;
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(addresses([address]));
    }
    if !is_name(name) {
        return Err(Failure::Failed("no such host"));
    }
    match reach(NAME)?.look_up(name) {
        Ok(found) => Ok(addresses(found)),
        Err(error @ ExternalError::TimeUp) => Err(Failure::Limit(format!("{NAME}: {error}"))),
        Err(_) => Err(Failure::Failed("no such host")),
    }
}

fn addresses(found: impl IntoIterator<Item = IpAddr>) -> Value {
    let found = found.into_iter();
    let texts = found.map(|address| Value::from(address.to_canonical().to_string()));
    Value::from(texts.collect::<BTreeSet<_>>())
}

/// Whether a text can be a name. What the system would take for an address in some old spelling
/// (`127.1`, `0x7f000001`) is none.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(is_plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with(|first: char| first.is_ascii_digit())
        && (last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= MAX_NAME && name.split('.').all(is_label) && !is_number
}
