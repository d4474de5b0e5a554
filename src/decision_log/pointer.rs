//! JSON pointers of masks. OPA takes the parts of one as they stand, escaped, and so misses members
//! with a space or a slash in their name; here a part means every name that it may stand for.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// What a mask may change, as OPA has it.
const ROOTS: [&str; 3] = ["input", "result", "nd_builtin_cache"];
/// Longest pointer, in bytes, and most parts.
const MAX_LENGTH: usize = 4 * 1024;
const MAX_PARTS: usize = 64;

/// A place in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    parts: Vec<Part>,
}

/// The names that a part may mean: as it stands, and with either escape undone. Case does not count,
/// as it does not in names of headers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    forms: BTreeSet<String>,
    /// The name that is made where none is there.
    plain: String,
}

// === impl Pointer ===

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix('/').ok_or("must begin with `/`")?;
        if text.len() > MAX_LENGTH {
            return Err("is too long");
        }
        let parts: Vec<_> = rest.split('/').map(Part::of).collect();
        if parts.len() > MAX_PARTS {
            return Err("has too many parts");
        }
        let root = rest.split('/').next().unwrap_or_default();
        if !ROOTS.contains(&root) {
            return Err("must begin with `/input`, `/result` or `/nd_builtin_cache`");
        }
        let text = text.to_owned();
        Ok(Self { text, parts })
    }

    /// A place that is named by the program itself.
    pub(super) fn to(place: &[&str]) -> Self {
        let escaped = |name: &&str| name.replace('~', "~0").replace('/', "~1");
        let names: Vec<_> = place.iter().map(escaped).collect();
        Self {
            text: format!("/{}", names.join("/")),
            parts: place.iter().map(|name| Part::named(name)).collect(),
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The names that each part may mean.
    pub(super) fn names(&self) -> impl Iterator<Item = Vec<String>> {
        self.parts
            .iter()
            .map(|part| part.forms.iter().cloned().collect())
    }

    /// Whether it leads to this place, into it, or to what it is part of.
    pub(super) fn touches(&self, place: &[&str]) -> bool {
        self.parts
            .iter()
            .zip(place)
            .all(|(part, name)| part.means(name))
    }

    /// Whether it leads to this place or into it.
    pub(super) fn is_within(&self, place: &[&str]) -> bool {
        self.parts.len() >= place.len() && self.touches(place)
    }

    /// Takes away what is there. Returns whether anything was.
    pub(super) fn remove(&self, event: &mut Value) -> bool {
        remove(event, &self.parts)
    }

    /// Puts a value there, with what leads to it. Returns whether that is possible.
    pub(super) fn upsert(&self, event: &mut Value, value: &Value) -> bool {
        upsert(event, &self.parts, value)
    }
}

fn remove(at: &mut Value, parts: &[Part]) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return false;
    };
    match at {
        Value::Object(members) => {
            let mut is_hit = false;
            for name in part.names_in(members) {
                is_hit |= match members.get_mut(&name) {
                    Some(_) if rest.is_empty() => members.remove(&name).is_some(),
                    Some(member) => remove(member, rest),
                    None => false,
                };
            }
            is_hit
        }
        Value::Array(items) => match part.index().filter(|index| *index < items.len()) {
            Some(index) if rest.is_empty() => {
                items.remove(index);
                true
            }
            Some(index) => items.get_mut(index).is_some_and(|item| remove(item, rest)),
            None => false,
        },
        _ => false,
    }
}

fn upsert(at: &mut Value, parts: &[Part], value: &Value) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        *at = value.clone();
        return true;
    };
    match at {
        Value::Object(members) => {
            let mut names = part.names_in(members);
            if names.is_empty() {
                names.push(part.plain.clone());
            }
            let mut is_done = true;
            for name in names {
                let member = members
                    .entry(name)
                    .or_insert_with(|| Value::Object(Map::new()));
                is_done &= upsert(member, rest, value);
            }
            is_done
        }
        Value::Array(items) => {
            let item = part.index().and_then(|index| items.get_mut(index));
            item.is_some_and(|item| upsert(item, rest, value))
        }
        // What is no container cannot hold it: it goes, rather than stay as it is.
        other => {
            *other = Value::Object(Map::new());
            upsert(other, parts, value)
        }
    }
}

// === impl Part ===

impl Part {
    fn of(text: &str) -> Self {
        let unescaped = text.replace("~1", "/").replace("~0", "~");
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let plain = decoded(&unescaped);
        let forms = [text.to_owned(), decoded(text), unescaped, plain.clone()];
        Self {
            forms: forms.into(),
            plain,
        }
    }

    fn named(name: &str) -> Self {
        Self {
            forms: [name.to_owned()].into(),
            plain: name.to_owned(),
        }
    }

    fn means(&self, name: &str) -> bool {
        self.forms
            .iter()
            .any(|form| form.eq_ignore_ascii_case(name))
    }

    fn names_in(&self, members: &Map<String, Value>) -> Vec<String> {
        let names = members.keys().filter(|name| self.means(name));
        names.cloned().collect()
    }

    fn index(&self) -> Option<usize> {
        self.plain.parse().ok()
    }
}
