//! Spans of checks: which records have one, what it shows, and that it is counted whatever becomes of it.

use std::sync::Mutex;

use super::inputs::posted;
use super::*;
use crate::decision_log::outlet::{Finished, Outlet};
use crate::traces::{Sampling as TraceSampling, Span as TraceSpan, TraceCounters, Tracer};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CANARY: &str = "c4n4ry-s3cr3t";

/// Takes spans and keeps them.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Arc<Finished>>>);

impl Outlet for Kept {
    fn take(&self, records: &[Arc<Finished>]) {
        self.0
            .lock()
            .unwrap()
            .extend(records.iter().map(Arc::clone));
    }
}

/// What came of records: what was stored, and what is in spans.
struct Traces {
    records: Vec<Value>,
    spans: Vec<TraceSpan>,
    lines: Vec<String>,
    counters: TraceCounters,
    queue: Arc<Queue>,
}

fn traced_settings(settings: LogSettings) -> (LogSettings, Arc<Kept>, TraceCounters) {
    let counters = Metrics::default().of_traces.counters();
    let tracer = Tracer::new(TraceSampling::default(), 1_000, counters.clone());
    let kept = Arc::new(Kept::default());
    let tracing = Tracing {
        tracer: Arc::new(tracer),
        outlet: Arc::clone(&kept) as Arc<dyn Outlet>,
    };
    let settings = LogSettings {
        tracing: Some(tracing),
        ..settings
    };
    (settings, kept, counters)
}

fn traced_with(settings: LogSettings, records: &[Sample]) -> Traces {
    let (settings, kept, counters) = traced_settings(settings);
    let store = in_memory();
    let queue = queue_with(&settings);
    records.iter().for_each(|record| put(&queue, record));
    queue.end();
    Writer::new(&queue, settings, &store).run();
    assert_eq!(queue.abandon(), 0);
    let lines = kept.0.lock().unwrap();
    let lines: Vec<_> = lines.iter().map(|line| line.json.clone()).collect();
    let spans = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    Traces {
        records: store.query(&Filter::default()).unwrap().decisions,
        spans: spans.collect(),
        lines,
        counters,
        queue,
    }
}

fn traced(path: &str) -> Sample {
    record(http(path, &[("traceparent", PARENT)]))
}

fn attribute<'a>(span: &'a TraceSpan, name: &str) -> Option<&'a Value> {
    let mut attributes = span.attributes.iter();
    attributes
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

#[test]
fn a_record_and_its_span_know_each_other() {
    let mut sample = traced("/a/b?q=1");
    let request = sample.attributes.request.as_mut().unwrap();
    request.http.as_mut().unwrap().host = "shop.example:8443".to_owned();
    sample.workload = Arc::new(Workload {
        namespace: Some("shop".to_owned()),
        labels: Some(pairs(&[("app", "cart")])),
        ..Workload::default()
    });
    let began = Instant::now();
    sample.stopwatch = Arrival::measured(NOW_NS, began).stopwatch;
    sample.stopwatch.asking_rego(|| ());
    // Also what comes from the cache says how long that took.
    sample.cached = true;
    let id = sample.id.to_string();
    let traces = traced_with(settings(), &[sample]);
    let (record, span) = (&traces.records[0], &traces.spans[0]);
    assert_eq!(record["trace_id"], TRACE);
    assert_eq!(record["span_id"], span.id.to_string());
    assert_eq!(span.trace.to_string(), TRACE);
    assert_eq!(span.parent.unwrap().to_string(), "b7ad6b7169203331");
    assert_eq!(span.start_ns, NOW_NS.cast_unsigned());
    let total = record["durations"]["total_ns"].as_u64().unwrap();
    assert_eq!(span.end_ns - span.start_ns, total);
    assert_eq!(span.error, None);
    let rego = &record["durations"]["rego_ns"];
    let rows = [
        ("doorward.decision_id", json!(id)),
        ("doorward.effect", json!("deny")),
        ("doorward.status_code", json!(403)),
        ("doorward.reason.kind", json!("no_policy")),
        ("doorward.revision", json!(7)),
        ("doorward.cached", json!(true)),
        ("doorward.workload", json!("shop/cart")),
        ("doorward.rego.duration_ns", rego.clone()),
        ("http.request.method", json!("GET")),
        ("url.path", json!("/a/b")),
        ("server.address", json!("shop.example")),
        ("server.port", json!(8443)),
    ];
    for (name, expected) in &rows {
        assert_eq!(attribute(span, name), Some(expected), "{name}");
    }
    assert_eq!(span.attributes.len(), rows.len(), "{span:?}");
}

