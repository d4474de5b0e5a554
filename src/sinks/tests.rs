//! Records, and a sink that does as a test says; spills, the machine around sinks, what is sent, and
//! what every sink must do have files of their own.

mod brokers;
mod contract;
mod events;
mod machine;
mod settings;
mod spills;
mod traces;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant as StdInstant;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::sink::{Failure, Sent};
use super::worker::Pace;
use super::*;
use crate::decision_log::{Finished, line};
use crate::telemetry::SinkCounters;

/// A denial of a request with this number.
fn record(seq: i64) -> Arc<Finished> {
    record_of(seq, &json!({}))
}

fn record_of(seq: i64, more: &Value) -> Arc<Finished> {
    let id = Uuid::from_u128(seq.cast_unsigned().into());
    let mut value = json!({
        "decision_id": id.to_string(),
        "sequence": seq,
        "time": "2026-11-22T18:00:00.000000001Z",
        "effect": "deny",
        "status": 403,
        "revision": 7,
        "cached": false,
        "reason": {"kind": "rego", "entrypoint": "envoy/authz/allow", "message": "denied"},
        "peer_principal": "spiffe://cluster.local/ns/foo/sa/a",
        "source": "10.0.0.1:1234",
        "destination": "10.0.0.2:80",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "request": {"method": "GET", "host": "shop.example", "path": format!("/{seq}"),
                    "scheme": "https", "protocol": "HTTP/2", "headers": {"x-a": "1"}},
    });
    let members = value.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    Arc::new(Finished {
        seq,
        id,
        time_ns: 1_763_834_400_000_000_001,
        json: line(&value),
    })
}

fn records(numbers: std::ops::Range<i64>) -> Vec<Arc<Finished>> {
    numbers.map(record).collect()
}

fn counters() -> SinkCounters {
    Metrics::default().of_sinks.of("test")
}

/// What becomes of a delivery.
#[derive(Debug, Clone)]
enum Play {
    /// Only so many at once.
    Take(usize),
    Fail,
    /// For ever.
    Refuse,
    /// More than so many are too large.
    TooLarge(usize),
    /// No answer comes.
    Hang,
    Panic,
}

/// The other side of a sink.
#[derive(Debug)]
struct Peer {
    play: Mutex<Play>,
    /// Numbers as they were delivered.
    got: Mutex<Vec<i64>>,
    asked: Mutex<u64>,
}

#[derive(Debug)]
struct Scripted(Arc<Peer>);

impl Peer {
    fn playing(play: Play) -> Arc<Self> {
        Arc::new(Self {
            play: Mutex::new(play),
            got: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    fn play(&self, play: Play) {
        *self.play.lock().unwrap() = play;
    }

    fn got(&self) -> Vec<i64> {
        self.got.lock().unwrap().clone()
    }

    fn asked(&self) -> u64 {
        *self.asked.lock().unwrap()
    }
}

#[async_trait]
impl Sink for Scripted {
    async fn deliver(&mut self, records: &[Arc<Finished>]) -> Sent {
        *self.0.asked.lock().unwrap() += 1;
        let play = self.0.play.lock().unwrap().clone();
        let failed = |failure| Sent::failed(records.len(), failure);
        let why = || "as the test says".to_owned();
        let most = match play {
            Play::TooLarge(most) if records.len() > most => {
                return failed(Failure::TooLarge { why: why() });
            }
            Play::Take(most) | Play::TooLarge(most) => most,
            Play::Fail => return failed(Failure::may_pass(why())),
            Play::Refuse => return failed(Failure::Final { why: why() }),
            Play::Hang => std::future::pending().await,
            Play::Panic => panic!("as the test says"),
        };
        let taken = records.len().min(most);
        let numbers = records.iter().take(taken).map(|record| record.seq);
        self.0.got.lock().unwrap().extend(numbers);
        Sent::all(taken)
    }
}

/// A sink with all there is around it, but for the log.
struct Machine {
    queue: Arc<Queue>,
    counters: SinkCounters,
    runtime: Option<Runtime>,
}

/// What it may hold.
struct Room {
    queue: usize,
    /// A folder, and how much in it.
    spill: Option<(PathBuf, u64)>,
}

impl Machine {
    fn start(peer: &Arc<Peer>, room: Room) -> Self {
        let counters = counters();
        let spill = room.spill.map(|(folder, limit)| {
            let (spill, damaged) = Spill::open(&folder, limit).unwrap();
            counters.recovered.inc_by(spill.records() + damaged);
            counters.dropped("damaged", damaged);
            spill
        });
        let queue = Arc::new(Queue::new(room.queue, counters.clone()));
        let holding = Holding::new("test", Arc::clone(&queue), spill);
        let pace = Pace {
            records: 100,
            bytes: 1 << 20,
            min_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
        };
        let sink = Box::new(Scripted(Arc::clone(peer)));
        let worker = Worker::new("test", sink, holding, pace);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let ended = Arc::clone(&queue);
        runtime.spawn(async move {
            worker.run().await;
            ended.abandon();
        });
        Self {
            queue,
            counters,
            runtime: Some(runtime),
        }
    }

    fn take(&self, numbers: std::ops::Range<i64>) {
        self.queue.take(&records(numbers));
    }

    /// As on `kill -9`: nothing is done any more.
    fn kill(mut self) {
        self.runtime
            .take()
            .unwrap()
            .shutdown_timeout(Duration::from_secs(10));
    }

    fn end(&self, grace: Duration) {
        self.queue.end(Instant::now() + grace);
    }

    /// Rule: what came is delivered, dropped or held, to the unit, as soon as nothing is under way.
    fn reconcile(&self) {
        let counters = &self.counters;
        let reasons = ["queue_full", "rejected", "too_large", "stopped", "damaged"];
        eventually("to the unit", || {
            let dropped = reasons.map(|reason| counters.dropped_by(reason));
            let came = counters.received.get() + counters.recovered.get();
            let held = u64::try_from(counters.held()).unwrap();
            came == counters.delivered.get() + dropped.iter().sum::<u64>() + held
        });
    }

    fn held(&self) -> i64 {
        self.counters.held()
    }
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = StdInstant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(StdInstant::now() < deadline, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}
