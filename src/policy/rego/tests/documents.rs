//! The input document, and data.

use bytes::Bytes;

use super::*;
use crate::attributes::{
    Address, Metadata, Peer, Port, ProtocolVersion, SocketAddress, Timestamp, TypedValue,
};

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

const BODY: &str = "{\"a\": 2, \"b\": 1e3, \"c\": 12345678901234567890}";

fn filter() -> Json {
    json!({"sub": "al", "n": 1, "f": 1.5, "b": true, "z": null, "l": [1, "x", {}], "o": {}})
}

/// The request of which a real plugin's document is known.
pub(super) fn full_request() -> Attributes {
    let filter = filter();
    Attributes {
        version: ProtocolVersion::V3,
        given: true,
        source: Some(Peer {
            address: Some(Address::Socket(SocketAddress {
                protocol: 1,
                address: "10.0.0.1".to_owned(),
                port: Some(Port::Value(0)),
                ..SocketAddress::default()
            })),
            service: "svcA".to_owned(),
            labels: owned(&[("app", "x")]),
            principal: "spiffe://td/ns/a".to_owned(),
            certificate: "-----BEGIN%20".to_owned(),
        }),
        destination: Some(Peer {
            address: Some(Address::Pipe {
                path: "/tmp/s.sock".to_owned(),
                mode: 420,
            }),
            ..Peer::default()
        }),
        request: Some(Request {
            time: Some(Timestamp {
                seconds: 1_700_000_000,
                nanos: 5000,
            }),
            http: Some(HttpRequest {
                id: "123".to_owned(),
                method: "POST".to_owned(),
                headers: Headers::new(
                    owned(&[
                        (":path", "/a/b?x=1"),
                        ("X-Upper", "v"),
                        ("content-type", "application/json"),
                        ("cookie", "a=1; b=2"),
                    ]),
                    None,
                ),
                path: "/a/b%20c/?x=1&x=2&y".to_owned(),
                host: "h:80".to_owned(),
                scheme: "http".to_owned(),
                fragment: "frag".to_owned(),
                size: -1,
                protocol: "HTTP/1.1".to_owned(),
                body: BODY.to_owned(),
                ..HttpRequest::default()
            }),
        }),
        context_extensions: owned(&[("k", "v")]),
        metadata: Some(Metadata {
            filter: vec![(
                "envoy.filters.http.jwt_authn".to_owned(),
                filter.as_object().unwrap().clone(),
            )],
            typed: vec![(
                "typed".to_owned(),
                TypedValue {
                    type_url: "type.googleapis.com/google.protobuf.StringValue".to_owned(),
                    value: Bytes::from_static(b"\n\x02hi"),
                },
            )],
        }),
        route_metadata: Some(Metadata {
            filter: vec![(
                "r".to_owned(),
                json!({"k": "v"}).as_object().unwrap().clone(),
            )],
            typed: vec![],
        }),
        sni: Some("sni.example".to_owned()),
    }
}

#[test]
fn a_full_request() {
    let attributes = full_request();
    let (body, filter) = (BODY, filter());
    let expected = json!({
        "attributes": {
            "contextExtensions": {"k": "v"},
            "source": {
                "address": {"socketAddress": {"address": "10.0.0.1", "portValue": 0, "protocol": 1}},
                "service": "svcA", "labels": {"app": "x"}, "principal": "spiffe://td/ns/a",
                "certificate": "-----BEGIN%20",
            },
            "destination": {"address": {"pipe": {"path": "/tmp/s.sock", "mode": 420}}},
            "request": {
                "time": {"seconds": 1_700_000_000, "nanos": 5000},
                "http": {
                    "id": "123", "method": "POST",
                    "headers": {":path": "/a/b?x=1", "X-Upper": "v", "content-type": "application/json", "cookie": "a=1; b=2"},
                    "path": "/a/b%20c/?x=1&x=2&y", "host": "h:80", "scheme": "http", "fragment": "frag",
                    "size": -1, "protocol": "HTTP/1.1", "body": body,
                },
            },
            "metadataContext": {
                "filterMetadata": {"envoy.filters.http.jwt_authn": filter},
                "typedFilterMetadata": {"typed": {
                    "typeUrl": "type.googleapis.com/google.protobuf.StringValue", "value": "CgJoaQ==",
                }},
            },
            "routeMetadataContext": {"filterMetadata": {"r": {"k": "v"}}},
            "tlsSession": {"sni": "sni.example"},
        },
        "version": {"ext_authz": "v3", "encoding": "protojson"},
        "parsed_path": ["a", "b c", ""], "parsed_query": {"x": ["1", "2"], "y": [""]},
        "parsed_body": {"a": 2, "b": 1000, "c": 12_345_678_901_234_567_890_u64},
        "truncated_body": false, "source_principal": "spiffe://td/ns/a",
    });
    let actual = value_for("input", &attributes);
    // The same number may be written another way.
    assert_eq!(actual["parsed_body"]["b"].as_f64(), Some(1000.0));
    let mut actual = actual;
    actual["parsed_body"]["b"] = json!(1000);
    assert_eq!(actual, expected);
}

