//! Builders of records, and the log as a whole; masks, the hand-over, blocks, queries and the store
//! have tables of their own.

use std::sync::LazyLock;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, Metadata, Pairs, Peer, Port, Request, SocketAddress,
};
use crate::decision::{Decision, Grounds, Reason, ReasonKind, conclude};
use crate::policy::config::{MeshConfig, RegoConfig};
use crate::policy::native::Workload;
use crate::policy::rego::{Outcome, RegoModule};
use crate::policy::{self, DefaultAction, PolicySet, PolicySources};
use crate::telemetry::{Arrival, Step, Stopwatch};
use crate::traces::TraceContext;

mod blocks;
mod canaries;
mod crashes;
mod damage;
mod dodging;
mod filters;
mod handover;
mod hidden;
mod inputs;
mod masking;
pub(crate) mod overflow;
mod queries;
mod retention;
mod spans;
mod storing;
mod summaries;

const NOW_NS: i64 = 1_700_000_000_123_456_789;

fn in_memory() -> LogStore {
    LogStore::writing(rusqlite::Connection::open_in_memory().unwrap()).unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn http(path: &str, headers: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        host: "shop.example".to_owned(),
        path: path.to_owned(),
        headers: Headers::new(pairs(headers), None),
        ..HttpRequest::default()
    }
}

fn allowed(record: Sample) -> Sample {
    let decision = conclude(Grounds {
        default_action: DefaultAction::Allow,
        ..Grounds::default()
    });
    Sample {
        decision: Arc::new(decision),
        ..record
    }
}

/// Records counted as lost.
fn lost(queue: &Queue) -> u64 {
    counted(queue, "dropped")
}

fn counted(queue: &Queue, what: &str) -> u64 {
    let name = format!("doorward_decision_log_{what}_total{{");
    let text = queue.metrics().encode();
    let rows = text.lines().filter_map(|line| {
        let row = line.strip_prefix(&name)?;
        row.rsplit_once(' ')?.1.parse::<u64>().ok()
    });
    rows.sum()
}

/// A record and what it refers to.
struct Sample {
    id: Uuid,
    time_ns: i64,
    stopwatch: Stopwatch,
    cached: bool,
    lookalikes: Vec<String>,
    decision: Arc<Decision>,
    workload: Arc<Workload>,
    policies: Arc<PolicySet>,
    attributes: Attributes,
}

impl Sample {
    fn record(&self) -> Record<'_> {
        Record {
            id: self.id,
            time_ns: self.time_ns,
            stopwatch: &self.stopwatch,
            caller: TraceContext::default(),
            revision: 7,
            cached: self.cached,
            lookalikes: &self.lookalikes,
            decision: &self.decision,
            workload: &self.workload,
            policies: &self.policies,
            attributes: &self.attributes,
            shadow: None,
        }
    }
}

/// A denial, recorded at `NOW_NS`.
fn record(http: HttpRequest) -> Sample {
    let attributes = Attributes {
        request: Some(Request {
            time: None,
            http: Some(http),
        }),
        ..Attributes::default()
    };
    Sample {
        id: Uuid::new_v4(),
        time_ns: NOW_NS,
        stopwatch: Stopwatch::default(),
        cached: false,
        lookalikes: Vec::new(),
        decision: Arc::new(Decision::deny(
            403,
            Reason::new(ReasonKind::NoPolicy, "why"),
        )),
        workload: Arc::default(),
        policies: Arc::clone(&NOTHING),
        attributes,
    }
}

fn settings() -> LogSettings {
    LogSettings {
        enabled: true,
        retention: Duration::MAX,
        max_bytes: 1 << 30,
        mask: Mask::default(),
        scope: Scope {
            detail: Detail {
                allow: Level::Summary,
                deny: Level::Summary,
            },
            ..Scope::default()
        },
        sample: Vec::new(),
        overflow: Overflow::Count,
        outlets: Vec::new(),
        tracing: None,
    }
}

fn queue_that(overflow: Overflow) -> Arc<Queue> {
    queue_with(&LogSettings {
        overflow,
        ..settings()
    })
}

fn queue_with(settings: &LogSettings) -> Arc<Queue> {
    Arc::new(Queue::new(1, settings, Arc::default()))
}

/// No policies.
static NOTHING: LazyLock<Arc<PolicySet>> = LazyLock::new(|| policies(&[]));

fn policies(modules: &[&str]) -> Arc<PolicySet> {
    let settings = policy::config::settings(
        &MeshConfig::default(),
        &RegoConfig::default(),
        &[],
        Duration::from_secs(20),
    );
    let module = |(index, text): (usize, &&str)| RegoModule {
        path: format!("{index}.rego"),
        text: (*text).to_owned(),
        v0: false,
    };
    let sources = PolicySources {
        modules: modules.iter().enumerate().map(module).collect(),
        ..PolicySources::default()
    };
    Arc::new(PolicySet::compile(sources, &settings).unwrap())
}

