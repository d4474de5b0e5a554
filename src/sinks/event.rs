//! How a record is written for others: as the API shows it, or as an event of OPA's decision log, with
//! what OPA has no place for under `custom`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::decision_log::{Finished, line};

/// What a record is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// An event of OPA's.
    Opa,
    /// As `GET /v1/decisions` shows it, with its `sequence`.
    Doorward,
}

/// A format, and what each event of this process has.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) format: Format,
    pub(super) labels: Arc<BTreeMap<String, String>>,
}

/// What OPA has of its own for members of a record.
const SAME: [&str; 11] = [
    "decision_id",
    "trace_id",
    "span_id",
    "bundles",
    "query",
    "result",
    "nd_builtin_cache",
    "erased",
    "masked",
    "error",
    "metrics",
];

// === impl Form ===

impl Form {
    /// A line of its own, as OPA's console has it.
    pub(super) fn line(&self, record: &Finished) -> String {
        match self.format {
            Format::Doorward => record.json.clone(),
            Format::Opa => {
                let mut event = self.event(record);
                let time = event.get("timestamp").cloned().unwrap_or_default();
                for (name, value) in [
                    ("level", json!("info")),
                    ("msg", json!("Decision Log")),
                    ("type", json!("openpolicyagent.org/decision_logs")),
                    ("time", time),
                ] {
                    event.insert(name.to_owned(), value);
                }
                line(&Value::Object(event))
            }
        }
    }

    /// One of a list of events.
    pub(super) fn text(&self, record: &Finished) -> String {
        match self.format {
            Format::Doorward => record.json.clone(),
            Format::Opa => line(&Value::Object(self.event(record))),
        }
    }

    /// The same without the largest parts of it.
    pub(super) fn short_text(&self, record: &Finished) -> Option<String> {
        let mut members = members(record);
        let mut erased = Vec::new();
        for name in ["input", "result", "request"] {
            if members.remove(name).is_some() && name != "request" {
                erased.push(json!(format!("/{name}")));
            }
        }
        let before = members.get("erased").and_then(Value::as_array);
        erased.extend(before.cloned().unwrap_or_default());
        members.insert("erased".to_owned(), erased.into());
        let shorter = Finished {
            json: line(&Value::Object(members)),
            ..record.clone()
        };
        (shorter.json.len() < record.json.len()).then(|| self.text(&shorter))
    }

    fn event(&self, record: &Finished) -> Map<String, Value> {
        let mut members = members(record);
        let mut event = Map::new();
        let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
        put("labels", json!(*self.labels));
        put("timestamp", members.remove("time").unwrap_or_default());
        for name in SAME {
            if let Some(value) = members.remove(name) {
                put(name, value);
            }
        }
        let entrypoint = members
            .get("reason")
            .and_then(|reason| reason.get("entrypoint"));
        if let Some(entrypoint) = entrypoint {
            put("path", entrypoint.clone());
        }
        if let Some(source) = members.get("source") {
            put("requested_by", source.clone());
        }
        if let Some(durations) = members.remove("durations") {
            put("metrics", timers(&durations));
        }
        // Rule: what is in the input is not said twice.
        let input = members.remove("input").unwrap_or_else(|| input(&members));
        members.remove("request");
        put("input", input);
        if !members.contains_key("result") {
            // Rule: what was decided is the result where Rego's own is not recorded.
            let allows = members
                .get("effect")
                .is_some_and(|effect| effect == "allow");
            event.entry("result").or_insert(allows.into());
        }
        event.insert("custom".to_owned(), json!({"doorward": members}));
        event
    }
}

fn members(record: &Finished) -> Map<String, Value> {
    serde_json::from_str(&record.json).unwrap_or_default()
}

/// How long it took, under OPA's names.
fn timers(durations: &Value) -> Value {
    const NAMES: [(&str, &str); 2] = [
        ("total_ns", "timer_server_handler_ns"),
        ("rego_ns", "timer_rego_query_eval_ns"),
    ];
    let timers = NAMES.iter().filter_map(|(ours, theirs)| {
        let duration = durations.get(ours)?;
        Some(((*theirs).to_owned(), duration.clone()))
    });
    Value::Object(timers.collect())
}

/// What is known of the request, where opa-envoy-plugin has it.
fn input(members: &Map<String, Value>) -> Value {
    let mut attributes = Map::new();
    if let Some(request) = members.get("request") {
        attributes.insert("request".to_owned(), json!({"http": request}));
    }
    for peer in ["source", "destination"] {
        let Some(address) = members.get(peer).and_then(Value::as_str) else {
            continue;
        };
        let mut member = json!({"address": socket(address)});
        let principal = members.get("peer_principal").filter(|_| peer == "source");
        if let (Some(principal), Value::Object(member)) = (principal, &mut member) {
            member.insert("principal".to_owned(), principal.clone());
        }
        attributes.insert(peer.to_owned(), member);
    }
    json!({"attributes": attributes})
}

/// `IP:PORT` as protobuf's JSON has it; what is none is the path of a pipe.
fn socket(text: &str) -> Value {
    match text.parse::<std::net::SocketAddr>() {
        Ok(socket) => {
            let (address, port) = (socket.ip().to_string(), socket.port());
            json!({"socketAddress": {"address": address, "portValue": port}})
        }
        Err(_) if text.starts_with(['/', '@']) => json!({"pipe": {"path": text}}),
        Err(_) => json!({"socketAddress": {"address": text}}),
    }
}
