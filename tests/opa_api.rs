//! OPA's own API beside what is recorded of it: paths that are no names, bodies in other forms, batches,
//! health, and questions that are refused.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::{Options, Server, http};

const POLICY: &str = r#"package t
import rego.v1
default allow := false
allow if input.x == 1
double := input.x * 2
echo := input.x
odds["odd name"].value := 7
noted if { trace("here"); trace("there") }
bad := json.unmarshal(input.text)
conflict := input.values[_]
slow := count([1 | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); a == b])
"#;

const HEALTH: &str = r"package system.health
live if input.plugins_ready
odd := 1
";

fn server() -> (Server, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let arguments = vec![
        file("t.rego", POLICY),
        file("health.rego", HEALTH),
        file(
            "data.json",
            r#"{"base": {"list": [1, {"a/b": "<&>"}], "7": "seven"}}"#,
        ),
    ];
    let server = Server::with(Options {
        arguments,
        ..Options::default()
    });
    (server, files)
}

/// Asks, and compares status and body; of errors, the code and the message, or that of the first cause.
#[track_caller]
fn check(server: &Server, method: &str, path: &str, body: &str, expected: (u16, Value)) {
    let answer = http::send(method, &server.url(path), &[], body.as_bytes());
    let mut actual = answer.json();
    if let Some(cause) = actual.pointer("/errors/0") {
        actual = json!({"code": cause["code"], "message": cause["message"]});
    }
    assert_eq!((answer.status, actual), expected, "{method} {path} {body}");
}

#[tokio::test]
async fn documents() {
    let (server, _files) = server();
    let found = |value: Value| (200, json!({ "result": value }));
    let rows = [
        ("/v1/data/t/odds/odd%20name/value", found(json!(7))),
        ("/v1/data/t/odds/odd%20name", found(json!({"value": 7}))),
        ("/v1/data/base/list/1/a%2Fb", found(json!("<&>"))),
        ("/v1/data/base/list/001", found(json!({"a/b": "<&>"}))),
        ("/v1/data//base///list/0/", found(json!(1))),
        ("/v1/data/base/7", found(json!("seven"))),
        (
            "/v1/data/base?input=%7B%7D",
            found(json!({"list": [1, {"a/b": "<&>"}], "7": "seven"})),
        ),
        ("/v1/data/t/double?input=%7B%22x%22:4%7D", found(json!(8))),
        (
            "/v1/data/t/double?input=%7B%22x%22:%22a%22%7D",
            (200, json!({})),
        ),
        // Nothing of a path becomes Rego.
        ("/v1/data/t/allow%5D", (200, json!({}))),
        ("/v1/data/t/allow;true", (200, json!({}))),
        ("/v1/data/t/x%0A%7D%0Aallow%20%3A=%20true", (200, json!({}))),
        (
            "/v1/data/t/x%22y",
            (
                400,
                json!({"code": "invalid_parameter", "message": "invalid ref term 'x\"y'"}),
            ),
        ),
        (
            "/v1/data/t/%ff",
            (
                400,
                json!({"code": "invalid_parameter", "message": "the path is not UTF-8"}),
            ),
        ),
        (
            "/v1/data/t?explain=full",
            (
                400,
                json!({"code": "invalid_parameter", "message": "explain=full is not supported: explain=notes is"}),
            ),
        ),
        (
            "/v1/data/t/conflict?input=%7B%22values%22:%5B1,2%5D%7D",
            (
                500,
                json!({"code": "eval_conflict_error", "message": "complete rules must not produce multiple outputs"}),
            ),
        ),
    ];
    for (path, expected) in rows {
        check(&server, "GET", path, "", expected);
    }
    let text = http::get(&server.url("/v1/data/base/list/1"))
        .expect(200)
        .body;
    assert_eq!(text, "{\"result\":{\"a/b\":\"\\u003c\\u0026\\u003e\"}}\n");
    let pretty = http::get(&server.url("/v1/data/t/noted?explain=notes&pretty=TRUE"))
        .expect(200)
        .body;
    assert_eq!(
        pretty,
        "{\n  \"explanation\": [\n    \"Note \\\"here\\\"\",\n    \"Note \\\"there\\\"\"\n  ],\n  \"result\": true\n}\n"
    );
    // What takes too long ends.
    let slow = http::get(&server.url("/v1/data/t/slow")).expect(500).json();
    assert_eq!(slow["errors"][0]["code"], "eval_cancel_error");
}

