//! Spans of checks, posted to a collector in OTLP's protobuf over HTTP, by the same worker as records of
//! the decision log. Section `traces` of the configuration says where, and how many there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::collector::{export, scope};
use super::config::{Kind, SinkConfig};
use super::sink::{Sent, Sink};
use crate::bundle::{Credentials, Secret, SourceTls, SourceUrl};
use crate::decision_log::Finished;
use crate::otlp::traces::{
    ERROR, ExportRequest, IS_REMOTE, KNOWS_REMOTE, ResourceSpans, SAMPLED, SERVER, ScopeSpans,
    Span as SpanMessage, Status,
};
use crate::otlp::{self, AnyValue, Resource};
use crate::service::Poster;
use crate::telemetry::Metrics;
use crate::traces::{NAME, Sampling, Span, Tracer};
use crate::units::{Size, Span as Time};

/// What the exporter is called in metrics and logs. No sink of the decision log has this name.
pub(super) const EXPORTER: &str = "traces";
/// Most spans a second that can be meant.
const MAX_PER_SECOND: u32 = 100_000;

/// Section `traces` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// Where spans are posted to, as it stands. Nothing is traced without.
    pub url: Option<SourceUrl>,
    /// Sent with every request. They may hold secrets.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    pub tls: Option<SourceTls>,
    pub credentials: Option<Credentials>,
    /// Longest that one request may take.
    pub timeout: Time,
    pub sampling: Sampling,
    /// Most spans, whatever clients say of their traces.
    pub max_per_second: u32,
    /// Memory for spans that wait.
    pub queue_bytes: Size,
    pub batch_spans: usize,
    /// Spans are gathered for a time between these two.
    pub min_delay: Time,
    pub max_delay: Time,
    /// Attributes of the resource, such as `service.name`.
    pub resource: BTreeMap<String, String>,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            url: None,
            headers: BTreeMap::new(),
            tls: None,
            credentials: None,
            timeout: Time::from_secs(10),
            sampling: Sampling::default(),
            max_per_second: 1_000,
            queue_bytes: Size::from_mib(16),
            batch_spans: 512,
            min_delay: Time::from_secs(1),
            max_delay: Time::from_secs(5),
            resource: BTreeMap::new(),
        }
    }
}

// === impl TracesConfig ===

impl TracesConfig {
    /// Who says which checks are traced, if any are.
    pub fn tracer(&self, metrics: &Metrics) -> Option<Tracer> {
        self.url.as_ref()?;
        let counters = metrics.of_traces.counters();
        Some(Tracer::new(self.sampling, self.max_per_second, counters))
    }

    /// The exporter, as a sink of which nothing goes to disk.
    pub fn exporter(&self) -> Option<SinkConfig> {
        Some(SinkConfig {
            name: Some(EXPORTER.to_owned()),
            url: Some(self.url.clone()?),
            headers: self.headers.clone(),
            tls: self.tls.clone(),
            credentials: self.credentials.clone(),
            timeout: Some(self.timeout),
            queue_bytes: self.queue_bytes,
            spill_bytes: Size(0),
            batch_records: self.batch_spans,
            min_delay: Some(self.min_delay),
            max_delay: Some(self.max_delay),
            labels: self.resource.clone(),
            ..SinkConfig::new(Kind::Otlp)
        })
    }

    /// Values that parse but contradict each other or cannot be used.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let ratio = self.sampling.ratio;
        if !(0.0..=1.0).contains(&ratio) {
            problems.push(format!("`sampling.ratio`: {ratio} is not between 0 and 1"));
        }
        if !(1..=MAX_PER_SECOND).contains(&self.max_per_second) {
            let why = format!("is not between 1 and {MAX_PER_SECOND}");
            problems.push(format!("`max_per_second`: {why}"));
        }
        let of_exporter = self.exporter().map(|exporter| exporter.own_problems());
        let own_name = |key| match key {
            "batch_records" => "batch_spans",
            "labels" => "resource",
            key => key,
        };
        let of_exporter = of_exporter.into_iter().flatten();
        problems.extend(of_exporter.map(|(key, why)| format!("`{}`: {why}", own_name(key))));
        problems
    }
}

/// Posts spans.
pub(super) struct Spans {
    poster: Poster,
    resource: Resource,
}

// === impl Spans ===

impl Spans {
    pub(super) fn new(poster: Poster, resource: Resource) -> Self {
        Self { poster, resource }
    }

    fn request(&self, records: &[Arc<Finished>]) -> ExportRequest {
        // What the log's thread wrote can be read.
        let spans = records
            .iter()
            .filter_map(|record| serde_json::from_str(&record.json).ok());
        ExportRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope()),
                    spans: spans.map(message).collect(),
                }],
            }],
        }
    }
}

#[async_trait]
impl Sink for Spans {
    async fn deliver(&mut self, records: &[Arc<Finished>]) -> Sent {
        let message = self.request(records).encode_to_vec();
        export(&self.poster, &message, records.len()).await
    }
}

fn message(span: Span) -> SpanMessage {
    let parent = span.parent.map(|parent| parent.bytes().to_vec());
    let remote = if parent.is_some() { IS_REMOTE } else { 0 };
    let attributes = span.attributes.iter();
    let attributes =
        attributes.map(|(name, value)| otlp::attribute(name, AnyValue::of_json(value)));
    SpanMessage {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        name: NAME.to_owned(),
        kind: SERVER,
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: span.end_ns,
        attributes: attributes.collect(),
        status: span.error.map(|message| Status {
            message,
            code: ERROR,
        }),
        flags: SAMPLED | KNOWS_REMOTE | remote,
    }
}