#[test]
fn a_check_without_a_trace_begins_one() {
    let mut connection = record(HttpRequest::default());
    connection.attributes.request = None;
    let traces = traced_with(settings(), &[record(http("/", &[])), connection]);
    for (record, span) in traces.records.iter().rev().zip(&traces.spans) {
        assert_eq!(record["trace_id"], span.trace.to_string());
        assert_eq!(record["span_id"], span.id.to_string());
        assert_eq!(span.parent, None);
    }
    assert_eq!(traces.spans.len(), 2);
    // One whose trace is not sampled is a record like any other.
    let unsampled = PARENT.replace("-01", "-00");
    let record = record(http("/", &[("traceparent", &unsampled)]));
    let traces = traced_with(settings(), &[record]);
    assert_eq!(traces.records[0]["trace_id"], TRACE);
    assert_eq!(traces.records[0].get("span_id"), None);
    assert_eq!(traces.spans, []);
}

/// Rule: a denial is an answer.
#[test]
fn only_failures_of_ours_are_errors() {
    let rows = [
        (ReasonKind::NoAllowRule, None),
        (ReasonKind::InvalidRequest, None),
        (ReasonKind::RequestAuthentication, None),
        (ReasonKind::RegoError, Some("rego_error")),
        (ReasonKind::Overloaded, Some("overloaded")),
        (ReasonKind::NotRecorded, Some("not_recorded")),
        (ReasonKind::InternalError, Some("internal_error")),
    ];
    for (kind, expected) in rows {
        let mut sample = traced("/");
        sample.decision = Arc::new(Decision::deny(403, Reason::new(kind, CANARY)));
        let traces = traced_with(settings(), &[sample]);
        let span = &traces.spans[0];
        assert_eq!(span.error.as_deref(), expected);
        let error_type = attribute(span, "error.type");
        assert_eq!(error_type.and_then(Value::as_str), expected);
        // What a policy or a failure says may be the request's.
        assert!(!traces.lines[0].contains(CANARY));
    }
}

/// What keeps records out of the log keeps no span from its trace.
#[test]
fn spans_do_not_hang_on_records() {
    let count = |traces: &Traces, records: usize, spans: usize| {
        assert_eq!(traces.records.len(), records);
        assert_eq!(traces.spans.len(), spans);
        assert_eq!(traces.counters.made.get(), spans as u64);
        assert_eq!(traces.counters.lost.get(), 0);
        assert_eq!(lost(&traces.queue), 0);
    };
    // Sampled out, with one beside it that is not traced.
    let none = LogSettings {
        sample: vec![Sampling {
            effect: None,
            policy: None,
            ratio: 0.0,
        }],
        ..settings()
    };
    let unsampled = PARENT.replace("-01", "-00");
    let other = record(http("/", &[("traceparent", &unsampled)]));
    let traces = traced_with(none, &[traced("/a"), other]);
    count(&traces, 0, 1);
    assert_eq!(counted(&traces.queue, "sampled"), 2);
    assert_eq!(attribute(&traces.spans[0], "url.path"), Some(&json!("/a")));

    // Nothing recorded at all: nothing is counted of the log either.
    let off = LogSettings {
        enabled: false,
        overflow: Overflow::Block,
        scope: Scope::default(),
        ..settings()
    };
    let other = record(http("/", &[("traceparent", &unsampled)]));
    let traces = traced_with(off, &[traced("/a"), other]);
    count(&traces, 0, 1);
    assert_eq!(counted(&traces.queue, "sampled"), 0);
    assert_eq!(traces.queue.metrics().log.written.get(), 0);

    // Dropped by policy: nothing of the request is known then.
    let mut dropped = traced("/a");
    dropped.policies = policies(&["package system.log\nimport rego.v1\ndrop := true"]);
    let rules = RecordRules::at("system/log/mask", "system/log/drop");
    let by_policy = LogSettings {
        scope: Scope {
            rules: Arc::new(rules),
            ..Scope::default()
        },
        ..settings()
    };
    let traces = traced_with(by_policy, &[dropped]);
    count(&traces, 0, 1);
    assert_eq!(counted(&traces.queue, "sampled"), 1);
    let span = &traces.spans[0];
    assert_eq!(attribute(span, "doorward.effect"), Some(&json!("deny")));
    for absent in ["url.path", "server.address", "http.request.method"] {
        assert_eq!(attribute(span, absent), None, "{absent}");
    }
}

