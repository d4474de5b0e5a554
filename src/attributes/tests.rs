use std::collections::BTreeMap;

use super::*;

mod normalization;

/// `(path, segments or error)`: the table of the plugin's newest release.
#[test]
fn paths_split_as_the_plugin_does() {
    let rows: &[(&str, Result<&[&str], &str>)] = &[
        ("", Ok(&[""])),
        ("/", Ok(&[""])),
        ("///", Ok(&[""])),
        ("//a/b", Ok(&["a", "b"])),
        ("/a//b", Ok(&["a", "", "b"])),
        ("/a%2fb/c", Ok(&["a", "b", "c"])),
        ("/a/b/?", Ok(&["a", "b", ""])),
        ("/a;p=1/b", Ok(&["a;p=1", "b"])),
        ("/%zz", Err("invalid URL escape \"%zz\"")),
        ("/a%", Err("invalid URL escape \"%\"")),
        ("/a%4", Err("invalid URL escape \"%4\"")),
        ("/a?x=%zz", Err("invalid URL escape \"%zz\"")),
        ("/a?x=1;y=2", Err("invalid semicolon separator in query")),
        ("/a#frag?x", Ok(&["a#frag"])),
        ("*", Ok(&["*"])),
        ("http://h:1/x/y?z", Ok(&["http:", "", "h:1", "x", "y"])),
        ("h:80", Ok(&["h:80"])),
        ("/a%00b", Ok(&["a\0b"])),
        ("/%ff", Ok(&["\u{fffd}"])),
        ("/../a", Ok(&["..", "a"])),
    ];
    for (path, expected) in rows {
        let actual = split_path_and_query(path).map(|(segments, _)| segments);
        match (actual, expected) {
            (Ok(segments), Ok(expected)) => assert_eq!(segments, *expected, "{path}"),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), *expected, "{path}"),
            (actual, expected) => panic!("{path}: {actual:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn queries_decode_as_the_plugin_does() {
    let rows: &[(&str, &[(&str, &[&str])])] = &[
        ("", &[]),
        ("x=1&x=2&y", &[("x", &["1", "2"]), ("y", &[""])]),
        ("x=a+b&x=%20", &[("x", &["a b", " "])]),
        ("=1&&b", &[("", &["1"]), ("b", &[""])]),
        ("x[]=1&y.z=2", &[("x[]", &["1"]), ("y.z", &["2"])]),
        ("b#c", &[("b#c", &[""])]),
    ];
    for (query, expected) in rows {
        let expected: BTreeMap<_, Vec<_>> = expected
            .iter()
            .map(|(name, values)| {
                let values = values.iter().map(ToString::to_string).collect();
                ((*name).to_owned(), values)
            })
            .collect();
        assert_eq!(decode_query(query).unwrap(), expected, "{query}");
    }
}

fn request(headers: &[(&str, &str)], body: &str) -> HttpRequest {
    let mut merged: Pairs = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    merged.sort();
    HttpRequest {
        headers: Headers::new(merged, None),
        body: body.to_owned(),
        ..HttpRequest::default()
    }
}

#[test]
fn bodies_are_classified_as_the_plugin_does() {
    let json = ("content-type", "application/json");
    let rows: &[(&[(&str, &str)], &str, Result<&str, ()>)] = &[
        (&[], "{}", Ok("absent")),
        (&[json], "", Ok("absent")),
        (&[json], "{}", Ok("json")),
        (
            &[("content-type", "foo;x=application/json")],
            "{}",
            Ok("json"),
        ),
        (&[("content-type", "APPLICATION/JSON")], "{}", Ok("absent")),
        (
            &[("content-type", "application/x-www-form-urlencoded")],
            "a=1",
            Ok("form"),
        ),
        (&[("content-type", "application/grpc")], "a=1", Ok("absent")),
        (&[json, ("content-length", "2")], "{}", Ok("json")),
        (&[json, ("content-length", "3")], "{}", Ok("truncated")),
        (&[json, ("content-length", "-1")], "{}", Ok("json")),
        (&[json, ("content-length", "x")], "{}", Err(())),
        (&[json, ("content-length", "")], "{}", Err(())),
        (
            &[json, ("x-envoy-auth-partial-body", "true")],
            "{}",
            Ok("truncated"),
        ),
        (
            &[json, ("x-envoy-auth-partial-body", "false")],
            "{}",
            Ok("json"),
        ),
    ];
    for (headers, body, expected) in rows {
        let http = request(headers, body);
        let found = Body::of(&http, HeaderLookup::Joined);
        let actual = found.map_err(|_| ()).map(|found| match found {
            Body::Absent => "absent",
            Body::Truncated => "truncated",
            Body::Present(BodyKind::Json, _) => "json",
            Body::Present(BodyKind::Grpc, _) => "grpc",
            Body::Present(BodyKind::Form, _) => "form",
            Body::Present(BodyKind::Multipart, _) => "multipart",
        });
        assert_eq!(actual, *expected, "{headers:?} {body}");
    }
}

#[test]
fn raw_headers_say_how_to_read_a_body_where_they_may() {
    let line = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
    let raw = vec![
        line("Content-Type", b"application/json"),
        line("content-length", b"9"),
    ];
    let http = HttpRequest {
        headers: Headers::new(Vec::new(), Some(raw)),
        body: "{}".to_owned(),
        ..HttpRequest::default()
    };
    assert_eq!(Body::of(&http, HeaderLookup::Joined), Ok(Body::Absent));
    assert_eq!(Body::of(&http, HeaderLookup::Raw), Ok(Body::Truncated));
}

#[test]
fn messages_of_grpc_are_bytes_and_tell_their_own_length() {
    let mut http = request(
        &[
            ("content-type", "application/grpc+proto"),
            ("content-length", "999"),
        ],
        "text",
    );
    let of = |http: &HttpRequest| format!("{:?}", Body::of(http, HeaderLookup::Joined));
    assert_eq!(of(&http), "Ok(Absent)");
    http.raw_body = Bytes::from_static(&[0]);
    assert_eq!(of(&http), "Ok(Present(Grpc, [0]))");
}

#[test]
fn remote_ip_counts_from_the_right() {
    let rows: &[(&str, usize, Option<&str>)] = &[
        ("56.5.6.7, 72.9.5.6, 98.1.2.3", 0, Some("98.1.2.3")),
        ("56.5.6.7, 72.9.5.6, 98.1.2.3", 1, Some("72.9.5.6")),
        ("56.5.6.7, 72.9.5.6, 98.1.2.3", 2, Some("56.5.6.7")),
        // Too few, empty, or unreadable entries fall back to the peer.
        ("56.5.6.7", 1, Some("10.0.0.1")),
        ("56.5.6.7,,", 0, Some("10.0.0.1")),
        ("56.5.6.7,,", 2, Some("56.5.6.7")),
        ("1.2.3.4:80", 0, Some("10.0.0.1")),
        ("", 0, Some("10.0.0.1")),
    ];
    for (forwarded, trusted, expected) in rows {
        let attributes = Attributes {
            source: Some(Peer {
                address: Some(Address::Socket(SocketAddress {
                    address: "10.0.0.1".to_owned(),
                    ..SocketAddress::default()
                })),
                ..Peer::default()
            }),
            request: Some(Request {
                time: None,
                http: Some(request(&[("x-forwarded-for", forwarded)], "")),
            }),
            ..Attributes::default()
        };
        let expected = expected.map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(
            attributes.remote_ip(*trusted),
            expected,
            "{forwarded} {trusted}"
        );
    }
}

#[test]
fn header_lines_are_kept_apart_when_raw() {
    let raw = vec![
        ("X-Role".to_owned(), Bytes::from_static(b"user")),
        ("x-role".to_owned(), Bytes::from_static(b"\xff")),
    ];
    let headers = Headers::new(Vec::new(), Some(raw));
    let values: Vec<_> = headers.values("x-role").collect();
    assert_eq!(values, [&b"user"[..], &b"\xff"[..]]);
    assert_eq!(headers.joined("x-role").unwrap(), "user,\u{fffd}");
    assert_eq!(headers.joined("absent"), None);
}

#[test]
fn bytes_that_cannot_stand_in_a_header_are_found() {
    for (value, found) in [
        ("a", false),
        ("a\0", true),
        ("a\r", true),
        ("a\nb", true),
        ("\t", false),
    ] {
        let headers = request(&[("x", value)], "").headers;
        assert_eq!(headers.invalid().is_some(), found, "{value:?}");
    }
    let raw = Headers::new(
        Vec::new(),
        Some(vec![("x".to_owned(), Bytes::from_static(b"\n"))]),
    );
    assert_eq!(raw.invalid(), Some("x"));
}

#[test]
fn a_text_map_is_a_sorted_map() {
    let pairs = [
        ("x-user", "a"),
        ("", "empty"),
        ("authorization", ""),
        ("authorization-token", "1"),
        ("authorization-token-2", "2"),
        ("authoriz", "eight"),
        ("authoriz\0", "nine"),
        ("a", "é"),
        ("x-user", "b"),
        ("ü", "u"),
    ];
    let expected: BTreeMap<_, _> = pairs.into_iter().collect();
    let map = TextMap::from_iter(pairs);
    assert!(
        map.iter()
            .eq(expected.iter().map(|(name, value)| (*name, *value)))
    );
    for (name, value) in expected {
        assert_eq!(map.get(name), Some(value), "{name:?}");
    }
    for name in ["x", "x-use", "x-user ", "authorizatio", "\0"] {
        assert_eq!(map.get(name), None, "{name:?}");
    }
    // What was replaced is no part of it.
    assert_eq!(map, TextMap::from_iter(pairs.into_iter().skip(1)));
    assert_ne!(map, TextMap::from_iter(pairs.into_iter().skip(2)));
}
