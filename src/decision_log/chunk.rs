//! Pieces of memory that hold records and the requests they are of, one after the other. They go from the
//! threads that decide to the one that stores, and back; who has them when is left to `queue`.

use std::sync::Arc;

use uuid::Uuid;

use super::details::Durations;
use super::scope::Whole;
use crate::decision::Decision;
use crate::policy::PolicySet;
use crate::policy::native::Workload;
use crate::shadow::Slot;
use crate::traces::Traced;

/// How much a chunk holds of requests, but for a single larger one, and how many records at most. It grows
/// while others wait for it: neither part of it by much.
const CHUNK: usize = 256 << 10;
pub(super) const CHUNK_RECORDS: usize = 1_024;

/// Records and the requests they are of, one after the other.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    heads: Vec<Head>,
    requests: Vec<u8>,
    weight: usize,
}

/// A record but for its request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) id: Uuid,
    pub(super) time_ns: i64,
    pub(super) revision: u64,
    pub(super) cached: bool,
    pub(super) durations: Durations,
    pub(super) decision: Arc<Decision>,
    pub(super) workload: Arc<Workload>,
    /// The request as a whole, if more than its summary is wanted.
    pub(super) whole: Option<Box<Whole>>,
    /// Policies, if they say which decisions are recorded.
    pub(super) telemetry: Option<Arc<PolicySet>>,
    /// The span that it is to have.
    pub(super) traced: Option<Box<Traced>>,
    /// Where what shadows say is, or will be.
    pub(super) shadow: Option<Arc<Slot>>,
    /// How long its request is, in bytes.
    pub(super) length: usize,
}

// === impl Chunk ===

impl Chunk {
    pub(super) fn empty() -> Self {
        Self {
            requests: Vec::with_capacity(CHUNK),
            ..Self::default()
        }
    }

    /// Whether one more record with such a request belongs into it.
    pub(super) fn has_room(&self, request: &[u8]) -> bool {
        self.requests.len() + request.len() <= CHUNK && self.heads.len() < CHUNK_RECORDS
    }

    /// Puts a record in that weighs so much, in bytes.
    pub(super) fn push(&mut self, head: Head, request: &[u8], weight: usize) {
        self.heads.push(head);
        self.requests.extend_from_slice(request);
        self.weight += weight;
    }

    /// What its records weigh, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Lets go of all records, and tells what they weighed.
    pub(super) fn clear(&mut self) -> usize {
        self.heads.clear();
        self.requests.clear();
        std::mem::take(&mut self.weight)
    }

    /// Whether it is no larger than others: a single large record may have made it so.
    pub(super) fn is_usual(&self) -> bool {
        self.requests.capacity() <= CHUNK
    }

    /// The records, each with its request as it was written down.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Head, &[u8])> {
        let mut rest = self.requests.as_slice();
        self.heads.iter().map(move |head| {
            let (request, others) = rest.split_at_checked(head.length).unwrap_or_default();
            rest = others;
            (head, request)
        })
    }
}
