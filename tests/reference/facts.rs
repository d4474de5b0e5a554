//! What a request offers to be matched, taken from the fields of its attributes alone: none of
//! their methods is used, as those are part of what is tested.

use std::net::IpAddr;

use doorward::attributes::{Address, Attributes, HttpRequest, Peer, Port};
use serde_json::Value;

/// The HTTP part, absent for a TCP connection.
pub fn http(attributes: &Attributes) -> Option<&HttpRequest> {
    attributes.request.as_ref()?.http.as_ref()
}

/// Identity string of the client's certificate, empty without one.
pub fn identity(attributes: &Attributes) -> &str {
    attributes
        .source
        .as_ref()
        .map_or("", |source| source.principal.as_str())
}

/// Trust domain of a SPIFFE id, if it is one by the SPIFFE standard: a trust domain of lower-case
/// letters, digits, `.`, `-` and `_`; a path of segments that are not empty, `.` or `..`, of letters,
/// digits and the same marks; or no path.
pub fn spiffe_trust_domain(identity: &str) -> Option<&str> {
    let mut parts = identity.strip_prefix("spiffe://")?.split('/');
    let domain = parts.next()?;
    let is_mark = |letter: char| ".-_".contains(letter);
    let in_domain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || is_mark(letter);
    let in_path = |letter: char| letter.is_ascii_alphanumeric() || is_mark(letter);
    let valid_segment =
        |segment: &str| !["", ".", ".."].contains(&segment) && segment.chars().all(in_path);
    // The trust domain by itself is nobody in it.
    let mut parts = parts.peekable();
    let names_somebody = parts.peek().is_some();
    let valid = !domain.is_empty() && domain.chars().all(in_domain) && parts.all(valid_segment);
    let valid = valid && names_somebody;
    valid.then_some(domain)
}

pub fn source_ip(attributes: &Attributes) -> Option<IpAddr> {
    peer_ip(attributes.source.as_ref())
}

pub fn destination_ip(attributes: &Attributes) -> Option<IpAddr> {
    peer_ip(attributes.destination.as_ref())
}

fn peer_ip(peer: Option<&Peer>) -> Option<IpAddr> {
    match peer?.address.as_ref()? {
        Address::Socket(socket) => socket.address.parse().ok(),
        _ => None,
    }
}

/// The local port of the connection.
pub fn port(attributes: &Attributes) -> Option<u32> {
    let Address::Socket(socket) = attributes.destination.as_ref()?.address.as_ref()? else {
        return None;
    };
    match socket.port {
        Some(Port::Value(port)) => Some(port),
        _ => None,
    }
}

/// Every line of a header. In the joined form there is one.
pub fn header_lines(http: &HttpRequest, name: &str) -> Vec<Vec<u8>> {
    let named = |key: &str| key.eq_ignore_ascii_case(name);
    match http.headers.raw() {
        Some(lines) => {
            let lines = lines.iter().filter(|(key, _)| named(key));
            lines.map(|(_, value)| value.to_vec()).collect()
        }
        None => {
            let merged = http.headers.merged().iter().filter(|(key, _)| named(key));
            merged.map(|(_, value)| value.as_bytes().to_vec()).collect()
        }
    }
}

/// Rule: the (N+1)th entry of `x-forwarded-for` from the right, N the trusted proxies. Too few
/// entries, or one that is no address: the peer's address. Empty and unreadable entries count.
pub fn remote_ip(attributes: &Attributes, trusted_proxies: usize) -> Option<IpAddr> {
    let forwarded = || {
        let lines = header_lines(http(attributes)?, "x-forwarded-for");
        if lines.is_empty() {
            return None;
        }
        let joined = lines.join(&b","[..]);
        let mut entries: Vec<_> = joined.split(|byte| *byte == b',').collect();
        entries.reverse();
        let entry = std::str::from_utf8(entries.get(trusted_proxies)?).ok()?;
        entry.trim_matches([' ', '\t']).parse().ok()
    };
    forwarded().or_else(|| source_ip(attributes))
}

/// Rule: the SNI in lower case. On TCP it is in `destination.service` when the TLS session is not
/// told.
pub fn server_name(attributes: &Attributes) -> Option<String> {
    let name = match (&attributes.sni, http(attributes)) {
        (Some(sni), _) => sni,
        (None, None) => &attributes.destination.as_ref()?.service,
        (None, Some(_)) => return None,
    };
    Some(name.to_ascii_lowercase()).filter(|name| !name.is_empty())
}

/// Rule: the path ends at the first `?` or `#`; without a path there is nothing to match.
pub fn path(http: &HttpRequest) -> Option<&str> {
    let end = http.path.find(['?', '#']).unwrap_or(http.path.len());
    (!http.path.is_empty()).then(|| &http.path[..end])
}

/// Whether the request's target is something else than a path.
pub fn is_no_path(http: &HttpRequest) -> bool {
    !http.path.is_empty() && !http.path.starts_with('/') && http.path != "*"
}

/// What a filter of the proxy left under a key.
pub fn metadata<'a>(attributes: &'a Attributes, filter: &str, key: &str) -> Option<&'a Value> {
    let filters = &attributes.metadata.as_ref()?.filter;
    let (_, fields) = filters.iter().find(|(name, _)| name == filter)?;
    fields.get(key)
}
