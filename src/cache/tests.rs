mod remembering;

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, Metadata, Pairs, Peer, Port, Request, SocketAddress,
    Timestamp, TypedValue,
};
use crate::decision::{Reason, ReasonKind};
use crate::policy::lifetime::Lifetime;
use crate::policy::reads::{Field, Reads};

fn everything() -> Reads {
    Reads {
        whole_input: true,
        ..Reads::default()
    }
}

fn with(change: impl FnOnce(&mut Attributes)) -> Attributes {
    let mut attributes = Attributes::default();
    change(&mut attributes);
    attributes
}

fn http(change: impl FnOnce(&mut HttpRequest)) -> Attributes {
    with(|attributes| {
        let mut http = HttpRequest::default();
        change(&mut http);
        attributes.request = Some(Request {
            time: None,
            http: Some(http),
        });
    })
}

fn source(change: impl FnOnce(&mut Peer)) -> Attributes {
    with(|attributes| change(attributes.source.get_or_insert_default()))
}

fn address(address: Address) -> Attributes {
    source(|peer| peer.address = Some(address))
}

fn socket(change: impl FnOnce(&mut SocketAddress)) -> Attributes {
    let mut socket = SocketAddress::default();
    change(&mut socket);
    address(Address::Socket(socket))
}

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn merged(lines: &[(&str, &str)]) -> Attributes {
    http(|http| http.headers = Headers::new(pairs(lines), None))
}

fn raw(lines: &[(&str, &str)]) -> Attributes {
    let lines = pairs(lines).into_iter();
    let lines = lines
        .map(|(name, value)| (name, Bytes::from(value)))
        .collect();
    http(|http| http.headers = Headers::new(Vec::new(), Some(lines)))
}

fn metadata(filters: &[(&str, Value)]) -> Attributes {
    let filter = filters.iter().map(|(name, fields)| {
        let fields = fields.as_object().unwrap().clone();
        ((*name).to_owned(), fields)
    });
    with(|attributes| {
        attributes.metadata = Some(Metadata {
            filter: filter.collect(),
            typed: Vec::new(),
        });
    })
}

fn typed(name: &str, type_url: &str, value: &'static str) -> Metadata {
    let typed = TypedValue {
        type_url: type_url.to_owned(),
        value: Bytes::from(value),
    };
    Metadata {
        filter: Vec::new(),
        typed: vec![(name.to_owned(), typed)],
    }
}

/// What is written down of a request to a workload whose policies read this.
fn encoded(label: &str, reads: &[&Reads], attributes: &Attributes) -> Vec<u8> {
    let plan = Plan::of(reads.iter().copied());
    let encoding = key::encode(label.as_bytes(), &plan, attributes);
    encoding.as_bytes().to_vec()
}

/// Every two of these differ in something that the reads cover.
fn check_all_differ(reads: &[&Reads], rows: Vec<Attributes>) {
    let mut seen = HashMap::new();
    for attributes in rows {
        let encoding = encoded("w", reads, &attributes);
        if let Some(earlier) = seen.insert(encoding, attributes.clone()) {
            panic!("one encoding for\n{earlier:?}\nand\n{attributes:?}");
        }
    }
}

