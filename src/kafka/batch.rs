//! Batches of messages as brokers store them (version 2 of the format), compressed by gzip.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::wire::put_varint;

/// Version of the format, and the attribute that says how it is compressed.
const MAGIC: u8 = 2;
const GZIP: i16 = 1;
/// The polynomial of CRC-32C, its bits turned around.
const CASTAGNOLI: u32 = 0x82f6_3b78;
/// Where the checksum stands, and where what it is of begins.
const SUMMED_FROM: usize = 8 + 4 + 4 + 1 + 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Milliseconds since 1970.
    pub time: i64,
}

/// One batch of all of these.
pub(super) fn batch(messages: &[&Message]) -> Vec<u8> {
    let first = messages.first().map_or(0, |message| message.time);
    let latest = messages.iter().map(|message| message.time).max();
    let count = i32::try_from(messages.len()).unwrap_or(i32::MAX);
    let mut bytes = Vec::new();
    // Base offset, length, leader's epoch, version, checksum: the second and the last come at the end.
    bytes.extend_from_slice(&0_i64.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    bytes.push(MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&GZIP.to_be_bytes());
    bytes.extend_from_slice(&(count - 1).to_be_bytes());
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&latest.unwrap_or(first).to_be_bytes());
    // No producer's id, epoch or sequence: nothing of it is idempotent.
    bytes.extend_from_slice(&(-1_i64).to_be_bytes());
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&records(messages, first));
    let length = i32::try_from(bytes.len() - 12).unwrap_or(i32::MAX);
    let sum = crc32c(bytes.get(SUMMED_FROM..).unwrap_or_default());
    for (place, value) in [
        (8, length.to_be_bytes()),
        (SUMMED_FROM - 4, sum.to_be_bytes()),
    ] {
        if let Some(place) = bytes.get_mut(place..place + 4) {
            place.copy_from_slice(&value);
        }
    }
    bytes
}

fn records(messages: &[&Message], first: i64) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut record = Vec::new();
    let mut length = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        record.clear();
        length.clear();
        // No attributes.
        record.push(0);
        put_varint(&mut record, message.time - first);
        put_varint(&mut record, index as i64);
        for part in [&message.key, &message.value] {
            put_varint(&mut record, part.len() as i64);
            record.extend_from_slice(part);
        }
        // No headers.
        put_varint(&mut record, 0);
        put_varint(&mut length, record.len() as i64);
        // Memory takes everything.
        drop(
            encoder
                .write_all(&length)
                .and_then(|()| encoder.write_all(&record)),
        );
    }
    encoder.finish().unwrap_or_default()
}

pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |sum: u32, byte: &u8| {
        let index = usize::from(sum as u8 ^ byte);
        sum >> 8 ^ TABLE.get(index).copied().unwrap_or_default()
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which sees the bounds"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = index as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ CASTAGNOLI
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
}

/// Which of so many partitions a key belongs to. Rule: by the hash that Kafka's own clients take, so that
/// a key is in the same partition whoever brings it.
pub(super) fn partition(key: &[u8], partitions: usize) -> usize {
    let hash = murmur2(key) & 0x7fff_ffff;
    hash as usize % partitions.max(1)
}

pub(super) fn murmur2(key: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        let mixed = (mixed ^ mixed >> 24).wrapping_mul(FACTOR);
        hash = hash.wrapping_mul(FACTOR) ^ mixed;
    }
    if !rest.is_empty() {
        let last = rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(FACTOR);
    hash ^ hash >> 15
}
