//! From bytes to attributes.

use bytes::Bytes;
use doorward_proto::envoy::config::core::v3 as core;
use doorward_proto::envoy::service::auth::v3 as auth;
use prost::Message as _;
use prost_types::value::Kind;
use serde_json::json;

use super::super::request::decode;
use crate::attributes::{Address, Attributes, Port, TextMap, Timestamp};

/// Stands in every string of `full`.
const MARK: &str = "MARK";

fn mark() -> String {
    MARK.to_owned()
}

fn socket(port: core::socket_address::PortSpecifier) -> core::Address {
    let socket = core::SocketAddress {
        protocol: 1,
        address: mark(),
        resolver_name: mark(),
        ipv4_compat: true,
        network_namespace_filepath: mark(),
        port_specifier: Some(port),
    };
    core::Address {
        address: Some(core::address::Address::SocketAddress(socket)),
    }
}

fn metadata() -> core::Metadata {
    let string = prost_types::Value {
        kind: Some(Kind::StringValue(mark())),
    };
    let list = prost_types::Value {
        kind: Some(Kind::ListValue(prost_types::ListValue {
            values: vec![string.clone()],
        })),
    };
    let fields = prost_types::Struct {
        fields: [(mark(), string), ("list".to_owned(), list)].into(),
    };
    let any = prost_types::Any {
        type_url: mark(),
        value: b"\xff".to_vec(),
    };
    core::Metadata {
        filter_metadata: [(mark(), fields)].into(),
        typed_filter_metadata: [(mark(), any)].into(),
    }
}

/// A request with every field there is.
pub(super) fn full() -> auth::CheckRequest {
    let line = |value: &str, raw_value: &'static [u8]| core::HeaderValue {
        key: mark(),
        value: value.to_owned(),
        raw_value: Bytes::from_static(raw_value),
    };
    let http = auth::attribute_context::HttpRequest {
        id: mark(),
        method: mark(),
        headers: [(mark(), mark())].into(),
        header_map: Some(core::HeaderMap {
            headers: vec![line("", b"raw \xff"), line(MARK, b"")],
        }),
        path: mark(),
        host: mark(),
        scheme: mark(),
        query: mark(),
        fragment: mark(),
        size: -1,
        protocol: mark(),
        body: mark(),
        raw_body: Bytes::from_static(b"raw \xff"),
    };
    let peer = |address| auth::attribute_context::Peer {
        address: Some(address),
        service: mark(),
        labels: [(mark(), mark())].into(),
        principal: mark(),
        certificate: mark(),
    };
    use core::socket_address::PortSpecifier::{NamedPort, PortValue};
    auth::CheckRequest {
        attributes: Some(auth::AttributeContext {
            source: Some(peer(socket(PortValue(0)))),
            destination: Some(peer(socket(NamedPort(mark())))),
            request: Some(auth::attribute_context::Request {
                time: Some(prost_types::Timestamp {
                    seconds: -1,
                    nanos: 5,
                }),
                http: Some(http),
            }),
            context_extensions: [(mark(), mark())].into(),
            metadata_context: Some(metadata()),
            route_metadata_context: Some(metadata()),
            tls_session: Some(auth::attribute_context::TlsSession { sni: mark() }),
        }),
    }
}

fn decode_message(message: &auth::CheckRequest) -> Attributes {
    *decode(&message.encode_to_vec().into()).unwrap()
}

