//! A record of the decision log as it can be decided again: the request, what of it is masked, and what
//! was decided; or why it cannot be.

use jiff::Timestamp;
use serde_json::Value;

use super::report::Unknown;
use crate::attributes::Attributes;
use crate::decision::{Decision, ReasonKind};
use crate::decision_log::hidden_in;
use crate::ext_authz::from_input;
use crate::pdp;
use crate::policy::Hidden;

/// A record whose request is there.
#[derive(Debug)]
pub(super) struct Recorded<'a> {
    record: &'a Value,
    attributes: Attributes,
    hidden: Hidden,
    time_ns: i64,
}

impl<'a> Recorded<'a> {
    /// `record` is one as it is shown.
    pub(super) fn of(record: &'a Value) -> Result<Self, Unknown> {
        let text = |member: &str| record.get(member).and_then(Value::as_str);
        if let Some(why) = text("mask_error").or_else(|| text("input_omitted")) {
            return Err(Unknown::omitted(why));
        }
        let input = record.get("input").ok_or(Unknown::NoInput)?;
        // A request that could not even be read has none.
        input.get("attributes").ok_or(Unknown::NoInput)?;
        let time = text("time").and_then(|time| time.parse::<Timestamp>().ok());
        let time_ns = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
        let recorded = Self {
            record,
            attributes: from_input(input).map_err(|_| Unknown::Unreadable)?,
            hidden: hidden_in(record),
            time_ns: time_ns.ok_or(Unknown::Unreadable)?,
        };
        // Rule: what was malformed may have been so where it is masked.
        let kind = record.pointer("/reason/kind").and_then(Value::as_str);
        let was_malformed = kind == Some(ReasonKind::InvalidRequest.as_str());
        match was_malformed && !recorded.hidden.is_empty() {
            true => Err(Unknown::Masked),
            false => Ok(recorded),
        }
    }

    pub(super) fn request(&self) -> pdp::PastRequest<'_> {
        pdp::PastRequest {
            attributes: &self.attributes,
            hidden: &self.hidden,
            workload: self.record.get("workload"),
            was_read: self.record.pointer("/input/parsed_path").is_some(),
            time_ns: self.time_ns,
        }
    }

    /// Whether this is what was decided, as far as the record tells.
    pub(super) fn was(&self, decision: &Decision) -> bool {
        let effect = self.record.get("effect").and_then(Value::as_str);
        let status = self.record.get("status").and_then(Value::as_u64);
        effect == Some(decision.effect().as_str()) && status == Some(u64::from(decision.status()))
    }
}
