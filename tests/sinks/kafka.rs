//! A cluster of somebody else's that speaks Kafka. It comes from `DOORWARD_STORES` (`make test` sets it);
//! without it this test says so and passes, unless `DOORWARD_REQUIRE_STORES` is set.

use std::collections::BTreeMap;
use std::io::{BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::*;
use crate::support::root;

fn modules() -> Option<PathBuf> {
    match std::env::var_os("DOORWARD_STORES").filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None if std::env::var_os("DOORWARD_REQUIRE_STORES").is_some() => {
            panic!("DOORWARD_REQUIRE_STORES is set, but DOORWARD_STORES names no folder")
        }
        None => {
            eprintln!(
                "NOT RUN: a cluster of Kafka, as DOORWARD_STORES is not set (`make test` sets it)"
            );
            None
        }
    }
}

/// It ends with its input.
struct Cluster {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
    brokers: Vec<String>,
}

impl Cluster {
    fn start() -> Option<Self> {
        let modules = modules()?;
        let python = modules.parent().unwrap().join("bin/python");
        let mut process = Command::new(python)
            .arg(root().join("tests/stores/kafka.py"))
            .env("PYTHONPATH", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut cluster = Self {
            output: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
            brokers: Vec::new(),
        };
        let told = cluster.next();
        let brokers = told["brokers"].as_array().unwrap().iter();
        cluster.brokers = brokers
            .map(|broker| broker.as_str().unwrap().to_owned())
            .collect();
        Some(cluster)
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.output.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
async fn every_decision_is_a_message() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let config = format!(
        "decision_log: {{ sinks: [{{ type: kafka, brokers: [{}], topic: decisions, timeout: 10s }}, \
         {{ type: kafka, name: away, brokers: [\"127.0.0.1:1\"], topic: decisions }}] }}\n",
        cluster.brokers.join(", ")
    );
    let server = Server::with_config(&config);
    let expected = checked(&server, 200).await;
    eventually("all", || numbers(&server, "kafka").delivered == 200).await;
    assert_eq!(reconciled(&server, "kafka").await.dropped, 0);
    assert_eq!(reconciled(&server, "away").await.held, 200);

    let mut by_partition: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut found = BTreeSet::new();
    while found.len() < expected.len() {
        let message = cluster.next();
        let value = &message["value"];
        assert_eq!(message["key"], value["decision_id"]);
        assert!(!value.to_string().contains("c4n4ry"), "{value}");
        found.insert(message["key"].as_str().unwrap().to_owned());
        let partition = by_partition
            .entry(message["partition"].as_i64().unwrap())
            .or_default();
        partition.push(value["sequence"].as_i64().unwrap());
    }
    assert_eq!(found, expected.into_iter().collect());
    // More than one partition, each in order.
    assert!(by_partition.len() > 1);
    assert!(by_partition.values().all(|numbers| numbers.is_sorted()));
}

/// A cluster that is gone in the middle, and another one.
#[tokio::test]
async fn what_a_cluster_does_not_take_waits_for_the_next() {
    let (Some(cluster), Some(mut other)) = (Cluster::start(), Cluster::start()) else {
        return;
    };
    let config = |cluster: &Cluster| {
        format!(
            "decision_log: {{ sinks: [{{ type: kafka, brokers: [{}], topic: decisions, \
             key: /effect, timeout: 5s }}] }}\n",
            cluster.brokers.join(", ")
        )
    };
    let mut server = Server::with_config(&config(&cluster));
    checked(&server, 10).await;
    eventually("the first", || numbers(&server, "kafka").delivered == 10).await;
    drop(cluster);
    let expected = checked(&server, 100).await;
    eventually("all on disk", || {
        let metrics = http::get(&server.url("/metrics")).body;
        metrics.contains("doorward_decision_sink_spill_records{sink=\"kafka\"} 100\n")
    })
    .await;
    server.signal("KILL");
    server.wait();
    let server = Server::with(Options {
        config: config(&other),
        data: Some(std::sync::Arc::clone(&server.data)),
        ..Options::default()
    });
    eventually("all", || numbers(&server, "kafka").delivered == 100).await;
    let mut found = Vec::new();
    while without_repetitions(&found).len() < 100 {
        let message = other.next();
        assert_eq!(message["key"], "deny");
        found.push(message["value"]["decision_id"].as_str().unwrap().to_owned());
    }
    // One key is one partition, which keeps their order.
    assert_eq!(without_repetitions(&found), expected);
}
