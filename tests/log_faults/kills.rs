//! `kill -9` under load, again and again on the same data: what is lost is the end of what was decided, it
//! is counted, and no number stands for two decisions. `make proof-kills` does so some hundred times.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::support::check::http_check;
use crate::support::random;

const CONNECTIONS: usize = 4;

/// Decisions that a connection was told of, in order, and when.
type Told = Vec<(String, Instant)>;

/// Makes checks on connections of their own, until the server is gone.
async fn load(server: &Server) -> Vec<tokio::task::JoinHandle<Told>> {
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let checks = server.checks().await;
        tasks.push(tokio::spawn(async move {
            let mut told = Told::new();
            for number in 0_usize.. {
                let path = match number % 5 {
                    0 => "/shut".to_owned(),
                    1 => "/open/same".to_owned(),
                    _ => format!("/open/{connection}/{number}"),
                };
                let fill = "f".repeat(number % 7 * 300);
                let request = http_check("GET", &path, &[("x-fill", &fill)]);
                let Ok(reply) = checks.send(prost::Message::encode_to_vec(&request)).await else {
                    break;
                };
                told.push((reply.text("decision_id").unwrap(), Instant::now()));
            }
            told
        }));
    }
    tasks
}

/// Records from a number on, by number.
fn records_from(server: &Server, first: i64) -> BTreeMap<i64, String> {
    let mut records = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let url = server.url(&format!("/v1/decisions?limit=1000{cursor}"));
        let page = http::get(&url).expect(200).json();
        for record in page["decisions"].as_array().unwrap() {
            let number = record["sequence"].as_i64().unwrap();
            if number >= first {
                let id = record["decision_id"].as_str().unwrap().to_owned();
                assert_eq!(records.insert(number, id), None, "{number}");
            }
        }
        let is_enough = page["decisions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|record| record["sequence"].as_i64().unwrap() < first);
        match page["next_cursor"].as_str() {
            Some(next) if !is_enough => cursor = format!("&cursor={next}"),
            _ => return records,
        }
    }
}

/// The number of a further check, which is stored.
async fn number_of_next(server: &Server) -> i64 {
    let reply = server.checks().await.get("/open/next").await;
    let url = server.url(&format!(
        "/v1/decisions/{}",
        reply.text("decision_id").unwrap()
    ));
    eventually("the record", || http::get(&url).status == 200).await;
    http::get(&url).json()["sequence"].as_i64().unwrap()
}

fn lost_in_crash(server: &Server) -> i64 {
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    let name = "doorward_decision_log_lost_in_crash ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

/// What an end of the server meant for those who asked.
#[derive(Debug, Default)]
struct Found {
    replies: usize,
    stored: usize,
    /// As the next start says.
    counted: usize,
    /// Replies that are not stored.
    missing: usize,
    /// How long before the end the oldest of these was given.
    age: Duration,
}

/// Holds what was told against what is stored, numbers from the first on to the next one.
fn compare(
    told: &[Told],
    ended: Instant,
    stored: &BTreeMap<i64, String>,
    first: i64,
    next: i64,
    counted: i64,
) -> Found {
    // Rule: stored is all up to some number, and counted is all from there on.
    let expected: Vec<i64> = (first..next - counted).collect();
    assert!(
        stored.keys().copied().eq(expected),
        "from {first} to {next}, {counted} lost: {} stored, to {:?}",
        stored.len(),
        stored.keys().last()
    );
    let ids: HashSet<&str> = stored.values().map(String::as_str).collect();
    let mut found = Found {
        replies: told.iter().map(Vec::len).sum(),
        stored: stored.len(),
        counted: usize::try_from(counted).unwrap(),
        ..Found::default()
    };
    let mut met = 0;
    for told in told {
        // Rule: of each connection only the last ones are lost.
        let there = told
            .iter()
            .take_while(|(id, _)| ids.contains(id.as_str()))
            .count();
        let (_, missing) = told.split_at(there);
        assert!(
            missing.iter().all(|(id, _)| !ids.contains(id.as_str())),
            "one is stored behind one that is not"
        );
        met += there;
        found.missing += missing.len();
        if let Some((_, when)) = missing.first() {
            found.age = found.age.max(ended.saturating_duration_since(*when));
        }
    }
    // What is stored, or counted, and nobody was told of, was on its way to somebody.
    assert!(
        ids.len() - met <= CONNECTIONS,
        "{} stored, {met} told of",
        ids.len()
    );
    assert!(found.counted <= found.missing + CONNECTIONS, "{found:?}");
    found
}

fn options(depot: &Depot, data: Option<Arc<tempfile::TempDir>>) -> Options {
    let sink = format!(
        "{{ type: http, url: \"{}\", min_delay: 0s, max_delay: 10ms }}",
        depot.url("/logs")
    );
    Options {
        config: format!("decision_log: {{ sinks: [{sink}] }}\n"),
        data,
        ..Options::default()
    }
}

/// Every number that the sink ever got, and the decision it stands for.
fn of_sink(depot: &Depot) -> HashMap<i64, String> {
    let mut numbers = HashMap::new();
    for asked in depot.asked() {
        for event in serde_json::from_str::<Vec<Value>>(&asked.body).unwrap() {
            let number = event["custom"]["doorward"]["sequence"].as_i64().unwrap();
            let id = event["decision_id"].as_str().unwrap().to_owned();
            let before = numbers.insert(number, id.clone());
            assert!(
                before.is_none_or(|before| before == id),
                "{number} is given twice"
            );
        }
    }
    numbers
}

/// A start in between that fails, as its port is taken: what it finds is for the one that serves.
fn cannot_start(server: &Server) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let started = Server::try_with(Options {
        arguments: vec!["--management-listen".to_owned(), address],
        data: Some(Arc::clone(&server.data)),
        ..Options::default()
    });
    let Err(said) = started else {
        panic!("it started on a port that is taken");
    };
    assert!(said.contains("in use"), "{said}");
}

