//! The input document of opa-envoy-plugin, built straight from attributes: only populated fields,
//! enums and sizes as numbers, time as seconds and nanoseconds, bytes as base64.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regorus::Value;
use thiserror::Error;

use crate::attributes::{
    Address, Attributes, Body, BodyError, BodyKind, HttpRequest, Metadata, MultipartError, Pairs,
    PathError, Peer, Port, SocketAddress, content_type, decode_query, parts, split_path_and_query,
};

/// Why a request has no input document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InputError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    #[error("{0}")]
    Json(String),
}

/// A member name, made once.
macro_rules! key {
    ($name:literal) => {{
        static KEY: LazyLock<Value> = LazyLock::new(|| Value::from($name));
        KEY.clone()
    }};
}

/// An object under construction. Members at their default value are left out, as in proto3.
#[derive(Default)]
struct Object(BTreeMap<Value, Value>);

impl Object {
    fn set(&mut self, name: Value, value: impl Into<Value>) {
        self.0.insert(name, value.into());
    }

    fn text(&mut self, name: Value, text: &str) {
        if !text.is_empty() {
            self.set(name, text);
        }
    }

    fn number(&mut self, name: Value, number: i64) {
        if number != 0 {
            self.set(name, number);
        }
    }

    fn bytes(&mut self, name: Value, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.set(name, STANDARD.encode(bytes));
        }
    }

    fn pairs(&mut self, name: Value, pairs: &Pairs) {
        if !pairs.is_empty() {
            let members = pairs
                .iter()
                .map(|(name, value)| (Value::from(name.as_str()), Value::from(value.as_str())));
            self.set(name, Value::from(members.collect::<BTreeMap<_, _>>()));
        }
    }

    fn optional<T>(&mut self, name: Value, part: Option<&T>, build: fn(&T) -> Value) {
        if let Some(part) = part {
            self.set(name, build(part));
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::from(object.0)
    }
}

/// Builds the document.
pub(super) fn build(attributes: &Attributes, skip_body: bool) -> Result<Value, InputError> {
    let mut input = Object::default();
    let members = attribute_context(attributes);
    if !members.0.is_empty() {
        input.set(key!("attributes"), members);
    }
    input.set(key!("version"), version());
    let empty = HttpRequest::default();
    let http = attributes.http().unwrap_or(&empty);
    let (path, query) = split_path_and_query(&http.path)?;
    input.set(
        key!("parsed_path"),
        path.into_iter().map(Value::from).collect::<Vec<_>>(),
    );
    input.set(key!("parsed_query"), multimap(query));
    // Rule: both members are left out, and what is wrong with the body is not looked at.
    if !skip_body {
        let (body, truncated) = parsed_body(http)?;
        input.set(key!("parsed_body"), body);
        input.set(key!("truncated_body"), truncated);
    }
    input.text(key!("source_principal"), attributes.source_principal());
    Ok(input.into())
}

fn version() -> Value {
    static VERSION: LazyLock<Value> = LazyLock::new(|| {
        let mut version = Object::default();
        version.set(key!("ext_authz"), "v3");
        version.set(key!("encoding"), "protojson");
        version.into()
    });
    VERSION.clone()
}

fn multimap(values: BTreeMap<String, Vec<String>>) -> Value {
    let members = values.into_iter().map(|(name, values)| {
        let values: Vec<_> = values.into_iter().map(Value::from).collect();
        (Value::from(name), Value::from(values))
    });
    Value::from(members.collect::<BTreeMap<_, _>>())
}

fn parsed_body(http: &HttpRequest) -> Result<(Value, bool), InputError> {
    Ok(match Body::of(http)? {
        Body::Absent => (Value::Null, false),
        Body::Truncated => (Value::Null, true),
        Body::Present(BodyKind::Json, bytes) => (json(bytes)?, false),
        Body::Present(BodyKind::Multipart, bytes) => (multipart(http, bytes)?, false),
        Body::Present(BodyKind::Form, bytes) => (
            multimap(decode_query(&String::from_utf8_lossy(bytes))?),
            false,
        ),
    })
}

fn json(bytes: &[u8]) -> Result<Value, InputError> {
    let text = String::from_utf8_lossy(bytes);
    Value::from_json_str(&text).map_err(|error| InputError::Json(error.to_string()))
}

/// Rule: values by name, in order; a part that says it is JSON is parsed, any other is text.
fn multipart(http: &HttpRequest, bytes: &[u8]) -> Result<Value, InputError> {
    let Some(parts) = parts(content_type(http), bytes)? else {
        return Ok(Value::Null);
    };
    let mut values: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for part in parts {
        let value = match part.is_json {
            true => json(&part.value)?,
            false => Value::from(&*String::from_utf8_lossy(&part.value)),
        };
        let name = Value::from(part.name);
        values.entry(name).or_default().push(value);
    }
    let values = values.into_iter();
    let values = values.map(|(name, values)| (name, Value::from(values)));
    Ok(Value::from(values.collect::<BTreeMap<_, _>>()))
}

