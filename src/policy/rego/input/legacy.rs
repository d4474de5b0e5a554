//! Member `attributes` of the input document as opa-envoy-plugin makes it of version 2 of the
//! protocol: its Go structs as JSON, whose choices (`oneof`) go by the names of their Go types.

use std::collections::BTreeMap;

use regorus::Value;

use super::{Object, filter_metadata, key};
use crate::attributes::{
    Address, Attributes, HttpRequest, Metadata, Peer, Port, Request, SocketAddress, Timestamp,
};
use crate::policy::rego::paths::Paths;

pub(super) fn members<'a>(attributes: &Attributes, wanted: &'a Paths) -> Object<'a> {
    let mut context = Object::of(wanted);
    context.optional(key!("source"), attributes.source.as_ref(), peer);
    context.optional(key!("destination"), attributes.destination.as_ref(), peer);
    context.optional(key!("request"), attributes.request.as_ref(), request);
    context.pairs(key!("context_extensions"), &attributes.context_extensions);
    context.optional(
        key!("metadata_context"),
        attributes.metadata.as_ref(),
        metadata,
    );
    context
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

/// Rule: a choice is there even if none is made, as `null`.
fn address(address: &Address, _: &Paths) -> Value {
    let (name, chosen) = match address {
        Address::Empty | Address::EnvoyInternal { .. } => return single("Address", Value::Null),
        Address::Socket(socket) => ("SocketAddress", socket_address(socket)),
        Address::Pipe { path, mode } => {
            let mut pipe = Object::of(Paths::everything());
            pipe.text(key!("path"), path);
            pipe.number(key!("mode"), i64::from(*mode));
            ("Pipe", pipe.into())
        }
    };
    single("Address", single(name, chosen))
}

fn single(name: &str, value: Value) -> Value {
    Value::from(BTreeMap::from([(Value::from(name), value)]))
}

fn socket_address(socket: &SocketAddress) -> Value {
    let mut object = Object::of(Paths::everything());
    object.number(key!("protocol"), i64::from(socket.protocol));
    object.text(key!("address"), &socket.address);
    let port = match &socket.port {
        Some(Port::Value(port)) => single("PortValue", Value::from(i64::from(*port))),
        Some(Port::Named(name)) => single("NamedPort", Value::from(name.as_str())),
        None => Value::Null,
    };
    object.set(key!("PortSpecifier"), port);
    object.text(key!("resolver_name"), &socket.resolver_name);
    if socket.ipv4_compat {
        object.set(key!("ipv4_compat"), true);
    }
    object.into()
}

fn request(request: &Request, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    object.optional(key!("time"), request.time.as_ref(), time);
    object.optional(key!("http"), request.http.as_ref(), http_request);
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
    object.text(key!("path"), &http.path);
    object.text(key!("host"), &http.host);
    object.text(key!("scheme"), &http.scheme);
    object.text(key!("query"), &http.query);
    object.text(key!("fragment"), &http.fragment);
    object.number(key!("size"), http.size);
    object.text(key!("protocol"), &http.protocol);
    object.text(key!("body"), &http.body);
    object.into()
}

fn metadata(metadata: &Metadata, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    if !metadata.filter.is_empty() {
        object.build(key!("filter_metadata"), |wanted| {
            filter_metadata(metadata, wanted)
        });
    }
    object.into()
}
