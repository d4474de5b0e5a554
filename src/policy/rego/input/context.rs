//! Member `attributes` of the input document as opa-envoy-plugin makes it of version 3 of the
//! protocol: the names of protobuf's JSON form, but enums and sizes as numbers and times in parts.

use std::collections::BTreeMap;

use bytes::Bytes;
use regorus::Value;

use super::{Object, filter_metadata, key};
use crate::attributes::{
    Address, Attributes, HttpRequest, Metadata, Peer, Port, Request, SocketAddress, Timestamp,
    TypedValue,
};
use crate::policy::rego::paths::Paths;

pub(super) fn members<'a>(attributes: &Attributes, wanted: &'a Paths) -> Object<'a> {
    let mut context = Object::of(wanted);
    context.optional(key!("source"), attributes.source.as_ref(), peer);
    context.optional(key!("destination"), attributes.destination.as_ref(), peer);
    context.optional(key!("request"), attributes.request.as_ref(), request);
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
    context.optional(
        key!("tlsSession"),
        attributes.sni.as_ref(),
        |sni, wanted| {
            let mut session = Object::of(wanted);
            session.text(key!("sni"), sni);
            session.into()
        },
    );
    context
}

fn request(request: &Request, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    object.optional(key!("time"), request.time.as_ref(), time);
    object.optional(key!("http"), request.http.as_ref(), http_request);
    object.into()
}

fn peer(peer: &Peer, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    object.optional(key!("address"), peer.address.as_ref(), address);
    object.text(key!("service"), &peer.service);
    object.pairs(key!("labels"), &peer.labels);
    object.text(key!("principal"), &peer.principal);
    object.text(key!("certificate"), &peer.certificate);
    object.into()
}

fn address(address: &Address, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    match address {
        Address::Empty => {}
        Address::Socket(socket) => object.set(key!("socketAddress"), socket_address(socket)),
        Address::Pipe { path, mode } => {
            let mut pipe = Object::of(Paths::everything());
            pipe.text(key!("path"), path);
            pipe.number(key!("mode"), i64::from(*mode));
            object.set(key!("pipe"), pipe);
        }
        Address::EnvoyInternal {
            server_listener_name,
            endpoint_id,
        } => {
            let mut internal = Object::of(Paths::everything());
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
    let mut object = Object::of(Paths::everything());
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

fn time(time: &Timestamp, _: &Paths) -> Value {
    let mut timestamp = Object::of(Paths::everything());
    timestamp.number(key!("seconds"), time.seconds);
    timestamp.number(key!("nanos"), i64::from(time.nanos));
    timestamp.into()
}

fn http_request(http: &HttpRequest, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    object.text(key!("id"), &http.id);
    object.text(key!("method"), &http.method);
    object.texts(key!("headers"), http.headers.merged().iter());
    if let Some(raw) = http.headers.raw() {
        let is_text = http.headers.raw_is_text();
        object.build(key!("headerMap"), |_| header_map(raw, is_text));
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

fn header_map(raw: &[(String, Bytes)], is_text: bool) -> Value {
    let lines = raw.iter().map(|(name, value)| {
        let mut line = Object::of(Paths::everything());
        line.text(key!("key"), name);
        if is_text {
            line.text(key!("value"), &String::from_utf8_lossy(value));
        } else {
            line.bytes(key!("rawValue"), value);
        }
        Value::from(line)
    });
    let lines: Vec<_> = lines.collect();
    let mut map = Object::of(Paths::everything());
    if !lines.is_empty() {
        map.set(key!("headers"), lines);
    }
    map.into()
}

fn metadata(metadata: &Metadata, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    if !metadata.filter.is_empty() {
        object.build(key!("filterMetadata"), |wanted| {
            filter_metadata(metadata, wanted)
        });
    }
    if !metadata.typed.is_empty() {
        object.build(key!("typedFilterMetadata"), |_| typed(&metadata.typed));
    }
    object.into()
}

fn typed(metadata: &[(String, TypedValue)]) -> Value {
    let typed = metadata.iter().map(|(name, value)| {
        let mut any = Object::of(Paths::everything());
        any.text(key!("typeUrl"), &value.type_url);
        any.bytes(key!("value"), &value.value);
        (Value::from(name.as_str()), Value::from(any))
    });
    Value::from(typed.collect::<BTreeMap<_, _>>())
}
