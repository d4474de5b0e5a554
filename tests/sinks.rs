//! Decisions go where the configuration says, whatever happens to the other side or to this one, and
//! what does not arrive is counted.

mod kafka;
mod uploads;

use std::collections::BTreeSet;
use std::io::BufRead as _;

use serde_json::Value;

use crate::support::depot::Depot;
use crate::support::{Options, Server, eventually, http};

/// Numbers of a sink, all reasons of drops together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Numbers {
    received: u64,
    recovered: u64,
    delivered: u64,
    dropped: u64,
    held: u64,
}

fn numbers(server: &Server, sink: &str) -> Numbers {
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    let label = format!("sink=\"{sink}\"");
    let sum = |name: &str| {
        let lines = metrics.lines().filter(|line| line.contains(&label));
        let of_name = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        let values = of_name.map(|line| line.rsplit(' ').next().unwrap());
        values.map(|value| value.parse::<u64>().unwrap()).sum()
    };
    let counter = |name: &str| sum(&format!("doorward_decision_sink_{name}_total"));
    let gauge = |name: &str| sum(&format!("doorward_decision_sink_{name}"));
    Numbers {
        received: counter("received"),
        recovered: counter("recovered"),
        delivered: counter("delivered"),
        dropped: counter("dropped"),
        held: gauge("queue_records") + gauge("spill_records"),
    }
}

/// Rule: to the unit.
async fn reconciled(server: &Server, sink: &str) -> Numbers {
    let is_whole = |numbers: &Numbers| {
        let came = numbers.received + numbers.recovered;
        came == numbers.delivered + numbers.dropped + numbers.held
    };
    eventually("reconciliation", || is_whole(&numbers(server, sink))).await;
    numbers(server, sink)
}

/// Makes checks, and returns their decisions' ids in order.
async fn checked(server: &Server, count: usize) -> Vec<String> {
    let checks = server.checks().await;
    let mut ids = Vec::new();
    for number in 0..count {
        let reply = checks.get(&format!("/{number}?token=c4n4ry")).await;
        ids.push(reply.text("decision_id").unwrap());
    }
    ids
}

/// Events that a depot took, in order.
fn events(depot: &Depot) -> Vec<Value> {
    let bodies = depot.asked().into_iter().map(|asked| asked.body);
    let lists = bodies.map(|body| serde_json::from_str::<Vec<Value>>(&body).unwrap());
    lists.flatten().collect()
}

fn ids(events: &[Value]) -> Vec<String> {
    let ids = events
        .iter()
        .map(|event| event["decision_id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn the_console_has_a_line_for_each_decision() {
    let config = "decision_log: { sinks: [{ type: console }, \
                  { type: console, name: plain, format: doorward }] }\n";
    let mut server = Server::with_config(config);
    let expected = checked(&server, 20).await;
    eventually("lines", || numbers(&server, "plain").delivered == 20).await;
    eventually("lines", || numbers(&server, "console").delivered == 20).await;
    reconciled(&server, "console").await;
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let lines = server.output.take().unwrap().lines();
    let lines: Vec<Value> = lines
        .map(|line| {
            let line = line.unwrap();
            assert!(!line.contains("c4n4ry"), "{line}");
            serde_json::from_str(&line).unwrap()
        })
        .collect();
    let (of_opa, plain): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line.get("type").is_some());
    assert_eq!(ids(&of_opa), expected);
    assert_eq!(ids(&plain), expected);
    assert_eq!(of_opa[0]["msg"], "Decision Log");
    assert_eq!(plain[19]["sequence"], 20);
    assert_eq!(plain[0]["request"]["path"], "/0?token=**");
}

#[tokio::test]
async fn without_sinks_there_is_nothing_of_them() {
    let server = Server::start();
    checked(&server, 1).await;
    let threads = server.threads();
    assert!(
        !threads.iter().any(|(name, _)| name.starts_with("sink")),
        "{threads:?}"
    );
    assert!(!server.data.path().join("sinks").exists());
    assert_eq!(numbers(&server, "console"), Numbers::default());
}

#[test]
fn what_cannot_be_used_ends_the_start_with_its_place() {
    let rows = [
        (
            "{ type: file }",
            "`decision_log.sinks[0].type`: unknown variant",
        ),
        (
            "{ type: console, nmae: x }",
            "unknown key `nmae`, did you mean `name`?",
        ),
        ("{ type: http }", "`[0].url`: is missing"),
        (
            "{ type: http, url: 'http://x/', timeout: 0s }",
            "`[0].timeout`: is not",
        ),
        (
            "{ type: console }, { type: console }",
            "`[1].name`: there is a sink `console` already",
        ),
    ];
    for (sinks, expected) in rows {
        let options = Options {
            config: format!("decision_log:\n  sinks: [{sinks}]\n"),
            ..Options::default()
        };
        let said = Server::try_with(options).err().unwrap();
        assert!(said.contains(expected), "{sinks}: {said}");
        assert!(said.contains("doorward.yaml:"), "{said}");
        assert!(said.contains("decision_log.sinks"), "{said}");
    }
}

fn without_repetitions(ids: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ids.iter()
        .filter(|id| seen.insert(id.as_str()))
        .cloned()
        .collect()
}