#[tokio::test]
async fn failures_of_built_ins_count_where_they_are_asked_for() {
    let (server, _files) = server();
    let body = r#"{"input": {"text": "{"}}"#;
    check(&server, "POST", "/v1/data/t/bad", body, (200, json!({})));
    let strict = http::send(
        "POST",
        &server.url("/v1/data/t/bad?strict-builtin-errors"),
        &[],
        body.as_bytes(),
    );
    assert_eq!(strict.expect(500).json()["code"], "internal_error");
    // And only there.
    check(&server, "POST", "/v1/data/t/bad", body, (200, json!({})));
}

#[tokio::test]
async fn bodies_in_other_forms() {
    let (server, _files) = server();
    let url = server.url("/v1/data/t/allow");
    let send = |headers: &[(&str, &str)], body: &[u8]| http::send("POST", &url, headers, body);
    let yaml = [("content-type", "application/x-yaml")];
    assert_eq!(
        send(&yaml, b"input:\n  x: 1\n").expect(200).json()["result"],
        true
    );
    send(&yaml, b"input: [").expect(400);
    let compressed = gzip(br#"{"input": {"x": 1}}"#);
    let header = [("content-encoding", "gzip")];
    assert_eq!(
        send(&header, &compressed).expect(200).json()["result"],
        true
    );
    send(&header, b"not gzip").expect(400);
    send(&header, &compressed[..compressed.len() - 4]).expect(400);
    send(&[], br#""text""#).expect(400);
    assert_eq!(send(&[], b"null").expect(200).json()["result"], false);
}

/// JSON with spaces, so many bytes of it.
fn of_length(length: usize) -> Vec<u8> {
    let mut text = QUESTION.as_bytes().to_vec();
    text.resize(length, b' ');
    text
}

const QUESTION: &str = r#"{"input": {"x": 1}, "query": "data.t.allow", "inputs": {},
    "subject": {"type": "user", "id": "1"}, "action": {"name": "read"},
    "resource": {"type": "file", "id": "1"}}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("t.rego");
    std::fs::write(&path, POLICY).unwrap();
    let server = Server::with(Options {
        config: "authzen: { entrypoint: t/allow }".to_owned(),
        arguments: vec![path.to_str().unwrap().to_owned()],
        ..Options::default()
    });
    let refused = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], why: &str| {
        let answer = http::send(method, &server.url(path), headers, body).expect(413);
        let error = json!({"code": "invalid_parameter", "message": why});
        assert_eq!(answer.json(), error, "{method} {path}");
    };
    let compressed = [("content-encoding", "gzip")];
    let (large, mib) = ("compressed request body too large", 1 << 20);
    for (method, path, limit) in [
        ("POST", "/v1/data/t/allow", 32 * mib),
        ("POST", "/v0/data/t/allow", 32 * mib),
        ("POST", "/v1/batch/data/t/allow", 32 * mib),
        ("POST", "/v1/query", 32 * mib),
        ("PUT", "/v1/data/other", 128 * mib),
        ("PATCH", "/v1/data/other", 128 * mib),
        ("POST", "/access/v1/evaluation", mib),
        ("POST", "/access/v1/evaluations", mib),
    ] {
        let body = gzip(&of_length(limit + 1));
        refused(method, path, &compressed, &body, large);
        if limit < 128 * mib {
            let body = gzip(&of_length(limit));
            http::send(method, &server.url(path), &compressed, &body).expect(200);
        }
    }
    let body = of_length(mib + 1);
    let path = "/access/v1/evaluation";
    refused("POST", path, &[], &body, "request body too large");
    // Small, but not in memory.
    let why = "the call needs too much memory";
    for body in [
        format!("{{\"input\": [{}1]}}", "1,".repeat(5 * mib)),
        format!("{{\"input\": [{}1]}}", "{\"a\":1},".repeat(mib / 2)),
    ] {
        refused("POST", "/v1/data/t/allow", &[], body.as_bytes(), why);
        let path = "/v1/batch/data/t/allow";
        refused("POST", path, &compressed, &gzip(body.as_bytes()), why);
    }
    let yaml = [("content-type", "application/yaml")];
    let body = format!("input: [{}1]", "1,".repeat(mib + 1));
    refused("POST", "/v1/data/t/allow", &yaml, body.as_bytes(), why);
}

