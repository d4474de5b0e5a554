//! What a span of a check says, as it goes from the log's thread to a collector: masked, and on one line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::context::{SpanId, TraceId};

/// Of all checks, whichever door they came by.
pub const NAME: &str = "envoy.service.auth.v3.Authorization/Check";
/// Longest text of an attribute, in bytes.
const MAX_TEXT: usize = 1_024;

/// A check, as a step of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    pub end_ns: u64,
    /// What failed of ours, if something did.
    pub error: Option<String>,
    pub attributes: Vec<(String, Value)>,
}

// === impl Span ===

impl Span {
    /// Adds an attribute, cut to a length.
    pub fn add(&mut self, name: &str, value: impl Into<Value>) {
        let mut value = value.into();
        if let Value::String(text) = &mut value {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
        self.attributes.push((name.to_owned(), value));
    }
}
