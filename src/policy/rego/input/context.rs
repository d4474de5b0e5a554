//! Member `attributes` of the input document as opa-envoy-plugin makes it of version 3 of the
//! protocol: the names of protobuf's JSON form, but enums and sizes as numbers and times in parts.

use std::collections::BTreeMap;

use regorus::Value;

use super::{Object, filter_metadata, key};
use crate::attributes::{Address, Attributes, HttpRequest, Metadata, Peer, Port, SocketAddress};

pub(super) fn members(attributes: &Attributes) -> Object {
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
            if http.headers.raw_is_text() {
                line.text(key!("value"), &String::from_utf8_lossy(value));
            } else {
                line.bytes(key!("rawValue"), value);
            }
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
        object.set(key!("filterMetadata"), filter_metadata(metadata));
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
