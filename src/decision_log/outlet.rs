//! Records as they leave for elsewhere, beside the store: masked, and written as one line of JSON. What
//! becomes of them there is left to whoever takes them.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::block::{Stored, StoredVerdict, Trace};
use super::details::shown;
use super::entry::Entry;

/// Takes records, in their order. It must not wait: the log's thread calls it.
pub trait Outlet: Debug + Send + Sync {
    fn take(&self, records: &[Arc<Finished>]);
}

/// A record as it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub seq: i64,
    pub id: Uuid,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// As the API shows it: one line of JSON.
    pub json: String,
}

// === impl Finished ===

impl Finished {
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        let verdict = entry.verdict;
        let stored = Stored {
            seq: entry.seq,
            id: entry.id,
            time_ns: entry.time_ns,
            revision: entry.revision.cast_signed(),
            cached: entry.cached,
            shadow: entry.shadow,
            verdict: StoredVerdict {
                policy: verdict.policy.as_deref(),
                principal: verdict.principal.as_deref(),
                request_principal: verdict.request_principal.as_deref(),
                shown: &verdict.shown,
            },
            verdict_number: 0,
            host: entry.host,
            path: entry.path,
            trace: entry.trace_id.map(Trace::Text),
            details: (0, entry.details.len()),
        };
        // What was just written can be read; were it not so, the record would still be told of.
        let known = || json!({"decision_id": entry.id.to_string(), "sequence": entry.seq});
        let value = shown(&stored, entry.details).unwrap_or_else(known);
        Self {
            seq: entry.seq,
            id: entry.id,
            time_ns: entry.time_ns,
            json: line(&value),
        }
    }
}

/// JSON on one line, whoever reads it. Rule: besides JSON's own escapes, whatever could end a line,
/// steer a terminal or turn the direction of text around is written as an escape.
pub fn line(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, OneLine);
    // Memory takes every text, and every key is one.
    drop(value.serialize(&mut serializer));
    String::from_utf8(text).unwrap_or_default()
}

struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| byte.is_ascii() && byte != 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        for part in fragment.split_inclusive(steers) {
            let last = part.chars().next_back().filter(|last| steers(*last));
            let plain = part.len() - last.map_or(0, char::len_utf8);
            writer.write_all(part.as_bytes().get(..plain).unwrap_or_default())?;
            if let Some(last) = last {
                write!(writer, "\\u{:04x}", u32::from(last))?;
            }
        }
        Ok(())
    }
}

/// Control characters, line ends of Unicode, and marks of direction. All are one unit of UTF-16.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
