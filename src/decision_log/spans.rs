//! Spans of checks that are traced, from the records that the log's thread has masked. Nothing else of a
//! request is in them than what the record shows.

use std::sync::Arc;

use super::chunk::Head;
use super::details::method_of;
use super::entry::Entry;
use super::facts::Facts;
use super::mask::MASKED;
use super::outlet::{Finished, Outlet};
use super::record::Record;
use crate::decision::ReasonKind;
use crate::traces::{Span, Traced, Tracer};

/// Methods that HTTP knows; a client may send others, whatever they say.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];
const OTHER_METHOD: &str = "_OTHER";

/// Who says which checks are traced, and who takes their spans.
#[derive(Debug, Clone)]
pub struct Tracing {
    pub tracer: Arc<Tracer>,
    pub outlet: Arc<dyn Outlet>,
}

/// Begins the span of a check, if it gets one.
pub(super) fn begin(tracer: &Tracer, record: &Record<'_>) -> Option<Box<Traced>> {
    let headers = record.attributes.http().map(|http| http.headers.iter());
    tracer.begin(record.caller, headers.into_iter().flatten())
}

/// The span of a check, which it has from now on. Without an entry, nothing is shown of its request.
pub(super) fn span_of(head: &Head, traced: &Traced, entry: Option<&Entry<'_>>) -> Finished {
    traced.finish();
    let start_ns = u64::try_from(head.time_ns).unwrap_or_default();
    let mut span = Span {
        trace: traced.trace,
        id: traced.span,
        parent: traced.parent,
        start_ns,
        end_ns: start_ns.saturating_add(head.durations.total_ns),
        error: error_of(head.decision.reason.kind).map(str::to_owned),
        attributes: Vec::new(),
    };
    add_decision(&mut span, head);
    if let Some(entry) = entry {
        add_request(&mut span, entry);
    }
    Finished {
        seq: head.seq,
        id: head.id,
        time_ns: head.time_ns,
        // Nothing in it can fail to be written.
        json: serde_json::to_string(&span).unwrap_or_default(),
    }
}

/// Rule: a denial is an answer, and no error.
fn error_of(kind: ReasonKind) -> Option<&'static str> {
    let is_ours = matches!(
        kind,
        ReasonKind::RegoError
            | ReasonKind::Overloaded
            | ReasonKind::NotRecorded
            | ReasonKind::InternalError
    );
    is_ours.then(|| kind.as_str())
}

fn add_decision(span: &mut Span, head: &Head) {
    let decision = &head.decision;
    let reason = &decision.reason;
    span.add("doorward.decision_id", head.id.to_string());
    span.add("doorward.effect", decision.effect().as_str());
    span.add("doorward.status_code", decision.status());
    span.add("doorward.reason.kind", reason.kind.as_str());
    if let Some(policy) = reason.decided_by() {
        span.add("doorward.policy", policy.as_str());
    }
    if let Some(rule) = reason.rule {
        span.add("doorward.rule", rule);
    }
    span.add("doorward.revision", head.revision);
    span.add("doorward.cached", head.cached);
    let durations = head.durations;
    for (name, duration) in [
        ("doorward.rego.duration_ns", durations.rego_ns),
        (
            "doorward.authenticate.duration_ns",
            durations.authenticate_ns,
        ),
        ("doorward.native.duration_ns", durations.native_ns),
    ] {
        if duration > 0 {
            span.add(name, duration);
        }
    }
    if let Some(kind) = error_of(reason.kind) {
        span.add("error.type", kind);
    }
}

fn add_request(span: &mut Span, entry: &Entry<'_>) {
    let facts = Facts::of(&entry.verdict.shown);
    if let Some(workload) = facts.workload.shown() {
        span.add("doorward.workload", workload);
    }
    if let Some(method) = method_of(entry.details) {
        let is_known = METHODS.contains(&&*method) || method == MASKED;
        let method = if is_known { &method } else { OTHER_METHOD };
        span.add("http.request.method", method);
    }
    if let Some(path) = entry.path {
        span.add("url.path", path);
    }
    if let Some(host) = entry.host {
        let (name, port) = split(host);
        span.add("server.address", name);
        if let Some(port) = port {
            span.add("server.port", port);
        }
    }
}

/// A host without its port, and that.
fn split(host: &str) -> (&str, Option<u16>) {
    let parts = host.rsplit_once(':');
    // What has more colons and no brackets is an address alone.
    let parts = parts.filter(|(name, _)| name.starts_with('[') || !name.contains(':'));
    let port = parts.and_then(|(name, port)| Some((name, port.parse().ok()?)));
    port.map_or((host, None), |(name, port)| (name, Some(port)))
}
