//! What a decision depends on, written down: a canonical encoding of the attributes that may have been
//! read. Every part is typed and carries its length, so that two requests that differ in any of them
//! have different encodings. Headers, query strings, bodies and context extensions are where tokens and
//! other secrets travel: of these an encoding holds the SHA-256 digest alone, so that no secret stays in
//! memory. How encodings are found again is left to `cache`.

use std::cell::Cell;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, JsonObject, Metadata, Pairs, Peer, Port, Timestamp,
    TypedValue,
};
use crate::policy::reads::{Field, Plan};

/// Headers that say how a body is to be read.
const BODY_HEADERS: [&str; 3] = [
    "content-type",
    "content-length",
    "x-envoy-auth-partial-body",
];

/// Largest buffer that a thread keeps for its next request, in bytes.
const MAX_KEPT: usize = 64 * 1024;

/// An encoding, in memory that the thread uses again.
pub(super) struct Encoding {
    open: Writer,
    /// What the encoding holds the digest of.
    sealed: Writer,
}

/// The encoding of a request to a workload whose policies read what `plan` says.
pub(super) fn encode(label: &[u8], plan: &Plan, attributes: &Attributes) -> Encoding {
    let mut encoding = Encoding::empty();
    encoding.open.bytes(label);
    // Rego sees it, and it decides what else there is to see.
    encoding.open.0.push(attributes.version as u8);
    // Whether or not a policy looks at the peer, the decision names it.
    encoding.open.text(attributes.source_principal());
    if plan.reads.whole_input {
        encoding.everything(attributes);
    }
    for field in &plan.fields {
        encoding.field(*field, attributes);
    }
    for name in &plan.headers {
        encoding.sealed.header(name, attributes);
    }
    encoding.seal();
    encoding
}

// === Memory ===