#[tokio::test]
async fn batches() {
    let (server, _files) = server();
    let error = json!({
        "code": "internal_error",
        "message": "error(s) occurred while evaluating query",
        "errors": [{
            "code": "eval_conflict_error",
            "message": "complete rules must not produce multiple outputs",
        }],
        "http_status_code": "500",
    });
    let ask = |path: &str, body: Value| {
        let url = server.url(&format!("/v1/batch/data/{path}"));
        let answer = http::send("POST", &url, &[], body.to_string().as_bytes());
        let mut json = answer.json();
        if let Some(responses) = json["responses"].as_object_mut() {
            for response in responses.values_mut() {
                if let Some(error) = response.pointer_mut("/errors/0") {
                    error.as_object_mut().unwrap().remove("location");
                }
            }
        }
        (answer.status, json)
    };
    let inputs = json!({"inputs": {"a": {"x": 1}, "b": {"x": 2}, "c": {}}, "common_input": {"x": 3, "y": {}}});
    assert_eq!(
        ask("t/double", inputs),
        (
            200,
            json!({"responses": {"a": {"result": 2}, "b": {"result": 4}, "c": {"result": 6}}})
        )
    );
    let some = json!({"inputs": {"good": {"values": [1]}, "bad": {"values": [1, 2]}, "none": {}}});
    assert_eq!(
        ask("t/conflict", some),
        (
            207,
            json!({"responses": {
                "good": {"http_status_code": "200", "result": 1},
                "bad": error,
                "none": {"http_status_code": "200"},
            }})
        )
    );
    assert_eq!(
        ask("t/conflict", json!({"inputs": {"bad": {"values": [1, 2]}}})).0,
        500
    );
    assert_eq!(
        ask("t/conflict", json!({"inputs": {}})),
        (200, json!({"responses": {}}))
    );
    for bad in [json!({}), json!({"inputs": [1]}), json!([]), json!(1)] {
        assert_eq!(ask("t/double", bad).0, 400);
    }
}

#[tokio::test]
async fn queries() {
    let (server, _files) = server();
    let refused = |code: &str, message: &str| (400, json!({"code": code, "message": message}));
    let rows = [
        (
            "x = data.base.list[0]",
            (200, json!({"result": [{"x": 1}]})),
        ),
        (
            "x = data.base.list[i]; i > 0",
            (200, json!({"result": [{"i": 1, "x": {"a/b": "<&>"}}]})),
        ),
        (
            "some x in [1, 2]; x > 1",
            (200, json!({"result": [{"x": 2}]})),
        ),
        (
            "x = [1, 2][_]; x + 1 > 2",
            (200, json!({"result": [{"x": 2}]})),
        ),
        (
            "some x in [1, 2]; x + 1 > 2",
            (200, json!({"result": [{"x": 2}]})),
        ),
        ("input.x + 1", (200, json!({}))),
        (
            "http.send({\"method\": \"GET\", \"url\": \"http://localhost\"})",
            refused(
                "rego_type_error",
                "unsafe built-in function calls in expression: http.send",
            ),
        ),
        (
            "x := opa.runtime().env",
            refused(
                "rego_type_error",
                "unsafe built-in function calls in expression: opa.runtime",
            ),
        ),
        (
            "nope(1)",
            refused("rego_type_error", "undefined function nope"),
        ),
        ("x > 1", refused("rego_unsafe_var_error", "var x is unsafe")),
    ];
    for (query, expected) in rows {
        let body = json!({"query": query, "input": {"x": "text"}}).to_string();
        check(&server, "POST", "/v1/query", &body, expected);
    }
    let long = "true; ".repeat(20_000);
    for bad in [
        "}",
        "true } other if { true",
        "",
        "package x",
        "x = ;",
        &long,
    ] {
        let body = json!({ "query": bad }).to_string();
        http::send("POST", &server.url("/v1/query"), &[], body.as_bytes()).expect(400);
    }
    http::send("POST", &server.url("/v1/query"), &[], b"{}").expect(400);
}

