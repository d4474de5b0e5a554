//! Generated requests: HTTP and TCP, with and without identity, from the shared vocabulary, the way
//! an honest proxy tells them. They print as a few readable lines.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use doorward::attributes::{
    Address, Attributes, Headers, HttpRequest, Metadata, Peer, Port, ProtocolVersion, Request,
    SocketAddress,
};
use proptest::collection::{btree_map, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use super::evaluator::{Asked, Workload};
use super::policies;
use super::tokens::TOKENS;
use super::vocabulary as words;

/// A request and what is known of it beside its attributes.
#[derive(Clone)]
pub struct Sent {
    pub attributes: Attributes,
    pub workload: Workload,
    /// Which of the tokens it carries.
    pub token: Option<usize>,
}

/// What a request is made of.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub identity: String,
    /// Address of the peer; an empty one is a socket of the file system.
    pub source: &'static str,
    pub destination: Option<&'static str>,
    pub port: Option<u32>,
    pub sni: Option<&'static str>,
    pub metadata: Option<Filters>,
    pub workload: Workload,
    pub http: Option<HttpParts>,
    /// Whether a TCP connection's empty request and its TLS session are told.
    pub told: bool,
}

/// What its HTTP part is made of.
#[derive(Debug, Clone, Default)]
pub struct HttpParts {
    pub method: &'static str,
    pub path: &'static str,
    pub host: &'static str,
    /// Header lines beside those that follow from the rest.
    pub lines: Vec<(&'static str, &'static [u8])>,
    pub token: Option<usize>,
    /// Whether every line is told by itself.
    pub raw: bool,
}

/// Metadata by filter.
pub type Filters = Vec<(String, Map<String, Value>)>;

/// Header lines in order.
type Lines = Vec<(String, Vec<u8>)>;

impl Sent {
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            workload: &self.workload,
            attributes: &self.attributes,
            token: self.token.map(|index| &TOKENS[index].claims),
        }
    }

    pub fn is_http(&self) -> bool {
        let request = self.attributes.request.as_ref();
        request.is_some_and(|request| request.http.is_some())
    }
}

// === Generating ===

/// Any request.
pub fn any() -> impl Strategy<Value = Sent> {
    parts().prop_map(Sent::from)
}

/// A request that nobody is known to send: no certificate, no token.
pub fn without_identity() -> impl Strategy<Value = Sent> {
    parts().prop_map(|mut parts| {
        parts.identity.clear();
        if let Some(http) = &mut parts.http {
            http.token = None;
        }
        Sent::from(parts)
    })
}

fn parts() -> impl Strategy<Value = Parts> {
    let parts = (
        identity(),
        select(words::SENT_IPS),
        weighted(0.95, select(words::SENT_IPS)),
        weighted(0.95, select(words::SENT_PORTS)),
        weighted(0.6, select(words::SENT_SERVER_NAMES)),
        metadata(),
        workload(),
        weighted(0.85, http()),
        select(vec![true, false]),
    );
    parts.prop_map(
        |(identity, source, destination, port, sni, metadata, workload, http, told)| Parts {
            identity,
            source,
            destination,
            port,
            sni,
            metadata,
            workload,
            http,
            told,
        },
    )
}

fn identity() -> impl Strategy<Value = String> {
    let domain = select(vec!["cluster.local", "td1", "old-td"]);
    let usual = domain.prop_map(|domain| format!("spiffe://{domain}/ns/foo/sa/a"));
    prop_oneof![
        4 => usual,
        5 => select(regular_identities()),
        2 => Just(String::new()),
        3 => select(words::SENT_IDENTITIES).prop_map(str::to_owned),
    ]
}

/// Identities in Istio's layout.
pub fn regular_identities() -> Vec<String> {
    let mut all = Vec::new();
    for domain in words::SENT_TRUST_DOMAINS {
        for namespace in words::NAMESPACES {
            let of = |account| format!("spiffe://{domain}/ns/{namespace}/sa/{account}");
            all.extend(words::SENT_ACCOUNTS.iter().map(of));
        }
    }
    all
}

