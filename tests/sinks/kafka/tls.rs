//! The cluster behind TLS: brokers are reached only over that, and only where their certificate says who
//! they are.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::support::authority::Authority;

/// Speaks TLS for brokers that do not. What they say of where they are is written over: ports are those
/// of this front.
struct Front {
    brokers: Vec<String>,
}

impl Front {
    fn before(cluster: &Cluster, tls: ServerConfig) -> Self {
        let tls = Arc::new(tls);
        let behind: Vec<TcpListener> = cluster
            .brokers
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let own: Vec<u16> = behind
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        let theirs = cluster.brokers.iter().map(|broker| port_of(broker));
        let ports: Arc<HashMap<u16, u16>> = Arc::new(theirs.zip(own.iter().copied()).collect());
        for (listener, broker) in behind.into_iter().zip(&cluster.brokers) {
            let (tls, ports, broker) = (Arc::clone(&tls), Arc::clone(&ports), broker.clone());
            // Ends with the tests: nobody is left who connects.
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (tls, ports) = (Arc::clone(&tls), Arc::clone(&ports));
                    let broker = broker.clone();
                    std::thread::spawn(move || pass_on(stream, tls, &broker, &ports));
                }
            });
        }
        let brokers = own.iter().map(|port| format!("127.0.0.1:{port}"));
        Self {
            brokers: brokers.collect(),
        }
    }
}

fn port_of(broker: &str) -> u16 {
    broker.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Requests and their answers, one after the other, as the producer has them.
fn pass_on(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    broker: &str,
    ports: &HashMap<u16, u16>,
) -> std::io::Result<()> {
    let mut client = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
    let mut server = TcpStream::connect(broker)?;
    loop {
        server.write_all(&frame(&mut client)?)?;
        let answer = with_ports(frame(&mut server)?, ports);
        client.write_all(&answer)?;
        client.flush()?;
    }
}

/// A length, and as many bytes.
fn frame(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = length.to_vec();
    frame.resize(4 + usize::try_from(u32::from_be_bytes(length)).unwrap(), 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// Ports stand behind hosts, in four bytes.
fn with_ports(mut answer: Vec<u8>, ports: &HashMap<u16, u16>) -> Vec<u8> {
    const HOST: &[u8] = b"\0\x09127.0.0.1\0\0";
    let mut at = 0;
    while let Some(found) = answer[at..]
        .windows(HOST.len())
        .position(|part| part == HOST)
    {
        at += found + HOST.len();
        let port = u16::from_be_bytes([answer[at], answer[at + 1]]);
        answer[at..at + 2].copy_from_slice(&ports[&port].to_be_bytes());
    }
    answer
}

/// A server whose sinks are one that may reach the brokers, and some that may not.
#[tokio::test]
async fn brokers_are_reached_over_tls_and_must_show_who_they_are() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let (authority, other) = (Authority::new(), Authority::new());
    let front = Front::before(&cluster, authority.server("127.0.0.1", None));
    let misnamed = Front::before(&cluster, authority.server("kafka.example", None));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, other) = (
        file("ca.pem", authority.pem()),
        file("other.pem", other.pem()),
    );
    let sink = |name: &str, brokers: &[String], tls: &str| {
        format!(
            "{{ type: kafka, name: {name}, brokers: [{}], topic: decisions, timeout: 2s, \
             tls: {tls} }}",
            brokers.join(", ")
        )
    };
    let sinks = [
        sink("good", &front.brokers, &format!("{{ ca: '{ca}' }}")),
        sink("wrong-ca", &front.brokers, &format!("{{ ca: '{other}' }}")),
        sink("system-ca", &front.brokers, "{}"),
        sink(
            "wrong-name",
            &misnamed.brokers,
            &format!("{{ ca: '{ca}' }}"),
        ),
        sink("plain", &cluster.brokers, &format!("{{ ca: '{ca}' }}")),
    ];
    let config = format!("decision_log: {{ sinks: [{}] }}\n", sinks.join(", "));
    let server = Server::with_config(&config);
    let expected = checked(&server, 50).await;
    eventually("all", || numbers(&server, "good").delivered == 50).await;
    assert_eq!(reconciled(&server, "good").await.dropped, 0);
    let mut found = BTreeSet::new();
    while found.len() < expected.len() {
        found.insert(cluster.next()["key"].as_str().unwrap().to_owned());
    }
    assert_eq!(found, expected.into_iter().collect());
    // Each of the others has tried, and tries again.
    for name in ["wrong-ca", "system-ca", "wrong-name", "plain"] {
        let retried = format!("doorward_decision_sink_retried_total{{sink=\"{name}\"}} ");
        eventually("an attempt", || {
            let metrics = http::get(&server.url("/metrics")).body;
            let mut lines = metrics.lines();
            let count = lines.find_map(|line| line.strip_prefix(&retried));
            count.is_some_and(|count| count != "0")
        })
        .await;
        let numbers = reconciled(&server, name).await;
        assert_eq!((numbers.delivered, numbers.held), (0, 50), "{name}");
    }
}
