//! Messages of Envoy's own protocol, whose descriptors are there.

use doorward_proto::envoy::config::core::v3 as core;
use doorward_proto::envoy::service::auth::v3 as auth;
use prost::Message as _;
use prost_types::value::Kind as Json;
use serde_json::json;

use super::*;

const SERVICE: &str = "envoy.service.auth.v3.Authorization";

fn descriptors() -> Descriptors {
    Descriptors::decode(doorward_proto::DESCRIPTORS).unwrap()
}

fn path(method: &str) -> Vec<String> {
    method.split('/').map(str::to_owned).collect()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), message].concat()
}

fn read(request: &auth::CheckRequest) -> Result<Message, String> {
    let body = framed(&request.encode_to_vec());
    let path = path(&format!("{SERVICE}/Check"));
    let message = descriptors().first_message(&path, &body);
    message.map_err(|error| error.to_string())
}

fn shown(request: &auth::CheckRequest) -> serde_json::Value {
    match read(request) {
        Ok(Message::Read(value)) => serde_json::to_value(value).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn with_typed(url: &str, value: Vec<u8>) -> auth::CheckRequest {
    let any = prost_types::Any {
        type_url: url.to_owned(),
        value,
    };
    let metadata = core::Metadata {
        typed_filter_metadata: [("t".to_owned(), any)].into(),
        ..core::Metadata::default()
    };
    auth::CheckRequest {
        attributes: Some(auth::AttributeContext {
            metadata_context: Some(metadata),
            ..auth::AttributeContext::default()
        }),
    }
}

#[test]
fn a_message_is_shown_as_protobuf_shows_it() {
    let number = |number| prost_types::Value {
        kind: Some(Json::NumberValue(number)),
    };
    let fields = [("whole", 3.0), ("part", 0.1), ("large", 1e21)];
    let fields = fields.map(|(name, value)| (name.to_owned(), number(value)));
    let fields = prost_types::Struct {
        fields: fields.into(),
    };
    let socket = core::SocketAddress {
        protocol: 1,
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(0)),
        ..core::SocketAddress::default()
    };
    let request = auth::CheckRequest {
        attributes: Some(auth::AttributeContext {
            source: Some(auth::attribute_context::Peer {
                address: Some(core::Address {
                    address: Some(core::address::Address::SocketAddress(socket)),
                }),
                ..auth::attribute_context::Peer::default()
            }),
            request: Some(auth::attribute_context::Request {
                time: Some(prost_types::Timestamp {
                    seconds: 1_700_000_000,
                    nanos: 5_000,
                }),
                http: Some(auth::attribute_context::HttpRequest {
                    size: -1,
                    raw_body: vec![0xff].into(),
                    headers: [("a".to_owned(), "b".to_owned())].into(),
                    ..auth::attribute_context::HttpRequest::default()
                }),
            }),
            metadata_context: Some(core::Metadata {
                filter_metadata: [("f".to_owned(), fields)].into(),
                ..core::Metadata::default()
            }),
            tls_session: Some(auth::attribute_context::TlsSession::default()),
            ..auth::AttributeContext::default()
        }),
    };
    let large: serde_json::Value = serde_json::from_str("1000000000000000000000").unwrap();
    let mut actual = shown(&request);
    let actual_large =
        actual["attributes"]["metadataContext"]["filterMetadata"]["f"]["large"].take();
    assert_eq!(actual_large.as_f64(), large.as_f64());
    assert_eq!(
        actual,
        json!({"attributes": {
            // Rule: enums by name, 64 bits as text, a choice even at its default.
            "source": {"address": {"socketAddress": {"protocol": "UDP", "portValue": 0}}},
            "request": {
                "time": "2023-11-14T22:13:20.000005Z",
                "http": {"size": "-1", "rawBody": "/w==", "headers": {"a": "b"}},
            },
            "metadataContext": {"filterMetadata": {"f": {"whole": 3, "part": 0.1, "large": null}}},
            "tlsSession": {},
        }})
    );
}

#[test]
fn a_message_of_any_type() {
    let context = auth::attribute_context::TlsSession {
        sni: "x".to_owned(),
    };
    let duration = |seconds, nanos| prost_types::Timestamp { seconds, nanos }.encode_to_vec();
    let session = "type.googleapis.com/envoy.service.auth.v3.AttributeContext.TLSSession";
    let time = "type.googleapis.com/google.protobuf.Timestamp";
    let rows = [
        (
            session,
            context.encode_to_vec(),
            Ok(json!({"@type": session, "sni": "x"})),
        ),
        (
            time,
            duration(0, 0),
            Ok(json!({"@type": time, "value": "1970-01-01T00:00:00Z"})),
        ),
        (
            time,
            duration(-62_135_596_800, 120_000_000),
            Ok(json!({"@type": time, "value": "0001-01-01T00:00:00.120Z"})),
        ),
        (
            time,
            duration(253_402_300_800, 0),
            Err("seconds out of range"),
        ),
        (time, duration(0, -1), Err("nanos out of range")),
        ("", Vec::new(), Ok(json!({}))),
        ("", vec![1], Err("empty type URL")),
        (
            "x/no.Such",
            Vec::new(),
            Err("unable to resolve \"x/no.Such\": not found"),
        ),
        (
            session,
            b"\x0a\x01\xff".to_vec(),
            Err("invalid string value"),
        ),
    ];
    for (url, value, expected) in rows {
        let request = with_typed(url, value);
        match expected {
            Ok(expected) => {
                let pointer = "/attributes/metadataContext/typedFilterMetadata/t";
                assert_eq!(shown(&request).pointer(pointer), Some(&expected), "{url}");
            }
            Err(expected) => {
                let why = read(&request).unwrap_err();
                assert!(why.contains(expected), "{url}: {why}");
            }
        }
    }
}

#[test]
fn nesting_is_bounded() {
    // Bytes that are a message that holds bytes, and so on: no decoder sees how deep that goes.
    let url = "x/google.protobuf.Any";
    let nested = |levels: usize| {
        let inner = (0..levels).fold(Vec::new(), |value, _| {
            let any = prost_types::Any {
                type_url: url.to_owned(),
                value,
            };
            any.encode_to_vec()
        });
        with_typed(url, inner)
    };
    assert!(matches!(read(&nested(20)), Ok(Message::Read(_))));
    let why = read(&nested(5_000)).unwrap_err();
    assert!(why.contains("exceeded max depth"), "{why}");

    let null = prost_types::Value {
        kind: Some(Json::NullValue(0)),
    };
    let deep = (0..500).fold(null, |value, _| prost_types::Value {
        kind: Some(Json::ListValue(prost_types::ListValue {
            values: vec![value],
        })),
    });
    let fields = prost_types::Struct {
        fields: [("deep".to_owned(), deep)].into(),
    };
    let mut request = with_typed("", Vec::new());
    let metadata = request.attributes.as_mut().unwrap();
    let metadata = metadata.metadata_context.as_mut().unwrap();
    metadata.filter_metadata.insert("f".to_owned(), fields);
    assert!(read(&request).is_err());
}

#[test]
fn what_is_not_read() {
    let message = framed(b"");
    let check = path(&format!("{SERVICE}/Check"));
    let truncated = framed(b"abc");
    let rows = [
        (path("no.Such/Check"), &message[..], Ok(Message::Unread)),
        (
            path(&format!("{SERVICE}/Nothing")),
            &message,
            Ok(Message::Unread),
        ),
        (check.clone(), &[1, 0, 0, 0, 0], Ok(Message::Unread)),
        (check.clone(), &truncated[..7], Ok(Message::Truncated)),
        (check.clone(), &message[..4], Err(ProtobufError::Frame)),
        (path(SERVICE), &message, Err(ProtobufError::Path)),
        (path(""), &message, Err(ProtobufError::Path)),
        (
            path(&format!("{SERVICE}/Check/")),
            &message,
            Err(ProtobufError::Path),
        ),
    ];
    for (path, body, expected) in rows {
        let actual = descriptors().first_message(&path, body);
        assert_eq!(actual, expected, "{path:?} {body:?}");
    }
    let broken = descriptors().first_message(&check, &framed(b"\xff"));
    assert!(matches!(broken, Err(ProtobufError::Wire(_))), "{broken:?}");
    assert!(Descriptors::decode(b"no descriptors").is_err());
}
