//! What the decision log sustains: records a second, what handing one over costs the thread that
//! decides and storing it the log's, bytes stored, and how long questions take while records come in.
//! `-- --seconds 60 --rate 110000 --records 1000000` are the defaults.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench prints, and ends when something is wrong"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doorward::attributes::{
    Address, Attributes, Headers, HttpRequest, Pairs, Peer, Port, Request, SocketAddress,
};
use doorward::decision::{Decision, Grounds, Reason, ReasonKind, conclude};
use doorward::decision_log::{
    DecisionLog, Detail, Filter, Level, LogSettings, Mask, Overflow, Record, Recorded, Recorder,
    Scope,
};
use doorward::policy::config::{MeshConfig, RegoConfig, settings};
use doorward::policy::native::Workload;
use doorward::policy::{DefaultAction, PolicySet, PolicySources};
use doorward::telemetry::{Metrics, Stopwatch};
use doorward::traces::TraceContext;
use serde_json::{Value, json};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests that are told apart by more than their ids.
const REQUESTS: u64 = 5_000;
/// One in so many is denied.
const DENIED: u64 = 40;
/// Peers; the first is rare.
const PEERS: u64 = 20;
/// Which header has the trace.
const TRACE_PARENT: usize = 9;
/// How often each question is asked, and how many records a second come in meanwhile.
const ASKED: usize = 200;
const MEANWHILE: u64 = 20_000;

fn main() {
    let seconds = argument("--seconds", 60);
    let rate = argument("--rate", 110_000);
    let records = argument("--records", 1_000_000);
    let source = Source::new();
    handing_over(&source);
    sustained(&source, rate, Duration::from_secs(seconds));
    sustained(&source, u64::MAX, Duration::from_secs(seconds.div_ceil(6)));
    questions(&source, records);
}

fn argument(name: &str, default: u64) -> u64 {
    let arguments: Vec<_> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == name);
    at.map_or(default, |at| arguments[at + 1].parse().unwrap())
}

/// How much is recorded: 0 is summaries alone, 1 what is recorded by default, 2 the input of every request.
fn detail() -> Detail {
    let both = |level| Detail {
        allow: level,
        deny: level,
    };
    match argument("--detail", 1) {
        0 => both(Level::Summary),
        1 => Detail::default(),
        _ => both(Level::Input),
    }
}

/// What records are made of.
struct Source {
    requests: Vec<Attributes>,
    headers: Vec<Pairs>,
    decisions: Vec<Arc<Decision>>,
    workload: Arc<Workload>,
    policies: Arc<PolicySet>,
    start_ns: i64,
}

impl Source {
    fn new() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            requests: (0..REQUESTS).map(request).collect(),
            headers: (0..REQUESTS).map(headers).collect(),
            decisions: (0..PEERS).flat_map(decisions).collect(),
            workload: Arc::default(),
            policies: Arc::new(no_policies()),
            start_ns: i64::try_from(start.as_nanos()).unwrap(),
        }
    }

    /// The request as a check would have it: in memory of its own, with a trace of its own.
    fn attributes(&self, number: u64) -> Attributes {
        let mut attributes = self.requests[(number % REQUESTS) as usize].clone();
        let http = attributes
            .request
            .as_mut()
            .and_then(|request| request.http.as_mut());
        let http = http.unwrap();
        let mut headers = self.headers[(number % REQUESTS) as usize].clone();
        headers[TRACE_PARENT].1 = format!("00-{}-00f067aa0ba902b7-01", trace(number));
        http.headers = Headers::new(headers, None);
        attributes
    }

    fn record(&self, recorder: &Recorder, number: u64, attributes: &Attributes) {
        let peer = peer_of(number);
        let is_denied = number.is_multiple_of(DENIED);
        let recorded = recorder.record(&Record {
            id: id(number),
            time_ns: self.start_ns + i64::try_from(number).unwrap() * 1_000,
            stopwatch: &Stopwatch::default(),
            caller: TraceContext::default(),
            revision: 7,
            cached: true,
            lookalikes: &[],
            decision: &self.decisions[(peer * 2 + u64::from(is_denied)) as usize],
            workload: &self.workload,
            policies: &self.policies,
            attributes,
            shadow: None,
        });
        assert!(matches!(recorded, Recorded::Settled));
    }
}

fn no_policies() -> PolicySet {
    let (mesh, rego) = (MeshConfig::default(), RegoConfig::default());
    let settings = settings(&mesh, &rego, &[], Duration::from_secs(1));
    PolicySet::compile(PolicySources::default(), &settings).unwrap()
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(mixed(number), mixed(!number))
}

