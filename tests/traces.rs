//! Checks are steps of their callers' traces: what a collector gets, that a bad one is waited for by
//! nobody, and that each span is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use doorward::otlp::Any;
use doorward::otlp::traces::{ExportRequest, Span};
use prost::Message as _;
use serde_json::Value;

use crate::envoy::traced_by_envoy;
use crate::support::bundle::archive;
use crate::support::check::http_check;
use crate::support::depot::{Depot, Reply};
use crate::support::{Checks, Server, eventually, http};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn config(depot: &Depot, more: &str) -> String {
    let url = depot.url("/v1/traces?key=c4n4ry");
    format!(
        "traces: {{ url: \"{url}\", headers: {{ x-tenant: c4n4ry }}, min_delay: 0s, \
         max_delay: 10ms, timeout: 1s, {more} }}\n"
    )
}

/// Spans that a depot took, in order.
pub fn spans(depot: &Depot) -> Vec<Span> {
    let asked = depot.asked().into_iter();
    let requests = asked.map(|asked| ExportRequest::decode(asked.bytes.as_slice()).unwrap());
    let spans = requests.flat_map(|request| request.resource_spans);
    let spans = spans.flat_map(|spans| spans.scope_spans);
    spans.flat_map(|spans| spans.spans).collect()
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let attributes = span.attributes.iter().map(|attribute| {
        let value = attribute.value.as_ref().unwrap().value.as_ref();
        let value = match value.unwrap() {
            Any::Text(text) => text.clone(),
            Any::Int(number) => number.to_string(),
            Any::Bool(value) => value.to_string(),
            other => panic!("{other:?}"),
        };
        (attribute.key.as_str(), value)
    });
    attributes.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sum of a metric's series that have a label.
fn metric(server: &Server, name: &str, label: &str) -> u64 {
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    let lines = metrics.lines().filter(|line| line.contains(label));
    let values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let values = values.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    values.sum()
}

fn outcome(server: &Server, outcome: &str) -> u64 {
    let label = format!("outcome=\"{outcome}\"");
    metric(server, "doorward_trace_spans_total", &label)
}

fn exported(server: &Server, what: &str) -> u64 {
    let name = format!("doorward_decision_sink_{what}");
    metric(server, &name, "sink=\"traces\"")
}

/// Rule: to the unit.
async fn reconciled(server: &Server, begun: u64) {
    eventually("reconciliation", || {
        let received = exported(server, "received_total");
        let delivered = exported(server, "delivered_total");
        let dropped = exported(server, "dropped_total");
        let held = exported(server, "queue_records");
        outcome(server, "made") + outcome(server, "lost") == begun
            && received == outcome(server, "made")
            && received == delivered + dropped + held
    })
    .await;
}

async fn check(checks: &Checks, path: &str, headers: &[(&str, &str)]) -> String {
    let reply = checks.check(&http_check("GET", path, headers)).await;
    reply.text("decision_id").unwrap()
}

fn record(server: &Server, id: &str) -> Option<Value> {
    let answer = http::get(&server.url(&format!("/v1/decisions/{id}")));
    (answer.status == 200).then(|| answer.json())
}

/// A path, headers, and the trace and parent that the span has; none if there is none.
type Row<'a> = (
    &'a str,
    &'a [(&'a str, &'a str)],
    Option<(&'a str, &'a str)>,
);

