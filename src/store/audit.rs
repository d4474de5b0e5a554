//! The audit log: one record of every change and every attempt that failed, numbered together. Each
//! record's hash covers the one before of its kind, so that a record taken out, put in or changed breaks
//! the chain. Each kind is kept for itself: attempts, which cost nothing, push out no record of a change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hash::{Hash, Parts};
use super::revision::Attempt;

/// Longest error that is kept, in characters.
const MAX_ERROR_CHARS: usize = 1024;

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Success,
    Failure,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub number: u64,
    pub time: Timestamp,
    #[serde(flatten)]
    pub attempt: Attempt,
    pub old_revision: u64,
    pub new_revision: Option<u64>,
    pub result: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Attempts before this one whose records could not be written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_before: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditQuery {
    pub limit: usize,
    /// Only records with a lower number.
    pub before: Option<u64>,
}

/// A kind of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Change,
    /// It failed, or was refused.
    Attempt,
}

/// Records, and the state of the chains they are of.
#[derive(Debug, Clone, Serialize)]
pub struct AuditPage {
    pub records: Vec<AuditRecord>,
    pub chain: ChainState,
}

/// Whether both chains are whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainState {
    pub intact: bool,
    pub changes: ChainEnds,
    pub attempts: ChainEnds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where a chain begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChainEnds {
    /// Numbers of the records that are kept: after the first, up to the second.
    pub after: u64,
    pub up_to: u64,
    /// The newest record's. Whoever notes it elsewhere can tell that nothing before it was changed.
    pub head: Hash,
}

/// A place in a chain: a record's number and hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) hash: Hash,
}

impl Link {
    /// The place of the record after this one. Its text holds its number.
    pub(super) fn next(&self, number: u64, text: &str) -> Self {
        let parts = Parts::of("doorward audit");
        let hash = parts.and(self.hash.bytes()).and(text.as_bytes()).finish();
        Self { number, hash }
    }
}

/// The newest records of both kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heads {
    pub(super) changes: Link,
    pub(super) attempts: Link,
}

impl Heads {
    pub(super) fn of(&self, kind: Kind) -> Link {
        match kind {
            Kind::Change => self.changes,
            Kind::Attempt => self.attempts,
        }
    }

    pub(super) fn set(&mut self, kind: Kind, link: Link) {
        match kind {
            Kind::Change => self.changes = link,
            Kind::Attempt => self.attempts = link,
        }
    }

    /// Number of the newest record of all.
    pub(super) fn number(&self) -> u64 {
        self.changes.number.max(self.attempts.number)
    }
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Change, Self::Attempt];
}

impl Outcome {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Success => Kind::Change,
            Self::Failure => Kind::Attempt,
        }
    }
}

/// The beginning of an error's text.
pub(super) fn shortened(error: &str) -> String {
    error.chars().take(MAX_ERROR_CHARS).collect()
}

/// Goes along a chain, from the place before its first record.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) at: Link,
    pub(super) problem: Option<String>,
}

impl Walk {
    pub(super) fn from(anchor: Link) -> Self {
        Self {
            at: anchor,
            problem: None,
        }
    }

    /// Rule: the record after this place has a higher number, in its text as well, and the hash of its
    /// text and the hash before. After the first that has not, nothing can be said.
    pub(super) fn step(&mut self, record: Link, text: &str) {
        if self.problem.is_some() {
            return;
        }
        let number = record.number;
        let expected = self.at.next(number, text);
        let is_numbered = number > self.at.number
            && serde_json::from_str::<AuditRecord>(text).is_ok_and(|read| read.number == number);
        if record == expected && is_numbered {
            self.at = expected;
        } else {
            let what = format!("record {number} was changed, or one before it is missing");
            self.problem = Some(what);
        }
    }

    /// Rule: the last record is the one that the store knows as such.
    pub(super) fn end(&mut self, head: Link) {
        if self.problem.is_none() && self.at != head {
            self.problem = Some(format!("record {} is missing", head.number));
        }
    }
}
