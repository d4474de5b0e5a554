//! The names a certificate is for (RFC 5280 section 4.2.1.6), constraints on them (4.2.1.10) and
//! whether a host is one of them.

use std::net::IpAddr;

use regorus::Value;

use super::super::Failure;
use super::super::der::Reader;
use super::super::go_json::{bytes, list, object, text};
use super::super::url::Url;

const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// Longest name that is compared with constraints, and longest constraint, in bytes: each of one is
/// compared with each of the other.
pub(super) const MAX_NAME: usize = 512;

/// Subject alternative names. Those of other kinds are left out.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) dns: Vec<&'a str>,
    pub(super) emails: Vec<&'a str>,
    pub(super) ips: Vec<IpAddr>,
    pub(super) urls: Vec<Url>,
}

/// One of the lists of name constraints.
#[derive(Default)]
pub(super) struct Subtrees<'a> {
    dns: Vec<&'a str>,
    emails: Vec<&'a str>,
    networks: Vec<Network>,
    hosts: Vec<&'a str>,
    /// Of a kind that nobody here understands.
    pub(super) has_unknown: bool,
}

struct Network {
    address: IpAddr,
    mask: Vec<u8>,
}

/// A mailbox (RFC 2821 section 4.1.2).
struct Mailbox<'a> {
    local: Vec<u8>,
    domain: &'a str,
}

/// How many more names may be compared with constraints.
pub(super) struct Comparisons(pub(super) i64);

/// Why names are not those of an authority.
pub(super) enum Refusal {
    NotAllowed,
    TooMany,
    TooLong,
}

// === impl Names ===

impl<'a> Names<'a> {
    pub(super) fn parse(mut value: Reader<'a>) -> Result<Self, Failure> {
        let mut all = value.sequence()?;
        let mut names = Self::default();
        while !all.is_empty() {
            let name = all.any()?;
            match name.tag {
                EMAIL => names.emails.push(ascii(name.content)?),
                DNS => names.dns.push(ascii(name.content)?),
                URI => names.urls.push(url(ascii(name.content)?)?),
                IP => {
                    let ip = address(name.content);
                    names
                        .ips
                        .push(ip.ok_or(Failure::Failed("cannot parse IP address"))?);
                }
                _ => {}
            }
        }
        Ok(names)
    }

    pub(super) fn is_empty(&self) -> bool {
        let no_text = self.dns.is_empty() && self.emails.is_empty();
        no_text && self.ips.is_empty() && self.urls.is_empty()
    }

    fn is_longer_than(&self, limit: usize) -> bool {
        let mut texts = self.emails.iter().chain(&self.dns);
        texts.any(|text| text.len() > limit) || self.urls.iter().any(|url| url.host.len() > limit)
    }

    pub(super) fn ips(&self) -> Value {
        list(&self.ips, |ip| Value::from(ip.to_canonical().to_string()))
    }

    /// Rule: a URL is shown in its parts; who it is for has nothing to show.
    pub(super) fn urls(&self) -> Value {
        list(&self.urls, |url| {
            object([
                ("Scheme", Value::from(url.scheme.as_str())),
                ("Opaque", Value::from(url.opaque.as_str())),
                (
                    "User",
                    match url.user {
                        Some(_) => Value::new_object(),
                        None => Value::Null,
                    },
                ),
                ("Host", text(&url.host)),
                ("Path", text(&url.path)),
                ("RawPath", Value::from(url.raw_path.as_str())),
                ("OmitHost", Value::from(url.omit_host)),
                ("ForceQuery", Value::from(url.force_query)),
                ("RawQuery", Value::from(url.raw_query.as_str())),
                ("Fragment", text(&url.fragment)),
                ("RawFragment", Value::from(url.raw_fragment.as_str())),
            ])
        })
    }

    pub(super) fn url_strings(&self) -> Value {
        list(&self.urls, |url| Value::from(url.written()))
    }