#[tokio::test]
async fn a_check_is_a_step_of_its_callers_trace() {
    let depot = Depot::start(|_| Reply::status(200));
    let more = "resource: { service.name: authz }";
    let server = Server::with_config(&config(&depot, more));
    let rego = "package envoy.authz\n\nallow := input.parsed_path[0] == \"a\"\n";
    http::put(&server.url("/v1/bundles/b"), &archive(&[("p.rego", rego)])).expect(200);
    let checks = server.checks().await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    let single = format!("8448eb211c80319c-{SPAN}-1");
    let several = [
        ("x-b3-sampled", "1"),
        ("x-b3-spanid", SPAN),
        ("x-b3-traceid", TRACE),
    ];
    let short = format!("{:0>32}", "8448eb211c80319c");
    let rows: [Row<'_>; 6] = [
        (
            "/a/0?token=c4n4ry",
            &[("traceparent", &parent)],
            Some((TRACE, SPAN)),
        ),
        ("/b/1", &[("b3", &single)], Some((&short, SPAN))),
        ("/a/2", &several, Some((TRACE, SPAN))),
        ("/a/3", &[("traceparent", &unsampled)], None),
        ("/a/4", &[("traceparent", "c4n4ry")], Some(("", ""))),
        (
            "/a/0?token=c4n4ry",
            &[("traceparent", &parent)],
            Some((TRACE, SPAN)),
        ),
    ];
    let mut ids = Vec::new();
    for (path, headers, _) in rows {
        ids.push(check(&checks, path, headers).await);
    }
    eventually("all", || exported(&server, "delivered_total") == 5).await;
    reconciled(&server, 5).await;
    let spans = spans(&depot);
    assert_eq!(spans.len(), 5);
    for ((path, _, expected), id) in rows.into_iter().zip(&ids) {
        eventually("its record", || record(&server, id).is_some()).await;
        let record = record(&server, id).unwrap();
        let found = spans
            .iter()
            .find(|span| attributes(span)["doorward.decision_id"] == *id);
        let Some((trace, parent)) = expected else {
            assert_eq!(found, None);
            assert_eq!(record["trace_id"], TRACE);
            assert_eq!(record.get("span_id"), None);
            continue;
        };
        let span = found.unwrap();
        assert_eq!(record["trace_id"], hex(&span.trace_id));
        assert_eq!(record["span_id"], hex(&span.span_id));
        assert_eq!(hex(&span.parent_span_id), parent);
        if !trace.is_empty() {
            assert_eq!(hex(&span.trace_id), trace);
        }
        let found = attributes(span);
        assert_eq!(found["url.path"], path.split('?').next().unwrap());
        let effect = if path.starts_with("/a") {
            "allow"
        } else {
            "deny"
        };
        assert_eq!(found["doorward.effect"], effect);
        assert_eq!(found["doorward.policy"], "envoy/authz/allow");
        assert_eq!(found["doorward.revision"], "1");
        assert_eq!(span.status, None);
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    }
    let cached = spans
        .iter()
        .map(|span| attributes(span)["doorward.cached"] == "true");
    assert_eq!(cached.filter(|cached| *cached).count(), 1);
    let asked = &depot.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/v1/traces?key=c4n4ry")
    );
    assert_eq!(asked.header("content-type"), "application/x-protobuf");
    assert_eq!(asked.header("x-tenant"), "c4n4ry");
    assert!(asked.body.contains("authz"));
    for text in [
        http::get(&server.url("/v1/config")).body,
        http::get(&server.url("/metrics")).body,
        server.said(),
        depot
            .asked()
            .iter()
            .map(|asked| asked.body.clone())
            .collect(),
    ] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
}

#[tokio::test]
async fn without_traces_there_is_nothing_of_them() {
    let server = Server::start();
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let id = check(&server.checks().await, "/", &[("traceparent", &parent)]).await;
    eventually("its record", || record(&server, &id).is_some()).await;
    let record = record(&server, &id).unwrap();
    assert_eq!(record["trace_id"], TRACE);
    assert_eq!(record.get("span_id"), None);
    let threads = server.threads();
    let is_exporter = |(name, _): &(String, i64)| name.starts_with("sink");
    assert!(!threads.iter().any(is_exporter), "{threads:?}");
    let metrics = http::get(&server.url("/metrics")).body;
    assert!(!metrics.contains("doorward_trace_spans_total{"));
}

/// Traces need no log: it has nothing then, and says nothing.
#[tokio::test]
async fn checks_are_traced_where_nothing_is_recorded() {
    let depot = Depot::start(|_| Reply::status(200));
    let config =
        config(&depot, "sampling: { parent_based: false }") + "decision_log: { enabled: false }\n";
    let server = Server::with_config(&config);
    let checks = server.checks().await;
    for number in 0..50 {
        check(&checks, &format!("/{number}"), &[]).await;
    }
    eventually("all", || exported(&server, "delivered_total") == 50).await;
    reconciled(&server, 50).await;
    assert_eq!(spans(&depot).len(), 50);
    let answer = http::get(&server.url("/v1/decisions")).json();
    assert_eq!(answer["decisions"], serde_json::json!([]));
    let metrics = http::get(&server.url("/metrics")).body;
    for line in metrics
        .lines()
        .filter(|line| line.starts_with("doorward_decision_log_"))
    {
        let is_count = ["written", "dropped", "sampled"]
            .iter()
            .any(|it| line.contains(it));
        assert!(!is_count || line.ends_with(" 0"), "{line}");
    }
}

