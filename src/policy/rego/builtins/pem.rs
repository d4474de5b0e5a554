//! PEM blocks and base64 as Go's `encoding/pem` and `encoding/base64` find and read them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Failure;

/// Longest text of certificates or keys, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Most lines of a text that begin a block which is none: each is looked for to the end of the text.
const MAX_FALSE_STARTS: usize = 20;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";

/// Rule: padding is needed, bits that are left over are not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// A block: what it says it is, and the bytes in it.
pub(super) struct Block<'a> {
    pub(super) label: &'a [u8],
    pub(super) bytes: Vec<u8>,
}

/// Blocks of a text, one behind the other, until there is none.
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    false_starts: usize,
}

/// The bytes of a text in base64. Rule: ends of lines in it do not count.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, Failure> {
    within_limit(text)?;
    let text: Vec<_> = text
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    BASE64
        .decode(text)
        .map_err(|_| Failure::Failed("illegal base64 data"))
}

fn within_limit(text: &[u8]) -> Result<(), Failure> {
    if text.len() > MAX_TEXT {
        return Err(Failure::Limit(format!(
            "certificates and keys of more than {MAX_TEXT} bytes are refused"
        )));
    }
    Ok(())
}

// === impl Blocks ===

impl<'a> Blocks<'a> {
    pub(super) fn of(text: &'a [u8]) -> Result<Self, Failure> {
        within_limit(text)?;
        Ok(Self {
            rest: text,
            false_starts: 0,
        })
    }

    /// The next block; `None` if there is no further one.
    pub(super) fn next(&mut self) -> Result<Option<Block<'a>>, Failure> {
        while let Some(start) = after_start(self.rest) {
            if let Some((block, rest)) = block(start) {
                self.rest = rest;
                return Ok(Some(block));
            }
            self.rest = start;
            self.false_starts += 1;
            if self.false_starts > MAX_FALSE_STARTS {
                return Err(Failure::Limit(format!(
                    "PEM with more than {MAX_FALSE_STARTS} broken blocks is refused"
                )));
            }
        }
        Ok(None)
    }
}

/// What is behind the next start of a block. Rule: it is at the start of the text or of a line.
fn after_start(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(BEGIN) {
        return Some(rest);
    }
    let mut from = text;
    loop {
        let line = from.iter().position(|byte| *byte == b'\n')?;
        from = from.get(line + 1..)?;
        if let Some(rest) = from.strip_prefix(BEGIN) {
            return Some(rest);
        }
    }
}

/// The block whose label begins here, and what is behind it.
fn block(start: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (first, body) = line(start);
    let label = first.strip_suffix(DASHES)?;
    let (body, has_headers) = without_headers(body)?;
    let (content, trailer) = split_at_end(body, has_headers)?;
    // Rule: the end says the same label, and nothing but blanks is behind it on the line.
    let behind = trailer.strip_prefix(label)?.strip_prefix(DASHES)?;
    let (blank, rest) = line(behind);
    if !blank.is_empty() {
        return None;
    }
    let content: Vec<_> = content
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b' ' | b'\t'))
        .collect();
    let bytes = base64(&content).ok()?;
    Some((Block { label, bytes }, rest))
}

/// Rule: lines with a colon in front of the content are headers.
fn without_headers(mut body: &[u8]) -> Option<(&[u8], bool)> {
    let mut has_headers = false;
    loop {
        if body.is_empty() {
            return None;
        }
        let (header, next) = line(body);
        if !header.contains(&b':') {
            return Some((body, has_headers));
        }
        has_headers = true;
        body = next;
    }
}

/// Content in front of the end, and what is behind the end's word.
fn split_at_end(body: &[u8], has_headers: bool) -> Option<(&[u8], &[u8])> {
    // Rule: without headers the end may come at once.
    let bare = END.get(1..)?;
    if let Some(trailer) = body.strip_prefix(bare).filter(|_| !has_headers) {
        return Some((&[], trailer));
    }
    let at = body.windows(END.len()).position(|window| window == END)?;
    let (content, end) = body.split_at_checked(at)?;
    Some((content, end.strip_prefix(END)?))
}

/// The next line without blanks at its end, and what is behind it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    match parts.next() {
        Some(rest) => (trimmed(line.strip_suffix(b"\r").unwrap_or(line)), rest),
        None => (trimmed(line), &[]),
    }
}

fn trimmed(mut line: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', front)) = line.split_last() {
        line = front;
    }
    line
}
