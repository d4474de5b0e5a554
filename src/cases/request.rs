//! The request of a case, and the attributes that a proxy would make of it. What a case does not
//! give is not there for policies either.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, Pairs, Peer, Port, Request, SocketAddress, Timestamp,
};
use crate::policy::native::WorkloadConfig;

/// What is wrong with a member of a case: its path, and a sentence.
pub(super) type Wrong = (&'static str, String);

/// Member `request` of a case: an HTTP request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpForm {
    #[serde(default = "get")]
    method: String,
    #[serde(default = "root")]
    path: String,
    #[serde(default)]
    host: String,
    #[serde(default = "http")]
    scheme: String,
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
    /// Header lines by themselves, as with Envoy's `encode_raw_headers`, instead of joined by `,`.
    #[serde(default)]
    raw_headers: bool,
    #[serde(default)]
    body: String,
    /// Sent as `authorization: Bearer TOKEN`.
    token: Option<String>,
    /// The same out of a file.
    token_file: Option<PathBuf>,
    source: Option<SourceForm>,
    destination: Option<DestinationForm>,
    sni: Option<String>,
}

/// Member `connection` of a case: TCP, of which a proxy knows the two ends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionForm {
    source: Option<SourceForm>,
    destination: Option<DestinationForm>,
    sni: Option<String>,
}

/// The client's end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceForm {
    /// Name in the client's certificate: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
    #[serde(default)]
    principal: String,
    ip: Option<IpAddr>,
    #[serde(default)]
    port: u16,
}

/// The workload's end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationForm {
    ip: Option<IpAddr>,
    port: Option<u16>,
}

/// A string or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OneOrMore(pub Vec<String>);

