//! The trace that a request is part of, as its headers tell: by W3C Trace Context or by Zipkin's B3. They
//! are whatever a client sends: what is not exactly as it should be is as good as absent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Headers that tell of a trace.
pub const HEADERS: [&str; 6] = [
    "traceparent",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
];
const TRACE_PARENT: usize = 0;
const B3: usize = 1;
const B3_TRACE: usize = 2;
const B3_SPAN: usize = 3;
const B3_SAMPLED: usize = 4;
const B3_FLAGS: usize = 5;

/// Which trace. Never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceId([u8; 16]);

/// Which step of it. Never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanId([u8; 8]);

/// What a request says of its trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The step that it is a part of.
    pub parent: Option<(TraceId, SpanId)>,
    /// Whether that is traced, if it says so.
    pub sampled: Option<bool>,
}

/// Lines of a request's headers that tell of a trace.
#[derive(Debug, Default)]
pub struct Carriers<'a>([Line<'a>; HEADERS.len()]);

#[derive(Debug, Clone, Copy, Default)]
enum Line<'a> {
    #[default]
    Absent,
    Once(&'a [u8]),
    Repeated,
}

/// Whether a header may tell of a trace.
pub fn is_carrier(name: &str) -> bool {
    place_of(name).is_some()
}

fn place_of(name: &str) -> Option<usize> {
    // Most names have another length.
    if !matches!(name.len(), 2 | 10..=12) {
        return None;
    }
    HEADERS
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))
}

// === impl Carriers ===

impl<'a> Carriers<'a> {
    pub fn of(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut carriers = Self::default();
        for (name, value) in headers {
            carriers.note(name, value);
        }
        carriers
    }

    /// Takes a line, if it is one of those.
    pub fn note(&mut self, name: &str, value: &'a [u8]) {
        let line = place_of(name).and_then(|place| self.0.get_mut(place));
        if let Some(line) = line {
            *line = match line {
                Line::Absent => Line::Once(value),
                Line::Once(_) | Line::Repeated => Line::Repeated,
            };
        }
    }

    /// What they say. Rule: W3C's header goes before those of B3, and of these the single one before the
    /// several.
    pub fn context(&self) -> TraceContext {
        let [trace_parent, b3, ..] = [TRACE_PARENT, B3].map(|place| self.once(place));
        trace_parent
            .and_then(of_trace_parent)
            .or_else(|| b3.and_then(of_b3))
            .unwrap_or_else(|| self.of_several_b3())
    }

    /// Rule: of a header that comes twice, nobody knows which one to believe.
    fn once(&self, place: usize) -> Option<&'a [u8]> {
        match self.0.get(place) {
            Some(Line::Once(value)) => Some(value),
            _ => None,
        }
    }

    fn of_several_b3(&self) -> TraceContext {
        let trace = self.once(B3_TRACE).and_then(TraceId::of_b3);
        let span = self.once(B3_SPAN).and_then(SpanId::read);
        // Rule: to debug is to sample, whatever else is said.
        let sampled = match (self.once(B3_FLAGS), self.once(B3_SAMPLED)) {
            (Some(b"1"), _) | (_, Some(b"1" | b"true")) => Some(true),
            (_, Some(b"0" | b"false")) => Some(false),
            _ => None,
        };
        TraceContext {
            parent: trace.zip(span),
            sampled,
        }
    }
}

/// Rule (Trace Context, 3.2): `VERSION-TRACE-SPAN-FLAGS`, all in lower-case hexadecimal, no id all zeros,
/// no version `ff`; a later version may say more after another `-`.
fn of_trace_parent(value: &[u8]) -> Option<TraceContext> {
    let (head, more) = value.split_at_checked(55)?;
    let mut parts = head.split(|byte| *byte == b'-');
    let [version] = hex::<1>(parts.next()?)?;
    let trace = TraceId::read(parts.next()?)?;
    let span = SpanId::read(parts.next()?)?;
    let [flags] = hex::<1>(parts.next()?)?;
    let is_whole = parts.next().is_none()
        && match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.is_empty() || more.starts_with(b"-"),
        };
    is_whole.then_some(TraceContext {
        parent: Some((trace, span)),
        sampled: Some(flags & 1 == 1),
    })
}

/// Rule (B3, "Single Header"): `TRACE-SPAN-STATE-PARENT`, of which the last two may be left out, or a
/// state alone.
fn of_b3(value: &[u8]) -> Option<TraceContext> {
    let state = |state: &[u8]| match state {
        b"0" => Some(false),
        b"1" | b"d" => Some(true),
        _ => None,
    };
    if let Some(sampled) = state(value) {
        return Some(TraceContext {
            parent: None,
            sampled: Some(sampled),
        });
    }
    let mut parts = value.split(|byte| *byte == b'-');
    let trace = TraceId::of_b3(parts.next()?)?;
    let span = SpanId::read(parts.next()?)?;
    let sampled = match parts.next() {
        None => None,
        Some(given) => Some(state(given)?),
    };
    if let Some(parent) = parts.next() {
        SpanId::read(parent)?;
    }
    parts.next().is_none().then_some(TraceContext {
        parent: Some((trace, span)),
        sampled,
    })
}

// === impl TraceId ===

impl TraceId {
    pub(super) fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    fn read(text: &[u8]) -> Option<Self> {
        Self::new(hex(text)?)
    }

    /// Rule: one of 64 bits has zeros before it.
    fn of_b3(text: &[u8]) -> Option<Self> {
        if text.len() != 16 {
            return Self::read(text);
        }
        let low = u64::from_be_bytes(hex(text)?);
        Self::new(u128::from(low).to_be_bytes())
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Its last 64 bits, which are random if any are.
    pub(super) fn low(self) -> u64 {
        // What is cut off are the first ones.
        u128::from_be_bytes(self.0) as u64
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

// === impl SpanId ===

impl SpanId {
    pub(super) fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    fn read(text: &[u8]) -> Option<Self> {
        Self::new(hex(text)?)
    }

    pub fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// So many bytes in lower-case hexadecimal.
fn hex<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let pairs = <&[[u8; 2]; BYTES]>::try_from(pairs).ok()?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
