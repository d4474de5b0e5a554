//! Whatever a check holds, the answer is a denial and never an error: an error is what a proxy set
//! to fail open lets pass.

use prost::Message as _;
use tonic::Code;

use crate::support::check::{http_check, http_of, tcp_check};
use crate::support::{Server, bundle, http};

/// Everything is allowed, so that only the form of a request can deny it.
async fn open_server() -> Server {
    let server = Server::start();
    http::put(
        &server.url("/v1/bundles/open"),
        &bundle::constant("1", "true"),
    )
    .expect(200);
    server
}

#[tokio::test]
async fn bytes_that_are_no_message_are_denied() {
    let server = open_server().await;
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows());
    let rows: &[&[u8]] = &[
        b"\xff\xff\xff\xff",
        b"\x0a\x05ab",
        b"not protobuf at all",
        &[0x0a; 64],
    ];
    for bytes in rows {
        let reply = checks.send(bytes.to_vec()).await.unwrap();
        assert_eq!((reply.allows(), reply.status()), (false, 400), "{bytes:?}");
    }
}

#[tokio::test]
async fn bad_utf8_in_any_string_is_denied() {
    let server = open_server().await;
    let checks = server.checks().await;
    let mark = "MARK";
    let places: &[fn(&mut doorward_proto::envoy::service::auth::v3::CheckRequest)] = &[
        |check| http_of(check).path = "MARK".to_owned(),
        |check| http_of(check).host = "MARK".to_owned(),
        |check| http_of(check).method = "MARK".to_owned(),
        |check| http_of(check).scheme = "MARK".to_owned(),
        |check| http_of(check).body = "MARK".to_owned(),
        |check| http_of(check).id = "MARK".to_owned(),
        |check| {
            drop(
                http_of(check)
                    .headers
                    .insert("x".to_owned(), "MARK".to_owned()),
            );
        },
        |check| {
            drop(
                http_of(check)
                    .headers
                    .insert("MARK".to_owned(), "x".to_owned()),
            );
        },
        |check| {
            check
                .attributes
                .as_mut()
                .unwrap()
                .source
                .as_mut()
                .unwrap()
                .principal = "MARK".to_owned();
        },
        |check| {
            check
                .attributes
                .as_mut()
                .unwrap()
                .source
                .as_mut()
                .unwrap()
                .service = "MARK".to_owned();
        },
        |check| {
            let extensions = &mut check.attributes.as_mut().unwrap().context_extensions;
            extensions.insert("k".to_owned(), "MARK".to_owned());
        },
    ];
    for (index, place) in places.iter().enumerate() {
        let mut check = http_check("GET", "/", &[]);
        place(&mut check);
        let mut bytes = check.encode_to_vec();
        let at = bytes
            .windows(mark.len())
            .position(|window| window == mark.as_bytes())
            .unwrap();
        bytes[at] = 0xff;
        let reply = checks.send(bytes).await.unwrap();
        assert!(!reply.allows(), "place {index}");
    }
}

#[tokio::test]
async fn an_empty_check_is_decided_like_a_connection() {
    let server = Server::start();
    let checks = server.checks().await;
    // No message, no attributes, empty attributes: nothing speaks for any of them.
    for bytes in [&b""[..], b"\x0a\x00"] {
        let reply = checks.send(bytes.to_vec()).await.unwrap();
        assert_eq!(reply.code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_connection_is_decided_by_what_can_be_known_of_it() {
    let server = Server::start();
    let checks = server.checks().await;
    let policy = |name: &str, rules: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: {name} }}\nspec: {{ {rules} }}\n"
        )
    };
    let put = |yaml: String| {
        http::put(&server.url("/v1/resources?prune=true"), yaml.as_bytes()).expect(200)
    };
    let friend = tcp_check("spiffe://cluster.local/ns/default/sa/friend");
    let stranger = tcp_check("spiffe://cluster.local/ns/default/sa/stranger");

    // An identity is known on TCP too.
    put(policy(
        "a",
        "rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/friend] } }] }]",
    ));
    assert!(checks.check(&friend).await.allows());
    assert!(!checks.check(&stranger).await.allows());
    // A rule about HTTP allows no connection,
    put(policy(
        "a",
        "rules: [{ to: [{ operation: { methods: [GET] } }] }]",
    ));
    assert!(!checks.check(&friend).await.allows());
    // and one that denies by HTTP denies every connection.
    put(policy("a", "rules: [{}]")
        + "---\n"
        + &policy(
            "b",
            "action: DENY, rules: [{ to: [{ operation: { paths: [/x] } }] }]",
        ));
    assert!(!checks.check(&friend).await.allows());
    assert!(checks.get("/y").await.allows());
}

