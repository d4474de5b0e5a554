//! What is stored of a record and never filtered on: how it lies in memory, and how a whole record is
//! shown. The newest form is written; earlier ones are read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::block::Stored;
use super::fields::{Fields, put_bytes, put_number, put_optional};
use crate::telemetry::{Step, Stopwatch};

/// The text of the JSON as it was shown by versions that stored nothing else.
const AS_SHOWN: u8 = 1;
/// The fields of the request.
const REQUEST: u8 = 2;
/// Two durations, more members, and the fields of the request.
const EARLIER: u8 = 3;
/// The same with all durations.
const FIELDS: u8 = 4;

/// How long deciding took, in nanoseconds; 0 is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Durations {
    /// From when the check came to when it was decided.
    pub(super) total_ns: u64,
    /// Of that, in Rego, verifying tokens, and in native policies.
    pub(super) rego_ns: u64,
    pub(super) authenticate_ns: u64,
    pub(super) native_ns: u64,
}

/// The request of a record, but for what blocks are searched by.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Details<'a> {
    pub(super) durations: Durations,
    /// Further members of the record as it is shown, as the text of a JSON object.
    pub(super) more: Option<&'a str>,
    /// `IP:PORT` or a path.
    pub(super) source: Option<&'a str>,
    pub(super) destination: Option<&'a str>,
    /// Without an HTTP request, nothing follows.
    pub(super) has_http: bool,
    pub(super) method: &'a str,
    pub(super) scheme: &'a str,
    pub(super) protocol: &'a str,
    /// The path with its query string, if it has one.
    pub(super) target: Option<&'a str>,
}

/// Where header lines are written.
#[derive(Debug)]
pub(super) struct Lines<'a>(&'a mut Vec<u8>);

/// The HTTP request as it is shown.
#[derive(Debug, Serialize)]
struct ShownRequest<'a> {
    method: &'a str,
    host: &'a str,
    path: &'a str,
    scheme: &'a str,
    protocol: &'a str,
    headers: BTreeMap<&'a str, Cow<'a, str>>,
}

/// Writes the details of a record, with the header lines that `write_lines` has. It returns the id that
/// one of them has for the request.
pub(super) fn put_details<'a>(
    buffer: &mut Vec<u8>,
    details: &Details<'_>,
    write_lines: impl FnOnce(&mut Lines<'_>) -> Option<Cow<'a, str>>,
) {
    buffer.push(FIELDS);
    for (_, nanos) in details.durations.named() {
        put_number(buffer, nanos);
    }
    put_optional(buffer, details.more.map(str::as_bytes));
    put_optional(buffer, details.source.map(str::as_bytes));
    put_optional(buffer, details.destination.map(str::as_bytes));
    buffer.push(details.has_http.into());
    if !details.has_http {
        return;
    }
    for text in [details.method, details.scheme, details.protocol] {
        put_bytes(buffer, text.as_bytes());
    }
    put_optional(buffer, details.target.map(str::as_bytes));
    let request_id = write_lines(&mut Lines(buffer));
    put_optional(buffer, None);
    put_optional(buffer, request_id.as_deref().map(str::as_bytes));
}

/// Writes what an earlier version stored as the text of a JSON object.
pub(super) fn put_as_shown(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(AS_SHOWN);
    buffer.extend_from_slice(text.as_bytes());
}

/// A record as the API shows it. `None` is damage.
pub(super) fn shown(record: &Stored<'_>, details: &[u8]) -> Option<Value> {
    let mut fields = Fields::of(details);
    match fields.byte()? {
        AS_SHOWN => serde_json::from_slice(details.get(1..)?).ok(),
        REQUEST => {
            let members = serde_json::from_str(record.verdict.shown).ok()?;
            shown_of(record, members, &mut fields)
        }
        kind @ (EARLIER | FIELDS) => {
            let mut members: Map<String, Value> =
                serde_json::from_str(record.verdict.shown).ok()?;
            members.extend(Durations::read(kind, &mut fields)?.shown());
            if let Some(more) = fields.optional_text()? {
                members.extend(serde_json::from_str::<Map<_, _>>(more).ok()?);
            }
            shown_of(record, members, &mut fields)
        }
        _ => None,
    }
}

