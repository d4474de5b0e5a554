//! Asking what becomes of a request without a proxy, over the API and from the command line.

use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Server, doorward, http};

const POLICY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: readers, namespace: default }
spec:
  rules:
    - from: [{ source: { principals: [cluster.local/ns/web/sa/front] } }]
      to: [{ operation: { methods: [GET] } }]
";

fn request(method: &str) -> Value {
    json!({"attributes": {
        "source": {"principal": "spiffe://cluster.local/ns/web/sa/front"},
        "request": {"http": {"method": method, "path": "/a"}}}})
}

fn server() -> Server {
    let server = Server::start();
    http::put(&server.url("/v1/resources"), POLICY.as_bytes()).expect(200);
    server
}

#[test]
fn the_api_decides_and_explains() {
    let server = server();
    let ask = |query: &str, method: &str| {
        let url = server.url(&format!("/v1/check{query}"));
        let body = request(method).to_string();
        http::send("POST", &url, &[], body.as_bytes())
            .expect(200)
            .json()
    };
    let allowed = ask("", "GET");
    assert_eq!(allowed["decision"]["effect"], "allow");
    assert_eq!(allowed["decision"]["reason"]["policy"], "default/readers");
    assert!(allowed.get("explanation").is_none(), "{allowed}");
    for (query, cache) in [("?explain", "miss"), ("?explain=true", "hit")] {
        let denied = ask(query, "PUT");
        assert_eq!(denied["decision"]["denied_response"]["status"], 403);
        let explanation = &denied["explanation"];
        assert_eq!(explanation["workload"]["namespace"], "default");
        assert_eq!(
            explanation["cache_key"]["fields"],
            json!(["principal", "method", "protocol"])
        );
        assert_eq!(explanation["cache"], cache);
        let rule = &explanation["rules"][0];
        assert_eq!(rule["matched"], false);
        let holds: Vec<_> = rule["tests"].as_array().unwrap().iter().collect();
        assert_eq!(holds[0]["holds"], true);
        let method = json!({"field": "to[0].operation.methods",
            "values": ["GET"], "found": ["PUT"], "holds": false});
        assert_eq!(*holds[1], method);
    }
    // It is a check like any other.
    let id = allowed["decision"]["decision_id"].as_str().unwrap();
    let record = server.url(&format!("/v1/decisions/{id}"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while http::get(&record).status != 200 {
        assert!(std::time::Instant::now() < deadline, "it was not recorded");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason() {
    let server = server();
    let rows: &[(&str, &str, &str)] = &[
        ("", "", "the body is not JSON"),
        ("", "[]", "the body is not a CheckRequest"),
        ("", "{\"attribute\": {}}", "the body is not a CheckRequest"),
        ("?explain=maybe", "{}", "`maybe` is neither true nor false"),
        ("?at=yesterday", "{}", "at"),
        ("?at=9999-01-01T00:00:00Z", "{}", "too far away"),
        ("?explane", "{}", "unknown field `explane`"),
    ];
    for (query, body, expected) in rows {
        let url = server.url(&format!("/v1/check{query}"));
        let answer = http::send("POST", &url, &[], body.as_bytes()).expect(400);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(expected), "{query} {body}: {message}");
    }
}

fn check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = doorward()
        .arg("check")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn the_command_asks_a_server_or_files() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    std::fs::write(&policy, POLICY).unwrap();
    let file = folder.path().join("request.json");
    std::fs::write(&file, request("GET").to_string()).unwrap();
    let peer = ["--principal", "spiffe://cluster.local/ns/web/sa/front"];
    let named = ["--namespace", "default", "--labels", "app=web"];
    let sources: [&[&str]; 2] = [
        &["--management", &server.management],
        &[policy.to_str().unwrap()],
    ];
    for source in sources {
        let ask = |more: &[&str]| check(&[source, &named, &peer, more].concat());
        let (code, said, _) = ask(&[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.starts_with("ALLOW 200: ALLOW rule matched\n"),
            "{said}"
        );
        let (code, said, _) = ask(&["-X", "PUT", "--explain"]);
        assert_eq!(code, Some(1), "{said}");
        for line in [
            "DENY 403: no ALLOW rule matched",
            "  workload           default app=web",
            "  told apart by      principal, method, protocol",
            "  no match  ALLOW default/readers rule 0",
            "    - to[0].operation.methods    GET  found PUT",
        ] {
            assert!(said.lines().any(|said| said == line), "{line}:\n{said}");
        }
        // HTTP fields do not count for a connection, and none of ALLOW is left.
        let (code, said, _) = ask(&["--tcp", "--json"]);
        let answer: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (code, &answer["decision"]["effect"]),
            (Some(1), &json!("deny"))
        );
    }
    // A request of which the workload is told by the server alone.
    let whole = ["--request", file.to_str().unwrap()];
    let (code, said, _) = check(&[sources[0], &whole].concat());
    assert_eq!(code, Some(0), "{said}");
    let (code, said, _) = check(&[sources[1], &whole].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("namespace is not known: set `mesh.default_workload`, or context extensions"),
        "{said}"
    );
}

#[test]
fn the_command_tells_why_it_cannot_answer() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, "{").unwrap();
    let (bad, missing) = (bad.to_str().unwrap(), "nothing.json");
    let rows: &[(&[&str], i32, &str)] = &[
        (
            &["--management", "127.0.0.1:1"],
            3,
            "127.0.0.1:1 cannot be asked",
        ),
        (&["--request", missing], 3, "nothing.json: No such file"),
        (&["--request", bad], 3, "is not JSON"),
        (&["tests/fixtures/bad.yaml"], 3, "tests/fixtures/bad.yaml:"),
        (&["-H", "no colon"], 3, "`no colon` is not a header"),
        (
            &["--principal", "td/ns/a/sa/b"],
            3,
            "`spiffe://td/ns/a/sa/b`",
        ),
        (&["--tcp", "--path", "/"], 2, "cannot be used with"),
        (&["--at", "noon"], 2, "--at"),
    ];
    for (arguments, code, expected) in rows {
        let (actual, said, told) = check(arguments);
        assert_eq!(actual, Some(*code), "{arguments:?}: {said}{told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
}