#[tokio::test]
async fn rego_written_for_http_does_not_allow_a_connection_by_accident() {
    let server = Server::start();
    let bundle = bundle::archive(&[(
        "policy.rego",
        "package envoy.authz\n\ndefault allow := false\n\nallow if input.attributes.request.http.method == \"GET\"\n",
    )]);
    http::put(&server.url("/v1/bundles/http"), &bundle).expect(200);
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows());
    assert!(!checks.check(&tcp_check("")).await.allows());
}

#[tokio::test]
async fn control_characters_are_denied() {
    let server = open_server().await;
    let checks = server.checks().await;
    for value in ["a\0b", "a\rb", "a\nb"] {
        let reply = checks
            .check(&http_check("GET", "/", &[("x-a", value)]))
            .await;
        assert_eq!(reply.status(), 400, "{value:?}");
        let reply = checks
            .check(&http_check("GET", &format!("/{value}"), &[]))
            .await;
        assert_eq!(reply.status(), 400, "{value:?}");
    }
    assert!(
        checks
            .check(&http_check("GET", "/", &[("x-a", "a\tb")]))
            .await
            .allows()
    );
}

#[tokio::test]
async fn odd_but_legal_checks_are_decided() {
    let server = open_server().await;
    let checks = server.checks().await;
    // CONNECT has no path.
    assert!(checks.check(&http_check("CONNECT", "", &[])).await.allows());
    // Headers of one megabyte.
    let large = "x".repeat(64 * 1024);
    let names: Vec<_> = (0..16).map(|index| format!("x-{index}")).collect();
    let headers: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), large.as_str()))
        .collect();
    assert!(
        checks
            .check(&http_check("GET", "/", &headers))
            .await
            .allows()
    );
    // A field that a later protocol may bring.
    let mut bytes = http_check("GET", "/", &[]).encode_to_vec();
    bytes.extend([0xfa, 0x07, 0x03, b'n', b'e', b'w']);
    assert!(checks.send(bytes).await.unwrap().allows());
}

#[tokio::test]
async fn a_check_over_the_limit_is_denied() {
    let server = Server::with_config("ext_authz: { max_message_bytes: 1KiB }");
    http::put(
        &server.url("/v1/bundles/open"),
        &bundle::constant("1", "true"),
    )
    .expect(200);
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows());
    let reply = checks
        .check(&http_check("GET", "/", &[("x", &"y".repeat(2_000))]))
        .await;
    assert_eq!(reply.status(), 400);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let server = open_server().await;
    let checks = server.checks().await;
    let error = checks
        .send_to("/envoy.service.auth.v3.Authorization/Nothing", vec![])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}

/// A request target that is no path could be read as any path further on.
#[tokio::test]
async fn a_target_that_is_no_path_is_not_slipped_past_a_rule() {
    let server = Server::start();
    let yaml = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: all }\nspec: { rules: [{}] }\n\
                ---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: admin }\n\
                spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/admin] } }] }] }\n";
    http::put(&server.url("/v1/resources"), yaml.as_bytes()).expect(200);
    let checks = server.checks().await;
    let rows = [
        ("/admin", false),
        ("/admin?x", false),
        ("/open", true),
        ("admin", false),
        ("http://web.example/admin", false),
        ("?admin", false),
        ("#admin", false),
        ("*?admin", false),
        ("*", true),
    ];
    for (path, allowed) in rows {
        assert_eq!(checks.get(path).await.allows(), allowed, "{path}");
    }
}

/// What the proxy's configuration says of a workload must be understood, or DENY policies that
/// select it would not be found.
#[tokio::test]
async fn labels_that_are_not_understood_deny() {
    let server = open_server().await;
    let checks = server.checks().await;
    for (labels, allowed) in [
        ("app=web", true),
        ("app:web", false),
        ("app=a,app=b", false),
    ] {
        let mut check = http_check("GET", "/", &[]);
        let extensions = &mut check.attributes.as_mut().unwrap().context_extensions;
        extensions.insert("doorward.labels".to_owned(), labels.to_owned());
        assert_eq!(checks.check(&check).await.allows(), allowed, "{labels}");
    }
}
