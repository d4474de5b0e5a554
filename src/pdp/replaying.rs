//! Decides recorded requests again, under policies that may not be in force: by the same function as
//! checks, with nothing remembered, recorded or counted. What cannot be told is not guessed.

use std::sync::Arc;

use serde_json::Value;

use super::{Effort, attached, decide, needs};
use crate::attributes::Attributes;
use crate::decision::Decision;
use crate::policy::Hidden;
use crate::policy::native::Workload;
use crate::policy::rego::Entrypoint;
use crate::snapshot::Snapshot;
use crate::telemetry::Arrival;

/// A request as the decision log has it.
#[derive(Debug)]
pub struct PastRequest<'a> {
    pub attributes: &'a Attributes,
    /// What of it is not as it was sent.
    pub hidden: &'a Hidden,
    /// Whom it was for, as that is shown.
    pub workload: Option<&'a Value>,
    /// Whether Rego had a document of it.
    pub was_read: bool,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
}

/// Why it cannot be told what would be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Undecided {
    /// Policies read what is hidden.
    Hidden,
    /// They would ask others.
    External,
    /// They read random numbers.
    Random,
}

/// What the policies of a snapshot would have decided. One made for it (`Snapshot::aside`) remembers
/// nothing.
pub fn decide_again(
    snapshot: &Snapshot,
    request: &PastRequest<'_>,
) -> Result<Arc<Decision>, Undecided> {
    let policies = &snapshot.policies;
    let PastRequest {
        attributes,
        hidden,
        workload: recorded,
        was_read,
        time_ns,
    } = *request;
    let workload = Workload::of(attributes, &policies.settings.workloads);
    // Rule: whatever is hidden, the workload is the one that it was.
    if hidden.may_name_workload() && !is_same(workload.as_deref().ok(), recorded) {
        return Err(Undecided::Hidden);
    }
    let workload = match workload {
        Ok(workload) => workload,
        Err(why) => return Ok(Arc::new(super::malformed(why))),
    };
    if let Some(attached) = attached(policies, &workload) {
        // Rule: what others answer, and chance, is not what it was.
        if needs(policies, &attached) == Effort::Wait {
            return Err(Undecided::External);
        }
        if policies.entrypoints(&attached).any(Entrypoint::is_random) {
            return Err(Undecided::Random);
        }
        if policies.may_read(&attached, hidden, attributes, was_read) {
            return Err(Undecided::Hidden);
        }
    }
    let arrival = Arrival::from(time_ns);
    let decided = decide(snapshot, &workload, attributes, &arrival, Effort::Evaluate);
    let (decision, _) = decided.map_err(|_| Undecided::External)?;
    Ok(decision)
}

fn is_same(workload: Option<&Workload>, recorded: Option<&Value>) -> bool {
    let shown = workload.filter(|workload| !workload.is_unknown());
    let shown = shown.and_then(|workload| serde_json::to_value(workload).ok());
    shown.as_ref() == recorded
}