#[test]
fn requests_that_differ_anywhere_have_different_keys() {
    let port = |port| socket(|socket| socket.port = Some(port));
    let body = |text: &str| http(|http| http.body = text.to_owned());
    let time = |seconds, nanos| {
        with(|attributes| {
            attributes.request = Some(Request {
                time: Some(Timestamp { seconds, nanos }),
                http: None,
            });
        })
    };
    check_all_differ(
        &[&everything()],
        vec![
            Attributes::default(),
            // Absent and empty.
            with(|attributes| attributes.source = Some(Peer::default())),
            with(|attributes| attributes.destination = Some(Peer::default())),
            with(|attributes| attributes.request = Some(Request::default())),
            with(|attributes| attributes.metadata = Some(Metadata::default())),
            with(|attributes| attributes.route_metadata = Some(Metadata::default())),
            with(|attributes| attributes.sni = Some(String::new())),
            with(|attributes| attributes.sni = Some("a".to_owned())),
            with(|attributes| attributes.context_extensions = pairs(&[("a", "bc")])),
            with(|attributes| attributes.context_extensions = pairs(&[("ab", "c")])),
            with(|attributes| attributes.context_extensions = pairs(&[("a", ""), ("bc", "")])),
            with(|attributes| attributes.metadata = Some(typed("a", "b", "c"))),
            with(|attributes| attributes.metadata = Some(typed("a", "bc", ""))),
            with(|attributes| attributes.metadata = Some(typed("ab", "", "c"))),
            with(|attributes| attributes.route_metadata = Some(typed("a", "b", "c"))),
            time(0, 0),
            time(1, 0),
            time(0, 1),
            time(-1, 0),
            source(|peer| peer.principal = "ab".to_owned()),
            source(|peer| peer.service = "ab".to_owned()),
            source(|peer| peer.certificate = "ab".to_owned()),
            source(|peer| peer.labels = pairs(&[("a", "b")])),
            source(|peer| peer.labels = pairs(&[("a", ""), ("b", "")])),
            address(Address::Empty),
            address(Address::Pipe {
                path: "a".to_owned(),
                mode: 0,
            }),
            address(Address::Pipe {
                path: "a".to_owned(),
                mode: 1,
            }),
            address(Address::EnvoyInternal {
                server_listener_name: None,
                endpoint_id: "a".to_owned(),
            }),
            address(Address::EnvoyInternal {
                server_listener_name: Some(String::new()),
                endpoint_id: "a".to_owned(),
            }),
            address(Address::EnvoyInternal {
                server_listener_name: Some("a".to_owned()),
                endpoint_id: String::new(),
            }),
            socket(|_| {}),
            socket(|socket| socket.address = "a".to_owned()),
            socket(|socket| socket.protocol = 1),
            socket(|socket| socket.ipv4_compat = true),
            socket(|socket| socket.resolver_name = "a".to_owned()),
            socket(|socket| socket.network_namespace_filepath = "a".to_owned()),
            port(Port::Value(0)),
            port(Port::Value(80)),
            port(Port::Named("80".to_owned())),
            port(Port::Named(String::new())),
            http(|_| {}),
            http(|http| http.id = "a".to_owned()),
            http(|http| http.method = "a".to_owned()),
            http(|http| http.path = "a".to_owned()),
            http(|http| http.path = "a?b".to_owned()),
            http(|http| http.host = "a".to_owned()),
            http(|http| http.scheme = "a".to_owned()),
            http(|http| http.query = "a".to_owned()),
            http(|http| http.fragment = "a".to_owned()),
            http(|http| http.protocol = "a".to_owned()),
            http(|http| http.size = 1),
            http(|http| http.size = -1),
            http(|http| http.raw_body = Bytes::from("a")),
            body("a"),
            merged(&[("a", "b,c")]),
            merged(&[("a", "b"), ("c", "")]),
            raw(&[]),
            raw(&[("a", "b,c")]),
            raw(&[("a", "b"), ("a", "c")]),
            raw(&[("a", "c"), ("a", "b")]),
            raw(&[("A", "b"), ("a", "c")]),
            metadata(&[("f", json!({}))]),
            metadata(&[("f", json!({"a": null}))]),
            metadata(&[("f", json!({"a": 1}))]),
            metadata(&[("f", json!({"a": "1"}))]),
            metadata(&[("f", json!({"a": 1.5}))]),
            metadata(&[("f", json!({"a": true}))]),
            metadata(&[("f", json!({"a": "true"}))]),
            metadata(&[("f", json!({"a": []}))]),
            metadata(&[("f", json!({"a": {}}))]),
            metadata(&[("f", json!({"a": ["x", "y"]}))]),
            metadata(&[("f", json!({"a": ["x\",\"y"]}))]),
            metadata(&[("f", json!({"a": ["x", ["y"]]}))]),
            metadata(&[("f", json!({"a": 1, "b": 2}))]),
            metadata(&[("f", json!({"a": 1})), ("g", json!({"b": 2}))]),
            metadata(&[("f", json!({"a": 1})), ("g", json!({}))]),
        ],
    );
}