#[test]
fn what_a_mask_hides_is_in_no_span() {
    let path = format!("/a/{CANARY}");
    let pointed = |pointer: &str| LogSettings {
        scope: Scope {
            pointers: [Pointer::parse(pointer).unwrap()].into(),
            ..Scope::default()
        },
        ..settings()
    };
    let places = ["path", "host", "method", "headers/traceparent", "headers"];
    for place in places {
        let mut sample = posted(&path, &[("traceparent", PARENT)], "text/plain", CANARY);
        let request = sample.attributes.request.as_mut().unwrap();
        let http = request.http.as_mut().unwrap();
        match place {
            "path" => {}
            "host" => {
                "/".clone_into(&mut http.path);
                CANARY.clone_into(&mut http.host);
            }
            "method" => {
                "/".clone_into(&mut http.path);
                CANARY.clone_into(&mut http.method);
            }
            _ => "/".clone_into(&mut http.path),
        }
        let pointer = format!("/input/attributes/request/http/{place}");
        let traces = traced_with(pointed(&pointer), &[sample]);
        assert!(!traces.lines[0].contains(CANARY), "{}", traces.lines[0]);
        // The span is in its trace, which the record does not tell if it is masked.
        assert_eq!(traces.spans[0].trace.to_string(), TRACE);
        let hides = place.starts_with("headers");
        assert_eq!(
            traces.records[0].get("trace_id").is_none(),
            hides,
            "{place}"
        );
        assert_eq!(traces.records[0].get("span_id").is_none(), hides, "{place}");
    }
    // A mask that fails takes the request away.
    let mut sample = traced(&path);
    sample.policies = policies(&["package system.log\nimport rego.v1\nmask contains 7"]);
    let rules = RecordRules::at("system/log/mask", "system/log/drop");
    let by_policy = LogSettings {
        scope: Scope {
            rules: Arc::new(rules),
            ..Scope::default()
        },
        ..settings()
    };
    let traces = traced_with(by_policy, &[sample]);
    assert!(traces.records[0].get("mask_error").is_some());
    assert!(!traces.lines[0].contains(CANARY), "{}", traces.lines[0]);
    assert_eq!(attribute(&traces.spans[0], "url.path"), None);
}

