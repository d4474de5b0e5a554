//! Questions to the decision log: which records, and from which one on. Whether a record is one is
//! left to `wanted`.

mod wanted;
mod workload;

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

pub(super) use wanted::{Wanted, WantedDigests};
pub(super) use workload::digests as digests_of_workload;

use super::shadowed::Shadowed;
use crate::decision::{Effect, ReasonKind};
use wanted::WantedPath;

/// Records on a page that names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// Most records on a page.
const MAX_LIMIT: u32 = 1_000;
/// Longest text that is looked for within reasons, in bytes.
const MAX_PART: usize = 256;

/// Parameters of `GET /v1/decisions` as they are written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    pub since: Option<String>,
    pub until: Option<String>,
    pub effect: Option<Effect>,
    pub principal: Option<String>,
    pub request_principal: Option<String>,
    /// Exact, or a prefix when it ends in `*`.
    pub path: Option<String>,
    pub host: Option<String>,
    pub method: Option<String>,
    pub policy: Option<String>,
    /// HTTP status of the reply.
    pub status: Option<u16>,
    pub reason_kind: Option<ReasonKind>,
    /// A part of the reason's kind, message or detail, in any case.
    pub reason: Option<String>,
    /// `NAMESPACE/NAME`, `NAMESPACE/*`, or `NAME` in any namespace.
    pub workload: Option<String>,
    pub cached: Option<bool>,
    pub revision: Option<u64>,
    pub decision_id: Option<Uuid>,
    pub trace_id: Option<String>,
    /// Whether a shadow would have changed the reply.
    pub shadow: Option<Shadowed>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// Records, newest first. A page ends early where it would become too large, or take too long: with
/// what was found by then, and a cursor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    pub decisions: Vec<Value>,
    /// Where the next page begins, `null` on the last.
    pub next_cursor: Option<String>,
    /// How often blocks were passed over that are damaged, and may hold what is asked for.
    #[serde(skip)]
    pub passed_over: u64,
}

/// Why a question cannot be answered.
#[derive(Debug, Error)]
pub enum QueryError {
    #[error("`{name}`: {why}")]
    Parameter { name: &'static str, why: String },
    #[error("the decision log cannot be read: {0}")]
    Store(#[from] rusqlite::Error),
}

/// A place in the log: everything before this sequence number is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub i64);

// === impl Filter ===

impl Filter {
    /// The same question, whenever it is asked: times that are told by how long ago they were become
    /// those that they are now.
    pub fn at(mut self, now: Timestamp) -> Result<Self, QueryError> {
        for (name, text) in [("since", &mut self.since), ("until", &mut self.until)] {
            if let Some(text) = text {
                let time = instant(name, text, now)?;
                *text = super::details::rfc3339(time);
            }
        }
        // What is wrong is told before anything is done.
        self.wanted(now)?;
        Ok(self)
    }

    /// The cursor of what comes after a record, as it is shown.
    pub fn before(record: &Value) -> Option<String> {
        let sequence = record.get("sequence")?.as_i64()?;
        Some(Cursor(sequence).to_string())
    }

    /// How many records to answer with.
    fn limit(&self) -> Result<u32, QueryError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(limit);
        }
        Err(parameter("limit", format!("must be from 1 to {MAX_LIMIT}")))
    }

    fn status(&self) -> Result<Option<u16>, QueryError> {
        match self.status {
            Some(status) if !(100..600).contains(&status) => {
                Err(parameter("status", "must be from 100 to 599"))
            }
            status => Ok(status),
        }
    }

    /// In lower case.
    fn reason(&self) -> Result<Option<String>, QueryError> {
        match &self.reason {
            Some(part) if part.is_empty() || part.len() > MAX_PART => Err(parameter(
                "reason",
                format!("must have from 1 to {MAX_PART} bytes"),
            )),
            part => Ok(part.as_ref().map(|part| part.to_ascii_lowercase())),
        }
    }

    /// What is asked for, read.
    pub(super) fn wanted(&self, now: Timestamp) -> Result<Wanted, QueryError> {
        let time = |name, text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| instant(name, text, now)).transpose()
        };
        let cursor = self.cursor.as_ref();
        let cursor: Option<Cursor> = cursor
            .map(|cursor| cursor.parse().map_err(|why| parameter("cursor", why)))
            .transpose()?;
        let workload = self.workload.as_ref();
        let workload = workload.map(|text| text.parse().map_err(|why| parameter("workload", why)));
        Ok(Wanted {
            limit: self.limit()? as usize,
            since: time("since", &self.since)?.unwrap_or(i64::MIN),
            until: time("until", &self.until)?,
            effect: self.effect,
            principal: self.principal.clone(),
            request_principal: self.request_principal.clone(),
            path: self.path.as_deref().map(WantedPath::of),
            host: self.host.clone(),
            method: self.method.clone(),
            policy: self.policy.clone(),
            status: self.status()?,
            reason_kind: self.reason_kind,
            reason: self.reason()?,
            workload: workload.transpose()?,
            cached: self.cached,
            revision: self
                .revision
                .map(|revision| i64::try_from(revision).unwrap_or(i64::MAX)),
            id: self.decision_id,
            trace_id: self.trace_id.clone(),
            shadow: self.shadow,
            before: cursor.map_or(i64::MAX, |Cursor(before)| before),
        })
    }
}

pub(super) fn parameter(name: &'static str, why: impl Into<String>) -> QueryError {
    QueryError::Parameter {
        name,
        why: why.into(),
    }
}

/// RFC 3339, or how long ago (`15m`, `2h`, `7d`), as nanoseconds since 1970.
fn instant(name: &'static str, text: &str, now: Timestamp) -> Result<i64, QueryError> {
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => {
            let ago = duration(text).ok_or_else(|| {
                parameter(
                    name,
                    "is neither an RFC 3339 time nor a duration such as `15m`",
                )
            })?;
            now.checked_sub(ago)
                .map_err(|error| parameter(name, error.to_string()))?
        }
    };
    i64::try_from(time.as_nanosecond()).map_err(|_| parameter(name, "is out of range"))
}

pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let count: i64 = digits.parse().ok().filter(|count| *count >= 0)?;
    let seconds = match text.get(digits.len()..)? {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    count.checked_mul(seconds).map(SignedDuration::from_secs)
}

// === impl Cursor ===

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(|bytes| Self(i64::from_be_bytes(bytes)))
            .ok_or_else(|| "is not a cursor that was given out".to_owned())
    }
}