#[test]
fn every_field_arrives() {
    let attributes = decode_message(&full());
    let (source, destination) = (
        attributes.source.clone().unwrap(),
        attributes.destination.clone().unwrap(),
    );
    let Some(Address::Socket(socket)) = source.address else {
        panic!("{source:?}")
    };
    assert_eq!(socket.port, Some(Port::Value(0)));
    assert_eq!((socket.protocol, socket.ipv4_compat), (1, true));
    for text in [
        &socket.address,
        &socket.resolver_name,
        &socket.network_namespace_filepath,
    ] {
        assert_eq!(text, MARK);
    }
    let Some(Address::Socket(socket)) = destination.address else {
        panic!("{destination:?}")
    };
    assert_eq!(socket.port, Some(Port::Named(mark())));
    for text in [&source.service, &source.principal, &source.certificate] {
        assert_eq!(text, MARK);
    }
    let pair = vec![(mark(), mark())];
    assert_eq!(source.labels, pair);
    assert_eq!(attributes.context_extensions, pair);
    assert_eq!(attributes.sni.as_deref(), Some(MARK));
    let time = Timestamp {
        seconds: -1,
        nanos: 5,
    };
    assert_eq!(attributes.request.as_ref().unwrap().time, Some(time));
    let http = attributes.http().unwrap();
    let texts = [
        &http.id,
        &http.method,
        &http.path,
        &http.host,
        &http.scheme,
        &http.query,
        &http.fragment,
        &http.protocol,
        &http.body,
    ];
    for text in texts {
        assert_eq!(text, MARK);
    }
    assert_eq!((http.size, &http.raw_body[..]), (-1, &b"raw \xff"[..]));
    assert_eq!(*http.headers.merged(), TextMap::from_iter(pair));
    let values: Vec<_> = http.headers.values("mark").collect();
    assert_eq!(values, [&b"raw \xff"[..], b"MARK"]);
    for metadata in [&attributes.metadata, &attributes.route_metadata] {
        let metadata = metadata.as_ref().unwrap();
        let fields = json!({"MARK": "MARK", "list": ["MARK"]});
        assert_eq!(
            metadata.filter,
            vec![(mark(), fields.as_object().unwrap().clone())]
        );
        let (name, typed) = &metadata.typed[0];
        assert_eq!(
            (name.as_str(), typed.type_url.as_str(), &typed.value[..]),
            (MARK, MARK, &b"\xff"[..])
        );
    }
}

#[test]
fn a_string_that_is_not_utf8_is_refused_wherever_it_stands() {
    let bytes = full().encode_to_vec();
    let places: Vec<_> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(MARK.as_bytes()))
        .collect();
    // As many as the message has strings, names and values of maps included.
    assert_eq!(places.len(), 46);
    for at in places {
        for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80"] {
            let mut bytes = bytes.clone();
            bytes[at..at + bad.len()].copy_from_slice(bad);
            assert!(decode(&bytes.into()).is_err(), "at {at}");
        }
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let full = full().encode_to_vec();
    for cut in 1..full.len() {
        let bytes = Bytes::copy_from_slice(&full[..cut]);
        assert!(decode(&bytes).is_err(), "cut at {cut}");
    }
    for bytes in [
        &b"\x00"[..],
        b"\x0a",
        b"\x0a\x05",
        b"GET / HTTP/1.1",
        b"{}",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert!(decode(&Bytes::from_static(bytes)).is_err(), "{bytes:?}");
    }
    // A value that holds itself deeper than any real one.
    let mut value = prost_types::Value { kind: None };
    for _ in 0..200 {
        let values = vec![value];
        value = prost_types::Value {
            kind: Some(Kind::ListValue(prost_types::ListValue { values })),
        };
    }
    let fields = prost_types::Struct {
        fields: [("a".to_owned(), value)].into(),
    };
    let context = auth::AttributeContext {
        metadata_context: Some(core::Metadata {
            filter_metadata: [("f".to_owned(), fields)].into(),
            ..core::Metadata::default()
        }),
        ..auth::AttributeContext::default()
    };
    let message = auth::CheckRequest {
        attributes: Some(context),
    };
    assert!(decode(&message.encode_to_vec().into()).is_err());
}

