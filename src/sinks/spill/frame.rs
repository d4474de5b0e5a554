//! Frames: records that are written together, compressed, with checksums that tell whether they are as
//! they were written, and how many are lost if they are not.

use std::sync::Arc;

use uuid::Uuid;

use crate::decision_log::Finished;

/// `DWS1`, count, length before it is compressed, length of the body, its checksum, the header's.
pub(super) const HEADER: usize = 24;
const MAGIC: [u8; 4] = *b"DWS1";
/// Records of a frame, and their bytes before they are compressed but for a last one.
const MAX_RECORDS: usize = 512;
const MAX_BYTES: usize = 256 << 10;
/// Largest frame that is read, before and after it is compressed.
const MAX_FRAME: u32 = 64 << 20;
/// Number, time, id and length before a record's text.
const FIXED: usize = 8 + 8 + 16 + 4;

/// A frame as it is written.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    count: u32,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) count: u32,
    raw: u32,
    length: u32,
    sum: u32,
}

/// Cuts records into parts of which each becomes a frame.
pub(super) fn chunks(records: &[Arc<Finished>]) -> impl Iterator<Item = &[Arc<Finished>]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |record: &&Arc<Finished>| {
            let has_room = bytes < MAX_BYTES;
            bytes += record.json.len() + FIXED;
            has_room
        };
        let count = rest.iter().take(MAX_RECORDS).take_while(fits).count();
        let (chunk, others) = rest.split_at_checked(count)?;
        rest = others;
        (!chunk.is_empty()).then_some(chunk)
    })
}

// === impl Frame ===

impl Frame {
    pub(super) fn of(records: &[Arc<Finished>]) -> Self {
        let mut raw = Vec::new();
        for record in records {
            raw.extend_from_slice(&record.seq.to_le_bytes());
            raw.extend_from_slice(&record.time_ns.to_le_bytes());
            raw.extend_from_slice(record.id.as_bytes());
            raw.extend_from_slice(&short(record.json.len()).to_le_bytes());
            raw.extend_from_slice(record.json.as_bytes());
        }
        let body = lz4_flex::block::compress(&raw);
        let header = Header {
            count: short(records.len()),
            raw: short(raw.len()),
            length: short(body.len()),
            sum: crc32fast::hash(&body),
        };
        let mut bytes = header.bytes().to_vec();
        bytes.extend_from_slice(&body);
        Self {
            bytes,
            count: header.count,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

/// No frame holds as much as a number of four bytes can tell.
fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

// === impl Header ===

impl Header {
    fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let numbers = [self.count, self.raw, self.length, self.sum].map(u32::to_le_bytes);
        let parts = std::iter::once(MAGIC).chain(numbers);
        for (place, part) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(parts) {
            *place = part;
        }
        let sum = crc32fast::hash(bytes.get(..HEADER - 4).unwrap_or_default());
        if let Some(place) = bytes.last_chunk_mut() {
            *place = sum.to_le_bytes();
        }
        bytes
    }

    /// `None` if it is none, or damaged.
    pub(super) fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let (parts, _) = bytes.as_chunks::<4>();
        let [magic, numbers @ .., _] = <&[[u8; 4]; HEADER / 4]>::try_from(parts).ok()?;
        let [count, raw, length, sum] = numbers.map(u32::from_le_bytes);
        let header = Self {
            count,
            raw,
            length,
            sum,
        };
        let is_whole = *magic == MAGIC && header.bytes() == *bytes;
        let is_bounded = raw <= MAX_FRAME && length <= MAX_FRAME;
        (is_whole && is_bounded).then_some(header)
    }

    /// Of the body.
    pub(super) fn length(self) -> u64 {
        self.length.into()
    }

    /// The records of a body, unless it is damaged.
    pub(super) fn records(self, body: &[u8]) -> Option<Vec<Arc<Finished>>> {
        if crc32fast::hash(body) != self.sum {
            return None;
        }
        let raw = lz4_flex::block::decompress(body, self.raw as usize).ok()?;
        let mut rest = raw.as_slice();
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (seq, others) = rest.split_first_chunk()?;
            let (time, others) = others.split_first_chunk()?;
            let (id, others) = others.split_first_chunk()?;
            let (length, others) = others.split_first_chunk()?;
            let length = u32::from_le_bytes(*length) as usize;
            let (json, others) = others.split_at_checked(length)?;
            rest = others;
            records.push(Arc::new(Finished {
                seq: i64::from_le_bytes(*seq),
                time_ns: i64::from_le_bytes(*time),
                id: Uuid::from_bytes(*id),
                json: String::from_utf8(json.to_vec()).ok()?,
            }));
        }
        (records.len() == self.count as usize).then_some(records)
    }
}
