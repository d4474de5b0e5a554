//! Calls that a browser could be tricked into: those let through without a token must name this
//! server as their host, and no page of elsewhere as their origin.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Uri};

/// Where the page is that has a browser call, as seen from here (Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names under which the API is called.
#[derive(Debug, Clone)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.to_vec())
    }

    /// Rule: the one host a call names, in its line and its header, is this machine or a configured
    /// name of it.
    pub(super) fn is_named(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let in_line = uri
            .authority()
            .is_none_or(|authority| self.is_own(authority.as_str()));
        in_line && host(headers).is_some_and(|host| self.is_own(host))
    }

    /// Whether no page of elsewhere has a browser make this call. Certificates prove which server is
    /// meant, so there the host itself is no elsewhere.
    pub(super) fn is_own_page(&self, headers: &HeaderMap, is_host_proven: bool) -> bool {
        self.is_own_origin(headers, is_host_proven) && is_own_site(headers)
    }

    /// Rule: a browser names the page that makes it call, unless that only reads.
    fn is_own_origin(&self, headers: &HeaderMap, is_host_proven: bool) -> bool {
        let host = host(headers).filter(|_| is_host_proven);
        let is_own = |origin: &str| {
            let from = origin.split_once("://").map(|(_, host)| host);
            from.is_some_and(|from| self.is_own(from) || host == Some(from))
        };
        let mut origins = headers.get_all(ORIGIN).iter();
        origins.all(|origin| origin.to_str().is_ok_and(is_own))
    }

    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_own = |own: &String| own.eq_ignore_ascii_case(name);
        is_loopback(name) || self.0.iter().any(is_own)
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Rule: where pages only read, which can have policies evaluated and others asked, a browser still
/// tells whether they are of the same origin. On loopback every page of the site is of this machine;
/// elsewhere one of a neighbour is not of here.
fn is_own_site(headers: &HeaderMap) -> bool {
    let is_local = host(headers).is_some_and(|host| is_loopback(without_port(host)));
    let is_own = |site: &[u8]| match site {
        b"same-origin" | b"none" => true,
        b"same-site" => is_local,
        _ => false,
    };
    let mut sites = headers.get_all(SITE).iter();
    sites.all(|site| is_own(site.as_bytes()))
}

/// The `Host` header, if there is exactly one.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host.to_str().ok()
}

fn without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_start_matches('[').trim_end_matches(']')
}

/// Why a configured name cannot be one.
pub(super) fn problem(name: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = !name.is_empty() && name.bytes().all(is_part);
    (!is_name && name.parse::<IpAddr>().is_err())
        .then(|| format!("`{name}` is no name or address of a host, without a port"))
}