#[test]
fn what_is_absent_stays_absent() {
    assert_eq!(*decode(&Bytes::new()).unwrap(), Attributes::default());
    let with = |context| {
        let message = auth::CheckRequest {
            attributes: Some(context),
        };
        decode_message(&message)
    };
    let empty = auth::AttributeContext::default;
    // A message that is there and empty is one that Rego sees.
    let given = Attributes {
        given: true,
        ..Attributes::default()
    };
    assert_eq!(with(empty()), given);
    let attributes = with(auth::AttributeContext {
        source: Some(auth::attribute_context::Peer {
            address: Some(core::Address { address: None }),
            ..auth::attribute_context::Peer::default()
        }),
        tls_session: Some(auth::attribute_context::TlsSession::default()),
        request: Some(auth::attribute_context::Request {
            http: Some(auth::attribute_context::HttpRequest {
                header_map: Some(core::HeaderMap { headers: vec![] }),
                ..Default::default()
            }),
            time: None,
        }),
        ..empty()
    });
    assert_eq!(
        attributes.source.as_ref().unwrap().address,
        Some(Address::Empty)
    );
    assert_eq!(attributes.destination, None);
    assert_eq!(attributes.sni.as_deref(), Some(""));
    assert_eq!(attributes.http().unwrap().headers.raw(), Some(&[][..]));
    // A connection has a request without HTTP, or none.
    let connection = with(auth::AttributeContext {
        request: Some(auth::attribute_context::Request::default()),
        ..empty()
    });
    assert!(connection.request.is_some());
    assert!(connection.http().is_none());
}

#[test]
fn fields_of_later_versions_are_skipped() {
    let mut bytes = full().encode_to_vec();
    // Field 999 with text, field 1000 with a number.
    bytes.extend(b"\xba\x3e\x03abc\xc0\x3e\x07");
    assert_eq!(*decode(&bytes.into()).unwrap(), decode_message(&full()));
}

#[test]
fn numbers_of_metadata() {
    let rows = [
        (0.0, json!(0)),
        (-0.0, json!(0)),
        (1.0, json!(1)),
        (-7.0, json!(-7)),
        (1.5, json!(1.5)),
        (9_007_199_254_740_991.0, json!(9_007_199_254_740_991_i64)),
        (12_345_678_901_234_567_890.0, json!(1.2345678901234567e19)),
        (1e300, json!(1e300)),
        // JSON has no word for these.
        (f64::NAN, json!(null)),
        (f64::INFINITY, json!(null)),
    ];
    for (number, expected) in rows {
        let value = prost_types::Value {
            kind: Some(Kind::NumberValue(number)),
        };
        let fields = prost_types::Struct {
            fields: [("n".to_owned(), value)].into(),
        };
        let message = auth::CheckRequest {
            attributes: Some(auth::AttributeContext {
                metadata_context: Some(core::Metadata {
                    filter_metadata: [("f".to_owned(), fields)].into(),
                    ..core::Metadata::default()
                }),
                ..auth::AttributeContext::default()
            }),
        };
        let metadata = decode_message(&message).metadata.unwrap();
        assert_eq!(metadata.filter[0].1["n"], expected, "{number}");
    }
}

/// As many entries as fit into a message, in the worst order, cost what they cost in the best; of
/// those with one name the last counts.
#[test]
fn many_entries_of_a_map_are_read() {
    let mut http = Vec::new();
    for at in (0..300_000_u32).rev() {
        let name = format!("{at:06}");
        http.extend([0x1a, 11, 0x0a, 6]);
        http.extend(name.as_bytes());
        http.extend([0x12, 1, b'a']);
    }
    http.extend(b"\x1a\x0b\x0a\x06000007\x12\x01b");
    let nested = |field: u8, bytes: &[u8]| {
        let mut message = vec![field];
        prost::encoding::encode_varint(bytes.len() as u64, &mut message);
        message.extend_from_slice(bytes);
        message
    };
    let message = nested(0x0a, &nested(0x22, &nested(0x12, &http)));
    let attributes = decode(&message.into()).unwrap();
    let headers = attributes.http().unwrap().headers.merged();
    assert_eq!(headers.len(), 300_000);
    let found = ["000000", "000007", "299999", "300000"].map(|name| headers.get(name));
    assert_eq!(found, [Some("a"), Some("b"), Some("a"), None]);
}