fn put(queue: &Arc<Queue>, record: &Sample) {
    let recorded = queue.push(&record.record());
    assert!(matches!(recorded, Recorded::Settled));
}

/// Stores records as the log's thread does.
fn store_records(store: &LogStore, records: &[Sample]) {
    let queue = Arc::new(Queue::new(
        store.next_seq().unwrap(),
        &settings(),
        Arc::default(),
    ));
    records.iter().for_each(|record| put(&queue, record));
    queue.end();
    Writer::new(&queue, settings(), store).run();
    let stored = i64::try_from(queue.metrics().log.written.get()).unwrap();
    assert_eq!(stored, i64::try_from(records.len()).unwrap());
}

/// What is shown of a record by default.
fn shown(record: Sample) -> Value {
    let store = in_memory();
    store_records(&store, &[record]);
    store.query(&Filter::default()).unwrap().decisions.remove(0)
}

#[test]
fn a_record_tells_who_asked_what_and_why() {
    let mut request = http(
        "/a?x=1",
        &[
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("x-request-id", "r-1"),
        ],
    );
    request.scheme = "https".to_owned();
    request.protocol = "HTTP/2".to_owned();
    request.body = "body".to_owned();
    request.raw_body = Bytes::from_static(b"raw");
    let mut record = record(request);
    let socket = |address: &str, port| {
        let socket = SocketAddress {
            address: address.to_owned(),
            port,
            ..SocketAddress::default()
        };
        Some(Peer {
            address: Some(Address::Socket(socket)),
            certificate: "CERTIFICATE".to_owned(),
            ..Peer::default()
        })
    };
    record.attributes.source = socket("::1", Some(Port::Value(5)));
    record.attributes.destination = socket("10.0.0.1", Some(Port::Value(80)));
    record.attributes.metadata = Some(Metadata {
        filter: vec![(
            "f".to_owned(),
            json!({"k": "METADATA"}).as_object().unwrap().clone(),
        )],
        typed: vec![],
    });
    let workload = Workload {
        namespace: Some("shop".to_owned()),
        labels: Some(pairs(&[("app", "cart")])),
        ..Workload::default()
    };
    record.workload = Arc::new(workload);
    let reason = Reason {
        policy: Some("shop/deny".to_owned()),
        rule: Some(2),
        ..Reason::new(ReasonKind::AuthorizationPolicy, "DENY rule matched")
    };
    let mut decision = Decision::deny(403, reason);
    decision.peer_principal = Some("spiffe://td/a".to_owned());
    decision.forwarded_by = Some("spiffe://td/gateway".to_owned());
    decision.request_principal = Some("i/s".to_owned());
    record.decision = Arc::new(decision);
    let id = record.id;
    let expected = json!({
        "decision_id": id, "sequence": 1, "time": "2023-11-14T22:13:20.123456789Z", "effect": "deny", "status": 403,
        "reason": {"kind": "authorization_policy", "policy": "shop/deny", "rule": 2, "message": "DENY rule matched"},
        "revision": 7, "cached": false,
        "peer_principal": "spiffe://td/a", "forwarded_by": "spiffe://td/gateway",
        "request_principal": "i/s",
        "workload": {"namespace": "shop", "labels": {"app": "cart"}},
        "source": "[::1]:5", "destination": "10.0.0.1:80",
        "request": {
            "method": "GET", "host": "shop.example", "path": "/a?x=1", "scheme": "https", "protocol": "HTTP/2",
            "headers": {
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "r-1",
            },
        },
        "request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
    });
    assert_eq!(shown(record), expected);
}

#[test]
fn a_record_names_the_headers_that_are_changed() {
    let mutations = Outcome {
        allowed: true,
        headers: pairs(&[("x-user", "S3CRET"), ("x-user", "S3CRET"), ("x-z", "1")]),
        request_headers_to_remove: vec!["x-gone".to_owned()],
        response_headers_to_add: pairs(&[("set-cookie", "S3CRET")]),
        ..Outcome::default()
    };
    let mut changing = record(http("/", &[]));
    changing.decision = Arc::new(conclude(Grounds {
        rego: vec![(mutations.clone(), "a/b")],
        ..Grounds::default()
    }));
    changing.lookalikes = vec!["x_user".to_owned()];
    let changed = shown(changing);
    let expected =
        json!({"set": ["x-user", "x-z"], "removed": ["x-gone"], "response": ["set-cookie"]});
    assert_eq!(changed["headers_changed"], expected);
    assert_eq!(changed["lookalikes_removed"], json!(["x_user"]));
    assert!(!changed.to_string().contains("S3CRET"));

    let mut denying = record(http("/", &[]));
    denying.decision = Arc::new(Decision::denied_by_rego(&mutations, "a/b"));
    assert_eq!(
        shown(denying)["headers_changed"],
        json!({"response": ["x-user", "x-z"]})
    );
}

