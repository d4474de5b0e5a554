//! From a `CheckRequest` to attributes, in one pass over its bytes and with few copies: this is done
//! for every check. Fields that are not known are skipped, as protobuf wants it.

use bytes::Bytes;
use doorward_proto::envoy::config::core::v3 as core;
use prost::Message;
use prost_types::value::Kind;

use super::wire::{Fields, Undecodable, Value};
use crate::attributes::{
    Address, Attributes, HttpRequest, JsonObject, Metadata, Pairs, Peer, Port, Request,
    SocketAddress, TextMapBuilder, Timestamp, TypedValue,
};

/// Most bytes kept ready for the headers of a request before they are read.
const USUAL_HEADERS: usize = 2_048;
/// Length of a usual header in bytes, name and value.
const USUAL_LINE: usize = 64;
/// Whole numbers up to here are exact in a double.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Decodes a request. An absent or empty message is legal and becomes empty attributes.
pub(super) fn decode(message: &Bytes) -> Result<Box<Attributes>, Undecodable> {
    let mut attributes = Box::<Attributes>::default();
    let mut parts = Parts::default();
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            attributes.given = true;
            attribute_context(value.bytes()?, message, &mut attributes, &mut parts)?;
        }
    }
    parts.put_into(&mut attributes);
    Ok(attributes)
}

/// What is put together when all has been read: what `prost` reads, since it is rare, or small and
/// nested, and headers.
#[derive(Default)]
struct Parts {
    source: Option<core::Address>,
    destination: Option<core::Address>,
    headers: TextMapBuilder,
    header_map: Option<core::HeaderMap>,
    metadata: Option<core::Metadata>,
    route_metadata: Option<core::Metadata>,
}

impl Parts {
    fn put_into(self, attributes: &mut Attributes) {
        let at = |from: core::Address| from.address.map_or(Address::Empty, address);
        if let Some(peer) = &mut attributes.source {
            peer.address = self.source.map(at);
            settle(&mut peer.labels);
        }
        if let Some(peer) = &mut attributes.destination {
            peer.address = self.destination.map(at);
            settle(&mut peer.labels);
        }
        settle(&mut attributes.context_extensions);
        let http = attributes.request.as_mut().and_then(|it| it.http.as_mut());
        if let Some(http) = http {
            http.headers.set_merged(self.headers.build());
            if let Some(map) = self.header_map {
                let (lines, is_text) = header_lines(map);
                http.headers.set_lines(lines, is_text);
            }
        }
        attributes.metadata = self.metadata.map(metadata);
        attributes.route_metadata = self.route_metadata.map(metadata);
    }
}

/// Rule: a message that comes again is added to what came before, field by field.
fn again<M: Message + Default>(
    part: &mut Option<M>,
    value: Value<'_>,
    message: &Bytes,
) -> Result<(), Undecodable> {
    let bytes = message.slice_ref(value.bytes()?);
    Ok(part.get_or_insert_default().merge(bytes)?)
}

fn attribute_context(
    bytes: &[u8],
    message: &Bytes,
    into: &mut Attributes,
    parts: &mut Parts,
) -> Result<(), Undecodable> {
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => {
                let source = into.source.get_or_insert_default();
                peer(value.bytes()?, message, source, &mut parts.source)?;
            }
            2 => {
                let destination = into.destination.get_or_insert_default();
                peer(value.bytes()?, message, destination, &mut parts.destination)?;
            }
            4 => {
                let request = into.request.get_or_insert_default();
                self::request(value.bytes()?, message, request, parts)?;
            }
            10 => pair(value, &mut into.context_extensions)?,
            11 => again(&mut parts.metadata, value, message)?,
            12 => tls_session(value.bytes()?, into.sni.get_or_insert_default())?,
            13 => again(&mut parts.route_metadata, value, message)?,
            _ => {}
        }
    }
    Ok(())
}

fn peer(
    bytes: &[u8],
    message: &Bytes,
    into: &mut Peer,
    address: &mut Option<core::Address>,
) -> Result<(), Undecodable> {
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => again(address, value, message)?,
            2 => into.service = value.text()?.to_owned(),
            3 => pair(value, &mut into.labels)?,
            4 => into.principal = value.text()?.to_owned(),
            5 => into.certificate = value.text()?.to_owned(),
            _ => {}
        }
    }
    Ok(())
}

fn request(
    bytes: &[u8],
    message: &Bytes,
    into: &mut Request,
    parts: &mut Parts,
) -> Result<(), Undecodable> {
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => time(value.bytes()?, into.time.get_or_insert_default())?,
            2 => {
                let http = into.http.get_or_insert_default();
                http_request(value.bytes()?, message, http, parts)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn time(bytes: &[u8], into: &mut Timestamp) -> Result<(), Undecodable> {
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => into.seconds = value.number()?.cast_signed(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "protobuf's rule for 32 bits of a longer number"
            )]
            2 => into.nanos = value.number()? as i32,
            _ => {}
        }
    }
    Ok(())
}

fn http_request(
    bytes: &[u8],
    message: &Bytes,
    into: &mut HttpRequest,
    parts: &mut Parts,
) -> Result<(), Undecodable> {
    let room = bytes.len().min(USUAL_HEADERS);
    parts.headers.reserve(room / USUAL_LINE, room);
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => into.id = value.text()?.to_owned(),
            2 => into.method = value.text()?.to_owned(),
            3 => {
                let (name, value) = entry(value)?;
                parts.headers.set(name, value);
            }
            4 => into.path = value.text()?.to_owned(),
            5 => into.host = value.text()?.to_owned(),
            6 => into.scheme = value.text()?.to_owned(),
            7 => into.query = value.text()?.to_owned(),
            8 => into.fragment = value.text()?.to_owned(),
            9 => into.size = value.number()?.cast_signed(),
            10 => into.protocol = value.text()?.to_owned(),
            11 => into.body = value.text()?.to_owned(),
            12 => into.raw_body = message.slice_ref(value.bytes()?),
            13 => again(&mut parts.header_map, value, message)?,
            _ => {}
        }
    }
    Ok(())
}

fn tls_session(bytes: &[u8], sni: &mut String) -> Result<(), Undecodable> {
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            value.text()?.clone_into(sni);
        }
    }
    Ok(())
}

/// An entry of a map. Rule: what is left out is empty.
fn entry<'a>(value: Value<'a>) -> Result<(&'a str, &'a str), Undecodable> {
    let mut found = ("", "");
    let mut fields = Fields::of(value.bytes()?);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => found.0 = value.text()?,
            2 => found.1 = value.text()?,
            _ => {}
        }
    }
    Ok(found)
}

fn pair(value: Value<'_>, into: &mut Pairs) -> Result<(), Undecodable> {
    let (name, value) = entry(value)?;
    into.push((name.to_owned(), value.to_owned()));
    Ok(())
}

/// Rule: of entries with the same name the last counts.
fn settle(pairs: &mut Pairs) {
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            std::mem::swap(later, earlier);
        }
        is_same
    });
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

/// The lines of a header map, and whether they came as text.
fn header_lines(map: core::HeaderMap) -> (Vec<(String, Bytes)>, bool) {
    let is_text = |line: &core::HeaderValue| line.raw_value.is_empty() && !line.value.is_empty();
    let came_as_text = map.headers.iter().any(is_text);
    let lines = map.headers.into_iter().map(
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
    (lines.collect(), came_as_text)
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
