//! From start to end: what is said when, and to whom.

use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

use crate::support::bundle::constant;
use crate::support::{Options, Server, doorward, http};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const SERVING: &[u8] = &[8, 1];
const NOT_SERVING: &[u8] = &[8, 2];

#[tokio::test]
async fn with_nothing_loaded_all_is_denied_and_nothing_ready() {
    let server = Server::start();
    assert_eq!(server.revision, 0);
    let checks = server.checks().await;
    let reply = checks.get("/").await;
    assert_eq!(
        (reply.status(), reply.text("reason").as_deref()),
        (403, Some("no_policy"))
    );
    http::get(&server.url("/livez")).expect(200);
    assert_eq!(
        http::get(&server.url("/readyz")).expect(503).body,
        "no policy is loaded\n"
    );
    assert_eq!(
        http::get(&server.url("/health?bundles")).expect(500).json()["error"],
        "one or more bundles are not activated"
    );
    http::get(&server.url("/health?plugins")).expect(200);
    assert_eq!(checks.call(HEALTH, vec![]).await.unwrap(), NOT_SERVING);

    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    http::get(&server.url("/readyz")).expect(200);
    assert_eq!(
        http::get(&server.url("/health?bundles&plugins"))
            .expect(200)
            .json(),
        serde_json::json!({})
    );
    // Of the service by name, too; one that is not there is not found.
    let service = "envoy.service.auth.v3.Authorization";
    let mut name = vec![0x0a, u8::try_from(service.len()).unwrap()];
    name.extend(service.bytes());
    // Health follows policy a moment later.
    let mut healthy = checks.call(HEALTH, name.clone()).await.unwrap();
    for _ in 0..500 {
        if healthy == SERVING {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        healthy = checks.call(HEALTH, name.clone()).await.unwrap();
    }
    assert_eq!(healthy, SERVING);
    let error = checks
        .call(HEALTH, b"\x0a\x01x".to_vec())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    let checks = server.checks().await;
    for _ in 0..3 {
        checks.get("/").await;
    }
    checks.send(vec![0xff]).await.unwrap();
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    let rows = [
        "doorward_decisions_total{effect=\"allow\",reason=\"rego\"} 3",
        "doorward_decisions_total{effect=\"deny\",reason=\"invalid_request\"} 1",
        "doorward_decision_cache_total{result=\"hit\"} 2",
        "doorward_undecodable_requests_total 1",
        "doorward_check_duration_seconds_count 4",
        "doorward_panics_total 0",
        "doorward_activations_total{result=\"success\"} 1",
        "doorward_snapshot_revision 1",
    ];
    for row in rows {
        assert!(metrics.lines().any(|line| line == row), "{row}\n{metrics}");
    }
}

#[tokio::test]
async fn reflection_is_off_unless_asked_for() {
    let method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    // Asks for the list of services.
    let list = || vec![0x3a, 0x00];
    let server = Server::start();
    let error = server
        .checks()
        .await
        .call(method, list())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    let server = Server::with_config("ext_authz: { reflection: true }");
    let services = server.checks().await.call(method, list()).await.unwrap();
    let name = b"envoy.service.auth.v3.Authorization";
    assert!(services.windows(name.len()).any(|window| window == name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_server_drains() {
    let mut server = Server::with_config("shutdown: { drain_delay: 500ms, grace: 5s }");
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    let checks = server.checks().await;
    let load = tokio::spawn(async move {
        let mut answered = 0;
        // Ends with the connection, after every check that was taken was answered.
        while let Ok(reply) = checks.send(vec![]).await {
            assert!(reply.allows());
            answered += 1;
        }
        answered
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.signal("TERM");
    // Readiness falls while checks are still taken.
    let url = server.url("/readyz");
    crate::support::eventually("readiness falls", || http::get(&url).status == 503).await;
    let answered = load.await.unwrap();
    assert_eq!(server.wait(), Some(0));

    // Nothing that was answered is missing from the log.
    let data = Arc::clone(&server.data);
    let server = Server::with(Options {
        data: Some(data),
        ..Options::default()
    });
    let mut logged = 0;
    let mut filter = "limit=1000".to_owned();
    loop {
        let page = http::get(&server.url(&format!("/v1/decisions?{filter}")))
            .expect(200)
            .json();
        logged += page["decisions"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(cursor) => filter = format!("limit=1000&cursor={cursor}"),
            None => break,
        }
    }
    assert!(answered > 0 && logged >= answered, "{logged} of {answered}");
}

/// Once proxies were told to go elsewhere, a push does not call them back.
#[tokio::test]
async fn a_push_does_not_end_a_drain() {
    let mut server = Server::with_config("shutdown: { drain_delay: 1s }");
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    let checks = server.checks().await;
    server.signal("TERM");
    let url = server.url("/readyz");
    crate::support::eventually("readiness falls", || http::get(&url).status == 503).await;
    http::delete(&server.url("/v1/bundles/b")).expect(200);
    http::put(&server.url("/v1/bundles/b"), &constant("2", "true")).expect(200);
    for _ in 0..10 {
        assert_eq!(checks.call(HEALTH, vec![]).await.unwrap(), NOT_SERVING);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.wait(), Some(0));
}

#[tokio::test]
async fn a_start_that_cannot_be_says_why() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().to_string();
    let rows: &[(&str, &[&str], &str)] = &[
        ("polices: [x]", &[], "did you mean `policies`?"),
        ("policies: [does/not/exist]", &[], "does/not/exist"),
        (
            "bundles: { b: { path: does/not/exist } }",
            &[],
            "cannot be read",
        ),
        (
            "",
            &["--ext-authz-listen", &taken],
            "is another process there?",
        ),
        (
            "",
            &["--management-listen", "0.0.0.0:0"],
            "management.tokens",
        ),
        ("rego: { entrypoint: 7 }", &[], "invalid type"),
    ];
    for (config, arguments, message) in rows {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let options = Options {
            config: (*config).to_owned(),
            arguments,
            ..Options::default()
        };
        let said = Server::try_with(options)
            .err()
            .unwrap_or_else(|| panic!("{config} started"));
        assert!(
            said.contains("exit status: 3") && said.contains(message),
            "{config}: {said}"
        );
    }
}

#[tokio::test]
async fn a_token_is_asked_for_on_every_call_but_probes() {
    // printf %s open-sesame | sha256sum
    let digest = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";
    let server = Server::with_config(&format!("management: {{ tokens: ['sha256:{digest}'] }}"));
    let calls = [
        ("GET", "/v1/bundles"),
        ("PUT", "/v1/bundles/b"),
        ("DELETE", "/v1/bundles/b"),
        ("PUT", "/v1/resources"),
        ("GET", "/v1/decisions"),
        ("GET", "/v1/status"),
        ("GET", "/metrics"),
        ("GET", "/health"),
        ("GET", "/nothing"),
    ];
    for (method, path) in calls {
        let call =
            |headers: &[(&str, &str)]| http::send(method, &server.url(path), headers, b"").status;
        assert_eq!(call(&[]), 401, "{method} {path}");
        assert_eq!(
            call(&[("authorization", "Bearer open-sesam")]),
            401,
            "{method} {path}"
        );
        assert_ne!(
            call(&[("authorization", "Bearer open-sesame")]),
            401,
            "{method} {path}"
        );
    }
    http::get(&server.url("/livez")).expect(200);
    http::get(&server.url("/readyz")).expect(503);
}

/// Who takes all the connections they can get is in no probe's way, nor does the log fill up.
#[tokio::test]
async fn nobody_alone_keeps_probes_out() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = Server::start();
    let connect = async |from: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket
            .connect(server.management.parse().unwrap())
            .await
            .unwrap()
    };
    let livez = async |from: [u8; 4]| {
        let mut stream = connect(from).await;
        let head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        drop(stream.write_all(head).await);
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer).await);
        answer.starts_with("HTTP/1.1 200")
    };
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(connect([127, 0, 0, 1]).await);
    }
    assert!(!livez([127, 0, 0, 1]).await);
    assert!(livez([127, 0, 0, 2]).await);
    drop(silent);
    let answered = async {
        while !livez([127, 0, 0, 1]).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered)
        .await
        .unwrap();
    let said = server.said();
    assert_eq!(said.matches("connections were closed").count(), 1, "{said}");
}