/// How long it took is told of what was evaluated, if it was measured.
#[test]
fn a_record_tells_how_long_deciding_took() {
    let measured = Arrival::measured(NOW_NS, Instant::now()).stopwatch;
    measured.asking_rego(|| std::hint::black_box(1));
    measured.timing(Step::Authenticate, || std::hint::black_box(1));
    measured.timing(Step::Native, || std::hint::black_box(1));
    for (stopwatch, cached, is_told) in [
        (measured.clone(), false, true),
        (measured, true, false),
        (Stopwatch::default(), false, false),
    ] {
        let record = Sample {
            stopwatch,
            cached,
            ..record(http("/", &[]))
        };
        let shown = shown(record);
        assert_eq!(shown.get("durations").is_some(), is_told);
        if is_told {
            let total = shown["durations"]["total_ns"].as_u64();
            for step in ["rego_ns", "authenticate_ns", "native_ns"] {
                let part = shown["durations"][step].as_u64();
                assert!(total >= part && part.is_some(), "{shown}");
            }
        }
    }
}

#[test]
fn a_connection_has_a_record_too() {
    let mut record = record(HttpRequest::default());
    record.attributes.request = None;
    let shown = shown(record);
    for absent in [
        "request",
        "request_id",
        "trace_id",
        "peer_principal",
        "forwarded_by",
        "workload",
        "source",
    ] {
        assert_eq!(shown.get(absent), None, "{absent}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let long = "ü".repeat(10_000);
    let many: Vec<_> = (0..200)
        .map(|index| (format!("h{index}"), "v".to_owned()))
        .collect();
    let mut request = http(&long, &[]);
    request.host.clone_from(&long);
    request.headers = Headers::new(many, None);
    let shown = shown(record(request));
    assert_eq!(shown["request"]["headers"].as_object().unwrap().len(), 100);
    let cut = format!("{}…", "ü".repeat(4096));
    assert_eq!(shown["request"]["path"], cut.as_str());
    assert_eq!(shown["request"]["host"], cut.as_str());
}

#[test]
fn traces_come_from_well_formed_headers_only() {
    let id = "0af7651916cd43dd8448eb211c80319c";
    let span = "b7ad6b7169203331";
    let short = format!("{:0>32}", &id[16..]);
    for (name, value, expected) in [
        ("traceparent", format!("00-{id}-{span}-01"), Some(id)),
        ("traceparent", format!("00-{id}-{span}-00"), Some(id)),
        ("traceparent", format!("00-{id}"), None),
        ("traceparent", format!("00-{id}-{span}-01,x"), None),
        ("traceparent", id.to_owned(), None),
        ("b3", format!("{id}-{span}"), Some(id)),
        ("b3", format!("{}-{span}-1", &id[16..]), Some(&short)),
        ("b3", id.to_owned(), None),
    ] {
        let shown = shown(record(http("/", &[(name, &value)])));
        assert_eq!(shown["trace_id"].as_str(), expected, "{name}: {value}");
    }
    let several = [("x-b3-traceid", id), ("x-b3-spanid", span)];
    // Also behind more headers than are kept.
    let headers = (0..200).map(|index| (format!("a{index}"), String::new()));
    let several = several.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut request = http("/", &[]);
    request.headers = Headers::new(headers.chain(several).collect(), None);
    assert_eq!(shown(record(request))["trace_id"], id);
}

#[test]
fn what_is_handed_over_is_stored_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let path = folder.path().join("decisions.db");
    let mut log = DecisionLog::start(&path, settings(), Arc::clone(&metrics)).unwrap();
    let recorder = log.recorder();
    for index in 0..5_000 {
        drop(recorder.record(&record(http(&format!("/{index}"), &[])).record()));
    }
    wait_until(|| metrics.log.written.get() == 5_000);
    let newest = log
        .readers()
        .query(&Filter {
            limit: Some(1),
            ..Filter::default()
        })
        .unwrap();
    assert_eq!(newest.decisions[0]["request"]["path"], "/4999");

    // What was handed over before the end is stored; what comes later is counted as lost.
    drop(recorder.record(&record(http("/last", &[])).record()));
    log.stop();
    assert_eq!(metrics.log.written.get(), 5_001);
    drop(recorder.record(&record(http("/late", &[])).record()));
    let text = metrics.encode();
    assert!(text.contains("reason=\"stopped\"} 1"), "{text}");

    // The file is found again, also where nothing more is to be recorded.
    let settings = LogSettings {
        enabled: false,
        ..settings()
    };
    let log = DecisionLog::start(&path, settings, metrics).unwrap();
    let recorder = log.recorder();
    drop(recorder.record(&record(http("/last", &[])).record()));
    drop(log);
    let last = LogStore::open_reader(&path).unwrap().query(&Filter {
        path: Some("/last".to_owned()),
        ..Filter::default()
    });
    assert_eq!(last.unwrap().decisions.len(), 1);
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_a_log_nothing_is_kept() {
    let recorder = Recorder::default();
    drop(recorder.record(&record(HttpRequest::default()).record()));
}
