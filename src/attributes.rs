//! What a proxy asked, in one form for every door: peers, the HTTP request if there is one, and
//! what the proxy added. Wire formats are left to the doors, meaning to identity and policy.

mod body;
mod headers;
mod multipart;
mod nesting;
mod normalization;
mod path;
mod text_map;
mod weight;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use bytes::Bytes;

pub use body::{Body, BodyError, BodyKind, HeaderLookup};
pub use headers::Headers;
pub use multipart::{MultipartError, Part, parts};
pub use nesting::is_deeper;
pub use normalization::{NormalTarget, PathNormalization, RefusedPath};
pub use path::{PathError, decode_query, split_path_and_query};
pub use text_map::{TextMap, TextMapBuilder};
pub use weight::{object_weight, value_weight};

/// Name and value pairs, sorted by name, each name once.
pub type Pairs = Vec<(String, String)>;

/// JSON object as it arrives in filter metadata; whole numbers are integers.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// One question of a proxy. An absent message stays absent (`None`), since a policy can see that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    pub version: ProtocolVersion,
    /// Whether there was a message for what follows, if with nothing in it.
    pub given: bool,
    pub source: Option<Peer>,
    pub destination: Option<Peer>,
    pub request: Option<Request>,
    pub context_extensions: Pairs,
    pub metadata: Option<Metadata>,
    pub route_metadata: Option<Metadata>,
    /// Server name of the TLS handshake as the client wrote it; `Some("")` for a session without.
    pub sni: Option<String>,
}

/// Version of the protocol in which a question came. A Rego policy can see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProtocolVersion {
    #[default]
    V3,
    V2,
}

/// One end of the connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Peer {
    pub address: Option<Address>,
    pub service: String,
    pub labels: Pairs,
    /// Identity out of the certificate: first URI SAN, else first DNS SAN, else subject.
    pub principal: String,
    /// URL-encoded PEM, only if the proxy was told to send it.
    pub certificate: String,
}

/// Where a peer is. An address without content stays `Empty`, as a policy can tell the difference.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Address {
    #[default]
    Empty,
    Socket(SocketAddress),
    Pipe {
        path: String,
        mode: u32,
    },
    EnvoyInternal {
        server_listener_name: Option<String>,
        endpoint_id: String,
    },
}

/// An IP socket as the proxy describes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SocketAddress {
    /// 0 is TCP, 1 is UDP.
    pub protocol: i32,
    pub address: String,
    pub port: Option<Port>,
    pub resolver_name: String,
    pub ipv4_compat: bool,
    pub network_namespace_filepath: String,
}

/// Port of a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Port {
    Value(u32),
    Named(String),
}

/// The request part: `http` is absent for a TCP connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    pub time: Option<Timestamp>,
    pub http: Option<HttpRequest>,
}

/// Seconds and nanoseconds since 1970 as the proxy sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanos: i32,
}

/// An HTTP request before it is forwarded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpRequest {
    pub id: String,
    pub method: String,
    pub headers: Headers,
    /// With query string, not decoded; empty for CONNECT.
    pub path: String,
    /// `Host` or `:authority`, port included.
    pub host: String,
    pub scheme: String,
    pub query: String,
    pub fragment: String,
    /// Bytes, -1 when unknown.
    pub size: i64,
    pub protocol: String,
    pub body: String,
    /// Used instead of `body` when the proxy packs it as bytes.
    pub raw_body: Bytes,
}

/// Metadata other filters left, by filter name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    pub filter: Vec<(String, JsonObject)>,
    /// Typed entries are passed through undecoded.
    pub typed: Vec<(String, TypedValue)>,
}

/// An opaque protobuf message with its type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TypedValue {
    pub type_url: String,
    pub value: Bytes,
}

// === impl Attributes ===

impl Attributes {
    /// The HTTP request, `None` on TCP.
    pub fn http(&self) -> Option<&HttpRequest> {
        self.request.as_ref()?.http.as_ref()
    }

    /// Identity string of the client's certificate, `""` without one.
    pub fn source_principal(&self) -> &str {
        self.source.as_ref().map_or("", |peer| &peer.principal)
    }

    /// The client's certificate as the proxy encodes it, `""` without one.
    pub fn source_certificate(&self) -> &str {
        self.source.as_ref().map_or("", |peer| &peer.certificate)
    }

