//! What requests are put together of: parts with a few values each, among which hits, near misses and
//! odd spellings are all frequent.

use doorward::attributes::ProtocolVersion;

/// Parts by where they stand in a `CheckRequest`, and their values as JSON. What is empty is not there; the
/// first is the usual one.
pub const PARTS: &[(&str, &[&str])] = &[
    (
        "source/address",
        &[
            r#"{"socketAddress": {"address": "10.0.0.1", "portValue": 40000}}"#,
            r#"{"socketAddress": {"address": "10.0.0.200", "portValue": 40000}}"#,
            r#"{"socketAddress": {"address": "10.0.0.1", "portValue": 40001}}"#,
            r#"{"socketAddress": {"address": "10.0.0.1", "namedPort": "40000"}}"#,
            r#"{"socketAddress": {"address": "10.0.0.1", "protocol": "UDP", "portValue": 40000}}"#,
            r#"{"socketAddress": {"address": "10.0.0.1", "portValue": 40000, "resolverName": "r"}}"#,
            r#"{"socketAddress": {"address": "::ffff:10.0.0.1", "portValue": 40000}}"#,
            r#"{"socketAddress": {"address": "2001:db8::1"}}"#,
            r#"{"socketAddress": {"address": "192.168.1.1", "portValue": 1}}"#,
            r#"{"pipe": {"path": "/run/a.sock"}}"#,
            r#"{"pipe": {"path": "/run/a.sock", "mode": 384}}"#,
            r#"{"envoyInternalAddress": {"serverListenerName": "a"}}"#,
            "{}",
            "",
        ],
    ),
    (
        "source/principal",
        &[
            r#""spiffe://cluster.local/ns/foo/sa/a""#,
            r#""spiffe://cluster.local/ns/bar/sa/b""#,
            r#""spiffe://td1/ns/foo/sa/a""#,
            r#""spiffe://cluster.local/ns/foo/sa/b""#,
            r#""spiffe://evil/ns/foo/sa/a""#,
            r#""web.example.com""#,
            "",
        ],
    ),
    (
        "source/certificate",
        &["", "", "", "", r#""-----BEGIN%20CERTIFICATE-----""#],
    ),
    ("source/service", &["", r#""s""#, r#""sa""#]),
    (
        "source/labels",
        &["", r#"{"a": "bc"}"#, r#"{"ab": "c"}"#, r#"{"a": ""}"#],
    ),
    (
        "destination/address",
        &[
            r#"{"socketAddress": {"address": "10.0.0.1", "portValue": 8080}}"#,
            r#"{"socketAddress": {"address": "10.0.0.1", "portValue": 80}}"#,
            r#"{"socketAddress": {"address": "10.9.9.9", "portValue": 8080}}"#,
            r#"{"socketAddress": {"address": "10.0.0.1", "namedPort": "http"}}"#,
            "",
            r#"{"socketAddress": {"address": "10.0.0.1", "portValue": 40000}}"#,
        ],
    ),
    (
        "destination/principal",
        &[
            "",
            r#""spiffe://cluster.local/ns/foo/sa/web""#,
            r#""spiffe://cluster.local/ns/bar/sa/web""#,
        ],
    ),
    ("destination/service", &["", r#""a.com""#, r#""web""#]),
    (
        "destination/labels",
        &["", r#"{"app": "web"}"#, r#"{"app": "api"}"#],
    ),
    (
        "request/time",
        &[
            "",
            r#""2023-11-14T22:13:20Z""#,
            r#""2023-11-14T22:13:20.5Z""#,
        ],
    ),
    ("request/http/id", &["", r#""1""#, r#""2""#]),
    (
        "request/http/method",
        &[
            r#""GET""#,
            r#""POST""#,
            r#""get""#,
            r#""OPTIONS""#,
            r#""CONNECT""#,
            r#""1GET""#,
            "",
        ],
    ),
    (
        "request/http/path",
        &[
            r#""/a""#,
            r#""/a/b""#,
            r#""/a?x=1""#,
            r#""/a?x=2""#,
            r#""/a#f""#,
            r#""//a""#,
            r#""/A""#,
            r#""/%61""#,
            r#""/a/%2fb""#,
            r#""/a/./b""#,
            r#""/""#,
            r#""*""#,
            r#""/%zz?x=%zz""#,
            "",
        ],
    ),
    (
        "request/http/host",
        &[
            r#""a.com""#,
            r#""A.com""#,
            r#""a.com:8080""#,
            r#""b.com""#,
            "",
        ],
    ),
    ("request/http/scheme", &[r#""https""#, r#""http""#, ""]),
    ("request/http/query", &["", r#""x=1""#]),
    ("request/http/fragment", &["", r#""x=1""#]),
    ("request/http/size", &["", r#""1""#, r#""-1""#]),
    (
        "request/http/protocol",
        &[r#""HTTP/1.1""#, r#""HTTP/2""#, ""],
    ),
    (
        "request/http/body",
        &[
            "",
            r#""{\"a\": 1}""#,
            r#""{\"a\": \"1\"}""#,
            r#""{\"a\": 1.0}""#,
            r#""{\"a\": null}""#,
            r#""{\"a\": \"null\"}""#,
            r#""a=bc""#,
            r#""ab=c""#,
            r#""{\"a\"""#,
        ],
    ),
    (
        "request/http/rawBody",
        &["", "", r#""eyJhIjogMX0=""#, r#""eyJhIjogMn0=""#],
    ),
    (
        "contextExtensions/k",
        &["", r#""""#, r#""bc""#, r#""null""#],
    ),
    ("contextExtensions/kb", &["", r#""c""#]),
    (
        "contextExtensions/doorward.namespace",
        &["", "", r#""foo""#, r#""bar""#],
    ),
    (
        "contextExtensions/doorward.labels",
        &["", "", r#""app=web""#, r#""app=api""#],
    ),
    (
        "contextExtensions/doorward.service-account",
        &["", r#""web""#],
    ),
    (
        "metadataContext/filterMetadata/f/k",
        &[
            "1",
            r#""1""#,
            "1.0",
            "null",
            r#""null""#,
            "true",
            r#""""#,
            "{}",
            "[]",
            "[1]",
            r#"["1"]"#,
            r#"{"a": "bc"}"#,
            r#"{"ab": "c"}"#,
            "1.5",
            "",
        ],
    ),
    (
        "metadataContext/filterMetadata/f/l",
        &["", r#""a""#, r#""b""#],
    ),
    (
        "metadataContext/filterMetadata/envoy.filters.http.lua/k",
        &["", r#""v""#, r#"["v"]"#, r#"["w", "v"]"#, r#""vx""#],
    ),
    (
        "metadataContext/typedFilterMetadata/t",
        &[
            "",
            r#"{"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": 1}}"#,
            r#"{"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": 2}}"#,
        ],
    ),
    (
        "routeMetadataContext/filterMetadata/f/k",
        &["", "1", r#""1""#, "null"],
    ),
    (
        "tlsSession",
        &[
            "",
            "{}",
            r#"{"sni": "a.com"}"#,
            r#"{"sni": "A.com"}"#,
            r#"{"sni": "b.com"}"#,
        ],
    ),
];

/// Headers, and the lines of each.
pub const HEADERS: &[(&str, &[&[&str]])] = &[
    (
        "x-a",
        &[
            &["a"],
            &["ab"],
            &[""],
            &[],
            &["v"],
            &["v", "w"],
            &["v,w"],
            &["w", "v"],
            &["null"],
            &["1"],
            &["1.0"],
            &["true"],
        ],
    ),
    ("x-b", &[&["bc"], &["c"], &[], &["v"], &[""]]),
    (
        "x-c",
        &[
            &[],
            &["1"],
            &["\"1\""],
            &["1.0"],
            &["null"],
            &["{\"allowed\": true}"],
            &["{\"allowed\": false}"],
            &["v"],
        ],
    ),
    ("X-A", &[&[], &[], &[], &["v"], &["a"]]),
    (
        "content-type",
        &[
            &["application/json"],
            &[],
            &["application/x-www-form-urlencoded"],
            &["text/plain"],
        ],
    ),
    ("content-length", &[&[], &["8"], &["9"]]),
    ("x-envoy-auth-partial-body", &[&[], &["true"], &["false"]]),
    (
        "x-forwarded-for",
        &[
            &[],
            &["10.0.0.1"],
            &["203.0.113.9, 10.0.0.1"],
            &["203.0.113.9", "10.0.0.200"],
            &["unknown"],
        ],
    ),
    (
        "x-forwarded-client-cert",
        &[
            &[],
            &["URI=spiffe://cluster.local/ns/foo/sa/b"],
            &["URI=spiffe://td1/ns/bar/sa/a"],
            &["By=x;Hash=y"],
            &["\""],
        ],
    ),
    ("origin", &[&[], &["https://a.com"]]),
    ("access-control-request-method", &[&[], &["GET"]]),
    ("x-user", &[&[], &["eve"]]),
    ("x_user", &[&[], &["eve"]]),
    ("traceparent", &[&["1"], &["2"], &["3"], &["4"], &[]]),
];

/// Words in policies beside a part's own name that tell that it is read.
pub const TELLING: &[(&str, &str)] = &[
    ("Blocks", "source/address"),
    ("Blocks", "x-forwarded-for"),
    (".ip", "source/address"),
    ("remote.ip", "x-forwarded-for"),
    ("orts\"", "destination/address"),
    ("destination.", "destination/address"),
    ("incipals", "source/principal"),
    ("amespaces", "source/principal"),
    ("ustDomains", "source/principal"),
    ("ccounts", "source/principal"),
    ("mtls", "source/principal"),
    ("trusted_xfcc_peers: [T", "x-forwarded-client-cert"),
    ("connection.sni", "tlsSession"),
    ("connection.sni", "destination/service"),
    ("osts\"", "request/http/host"),
    (":authority", "request/http/host"),
    ("ethods\"", "request/http/method"),
    ("aths\"", "request/http/path"),
    ("parsed_", "request/http/path"),
    ("parsed_body", "content-type"),
    ("truncated_body", "x-envoy-auth-partial-body"),
    ("filterMetadata", "metadataContext/filterMetadata/f/k"),
    ("f.k", "metadataContext/filterMetadata/f/k"),
    (
        "lua[",
        "metadataContext/filterMetadata/envoy.filters.http.lua/k",
    ),
    (
        "typedFilterMetadata",
        "metadataContext/typedFilterMetadata/t",
    ),
    ("routeMetadata", "routeMetadataContext/filterMetadata/f/k"),
    ("workload", "contextExtensions/doorward.labels"),
    ("workload", "contextExtensions/doorward.namespace"),
];

/// The parts beside those of the tables, in the order in which they follow them: values of what stands below.
pub const OTHERS: [&str; 6] = ["shape", "form", "version", "place", "token", "second token"];

/// Where a token is.
pub const PLACES: &[&str] = &[
    "authorization",
    "x-token",
    "access_token",
    "session",
    "basic",
];
/// What there is of a request; how headers are told.
pub const SHAPES: &[&str] = &[
    "http",
    "http",
    "http",
    "http",
    "http",
    "http",
    "tcp",
    "no request",
    "nothing",
];
pub const FORMS: &[&str] = &["joined", "joined", "lines", "lines as text"];
pub const VERSIONS: &[ProtocolVersion] = &[
    ProtocolVersion::V3,
    ProtocolVersion::V3,
    ProtocolVersion::V3,
    ProtocolVersion::V2,
];