/// The first peer asks once in 100,000 times.
fn peer_of(number: u64) -> u64 {
    match mixed(number) % 100_000 {
        0 => 0,
        other => 1 + other % (PEERS - 1),
    }
}

fn trace(number: u64) -> String {
    format!("{:016x}{:016x}", mixed(number + 1), mixed(number + 2))
}

fn decisions(peer: u64) -> [Arc<Decision>; 2] {
    let allow = conclude(Grounds {
        default_action: DefaultAction::Allow,
        ..Grounds::default()
    });
    let why = "no ALLOW rule matched";
    let deny = Decision::deny(403, Reason::new(ReasonKind::NoAllowRule, why));
    [allow, deny].map(|mut decision| {
        decision.peer_principal = Some(format!("spiffe://cluster.local/ns/web/sa/peer-{peer}"));
        Arc::new(decision)
    })
}

fn path(number: u64) -> String {
    format!("/api/v{}/orders/{}", number % 3, mixed(number) % 100_000)
}

/// A request of 1.3 kB, but for its headers.
fn request(number: u64) -> Attributes {
    let http = HttpRequest {
        method: "GET".to_owned(),
        host: format!("shop-{}.example.com", number % 5),
        path: path(number),
        scheme: "https".to_owned(),
        protocol: "HTTP/2".to_owned(),
        ..HttpRequest::default()
    };
    Attributes {
        source: peer("10.1.2.3", 40_000 + (number % 20_000) as u32),
        destination: peer("10.1.9.9", 8_080),
        request: Some(Request {
            time: None,
            http: Some(http),
        }),
        ..Attributes::default()
    }
}

/// Its 15 headers, most of which many have in common.
fn headers(number: u64) -> Pairs {
    let client = format!("10.1.{}.{}", mixed(number) % 256, number % 256);
    let version = mixed(number) % 8;
    let headers = [
        (":authority", format!("shop-{}.example.com", number % 5)),
        (":method", "GET".to_owned()),
        (":path", path(number)),
        (":scheme", "https".to_owned()),
        ("accept", "application/json, text/plain, */*".to_owned()),
        ("accept-encoding", "gzip, deflate, br, zstd".to_owned()),
        ("accept-language", "en-US,en;q=0.9,de;q=0.8".to_owned()),
        (
            "authorization",
            format!("Bearer eyJhbGciOiJSUzI1NiJ9.{}", "a".repeat(500)),
        ),
        ("cookie", "session=abcdefghijklmnopqrstuvwxyz".to_owned()),
        ("traceparent", String::new()),
        (
            "user-agent",
            format!(
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/12{version}.0.0.0 Safari/537.36"
            ),
        ),
        ("x-envoy-external-address", client.clone()),
        ("x-forwarded-for", client),
        ("x-forwarded-proto", "https".to_owned()),
        ("x-request-id", id(number + 4).to_string()),
    ];
    headers.map(|(name, value)| (name.to_owned(), value)).into()
}

fn peer(address: &str, port: u32) -> Option<Peer> {
    let socket = SocketAddress {
        address: address.to_owned(),
        port: Some(Port::Value(port)),
        ..SocketAddress::default()
    };
    Some(Peer {
        address: Some(Address::Socket(socket)),
        ..Peer::default()
    })
}

/// A log in a folder of its own, on the disk that the working directory is on.
struct Running {
    folder: tempfile::TempDir,
    metrics: Arc<Metrics>,
    log: DecisionLog,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir_in(".").unwrap();
        let metrics = Arc::new(Metrics::default());
        let settings = LogSettings {
            enabled: true,
            retention: Duration::from_secs(7 * 86_400),
            max_bytes: 16 << 30,
            mask: Mask::default(),
            scope: Scope::of(detail()),
            sample: Vec::new(),
            overflow: Overflow::Count,
            outlets: Vec::new(),
            tracing: None,
        };
        let path = folder.path().join("decisions.db");
        let log = DecisionLog::start(&path, settings, Arc::clone(&metrics)).unwrap();
        Self {
            folder,
            metrics,
            log,
        }
    }

    fn bytes(&self) -> u64 {
        let file = self.folder.path().join("decisions.db");
        std::fs::metadata(file).unwrap().len()
    }
}

