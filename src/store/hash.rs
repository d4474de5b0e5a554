//! SHA-256 as the store uses it: of contents, and of lists of parts where no two lists run together
//! into the same text. Written as hex.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash([u8; SHA256_OUTPUT_LEN]);

/// A digest of parts, one after the other.
pub struct Parts(Context);

impl Hash {
    /// Of some content.
    pub fn of(bytes: &[u8]) -> Self {
        Self::take(digest(&SHA256, bytes).as_ref())
    }

    /// From its bytes, if it is as many as a digest has.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn take(bytes: &[u8]) -> Self {
        // A digest always has this length.
        Self::from_bytes(bytes).unwrap_or_default()
    }
}

impl Parts {
    /// `domain` keeps digests of different things apart.
    pub fn of(domain: &str) -> Self {
        Self(Context::new(&SHA256)).and(domain.as_bytes())
    }

    #[must_use]
    pub fn and(mut self, part: &[u8]) -> Self {
        self.add(part);
        self
    }

    pub fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    pub fn add_all<const N: usize>(&mut self, parts: [&[u8]; N]) {
        parts.into_iter().for_each(|part| self.add(part));
    }

    pub fn finish(self) -> Hash {
        Hash::take(self.0.finish().as_ref())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "not a SHA-256 digest in hex";
        let digits = text.as_bytes();
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        if digits.len() != 2 * bytes.len() {
            return Err(WHY);
        }
        let value = |digit: u8| char::from(digit).to_digit(16);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return Err(WHY) };
            let (high, low) = value(*high).zip(value(*low)).ok_or(WHY)?;
            *byte = u8::try_from(high * 16 + low).map_err(|_| WHY)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
