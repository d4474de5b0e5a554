//! From a `CheckRequest` to attributes. Strings are moved, never copied; messages are taken apart
//! in full, so that a field added to the protocol cannot be overlooked.

use doorward_proto::envoy::config::core::v3 as core;
use doorward_proto::envoy::service::auth::v3 as auth;
use prost::DecodeError;
use prost::Message as _;
use prost_types::value::Kind;

use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, JsonObject, Metadata, Peer, Port, ProtocolVersion,
    Request, SocketAddress, Timestamp, TypedValue,
};

/// Whole numbers up to here are exact in a double.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Decodes a request. An absent or empty message is legal and becomes empty attributes.
pub(super) fn decode(bytes: bytes::Bytes) -> Result<Attributes, DecodeError> {
    let auth::CheckRequest { attributes } = auth::CheckRequest::decode(bytes)?;
    Ok(attributes.map(attribute_context).unwrap_or_default())
}

fn attribute_context(context: auth::AttributeContext) -> Attributes {
    let auth::AttributeContext {
        source,
        destination,
        request,
        context_extensions,
        metadata_context,
        route_metadata_context,
        tls_session,
    } = context;
    Attributes {
        version: ProtocolVersion::V3,
        given: true,
        source: source.map(peer),
        destination: destination.map(peer),
        request: request.map(|auth::attribute_context::Request { time, http }| Request {
            time: time.as_ref().map(timestamp),
            http: http.map(http_request),
        }),
        context_extensions: context_extensions.into_iter().collect(),
        metadata: metadata_context.map(metadata),
        route_metadata: route_metadata_context.map(metadata),
        sni: tls_session.map(|auth::attribute_context::TlsSession { sni }| sni),
    }
}

pub(super) fn timestamp(time: &prost_types::Timestamp) -> Timestamp {
    Timestamp {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

fn peer(peer: auth::attribute_context::Peer) -> Peer {
    let auth::attribute_context::Peer {
        address,
        service,
        labels,
        principal,
        certificate,
    } = peer;
    Peer {
        address: address
            .map(|core::Address { address }| address.map_or(Address::Empty, self::address)),
        service,
        labels: labels.into_iter().collect(),
        principal,
        certificate,
    }
}

pub(super) fn address(address: core::address::Address) -> Address {
    match address {
        core::address::Address::SocketAddress(socket) => {
            let core::SocketAddress {
                protocol,
                address,
                resolver_name,
                ipv4_compat,
                network_namespace_filepath,
                port_specifier,
            } = socket;
            let port = port_specifier.map(|port| match port {
                core::socket_address::PortSpecifier::PortValue(port) => Port::Value(port),
                core::socket_address::PortSpecifier::NamedPort(name) => Port::Named(name),
            });
            Address::Socket(SocketAddress {
                protocol,
                address,
                port,
                resolver_name,
                ipv4_compat,
                network_namespace_filepath,
            })
        }
        core::address::Address::Pipe(core::Pipe { path, mode }) => Address::Pipe { path, mode },
        core::address::Address::EnvoyInternalAddress(internal) => {
            let core::EnvoyInternalAddress {
                endpoint_id,
                address_name_specifier,
            } = internal;
            let server_listener_name = address_name_specifier.map(|name| {
                let core::envoy_internal_address::AddressNameSpecifier::ServerListenerName(name) =
                    name;
                name
            });
            Address::EnvoyInternal {
                server_listener_name,
                endpoint_id,
            }
        }
    }
}

fn http_request(http: auth::attribute_context::HttpRequest) -> HttpRequest {
    let auth::attribute_context::HttpRequest {
        id,
        method,
        headers,
        header_map,
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
    let is_text = |line: &core::HeaderValue| line.raw_value.is_empty() && !line.value.is_empty();
    let lines = header_map.as_ref().map(|map| map.headers.as_slice());
    let raw_is_text = lines.is_some_and(|lines| lines.iter().any(is_text));
    let raw = header_map.map(|core::HeaderMap { headers }| {
        let lines = headers.into_iter().map(
            |core::HeaderValue {
                 key,
                 value,
                 raw_value,
             }| {
                let value = if raw_value.is_empty() {
                    value.into()
                } else {
                    raw_value
                };
                (key, value)
            },
        );
        lines.collect()
    });
    let headers = Headers::new(headers.into_iter().collect(), raw);
    HttpRequest {
        id,
        method,
        headers: match raw_is_text {
            true => headers.with_lines_as_text(),
            false => headers,
        },
        path,
        host,
        scheme,
        query,
        fragment,
        size,
        protocol,
        body,
        raw_body,
    }
}

pub(super) fn metadata(metadata: core::Metadata) -> Metadata {
    let core::Metadata {
        filter_metadata,
        typed_filter_metadata,
    } = metadata;
    let typed = typed_filter_metadata.into_iter().map(|(name, any)| {
        let value = TypedValue {
            type_url: any.type_url,
            value: any.value.into(),
        };
        (name, value)
    });
    Metadata {
        filter: filter_metadata
            .into_iter()
            .map(|(name, fields)| (name, json_object(fields)))
            .collect(),
        typed: typed.collect(),
    }
}

/// How deep a document nests is bounded by the decoder.
fn json_object(fields: prost_types::Struct) -> JsonObject {
    fields
        .fields
        .into_iter()
        .map(|(name, value)| (name, json_value(value)))
        .collect()
}

fn json_value(value: prost_types::Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::NumberValue(number)) => json_number(number),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json_value).collect(),
        Some(Kind::StructValue(fields)) => json_object(fields).into(),
    }
}

/// Rule: whole numbers show without a fraction.
fn json_number(number: f64) -> serde_json::Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only exact whole numbers are cast"
    )]
    if number.fract() == 0.0 && number.abs() < MAX_EXACT {
        (number as i64).into()
    } else {
        number.into()
    }
}