/// What a check pays: the request's memory is taken and freed either way.
fn handing_over(source: &Source) {
    let running = Running::start();
    let recorder = running.log.recorder();
    let time = |record: bool| {
        let mut times: Vec<_> = (0..101)
            .map(|_| {
                // Slow enough for the log's thread to keep up.
                std::thread::sleep(Duration::from_millis(10));
                let start = Instant::now();
                for number in 0..500 {
                    let attributes = source.attributes(number);
                    if record {
                        source.record(&recorder, number, &attributes);
                    }
                    drop(attributes);
                }
                start.elapsed() / 500
            })
            .collect();
        times.sort_unstable();
        times[50]
    };
    let (without, with) = (time(false), time(true));
    println!(
        "handing a record over: {} ns",
        with.saturating_sub(without).as_nanos()
    );
}

/// Records at a rate, for so long.
fn sustained(source: &Source, rate: u64, how_long: Duration) {
    let mut running = Running::start();
    let recorder = running.log.recorder();
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < how_long {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        if due < sent + 20 {
            std::thread::sleep(Duration::from_micros(100));
        }
        let until = due.min(sent + 1_000);
        while sent < until {
            source.record(&recorder, sent, &source.attributes(sent));
            sent += 1;
        }
    }
    let (spent, so_far) = (thread_time(), running.metrics.log.written.get());
    running.log.stop();
    let (elapsed, stored) = (start.elapsed(), running.metrics.log.written.get());
    let asked = match rate {
        u64::MAX => "as many records as go".to_owned(),
        rate => format!("{rate} records/s"),
    };
    println!(
        "{asked}, {} s: stored {:.0}/s, lost {}, {:.2} µs of the log's thread each ({:.0} % of a \
         core), {} bytes each",
        elapsed.as_secs(),
        stored as f64 / elapsed.as_secs_f64(),
        sent - stored,
        spent.as_secs_f64() * 1e6 / so_far as f64,
        spent.as_secs_f64() / elapsed.as_secs_f64() * 100.0,
        running.bytes() / stored,
    );
}

/// Processor time of the log's thread so far.
fn thread_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut tasks = tasks.map(|task| task.unwrap().path());
    let is_log = |path: &Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "decision-log")
    };
    let task = tasks.find(|path| is_log(path)).unwrap();
    let spent = std::fs::read_to_string(task.join("schedstat")).unwrap();
    Duration::from_nanos(spent.split(' ').next().unwrap().parse().unwrap())
}

/// Questions to a log of so many records, while others come in.
fn questions(source: &Source, records: u64) {
    let running = Running::start();
    let recorder = running.log.recorder();
    for number in 0..records {
        source.record(&recorder, number, &source.attributes(number));
        // Well below what the thread can store.
        if number % 1_000 == 0 {
            std::thread::sleep(Duration::from_millis(7));
        }
    }
    while running.metrics.log.written.get() < records {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!(
        "{records} records stored, {} bytes each; {MEANWHILE} more a second come in",
        running.bytes() / records
    );
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = records;
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..MEANWHILE / 100 {
                    source.record(&recorder, number, &source.attributes(number));
                    number += 1;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let principal = |peer: u64| format!("spiffe://cluster.local/ns/web/sa/peer-{peer}");
        let some = |number: usize| mixed(number as u64) % records;
        println!(
            "{:<52}{:>10}{:>10}{:>8}",
            "question", "p50 ms", "p99 ms", "found"
        );
        ask(
            &running,
            "one decision by its id",
            |number| json!({"decision_id": id(some(number))}),
        );
        ask(
            &running,
            "the newest 100 denials of 15 minutes",
            |_| json!({"effect": "deny", "since": "15m"}),
        );
        ask(
            &running,
            "a trace",
            |number| json!({"trace_id": trace(some(number))}),
        );
        ask(
            &running,
            "a rare principal under a path, denied",
            |_| json!({"principal": principal(0), "path": "/api/v1/*", "effect": "deny"}),
        );
        ask(
            &running,
            "100 of a host and a principal",
            |_| json!({"host": "shop-3.example.com", "principal": principal(3)}),
        );
        ask(
            &running,
            "a path that never was asked for",
            |number| json!({"path": format!("/api/v1/none/{number}")}),
        );
        is_over.store(true, Ordering::Relaxed);
    });
}

fn ask(running: &Running, what: &str, question: impl Fn(usize) -> Value) {
    let reader = running.log.readers();
    let mut found = 0;
    let mut times: Vec<_> = (0..ASKED)
        .map(|number| {
            let filter: Filter = serde_json::from_value(question(number)).unwrap();
            let start = Instant::now();
            found = reader.query(&filter).unwrap().decisions.len();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[ASKED / 2], times[ASKED * 99 / 100]);
    println!("{what:<52}{p50:>10.2}{p99:>10.2}{found:>8}");
}
