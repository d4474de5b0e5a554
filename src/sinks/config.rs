//! Entries of `decision_log.sinks`: what each sink is, and how much it may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Format;
use super::traces::EXPORTER;
use super::worker::Pace;
use crate::bundle::{Credentials, Secret, SourceTls, SourceUrl, problems_of_asker};
use crate::kafka::{Broker, Mechanism, Sasl, Target};
use crate::service::PostTo;
use crate::units::{Size, Span};

/// What can be meant.
const MIN_QUEUE: Size = Size::from_mib(4);
const MAX_QUEUE: Size = Size::from_mib(1 << 10);
const MIN_SPILL: Size = Size::from_mib(1);
const MAX_SPILL: Size = Size::from_mib(1 << 20);
const MAX_BATCH: usize = 10_000;
const MAX_DELAY: Span = Span::from_secs(86_400);
const MIN_TIMEOUT: Span = Span::from_millis(10);
const MAX_TIMEOUT: Span = Span::from_secs(600);
const MIN_UPLOAD: Size = Size(1 << 10);
const MAX_UPLOAD: Size = Size::from_mib(64);
const MAX_NAME: usize = 64;
const MAX_LABELS: usize = 64;

/// If nothing is said. The limit is OPA's.
const TIMEOUT: Span = Span::from_secs(30);
const UPLOAD_SIZE_LIMIT: Size = Size(32 << 10);
/// How much a sink is given at once if nothing is said, and at most in bytes.
const BATCH_RECORDS: usize = 1_000;
const BATCH_BYTES: usize = 1 << 20;

/// One sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// In metrics, logs, and as the name of a folder. Without it, the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Memory for records that wait.
    #[serde(default = "queue_bytes")]
    pub queue_bytes: Size,
    /// Space on disk for records that wait; none without any.
    #[serde(default = "spill_bytes")]
    pub spill_bytes: Size,
    #[serde(default = "batch_records")]
    pub batch_records: usize,
    /// Records are gathered for a time between these two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_delay: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// In every event of OPA's, besides `id` and `version`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where it is posted to, as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SourceUrl>,
    /// Sent with every request. They may hold secrets.
    #[serde(default, skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<SourceTls>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Longest that one request may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Largest request, compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_size_limit: Option<Size>,
    /// `HOST:PORT`, asked one after the other for all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<Broker>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// A JSON pointer into the record. Without it, the key of a message is the decision's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
}

/// What takes the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Console,
    Http,
    Otlp,
    Kafka,
}

fn queue_bytes() -> Size {
    Size::from_mib(16)
}

fn spill_bytes() -> Size {
    Size::from_mib(256)
}

fn batch_records() -> usize {
    BATCH_RECORDS
}

// === impl SinkConfig ===

