//! Policies ask others while a check waits: what is sent, and what is never asked. Whom they trust
//! is in `trust`, what they remember in `memory`, and who waits for it in `waiting`.

mod memory;
mod trust;
mod waiting;

use serde_json::{Value, json};

use crate::support::check::{Reply, http_check};
use crate::support::upstream::{Asked, Play, Upstream, answer};
use crate::support::{Checks, Options, Server, http};

/// Sends what the request's header says, and tells the client what came back.
const POLICY: &str = r#"package envoy.authz

asks := input.attributes.request.http.headers["x-send"]

allow := {"allowed": false, "http_status": 403, "body": json.marshal(http.send(json.unmarshal(asks)))}

allow := true if not asks

allow := {"allowed": false, "http_status": 403, "body": json.marshal(net.lookup_ip_addr(name))} if {
	name := input.attributes.request.http.headers["x-name"]
	not asks
}
"#;
/// Time is no subject of most tests.
const CONFIG: &str = "rego: { http_send: true }\nexternal: { deadline: 60s }\n";

fn start(config: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.rego");
    let text = POLICY.replace("allow := true if not asks", "allow := true if {\n\tnot asks\n\tnot input.attributes.request.http.headers[\"x-name\"]\n}");
    std::fs::write(&policy, text).unwrap();
    let server = Server::with(Options {
        config: config.to_owned(),
        arguments: vec![policy.display().to_string()],
        ..Options::default()
    });
    (server, folder)
}

async fn ask(checks: &Checks, request: &Value) -> Reply {
    let request = request.to_string();
    checks
        .check(&http_check("GET", "/", &[("x-send", &request)]))
        .await
}

/// What a request comes to in the policy.
async fn send(checks: &Checks, request: &Value) -> Value {
    let reply = ask(checks, request).await;
    let denial = reply.denial().unwrap();
    serde_json::from_str(&denial.body)
        .unwrap_or_else(|_| panic!("{request}: {:?}", reply.response.status))
}

/// The message of the failure that a request comes to.
async fn failure(checks: &Checks, request: &Value) -> String {
    let mut request = request.clone();
    request["raise_error"] = json!(false);
    let answer = send(checks, &request).await;
    assert_eq!(answer["status_code"], 0, "{request}: {answer}");
    let message = &answer["error"]["message"];
    message.as_str().unwrap().to_owned()
}

fn get(url: &str) -> Value {
    json!({"method": "GET", "url": url})
}

/// Tells what it was asked.
fn echo(asked: &Asked) -> Play {
    let mut headers: Vec<_> = asked
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    headers.sort();
    let body = json!({"line": asked.line, "headers": headers, "body": asked.body});
    answer(
        "200 Fine",
        &[
            ("Content-Type", "application/json"),
            ("X-A", "1"),
            ("x-a", "2"),
        ],
        &body.to_string(),
    )
}