fn get() -> String {
    "GET".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

fn http() -> String {
    "http".to_owned()
}

// === impl HttpForm ===

impl HttpForm {
    /// `folder`: where the file of a token is looked for.
    pub(super) fn into_attributes(self, folder: &Path) -> Result<Attributes, Wrong> {
        check_principal(self.source.as_ref(), "request.source.principal")?;
        let lines = self.header_lines(folder)?;
        let headers = if self.raw_headers {
            let raw = lines.into_iter();
            let raw = raw.map(|(name, value)| (name, value.into()));
            Headers::new(Pairs::new(), Some(raw.collect()))
        } else {
            Headers::new(joined(lines), None)
        };
        let http = HttpRequest {
            method: self.method,
            headers,
            path: self.path,
            host: self.host,
            scheme: self.scheme,
            protocol: "HTTP/1.1".to_owned(),
            size: i64::try_from(self.body.len()).unwrap_or(-1),
            body: self.body,
            ..HttpRequest::default()
        };
        Ok(Attributes {
            source: self.source.map(SourceForm::into_peer),
            destination: self.destination.map(DestinationForm::into_peer),
            request: Some(Request {
                time: None,
                http: Some(http),
            }),
            sni: self.sni,
            ..Attributes::default()
        })
    }

    /// Header lines in the order of their names, pseudo-headers among them as Envoy sends them.
    fn header_lines(&self, folder: &Path) -> Result<Pairs, Wrong> {
        let mut lines = Pairs::new();
        for (name, value) in [
            (":authority", &self.host),
            (":method", &self.method),
            (":path", &self.path),
            (":scheme", &self.scheme),
        ] {
            if !value.is_empty() {
                lines.push((name.to_owned(), value.clone()));
            }
        }
        for (name, values) in &self.headers {
            let lower = name.to_ascii_lowercase();
            let wrong = |why: &str| Err(("request.headers", format!("`{name}` {why}")));
            if !is_header_name(name) {
                return wrong("is not a header name");
            }
            if lower == "host" {
                return wrong("is given as `request.host`");
            }
            if lines.iter().any(|(other, _)| *other == lower) {
                return wrong("is there twice; give its values as a list");
            }
            lines.extend(values.0.iter().map(|value| (lower.clone(), value.clone())));
        }
        if let Some(token) = self.token(folder)? {
            if lines.iter().any(|(name, _)| name == "authorization") {
                let why = "stands beside a header `authorization`; give one of the two";
                return Err(("request.token", why.to_owned()));
            }
            lines.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        Ok(lines)
    }

    fn token(&self, folder: &Path) -> Result<Option<String>, Wrong> {
        let token = match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => {
                let why = "stands beside `token`; give one of the two";
                return Err(("request.token_file", why.to_owned()));
            }
            (Some(token), None) => Some(("request.token", token.clone())),
            (None, Some(file)) => {
                let path = folder.join(file);
                let read = std::fs::read_to_string(&path);
                let text = read.map_err(|error| {
                    let why = format!("{}: {error}", path.display());
                    ("request.token_file", why)
                })?;
                Some(("request.token_file", text.trim().to_owned()))
            }
            (None, None) => None,
        };
        match token {
            Some((member, text)) if text.is_empty() || text.contains(char::is_whitespace) => {
                Err((member, "is not one token".to_owned()))
            }
            token => Ok(token.map(|(_, text)| text)),
        }
    }
}

/// One value a name, repeated headers joined as Envoy does, sorted by name.
fn joined(lines: Pairs) -> Pairs {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in lines {
        let known = joined.get_mut(&name);
        match known {
            Some(text) => {
                text.push(',');
                text.push_str(&value);
            }
            None => drop(joined.insert(name, value)),
        }
    }
    joined.into_iter().collect()
}

/// RFC 9110 section 5.1.
pub(super) fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

// === impl ConnectionForm ===

impl ConnectionForm {
    pub(super) fn into_attributes(self) -> Result<Attributes, Wrong> {
        check_principal(self.source.as_ref(), "connection.source.principal")?;
        let mut destination = self.destination.map(DestinationForm::into_peer);
        // Rule: on TCP the proxy puts the server name there.
        if let Some(sni) = self.sni {
            destination.get_or_insert_default().service = sni.to_ascii_lowercase();
        }
        Ok(Attributes {
            source: self.source.map(SourceForm::into_peer),
            destination,
            ..Attributes::default()
        })
    }
}

/// Policies leave the scheme out and requests do not: a name without it would match no policy, and
/// a case that expects a denial would pass for the wrong reason.
fn check_principal(source: Option<&SourceForm>, member: &'static str) -> Result<(), Wrong> {
    let principal = source.map_or("", |source| &source.principal);
    if principal.contains("/ns/") && !principal.starts_with("spiffe://") {
        let why = format!("a request's principal has its scheme: `spiffe://{principal}`");
        return Err((member, why));
    }
    Ok(())
}

impl SourceForm {
    fn into_peer(self) -> Peer {
        Peer {
            address: self.ip.map(|ip| socket(ip, self.port)),
            principal: self.principal,
            ..Peer::default()
        }
    }
}

impl DestinationForm {
    fn into_peer(self) -> Peer {
        let address = match (self.ip, self.port) {
            (None, None) => None,
            (ip, port) => Some(Address::Socket(SocketAddress {
                address: ip.map(|ip| ip.to_string()).unwrap_or_default(),
                port: port.map(|port| Port::Value(port.into())),
                ..SocketAddress::default()
            })),
        };
        Peer {
            address,
            ..Peer::default()
        }
    }
}

fn socket(ip: IpAddr, port: u16) -> Address {
    Address::Socket(SocketAddress {
        address: ip.to_string(),
        port: Some(Port::Value(port.into())),
        ..SocketAddress::default()
    })
}

/// Says for which workload a request is, as the route of a proxy does.
pub(super) fn add_workload(
    attributes: &mut Attributes,
    workload: WorkloadConfig,
) -> Result<(), Wrong> {
    let labels = workload.labels.map(|labels| {
        let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
        labels.collect::<Vec<_>>().join(",")
    });
    let extensions = [
        ("doorward.namespace", workload.namespace),
        ("doorward.labels", labels),
        ("doorward.service-account", workload.service_account),
    ];
    for (name, value) in extensions {
        if let Some(value) = value {
            add_extension(attributes, name, value).map_err(|why| ("workload", why))?;
        }
    }
    Ok(())
}

/// Adds what else a proxy's route tells.
pub(super) fn add_extensions(
    attributes: &mut Attributes,
    extensions: BTreeMap<String, String>,
) -> Result<(), Wrong> {
    for (name, value) in extensions {
        let added = add_extension(attributes, &name, value);
        added.map_err(|why| ("context_extensions", why))?;
    }
    Ok(())
}

fn add_extension(attributes: &mut Attributes, name: &str, value: String) -> Result<(), String> {
    if attributes.context_extension(name).is_some() {
        return Err(format!("there is a context extension `{name}` already"));
    }
    let extensions = &mut attributes.context_extensions;
    extensions.push((name.to_owned(), value));
    extensions.sort();
    Ok(())
}

/// Notes when an HTTP request came, if it does not say.
pub(super) fn at(attributes: &mut Attributes, time_ns: i64) {
    if let Some(request) = &mut attributes.request {
        let nanos = i32::try_from(time_ns.rem_euclid(1_000_000_000)).unwrap_or(0);
        let time = Timestamp {
            seconds: time_ns.div_euclid(1_000_000_000),
            nanos,
        };
        request.time.get_or_insert(time);
    }
}

// === impl OneOrMore ===

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreVisitor)
    }
}

struct OneOrMoreVisitor;

impl<'de> Visitor<'de> for OneOrMoreVisitor {
    type Value = OneOrMore;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a list of strings")
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
        Ok(OneOrMore(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<OneOrMore, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        if values.is_empty() {
            return Err(A::Error::custom("an empty list of values"));
        }
        Ok(OneOrMore(values))
    }
}
