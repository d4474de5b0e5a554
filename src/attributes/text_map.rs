//! Names and values in one piece of memory: the headers of a request cost two allocations instead of
//! two each.

use std::cmp::Ordering;
use std::fmt;

/// Names and values, sorted by name, each name once.
#[derive(Clone, Default)]
pub struct TextMap {
    /// All names and values. Text that was replaced stays between them.
    text: String,
    entries: Vec<Entry>,
}

/// Where a name and its value stand in the text: one after the other.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The name's first bytes, which sort as it does and mostly tell names apart.
    head: u64,
    name: usize,
    value: usize,
    end: usize,
}

/// Names and values as they come, to become such a map. Sorted once and not with every one of them, so
/// that what many names cost stays in proportion to them.
#[derive(Default)]
pub struct TextMapBuilder(TextMap);

impl TextMapBuilder {
    /// Makes room for so many names and so many bytes.
    pub fn reserve(&mut self, names: usize, bytes: usize) {
        self.0.entries.reserve(names);
        self.0.text.reserve(bytes);
    }

    /// Sets the value of a name. The last one counts.
    pub fn set(&mut self, name: &str, value: &str) {
        let TextMap { text, entries } = &mut self.0;
        let start = text.len();
        text.push_str(name);
        text.push_str(value);
        entries.push(Entry {
            head: head(name),
            name: start,
            value: start + name.len(),
            end: text.len(),
        });
    }

    pub fn build(self) -> TextMap {
        let TextMap { text, mut entries } = self.0;
        // Those of one name stay in their order.
        entries.sort_by(|one, other| one.cmp(other, &text));
        entries.dedup_by(|later, earlier| {
            let is_same = later.cmp(earlier, &text).is_eq();
            if is_same {
                *earlier = *later;
            }
            is_same
        });
        TextMap { text, entries }
    }
}

impl Entry {
    fn cmp(&self, other: &Self, text: &str) -> Ordering {
        let heads = self.head.cmp(&other.head);
        heads.then_with(|| self.name_in(text).cmp(other.name_in(text)))
    }

    fn name_in<'a>(&self, text: &'a str) -> &'a [u8] {
        let text = text.as_bytes();
        text.get(self.name..self.value).unwrap_or_default()
    }
}

impl TextMap {
    /// The value of exactly this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let entry = self.entries.get(self.find(name).ok()?)?;
        Some(self.pair(entry).1)
    }

    /// In the order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| self.pair(entry))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    pub fn weight(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        let wanted = head(name);
        self.entries.binary_search_by(|entry| {
            let heads = entry.head.cmp(&wanted);
            heads.then_with(|| entry.name_in(&self.text).cmp(name.as_bytes()))
        })
    }

    fn pair(&self, entry: &Entry) -> (&str, &str) {
        let name = self.text.get(entry.name..entry.value);
        let value = self.text.get(entry.value..entry.end);
        (name.unwrap_or_default(), value.unwrap_or_default())
    }
}

/// The first eight bytes as a number that sorts as they do. A shorter text is filled up with zeros, so
/// that equal heads say nothing of what follows.
fn head(text: &str) -> u64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(first)
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for TextMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut map = TextMapBuilder::default();
        for (name, value) in pairs {
            map.set(name.as_ref(), value.as_ref());
        }
        map.build()
    }
}

impl PartialEq for TextMap {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for TextMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}
