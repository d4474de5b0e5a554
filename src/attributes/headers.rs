//! Request headers in both forms a proxy can send: one joined value a name, or every line by
//! itself with its raw bytes. Look-ups give one view of both; what a header means is left to others.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Pairs, TextMap};

/// Headers of a request. Names compare without regard to ASCII case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers {
    /// One entry a name, repeated headers joined by the proxy (`,`), sorted by name.
    merged: TextMap,
    /// Every line in order, if the proxy sends them so; then `merged` is usually empty.
    raw: Option<Vec<(String, Bytes)>>,
    /// Whether those lines came as text and not as bytes, which a Rego policy can see.
    raw_is_text: bool,
}

impl Headers {
    /// By which a message is delimited and routed: not for policies to change.
    pub const FRAMING: [&'static str; 5] = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "upgrade",
    ];

    pub fn new(merged: Pairs, raw: Option<Vec<(String, Bytes)>>) -> Self {
        Self {
            merged: merged.into_iter().collect(),
            raw,
            raw_is_text: false,
        }
    }

    /// Sets the joined form.
    pub fn set_merged(&mut self, merged: TextMap) {
        self.merged = merged;
    }

    /// Sets the raw form, of lines that came as text or as bytes.
    pub fn set_lines(&mut self, lines: Vec<(String, Bytes)>, as_text: bool) {
        self.raw = Some(lines);
        self.raw_is_text = as_text;
    }

    pub fn raw_is_text(&self) -> bool {
        self.raw_is_text
    }

    /// The joined form as the proxy sent it.
    pub fn merged(&self) -> &TextMap {
        &self.merged
    }

    /// The raw form as the proxy sent it.
    pub fn raw(&self) -> Option<&[(String, Bytes)]> {
        self.raw.as_deref()
    }

    /// Every value of a header, each line by itself where the proxy kept them apart.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Every header line as name and bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let merged = self.raw.is_none().then(|| self.merged.iter());
        let raw = self.raw.as_deref().unwrap_or(&[]);
        merged
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, value.as_bytes()))
            .chain(raw.iter().map(|(name, value)| (name.as_str(), &value[..])))
    }

    /// The value of a header as text: several lines joined by `,`, other bytes than UTF-8 replaced.
    pub fn joined<'a>(&'a self, name: &'a str) -> Option<Cow<'a, str>> {
        let mut values = self.values(name);
        let first = String::from_utf8_lossy(values.next()?);
        let mut joined = first;
        for value in values {
            let text = joined.to_mut();
            text.push(',');
            text.push_str(&String::from_utf8_lossy(value));
        }
        Some(joined)
    }

    /// Copies values that share memory with the message they came in, so that it can be freed.
    pub fn detach(&mut self) {
        for (_, value) in self.raw.iter_mut().flatten() {
            *value = Bytes::copy_from_slice(value);
        }
    }

    /// Bytes held.
    pub fn weight(&self) -> usize {
        let raw = self
            .raw
            .iter()
            .flatten()
            .map(|(name, value)| name.len() + value.len());
        self.merged.weight() + raw.sum::<usize>()
    }

    /// The first name whose value holds a byte that cannot stand in a header (NUL, CR, LF), or
    /// whose name does. Such a header could not have come over HTTP and must not reach a policy.
    pub fn invalid(&self) -> Option<&str> {
        // Every byte is looked at, which compilers turn into few instructions for many of them.
        let forbidden = |bytes: &[u8]| {
            let bytes = bytes.iter();
            bytes.fold(false, |found, byte| {
                found | matches!(byte, 0 | b'\r' | b'\n')
            })
        };
        let merged = self.merged.iter();
        let merged = merged.map(|(name, value)| (name, value.as_bytes()));
        let raw = self.raw.iter().flatten();
        let raw = raw.map(|(name, value)| (name.as_str(), &value[..]));
        merged
            .chain(raw)
            .find(|(name, value)| forbidden(name.as_bytes()) || forbidden(value))
            .map(|(name, _)| name)
    }
}
