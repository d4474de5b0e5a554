//! Uploads as OPA makes them: to a server that is there, is away, comes back, and says no.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::support::depot::Reply;
use crate::support::disk::{has_limits, limit_files};

fn config(depot: &Depot, more: &str) -> String {
    let url = depot.url("/logs?key=c4n4ry");
    format!(
        "decision_log: {{ sinks: [{{ type: http, url: \"{url}\", min_delay: 0s, max_delay: 10ms, \
         timeout: 2s, credentials: {{ bearer: {{ token: c4n4ry }} }}, {more} }}] }}\n"
    )
}

fn is_kept_secret(server: &Server) {
    let config = http::get(&server.url("/v1/config")).body;
    let metrics = http::get(&server.url("/metrics")).body;
    for text in [config, metrics, server.said()] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
}

#[tokio::test]
async fn every_decision_is_uploaded() {
    let depot = Depot::start(|_| Reply::status(204));
    let server = Server::with_config(&config(&depot, "labels: { region: here }"));
    let expected = checked(&server, 300).await;
    eventually("all", || numbers(&server, "http").delivered == 300).await;
    let events = events(&depot);
    assert_eq!(ids(&events), expected);
    let asked = &depot.asked()[0];
    assert_eq!(asked.target, "/logs?key=c4n4ry");
    assert_eq!(asked.header("authorization"), "Bearer c4n4ry");
    assert_eq!(asked.header("content-type"), "application/json");
    let event = &events[7];
    assert_eq!(event["labels"]["region"], "here");
    assert_eq!(event["labels"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        event["input"]["attributes"]["request"]["http"]["path"],
        "/7?token=**"
    );
    assert_eq!(event["custom"]["doorward"]["sequence"], 8);
    assert_eq!(reconciled(&server, "http").await.dropped, 0);
    is_kept_secret(&server);
}

/// A server that is away, a kill meanwhile, a start, and the server is back.
#[tokio::test]
async fn nothing_on_disk_is_lost() {
    let depot = Depot::start(|_| Reply::Close);
    let options = |data| Options {
        config: config(&depot, ""),
        data,
        ..Options::default()
    };
    let mut server = Server::with(options(None));
    let mut expected = checked(&server, 200).await;
    let on_disk = |server: &Server, count: u64| {
        let metrics = http::get(&server.url("/metrics")).body;
        metrics.contains(&format!(
            "doorward_decision_sink_spill_records{{sink=\"http\"}} {count}\n"
        ))
    };
    eventually("all on disk", || on_disk(&server, 200)).await;
    assert_eq!(reconciled(&server, "http").await.held, 200);
    server.signal("KILL");
    server.wait();

    depot.play(|_| Reply::status(503));
    let mut server = Server::with(options(Some(Arc::clone(&server.data))));
    assert_eq!(numbers(&server, "http").recovered, 200);
    expected.extend(checked(&server, 100).await);
    eventually("all on disk", || on_disk(&server, 300)).await;
    is_kept_secret(&server);
    // An end in order loses nothing either.
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));

    depot.play(|_| Reply::status(200));
    let before = depot.asked().len();
    let server = Server::with(options(Some(Arc::clone(&server.data))));
    expected.extend(checked(&server, 50).await);
    eventually("all", || numbers(&server, "http").delivered == 350).await;
    assert_eq!(reconciled(&server, "http").await.dropped, 0);
    let taken = depot.asked().split_off(before);
    let lists = taken
        .iter()
        .map(|asked| serde_json::from_str::<Vec<Value>>(&asked.body).unwrap());
    let taken: Vec<Value> = lists.flatten().collect();
    assert_eq!(without_repetitions(&ids(&taken)), expected);
}

/// Whatever the other side does, checks are answered, the log's file has all of them, and each is
/// delivered, dropped or held.
#[tokio::test]
async fn a_bad_server_touches_nothing_else() {
    let rows: [(Reply, u64); 8] = [
        (Reply::status(400), 100),
        (Reply::status(413), 100),
        (Reply::status(500), 0),
        (Reply::redirect("http://127.0.0.1:1/"), 0),
        (Reply::Close, 0),
        (Reply::Hang, 0),
        (Reply::Endless, 0),
        (
            Reply::After(Duration::from_millis(300), Box::new(Reply::status(500))),
            0,
        ),
    ];
    for (reply, lost) in rows {
        let playing = reply.clone();
        let depot = Depot::start(move |_| playing.clone());
        let server = Server::with_config(&config(&depot, ""));
        let expected = checked(&server, 100).await;
        assert_eq!(expected.len(), 100);
        eventually("the log has all", || {
            let answer = http::get(&server.url("/v1/decisions?limit=1000")).json();
            answer["decisions"].as_array().unwrap().len() == 100
        })
        .await;
        eventually("lost", || numbers(&server, "http").dropped == lost).await;
        if lost > 0 {
            // It is not tried for ever.
            let found = reconciled(&server, "http").await;
            assert_eq!((found.delivered, found.held), (0, 0), "{reply:?}");
            continue;
        }
        depot.play(|_| Reply::status(200));
        eventually("back", || numbers(&server, "http").delivered == 100).await;
        let found = reconciled(&server, "http").await;
        assert_eq!((found.dropped, found.held), (0, 0), "{reply:?}");
        is_kept_secret(&server);
    }
}

