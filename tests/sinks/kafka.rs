//! A cluster of somebody else's that speaks Kafka, where there is one.

mod tls;

use std::collections::BTreeMap;

use super::*;
use crate::support::python::Script;

struct Cluster {
    script: Script,
    brokers: Vec<String>,
}

impl Cluster {
    fn start() -> Option<Self> {
        let mut script = Script::start("kafka.py", &[])?;
        let told = script.json();
        let brokers = told["brokers"].as_array().unwrap().iter();
        let brokers = brokers.map(|broker| broker.as_str().unwrap().to_owned());
        Some(Self {
            brokers: brokers.collect(),
            script,
        })
    }

    fn next(&mut self) -> Value {
        self.script.json()
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