    /// Rule: an address is looked for among addresses, anything else among DNS names, whose first
    /// label may be `*`.
    pub(super) fn include(&self, host: &str) -> bool {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            let ip = ip.to_canonical();
            return self.ips.iter().any(|known| known.to_canonical() == ip);
        }
        let is_host = is_host_name(host.strip_suffix('.').unwrap_or(host), false);
        self.dns.iter().any(|name| {
            if is_host && is_host_name(name, true) {
                return matches_pattern(name, host.strip_suffix('.').unwrap_or(host));
            }
            !matches!(host, "" | ".") && name.eq_ignore_ascii_case(host)
        })
    }
}

fn ascii(content: &[u8]) -> Result<&str, Failure> {
    let text = str::from_utf8(content).ok().filter(|text| text.is_ascii());
    text.ok_or(Failure::Failed("a name is not ASCII"))
}

fn url(text: &str) -> Result<Url, Failure> {
    let valid = |url: &Url| str::from_utf8(&url.host).is_ok_and(is_domain);
    Url::parse(text)
        .filter(valid)
        .ok_or(Failure::Failed("cannot parse URI"))
}

fn address(content: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(content) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(content).ok().map(IpAddr::from)
}

/// Rule: labels of letters, digits, `-` and `_`; in a certificate the first may be `*`.
fn is_host_name(name: &str, is_pattern: bool) -> bool {
    let is_label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && !label.starts_with('-') && label.bytes().all(inside)
    };
    let rest = match name.split_once('.') {
        Some(("*", rest)) if is_pattern => rest,
        None if is_pattern && name == "*" => return true,
        _ => name,
    };
    rest.split('.').all(is_label)
}

fn matches_pattern(pattern: &str, host: &str) -> bool {
    match (pattern.split_once('.'), host.split_once('.')) {
        (Some(("*", pattern)), Some((_, host))) => pattern.eq_ignore_ascii_case(host),
        (None, None) if pattern == "*" => !host.is_empty(),
        _ => pattern.eq_ignore_ascii_case(host),
    }
}

/// Rule: labels of visible ASCII, none of which is empty; no name at all is one.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_graphic());
    name.is_empty() || name.split('.').all(is_label)
}

// === impl Subtrees ===

impl<'a> Subtrees<'a> {
    pub(super) fn parse(mut list: Reader<'a>) -> Result<Self, Failure> {
        let mut subtrees = Self::default();
        while !list.is_empty() {
            let base = list.sequence()?.any()?;
            match base.tag {
                DNS => subtrees.dns.push(domain_constraint(base.content)?),
                EMAIL => subtrees.emails.push(email_constraint(base.content)?),
                URI => subtrees.hosts.push(host_constraint(base.content)?),
                IP => subtrees.networks.push(Network::parse(base.content)?),
                _ => subtrees.has_unknown = true,
            }
        }
        Ok(subtrees)
    }

    pub(super) fn is_empty(&self) -> bool {
        let no_text = self.dns.is_empty() && self.emails.is_empty() && self.hosts.is_empty();
        no_text && self.networks.is_empty()
    }

    pub(super) fn dns(&self) -> Value {
        texts(&self.dns)
    }

    pub(super) fn emails(&self) -> Value {
        texts(&self.emails)
    }

    pub(super) fn hosts(&self) -> Value {
        texts(&self.hosts)
    }

    pub(super) fn networks(&self) -> Value {
        list(&self.networks, |network| {
            object([
                (
                    "IP",
                    Value::from(network.address.to_canonical().to_string()),
                ),
                ("Mask", bytes(&network.mask)),
            ])
        })
    }
}

pub(super) fn texts(items: &[&str]) -> Value {
    list(items, |item| Value::from(*item))
}

fn constraint(content: &[u8]) -> Result<&str, Failure> {
    if content.len() > MAX_NAME {
        return Err(Failure::Limit(format!(
            "a name constraint of more than {MAX_NAME} bytes is refused"
        )));
    }
    ascii(content)
}

