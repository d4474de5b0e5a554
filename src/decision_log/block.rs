//! Blocks: what the log's file is made of. A block holds up to [`MAX_RECORDS`] records of one effect
//! in the order of their sequence numbers, in three sections that are read one after the other, and
//! only as far as a question needs them:
//!
//! | section | holds | is |
//! |---|---|---|
//! | members | which values its records have, see `membership.rs` | a Bloom filter |
//! | index | of each record what questions name: number, id, time, revision, verdict, host, path, trace | compressed |
//! | details | of each record the rest, see `details.rs` | compressed |
//!
//! A record of the index is: number, time and revision as differences to the record before, the id's
//! 16 bytes, flags, verdict, host, path, trace if there is one, length of the details. A verdict is
//! the number of one that an earlier record of the block had, or the next number and the verdict
//! itself: policy, principal, request principal, and the rest of it as JSON. Numbers and texts are
//! written as in `fields.rs`.
//!
//! A compressed section is its length and then LZ4's block format. Each section ends in a checksum of
//! itself, its kind and the block it belongs to. What a block says of itself besides, and how it is
//! found, is the business of `store.rs`.

mod builder;
mod records;

pub(super) use builder::Builder;
pub(super) use records::{Records, Stored, StoredVerdict, Trace};

use super::fields::{Fields, put_number};
use crate::decision::Effect;

/// Most records of a block.
pub(super) const MAX_RECORDS: usize = 1_024;
/// A block is full when one of its sections is so large before it is compressed, in bytes.
pub(super) const FULL: usize = 1 << 20;
/// Largest section that is read, in bytes: a full one and the largest record.
const MAX_SECTION: usize = 16 << 20;
/// Longest time between records of one block, in nanoseconds. A block is kept as long as its newest.
pub(super) const MAX_SPAN_NS: u64 = 600 * 1_000_000_000;

/// Flags of a record.
const CACHED: u8 = 1;
/// What shadows say of it, if they were asked.
const SHADOW_SAME: u8 = 8;
const SHADOW_CHANGED: u8 = 16;
/// The trace is 16 bytes, which were hexadecimal digits.
const TRACE_IN_BYTES: u8 = 2;
const TRACE_AS_TEXT: u8 = 4;

/// A block that does not hold what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// A part of a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Section {
    Members = 1,
    Index = 2,
    Details = 3,
}

/// A block, ready to be stored.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) about: About,
    pub(super) members: Vec<u8>,
    pub(super) index: Vec<u8>,
    pub(super) details: Vec<u8>,
}

/// What a block says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    pub(super) effect: Effect,
    pub(super) count: i64,
    pub(super) seq: Range,
    pub(super) time_ns: Range,
    pub(super) revision: Range,
    /// Size of its larger section before it is compressed. Nothing is read by it, so that it is not
    /// in the checksum.
    pub(super) raw_bytes: i64,
}

/// From the first to the last, both within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: i64,
    pub(super) last: i64,
}

// === impl Block ===

impl Block {
    /// Bytes stored.
    pub(super) fn size(&self) -> usize {
        self.members.len() + self.index.len() + self.details.len()
    }
}

// === impl About ===

impl About {
    fn nothing(effect: Effect) -> Self {
        Self {
            effect,
            count: 0,
            seq: Range::NOTHING,
            time_ns: Range::NOTHING,
            revision: Range::NOTHING,
            raw_bytes: 0,
        }
    }

    fn include(&mut self, seq: i64, time_ns: i64, revision: i64) {
        self.count += 1;
        self.seq.include(seq);
        self.time_ns.include(time_ns);
        self.revision.include(revision);
    }
}

/// A checksum of what a block says of itself, and of how large its contents are.
pub(super) fn about_sum(about: &About, bytes: i64) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    let numbers = [
        i64::from(about.effect == Effect::Allow),
        about.count,
        about.seq.first,
        about.seq.last,
        about.time_ns.first,
        about.time_ns.last,
        about.revision.first,
        about.revision.last,
        bytes,
    ];
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    hasher.finalize().into()
}

// === impl Range ===

impl Range {
    const NOTHING: Self = Self {
        first: i64::MAX,
        last: i64::MIN,
    };

    fn include(&mut self, number: i64) {
        self.first = self.first.min(number);
        self.last = self.last.max(number);
    }
}

/// The length of a section and its compressed bytes.
fn compressed(raw: &[u8]) -> Vec<u8> {
    let mut section = Vec::with_capacity(raw.len() / 4 + 64);
    put_number(&mut section, raw.len() as u64);
    section.extend_from_slice(&lz4_flex::block::compress(raw));
    section
}

/// A section with its checksum.
fn sealed(section: Section, block: i64, mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(section, block, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn checksum(section: Section, block: i64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[section as u8]);
    hasher.update(&block.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// What a section holds, if it is what was stored.
pub(super) fn opened(section: Section, block: i64, sealed: &[u8]) -> Result<&[u8], Damaged> {
    let (bytes, sum) = sealed.split_last_chunk::<4>().ok_or(Damaged)?;
    let is_whole = u32::from_le_bytes(*sum) == checksum(section, block, bytes);
    is_whole.then_some(bytes).ok_or(Damaged)
}

/// What a compressed section holds.
pub(super) fn unpacked(section: Section, block: i64, sealed: &[u8]) -> Result<Vec<u8>, Damaged> {
    let mut fields = Fields::of(opened(section, block, sealed)?);
    let length = fields.length().filter(|length| *length <= MAX_SECTION);
    let length = length.ok_or(Damaged)?;
    let raw = lz4_flex::block::decompress(fields.rest(), length).map_err(|_| Damaged)?;
    (raw.len() == length).then_some(raw).ok_or(Damaged)
}
