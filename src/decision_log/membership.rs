//! Which values the records of a block have, as a Bloom filter: most blocks that have none of a value
//! say so without being read. It never misses one that is there.

/// Bits a value; with [`PROBES`] of them set, one block in 250 is read in vain.
const BITS: usize = 12;
const PROBES: u64 = 6;
/// Odd, without a pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a value is of. The numbers are stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Id = 1,
    Trace = 2,
    Principal = 3,
    RequestPrincipal = 4,
    Policy = 5,
    Host = 6,
    Path = 7,
    /// A path's first segment, and its first two.
    Segments = 8,
    // What follows is not in blocks of earlier versions.
    Status = 9,
    /// The kind of a reason.
    Reason = 10,
    /// Each way a workload can be asked for.
    Workload = 11,
    Method = 12,
    /// Whether a shadow would have changed the reply.
    Shadow = 13,
}

/// What is left of a value in a filter. Stored: it may never change.
pub(super) fn digest(kind: Kind, value: &[u8]) -> u64 {
    let mut digest = mixed(kind as u64 ^ (value.len() as u64) << 8);
    let (words, rest) = value.as_chunks::<8>();
    for word in words {
        digest = mixed(digest ^ u64::from_le_bytes(*word));
    }
    let rest = rest.iter().rev();
    mixed(digest ^ rest.fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(FACTOR);
    let number = (number ^ number >> 32).wrapping_mul(FACTOR);
    number ^ number >> 29
}

/// The first segment of a path and its first two, each with the slash before it, where they are whole:
/// what every path begins with that has the same segments.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    let ends = [ends.next(), ends.next()];
    ends.into_iter().flatten().filter_map(|end| path.get(..end))
}

/// The filter of values, given by their digests.
pub(super) fn filter(digests: &mut Vec<u64>) -> Vec<u8> {
    digests.sort_unstable();
    digests.dedup();
    let mut filter = vec![0_u8; (digests.len() * BITS).div_ceil(8).max(8)];
    for digest in digests.iter() {
        for (byte, bit) in places(*digest, filter.len()) {
            if let Some(byte) = filter.get_mut(byte) {
                *byte |= bit;
            }
        }
    }
    filter
}

/// Whether a value may be among those of a filter.
pub(super) fn may_hold(filter: &[u8], digest: u64) -> bool {
    places(digest, filter.len()).all(|(byte, bit)| filter.get(byte).is_some_and(|at| at & bit != 0))
}

/// Bytes of a filter and the bit of each that stand for a digest.
fn places(digest: u64, length: usize) -> impl Iterator<Item = (usize, u8)> {
    let bits = (length as u64).saturating_mul(8).max(1);
    let (start, step) = (digest & 0xffff_ffff, digest >> 32 | 1);
    (0..PROBES).map(move |probe| {
        let place = start.wrapping_add(probe.wrapping_mul(step)) % bits;
        ((place / 8) as usize, 1 << (place % 8))
    })
}

/// Whether a path that begins with this can only be where these first segments are.
pub(super) fn of_prefix(prefix: &str) -> Option<u64> {
    let whole = segments(prefix).last()?;
    Some(digest(Kind::Segments, whole.as_bytes()))
}

/// The digest of an HTTP status.
pub(super) fn of_status(status: u16) -> u64 {
    digest(Kind::Status, &status.to_le_bytes())
}