#[test]
fn what_native_policies_read_is_told_apart() {
    let mut reads = Reads::default();
    for field in [
        Field::Principal,
        Field::Protocol,
        Field::Host,
        Field::Method,
        Field::Path,
    ] {
        reads.field(field);
    }
    for field in [
        Field::SourceAddress,
        Field::DestinationAddress,
        Field::Metadata,
        Field::ServerName,
    ] {
        reads.field(field);
    }
    reads.header("X-A");
    reads.header("x-b");
    check_all_differ(
        &[&reads],
        vec![
            Attributes::default(),
            http(|_| {}),
            http(|http| http.host = "a".to_owned()),
            http(|http| http.method = "a".to_owned()),
            http(|http| http.path = "a".to_owned()),
            http(|http| http.path = "/a".to_owned()),
            http(|http| http.path = "*".to_owned()),
            http(|http| http.path = "*?a".to_owned()),
            http(|http| http.path = "?a".to_owned()),
            merged(&[("x-a", "")]),
            merged(&[("x-a", "b,c")]),
            merged(&[("x-b", "b,c")]),
            merged(&[("x-a", "b"), ("x-b", "c")]),
            raw(&[("x-a", "b"), ("X-A", "c")]),
            raw(&[("x-a", "c"), ("x-a", "b")]),
            source(|peer| peer.principal = "a".to_owned()),
            socket(|socket| socket.address = "a".to_owned()),
            with(|attributes| attributes.sni = Some(String::new())),
            with(|attributes| attributes.sni = Some("a".to_owned())),
            metadata(&[("f", json!({"a": 1}))]),
            metadata(&[("f", json!({"a": "1"}))]),
        ],
    );
    let mut remote = Reads::default();
    remote.field(Field::RemoteIp);
    check_all_differ(
        &[&remote],
        vec![
            http(|_| {}),
            merged(&[("x-forwarded-for", "a")]),
            merged(&[("x-forwarded-for", "a,b")]),
            raw(&[("x-forwarded-for", "a"), ("x-forwarded-for", "b")]),
            socket(|socket| socket.address = "a".to_owned()),
        ],
    );
    let mut target = Reads::default();
    target.field(Field::Target);
    target.field(Field::Scheme);
    check_all_differ(
        &[&target],
        vec![
            http(|http| http.path = "a".to_owned()),
            http(|http| http.path = "a?b".to_owned()),
            http(|http| http.path = "a#b".to_owned()),
            http(|http| http.scheme = "a".to_owned()),
        ],
    );
}

#[test]
fn what_rego_reads_is_told_apart() {
    let destination = |change: fn(&mut Peer)| {
        with(|attributes| change(attributes.destination.get_or_insert_default()))
    };
    let time = |seconds, nanos| {
        with(|attributes| {
            let request = attributes.request.get_or_insert_default();
            request.time = Some(Timestamp { seconds, nanos });
        })
    };
    let rows: Vec<(Field, Vec<Attributes>)> = vec![
        (
            Field::Shape,
            vec![
                Attributes::default(),
                with(|attributes| attributes.given = true),
                with(|attributes| attributes.request = Some(Request::default())),
                http(|_| {}),
                merged(&[("a", "b")]),
                raw(&[]),
                source(|_| {}),
                destination(|_| {}),
                with(|attributes| attributes.context_extensions = pairs(&[("a", "b")])),
                with(|attributes| attributes.metadata = Some(Metadata::default())),
                with(|attributes| attributes.route_metadata = Some(Metadata::default())),
                with(|attributes| attributes.sni = Some(String::new())),
            ],
        ),
        (
            Field::SourceService,
            vec![
                source(|_| {}),
                source(|peer| peer.service = "a".to_owned()),
                source(|peer| peer.labels = pairs(&[("a", "")])),
                source(|peer| peer.labels = pairs(&[("", "a")])),
            ],
        ),
        (
            Field::DestinationService,
            vec![
                Attributes::default(),
                destination(|_| {}),
                destination(|peer| peer.service = "a".to_owned()),
                destination(|peer| peer.labels = pairs(&[("a", "")])),
                destination(|peer| peer.principal = "a".to_owned()),
                destination(|peer| peer.certificate = "a".to_owned()),
            ],
        ),
        (
            Field::Time,
            vec![http(|_| {}), time(0, 0), time(1, 0), time(0, 1)],
        ),
        (
            Field::Id,
            vec![http(|_| {}), http(|http| http.id = "a".to_owned())],
        ),
        (
            Field::QueryAndFragment,
            vec![
                http(|http| http.query = "a".to_owned()),
                http(|http| http.fragment = "a".to_owned()),
            ],
        ),
        (
            Field::RouteMetadata,
            vec![
                Attributes::default(),
                with(|attributes| attributes.route_metadata = Some(Metadata::default())),
            ],
        ),
    ];
    for (field, different) in rows {
        let mut reads = Reads::default();
        reads.field(field);
        check_all_differ(&[&reads], different.clone());
        // What two policies read is in the key, in whatever order they come.
        check_all_differ(&[&Reads::default(), &reads, &reads], different);
    }
}

