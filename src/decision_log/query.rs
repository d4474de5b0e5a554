//! Questions to the decision log: which records, from which one on. Parameters are values, never
//! parts of a statement.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

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

/// Records, newest first.
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
    #[error("a stored decision cannot be read: {0}")]
    Stored(#[from] serde_json::Error),
}

/// A place in the log: everything before this sequence number is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub i64);

// === impl Filter ===

impl Filter {
    /// How many records to answer with.
    pub(super) fn limit(&self) -> Result<u32, QueryError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(limit);
        }
        Err(parameter("limit", format!("must be from 1 to {MAX_LIMIT}")))
    }

    /// Conditions and their values.
    pub(super) fn conditions(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(&'static str, SqlValue)>, QueryError> {
        let mut conditions: Vec<(&'static str, SqlValue)> = Vec::new();
        if let Some(since) = &self.since {
            conditions.push((
                "time_ns >= ?",
                SqlValue::Integer(instant("since", since, now)?),
            ));
        }
        if let Some(until) = &self.until {
            conditions.push((
                "time_ns < ?",
                SqlValue::Integer(instant("until", until, now)?),
            ));
        }
        if let Some(effect) = self.effect {
            conditions.push((
                "effect = ?",
                SqlValue::Integer(i64::from(effect == Effect::Allow)),
            ));
        }
        let texts = [
            ("principal = ?", &self.principal),
            ("request_principal = ?", &self.request_principal),
            ("host = ?", &self.host),
            ("policy = ?", &self.policy),
            ("trace_id = ?", &self.trace_id),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                conditions.push((condition, SqlValue::Text(text.clone())));
            }
        }
        match self
            .path
            .as_deref()
            .map(|path| (path.strip_suffix('*'), path))
        {
            Some((Some(prefix), _)) => {
                conditions.push((
                    "substr(path, 1, length(?)) = ?",
                    SqlValue::Twice(prefix.to_owned()),
                ));
            }
            Some((None, path)) => conditions.push(("path = ?", SqlValue::Text(path.to_owned()))),
            None => {}
        }
        if let Some(revision) = self.revision {
            let revision = i64::try_from(revision).unwrap_or(i64::MAX);
            conditions.push(("revision = ?", SqlValue::Integer(revision)));
        }
        if let Some(id) = self.decision_id {
            conditions.push(("id = ?", SqlValue::Blob(id.as_bytes().to_vec())));
        }
        if let Some(cursor) = &self.cursor {
            let Cursor(before) = cursor.parse().map_err(|why| parameter("cursor", why))?;
            conditions.push(("seq < ?", SqlValue::Integer(before)));
        }
        Ok(conditions)
    }
}

/// A value bound to a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SqlValue {
    Integer(i64),
    Text(String),
    /// Bound to two places.
    Twice(String),
    Blob(Vec<u8>),
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
