//! Sink `otlp`: decisions as log records, posted to a collector in OTLP's protobuf over HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;
use serde_json::{Map, Value};

use super::sink::{Accepted, Failure, Sent, Sink};
use super::upload::{failed, gzip};
use crate::decision_log::{Breath, Finished};
use crate::otlp::logs::{ExportRequest, INFO, LogRecord, ResourceLogs, ScopeLogs, WARN};
use crate::otlp::{
    self, Answer, Any, AnyValue, CONTENT_TYPE, ExportResponse, KeyValue, Resource, Scope,
};
use crate::service::{Posted, Poster};

/// The kind of event, and what attributes begin with that are ours.
const EVENT: &str = "doorward.decision";
const PREFIX: &str = "doorward";

pub(super) struct Collector {
    poster: Poster,
    resource: Resource,
}

// === impl Collector ===

impl Collector {
    pub(super) fn new(poster: Poster, resource: Resource) -> Self {
        Self { poster, resource }
    }

    fn request(&self, records: &[Arc<Finished>]) -> ExportRequest {
        let mut breath = Breath::new();
        let mut breathing = |record: &Arc<Finished>| {
            breath.draw();
            log_record(record)
        };
        let log_records = records.iter().map(&mut breathing).collect();
        ExportRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(self.resource.clone()),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope()),
                    log_records,
                }],
            }],
        }
    }
}

#[async_trait]
impl Sink for Collector {
    async fn deliver(&mut self, records: &[Arc<Finished>]) -> Sent {
        let message = self.request(records).encode_to_vec();
        export(&self.poster, &message, records.len()).await
    }
}

/// Who makes what is sent.
pub(super) fn scope() -> Scope {
    Scope {
        name: PREFIX.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Posts a message of so many records.
pub(super) async fn export(poster: &Poster, message: &[u8], count: usize) -> Sent {
    let result = match poster.post(CONTENT_TYPE, gzip(message)).await {
        Ok(posted) => meaning(&posted),
        Err(error) => Err(failed(&error)),
    };
    Sent { count, result }
}

/// What a collector's answer means for all that was sent.
fn meaning(posted: &Posted) -> Result<Accepted, Failure> {
    let why = format!(
        "the collector answered with status {}",
        posted.status.as_u16()
    );
    match otlp::answer(posted.status.as_u16()) {
        // Rule: what was refused of it must not be sent again, and is not said by itself.
        Answer::Taken => {
            let response = ExportResponse::decode(posted.body.as_slice()).unwrap_or_default();
            let rejected = response.partial_success.unwrap_or_default().rejected;
            Ok(Accepted {
                rejected: rejected.max(0).cast_unsigned(),
                ..Accepted::default()
            })
        }
        Answer::Again => Err(Failure::MayPass {
            why,
            after: posted.retry_after,
        }),
        Answer::TooLarge => Err(Failure::TooLarge { why }),
        Answer::Refused => Err(Failure::Final { why }),
    }
}

/// A decision. Its members are attributes by their paths; what has members of its own in the request
/// (headers, input, result) is one attribute.
fn log_record(record: &Finished) -> LogRecord {
    let mut members: Map<String, Value> = serde_json::from_str(&record.json).unwrap_or_default();
    members.remove("time");
    let allows = members
        .get("effect")
        .is_some_and(|effect| effect == "allow");
    let (severity_number, severity_text) = if allows {
        (INFO, "INFO")
    } else {
        (WARN, "WARN")
    };
    let text_of = |path: &[&str]| {
        let mut names = path.iter();
        let first = names.next().and_then(|name| members.get(*name));
        let value = names.fold(first, |value, name| value.and_then(|value| value.get(name)));
        value.and_then(Value::as_str)
    };
    let id = |name: &str, length: usize| {
        let bytes = text_of(&[name]).and_then(unhex);
        bytes
            .filter(|bytes| bytes.len() == length)
            .unwrap_or_default()
    };
    let mut attributes = Vec::new();
    for (name, path) in [
        ("http.request.method", ["request", "method"]),
        ("server.address", ["request", "host"]),
        ("url.path", ["request", "path"]),
    ] {
        if let Some(value) = text_of(&path) {
            let value = if name == "url.path" {
                path_of(value)
            } else {
                value
            };
            attributes.push(otlp::text(name, value));
        }
    }
    let body = text_of(&["reason", "message"])
        .unwrap_or_default()
        .to_owned();
    let (trace_id, span_id) = (id("trace_id", 16), id("span_id", 8));
    for (name, value) in &members {
        put(&mut attributes, &format!("{PREFIX}.{name}"), value);
    }
    let time = u64::try_from(record.time_ns).unwrap_or_default();
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue::of(Any::Text(body))),
        attributes,
        trace_id,
        span_id,
        event_name: EVENT.to_owned(),
    }
}

/// Without query string.
fn path_of(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

fn put(attributes: &mut Vec<KeyValue>, name: &str, value: &Value) {
    let is_whole = [
        "doorward.input",
        "doorward.result",
        "doorward.request.headers",
    ];
    match value {
        Value::Object(members) if !is_whole.contains(&name) && name.matches('.').count() < 3 => {
            for (member, value) in members {
                put(attributes, &format!("{name}.{member}"), value);
            }
        }
        value => attributes.push(otlp::attribute(name, AnyValue::of_json(value))),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let pairs = pairs.iter().map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}
