//! The hash by which encodings are found. It is keyed by chance, so that nobody who chooses requests can
//! choose what falls together; whether two encodings are the same is never told by it.

use std::fmt;
use std::hash::{BuildHasher, Hasher as StdHasher};

use siphasher::sip128::SipHasher13;
use uuid::Uuid;

/// A hash of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finished(pub(super) u128);

/// Hashes under one key.
pub(super) struct Hasher(SipHasher13);

/// For maps of what is hashed already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Prehashed;

/// Takes the one number it is given.
#[derive(Debug, Default)]
pub(super) struct Taken(u64);

// === impl Hasher ===

impl Hasher {
    /// Under a key that nobody knows.
    pub(super) fn random() -> Self {
        let (first, second) = Uuid::new_v4().as_u64_pair();
        let (third, fourth) = Uuid::new_v4().as_u64_pair();
        // Six bits of each are not by chance.
        Self(SipHasher13::new_with_keys(
            first ^ third.rotate_left(32),
            second ^ fourth.rotate_left(32),
        ))
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> Finished {
        Finished(self.0.hash(bytes).as_u128())
    }
}

/// Who knows the key can make requests fall together.
impl fmt::Debug for Hasher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Hasher")
    }
}

impl std::hash::Hash for Finished {
    fn hash<H: StdHasher>(&self, state: &mut H) {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        state.write_u64(self.0 as u64);
    }
}

impl BuildHasher for Prehashed {
    type Hasher = Taken;

    fn build_hasher(&self) -> Taken {
        Taken::default()
    }
}

impl StdHasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    /// Nothing but whole numbers is hashed here; any other still gets a hash.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
