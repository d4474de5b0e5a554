//! The records of a block's index, read one after the other.

use std::fmt;

use uuid::Uuid;

use super::{CACHED, Damaged, SHADOW_CHANGED, SHADOW_SAME, TRACE_AS_TEXT, TRACE_IN_BYTES};
use crate::decision_log::Shadowed;
use crate::decision_log::fields::Fields;

/// A stored record, as the index has it.
#[derive(Debug, Clone)]
pub(in crate::decision_log) struct Stored<'a> {
    pub(in crate::decision_log) seq: i64,
    pub(in crate::decision_log) id: Uuid,
    pub(in crate::decision_log) time_ns: i64,
    pub(in crate::decision_log) revision: i64,
    pub(in crate::decision_log) cached: bool,
    pub(in crate::decision_log) shadow: Option<Shadowed>,
    pub(in crate::decision_log) verdict: StoredVerdict<'a>,
    /// Among those of its block.
    pub(in crate::decision_log) verdict_number: usize,
    pub(in crate::decision_log) host: Option<&'a str>,
    pub(in crate::decision_log) path: Option<&'a str>,
    pub(in crate::decision_log) trace: Option<Trace<'a>>,
    /// Where its details begin and how long they are.
    pub(in crate::decision_log) details: (usize, usize),
}

#[derive(Debug, Clone, Copy)]
pub(in crate::decision_log) struct StoredVerdict<'a> {
    pub(in crate::decision_log) policy: Option<&'a str>,
    pub(in crate::decision_log) principal: Option<&'a str>,
    pub(in crate::decision_log) request_principal: Option<&'a str>,
    pub(in crate::decision_log) shown: &'a str,
}

/// The id of a trace as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decision_log) enum Trace<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
}

/// Goes through the records of an index.
#[derive(Debug)]
pub(in crate::decision_log) struct Records<'a> {
    fields: Fields<'a>,
    verdicts: Vec<StoredVerdict<'a>>,
    last: (i64, i64, i64),
    details: usize,
}

/// The id of a trace, to be stored.
pub(super) enum TraceBytes {
    Hex([u8; 16]),
    Other,
}

/// What a digit stands for, in lower case; what is none is beyond.
fn value_of(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => u8::MAX,
    }
}

impl TraceBytes {
    pub(super) fn of(text: &str) -> Self {
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        let Ok(pairs) = <&[[u8; 2]; 16]>::try_from(pairs) else {
            return Self::Other;
        };
        if text.len() != 32 || !text.bytes().all(|digit| value_of(digit) < 16) {
            // What does not come out as it went in stays a text.
            return Self::Other;
        }
        let bytes = pairs.map(|[high, low]| value_of(high) << 4 | value_of(low));
        Self::Hex(bytes)
    }

    pub(super) fn flag(&self) -> u8 {
        match self {
            Self::Hex(_) => TRACE_IN_BYTES,
            Self::Other => TRACE_AS_TEXT,
        }
    }
}

// === impl Records ===

impl<'a> Records<'a> {
    /// The records of an unpacked index.
    pub(in crate::decision_log) fn of(index: &'a [u8]) -> Self {
        Self {
            fields: Fields::of(index),
            verdicts: Vec::new(),
            last: (0, 0, 0),
            details: 0,
        }
    }

    fn read(&mut self) -> Option<Stored<'a>> {
        let fields = &mut self.fields;
        let (seq, time_ns, revision) = self.last;
        let seq = seq.wrapping_add(fields.signed()?);
        let time_ns = time_ns.wrapping_add(fields.signed()?);
        let revision = revision.wrapping_add(fields.signed()?);
        self.last = (seq, time_ns, revision);
        let id = Uuid::from_slice(fields.take(16)?).ok()?;
        let flags = fields.byte()?;
        let number = fields.length()?;
        if number == self.verdicts.len() {
            self.verdicts.push(StoredVerdict {
                policy: fields.optional_text()?,
                principal: fields.optional_text()?,
                request_principal: fields.optional_text()?,
                shown: fields.text()?,
            });
        }
        let verdict = *self.verdicts.get(number)?;
        let host = fields.optional_text()?;
        let path = fields.optional_text()?;
        let trace = match flags & (TRACE_IN_BYTES | TRACE_AS_TEXT) {
            0 => None,
            TRACE_IN_BYTES => Some(Trace::Bytes(fields.take(16)?)),
            _ => Some(Trace::Text(fields.text()?)),
        };
        let length = fields.length()?;
        let start = self.details;
        self.details = start.checked_add(length)?;
        Some(Stored {
            seq,
            id,
            time_ns,
            revision,
            cached: flags & CACHED != 0,
            shadow: match flags & (SHADOW_SAME | SHADOW_CHANGED) {
                0 => None,
                SHADOW_SAME => Some(Shadowed::Same),
                _ => Some(Shadowed::Changed),
            },
            verdict,
            verdict_number: number,
            host,
            path,
            trace,
            details: (start, length),
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Stored<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fields.is_empty() {
            return None;
        }
        let record = self.read();
        if record.is_none() {
            self.fields = Fields::of(&[]);
        }
        Some(record.ok_or(Damaged))
    }
}

// === impl Trace ===

impl fmt::Display for Trace<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes
                .iter()
                .try_for_each(|byte| write!(formatter, "{byte:02x}")),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

impl Trace<'_> {
    /// Whether this is the id as a question has it.
    pub(in crate::decision_log) fn is(&self, text: &str) -> bool {
        match (self, TraceBytes::of(text)) {
            (Self::Bytes(bytes), TraceBytes::Hex(asked)) => *bytes == asked,
            (Self::Text(stored), _) => *stored == text,
            (Self::Bytes(_), TraceBytes::Other) => false,
        }
    }
}