fn metadata() -> impl Strategy<Value = Option<Filters>> {
    let value = select(words::SENT_METADATA_VALUES);
    let value = value.prop_map(|json| serde_json::from_str::<Value>(json).unwrap());
    let name = select(words::SENT_METADATA_KEYS).prop_map(str::to_owned);
    let fields = btree_map(name, value, 1..=2);
    let fields = fields.prop_map(|fields| fields.into_iter().collect());
    let filter = select(words::SENT_METADATA_FILTERS).prop_map(str::to_owned);
    let filters = btree_map(filter, fields, 0..=2);
    weighted(
        0.8,
        filters.prop_map(|filters| filters.into_iter().collect()),
    )
}

fn workload() -> impl Strategy<Value = Workload> {
    let namespace = select(vec!["foo", "foo", "foo", "bar", words::ROOT_NAMESPACE]);
    let namespace = weighted(0.97, namespace.prop_map(str::to_owned));
    (namespace, weighted(0.97, policies::labels()))
        .prop_map(|(namespace, labels)| Workload { namespace, labels })
}

fn http() -> impl Strategy<Value = HttpParts> {
    let line = (
        select(words::SENT_HEADERS),
        select(words::SENT_HEADER_VALUES),
    );
    let forwarded = (Just("x-forwarded-for"), select(words::SENT_FORWARDED));
    let forwarded = prop_oneof![
        2 => vec(forwarded.clone(), 0),
        2 => vec(forwarded.clone(), 1),
        1 => vec(forwarded, 2),
    ];
    let origin = select(vec![b"".as_slice(), b"https://a.com"]);
    let asked = select(vec![b"".as_slice(), b"GET"]);
    let preflight = weighted(0.15, (origin, asked));
    let parts = (
        select(words::SENT_METHODS),
        select(words::SENT_PATHS),
        select(words::SENT_HOSTS),
        vec(line, 0..=4),
        forwarded,
        preflight,
        weighted(0.8, prop_oneof![0..2_usize, 0..TOKENS.len()]),
        select(vec![true, false]),
    );
    parts.prop_map(
        |(method, path, host, mut lines, forwarded, preflight, token, raw)| {
            lines.extend(forwarded);
            if let Some((origin, asked)) = preflight {
                lines.push(("origin", origin));
                lines.push(("access-control-request-method", asked));
            }
            HttpParts {
                method,
                path,
                host,
                lines,
                token,
                raw,
            }
        },
    )
}

// === Putting together ===

impl From<Parts> for Sent {
    fn from(parts: Parts) -> Self {
        let is_tcp = parts.http.is_none();
        let told = parts.told || !is_tcp;
        let token = parts.http.as_ref().and_then(|http| http.token);
        let request = told.then_some(Request {
            time: None,
            http: parts.http.map(HttpRequest::from),
        });
        // On TCP the server name is told as the destination's service.
        let service = parts.sni.filter(|_| is_tcp).unwrap_or_default();
        let service = service.to_ascii_lowercase();
        let attributes = Attributes {
            version: ProtocolVersion::V3,
            given: true,
            source: Some(Peer {
                principal: parts.identity,
                ..peer(parts.source, Some(40_000))
            }),
            destination: parts.destination.map(|ip| Peer {
                service,
                ..peer(ip, parts.port)
            }),
            sni: parts.sni.filter(|_| told).map(str::to_owned),
            request,
            context_extensions: extensions(&parts.workload),
            metadata: parts.metadata.map(|filter| Metadata {
                filter,
                typed: Vec::new(),
            }),
            route_metadata: None,
        };
        Self {
            attributes,
            workload: parts.workload,
            token,
        }
    }
}

fn peer(ip: &str, port: Option<u32>) -> Peer {
    let address = match ip {
        "" => Address::Pipe {
            path: "/run/a.sock".to_owned(),
            mode: 0,
        },
        ip => Address::Socket(SocketAddress {
            address: ip.to_owned(),
            port: port.map(Port::Value),
            ..SocketAddress::default()
        }),
    };
    Peer {
        address: Some(address),
        ..Peer::default()
    }
}