/// Secrets in every field of a request, and hostile texts: a span is one short line without them.
#[test]
fn canaries_are_in_no_span() {
    let token = format!("eyJhbGciOiJub25lIn0.eyJ{CANARY}.c2ln");
    let path = format!("/{token}/a?access_token={CANARY}#id_token={CANARY}");
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", CANARY),
        ("b3", CANARY),
        ("x-b3-traceid", CANARY),
        ("baggage", CANARY),
        ("authorization", CANARY),
        ("cookie", CANARY),
        ("x-request-id", CANARY),
        ("x-any", CANARY),
    ];
    let mut sample = posted(&path, &headers, "application/json", CANARY);
    let request = sample.attributes.request.as_mut().unwrap();
    let http = request.http.as_mut().unwrap();
    for field in [
        &mut http.id,
        &mut http.method,
        &mut http.scheme,
        &mut http.protocol,
        &mut http.query,
        &mut http.fragment,
    ] {
        CANARY.clone_into(field);
    }
    sample.attributes.context_extensions = pairs(&[("db-password", CANARY)]);
    let mut reason = Reason::new(ReasonKind::Rego, CANARY);
    reason.detail = Some(CANARY.to_owned());
    let mut decision = Decision::deny(403, reason);
    decision.peer_principal = Some(CANARY.to_owned());
    decision.request_principal = Some(CANARY.to_owned());
    sample.decision = Arc::new(decision);
    let traces = traced_with(settings(), &[sample]);
    let line = &traces.lines[0];
    assert!(!line.contains(CANARY) && !line.contains("eyJ"), "{line}");
    let span = &traces.spans[0];
    assert_eq!(attribute(span, "url.path"), Some(&json!("/**/a")));
    let method = attribute(span, "http.request.method");
    assert_eq!(method, Some(&json!("_OTHER")));

    let hostile = format!("/\u{0}\r\n\u{1b}[31m\u{202e}{}", "ü".repeat(10_000));
    let mut sample = traced(&hostile);
    let request = sample.attributes.request.as_mut().unwrap();
    request.http.as_mut().unwrap().host.clone_from(&hostile);
    let traces = traced_with(settings(), &[sample]);
    let line = &traces.lines[0];
    assert!(!line.chars().any(|char| char.is_ascii_control()), "{line}");
    assert!(line.len() < 5_000, "{}", line.len());
}

/// Rule: each span that was begun is made or counted as lost, to the unit.
#[test]
fn spans_are_counted_whatever_becomes_of_records() {
    // The log has ended.
    let (settings_, _, counters) = traced_settings(settings());
    let queue = queue_with(&settings_);
    queue.end();
    put(&queue, &traced("/"));
    assert_eq!((counters.made.get(), counters.lost.get()), (0, 1));
    assert_eq!(lost(&queue), 1);

    // It is abandoned with some under way.
    let (settings_, _, counters) = traced_settings(settings());
    let queue = queue_with(&settings_);
    (0..5).for_each(|_| put(&queue, &traced("/")));
    assert_eq!(queue.abandon(), 5);
    assert_eq!((counters.made.get(), counters.lost.get()), (0, 5));

    // Its queue is full: of a log that records nothing, the log loses nothing.
    for enabled in [true, false] {
        let (settings_, _, counters) = traced_settings(LogSettings {
            enabled,
            ..settings()
        });
        let queue = queue_with(&settings_);
        let large = traced(&"p".repeat(1 << 20));
        (0..70).for_each(|_| put(&queue, &large));
        let lost_spans = counters.lost.get();
        assert!((6..70).contains(&lost_spans), "{lost_spans}");
        assert_eq!(lost(&queue), if enabled { lost_spans } else { 0 });
        drop(queue);
        assert_eq!(counters.lost.get(), 70);
    }

    // An allow that must not be has no span; the denial that is answered instead has one.
    let (settings_, _, counters) = traced_settings(LogSettings {
        overflow: Overflow::Deny,
        ..settings()
    });
    let queue = queue_with(&settings_);
    queue.set_failing(true);
    let recorded = queue.push(&allowed(traced("/")).record());
    assert!(matches!(recorded, Recorded::Refused));
    assert_eq!((counters.made.get(), counters.lost.get()), (0, 0));
    put(&queue, &traced("/"));
    queue.end();
    let store = in_memory();
    Writer::new(&queue, settings_, &store).run();
    assert_eq!((counters.made.get(), counters.lost.get()), (1, 0));
}