#[tokio::test]
async fn health_of_policies() {
    let (server, _files) = server();
    check(&server, "GET", "/health/live", "", (200, json!({})));
    check(
        &server,
        "GET",
        "/health/odd",
        "",
        (
            500,
            json!({"error": "health check (data.system.health.odd) returned unexpected value"}),
        ),
    );
    check(
        &server,
        "GET",
        "/health/nope",
        "",
        (
            500,
            json!({"error": "health check (data.system.health.nope) was undefined"}),
        ),
    );
}

#[tokio::test]
async fn with_nothing_loaded_there_are_no_documents() {
    let server = Server::start();
    check(&server, "GET", "/v1/data", "", (200, json!({"result": {}})));
    check(&server, "GET", "/v1/data/a/b", "", (200, json!({})));
    check(
        &server,
        "GET",
        "/v1/query?q=x%3D1",
        "",
        (200, json!({"result": [{"x": 1}]})),
    );
}

#[tokio::test]
async fn slashes_at_the_end_make_no_other_call() {
    let server = Server::start();
    let send = |method: &str, path: &str, body: &str| {
        http::send(method, &server.url(path), &[], body.as_bytes())
    };
    send("PUT", "/v1/data/", r#"{"a": 1}"#).expect(204);
    let change = r#"[{"op": "add", "path": "/b", "value": {"c": 2}}]"#;
    send("PATCH", "/v1/data/", change).expect(204);
    let written = json!({"a": 1, "b": {"c": 2}});
    let found = send("POST", "/v1/data/", r#"{"input": {}}"#).expect(200);
    assert_eq!(found.json(), json!({ "result": written }));
    let found = send("POST", "/v0/data/", "{}").expect(200);
    assert_eq!(found.json(), written);
}

#[tokio::test]
async fn paths_that_cannot_be_read_are_refused_in_opas_shape() {
    let (server, _files) = server();
    let refused = (
        400,
        json!({"code": "invalid_parameter", "message": "the path is not UTF-8"}),
    );
    for (method, path) in [
        ("GET", "/v1/bundles/%ff"),
        ("PUT", "/v1/bundles/%ff"),
        ("DELETE", "/v1/bundles/%ff"),
        ("GET", "/v1/resources/a/b/%ff"),
        ("PUT", "/v1/resources/a/%ff/b"),
        ("GET", "/v1/decisions/%ff"),
        ("POST", "/v1/revisions/%ff/rollback"),
        ("GET", "/v1/policies/%ff"),
        ("PUT", "/v1/data/a/%ff"),
        ("DELETE", "/v1/data/a/%ff"),
        ("GET", "/health/%ff"),
    ] {
        check(&server, method, path, "", refused.clone());
    }
}

#[tokio::test]
async fn what_pretty_would_make_far_longer_stays_on_one_line() {
    let (server, _files) = server();
    let (open, close) = ("[".repeat(900), "]".repeat(900));
    let deep = |parts: usize| {
        format!(
            r#"{{"input": {{"x": {open}{}1{close}}}}}"#,
            "1,".repeat(parts)
        )
    };
    let ask = |parts| {
        let url = server.url("/v1/data/t/echo?pretty");
        let answer = http::send("POST", &url, &[], deep(parts).as_bytes());
        answer.expect(200).body.len()
    };
    assert!(ask(10) > 500_000);
    assert!(ask(100_000) < 300_000);
}