    /// Address of the connection's other end.
    pub fn source_ip(&self) -> Option<IpAddr> {
        self.source.as_ref()?.ip()
    }

    /// Local address of the connection.
    pub fn destination_ip(&self) -> Option<IpAddr> {
        self.destination.as_ref()?.ip()
    }

    /// Local port of the connection: the workload's or gateway's own, not the service's.
    pub fn destination_port(&self) -> Option<u32> {
        match &self.destination.as_ref()?.address {
            Some(Address::Socket(SocketAddress {
                port: Some(Port::Value(port)),
                ..
            })) => Some(*port),
            _ => None,
        }
    }

    /// Server name of the TLS handshake; on TCP the proxy puts it into `destination.service`.
    pub fn server_name(&self) -> Option<&str> {
        match &self.sni {
            Some(sni) => Some(sni),
            None if self.http().is_none() => {
                Some(self.destination.as_ref()?.service.as_str()).filter(|name| !name.is_empty())
            }
            None => None,
        }
    }

    /// Address the request came from before `trusted_proxies` proxies of one's own: the entry of
    /// `x-forwarded-for` that many places left of the last, else the peer's address.
    pub fn remote_ip(&self, trusted_proxies: usize) -> Option<IpAddr> {
        self.forwarded_ip(trusted_proxies)
            .or_else(|| self.source_ip())
    }

    fn forwarded_ip(&self, trusted_proxies: usize) -> Option<IpAddr> {
        // Empty and unreadable entries keep their place, or a client could shift the count.
        let forwarded = self.http()?.headers.joined("x-forwarded-for")?;
        let entry = forwarded.rsplit(',').nth(trusted_proxies)?;
        entry.trim().parse().ok()
    }

    /// Value of a context extension that the proxy's route configuration gave.
    pub fn context_extension(&self, name: &str) -> Option<&str> {
        lookup(&self.context_extensions, name)
    }

    /// Roughly how much memory this holds, in bytes.
    pub fn weight(&self) -> usize {
        let pairs = |pairs: &Pairs| -> usize {
            pairs
                .iter()
                .map(|(name, value)| name.len() + value.len() + size_of::<(String, String)>())
                .sum()
        };
        let http = self.http().map_or(0, |http| {
            let texts = [
                &http.id,
                &http.method,
                &http.path,
                &http.host,
                &http.query,
                &http.fragment,
                &http.body,
            ];
            texts.iter().map(|text| text.len()).sum::<usize>()
                + http.headers.weight()
                + http.raw_body.len()
        });
        let peers = [&self.source, &self.destination].into_iter().flatten();
        let peers = peers.map(|peer| {
            peer.service.len() + peer.principal.len() + peer.certificate.len() + pairs(&peer.labels)
        });
        let metadata = [&self.metadata, &self.route_metadata].into_iter().flatten();
        let metadata = metadata.map(Metadata::weight).sum::<usize>();
        let texts = http + peers.sum::<usize>() + pairs(&self.context_extensions);
        size_of::<Self>() + texts + metadata
    }
}

// === impl Metadata ===

impl Metadata {
    fn weight(&self) -> usize {
        let filter = self.filter.iter();
        let filter = filter.map(|(name, fields)| name.len() + object_weight(fields));
        let typed = self.typed.iter();
        let typed =
            typed.map(|(name, value)| name.len() + value.type_url.len() + value.value.len());
        filter.sum::<usize>() + typed.sum::<usize>()
    }
}

// === impl HttpRequest ===

impl HttpRequest {
    /// The path without query string and fragment: it ends at the first `?` or `#`.
    pub fn bare_path(&self) -> &str {
        self.path.split(['?', '#']).next().unwrap_or_default()
    }
}

// === impl Peer ===

impl Peer {
    /// IP address of the peer, `None` for pipes and names.
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.address {
            Some(Address::Socket(socket)) => socket.address.parse().ok(),
            _ => None,
        }
    }
}

/// Finds `name` in sorted pairs.
pub fn lookup<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let at = pairs
        .binary_search_by(|(key, _)| key.as_str().cmp(name))
        .ok()?;
    pairs.get(at).map(|(_, value)| value.as_str())
}