#[test]
fn an_empty_request() {
    let version = json!({"ext_authz": "v3", "encoding": "protojson"});
    let expected = json!({"version": version, "parsed_path": [""], "parsed_query": {},
        "parsed_body": null, "truncated_body": false});
    assert_eq!(value("input"), expected);
}

/// `(attributes, what `input.attributes` is)`: absent, empty and default are told apart.
#[test]
fn only_what_is_there_is_in_the_document() {
    let peer = |address| Attributes {
        source: Some(Peer {
            address: Some(address),
            ..Peer::default()
        }),
        ..Attributes::default()
    };
    let socket = |change: fn(&mut SocketAddress)| {
        let mut socket = SocketAddress::default();
        change(&mut socket);
        peer(Address::Socket(socket))
    };
    let raw = |lines: &[(&str, &'static [u8])]| {
        let lines = lines
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Bytes::from_static(value)));
        http(HttpRequest {
            headers: Headers::new(vec![], Some(lines.collect())),
            ..HttpRequest::default()
        })
    };
    let in_socket = |fields: Json| json!({"source": {"address": {"socketAddress": fields}}});
    let rows = [
        (
            Attributes {
                source: Some(Peer::default()),
                ..Attributes::default()
            },
            json!({"source": {}}),
        ),
        (
            Attributes {
                sni: Some(String::new()),
                ..Attributes::default()
            },
            json!({"tlsSession": {}}),
        ),
        (
            Attributes {
                request: Some(Request::default()),
                ..Attributes::default()
            },
            json!({"request": {}}),
        ),
        (
            Attributes {
                metadata: Some(Metadata::default()),
                ..Attributes::default()
            },
            json!({"metadataContext": {}}),
        ),
        (
            http(HttpRequest::default()),
            json!({"request": {"http": {}}}),
        ),
        (peer(Address::Empty), json!({"source": {"address": {}}})),
        (
            peer(Address::EnvoyInternal {
                server_listener_name: Some(String::new()),
                endpoint_id: String::new(),
            }),
            json!({"source": {"address": {"envoyInternalAddress": {"serverListenerName": ""}}}}),
        ),
        (
            peer(Address::EnvoyInternal {
                server_listener_name: None,
                endpoint_id: "e".to_owned(),
            }),
            json!({"source": {"address": {"envoyInternalAddress": {"endpointId": "e"}}}}),
        ),
        (socket(|_| {}), in_socket(json!({}))),
        (
            socket(|socket| socket.port = Some(Port::Value(0))),
            in_socket(json!({"portValue": 0})),
        ),
        (
            socket(|socket| socket.port = Some(Port::Named(String::new()))),
            in_socket(json!({"namedPort": ""})),
        ),
        (
            socket(|socket| socket.ipv4_compat = true),
            in_socket(json!({"ipv4Compat": true})),
        ),
        (raw(&[]), json!({"request": {"http": {"headerMap": {}}}})),
        (
            raw(&[("b", b"\xff"), ("a", b"x"), ("a", b"")]),
            json!({"request": {"http": {"headerMap": {"headers": [
                {"key": "b", "rawValue": "/w=="}, {"key": "a", "rawValue": "eA=="}, {"key": "a"},
            ]}}}}),
        ),
    ];
    for (attributes, expected) in rows {
        assert_eq!(
            value_for("input.attributes", &attributes),
            expected,
            "{attributes:?}"
        );
    }
}

/// `(content type, body, [parsed body, truncated] or error)`
#[test]
fn bodies() {
    let rows = [
        (
            "application/json",
            "[1, \"x\"]",
            Ok(json!([[1, "x"], false])),
        ),
        (
            "application/json; charset=utf-8",
            "7",
            Ok(json!([7, false])),
        ),
        (
            "application/json",
            "{\"a\": 1, \"a\": 2}",
            Ok(json!([{"a": 2}, false])),
        ),
        ("application/json", "", Ok(json!([null, false]))),
        ("application/json", "null", Ok(json!([null, false]))),
        ("application/json", "{", Err(())),
        ("application/json", "1 2", Err(())),
        ("application/json", " ", Err(())),
        ("application/json", "NaN", Err(())),
        (
            "application/x-www-form-urlencoded",
            "a+b=c+d&&=x",
            Ok(json!([{"a b": ["c d"], "": ["x"]}, false])),
        ),
        ("application/x-www-form-urlencoded", "a=%zz", Err(())),
        ("application/x-www-form-urlencoded", "a;b", Err(())),
        ("APPLICATION/JSON", "{", Ok(json!([null, false]))),
        ("text/plain", "{", Ok(json!([null, false]))),
        ("application/grpc", "{", Ok(json!([null, false]))),
    ];
    for (content_type, body, expected) in rows {
        for packed in [false, true] {
            let mut request = HttpRequest {
                headers: Headers::new(owned(&[("content-type", content_type)]), None),
                ..HttpRequest::default()
            };
            if packed {
                request.raw_body = Bytes::from(body);
            } else {
                body.clone_into(&mut request.body);
            }
            let attributes = http(request);
            let about = format!("{content_type} {body}");
            match &expected {
                Ok(expected) => {
                    let actual =
                        value_for("[input.parsed_body, input.truncated_body]", &attributes);
                    assert_eq!(actual, *expected, "{about}");
                }
                Err(()) => {
                    let policies = answering("true");
                    let error = policies
                        .evaluate(policies.entrypoint().unwrap(), &attributes, NOW_NS)
                        .unwrap_err();
                    assert!(matches!(error, RegoFailure::Input(_)), "{about}: {error:?}");
                    assert!(
                        error.to_string().starts_with("request_parse_error: "),
                        "{error}"
                    );
                }
            }
        }
    }
}

