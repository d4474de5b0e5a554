//! Reads protobuf's fields where they stand, without copies. Which field means what is left to the
//! messages; what is rare is read by `prost`.

use std::str::from_utf8;

use thiserror::Error;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Undecodable {
    #[error("a field's key is none")]
    Key,
    #[error("a number is longer than 64 bits")]
    Number,
    #[error("a field is longer than what is left of the message")]
    Short,
    #[error("a field has the wrong type")]
    Type,
    #[error("groups are not known")]
    Group,
    #[error("a text is not UTF-8")]
    Text,
    #[error(transparent)]
    Part(#[from] prost::DecodeError),
}

/// The fields of a message in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    /// Of a fixed width, which no field that is read here has.
    Fixed,
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The next field's number and value.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Undecodable> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Undecodable::Key)?;
        let number = key >> 3;
        if number == 0 {
            return Err(Undecodable::Key);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Undecodable::Short)?;
                Value::Bytes(self.take(length)?)
            }
            3 | 4 => return Err(Undecodable::Group),
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Undecodable::Key),
        };
        Ok(Some((number, value)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Undecodable::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Rule: seven bits a byte, the lowest first, and at most 64 of them.
    fn varint(&mut self) -> Result<u64, Undecodable> {
        let mut number = 0;
        for (at, byte) in self.0.iter().enumerate() {
            if at == 9 && *byte > 1 {
                return Err(Undecodable::Number);
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(Undecodable::Short)
    }
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Undecodable> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Undecodable::Type),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Undecodable> {
        from_utf8(self.bytes()?).map_err(|_| Undecodable::Text)
    }

    pub(super) fn number(self) -> Result<u64, Undecodable> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Undecodable::Type),
        }
    }
}
