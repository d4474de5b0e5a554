//! Questions to a running server: summaries, streams, the `decisions` command, and what is asked of it
//! that cannot be answered.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::bundle::archive;
use crate::support::check::http_check;
use crate::support::disk::{has_limits, limit_files};
use crate::support::{Checks, Options, Server, doorward, eventually, http};

const POLICY: &str = "package envoy.authz\n\ndefault allow := false\n\n\
                      allow if input.parsed_path[0] == \"open\"\n";

async fn deciding(config: &str) -> (Server, Checks) {
    let server = Server::with_config(config);
    http::put(
        &server.url("/v1/bundles/b"),
        &archive(&[("p.rego", POLICY)]),
    )
    .expect(200);
    let checks = server.checks().await;
    (server, checks)
}

fn count(server: &Server) -> u64 {
    let summary = http::get(&server.url("/v1/decisions/summary")).expect(200);
    summary.json()["total"].as_u64().unwrap()
}

#[tokio::test]
async fn decisions_are_counted() {
    let (server, checks) = deciding("").await;
    for index in 0..10 {
        checks
            .get(&format!("/{}/{index}", ["open", "shut"][index % 2]))
            .await;
    }
    eventually("ten records", || count(&server) == 10).await;
    let url = server.url(
        "/v1/decisions/summary?group_by=effect,path_prefix&since=1h&bucket=30m&host=web.example",
    );
    let summary = http::get(&url).expect(200).json();
    assert_eq!(summary["total"], 10, "{summary}");
    assert_eq!(summary["complete"], true);
    let group = |at: usize| summary["groups"][at]["key"].clone();
    assert_eq!(
        group(0),
        serde_json::json!({"effect": "allow", "path_prefix": "/open/*"})
    );
    assert_eq!(
        group(1),
        serde_json::json!({"effect": "deny", "path_prefix": "/shut/*"})
    );
    let counts = summary["groups"][1]["counts"].as_array().unwrap();
    assert_eq!(counts.iter().filter_map(Value::as_u64).sum::<u64>(), 5);
}

/// One that is asked for what there is not, or beyond any bound.
#[tokio::test]
async fn bad_questions_are_refused() {
    let server = Server::start();
    let long = format!("?reason={}", "x".repeat(300));
    let rows = [
        "?limit=0",
        "?limit=1001",
        "?limit=-1",
        "?limit=many",
        "?limit=99999999999999999999",
        "?status=99",
        "?status=4e2",
        "?reason_kind=luck",
        "?reason=",
        &long,
        "?workload=/",
        "?cached=1",
        "?effect=maybe",
        "?revision=-1",
        "?since=yesterday",
        "?until=9999999999999999999d",
        "?decision_id=1",
        "?cursor=",
        "?cursor=AAAA",
        "?cursor=%00",
        "?cursor=AAAAAAAAAAAA",
        "?cursor=' OR 1=1 --",
        "?unknown=1",
        "?effect=allow&effect=deny",
        "/summary?group_by=luck",
        "/summary?group_by=path&group_by=host",
        "/summary?limit=x",
        "/summary?bucket=1m",
        "/summary?bucket=1s&since=7d",
        "/summary?cursor=AAAAAAAAAAA",
        "/stream?since=1h",
        "/stream?limit=5",
        "/stream?nothing=1",
        "/not-an-id",
    ];
    for row in rows {
        let row = row.replace(' ', "%20").replace('\'', "%27");
        let answer = http::get(&server.url(&format!("/v1/decisions{row}"))).expect(400);
        assert_eq!(answer.json()["code"], "invalid_parameter", "{row}");
    }
    for id in ["", "x", "-1", "1.5", "99999999999999999999", "1\u{e4}"] {
        let headers = [("last-event-id", id)];
        let answer = http::send("GET", &server.url("/v1/decisions/stream"), &headers, b"");
        assert_eq!(answer.status, 400, "{id}");
    }
    // Cursors that were never given out are places like any other.
    for cursor in ["AAAAAAAAAAA", "f_________8", "gAAAAAAAAAA", "__________8"] {
        let page = http::get(&server.url(&format!("/v1/decisions?cursor={cursor}"))).expect(200);
        assert_eq!(page.json()["decisions"], serde_json::json!([]), "{cursor}");
    }
}