#[tokio::test]
async fn clients_cannot_make_more_spans_than_there_may_be() {
    let depot = Depot::start(|_| Reply::status(200));
    let server = Server::with_config(&config(&depot, "max_per_second: 5, sampling: { ratio: 0 }"));
    let checks = server.checks().await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    for number in 0..200 {
        check(&checks, &format!("/{number}"), &[("traceparent", &parent)]).await;
        check(&checks, "/", &[]).await;
    }
    let limited = outcome(&server, "limited");
    assert!(limited > 0, "{limited}");
    reconciled(&server, 200 - limited).await;
}

/// Whatever a collector does, checks are answered and recorded, and each span is counted.
#[tokio::test]
async fn a_bad_collector_touches_nothing_else() {
    // 7 of them, and why.
    let partly = Reply::body("\u{a}\u{6}\u{8}\u{7}\u{12}\u{2}no");
    let slow = Reply::After(Duration::from_millis(200), Box::new(Reply::status(200)));
    let rows: [(Reply, Option<u64>); 9] = [
        (Reply::status(200), Some(0)),
        (partly, None),
        (slow, Some(0)),
        (Reply::status(400), Some(100)),
        (Reply::status(413), Some(100)),
        (Reply::redirect("http://127.0.0.1:1/"), Some(100)),
        (Reply::status(503), None),
        (Reply::Close, None),
        (Reply::Hang, None),
    ];
    for (reply, lost) in rows {
        let playing = reply.clone();
        let depot = Depot::start(move |_| playing.clone());
        let config = config(&depot, "") + "shutdown: { grace: 100ms }\n";
        let mut server = Server::with_config(&config);
        let checks = server.checks().await;
        for number in 0..100 {
            check(&checks, &format!("/{number}"), &[]).await;
        }
        eventually("the log has all", || {
            let answer = http::get(&server.url("/v1/decisions?limit=1000")).json();
            answer["decisions"].as_array().unwrap().len() == 100
        })
        .await;
        reconciled(&server, 100).await;
        if let Some(lost) = lost {
            eventually("all", || exported(&server, "queue_records") == 0).await;
            assert_eq!(exported(&server, "dropped_total"), lost, "{reply:?}");
            assert_eq!(exported(&server, "delivered_total"), 100 - lost);
        }
        let said = server.said();
        assert!(!said.contains("c4n4ry"), "{said}");
        // An end is not held up by it.
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{reply:?}");
    }
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_what_waited() {
    let depot = Depot::start(|_| Reply::Close);
    let server = Server::with_config(&config(&depot, ""));
    let checks = server.checks().await;
    for number in 0..100 {
        check(&checks, &format!("/{number}"), &[]).await;
    }
    eventually("a retry", || exported(&server, "retried_total") > 0).await;
    depot.play(|_| Reply::status(200));
    eventually("all", || exported(&server, "delivered_total") == 100).await;
    reconciled(&server, 100).await;
    assert_eq!(exported(&server, "dropped_total"), 0);
}

/// A real proxy that traces: our span is a part of its own, also of a trace that it begins.
#[tokio::test]
async fn a_span_is_a_part_of_the_proxys() {
    let depot = Depot::start(|_| Reply::status(200));
    let of_proxy = Depot::start(|_| Reply::status(200));
    let collector = of_proxy.url("/v1/traces");
    let Some((server, _upstream, envoy)) = traced_by_envoy(&config(&depot, ""), &collector) else {
        return;
    };
    let parent = format!("00-{TRACE}-{SPAN}-01");
    for headers in [&[("traceparent", parent.as_str())] as &[_], &[]] {
        http::send("GET", &envoy.url("/a"), headers, b"").expect(403);
    }
    eventually("ours", || exported(&server, "delivered_total") == 2).await;
    // That of the request, and that of asking us.
    eventually("the proxy's", || spans(&of_proxy).len() >= 4).await;
    let (ours, theirs) = (spans(&depot), spans(&of_proxy));
    assert_eq!(hex(&ours[0].trace_id), TRACE);
    for span in &ours {
        let is_parent =
            |other: &Span| other.trace_id == span.trace_id && other.span_id == span.parent_span_id;
        assert!(theirs.iter().any(is_parent), "{span:?} {theirs:?}");
    }
}
