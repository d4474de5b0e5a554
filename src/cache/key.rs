//! Cache keys: a digest of a canonical encoding of the attributes that may have been read. Every
//! part is typed and carries its length, so that two requests that differ in any of them have
//! different encodings. Only the SHA-256 digest is kept: it stands for the whole encoding, and no
//! token or header stays in memory.

use aws_lc_rs::digest;

use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, JsonObject, Metadata, Pairs, Peer, Port, Timestamp,
    TypedValue,
};
use crate::policy::reads::{Field, Reads};

/// Headers that say how a body is to be read.
const BODY_HEADERS: [&str; 3] = [
    "content-type",
    "content-length",
    "x-envoy-auth-partial-body",
];

/// Digest of what a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; digest::SHA256_OUTPUT_LEN]);

/// The key of a request to a workload whose policies read `reads`; `None` if they read something
/// that is no part of a request.
pub fn key(workload: &str, reads: &[&Reads], attributes: &Attributes) -> Option<CacheKey> {
    if reads.iter().any(|reads| reads.volatile.is_some()) {
        return None;
    }
    let mut encoder = Encoder(Vec::with_capacity(512));
    encoder.text(workload);
    // Rego sees it, and it decides what else there is to see.
    encoder.0.push(attributes.version as u8);
    // Whether or not a policy looks at the peer, the decision names it.
    encoder.text(attributes.source_principal());
    if reads.iter().any(|reads| reads.whole_input) {
        encoder.everything(attributes);
    }
    for (at, part) in reads.iter().enumerate() {
        // What several of them read is encoded once.
        let earlier = reads.get(..at).unwrap_or_default();
        for field in &part.fields {
            if !earlier.iter().any(|part| part.fields.contains(field)) {
                encoder.field(*field, attributes);
            }
        }
        for name in &part.headers {
            if !earlier.iter().any(|part| part.headers.contains(name)) {
                encoder.header(name, attributes);
            }
        }
    }
    let digest = digest::digest(&digest::SHA256, &encoder.0);
    Some(CacheKey(digest.as_ref().try_into().ok()?))
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Absent and empty are different.
    fn optional<T: ?Sized>(&mut self, part: Option<&T>, encode: impl FnOnce(&mut Self, &T)) {
        self.0.push(u8::from(part.is_some()));
        if let Some(part) = part {
            encode(self, part);
        }
    }

    fn pairs(&mut self, pairs: &Pairs) {
        self.number(pairs.len() as u64);
        for (name, value) in pairs {
            self.text(name);
            self.text(value);
        }
    }

    fn field(&mut self, field: Field, attributes: &Attributes) {
        self.0.push(field as u8);
        let http = attributes.http();
        match field {
            Field::Protocol => self.0.push(u8::from(http.is_some())),
            // Two certificates can begin with the same name.
            Field::Principal => {
                self.text(attributes.source_principal());
                self.text(attributes.source_certificate());
            }
            Field::SourceAddress => self.optional(attributes.source.as_ref(), Self::peer_address),
            // Which entry counts is a setting of the snapshot; all of them are in the key.
            Field::RemoteIp => {
                self.optional(attributes.source.as_ref(), Self::peer_address);
                self.header("x-forwarded-for", attributes);
            }
            Field::DestinationAddress => {
                self.optional(attributes.destination.as_ref(), Self::peer_address);
            }
            Field::ServerName => self.optional(attributes.server_name(), Self::text),
            Field::Host => self.optional(http, |encoder, http| encoder.text(&http.host)),
            Field::Method => self.optional(http, |encoder, http| encoder.text(&http.method)),
            // Of a target that is no path, it matters that it is none.
            Field::Path => self.optional(http, |encoder, http| {
                let is_path = http.path.starts_with('/');
                encoder.text(if is_path {
                    http.bare_path()
                } else {
                    &http.path
                });
            }),
            Field::Target => self.optional(http, |encoder, http| encoder.text(&http.path)),
            Field::Scheme => self.optional(http, |encoder, http| encoder.text(&http.scheme)),
            Field::HttpVersion => self.optional(http, |encoder, http| encoder.text(&http.protocol)),
            Field::Headers => self.optional(http, |encoder, http| encoder.headers(&http.headers)),
            Field::Body => {
                self.optional(http, |encoder, http| {
                    encoder.text(&http.body);
                    encoder.bytes(&http.raw_body);
                    encoder.number(http.size.cast_unsigned());
                });
                for name in BODY_HEADERS {
                    self.header(name, attributes);
                }
            }
            Field::ContextExtensions => self.pairs(&attributes.context_extensions),
            Field::TlsSession => self.optional(attributes.sni.as_deref(), Self::text),
            Field::Metadata => self.optional(attributes.metadata.as_ref(), Self::metadata),
            Field::RouteMetadata => {
                self.optional(attributes.route_metadata.as_ref(), Self::metadata);
            }
            Field::Shape => self.shape(attributes),
            Field::SourceService => self.optional(attributes.source.as_ref(), |encoder, peer| {
                encoder.text(&peer.service);
                encoder.pairs(&peer.labels);
            }),
            Field::DestinationService => {
                self.optional(attributes.destination.as_ref(), |encoder, peer| {
                    encoder.text(&peer.service);
                    encoder.pairs(&peer.labels);
                    encoder.text(&peer.principal);
                    encoder.text(&peer.certificate);
                });
            }
            Field::Time => self.optional(attributes.request.as_ref(), |encoder, request| {
                encoder.optional(request.time.as_ref(), Self::time);
            }),
            Field::Id => self.optional(http, |encoder, http| encoder.text(&http.id)),
            Field::QueryAndFragment => self.optional(http, |encoder, http| {
                encoder.text(&http.query);
                encoder.text(&http.fragment);
            }),
        }
    }

    /// Which parts there are that a document can be without.
    fn shape(&mut self, attributes: &Attributes) {
        let request = attributes.request.as_ref();
        let http = attributes.http();
        let parts = [
            attributes.given,
            attributes.source.is_some(),
            attributes.destination.is_some(),
            request.is_some(),
            http.is_some(),
            http.is_some_and(|http| !http.headers.merged().is_empty()),
            http.is_some_and(|http| http.headers.raw().is_some()),
            !attributes.context_extensions.is_empty(),
            attributes.metadata.is_some(),
            attributes.route_metadata.is_some(),
            attributes.sni.is_some(),
        ];
        self.0.extend(parts.map(u8::from));
    }

    fn time(&mut self, time: &Timestamp) {
        self.number(time.seconds.cast_unsigned());
        self.number(u64::from(time.nanos.cast_unsigned()));
    }

    /// Every line of a header in both forms a proxy can send, names as they are: native policies
    /// compare them without regard to case, Rego with.
    fn header(&mut self, name: &str, attributes: &Attributes) {
        self.text(name);
        let Some(http) = attributes.http() else {
            return self.0.push(0);
        };
        self.0.push(1);
        let is_named = |key: &str| key.eq_ignore_ascii_case(name);
        for (key, value) in http
            .headers
            .merged()
            .iter()
            .filter(|(key, _)| is_named(key))
        {
            self.0.push(1);
            self.text(key);
            self.text(value);
        }
        let raw = http.headers.raw();
        let is_text = u8::from(http.headers.raw_is_text());
        self.0.push(if raw.is_some() { 3 + is_text } else { 2 });
        for (key, value) in raw.into_iter().flatten().filter(|(key, _)| is_named(key)) {
            self.0.push(1);
            self.text(key);
            self.bytes(value);
        }
        self.0.push(0);
    }

    fn headers(&mut self, headers: &Headers) {
        self.pairs(headers.merged());
        self.0.push(u8::from(headers.raw_is_text()));
        self.optional(headers.raw(), |encoder, lines| {
            encoder.number(lines.len() as u64);
            for (name, value) in lines {
                encoder.text(name);
                encoder.bytes(value);
            }
        });
    }

    fn everything(&mut self, attributes: &Attributes) {
        let Attributes {
            version,
            given,
            source,
            destination,
            request,
            context_extensions,
            metadata,
            route_metadata,
            sni,
        } = attributes;
        self.0.extend([*version as u8, u8::from(*given)]);
        self.optional(source.as_ref(), Self::peer);
        self.optional(destination.as_ref(), Self::peer);
        self.optional(request.as_ref(), |encoder, request| {
            encoder.optional(request.time.as_ref(), Self::time);
            encoder.optional(request.http.as_ref(), Self::http);
        });
        self.pairs(context_extensions);
        self.optional(metadata.as_ref(), Self::metadata);
        self.optional(route_metadata.as_ref(), Self::metadata);
        self.optional(sni.as_deref(), Self::text);
    }

    fn http(&mut self, http: &HttpRequest) {
        let HttpRequest {
            id,
            method,
            headers,
            path,
            host,
            scheme,
            query,
            fragment,
            size,
            protocol,
            body,
            raw_body,
        } = http;
        for text in [
            id, method, path, host, scheme, query, fragment, protocol, body,
        ] {
            self.text(text);
        }
        self.bytes(raw_body);
        self.number(size.cast_unsigned());
        self.headers(headers);
    }

    fn peer(&mut self, peer: &Peer) {
        self.peer_address(peer);
        self.text(&peer.service);
        self.pairs(&peer.labels);
        self.text(&peer.principal);
        self.text(&peer.certificate);
    }

    fn peer_address(&mut self, peer: &Peer) {
        self.optional(peer.address.as_ref(), Self::address);
    }

    fn address(&mut self, address: &Address) {
        match address {
            Address::Empty => self.0.push(0),
            Address::Socket(socket) => {
                self.0.push(1);
                self.number(u64::from(socket.protocol.cast_unsigned()));
                self.text(&socket.address);
                self.optional(socket.port.as_ref(), |encoder, port| match port {
                    Port::Value(number) => {
                        encoder.0.push(0);
                        encoder.number(u64::from(*number));
                    }
                    Port::Named(name) => {
                        encoder.0.push(1);
                        encoder.text(name);
                    }
                });
                self.text(&socket.resolver_name);
                self.0.push(u8::from(socket.ipv4_compat));
                self.text(&socket.network_namespace_filepath);
            }
            Address::Pipe { path, mode } => {
                self.0.push(2);
                self.text(path);
                self.number(u64::from(*mode));
            }
            Address::EnvoyInternal {
                server_listener_name,
                endpoint_id,
            } => {
                self.0.push(3);
                self.optional(server_listener_name.as_deref(), Self::text);
                self.text(endpoint_id);
            }
        }
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.number(metadata.filter.len() as u64);
        for (name, fields) in &metadata.filter {
            self.text(name);
            self.object(fields);
        }
        self.number(metadata.typed.len() as u64);
        for (name, TypedValue { type_url, value }) in &metadata.typed {
            self.text(name);
            self.text(type_url);
            self.bytes(value);
        }
    }

    fn object(&mut self, fields: &JsonObject) {
        self.number(fields.len() as u64);
        for (name, value) in fields {
            self.text(name);
            // JSON text is a canonical form here: members are sorted, equal numbers are written
            // alike, and text is quoted, so `1` and `"1"` differ.
            self.text(&value.to_string());
        }
    }
}
