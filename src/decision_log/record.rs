//! A decision as it is handed over: what it says by reference, what the request was as a copy of its
//! texts, one after the other. No text is changed here, and nothing is looked into twice.

use std::sync::Arc;

use uuid::Uuid;

use super::fields::{Fields, put_bytes, put_number, put_optional};
use super::mask::is_never_shown;
use crate::attributes::{Address, Attributes, HttpRequest, Peer, Port};
use crate::decision::Decision;
use crate::policy::PolicySet;
use crate::policy::native::Workload;
use crate::shadow::Slot;
use crate::telemetry::Stopwatch;
use crate::traces::{TraceContext, is_carrier};

/// Most headers of a request that are kept.
const MAX_HEADERS: usize = 100;
/// Most lines of what is kept also if it comes later.
const MAX_IDENTIFYING: usize = 8;
/// Kept also if it comes later, as are headers that tell of a trace.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// How a port was given.
const NO_PORT: u8 = 0;
const NUMBERED: u8 = 1;
const NAMED: u8 = 2;

/// A decision that is to be recorded.
#[derive(Debug)]
pub struct Record<'a> {
    pub id: Uuid,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    pub stopwatch: &'a Stopwatch,
    /// The trace of who asked.
    pub caller: TraceContext,
    pub revision: u64,
    pub cached: bool,
    pub decision: &'a Arc<Decision>,
    /// Headers that are removed beside those that the decision removes.
    pub lookalikes: &'a [String],
    pub workload: &'a Arc<Workload>,
    /// By which it was decided.
    pub policies: &'a Arc<PolicySet>,
    pub attributes: &'a Attributes,
    /// Where what shadows say will be.
    pub shadow: Option<&'a Arc<Slot>>,
}

/// What was asked, as [`put_request`] wrote it down.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) source: Option<Place<'a>>,
    pub(super) destination: Option<Place<'a>>,
    pub(super) lookalikes: Vec<&'a str>,
    pub(super) http: Option<AskedHttp<'a>>,
}

/// The HTTP request of it.
#[derive(Debug)]
pub(super) struct AskedHttp<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) scheme: &'a str,
    pub(super) protocol: &'a str,
    pub(super) headers: HeaderLines<'a>,
}

/// Header lines in their order, names and bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeaderLines<'a>(Fields<'a>);

/// Where a peer is.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) address: &'a str,
    pub(super) port: Option<PlacePort<'a>>,
}

#[derive(Debug)]
pub(super) enum PlacePort<'a> {
    Number(u64),
    Name(&'a str),
}

/// Writes down what is kept of a request: neither bodies nor certificates nor metadata.
pub(super) fn put_request(buffer: &mut Vec<u8>, record: &Record<'_>) {
    let attributes = record.attributes;
    put_place(buffer, attributes.source.as_ref());
    put_place(buffer, attributes.destination.as_ref());
    let lookalikes = record.lookalikes.iter().take(MAX_HEADERS);
    put_number(buffer, lookalikes.len() as u64);
    lookalikes.for_each(|name| put_bytes(buffer, name.as_bytes()));
    let Some(http) = attributes.http() else {
        buffer.push(0);
        return;
    };
    buffer.push(1);
    for text in [
        &http.method,
        &http.host,
        &http.path,
        &http.scheme,
        &http.protocol,
    ] {
        put_bytes(buffer, text.as_bytes());
    }
    put_headers(buffer, http);
}

fn put_headers(buffer: &mut Vec<u8>, http: &HttpRequest) {
    let mut identifying = 0;
    for (index, (name, value)) in http.headers.iter().enumerate() {
        let is_kept = index < MAX_HEADERS || {
            let identifies = name.eq_ignore_ascii_case(REQUEST_ID) || is_carrier(name);
            identifying += usize::from(identifies);
            identifies && identifying <= MAX_IDENTIFYING
        };
        if is_kept {
            put_optional(buffer, Some(name.as_bytes()));
            // A secret that is known by its name does not even leave the request.
            put_bytes(buffer, if is_never_shown(name) { b"" } else { value });
        }
    }
    put_optional(buffer, None);
}

fn put_place(buffer: &mut Vec<u8>, peer: Option<&Peer>) {
    match peer.and_then(|peer| peer.address.as_ref()) {
        Some(Address::Socket(socket)) => {
            put_optional(buffer, Some(socket.address.as_bytes()));
            match &socket.port {
                None => buffer.push(NO_PORT),
                Some(Port::Value(port)) => {
                    buffer.push(NUMBERED);
                    put_number(buffer, (*port).into());
                }
                Some(Port::Named(name)) => {
                    buffer.push(NAMED);
                    put_bytes(buffer, name.as_bytes());
                }
            }
        }
        Some(Address::Pipe { path, .. }) => {
            put_optional(buffer, Some(path.as_bytes()));
            buffer.push(NO_PORT);
        }
        Some(Address::EnvoyInternal { .. } | Address::Empty) | None => put_optional(buffer, None),
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let fields = &mut Fields::of(bytes);
        Some(Self {
            source: place(fields)?,
            destination: place(fields)?,
            lookalikes: (0..fields.number()?)
                .map(|_| fields.text())
                .collect::<Option<_>>()?,
            http: match fields.byte()? {
                0 => None,
                _ => Some(AskedHttp {
                    method: fields.text()?,
                    host: fields.text()?,
                    path: fields.text()?,
                    scheme: fields.text()?,
                    protocol: fields.text()?,
                    headers: HeaderLines(*fields),
                }),
            },
        })
    }
}

fn place<'a>(fields: &mut Fields<'a>) -> Option<Option<Place<'a>>> {
    let Some(address) = fields.optional_text()? else {
        return Some(None);
    };
    let port = match fields.byte()? {
        NUMBERED => Some(PlacePort::Number(fields.number()?)),
        NAMED => Some(PlacePort::Name(fields.text()?)),
        _ => None,
    };
    Some(Some(Place { address, port }))
}

// === impl HeaderLines ===

impl<'a> Iterator for HeaderLines<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.optional_text()??;
        Some((name, self.0.bytes()?))
    }
}
