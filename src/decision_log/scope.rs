//! What of a record is kept besides its summary: the request as Rego sees it, and the result. Here is
//! decided whether a request is handed over for that, and how much of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pointer::Pointer;
use super::record::Record;
use crate::attributes::{Attributes, HttpRequest, Peer, Request};
use crate::decision::Effect;
use crate::policy::{PolicySet, RecordRules};

/// Largest request that is handed over for its record's input, in bytes of memory, about; a body that is
/// too large is left out of it.
const MAX_REQUEST: usize = 128 << 10;

/// How much is recorded, by effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detail {
    pub allow: Level,
    pub deny: Level,
}

/// How much of a decision is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Summary,
    /// With the whole input document and the result.
    Input,
}

/// What records are made of besides what is always there.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub(super) detail: Detail,
    /// What is always masked.
    pub(super) pointers: Arc<[Pointer]>,
    /// Where policies say what is masked and dropped.
    pub(super) rules: Arc<RecordRules>,
}

/// A request that is handed over as a whole, under the policies that decided it. Until the log's thread
/// has masked it, it holds whatever secrets the request does, in memory alone.
#[derive(Debug)]
pub(super) struct Whole {
    /// `None` if it is too large.
    pub(super) attributes: Option<Attributes>,
    /// Something of it is left out.
    pub(super) is_cut: bool,
    /// Whose certificates are left out.
    pub(super) certified: &'static [&'static str],
    /// Whether input and result are to be stored, or only to be looked at.
    pub(super) is_stored: bool,
    /// Whether anything but the names of secrets says what is masked, or dropped.
    pub(super) must_be_masked: bool,
    pub(super) policies: Arc<PolicySet>,
}

// === impl Detail ===

impl Default for Detail {
    fn default() -> Self {
        Self {
            allow: Level::Summary,
            deny: Level::Input,
        }
    }
}

impl Detail {
    fn of(self, effect: Effect) -> Level {
        match effect {
            Effect::Allow => self.allow,
            Effect::Deny => self.deny,
        }
    }
}

// === impl Scope ===

impl Scope {
    /// What the configuration has by default, with as much recorded as this says.
    pub fn of(detail: Detail) -> Self {
        Self {
            detail,
            ..Self::default()
        }
    }

    /// The same for what is not recorded: a request is looked at as a whole to be masked, and no more.
    pub(super) fn for_masks(self) -> Self {
        let detail = Detail {
            allow: Level::Summary,
            deny: Level::Summary,
        };
        Self { detail, ..self }
    }

    /// The request, if more is wanted of it than its summary.
    pub(super) fn whole(&self, record: &Record<'_>) -> Option<Box<Whole>> {
        let is_stored = self.detail.of(record.decision.effect()) == Level::Input;
        let must_be_masked = !self.pointers.is_empty()
            || record.policies.masks_records(&self.rules)
            // What a bundle that has not come yet would mask, nobody knows.
            || record.policies.lacks_bundle;
        if !is_stored && !must_be_masked {
            return None;
        }
        let (attributes, is_cut) = copy(record.attributes);
        Some(Box::new(Whole {
            attributes,
            is_cut,
            certified: certified(record.attributes),
            is_stored,
            must_be_masked,
            policies: Arc::clone(record.policies),
        }))
    }
}

// === impl Whole ===

impl Whole {
    /// Roughly how much memory this holds, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.attributes.as_ref().map_or(0, Attributes::weight)
    }
}

/// Whose certificates a request comes with.
fn certified(attributes: &Attributes) -> &'static [&'static str] {
    let has_one = |peer: &Option<Peer>| {
        peer.as_ref()
            .is_some_and(|peer| !peer.certificate.is_empty())
    };
    match (
        has_one(&attributes.source),
        has_one(&attributes.destination),
    ) {
        (false, false) => &[],
        (true, false) => &["source"],
        (false, true) => &["destination"],
        (true, true) => &["source", "destination"],
    }
}

/// A copy without certificates, and without the body if that is what makes it too large. Tells whether
/// it is cut.
fn copy(attributes: &Attributes) -> (Option<Attributes>, bool) {
    let whole = attributes.weight();
    let body = attributes
        .http()
        .map_or(0, |http| http.body.len() + http.raw_body.len());
    let certificates = [&attributes.source, &attributes.destination];
    let certificates = certificates.into_iter().flatten();
    let certificates: usize = certificates.map(|peer| peer.certificate.len()).sum();
    let whole = whole.saturating_sub(certificates);
    if whole.saturating_sub(body) > MAX_REQUEST {
        return (None, true);
    }
    let is_cut = whole > MAX_REQUEST;
    (Some(copied(attributes, is_cut)), is_cut)
}

/// The same without its body.
pub(super) fn bodiless(attributes: &Attributes) -> Attributes {
    copied(attributes, true)
}

fn copied(attributes: &Attributes, is_cut: bool) -> Attributes {
    let request = attributes.request.as_ref();
    Attributes {
        version: attributes.version,
        given: attributes.given,
        source: attributes.source.as_ref().map(peer),
        destination: attributes.destination.as_ref().map(peer),
        request: request.map(|request| Request {
            time: request.time,
            http: request.http.as_ref().map(|http| match is_cut {
                true => without_body(http),
                false => http.clone(),
            }),
        }),
        context_extensions: attributes.context_extensions.clone(),
        metadata: attributes.metadata.clone(),
        route_metadata: attributes.route_metadata.clone(),
        sni: attributes.sni.clone(),
    }
}

fn peer(peer: &Peer) -> Peer {
    Peer {
        address: peer.address.clone(),
        service: peer.service.clone(),
        labels: peer.labels.clone(),
        principal: peer.principal.clone(),
        certificate: String::new(),
    }
}

fn without_body(http: &HttpRequest) -> HttpRequest {
    HttpRequest {
        id: http.id.clone(),
        method: http.method.clone(),
        headers: http.headers.clone(),
        path: http.path.clone(),
        host: http.host.clone(),
        scheme: http.scheme.clone(),
        query: http.query.clone(),
        fragment: http.fragment.clone(),
        size: http.size,
        protocol: http.protocol.clone(),
        body: String::new(),
        raw_body: bytes::Bytes::new(),
    }
}
