//! What bundles that are pushed as shadows would have decided, held against what was decided; and the
//! threads on which that is found out, beside the checks. How a decision is made is left to `pdp`.

mod slot;
mod workers;

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::decision::{Decision, ReasonKind};

pub use slot::Slot;
pub use workers::{Job, Workers, threads};

/// What one shadow would have made of a request.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub bundle: Arc<str>,
    /// The manifest's.
    pub bundle_revision: Arc<str>,
    pub finding: Finding,
}

#[derive(Debug, Clone)]
pub enum Finding {
    Decided {
        decision: Arc<Decision>,
        difference: Difference,
    },
    /// It was not asked.
    Skipped(Skip),
}

/// How what a shadow would have decided differs from what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    pub result: Compared,
    /// Whether the proxy would have got another reply.
    pub changed: bool,
}

/// The same in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    Same,
    ChangedToAllow,
    ChangedToDeny,
    /// The effect is the same; status, headers or body are not.
    ChangedReply,
    /// The shadow's evaluation failed.
    Error,
}

/// Why a shadow was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// More requests wait to be compared than there is room for.
    Busy,
    /// The answer would have come after the record had to be stored.
    Late,
    /// It would ask others, which happens for enforced policies alone.
    External,
    /// The process ends.
    Stopped,
}

// === impl Difference ===

impl Difference {
    pub fn between(enforced: &Decision, shadow: &Decision) -> Self {
        let kind = shadow.reason.kind;
        let result = if matches!(kind, ReasonKind::RegoError | ReasonKind::InternalError) {
            Compared::Error
        } else if enforced.effect() != shadow.effect() {
            match shadow.reply() {
                Ok(_) => Compared::ChangedToAllow,
                Err(_) => Compared::ChangedToDeny,
            }
        } else if enforced.reply() != shadow.reply() {
            Compared::ChangedReply
        } else {
            Compared::Same
        };
        Self {
            result,
            changed: enforced.reply() != shadow.reply(),
        }
    }
}

// === impl Compared ===

impl Compared {
    pub const ALL: [Self; 5] = [
        Self::Same,
        Self::ChangedToAllow,
        Self::ChangedToDeny,
        Self::ChangedReply,
        Self::Error,
    ];

    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::ChangedToAllow => "changed_to_allow",
            Self::ChangedToDeny => "changed_to_deny",
            Self::ChangedReply => "changed_reply",
            Self::Error => "error",
        }
    }
}

// === impl Skip ===

impl Skip {
    pub const ALL: [Self; 4] = [Self::Busy, Self::Late, Self::External, Self::Stopped];

    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Late => "late",
            Self::External => "external",
            Self::Stopped => "stopped",
        }
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether the reply would have been another; `None` if that is not known.
    pub fn changed(&self) -> Option<bool> {
        match &self.finding {
            Finding::Decided { difference, .. } => Some(difference.changed),
            Finding::Skipped(_) => None,
        }
    }

    /// Without words that may be the request's.
    #[must_use]
    pub fn bare(mut self) -> Self {
        if let Finding::Decided { decision, .. } = &mut self.finding {
            let mut bare = Decision::clone(decision);
            bare.reason.message = String::new();
            bare.reason.detail = None;
            *decision = Arc::new(bare);
        }
        self
    }
}

/// As it is in a record.
impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("bundle", &*self.bundle)?;
        members.serialize_entry("bundle_revision", &*self.bundle_revision)?;
        match &self.finding {
            Finding::Decided {
                decision,
                difference,
            } => {
                members.serialize_entry("effect", &decision.effect())?;
                members.serialize_entry("status", &decision.status())?;
                members.serialize_entry("reason", &decision.reason)?;
                members.serialize_entry("result", difference.result.as_str())?;
                members.serialize_entry("changed", &difference.changed)?;
            }
            Finding::Skipped(why) => members.serialize_entry("skipped", why.as_str())?,
        }
        members.end()
    }
}
