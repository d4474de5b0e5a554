//! Numbers and texts as Kafka's protocol has them in the versions that are spoken here: big-endian, with
//! lengths before. What is read is bounded by what is there.

use super::KafkaError;

pub(super) fn put_text(buffer: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(text.as_bytes());
}

pub(super) fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_count(buffer, bytes.len());
    buffer.extend_from_slice(bytes);
}

/// How many members follow.
pub(super) fn put_count(buffer: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    buffer.extend_from_slice(&count.to_be_bytes());
}

/// A number in as many bytes as it needs, near zero on either side the fewest.
pub(super) fn put_varint(buffer: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest > 0x7f {
        buffer.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    buffer.push(rest as u8);
}

/// Reads one after the other.
#[derive(Debug)]
pub(super) struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], KafkaError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(KafkaError::Answer)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], KafkaError> {
        let taken = self.take(COUNT)?;
        taken.try_into().map_err(|_| KafkaError::Answer)
    }

    pub(super) fn i16(&mut self) -> Result<i16, KafkaError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, KafkaError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A text that may be absent.
    pub(super) fn text(&mut self) -> Result<Option<&'a str>, KafkaError> {
        let Ok(length) = usize::try_from(self.i16()?) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Some).map_err(|_| KafkaError::Answer)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], KafkaError> {
        let length = self.count()?;
        self.take(length)
    }

    /// How many members follow; none of them is less than a byte.
    pub(super) fn count(&mut self) -> Result<usize, KafkaError> {
        let count = usize::try_from(self.i32()?.max(0)).unwrap_or(0);
        (count <= self.0.len())
            .then_some(count)
            .ok_or(KafkaError::Answer)
    }
}