fn domain_constraint(content: &[u8]) -> Result<&str, Failure> {
    let domain = constraint(content)?;
    match is_domain(domain.strip_prefix('.').unwrap_or(domain)) {
        true => Ok(domain),
        false => Err(Failure::Failed("failed to parse a name constraint")),
    }
}

/// Rule: with an `@` one mailbox, else those of a domain.
fn email_constraint(content: &[u8]) -> Result<&str, Failure> {
    let text = constraint(content)?;
    match text.contains('@') {
        true if Mailbox::parse(text).is_none() => {
            Err(Failure::Failed("failed to parse a name constraint"))
        }
        true => Ok(text),
        false => domain_constraint(content),
    }
}

/// Rule: no address.
fn host_constraint(content: &[u8]) -> Result<&str, Failure> {
    match ascii(content)?.parse::<IpAddr>() {
        Ok(_) => Err(Failure::Failed("a URI constraint cannot be an IP address")),
        Err(_) => domain_constraint(content),
    }
}

// === impl Network ===

impl Network {
    /// Rule: an address and a mask that is ones and then zeros.
    fn parse(content: &[u8]) -> Result<Self, Failure> {
        let half = content.len() / 2;
        let (address, mask) = content.split_at_checked(half).unwrap_or_default();
        let ones: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
        let all: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
        let broken = mask
            .windows(2)
            .any(|pair| matches!(pair, [first, second] if *first != 0xff && *second != 0));
        let address = self::address(address).filter(|_| mask.len() == half);
        match address {
            Some(address) if ones == all && !broken => Ok(Self {
                address,
                mask: mask.to_vec(),
            }),
            _ => Err(Failure::Failed("invalid IP constraint")),
        }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let bytes = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let (ip, own) = (bytes(ip), bytes(self.address));
        let mut masked = ip.iter().zip(&own).zip(&self.mask);
        ip.len() == own.len() && masked.all(|((ip, own), mask)| ip & mask == own & mask)
    }
}

// === impl Mailbox ===

impl<'a> Mailbox<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (local, rest) = match text.strip_prefix('"') {
            Some(quoted) => quoted_local(quoted)?,
            None => plain_local(text)?,
        };
        let domain = rest.strip_prefix('@').filter(|domain| is_domain(domain))?;
        Some(Self { local, domain })
    }
}

/// Rule: up to the closing quote, with `\` before what would end it.
fn quoted_local(text: &str) -> Option<(Vec<u8>, &str)> {
    let is_text = |byte: u8| !matches!(byte, 0 | b'\n' | b'\r' | 0x80..);
    let mut local = Vec::new();
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((local, text.get(at + 1..)?)),
            b'\\' => local.push(bytes.next().filter(|(_, byte)| is_text(*byte))?.1),
            b'\t' => return None,
            byte if is_text(byte) => local.push(byte),
            _ => return None,
        }
    }
    None
}

/// Rule: atoms with single periods between.
fn plain_local(text: &str) -> Option<(Vec<u8>, &str)> {
    let is_atom =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let mut local = Vec::new();
    let mut bytes = text.bytes().enumerate();
    let end = loop {
        match bytes.next() {
            Some((_, b'\\')) => local.push(bytes.next()?.1),
            Some((_, byte)) if is_atom(byte) => local.push(byte),
            Some((at, _)) => break at,
            None => break text.len(),
        }
    };
    let is_bare = local.is_empty() || local.starts_with(b".") || local.ends_with(b".");
    let has_two = local.windows(2).any(|pair| pair == b"..");
    (!is_bare && !has_two).then_some((local, text.get(end..)?))
}

// === Constraints on names ===