impl SinkConfig {
    /// One with nothing else said.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            queue_bytes: queue_bytes(),
            spill_bytes: spill_bytes(),
            batch_records: batch_records(),
            min_delay: None,
            max_delay: None,
            format: None,
            labels: BTreeMap::new(),
            url: None,
            headers: BTreeMap::new(),
            tls: None,
            credentials: None,
            timeout: None,
            upload_size_limit: None,
            brokers: Vec::new(),
            topic: None,
            key: None,
            sasl: None,
        }
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind.name())
    }

    pub(super) fn format(&self) -> Format {
        self.format.unwrap_or(match self.kind {
            Kind::Console | Kind::Http => Format::Opa,
            Kind::Otlp | Kind::Kafka => Format::Doorward,
        })
    }

    pub(super) fn pace(&self) -> Pace {
        let (min_delay, max_delay) = self.delays();
        Pace {
            records: self.batch_records,
            bytes: BATCH_BYTES,
            min_delay,
            max_delay,
        }
    }

    /// Rule: one that is given holds for both, if the other one is at odds with it by default.
    fn delays(&self) -> (Duration, Duration) {
        let (least, most) = match self.kind {
            Kind::Console => (Span::from_secs(0), Span::from_secs(0)),
            Kind::Kafka => (Span::from_millis(100), Span::from_millis(500)),
            Kind::Http | Kind::Otlp => (Span::from_secs(1), Span::from_secs(5)),
        };
        match (self.min_delay, self.max_delay) {
            (None, None) => (least.0, most.0),
            (Some(given), None) => (given.0, most.max(given).0),
            (None, Some(given)) => (least.min(given).0, given.0),
            (Some(least), Some(most)) => (least.0, most.0),
        }
    }

    pub(super) fn upload_size_limit(&self) -> usize {
        self.upload_size_limit
            .unwrap_or(UPLOAD_SIZE_LIMIT)
            .as_usize()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(TIMEOUT).0
    }

    /// The topic, if there is one.
    pub(super) fn target(&self) -> Option<Target> {
        Some(Target {
            brokers: self.brokers.clone(),
            topic: self.topic.clone()?,
            tls: self.tls.clone(),
            sasl: self.sasl.clone(),
        })
    }

    /// The server, if there is one.
    pub(super) fn post_to(&self) -> Option<PostTo> {
        Some(PostTo {
            url: self.url.clone()?,
            headers: self.headers.clone(),
            tls: self.tls.clone().unwrap_or_default(),
            credentials: self.credentials.clone(),
            timeout: self.timeout(),
        })
    }

    /// Values that parse but contradict each other or cannot be used, by where they stand.
    pub fn problems(sinks: &[Self]) -> Vec<String> {
        let mut problems = Vec::new();
        let mut names = BTreeSet::new();
        for (index, sink) in sinks.iter().enumerate() {
            if sink.name() == EXPORTER {
                let why = format!("`{EXPORTER}` is what spans are exported by");
                problems.push(format!("`[{index}].name`: {why}"));
            }
            if !names.insert(sink.name()) {
                let why = format!("there is a sink `{}` already", sink.name());
                problems.push(format!("`[{index}].name`: {why}"));
            }
            let of_sink = sink.own_problems().into_iter();
            problems.extend(of_sink.map(|(key, why)| format!("`[{index}].{key}`: {why}")));
        }
        problems
    }

    pub(super) fn own_problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !is_name(self.name()) {
            let why = format!(
                "`{}` is no name: up to {MAX_NAME} of a-z, 0-9, `-` and `_`",
                self.name()
            );
            problems.push(("name", why));
        }
        if !(MIN_QUEUE..=MAX_QUEUE).contains(&self.queue_bytes) {
            let why = format!(
                "{} is not between {MIN_QUEUE} and {MAX_QUEUE}",
                self.queue_bytes
            );
            problems.push(("queue_bytes", why));
        }
        if self.spill_bytes.0 > 0 && !(MIN_SPILL..=MAX_SPILL).contains(&self.spill_bytes) {
            let why = format!(
                "{} is neither `0B` nor between {MIN_SPILL} and {MAX_SPILL}",
                self.spill_bytes
            );
            problems.push(("spill_bytes", why));
        }
        if !(1..=MAX_BATCH).contains(&self.batch_records) {
            problems.push(("batch_records", format!("is not between 1 and {MAX_BATCH}")));
        }
        let delays = [("min_delay", self.min_delay), ("max_delay", self.max_delay)];
        for (key, delay) in delays {
            if delay.is_some_and(|delay| delay > MAX_DELAY) {
                problems.push((key, format!("is more than {MAX_DELAY}")));
            }
        }
        if let (Some(least), Some(most)) = (self.min_delay, self.max_delay)
            && most < least
        {
            problems.push(("max_delay", "is below `min_delay`".to_owned()));
        }
        if self.labels.len() > MAX_LABELS {
            problems.push(("labels", format!("are more than {MAX_LABELS}")));
        }
        problems.extend(self.problems_of_kind());
        problems
    }

    /// Rule: what another kind of sink has is not passed over.
    fn problems_of_kind(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let posts = matches!(self.kind, Kind::Http | Kind::Otlp);
        let uploads = self.kind == Kind::Http;
        let has_format = self.kind != Kind::Otlp;
        let produces = self.kind == Kind::Kafka;
        let given = [
            ("url", self.url.is_some(), posts),
            ("headers", !self.headers.is_empty(), posts),
            ("tls", self.tls.is_some(), posts || produces),
            ("credentials", self.credentials.is_some(), posts),
            ("timeout", self.timeout.is_some(), posts || produces),
            (
                "upload_size_limit",
                self.upload_size_limit.is_some(),
                uploads,
            ),
            ("format", self.format.is_some(), has_format),
            ("brokers", !self.brokers.is_empty(), produces),
            ("topic", self.topic.is_some(), produces),
            ("key", self.key.is_some(), produces),
            ("sasl", self.sasl.is_some(), produces),
        ];
        for (key, is_given, is_known) in given {
            if is_given && !is_known {
                let why = format!("is not for a sink of type `{}`", self.kind.name());
                problems.push((key, why));
            }
        }
        if posts && self.url.is_none() {
            problems.push(("url", "is missing".to_owned()));
        }
        if produces {
            problems.extend(self.problems_of_kafka());
        }
        let tls = self.tls.clone().unwrap_or_default();
        let credentials = self.credentials.as_ref();
        problems.extend(problems_of_asker(&self.headers, &tls, credentials));
        let of_store = credentials.and_then(Credentials::of_store);
        problems.extend(of_store.map(|why| ("credentials", why)));
        if self
            .timeout
            .is_some_and(|timeout| !(MIN_TIMEOUT..=MAX_TIMEOUT).contains(&timeout))
        {
            let why = format!("is not between {MIN_TIMEOUT} and {MAX_TIMEOUT}");
            problems.push(("timeout", why));
        }
        let limit = self.upload_size_limit;
        if limit.is_some_and(|limit| !(MIN_UPLOAD..=MAX_UPLOAD).contains(&limit)) {
            let why = format!("is not between {MIN_UPLOAD} and {MAX_UPLOAD}");
            problems.push(("upload_size_limit", why));
        }
        problems
    }
}

impl SinkConfig {
    fn problems_of_kafka(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.brokers.is_empty() {
            problems.push(("brokers", "is missing".to_owned()));
        }
        match self.topic.as_deref() {
            None => problems.push(("topic", "is missing".to_owned())),
            Some(topic) if !is_topic(topic) => {
                problems.push(("topic", format!("`{topic}` is no name of a topic")));
            }
            Some(_) => {}
        }
        if self.key.as_ref().is_some_and(|key| !key.starts_with('/')) {
            let why = "is no JSON pointer such as `/peer_principal`";
            problems.push(("key", why.to_owned()));
        }
        if let Some(sasl) = &self.sasl {
            if sasl.password.is_some() == sasl.password_file.is_some() {
                let why = "needs one of `password` and `password_file`";
                problems.push(("sasl", why.to_owned()));
            }
            // Rule: a password is not sent to whoever listens.
            if sasl.mechanism == Mechanism::Plain && self.tls.is_none() {
                let why = "`plain` needs `tls`, which may be `{}`";
                problems.push(("sasl", why.to_owned()));
            }
        }
        problems
    }
}

/// Rule: as Kafka has it.
fn is_topic(topic: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=249).contains(&topic.len()) && topic.bytes().all(is_plain) && !matches!(topic, "." | "..")
}

fn is_name(name: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain)
}

// === impl Kind ===

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Http => "http",
            Self::Otlp => "otlp",
            Self::Kafka => "kafka",
        }
    }
}
