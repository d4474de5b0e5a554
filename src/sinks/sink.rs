//! What a sink is: something that takes records, a batch at a time, and says what became of them. When,
//! how often and how many at once is left to the `worker` each has of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::decision_log::Finished;

/// Takes records. `tests/contract.rs` is the suite that every sink must pass.
#[async_trait]
pub(super) trait Sink: Send {
    /// Delivers the first of these records, as many as fit into one go, in their order. There is at least
    /// one. What is dropped before it ends may have been delivered, and comes again.
    async fn deliver(&mut self, records: &[Arc<Finished>]) -> Sent;
}

/// What became of how many records, from the first on.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) count: usize,
    pub(super) result: Result<Accepted, Failure>,
}

/// They are delivered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    /// But for so many, which will never be.
    pub(super) rejected: u64,
    /// And for so many, which were too large for themselves.
    pub(super) too_large: u64,
}

/// They are not delivered. What is told of it holds no secret, and nothing of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may work later, though not before this time has passed.
    MayPass {
        why: String,
        after: Option<Duration>,
    },
    /// They will never be taken.
    Final { why: String },
    /// Fewer may be taken.
    TooLarge { why: String },
}

// === impl Sent ===

impl Sent {
    pub(super) fn all(count: usize) -> Self {
        Self {
            count,
            result: Ok(Accepted::default()),
        }
    }

    pub(super) fn failed(count: usize, failure: Failure) -> Self {
        Self {
            count,
            result: Err(failure),
        }
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn may_pass(why: impl Into<String>) -> Self {
        Self::MayPass {
            why: why.into(),
            after: None,
        }
    }
}