/// Ends a server under load, by a signal, so many times.
async fn ends(signal: &str, rounds: usize) -> Vec<Found> {
    let depot = Depot::start(|_| Reply::status(204));
    let mut server = Server::with(options(&depot, None));
    http::put(
        &server.url("/v1/bundles/b"),
        &archive(&[("p.rego", POLICY)]),
    )
    .expect(200);
    let mut first = 1;
    let mut seen = HashSet::new();
    let mut numbers = HashMap::new();
    let mut all = Vec::new();
    for round in 1..=rounds {
        let tasks = load(&server).await;
        tokio::time::sleep(Duration::from_millis(30 + random() % 400)).await;
        let ended = Instant::now();
        server.signal(signal);
        let mut told = Vec::new();
        for task in tasks {
            told.push(task.await.unwrap());
        }
        server.wait();
        if round == 1 {
            cannot_start(&server);
        }
        server = Server::with(options(&depot, Some(Arc::clone(&server.data))));
        let counted = lost_in_crash(&server);
        let next = number_of_next(&server).await;
        let mut stored = records_from(&server, first);
        let own = stored.remove(&next);
        assert!(own.is_some());
        all.push(compare(&told, ended, &stored, first, next, counted));
        stored.extend(own.map(|own| (next, own)));
        for id in stored.values() {
            assert!(seen.insert(id.clone()), "{id} is stored twice");
        }
        numbers.extend(stored);
        first = next + 1;
        if rounds > 20 && round % 20 == 0 {
            eprintln!("{round} of {rounds}: all accounted for");
        }
    }
    // What a sink got has the same number in the store, or is lost there and stands for nothing else.
    for (number, id) in of_sink(&depot) {
        assert!(
            numbers.get(&number).is_none_or(|stored| *stored == id),
            "{number} is given twice"
        );
    }
    all
}

fn report(all: &[Found]) {
    let sum = |of: fn(&Found) -> usize| all.iter().map(of).sum::<usize>();
    let p50_and_max = |of: fn(&Found) -> usize| {
        let mut each: Vec<_> = all.iter().map(of).collect();
        each.sort_unstable();
        (each[each.len() / 2], each[each.len() - 1])
    };
    let uncounted = |found: &Found| found.missing.saturating_sub(found.counted);
    let (lost, most_lost) = p50_and_max(|found| found.missing);
    let (age, oldest) = p50_and_max(|found| usize::try_from(found.age.as_millis()).unwrap());
    for (what, value) in [
        ("kills", all.len().to_string()),
        ("replies", sum(|found| found.replies).to_string()),
        ("stored", sum(|found| found.stored).to_string()),
        (
            "not stored, counted at the next start",
            sum(|found| found.counted).to_string(),
        ),
        (
            "not stored, had not been taken yet",
            sum(uncounted).to_string(),
        ),
        (
            "not stored of a kill, p50 and most",
            format!("{lost}, {most_lost}"),
        ),
        (
            "… how long before it the oldest, p50 and most",
            format!("{age} ms, {oldest} ms"),
        ),
        ("numbers given twice", "0".to_owned()),
    ] {
        eprintln!("| {what} | {value} |");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_the_last_batch_and_is_counted() {
    let all = ends("KILL", 6).await;
    assert!(all.iter().all(|found| found.replies > 0), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_in_order_costs_nothing() {
    for found in ends("TERM", 3).await {
        assert_eq!((found.counted, found.missing), (0, 0), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make proof-kills"]
async fn hundreds_of_kills() {
    let kills = std::env::var("DOORWARD_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok());
    report(&ends("KILL", kills.unwrap_or(300)).await);
}
