//! A decision as it is handed over, and as it is stored and shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::mask::Mask;
use crate::attributes::{Address, Attributes, HttpRequest, Peer, Port};
use crate::decision::{Decision, Effect, Reason};
use crate::policy::native::{Observed, Workload};

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
    pub workload: Arc<Workload>,
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
    /// JSON text of [`Shown`].
    pub shown: String,
}

/// A record as the API shows it. What is not known is left out.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    decision_id: Uuid,
    /// RFC 3339, nanoseconds.
    time: String,
    effect: Effect,
    /// HTTP status of the reply; 200 for an allow.
    status: u16,
    reason: &'a Reason,
    revision: u64,
    cached: bool,
    /// `audited` and `dry_run`.
    #[serde(flatten)]
    observed: &'a Observed,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_principal: Option<&'a str>,
    /// The peer that handed `peer_principal` on.
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded_by: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Workload::is_unknown")]
    workload: &'a Workload,
    /// `IP:PORT` or a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<ShownRequest<'a>>,
    /// Header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

/// The HTTP request, secrets masked.
#[derive(Debug, Serialize)]
struct ShownRequest<'a> {
    method: Cow<'a, str>,
    host: Cow<'a, str>,
    path: Cow<'a, str>,
    scheme: Cow<'a, str>,
    protocol: Cow<'a, str>,
    headers: BTreeMap<Cow<'a, str>, String>,
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
            // Raw values are slices of the message they came in, body and all.
            http.headers.detach();
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
        size_of::<Self>() + self.attributes.weight() + self.decision.weight()
    }

    /// Masks and renders the record.
    pub(super) fn into_entry(self, mask: &Mask) -> Entry {
        let decision = &self.decision;
        let http = self.attributes.http();
        let trace_id = http.and_then(trace_id);
        let principal = decision.peer_principal.as_deref().map(clip);
        let request_principal = decision.request_principal.as_deref().map(clip);
        let peer = |peer: &Option<Peer>| peer.as_ref().and_then(address);
        let shown = Shown {
            decision_id: self.id,
            time: rfc3339(self.time_ns),
            effect: decision.effect(),
            status: decision.status(),
            reason: &decision.reason,
            revision: self.revision,
            cached: self.cached,
            observed: &decision.observed,
            peer_principal: principal.as_deref(),
            forwarded_by: decision.forwarded_by.as_deref().map(clip),
            request_principal: request_principal.as_deref(),
            workload: &self.workload,
            source: peer(&self.attributes.source),
            destination: peer(&self.attributes.destination),
            request: http.map(|http| ShownRequest::of(http, mask)),
            request_id: http
                .and_then(|http| header(http, "x-request-id"))
                .map(|id| mask.header("x-request-id", &id).into_owned()),
            trace_id: trace_id.as_deref(),
        };
        let reason = &decision.reason;
        Entry {
            id: self.id,
            time_ns: self.time_ns,
            revision: self.revision,
            effect: decision.effect(),
            // Nothing in it can fail to be written.
            shown: serde_json::to_string(&shown).unwrap_or_default(),
            principal: principal.map(Cow::into_owned),
            request_principal: request_principal.map(Cow::into_owned),
            host: http.map(|http| clip(&http.host).into_owned()),
            path: http.map(|http| {
                let target = mask.target(&http.path);
                clip(target.split(['?', '#']).next().unwrap_or_default()).into_owned()
            }),
            policy: reason.decided_by().cloned(),
            trace_id,
        }
    }
}

impl<'a> ShownRequest<'a> {
    fn of(http: &'a HttpRequest, mask: &Mask) -> Self {
        let mut headers: BTreeMap<Cow<'a, str>, String> = BTreeMap::new();
        for (name, value) in http.headers.iter().take(MAX_HEADERS) {
            let value = String::from_utf8_lossy(value);
            let value = mask.header(name, &value);
            let shown = headers.entry(clip(name)).or_default();
            if !shown.is_empty() {
                shown.push(',');
            }
            shown.push_str(&clip(&value));
        }
        let path = match mask.target(&http.path) {
            Cow::Borrowed(path) => clip(path),
            Cow::Owned(path) => Cow::Owned(clip(&path).into_owned()),
        };
        Self {
            method: clip(&http.method),
            host: clip(&http.host),
            path,
            scheme: clip(&http.scheme),
            protocol: clip(&http.protocol),
            headers,
        }
    }
}

fn address(peer: &Peer) -> Option<String> {
    match peer.address.as_ref()? {
        Address::Socket(socket) => Some(match &socket.port {
            Some(Port::Value(port)) if socket.address.contains(':') => {
                format!("[{}]:{port}", clip(&socket.address))
            }
            Some(Port::Value(port)) => format!("{}:{port}", clip(&socket.address)),
            Some(Port::Named(name)) => format!("{}:{}", clip(&socket.address), clip(name)),
            None => clip(&socket.address).into_owned(),
        }),
        Address::Pipe { path, .. } => Some(clip(path).into_owned()),
        Address::EnvoyInternal { .. } | Address::Empty => None,
    }
}

fn header(http: &HttpRequest, name: &str) -> Option<String> {
    http.headers
        .joined(name)
        .map(|value| clip(&value).into_owned())
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
fn clip(text: &str) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(MAX_TEXT)) {
        Some(start) if start.len() < text.len() => Cow::Owned(format!("{start}…")),
        _ => Cow::Borrowed(text),
    }
}