/// How a proxy tells the workload.
fn extensions(workload: &Workload) -> Vec<(String, String)> {
    let labels = workload.labels.as_ref().map(|labels| {
        let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<_> = pairs.collect();
        ("doorward.labels".to_owned(), pairs.join(","))
    });
    let namespace = workload.namespace.as_ref();
    let namespace = namespace.map(|name| ("doorward.namespace".to_owned(), name.clone()));
    labels.into_iter().chain(namespace).collect()
}

impl From<HttpParts> for HttpRequest {
    fn from(parts: HttpParts) -> Self {
        let HttpParts {
            method,
            path,
            host,
            lines,
            token,
            raw,
        } = parts;
        let pseudo = [(":authority", host), (":method", method), (":path", path)];
        let pseudo = pseudo.into_iter().filter(|(_, value)| !value.is_empty());
        let pseudo = pseudo.map(|(name, value)| (name, value.as_bytes()));
        let lines = pseudo.chain(lines);
        let mut lines: Lines = lines
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect();
        if let Some(index) = token {
            let value = format!("Bearer {}", TOKENS[index].text);
            lines.push(("authorization".to_owned(), value.into_bytes()));
        }
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            host: host.to_owned(),
            scheme: "https".to_owned(),
            headers: if raw { separate(lines) } else { joined(lines) },
            ..Self::default()
        }
    }
}

/// Every line by itself.
fn separate(lines: Lines) -> Headers {
    let lines = lines.into_iter();
    let lines = lines.map(|(name, value)| (name, Bytes::from(value)));
    Headers::new(Vec::new(), Some(lines.collect()))
}

/// One value a name, as a proxy joins them: a comma between, `!` for bytes that are not UTF-8.
fn joined(lines: Lines) -> Headers {
    let mut merged: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in lines {
        let value = String::from_utf8(value).unwrap_or_else(|error| {
            let shown = |byte: u8| {
                if byte.is_ascii() {
                    char::from(byte)
                } else {
                    '!'
                }
            };
            error.into_bytes().into_iter().map(shown).collect()
        });
        let line = merged.entry(name.to_ascii_lowercase());
        let join = |before: &mut String| *before = format!("{before},{value}");
        line.and_modify(join).or_insert(value);
    }
    Headers::new(merged.into_iter().collect(), None)
}

// === Printing ===

impl fmt::Debug for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attributes {
            source,
            destination,
            request,
            metadata,
            sni,
            ..
        } = &self.attributes;
        let address = |peer: &Option<Peer>| {
            peer.as_ref().map(|peer| match &peer.address {
                Some(Address::Socket(socket)) => {
                    format!("{:?} port {:?}", socket.address, socket.port)
                }
                other => format!("{other:?}"),
            })
        };
        let Workload { namespace, labels } = &self.workload;
        writeln!(formatter, "  workload     {namespace:?} {labels:?}")?;
        writeln!(
            formatter,
            "  source       {:?} {}",
            source.as_ref().map(|peer| &peer.principal),
            address(source).unwrap_or_default()
        )?;
        writeln!(
            formatter,
            "  destination  {}",
            address(destination).unwrap_or_default()
        )?;
        writeln!(
            formatter,
            "  server name  {sni:?} {:?}",
            destination.as_ref().map(|peer| &peer.service)
        )?;
        if let Some(metadata) = metadata {
            writeln!(formatter, "  metadata     {:?}", metadata.filter)?;
        }
        let Some(http) = request.as_ref().and_then(|request| request.http.as_ref()) else {
            return writeln!(formatter, "  TCP");
        };
        writeln!(
            formatter,
            "  HTTP         {:?} {:?} host {:?}",
            http.method, http.path, http.host
        )?;
        let form = if http.headers.raw().is_some() {
            "line"
        } else {
            "joined"
        };
        for (name, value) in http
            .headers
            .iter()
            .filter(|(name, _)| *name != "authorization")
        {
            writeln!(
                formatter,
                "  {form:<12} {name}: \"{}\"",
                value.escape_ascii()
            )?;
        }
        match self.token {
            Some(index) => writeln!(formatter, "  token        {}", TOKENS[index].claims),
            None => Ok(()),
        }
    }
}