thread_local! {
    static IDLE: Cell<[Vec<u8>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

impl Encoding {
    fn empty() -> Self {
        let [open, sealed] = IDLE.take();
        Self {
            open: Writer(open),
            sealed: Writer(sealed),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.open.0
    }

    /// Puts the digest in place of what is secret.
    fn seal(&mut self) {
        let sealed = &mut self.sealed.0;
        if !sealed.is_empty() {
            self.open
                .0
                .extend_from_slice(digest(&SHA256, sealed).as_ref());
            // This memory is used again, and must not tell until then.
            sealed.fill(0);
            sealed.clear();
        }
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        let buffers = [&mut self.open.0, &mut self.sealed.0].map(std::mem::take);
        if buffers.iter().all(|buffer| buffer.capacity() <= MAX_KEPT) {
            let buffers = buffers.map(|mut buffer| {
                buffer.clear();
                buffer
            });
            // A thread that ends needs none.
            let _ = IDLE.try_with(|idle| idle.set(buffers));
        }
    }
}

/// What was read is nobody's business.
impl fmt::Debug for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Encoding({} bytes)", self.open.0.len())
    }
}

// === What is written ===

impl Encoding {
    fn field(&mut self, field: Field, attributes: &Attributes) {
        let (open, sealed) = (&mut self.open, &mut self.sealed);
        open.0.push(field as u8);
        let http = attributes.http();
        match field {
            Field::Protocol => open.0.push(u8::from(http.is_some())),
            // The name is there anyway; two certificates can begin with the same.
            Field::Principal => sealed.text(attributes.source_certificate()),
            Field::SourceAddress => open.optional(attributes.source.as_ref(), Writer::peer_address),
            // Which entry counts is a setting of the snapshot; all of them are in the key.
            Field::RemoteIp => {
                open.optional(attributes.source.as_ref(), Writer::peer_address);
                sealed.header("x-forwarded-for", attributes);
            }
            Field::DestinationAddress => {
                open.optional(attributes.destination.as_ref(), Writer::peer_address);
            }
            Field::ServerName => open.optional(attributes.server_name(), Writer::text),
            Field::Host => open.optional(http, |open, http| open.text(&http.host)),
            Field::Method => open.optional(http, |open, http| open.text(&http.method)),
            // Of a target that is no path, it matters that it is none.
            Field::Path => match http {
                Some(http) if http.path.starts_with('/') => {
                    open.optional(Some(http.bare_path()), Writer::text);
                }
                _ => self.target(http),
            },
            Field::Target => self.target(http),
            Field::Scheme => open.optional(http, |open, http| open.text(&http.scheme)),
            Field::HttpVersion => open.optional(http, |open, http| open.text(&http.protocol)),
            Field::Headers => sealed.optional(http, |sealed, http| sealed.headers(&http.headers)),
            Field::Body => {
                sealed.optional(http, Writer::body);
                for name in BODY_HEADERS {
                    sealed.header(name, attributes);
                }
            }
            Field::ContextExtensions => sealed.pairs(&attributes.context_extensions),
            Field::TlsSession => open.optional(attributes.sni.as_deref(), Writer::text),
            Field::Metadata => open.optional(attributes.metadata.as_ref(), Writer::metadata),
            Field::RouteMetadata => {
                open.optional(attributes.route_metadata.as_ref(), Writer::metadata);
            }
            Field::Shape => open.shape(attributes),
            Field::SourceService => open.optional(attributes.source.as_ref(), |open, peer| {
                open.text(&peer.service);
                open.pairs(&peer.labels);
            }),
            Field::DestinationService => {
                let peer = attributes.destination.as_ref();
                open.optional(peer, Writer::peer_identity);
                sealed.text(peer.map_or("", |peer| &peer.certificate));
            }
            Field::Time => open.optional(attributes.request.as_ref(), |open, request| {
                open.optional(request.time.as_ref(), Writer::time);
            }),
            Field::Id => open.optional(http, |open, http| open.text(&http.id)),
            Field::QueryAndFragment => sealed.optional(http, |sealed, http| {
                sealed.text(&http.query);
                sealed.text(&http.fragment);
            }),
        }
    }

    /// A path as it is, and what follows its first `?`, where tokens can be.
    fn target(&mut self, http: Option<&HttpRequest>) {
        self.open.0.push(u8::from(http.is_some()));
        let Some(http) = http else { return };
        let (path, query) = match http.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (http.path.as_str(), None),
        };
        self.open.text(path);
        self.open.0.push(u8::from(query.is_some()));
        if let Some(query) = query {
            self.sealed.text(query);
        }
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
        let open = &mut self.open;
        open.0.extend([*version as u8, u8::from(*given)]);
        for peer in [source, destination] {
            open.optional(peer.as_ref(), |open, peer| {
                open.peer_address(peer);
                open.peer_identity(peer);
            });
            let certificate = peer.as_ref().map_or("", |peer| &peer.certificate);
            self.sealed.text(certificate);
        }
        open.optional(metadata.as_ref(), Writer::metadata);
        open.optional(route_metadata.as_ref(), Writer::metadata);
        open.optional(sni.as_deref(), Writer::text);
        open.optional(request.as_ref(), |open, request| {
            open.optional(request.time.as_ref(), Writer::time);
        });
        self.sealed.pairs(context_extensions);
        let http = attributes.http();
        self.target(http);
        if let Some(http) = http {
            self.http(http);
        }
    }

    /// All of a request but for its target.
    fn http(&mut self, http: &HttpRequest) {
        let HttpRequest {
            id,
            method,
            headers,
            path: _,
            host,
            scheme,
            query,
            fragment,
            size: _,
            protocol,
            body: _,
            raw_body: _,
        } = http;
        for text in [id, method, host, scheme, protocol] {
            self.open.text(text);
        }
        for text in [query, fragment] {
            self.sealed.text(text);
        }
        self.sealed.body(http);
        self.sealed.headers(headers);
    }
}

/// Writes parts one after the other, each so that its end can be told.
struct Writer(Vec<u8>);

impl Writer {
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
        self.number(headers.merged().len() as u64);
        for (name, value) in headers.merged().iter() {
            self.text(name);
            self.text(value);
        }
        self.0.push(u8::from(headers.raw_is_text()));
        self.optional(headers.raw(), |writer, lines| {
            writer.number(lines.len() as u64);
            for (name, value) in lines {
                writer.text(name);
                writer.bytes(value);
            }
        });
    }

    fn body(&mut self, http: &HttpRequest) {
        self.text(&http.body);
        self.bytes(&http.raw_body);
        self.number(http.size.cast_unsigned());
    }

    /// All of a peer but for its address and certificate.
    fn peer_identity(&mut self, peer: &Peer) {
        self.text(&peer.service);
        self.pairs(&peer.labels);
        self.text(&peer.principal);
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
                self.optional(socket.port.as_ref(), |writer, port| match port {
                    Port::Value(number) => {
                        writer.0.push(0);
                        writer.number(u64::from(*number));
                    }
                    Port::Named(name) => {
                        writer.0.push(1);
                        writer.text(name);
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
            // alike, and text is quoted, so `1` and `"1"` differ. It ends where the value does.
            let _ = serde_json::to_writer(&mut self.0, value);
            self.0.push(0);
        }
    }
}