#[test]
fn data_merges_or_conflicts() {
    let rows = [
        ("{}", "{\"a\": 1}", Ok(json!({"a": 1}))),
        (
            "{\"a\": {\"b\": 1}}",
            "{\"a\": {\"c\": 2}}",
            Ok(json!({"a": {"b": 1, "c": 2}})),
        ),
        ("{\"a\": 1}", "{\"a\": 1}", Ok(json!({"a": 1}))),
        (
            "{\"a\": {\"b\": 1}}",
            "{\"a\": {\"b\": 2}}",
            Err("conflicting values at `data.a.b`"),
        ),
        (
            "{\"a\": {\"b\": {}}}",
            "{\"a\": {\"b\": []}}",
            Err("conflicting values at `data.a.b`"),
        ),
        (
            "{\"a\": 1}",
            "{\"a\": {\"b\": 1}}",
            Err("conflicting values at `data.a`"),
        ),
        (
            "{\"a\": {\"b\": 1}}",
            "{\"a\": 1}",
            Err("conflicting values at `data.a`"),
        ),
    ];
    for (left, right, expected) in rows {
        let mut data = Data::parse(left).unwrap();
        let merged = data.merge(Data::parse(right).unwrap());
        match expected {
            Ok(expected) => {
                assert_eq!(merged, Ok(()), "{left} {right}");
                assert_eq!(data, Data::from_json(expected), "{left} {right}");
            }
            Err(expected) => assert_eq!(merged, Err(expected.to_owned()), "{left} {right}"),
        }
    }
    let nested = Data::parse("{\"x\": {\"y\": 1}, \"z\": {}}")
        .unwrap()
        .nested_under(&["a", "b"]);
    let mut paths = Vec::new();
    let found = nested.find_path(|path| {
        paths.push(path.to_owned());
        path.ends_with('z')
    });
    assert_eq!(paths, ["a/b/x/y", "a/b/z"]);
    assert_eq!(found.as_deref(), Some("a/b/z"));
    assert!(nested.is_object());
    assert!(!Data::parse("[]").unwrap().is_object());
    assert!(Data::parse("{} x").is_err());
}

/// As Go writes its structs, not as protobuf does.
#[test]
fn a_request_of_version_2() {
    let attributes = Attributes {
        version: ProtocolVersion::V2,
        given: true,
        source: Some(Peer {
            address: Some(Address::Socket(SocketAddress {
                protocol: 1,
                address: "10.0.0.1".to_owned(),
                port: Some(Port::Value(0)),
                resolver_name: "r".to_owned(),
                ipv4_compat: true,
                ..SocketAddress::default()
            })),
            principal: "spiffe://td/a".to_owned(),
            ..Peer::default()
        }),
        destination: Some(Peer {
            address: Some(Address::Empty),
            ..Peer::default()
        }),
        request: Some(Request {
            time: Some(Timestamp {
                seconds: 1,
                nanos: 2,
            }),
            http: Some(HttpRequest {
                path: "/a?b=1".to_owned(),
                size: 7,
                ..HttpRequest::default()
            }),
        }),
        context_extensions: owned(&[("k", "v")]),
        metadata: Some(Metadata::default()),
        ..Attributes::default()
    };
    assert_eq!(
        value_for("input", &attributes),
        json!({
            "attributes": {
                "source": {
                    "address": {"Address": {"SocketAddress": {
                        "protocol": 1, "address": "10.0.0.1", "PortSpecifier": {"PortValue": 0},
                        "resolver_name": "r", "ipv4_compat": true,
                    }}},
                    "principal": "spiffe://td/a",
                },
                "destination": {"address": {"Address": null}},
                "request": {
                    "time": {"seconds": 1, "nanos": 2},
                    "http": {"path": "/a?b=1", "size": 7},
                },
                "context_extensions": {"k": "v"},
                "metadata_context": {},
            },
            "version": {"ext_authz": "v2", "encoding": "encoding/json"},
            "parsed_path": ["a"],
            "parsed_query": {"b": ["1"]},
            "parsed_body": null,
            "truncated_body": false,
            "source_principal": "spiffe://td/a",
        })
    );
}