/// A disk that takes nothing: what waits is in memory, and goes to the disk as soon as it does.
#[tokio::test]
async fn a_disk_that_fails_is_counted_and_recovers() {
    if !has_limits("a_disk_that_fails_is_counted_and_recovers") {
        return;
    }
    let depot = Depot::start(|_| Reply::Close);
    let server = Server::with(Options {
        config: config(&depot, ""),
        survives_large_files: true,
        ..Options::default()
    });
    limit_files(&server, Some(1));
    let expected = checked(&server, 100).await;
    let metric = |name: &str| {
        let metrics = http::get(&server.url("/metrics")).body;
        let start = format!("doorward_decision_sink_{name}{{sink=\"http\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap().parse::<u64>().unwrap()
    };
    eventually("a failure", || metric("spill_failures_total") > 0).await;
    eventually("all in memory", || metric("queue_records") == 100).await;
    assert_eq!(reconciled(&server, "http").await.held, 100);
    limit_files(&server, None);
    eventually("all on disk", || metric("spill_records") == 100).await;
    depot.play(|_| Reply::status(200));
    let before = depot.asked().len();
    eventually("all", || numbers(&server, "http").delivered == 100).await;
    assert_eq!(reconciled(&server, "http").await.dropped, 0);
    let taken = depot.asked().split_off(before.saturating_sub(1));
    let lists = taken
        .iter()
        .map(|asked| serde_json::from_str::<Vec<Value>>(&asked.body).unwrap());
    let taken: Vec<Value> = lists.flatten().collect();
    assert_eq!(without_repetitions(&ids(&taken)), expected);
}

#[tokio::test]
async fn a_configuration_of_opa_uploads_as_opa_does() {
    let depot = Depot::start(|_| Reply::status(200));
    let text = format!(
        "services:\n  acme: {{ url: {}, credentials: {{ bearer: {{ token: c4n4ry }} }} }}\n\
         labels: {{ app: shop }}\n\
         decision_logs:\n  console: true\n  service: acme\n  partition_name: p1\n  reporting: {{ \
         min_delay_seconds: 0, max_delay_seconds: 1, upload_size_limit_bytes: 4000, \
         max_decisions_per_second: 5 }}\n",
        depot.url("/base")
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opa.yaml");
    std::fs::write(&file, text).unwrap();
    let policy = folder.path().join("p.rego");
    std::fs::write(&policy, "package envoy.authz\n\nallow := false\n").unwrap();
    let arguments = [PathBuf::from("--opa-config"), file, policy];
    let mut server = Server::with(Options {
        arguments: arguments.map(|path| path.display().to_string()).to_vec(),
        ..Options::default()
    });
    let checks = server.checks().await;
    for _ in 0..30 {
        assert!(!checks.get("/").await.allows());
    }
    eventually("all", || numbers(&server, "opa").delivered == 30).await;
    eventually("lines", || numbers(&server, "opa-console").delivered == 30).await;
    let asked = &depot.asked()[0];
    assert_eq!(asked.target, "/base/logs/p1");
    assert_eq!(asked.header("authorization"), "Bearer c4n4ry");
    let events = events(&depot);
    assert_eq!(events.len(), 30);
    assert_eq!(events[0]["labels"]["app"], "shop");
    is_kept_secret(&server);
    let warnings = server.said();
    assert!(warnings.contains("max_decisions_per_second"), "{warnings}");
    assert!(
        !warnings.contains("decision_logs: has no effect"),
        "{warnings}"
    );
    server.signal("TERM");
    server.wait();
    let lines = server.output.take().unwrap().lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let types: BTreeSet<_> = lines.map(|line| line["type"].to_string()).collect();
    assert_eq!(
        types,
        BTreeSet::from(["\"openpolicyagent.org/decision_logs\"".to_owned()])
    );
}