#[tokio::test]
async fn without_tokens_only_this_machine_is_answered() {
    let server = Server::start();
    let status =
        |host: &str| http::send("GET", &server.url("/v1/bundles"), &[("host", host)], b"").status;
    assert_eq!(status("evil.example"), 401);
    assert_eq!(status("localhost:8181"), 200);
    assert_eq!(status("[::1]:8181"), 200);
    // One host, and one that can be read.
    let raw = |head: &str| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(&server.management).unwrap();
        stream
            .write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(raw("GET /v1/bundles HTTP/1.1\r\nHost: localhost"), "200");
    assert_eq!(raw("GET /v1/bundles HTTP/1.0"), "401");
    assert_eq!(
        raw("GET /v1/bundles HTTP/1.1\r\nHost: localhost\r\nHost: evil.example"),
        "401"
    );
    assert_eq!(
        raw("GET http://evil.example/v1/bundles HTTP/1.1\r\nHost: localhost"),
        "401"
    );
    // A page of elsewhere can have a browser post to this machine, without reading the answer.
    // Without a body, as the answer does not wait for one; who may ask is told that it is missing.
    let post = |origin: &str| {
        let head = "POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0";
        raw(&format!("{head}\r\nOrigin: {origin}"))
    };
    assert_eq!(post("https://evil.example"), "401");
    assert_eq!(post("null"), "401");
    assert_eq!(post("http://localhost.evil.example:8181"), "401");
    assert_eq!(post("http://localhost:8181"), "400");
    // One that only has an image loaded does so, too, and names no origin.
    let image = |site: &str| {
        let head = "GET /v1/query?q=true HTTP/1.1\r\nHost: localhost";
        raw(&format!("{head}\r\nSec-Fetch-Site: {site}"))
    };
    assert_eq!(image("cross-site"), "401");
    assert_eq!(image("same-origin"), "200");
}

#[tokio::test]
async fn commands_end_with_their_codes() {
    let code = |arguments: &[&str]| doorward().args(arguments).output().unwrap().status.code();
    assert_eq!(code(&["version"]), Some(0));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["nonsense"]), Some(2));
    assert_eq!(code(&["serve", "--nonsense"]), Some(2));
    assert_eq!(code(&["validate", "policies/quickstart"]), Some(0));
    assert_eq!(
        code(&["validate", "--bundle", "bundles/quickstart"]),
        Some(0)
    );
    assert_eq!(code(&["validate", "tests/fixtures/bad.yaml"]), Some(1));
    let server = Server::start();
    let health = |address: &str| code(&["healthcheck", "--management", address]);
    assert_eq!(health(&server.management), Some(1));
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    assert_eq!(health(&server.management), Some(0));
    assert_eq!(health("127.0.0.1:1"), Some(3));
}
