//! A decision as it is handed over, and as it is stored and shown.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::mask::Mask;
use crate::attributes::{Address, Attributes, HttpRequest, Peer, Port};
use crate::decision::{Decision, Effect};
use crate::policy::native::Workload;

/// Longest text of a request that is kept, in bytes.
const MAX_TEXT: usize = 8 * 1024;
/// Most headers of a request that are kept.
const MAX_HEADERS: usize = 100;

/// What the request path hands over: no text is built there.
#[derive(Debug)]
pub struct Record {
    pub id: Uuid,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    pub revision: u64,
    pub cached: bool,
    pub decision: Arc<Decision>,
    pub workload: Workload,
    pub attributes: Attributes,
}

/// What is stored: the columns that are filtered on, and the record as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: Uuid,
    pub time_ns: i64,
    pub revision: u64,
    pub effect: Effect,
    pub principal: Option<String>,
    pub request_principal: Option<String>,
    pub host: Option<String>,
    /// Without query string.
    pub path: Option<String>,
    /// `namespace/name`, or the Rego entrypoint.
    pub policy: Option<String>,
    pub trace_id: Option<String>,
    pub shown: Value,
}

impl Record {
    /// Drops what is not recorded, so that it takes no memory while waiting.
    pub(super) fn shed_bodies(&mut self) {
        if let Some(http) = self
            .attributes
            .request
            .as_mut()
            .and_then(|request| request.http.as_mut())
        {
            http.body = String::new();
            http.raw_body = Bytes::new();
        }
        let peers = [
            &mut self.attributes.source,
            &mut self.attributes.destination,
        ];
        for peer in peers.into_iter().flatten() {
            peer.certificate = String::new();
        }
        self.attributes.metadata = None;
        self.attributes.route_metadata = None;
    }

    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.attributes.weight()
    }

    /// Masks and renders the record.
    pub(super) fn into_entry(self, mask: &Mask) -> Entry {
        let decision = &self.decision;
        let http = self.attributes.http();
        let trace_id = http.and_then(trace_id);
        let policy = decision
            .reason
            .policy
            .clone()
            .or_else(|| decision.reason.entrypoint.clone());
        let principal = decision.peer_principal.as_deref().map(clip);
        let request_principal = decision.request_principal.as_deref().map(clip);
        let mut shown = json!({
            "decision_id": self.id,
            "time": rfc3339(self.time_ns),
            "effect": decision.effect(),
            "status": decision.status(),
            "reason": decision.reason,
            "revision": self.revision,
            "cached": self.cached,
        });
        let mut members = Members(&mut shown);
        members.some("peer_principal", principal.clone());
        members.some("request_principal", request_principal.clone());
        members.some("workload", workload(&self.workload));
        members.some("source", self.attributes.source.as_ref().and_then(address));
        members.some(
            "destination",
            self.attributes.destination.as_ref().and_then(address),
        );
        members.some("request", http.map(|http| request(http, mask)));
        members.some(
            "request_id",
            http.and_then(|http| header(http, "x-request-id"))
                .map(|id| mask.header("x-request-id", &id).into_owned()),
        );
        members.some("trace_id", trace_id.clone());
        Entry {
            id: self.id,
            time_ns: self.time_ns,
            revision: self.revision,
            effect: decision.effect(),
            principal,
            request_principal,
            host: http.map(|http| clip(&http.host)),
            path: http.map(|http| {
                let target = mask.target(&http.path);
                clip(target.split(['?', '#']).next().unwrap_or_default())
            }),
            policy,
            trace_id,
            shown,
        }
    }
}

/// Sets members of an object, those without a value not at all.
struct Members<'a>(&'a mut Value);

impl Members<'_> {
    fn some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let (Some(object), Some(value)) = (self.0.as_object_mut(), value) {
            object.insert(name.to_owned(), value.into());
        }
    }
}

fn request(http: &HttpRequest, mask: &Mask) -> Value {
    let mut headers = Map::new();
    for (name, value) in http.headers.iter().take(MAX_HEADERS) {
        let value = String::from_utf8_lossy(value);
        let value = clip(&mask.header(name, &value));
        match headers.get_mut(name) {
            Some(Value::String(existing)) => {
                existing.push(',');
                existing.push_str(&value);
            }
            _ => drop(headers.insert(clip(name), Value::from(value))),
        }
    }
    json!({
        "method": clip(&http.method),
        "host": clip(&http.host),
        "path": clip(&mask.target(&http.path)),
        "scheme": clip(&http.scheme),
        "protocol": clip(&http.protocol),
        "headers": headers,
    })
}

fn workload(workload: &Workload) -> Option<Value> {
    let mut shown = json!({});
    let mut members = Members(&mut shown);
    members.some("namespace", workload.namespace.clone());
    members.some("service_account", workload.service_account.clone());
    members.some(
        "labels",
        workload.labels.as_ref().map(|labels| {
            labels
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect::<Value>()
        }),
    );
    shown
        .as_object()
        .is_some_and(|shown| !shown.is_empty())
        .then_some(shown)
}

fn address(peer: &Peer) -> Option<String> {
    match peer.address.as_ref()? {
        Address::Socket(socket) => Some(match &socket.port {
            Some(Port::Value(port)) if socket.address.contains(':') => {
                format!("[{}]:{port}", clip(&socket.address))
            }
            Some(Port::Value(port)) => format!("{}:{port}", clip(&socket.address)),
            Some(Port::Named(name)) => format!("{}:{}", clip(&socket.address), clip(name)),
            None => clip(&socket.address),
        }),
        Address::Pipe { path, .. } => Some(clip(path)),
        Address::EnvoyInternal { .. } | Address::Empty => None,
    }
}

fn header(http: &HttpRequest, name: &str) -> Option<String> {
    http.headers.joined(name).map(|value| clip(&value))
}

/// The trace a request belongs to, by W3C Trace Context.
fn trace_id(http: &HttpRequest) -> Option<String> {
    let parent = header(http, "traceparent")?;
    let id = parent.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

fn rfc3339(time_ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(time_ns))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Cuts a text at a character boundary.
fn clip(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT);
    match text.get(..end) {
        Some(start) if start.len() < text.len() => format!("{start}…"),
        _ => text.to_owned(),
    }
}