/// A hundred at once: each is answered or told to come again, and checks go on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_heavy_questions_are_in_nobodys_way() {
    let (server, checks) = deciding("").await;
    for index in 0..2_000 {
        checks.get(&format!("/open/{index}")).await;
    }
    eventually("all records", || count(&server) == 2_000).await;
    let heavy = [
        "/v1/decisions?reason=e&limit=1000",
        "/v1/decisions/summary?group_by=path,workload,policy,principal",
    ];
    let asked: Vec<_> = (0..100_u8)
        .map(|index| {
            let (path, management) = (heavy[usize::from(index % 2)], server.management.clone());
            // One address has not so many connections.
            let from = [127, 0, 0, 2 + index % 4];
            tokio::spawn(
                async move { http::send_from(from, &management, "GET", path, &[], b"").await },
            )
        })
        .collect();
    for index in 0..200 {
        assert!(checks.get(&format!("/open/more/{index}")).await.allows());
    }
    let mut answered = 0;
    for answer in asked {
        let answer = answer.await.unwrap();
        match answer.status {
            200 => answered += 1,
            503 => assert!(answer.headers.contains_key("retry-after")),
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert!(answered > 0);
    eventually("the other records", || count(&server) == 2_200).await;
}

/// A stream, read as it comes.
struct Stream {
    socket: TcpStream,
    text: String,
}

impl Stream {
    async fn open(server: &Server, query: &str, last: Option<i64>) -> Self {
        let mut socket = TcpStream::connect(&server.management).await.unwrap();
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        let head =
            format!("GET /v1/decisions/stream{query} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let text = String::new();
        let mut stream = Self { socket, text };
        stream.until("retry: ").await;
        assert!(stream.text.starts_with("HTTP/1.1 200 "), "{}", stream.text);
        assert!(stream.text.contains("content-type: text/event-stream"));
        stream
    }

    async fn until(&mut self, what: &str) {
        let read = async {
            let mut bytes = [0; 4096];
            while !self.text.contains(what) {
                let count = self.socket.read(&mut bytes).await.unwrap();
                assert!(count > 0, "it ended: {}", self.text);
                self.text
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        assert!(read.is_ok(), "{what} did not come: {}", self.text);
    }

    fn ids(&self) -> Vec<i64> {
        let lines = self.text.lines();
        lines
            .filter_map(|line| line.strip_prefix("id: ")?.parse().ok())
            .collect()
    }
}

// The client of the checks has to see that the server wants to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_followed() {
    let (mut server, checks) = deciding("shutdown: { grace: 60s }").await;
    checks.get("/shut/before").await;
    eventually("a record", || count(&server) == 1).await;
    let mut all = Stream::open(&server, "", None).await;
    let mut denied = Stream::open(&server, "?effect=deny&path=/shut/*", None).await;
    for index in 0..20 {
        checks.get(&format!("/open/{index}")).await;
    }
    checks.get("/shut/1").await;
    all.until("/shut/1").await;
    denied.until("/shut/1").await;
    assert_eq!(all.ids(), (2..=22).collect::<Vec<i64>>());
    assert_eq!(denied.ids(), [22]);
    assert!(!all.text.contains("/shut/before"));
    // Who comes back goes on where it was.
    let mut back = Stream::open(&server, "", Some(20)).await;
    back.until("/shut/1").await;
    assert_eq!(back.ids(), [21, 22]);
    // No more than so many, and those who are gone make room.
    let mut others = Vec::new();
    for _ in 0..13 {
        others.push(Stream::open(&server, "", None).await);
    }
    let url = server.url("/v1/decisions/stream");
    let refused = http::get(&url).expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    drop(others);
    let opened = async {
        loop {
            let request = http_status(&server).await;
            if request == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), opened)
        .await
        .unwrap();
    // They do not hold up the end: it is there long before the grace period is over.
    let begun = std::time::Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// The status of a stream that is closed at once.
async fn http_status(server: &Server) -> u16 {
    let mut socket = TcpStream::connect(&server.management).await.unwrap();
    let head = "GET /v1/decisions/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    socket.read_exact(&mut start).await.unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

fn decisions(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = doorward()
        .arg("decisions")
        .args(arguments)
        .args(["--server", &server.url("")])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn the_command_asks_and_prints() {
    let (server, checks) = deciding("").await;
    let hostile = "/shut/\u{202e}\u{1f511}%1b";
    for path in ["/open/1", "/shut/2", hostile] {
        checks
            .check(&http_check("GET", path, &[("x-\u{7f}", "\u{9b}31m")]))
            .await;
    }
    eventually("three records", || count(&server) == 3).await;
    let (code, table, said) = decisions(&server, &["query", "--effect", "deny"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("TIME"));
    assert!(lines[1].contains("\\u{202e}"), "{table}");
    assert!(lines[2].contains("/shut/2") && lines[2].contains("envoy/authz/allow"));
    assert!(!table.contains(['\u{202e}', '\u{1b}', '\u{9b}']));
    // What is printed as JSON is what the API answers.
    let (code, json, _) = decisions(&server, &["query", "--output", "json"]);
    assert_eq!(code, Some(0));
    assert!(!json.contains(['\u{202e}', '\u{7f}', '\u{9b}']), "{json}");
    let printed: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let page = http::get(&server.url("/v1/decisions")).json();
    assert_eq!(Value::from(printed), page["decisions"]);
    let (code, none, said) = decisions(&server, &["query", "--method", "PUT"]);
    assert_eq!((code, none.as_str()), (Some(0), ""));
    assert!(said.contains("there are no such decisions"));
    let (_, one, said) = decisions(&server, &["query", "--limit", "1"]);
    assert_eq!(one.lines().count(), 2);
    assert!(said.contains("--limit"), "{said}");

    let arguments = ["summary", "--group-by", "effect,path", "--path", "/open/*"];
    let (code, table, _) = decisions(&server, &arguments);
    assert_eq!(code, Some(0));
    let words: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words,
        [
            vec!["EFFECT", "PATH", "COUNT"],
            vec!["allow", "/open/1", "1"],
            vec!["(all)", "1"]
        ]
    );

    // Usage, and what cannot be asked.
    let (code, _, said) = decisions(&server, &["query", "--status", "7"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`status`: must be from 100 to 599"), "{said}");
    let (code, _, _) = decisions(&server, &["query", "--colour", "red"]);
    assert_eq!(code, Some(2));
    let nowhere = doorward()
        .args(["decisions", "query", "--server", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(3));
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(said.contains("start `doorward serve`"), "{said}");
}

#[tokio::test]
async fn the_command_follows() {
    let (server, checks) = deciding("").await;
    let mut tail = doorward()
        .args([
            "decisions",
            "tail",
            "--limit",
            "2",
            "--effect",
            "deny",
            "--output",
            "json",
        ])
        .args(["--server", &server.url("")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // When it follows is not told: some are made until it has seen two.
    let mut index = 0;
    while tail.try_wait().unwrap().is_none() {
        checks.get(&format!("/shut/{index}")).await;
        index += 1;
        assert!(index < 2_000, "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut seen = String::new();
    tail.stdout
        .take()
        .unwrap()
        .read_to_string(&mut seen)
        .unwrap();
    assert_eq!(seen.lines().count(), 2);
    assert!(seen.lines().all(|line| line.contains("/shut/")));
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}

/// Nothing more fits: what cannot be stored is counted, and once there is room it goes on.
#[tokio::test]
async fn a_full_disk_is_counted_and_recovered_from() {
    if !has_limits("a_full_disk_is_counted_and_recovered_from") {
        return;
    }
    let server = Server::with(Options {
        survives_large_files: true,
        ..Options::default()
    });
    http::put(
        &server.url("/v1/bundles/b"),
        &archive(&[("p.rego", POLICY)]),
    )
    .expect(200);
    let checks = server.checks().await;
    checks.get("/open/1").await;
    eventually("a record", || count(&server) == 1).await;
    limit_files(&server, Some(1));
    for index in 0..50 {
        assert!(checks.get(&format!("/open/{index}")).await.allows());
    }
    let dropped = || {
        let metrics = http::get(&server.url("/metrics")).expect(200).body;
        let name = "doorward_decision_log_dropped_total{reason=\"store\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    eventually("records are lost", || dropped() == 50).await;
    assert_eq!(count(&server), 1);
    limit_files(&server, None);
    for index in 0..5 {
        checks.get(&format!("/open/{index}")).await;
    }
    eventually("it goes on", || count(&server) == 6).await;
    assert_eq!(dropped(), 50);
}
