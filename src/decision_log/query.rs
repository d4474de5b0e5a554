//! Questions to the decision log: which records, from which one on, and whether a record is one.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use super::block::{About, Stored};
use super::membership::{self, Kind, digest};
use crate::decision::Effect;

/// Records on a page that names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// Most records on a page.
const MAX_LIMIT: u32 = 1_000;

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
    pub policy: Option<String>,
    pub revision: Option<u64>,
    pub decision_id: Option<Uuid>,
    pub trace_id: Option<String>,
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
    /// How many records to answer with.
    fn limit(&self) -> Result<u32, QueryError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(limit);
        }
        Err(parameter("limit", format!("must be from 1 to {MAX_LIMIT}")))
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
        let path = self.path.clone().map(|path| match path.strip_suffix('*') {
            Some(prefix) => WantedPath::Prefix(prefix.to_owned()),
            None => WantedPath::Exact(path),
        });
        Ok(Wanted {
            limit: self.limit()? as usize,
            since: time("since", &self.since)?.unwrap_or(i64::MIN),
            until: time("until", &self.until)?,
            effect: self.effect,
            principal: self.principal.clone(),
            request_principal: self.request_principal.clone(),
            path,
            host: self.host.clone(),
            policy: self.policy.clone(),
            revision: self
                .revision
                .map(|revision| i64::try_from(revision).unwrap_or(i64::MAX)),
            id: self.decision_id,
            trace_id: self.trace_id.clone(),
            before: cursor.map_or(i64::MAX, |Cursor(before)| before),
        })
    }
}

/// A question as it is held against blocks and records. What is `None` is not asked about.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) limit: usize,
    /// Nanoseconds since 1970.
    pub(super) since: i64,
    /// Not within.
    pub(super) until: Option<i64>,
    effect: Option<Effect>,
    principal: Option<String>,
    request_principal: Option<String>,
    path: Option<WantedPath>,
    host: Option<String>,
    policy: Option<String>,
    revision: Option<i64>,
    id: Option<Uuid>,
    trace_id: Option<String>,
    /// Only what has a lower number.
    pub(super) before: i64,
}

#[derive(Debug, Clone)]
enum WantedPath {
    Exact(String),
    Prefix(String),
}

// === impl Wanted ===

impl Wanted {
    /// Whether a block may hold such records, by what it says of itself.
    pub(super) fn may_be_in(&self, block: &About) -> bool {
        let revision =
            |wanted: i64| block.revision.first <= wanted && wanted <= block.revision.last;
        block.seq.first < self.before
            && block.time_ns.last >= self.since
            && self.until.is_none_or(|until| block.time_ns.first < until)
            && self.effect.is_none_or(|effect| block.effect == effect)
            && self.revision.is_none_or(revision)
    }

    /// Digests of which a block with such a record has every one.
    pub(super) fn digests(&self) -> Vec<u64> {
        let texts = [
            (Kind::Principal, &self.principal),
            (Kind::RequestPrincipal, &self.request_principal),
            (Kind::Host, &self.host),
            (Kind::Policy, &self.policy),
            (Kind::Trace, &self.trace_id),
        ];
        let texts = texts.into_iter().filter_map(|(kind, text)| {
            let text = text.as_ref()?;
            Some(digest(kind, text.as_bytes()))
        });
        let id = self.id.map(|id| digest(Kind::Id, id.as_bytes()));
        let path = self.path.as_ref().and_then(|path| match path {
            WantedPath::Exact(path) => Some(digest(Kind::Path, path.as_bytes())),
            WantedPath::Prefix(prefix) => membership::of_prefix(prefix),
        });
        texts.chain(id).chain(path).collect()
    }

    /// Whether a record of a block that may hold such is one.
    pub(super) fn is_met_by(&self, record: &Stored<'_>) -> bool {
        let is = |wanted: &Option<String>, text: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == text
        };
        let verdict = &record.verdict;
        record.seq < self.before
            && record.time_ns >= self.since
            && self.until.is_none_or(|until| record.time_ns < until)
            && self.revision.is_none_or(|wanted| record.revision == wanted)
            && self.id.is_none_or(|wanted| record.id == wanted)
            && is(&self.principal, verdict.principal)
            && is(&self.request_principal, verdict.request_principal)
            && is(&self.policy, verdict.policy)
            && is(&self.host, record.host)
            && self.is_path(record.path)
            && self
                .trace_id
                .as_deref()
                .is_none_or(|wanted| record.trace.is_some_and(|trace| trace.is(wanted)))
    }

    fn is_path(&self, path: Option<&str>) -> bool {
        match &self.path {
            None => true,
            Some(WantedPath::Exact(wanted)) => path == Some(wanted),
            Some(WantedPath::Prefix(prefix)) => path.is_some_and(|path| path.starts_with(prefix)),
        }
    }
}

fn parameter(name: &'static str, why: impl Into<String>) -> QueryError {
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

fn duration(text: &str) -> Option<SignedDuration> {
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