/// The HTTP method of a record, if it has one that can be read.
pub(super) fn method_of(details: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Shown {
        request: Method,
    }
    #[derive(Deserialize)]
    struct Method {
        method: String,
    }
    let mut fields = Fields::of(details);
    match fields.byte()? {
        AS_SHOWN => {
            let shown: Shown = serde_json::from_slice(details.get(1..)?).ok()?;
            Some(Cow::Owned(shown.request.method))
        }
        kind @ (REQUEST | EARLIER | FIELDS) => {
            if kind != REQUEST {
                Durations::read(kind, &mut fields)?;
                fields.optional()?;
            }
            fields.optional()?;
            fields.optional()?;
            let has_http = fields.byte()? != 0;
            fields.text().filter(|_| has_http).map(Cow::Borrowed)
        }
        _ => None,
    }
}

fn shown_of(
    record: &Stored<'_>,
    mut members: Map<String, Value>,
    fields: &mut Fields<'_>,
) -> Option<Value> {
    let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
    add("decision_id", record.id.to_string().into());
    add("sequence", record.seq.into());
    add("time", rfc3339(record.time_ns).into());
    add("revision", record.revision.into());
    add("cached", record.cached.into());
    if let Some(source) = fields.optional_text()? {
        add("source", source.into());
    }
    if let Some(destination) = fields.optional_text()? {
        add("destination", destination.into());
    }
    if let Some(trace) = record.trace {
        add("trace_id", trace.to_string().into());
    }
    if fields.byte()? == 0 {
        return Some(Value::Object(members));
    }
    let (method, scheme, protocol) = (fields.text()?, fields.text()?, fields.text()?);
    let path = record.path.unwrap_or_default();
    let target = fields.optional_text()?;
    let request = ShownRequest {
        method,
        host: record.host.unwrap_or_default(),
        path: target.unwrap_or(path),
        scheme,
        protocol,
        headers: headers(fields)?,
    };
    add("request", serde_json::to_value(request).ok()?);
    if let Some(id) = fields.optional_text()? {
        add("request_id", id.into());
    }
    Some(Value::Object(members))
}

/// Lines of one name are one value, joined by `,`.
fn headers<'a>(fields: &mut Fields<'a>) -> Option<BTreeMap<&'a str, Cow<'a, str>>> {
    let mut headers: BTreeMap<&str, Cow<'_, str>> = BTreeMap::new();
    while let Some(name) = fields.optional_text()? {
        let value = fields.text()?;
        let joined = headers.entry(name).or_default();
        if joined.is_empty() {
            *joined = Cow::Borrowed(value);
        } else {
            let joined = joined.to_mut();
            joined.push(',');
            joined.push_str(value);
        }
    }
    Some(headers)
}

pub(super) fn rfc3339(time_ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(time_ns))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

// === impl Durations ===

impl Durations {
    /// What is known now.
    pub(super) fn of(stopwatch: &Stopwatch) -> Self {
        let nanos = |duration: Option<Duration>| {
            let nanos = duration.map_or(0, |duration| duration.as_nanos());
            u64::try_from(nanos).unwrap_or(u64::MAX)
        };
        Self {
            total_ns: nanos(stopwatch.elapsed()),
            rego_ns: nanos(stopwatch.of(Step::Rego)),
            authenticate_ns: nanos(stopwatch.of(Step::Authenticate)),
            native_ns: nanos(stopwatch.of(Step::Native)),
        }
    }

    /// As they are written, one after the other.
    fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("total_ns", self.total_ns),
            ("rego_ns", self.rego_ns),
            ("authenticate_ns", self.authenticate_ns),
            ("native_ns", self.native_ns),
        ]
    }

    fn read(kind: u8, fields: &mut Fields<'_>) -> Option<Self> {
        let mut durations = Self {
            total_ns: fields.number()?,
            rego_ns: fields.number()?,
            ..Self::default()
        };
        if kind != EARLIER {
            durations.authenticate_ns = fields.number()?;
            durations.native_ns = fields.number()?;
        }
        Some(durations)
    }

    /// The member of the record, if anything is known.
    fn shown(&self) -> Option<(String, Value)> {
        let known = self.named().into_iter();
        let known = known.filter(|(_, duration)| *duration > 0);
        let durations: Map<_, _> = known
            .map(|(name, duration)| (name.to_owned(), duration.into()))
            .collect();
        (!durations.is_empty()).then(|| ("durations".to_owned(), durations.into()))
    }
}

// === impl Lines ===

impl Lines<'_> {
    pub(super) fn put(&mut self, name: &str, value: &str) {
        put_optional(self.0, Some(name.as_bytes()));
        put_bytes(self.0, value.as_bytes());
    }
}