#[tokio::test]
async fn requests_and_answers() {
    let upstream = Upstream::start(echo);
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    let url = upstream.url("/a/%2F?b=c4n4ry#d");
    let answer = send(&checks, &get(&url)).await;
    assert_eq!(answer["status"], "200 Fine");
    assert_eq!(answer["status_code"], 200);
    assert_eq!(answer["headers"]["x-a"], json!(["1", "2"]));
    let address = upstream.address();
    let agent = concat!("User-Agent: doorward/", env!("CARGO_PKG_VERSION"));
    let expected = json!({"line": "GET /a/%2F?b=c4n4ry HTTP/1.1", "body": "",
        "headers": [format!("Host: {address}"), agent]});
    assert_eq!(answer["body"], expected);
    assert_eq!(answer["raw_body"], expected.to_string());

    let request = json!({"method": "post", "url": upstream.url("/"), "body": {"a": 1},
        "headers": {"Host": "h.example", "x-b": "2", "User-Agent": "me", "Authorization": "Bearer s3cret"}});
    let answer = send(&checks, &request).await;
    let expected = json!({"line": "POST / HTTP/1.1", "body": "{\"a\":1}",
        "headers": ["Authorization: Bearer s3cret", "Content-Length: 7", "Host: h.example", "User-Agent: me", "X-B: 2"]});
    assert_eq!(answer["body"], expected);

    let request = get(&upstream.url("/").replace("http://", "http://me:p%40ss@"));
    let answer = send(&checks, &request).await;
    let headers = answer["body"]["headers"].as_array().unwrap().clone();
    assert!(
        headers.contains(&json!("Authorization: Basic bWU6cEBzcw==")),
        "{headers:?}"
    );

    // Names are resolved, and the decision is remembered in no case.
    let request = get(&upstream.url("/").replace("127.0.0.1", "localhost"));
    for _ in 0..2 {
        let reply = ask(&checks, &request).await;
        assert!(!reply.cached());
    }
    assert_eq!(upstream.asked().len(), 5);
    let reply = checks
        .check(&http_check("GET", "/", &[("x-name", "localhost")]))
        .await;
    let names = &reply.denial().unwrap().body;
    assert!(
        names.contains("\"127.0.0.1\"") || names.contains("\"::1\""),
        "{names}"
    );

    let metrics = http::get(&server.url("/metrics")).body;
    let row = "doorward_external_requests_total{result=\"answer\"} 5";
    assert!(metrics.lines().any(|line| line == row), "{metrics}");
    for text in [metrics, server.said()] {
        assert!(
            !text.contains("c4n4ry") && !text.contains("s3cret"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn servers_that_answer_badly() {
    let endless = "HTTP/1.1 200 OK\r\n\r\n";
    let upstream = Upstream::start(move |asked| match asked.path() {
        "/hang" => Play::Held(String::new()),
        "/late-body" => Play::Answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_owned()),
        "/endless" => Play::Endless(endless.to_owned()),
        "/garbage" => Play::Answer("what?\r\n\r\n".to_owned()),
        "/many-headers" => Play::Endless("HTTP/1.1 200 OK\r\na: ".to_owned()),
        "/close" => Play::Close,
        other => panic!("{other}"),
    });
    let config = CONFIG.replace("60s", "60s, max_response_bytes: 1MiB");
    let (server, _folder) = start(&config);
    let checks = server.checks().await;
    let rows = [
        ("/hang", "request timed out"),
        ("/late-body", "reading the body timed out"),
        ("/endless", "the answer is larger than 1048576 bytes"),
        ("/garbage", "invalid HTTP version parsed"),
        ("/many-headers", "message head is too large"),
        ("/close", "connection closed before message completed"),
    ];
    for (path, expected) in rows {
        let mut request = get(&upstream.url(path));
        request["timeout"] = json!(if expected.contains("timed out") {
            "200ms"
        } else {
            "50s"
        });
        let message = failure(&checks, &request).await;
        assert!(message.contains(expected), "{path}: {message}");
        // Raised, it is undefined, and the entrypoint with it.
        let reply = ask(&checks, &request).await;
        let status = reply.response.status.clone().unwrap();
        assert_eq!(
            (reply.status(), status.message.as_str()),
            (403, "undefined decision")
        );
    }
    let rows = [
        (
            json!("http://127.0.0.1:1/"),
            "Get \"http://127.0.0.1:1/\": ",
        ),
        (json!("http://127.0.0.1:1/"), "Connection refused"),
        (
            json!("http://169.254.169.254/latest/"),
            "address 169.254.169.254 is link-local",
        ),
        (json!("http://[::ffff:a9fe:a9fe]/"), "is link-local"),
        (json!("http://0xa9fea9fe/"), "is link-local"),
        (
            json!("ftp://127.0.0.1/"),
            "unsupported protocol scheme \"ftp\"",
        ),
        (
            json!("unix://localhost/x?socket=%2Fvar%2Frun%2Fdocker.sock"),
            "unsupported protocol scheme \"unix\"",
        ),
        (
            json!("file:///etc/passwd"),
            "unsupported protocol scheme \"file\"",
        ),
        (json!("/x"), "unsupported protocol scheme \"\""),
        (json!("http://"), "the URL cannot be read"),
        (
            json!("http://me:s3cret@127.0.0.1:1/"),
            "Get \"http://me:xxxxx@127.0.0.1:1/\": ",
        ),
    ];
    for (url, expected) in rows {
        let message = failure(&checks, &get(url.as_str().unwrap())).await;
        assert!(message.contains(expected), "{url}: {message}");
    }
    for (request, expected) in [
        (
            json!({"method": "G T", "url": upstream.url("/")}),
            "the method is no method",
        ),
        (
            json!({"method": "GET", "url": upstream.url("/"), "headers": {"a b": "1"}}),
            "a header cannot be sent",
        ),
        (
            json!({"method": "GET", "url": upstream.url("/"), "headers": {"a": "1\nb: 2"}}),
            "a header cannot be sent",
        ),
    ] {
        let message = failure(&checks, &request).await;
        assert!(message.contains(expected), "{request}: {message}");
    }
}

#[tokio::test]
async fn redirects() {
    let other = Upstream::start(echo);
    let target = other.url("/end");
    let upstream = Upstream::start(move |asked| {
        let to = match asked.path() {
            "/loop" => "/loop",
            "/metadata" => "http://169.254.169.254/latest/meta-data/",
            "/file" => "file:///etc/passwd",
            "/away" => &target,
            "/here" => "end",
            _ => return echo(asked),
        };
        answer("307 Temporary Redirect", &[("location", to)], "moved")
    });
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    // Off unless asked for.
    let answer = send(&checks, &get(&upstream.url("/metadata"))).await;
    assert_eq!(
        (&answer["status_code"], &answer["raw_body"]),
        (&json!(307), &json!("moved"))
    );
    let follow = |path: &str| {
        json!({"method": "PUT", "url": upstream.url(path), "enable_redirect": true, "raw_body": "b",
            "headers": {"authorization": "s3cret", "cookie": "s3cret", "x-b": "1"}})
    };
    let rows = [
        ("/loop", "stopped after 10 redirects"),
        ("/metadata", "address 169.254.169.254 is link-local"),
        ("/file", "unsupported protocol scheme \"file\""),
    ];
    for (path, expected) in rows {
        let message = failure(&checks, &follow(path)).await;
        assert!(message.contains(expected), "{path}: {message}");
    }
    let here = send(&checks, &follow("/here")).await["body"].clone();
    assert_eq!(
        (&here["line"], &here["body"]),
        (&json!("PUT /end HTTP/1.1"), &json!("b"))
    );
    assert!(
        here["headers"]
            .to_string()
            .contains("Authorization: s3cret")
    );
    // What is secret stays with the server it was meant for.
    let away = send(&checks, &follow("/away")).await["body"].clone();
    assert_eq!(
        (&away["line"], &away["body"]),
        (&json!("PUT /end HTTP/1.1"), &json!("b"))
    );
    let headers = away["headers"].to_string();
    assert!(
        headers.contains("X-B: 1") && !headers.contains("s3cret"),
        "{headers}"
    );
}

#[tokio::test]
async fn the_process_itself_is_never_asked() {
    let allowing = CONFIG.replace("60s", "60s, allowed_addresses: [127.0.0.1]");
    let (server, _folder) = start(&allowing);
    let checks = server.checks().await;
    let management = server.url("/v1/status");
    let upstream = Upstream::start({
        let management = management.clone();
        move |_| answer("302 Found", &[("location", &management)], "")
    });
    let mut redirected = get(&upstream.url("/"));
    redirected["enable_redirect"] = json!(true);
    let requests = [
        get(&management),
        get(&management.replace("127.0.0.1", "localhost")),
        get(&management.replace("127.0.0.1", "[::ffff:127.0.0.1]")),
        redirected,
    ];
    for request in requests {
        let message = failure(&checks, &request).await;
        let why = " is this machine's, which may not be asked there";
        assert!(message.contains(why), "{request}: {message}");
    }
}

#[tokio::test]
async fn addresses_are_an_operators_to_allow_and_refuse() {
    let upstream = Upstream::start(echo);
    let refusing = CONFIG.replace("60s", "60s, refused_addresses: [127.0.0.0/8]");
    let (server, _folder) = start(&refusing);
    let checks = server.checks().await;
    for url in [
        upstream.url("/"),
        upstream.url("/").replace("127.0.0.1", "localhost"),
    ] {
        let message = failure(&checks, &get(&url)).await;
        assert!(message.contains("address 127.0.0.1 is"), "{url}: {message}");
    }
    assert!(upstream.asked().is_empty());
}
