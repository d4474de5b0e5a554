//! YAML (and so JSON) as plain JSON values with the place of every node, so that an error found
//! late still names a line. Limits on depth, size and aliases are set here; meaning is left to
//! the types that documents are read into.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_saphyr::Spanned;

#[cfg(test)]
mod tests;

/// Most nodes one stream may hold, aliases counted each time they are used.
const MAX_NODES: usize = 2_000_000;
/// Most documents in one stream.
const MAX_DOCUMENTS: usize = 100_000;
/// Most parser events that aliases may repeat.
const MAX_REPLAYED: usize = 100_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub row: u64,
    pub col: u64,
}

/// What is wrong in a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub mark: Option<Mark>,
    /// Dotted path inside the document, `""` for the document itself.
    pub path: String,
    pub message: String,
}

/// One document of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    pub value: Value,
    pub mark: Mark,
    marks: BTreeMap<String, Mark>,
}

// === impl Document ===

impl Document {
    /// Reads every document of a stream; empty ones are left out.
    pub fn parse_stream(text: &str) -> Result<Vec<Self>, Problem> {
        let nodes: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options())
            .map_err(|error| {
            let mark = error.location().map(|at| Mark {
                row: at.line(),
                col: at.column(),
            });
            Problem {
                mark,
                path: String::new(),
                message: without_place(first_line(&error.to_string())).to_owned(),
            }
        })?;
        let documents = nodes.into_iter().map(Self::from_node);
        Ok(documents
            .filter(|document| !document.value.is_null())
            .collect())
    }

    /// Wraps a value that has no text of its own.
    pub fn from_value(value: Value) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    fn from_node(node: Spanned<Node>) -> Self {
        let mut marks = BTreeMap::new();
        let mark = mark_of(&node);
        let value = flatten(node, &mut String::new(), &mut marks);
        Self { value, mark, marks }
    }

    /// A part of the document as a document of its own, places kept.
    pub fn part(&self, path: &str, value: &Value) -> Self {
        let marks = self
            .marks
            .range(path.to_owned()..)
            .take_while(|(key, _)| key.starts_with(path))
            .filter_map(|(key, mark)| {
                let rest = key.strip_prefix(path)?.strip_prefix('.')?;
                Some((rest.to_owned(), *mark))
            })
            .collect();
        Self {
            value: value.clone(),
            mark: self.locate(path).unwrap_or_default(),
            marks,
        }
    }

    /// Reads the document into a type. The first mismatch is reported with its path and place.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_path_to_error::deserialize(&self.value).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            self.problem(&path, error.inner().to_string())
        })
    }

    /// A problem at a path such as `spec.rules[0].to`.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            mark: self.locate(path),
            path: path.to_owned(),
            message: message.into(),
        }
    }

    /// The place of a path, or of its nearest parent.
    pub fn locate(&self, path: &str) -> Option<Mark> {
        let mut path = path;
        loop {
            if let Some(mark) = self.marks.get(path) {
                return Some(*mark);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end)?,
                None => return Some(self.mark).filter(|mark| mark.row > 0),
            }
        }
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_documents: MAX_DOCUMENTS,
            max_depth: MAX_DEPTH,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        // `y`, `no` and `on` are words, not truth values.
        strict_booleans: true,
        with_snippet: false,
    }
}

/// Turns nodes into JSON, noting where each path begins.
fn flatten(node: Spanned<Node>, path: &mut String, marks: &mut BTreeMap<String, Mark>) -> Value {
    let mark = mark_of(&node);
    if !path.is_empty() {
        marks.entry(path.clone()).or_insert(mark);
    }
    let length = path.len();
    match node.value {
        Node::Scalar(value) => value,
        Node::Sequence(items) => {
            let mut values = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                values.push(flatten(item, path, marks));
                path.truncate(length);
            }
            Value::Array(values)
        }
        Node::Mapping(entries) => {
            let mut object = serde_json::Map::with_capacity(entries.len());
            for (key, item) in entries {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key.value);
                // The key's place: that is where a person looks for a field.
                marks.insert(path.clone(), mark_of(&key));
                let value = flatten(item, path, marks);
                path.truncate(length);
                object.insert(key.value, value);
            }
            Value::Object(object)
        }
    }
}

fn mark_of<T>(spanned: &Spanned<T>) -> Mark {
    Mark {
        row: spanned.referenced.line(),
        col: spanned.referenced.column(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

// === impl Node ===

#[derive(Debug)]
enum Node {
    Scalar(Value),
    Sequence(Vec<Spanned<Self>>),
    Mapping(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}

impl Problem {
    /// The same without what was written there, which may be a secret in the wrong place.
    pub fn without_value(self) -> Self {
        Self {
            message: without_value(&self.message),
            ..self
        }
    }

    /// A mistake the JSON parser found.
    pub fn from_json(error: &serde_json::Error) -> Self {
        Self {
            mark: Some(Mark {
                row: error.line() as u64,
                col: error.column() as u64,
            }),
            path: String::new(),
            message: without_place(&error.to_string()).to_owned(),
        }
    }
}

/// Rule: messages of serde's own are `invalid type: string "VALUE", expected WHAT`, and
/// ``unknown variant `VALUE`, expected WHAT``. Those of our types tell what is safe to tell.
fn without_value(message: &str) -> String {
    const FOUND: [&str; 2] = ["invalid type: ", "invalid value: "];
    const VARIANT: &str = "unknown variant ";
    // What is expected is told last, whatever the value holds.
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    if message.starts_with(VARIANT) {
        return format!("{}, expected {expected}", VARIANT.trim_end());
    }
    if !FOUND.iter().any(|kind| message.starts_with(kind)) {
        return message.to_owned();
    }
    let kind = found.split(['"', '`']).next().unwrap_or_default();
    format!("{}, expected {expected}", kind.trim_end())
}

/// Parsers end their messages with the place, which is told apart from it.
fn without_place(message: &str) -> &str {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(text, _)| text)
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Mark { row, col }) = self.mark {
            write!(formatter, "{row}:{col}: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "`{}`: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}