fn attribute_context(attributes: &Attributes) -> Object {
    let mut context = Object::default();
    context.optional(key!("source"), attributes.source.as_ref(), peer);
    context.optional(key!("destination"), attributes.destination.as_ref(), peer);
    if let Some(request) = &attributes.request {
        let mut object = Object::default();
        if let Some(time) = request.time {
            let mut timestamp = Object::default();
            timestamp.number(key!("seconds"), time.seconds);
            timestamp.number(key!("nanos"), i64::from(time.nanos));
            object.set(key!("time"), timestamp);
        }
        object.optional(key!("http"), request.http.as_ref(), http_request);
        context.set(key!("request"), object);
    }
    context.pairs(key!("contextExtensions"), &attributes.context_extensions);
    context.optional(
        key!("metadataContext"),
        attributes.metadata.as_ref(),
        metadata,
    );
    context.optional(
        key!("routeMetadataContext"),
        attributes.route_metadata.as_ref(),
        metadata,
    );
    if let Some(sni) = &attributes.sni {
        let mut session = Object::default();
        session.text(key!("sni"), sni);
        context.set(key!("tlsSession"), session);
    }
    context
}

fn peer(peer: &Peer) -> Value {
    let mut object = Object::default();
    object.optional(key!("address"), peer.address.as_ref(), address);
    object.text(key!("service"), &peer.service);
    object.pairs(key!("labels"), &peer.labels);
    object.text(key!("principal"), &peer.principal);
    object.text(key!("certificate"), &peer.certificate);
    object.into()
}

fn address(address: &Address) -> Value {
    let mut object = Object::default();
    match address {
        Address::Empty => {}
        Address::Socket(socket) => object.set(key!("socketAddress"), socket_address(socket)),
        Address::Pipe { path, mode } => {
            let mut pipe = Object::default();
            pipe.text(key!("path"), path);
            pipe.number(key!("mode"), i64::from(*mode));
            object.set(key!("pipe"), pipe);
        }
        Address::EnvoyInternal {
            server_listener_name,
            endpoint_id,
        } => {
            let mut internal = Object::default();
            // A member of a oneof is there even when it is empty.
            if let Some(name) = server_listener_name {
                internal.set(key!("serverListenerName"), name.as_str());
            }
            internal.text(key!("endpointId"), endpoint_id);
            object.set(key!("envoyInternalAddress"), internal);
        }
    }
    object.into()
}

fn socket_address(socket: &SocketAddress) -> Value {
    let mut object = Object::default();
    object.number(key!("protocol"), i64::from(socket.protocol));
    object.text(key!("address"), &socket.address);
    match &socket.port {
        Some(Port::Value(port)) => object.set(key!("portValue"), i64::from(*port)),
        Some(Port::Named(name)) => object.set(key!("namedPort"), name.as_str()),
        None => {}
    }
    object.text(key!("resolverName"), &socket.resolver_name);
    if socket.ipv4_compat {
        object.set(key!("ipv4Compat"), true);
    }
    object.text(
        key!("networkNamespaceFilepath"),
        &socket.network_namespace_filepath,
    );
    object.into()
}

fn http_request(http: &HttpRequest) -> Value {
    let mut object = Object::default();
    object.text(key!("id"), &http.id);
    object.text(key!("method"), &http.method);
    object.pairs(key!("headers"), http.headers.merged());
    if let Some(raw) = http.headers.raw() {
        let lines = raw.iter().map(|(name, value)| {
            let mut line = Object::default();
            line.text(key!("key"), name);
            line.bytes(key!("rawValue"), value);
            Value::from(line)
        });
        let lines: Vec<_> = lines.collect();
        let mut map = Object::default();
        if !lines.is_empty() {
            map.set(key!("headers"), lines);
        }
        object.set(key!("headerMap"), map);
    }
    object.text(key!("path"), &http.path);
    object.text(key!("host"), &http.host);
    object.text(key!("scheme"), &http.scheme);
    object.text(key!("query"), &http.query);
    object.text(key!("fragment"), &http.fragment);
    object.number(key!("size"), http.size);
    object.text(key!("protocol"), &http.protocol);
    object.text(key!("body"), &http.body);
    object.bytes(key!("rawBody"), &http.raw_body);
    object.into()
}

fn metadata(metadata: &Metadata) -> Value {
    let mut object = Object::default();
    if !metadata.filter.is_empty() {
        let filters = metadata.filter.iter().map(|(name, fields)| {
            let fields = serde_json::Value::Object(fields.clone());
            (Value::from(name.as_str()), Value::from(fields))
        });
        object.set(key!("filterMetadata"), filters.collect::<BTreeMap<_, _>>());
    }
    if !metadata.typed.is_empty() {
        let typed = metadata.typed.iter().map(|(name, value)| {
            let mut any = Object::default();
            any.text(key!("typeUrl"), &value.type_url);
            any.bytes(key!("value"), &value.value);
            (Value::from(name.as_str()), Value::from(any))
        });
        object.set(
            key!("typedFilterMetadata"),
            typed.collect::<BTreeMap<_, _>>(),
        );
    }
    object.into()
}
