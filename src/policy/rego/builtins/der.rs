//! ASN.1 in DER, read as strictly as Go's `cryptobyte` reads it, so that what OPA takes for a
//! certificate or a key is one here too. What the elements mean is left to `x509` and `private_keys`.

use num_bigint::BigUint;

use super::Failure;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const NUMERIC_STRING: u8 = 0x12;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const T61_STRING: u8 = 0x14;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const BMP_STRING: u8 = 0x1e;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// Longest integer, in bytes: to write one in decimal takes time with the square of it.
const MAX_INTEGER: usize = 2048;

pub(super) const MALFORMED: Failure = Failure::Failed("malformed ASN.1");

/// An object identifier whose numbers are below 2^31.
pub(super) type Oid = Vec<u32>;

/// The tag of a member of a CHOICE or of an optional member.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// The same around another element.
pub(super) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag and length as well.
    pub(super) whole: &'a [u8],
}

/// A BIT STRING.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    pub(super) unused: u8,
    pub(super) bytes: &'a [u8],
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    pub(super) fn any(&mut self) -> Result<Element<'a>, Failure> {
        self.take().ok_or(MALFORMED)
    }

    pub(super) fn element(&mut self, tag: u8) -> Result<Element<'a>, Failure> {
        if !self.next_is(tag) {
            return Err(MALFORMED);
        }
        self.any()
    }

    /// Content of an element.
    pub(super) fn content(&mut self, tag: u8) -> Result<&'a [u8], Failure> {
        Ok(self.element(tag)?.content)
    }

    /// An element that holds others.
    pub(super) fn inside(&mut self, tag: u8) -> Result<Self, Failure> {
        self.content(tag).map(Self)
    }

    pub(super) fn sequence(&mut self) -> Result<Self, Failure> {
        self.inside(SEQUENCE)
    }

    /// An element that may be left out.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Failure> {
        self.next_is(tag).then(|| self.any()).transpose()
    }

    /// Rule: 0 or 255, nothing between.
    pub(super) fn boolean(&mut self) -> Result<bool, Failure> {
        match self.content(BOOLEAN)? {
            [0] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(MALFORMED),
        }
    }

    /// A BOOLEAN that is false if it is left out.
    pub(super) fn default_false(&mut self) -> Result<bool, Failure> {
        match self.next_is(BOOLEAN) {
            true => self.boolean(),
            false => Ok(false),
        }
    }

    pub(super) fn integer(&mut self) -> Result<i64, Failure> {
        small(self.content(INTEGER)?)
    }

    /// An integer that must not be negative.
    pub(super) fn natural(&mut self) -> Result<BigUint, Failure> {
        let bytes = minimal(self.content(INTEGER)?)?;
        if bytes.len() > MAX_INTEGER {
            return Err(Failure::Limit(format!(
                "an integer of more than {MAX_INTEGER} bytes is refused"
            )));
        }
        match bytes.first() {
            Some(first) if *first < 0x80 => Ok(BigUint::from_bytes_be(bytes)),
            _ => Err(Failure::Failed("a number is negative")),
        }
    }

    /// An integer above zero.
    pub(super) fn positive(&mut self) -> Result<BigUint, Failure> {
        let number = self.natural()?;
        let above = number != BigUint::ZERO;
        above
            .then_some(number)
            .ok_or(Failure::Failed("a number is zero"))
    }

    pub(super) fn oid(&mut self) -> Result<Oid, Failure> {
        oid(self.content(OBJECT_IDENTIFIER)?)
    }

    pub(super) fn bits(&mut self) -> Result<Bits<'a>, Failure> {
        let (unused, bytes) = self.content(BIT_STRING)?.split_first().ok_or(MALFORMED)?;
        // Rule: the bits that are not used are in the last byte and zero.
        let fits = match bytes.last() {
            _ if *unused > 7 => false,
            None => *unused == 0,
            Some(last) => last.trailing_zeros() >= u32::from(*unused),
        };
        let unused = *unused;
        fits.then_some(Bits { unused, bytes }).ok_or(MALFORMED)
    }

    fn take(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.0.split_first()?;
        // Rule: a tag is one byte.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        let (whole, _) = self.0.split_at_checked(self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Element {
            tag: *tag,
            content,
            whole,
        })
    }
}

/// Rule: the length is definite, in its shortest form and in at most four bytes behind the first.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let length = digits
        .iter()
        .fold(0, |length, digit| length << 8 | usize::from(*digit));
    (length >= 0x80 && digits.first() != Some(&0)).then_some((length, rest))
}

/// Rule: an integer has no byte in front that only repeats its sign.
fn minimal(bytes: &[u8]) -> Result<&[u8], Failure> {
    match bytes {
        [] => Err(MALFORMED),
        [0, second, ..] if *second < 0x80 => Err(MALFORMED),
        [0xff, second, ..] if *second >= 0x80 => Err(MALFORMED),
        _ => Ok(bytes),
    }
}

/// Content of an INTEGER that fits 64 bits.
pub(super) fn small(content: &[u8]) -> Result<i64, Failure> {
    let bytes = minimal(content)?;
    if bytes.len() > 8 {
        return Err(MALFORMED);
    }
    let sign = match bytes.first() {
        Some(first) if *first >= 0x80 => -1,
        _ => 0,
    };
    Ok(bytes
        .iter()
        .fold(sign, |value, byte| value << 8 | i64::from(*byte)))
}

// === Object identifiers ===

/// Content of an OBJECT IDENTIFIER. Rule: its numbers are below 2^31.
pub(super) fn oid(content: &[u8]) -> Result<Oid, Failure> {
    let numbers = arcs(content).ok_or(MALFORMED)?;
    let mut oid = Vec::with_capacity(numbers.len());
    for number in numbers {
        let small = u32::try_from(&number).ok().filter(|n| *n < 1 << 31);
        oid.push(small.ok_or(MALFORMED)?);
    }
    Ok(oid)
}

/// The numbers of an object identifier, however great. Rule: the first two are in one, and seven bits
/// are in a byte, with no byte that adds nothing.
pub(super) fn arcs(content: &[u8]) -> Option<Vec<BigUint>> {
    if content.last().is_none_or(|last| *last >= 0x80) || content.len() > MAX_INTEGER {
        return None;
    }
    let mut numbers = Vec::new();
    for arc in content.split_inclusive(|byte| *byte < 0x80) {
        if arc.first() == Some(&0x80) {
            return None;
        }
        let digits: Vec<_> = arc.iter().map(|byte| byte & 0x7f).collect();
        numbers.push(BigUint::from_radix_be(&digits, 128)?);
    }
    let first = numbers.first()?.clone();
    let root = (&first / 40u8).min(2u8.into());
    let second = first - &root * 40u8;
    numbers.splice(..1, [root, second]);
    Some(numbers)
}

// === impl Bits ===

impl Bits<'_> {
    /// Whether a bit is set; the first is the highest of the first byte.
    pub(super) fn at(&self, index: usize) -> bool {
        let byte = self.bytes.get(index / 8);
        byte.is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0)
    }

    /// The bytes with the unused bits in front.
    pub(super) fn right_aligned(&self) -> Vec<u8> {
        if self.unused == 0 {
            return self.bytes.to_vec();
        }
        let mut above = 0;
        let shift = |byte: &u8| {
            let wide = u16::from(above) << 8 | u16::from(*byte);
            above = *byte;
            (wide >> self.unused).to_be_bytes()[1]
        };
        self.bytes.iter().map(shift).collect()
    }
}