/// Whether an authority with these constraints may have such names under it.
pub(super) fn allow(
    names: &Names<'_>,
    permitted: &Subtrees<'_>,
    excluded: &Subtrees<'_>,
    left: &mut Comparisons,
) -> Result<(), Refusal> {
    if names.is_longer_than(MAX_NAME) {
        return Err(Refusal::TooLong);
    }
    for email in &names.emails {
        let mailbox = Mailbox::parse(email).ok_or(Refusal::NotAllowed)?;
        let matches =
            |constraint: &&str, is_excluded| mailbox_matches(&mailbox, constraint, is_excluded);
        left.check(&permitted.emails, &excluded.emails, matches)?;
    }
    for name in &names.dns {
        if !is_domain(name) {
            return Err(Refusal::NotAllowed);
        }
        let matches =
            |constraint: &&str, is_excluded| Some(domain_matches(name, constraint, is_excluded));
        left.check(&permitted.dns, &excluded.dns, matches)?;
    }
    for url in &names.urls {
        let matches = |constraint: &&str, is_excluded| url_matches(url, constraint, is_excluded);
        left.check(&permitted.hosts, &excluded.hosts, matches)?;
    }
    for ip in &names.ips {
        let matches = |network: &Network, _| Some(network.contains(*ip));
        left.check(&permitted.networks, &excluded.networks, matches)?;
    }
    Ok(())
}

impl Comparisons {
    /// Rule: none of the excluded, and if there are permitted ones, one of them.
    fn check<T>(
        &mut self,
        permitted: &[T],
        excluded: &[T],
        matches: impl Fn(&T, bool) -> Option<bool>,
    ) -> Result<(), Refusal> {
        self.take(excluded.len())?;
        for constraint in excluded {
            if matches(constraint, true) != Some(false) {
                return Err(Refusal::NotAllowed);
            }
        }
        self.take(permitted.len())?;
        for constraint in permitted {
            match matches(constraint, false) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => return Err(Refusal::NotAllowed),
            }
        }
        permitted
            .is_empty()
            .then_some(())
            .ok_or(Refusal::NotAllowed)
    }

    fn take(&mut self, count: usize) -> Result<(), Refusal> {
        self.0 -= i64::try_from(count).unwrap_or(i64::MAX);
        match self.0 {
            ..0 => Err(Refusal::TooMany),
            _ => Ok(()),
        }
    }
}

fn mailbox_matches(mailbox: &Mailbox<'_>, constraint: &str, is_excluded: bool) -> Option<bool> {
    if !constraint.contains('@') {
        return Some(domain_matches(mailbox.domain, constraint, is_excluded));
    }
    let wanted = Mailbox::parse(constraint)?;
    let same_domain = mailbox.domain.eq_ignore_ascii_case(wanted.domain);
    Some(mailbox.local == wanted.local && same_domain)
}

/// `None` for a URL without a host that can be compared.
fn url_matches(url: &Url, constraint: &str, is_excluded: bool) -> Option<bool> {
    let host = str::from_utf8(&url.host).ok()?;
    let (host, port) = host.split_once(':').unwrap_or((host, ""));
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    let has_name = !host.is_empty() && !is_address && !port.contains(':');
    has_name.then(|| domain_matches(host, constraint, is_excluded))
}

/// Rule: the domain or one below it; with a period in front one below it.
fn domain_matches(domain: &str, constraint: &str, is_excluded: bool) -> bool {
    if constraint.is_empty() {
        return true;
    }
    let (constraint, must_be_below) = match constraint.strip_prefix('.') {
        Some(constraint) => (constraint, true),
        None => (constraint, false),
    };
    // A wildcard stands for any label, so for one that is excluded as well.
    let parents = (domain.strip_prefix("*."), constraint.split_once('.'));
    let may_stand_for = match parents {
        (Some(own), Some((_, excluded))) if is_excluded && !must_be_below => {
            own.eq_ignore_ascii_case(excluded)
        }
        _ => false,
    };
    may_stand_for || suffix_matches(domain, constraint, must_be_below)
}

fn suffix_matches(domain: &str, constraint: &str, must_be_below: bool) -> bool {
    let mut labels = domain.rsplit('.');
    let mut wanted = constraint.rsplit('.').filter(|label| !label.is_empty());
    wanted.all(|label| {
        labels
            .next()
            .is_some_and(|own| own.eq_ignore_ascii_case(label))
    }) && (!must_be_below || labels.next().is_some())
}
