//! The description of the API: nothing is missing in it, and it is the one that stands in
//! `tests/fixtures/openapi.json`, written anew with `DOORWARD_WRITE_DOCS=1`. And what is the same for all
//! calls: their names and compression.

use std::io::Read as _;

use doorward::management::{calls, openapi, undescribed};
use flate2::read::GzDecoder;

use crate::support::{Server, http as client, root};

const DOCUMENT: &str = "tests/fixtures/openapi.json";

#[test]
fn every_call_is_described() {
    let missing = undescribed();
    assert!(
        missing.is_empty(),
        "src/management/openapi/describe.rs says nothing of {missing:?}"
    );
    let document = openapi();
    for call in calls() {
        let path = match call.path {
            "/" => "/".to_owned(),
            path => path.trim_end_matches('/').replace("{*", "{"),
        };
        let method = call.method.as_str().to_ascii_lowercase();
        assert!(document["paths"][&path][&method].is_object(), "{call:?}");
    }
}

/// What is referred to is there, and what is there is referred to.
#[test]
fn forms_are_there_and_used() {
    let document = openapi();
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut parts = text.split("\"#/components/schemas/").skip(1);
    assert!(parts.all(|part| schemas.contains_key(part.split('"').next().unwrap())));
    for name in schemas.keys() {
        assert!(
            text.contains(&format!("\"#/components/schemas/{name}\"")),
            "{name}"
        );
    }
}

#[test]
fn the_document_is_the_one_that_was_looked_at() {
    let written = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
    let path = root().join(DOCUMENT);
    if std::env::var_os("DOORWARD_WRITE_DOCS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == written,
        "{DOCUMENT} is not what this test makes: run it with DOORWARD_WRITE_DOCS=1"
    );
}

#[tokio::test]
async fn the_document_is_served() {
    let server = Server::start();
    let answer = client::get(&server.url("/v1/openapi.json")).expect(200);
    assert_eq!(answer.json(), openapi());
}

#[tokio::test]
async fn every_answer_names_its_call() {
    let server = Server::start();
    let id = |sent: &[&str], path: &str| {
        let headers: Vec<_> = sent.iter().map(|id| ("x-request-id", *id)).collect();
        let answer = client::send("GET", &server.url(path), &headers, b"");
        let ids: Vec<_> = answer.headers.get_all("x-request-id").iter().collect();
        assert_eq!(ids.len(), 1, "{path}");
        ids[0].to_str().unwrap().to_owned()
    };
    let long = "x".repeat(128);
    for path in ["/livez", "/v1/status", "/nothing", "/v1/query"] {
        assert_eq!(id(&["abc-1"], path), "abc-1");
        assert_eq!(id(&[&long], path), long);
        let mut made = vec![
            id(&[], path),
            id(&[""], path),
            id(&["a b"], path),
            id(&["a\tb"], path),
            id(&[&format!("{long}x")], path),
            id(&["a", "b"], path),
        ];
        assert!(made.iter().all(|id| id.len() == 36), "{made:?}");
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 6);
    }
}

#[tokio::test]
async fn what_a_call_logs_has_its_name() {
    let server = Server::start();
    let headers = [("x-request-id", "abc-1")];
    let url = server.url("/v1/resources");
    client::send("PUT", &url, &headers, b"kind: Nothing").expect(400);
    let said = server.said();
    let mut lines = said
        .lines()
        .filter(|line| line.contains("policy was not changed"));
    assert!(
        lines.all(|line| line.contains(r#""request_id":"abc-1""#)),
        "{said}"
    );
    assert!(said.contains("policy was not changed"), "{said}");
}

/// Asks without a client that would decompress.
fn raw(server: &Server, path: &str, headers: &str) -> (String, Vec<u8>) {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(&server.management).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n",
        server.management
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head.to_ascii_lowercase(), answer[end + 4..].to_vec())
}

#[tokio::test]
async fn large_answers_are_compressed_for_who_takes_it() {
    let server = Server::start();
    let (head, plain) = raw(&server, "/v1/openapi.json", "");
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(head.contains("vary: accept-encoding"), "{head}");
    let (head, compressed) = raw(&server, "/v1/openapi.json", "accept-encoding: br, gzip\r\n");
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(head.contains("vary: accept-encoding"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", compressed.len())),
        "{head}"
    );
    assert!(compressed.len() < plain.len());
    let mut text = Vec::new();
    GzDecoder::new(&compressed[..])
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, plain);
    // Not for so little.
    let (head, body) = raw(&server, "/livez", "accept-encoding: gzip\r\n");
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(body, b"ok\n");
}