#[test]
fn what_nobody_reads_makes_no_difference() {
    let mut reads = Reads::default();
    reads.field(Field::Path);
    reads.header("x-read");
    let rows = [
        (
            merged(&[("x-read", "a")]),
            merged(&[("x-read", "a"), ("x-unread", "b")]),
        ),
        (
            http(|http| http.path = "/a".to_owned()),
            http(|http| http.path = "/a?b#c".to_owned()),
        ),
        (http(|_| {}), http(|http| http.body = "a".to_owned())),
        (http(|_| {}), http(|http| http.id = "a".to_owned())),
        (http(|_| {}), http(|http| http.method = "PUT".to_owned())),
    ];
    for (left, right) in rows {
        let (left_key, right_key) = (
            encoded("w", &[&reads], &left),
            encoded("w", &[&reads], &right),
        );
        assert_eq!(left_key, right_key, "{left:?}\n{right:?}");
        let all = everything();
        assert_ne!(
            encoded("w", &[&all], &left),
            encoded("w", &[&all], &right),
            "{left:?}"
        );
    }
}

#[test]
fn the_workload_and_the_peer_are_always_told_apart() {
    // A decision names its peer, whether or not a policy looks at it.
    let nothing = Reads::default();
    let key_of = |workload, peer: &str| {
        let attributes = source(|source| source.principal = peer.to_owned());
        encoded(workload, &[&nothing], &attributes)
    };
    assert_eq!(key_of("w", "a"), key_of("w", "a"));
    assert_ne!(key_of("w", "a"), key_of("w", "b"));
    assert_ne!(key_of("w", "a"), key_of("v", "a"));
    assert_ne!(key_of("wa", ""), key_of("w", "a"));
}

/// The name a proxy reports can be the same while the others are not.
#[test]
fn who_reads_the_identity_tells_certificates_apart() {
    let mut identity = Reads::default();
    identity.field(Field::Principal);
    let mut address = Reads::default();
    address.field(Field::SourceAddress);
    let key_of = |reads, certificate: &str| {
        let attributes = source(|source| {
            source.principal = "a".to_owned();
            source.certificate = certificate.to_owned();
        });
        encoded("w", &[reads], &attributes)
    };
    assert_eq!(key_of(&identity, "b"), key_of(&identity, "b"));
    assert_ne!(key_of(&identity, "b"), key_of(&identity, "c"));
    assert_ne!(key_of(&identity, "b"), key_of(&identity, ""));
    assert_eq!(key_of(&address, "b"), key_of(&address, "c"));
    let whole = Reads {
        whole_input: true,
        ..Reads::default()
    };
    assert!(identity.identity() && whole.identity() && !address.identity());
    assert_ne!(key_of(&whole, "b"), key_of(&whole, "c"));
}
