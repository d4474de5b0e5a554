//! Values in templates as Go has them, and the functions that templates may call. Numbers out of the
//! variables are JSON's, whose text they keep: to functions they are strings.

use std::cmp::Ordering;
use std::sync::Arc;

use percent_encoding::utf8_percent_encode;
use regorus::Value;

use super::super::Failure;
use super::super::format::{self, Argument};
use super::super::urlquery::RESERVED;
use super::{MAX_STEPS, MAX_TEXT, limit};

/// How many bytes are made, escaped or compared in the time of a step.
const BYTES_PER_STEP: usize = 64;
/// Most bytes that a value without parts takes.
const MAX_SCALAR: usize = 32;
/// Most bytes that one is escaped to.
const MAX_ESCAPED: usize = 6;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// What is not there.
    Missing,
    /// JSON's null, which cannot be looked into.
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Arc<str>),
    /// A number by its text.
    Number(Arc<str>),
    /// An array or an object.
    Data(Value),
}

fn bad(what: &'static str) -> Failure {
    Failure::Failed(what)
}

impl Item {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::String(text) => Self::Text(text.clone()),
            Value::Number(_) => Self::Number(value.to_string().into()),
            Value::Undefined => Self::Missing,
            data => Self::Data(data.clone()),
        }
    }

    /// Rule: as the value of a pipeline null is nothing.
    pub(super) fn known(self) -> Self {
        match self {
            Self::Null => Self::Missing,
            item => item,
        }
    }

    /// Rule: zero, empty and nothing are false.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Null => false,
            Self::Bool(value) => *value,
            Self::Integer(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) | Self::Number(text) => !text.is_empty(),
            Self::Data(_) => self.length() != Some(0),
        }
    }

    /// How many steps it takes to go through a text.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) | Self::Number(text) => text.len() / BYTES_PER_STEP,
            _ => 0,
        }
    }

    fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text.len()),
            Self::Data(Value::Array(items)) => Some(items.len()),
            Self::Data(Value::Object(members)) => Some(members.len()),
            _ => None,
        }
    }

    /// Rule: a name is a member's; numbers can be asked for their value.
    pub(super) fn fields(&self, names: &[String]) -> Result<Self, Failure> {
        let mut item = self.clone();
        for name in names {
            item = match (&item, name.as_str()) {
                (Self::Missing, _) => Self::Missing,
                (Self::Data(Value::Object(members)), name) => {
                    let member = members.get(&Value::from(name));
                    member.map_or(Self::Missing, Self::of)
                }
                (Self::Number(text), "String") => Self::Text(text.clone()),
                (Self::Number(text), "Int64") => {
                    Self::Integer(text.parse().map_err(|_| bad("not an integer"))?)
                }
                (Self::Number(text), "Float64") => {
                    Self::Float(text.parse().map_err(|_| bad("not a number"))?)
                }
                _ => return Err(bad("can't evaluate field")),
            };
        }
        Ok(item)
    }

    /// Keys and elements of what can be gone over.
    pub(super) fn elements(&self) -> Result<Vec<(Self, Self)>, Failure> {
        let index = |at: usize| Self::Integer(i64::try_from(at).unwrap_or(i64::MAX));
        match self {
            Self::Missing | Self::Null => Ok(Vec::new()),
            Self::Data(Value::Array(items)) => {
                let items = items.iter().enumerate();
                Ok(items
                    .map(|(at, item)| (index(at), Self::of(item)))
                    .collect())
            }
            Self::Data(Value::Object(members)) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort();
                let members = members.into_iter();
                Ok(members
                    .map(|(name, value)| (Self::of(name), Self::of(value)))
                    .collect())
            }
            Self::Integer(count) => {
                let count = usize::try_from(*count).unwrap_or(0);
                if count > MAX_STEPS {
                    return Err(limit("a template that takes so long is refused"));
                }
                Ok((0..count).map(|at| (index(at), index(at))).collect())
            }
            _ => Err(bad("range can't iterate over a value")),
        }
    }

    /// As an action prints it.
    pub(super) fn printed(&self) -> String {
        match self {
            Self::Missing | Self::Null => "<no value>".to_owned(),
            item => item.text(),
        }
    }

    /// As Go's `fmt` has it by `%v`.
    fn text(&self) -> String {
        match self {
            Self::Missing | Self::Null => "<nil>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => format::plain_float(*number),
            Self::Text(text) | Self::Number(text) => text.to_string(),
            Self::Data(Value::Array(items)) => {
                let items: Vec<_> = items.iter().map(|item| Self::of(item).text()).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Data(_) => {
                let members = self.elements().unwrap_or_default();
                let member =
                    |(name, value): (Self, Self)| format!("{}:{}", name.text(), value.text());
                let members: Vec<_> = members.into_iter().map(member).collect();
                format!("map[{}]", members.join(" "))
            }
        }
    }

    fn argument(&self) -> Argument {
        let other = |type_name, verbs| Argument::Other {
            text: self.text(),
            type_name,
            verbs,
        };
        match self {
            Self::Missing | Self::Null => other("", "vT"),
            Self::Bool(_) => other("bool", "vt"),
            Self::Integer(number) => Argument::integer(*number),
            Self::Float(number) => Argument::Float(*number),
            Self::Text(text) => Argument::text(text.to_string(), "string"),
            Self::Number(text) => Argument::text(text.to_string(), "json.Number"),
            Self::Data(Value::Array(_)) => other("[]interface {}", "vs"),
            Self::Data(_) => other("map[string]interface {}", "vs"),
        }
    }
}

// === Functions ===

const NAMES: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
    "print", "printf", "println", "slice", "urlquery",
];

pub(super) fn is_function(name: &str) -> bool {
    NAMES.contains(&name)
}

pub(super) fn call(name: &str, arguments: &[Item]) -> Result<Item, Failure> {
    let text = |text: String| Ok(Item::Text(text.into()));
    match (name, arguments) {
        ("not", [item]) => Ok(Item::Bool(!item.is_true())),
        ("len", [item]) => {
            let length = item.length().ok_or(bad("len of a value without one"))?;
            Ok(Item::Integer(i64::try_from(length).unwrap_or(i64::MAX)))
        }
        ("index", [item, indices @ ..]) => index(item, indices),
        ("slice", [item, bounds @ ..]) => slice(item, bounds),
        ("print" | "println" | "printf" | "html" | "js" | "urlquery", items)
            if !fits(name, items) =>
        {
            Err(limit("a text of this size is refused in a template"))
        }
        ("print", items) => text(print(items)),
        ("println", items) => {
            let items: Vec<_> = items.iter().map(Item::text).collect();
            text(format!("{}\n", items.join(" ")))
        }
        ("printf", [Item::Text(layout), items @ ..]) => text(format::printed(
            layout,
            items.iter().map(Item::argument).collect(),
        )?),
        ("html", items) => text(html(&joined(items))),
        ("js", items) => text(js(&joined(items))),
        ("urlquery", items) => {
            let escaped = utf8_percent_encode(&joined(items), RESERVED).to_string();
            text(escaped.replace("%20", "+"))
        }
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            for other in others {
                if equal(first, other)? {
                    return Ok(Item::Bool(true));
                }
            }
            Ok(Item::Bool(false))
        }
        ("ne", [one, other]) => Ok(Item::Bool(!equal(one, other)?)),
        ("lt", [one, other]) => Ok(Item::Bool(order(one, other)?.is_lt())),
        ("le", [one, other]) => Ok(Item::Bool(order(one, other)?.is_le())),
        ("gt", [one, other]) => Ok(Item::Bool(order(one, other)?.is_gt())),
        ("ge", [one, other]) => Ok(Item::Bool(order(one, other)?.is_ge())),
        _ => Err(bad("wrong number or type of arguments of a function")),
    }
}

/// Whether arguments make a text that is short enough, be every character escaped.
fn fits(name: &str, items: &[Item]) -> bool {
    let mut left = match name {
        "html" | "js" | "urlquery" => MAX_TEXT / MAX_ESCAPED,
        _ => MAX_TEXT,
    };
    items.iter().all(|item| match item {
        Item::Text(text) | Item::Number(text) => spend(&mut left, text.len()),
        Item::Data(value) => takes(value, &mut left),
        _ => spend(&mut left, MAX_SCALAR),
    })
}

fn takes(value: &Value, left: &mut usize) -> bool {
    match value {
        Value::String(text) => spend(left, text.len() + 1),
        Value::Number(number) => spend(left, number.format_decimal().len() + 1),
        Value::Array(items) => spend(left, 2) && items.iter().all(|item| takes(item, left)),
        Value::Object(members) => {
            let mut members = members.iter();
            spend(left, MAX_SCALAR)
                && members.all(|(name, value)| takes(name, left) && takes(value, left))
        }
        _ => spend(left, MAX_SCALAR),
    }
}

fn spend(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

/// Rule: spaces between operands of which neither is a string.
fn print(items: &[Item]) -> String {
    let is_string = |item: &Item| matches!(item, Item::Text(_) | Item::Number(_));
    let mut text = String::new();
    let mut before: Option<&Item> = None;
    for item in items {
        if before.is_some_and(|before| !is_string(before) && !is_string(item)) {
            text.push(' ');
        }
        text.push_str(&item.text());
        before = Some(item);
    }
    text
}

/// What is escaped: a string alone, or anything as it is printed.
fn joined(items: &[Item]) -> String {
    match items {
        [Item::Missing | Item::Null] => "<no value>".to_owned(),
        items => print(items),
    }
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..' ' => {
                escaped.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn position(item: &Item, length: usize) -> Result<usize, Failure> {
    match item {
        Item::Integer(at) => {
            let at = usize::try_from(*at).ok().filter(|at| *at <= length);
            at.ok_or(bad("index out of range"))
        }
        _ => Err(bad("cannot index with a value that is no integer")),
    }
}

/// Rule: by index or name, one behind the other.
fn index(item: &Item, indices: &[Item]) -> Result<Item, Failure> {
    let mut item = item.clone();
    for at in indices {
        item = match (&item, at) {
            (Item::Data(Value::Array(items)), at) => {
                let found = items.get(position(at, items.len())?);
                found.map(Item::of).ok_or(bad("index out of range"))?
            }
            (Item::Data(Value::Object(members)), Item::Text(name)) => {
                let member = members.get(&Value::String(name.clone()));
                member.map_or(Item::Missing, Item::of)
            }
            (Item::Text(text) | Item::Number(text), at) => {
                let byte = text.as_bytes().get(position(at, text.len())?);
                let byte = byte.ok_or(bad("index out of range"))?;
                Item::Integer(i64::from(*byte))
            }
            _ => return Err(bad("cannot index a value")),
        };
    }
    Ok(item)
}

fn slice(item: &Item, bounds: &[Item]) -> Result<Item, Failure> {
    let length = item.length().ok_or(bad("cannot slice a value"))?;
    let (begin, end) = match bounds {
        [] => (0, length),
        [begin] => (position(begin, length)?, length),
        [begin, end] => (position(begin, length)?, position(end, length)?),
        _ => return Err(bad("too many slice indexes")),
    };
    match item {
        Item::Text(text) => {
            let part = text.get(begin..end).ok_or(bad("invalid slice index"))?;
            Ok(Item::Text(part.into()))
        }
        Item::Data(Value::Array(items)) => {
            let part = items.as_slice().get(begin..end);
            let part = part.ok_or(bad("invalid slice index"))?;
            Ok(Item::Data(Value::from(part.to_vec())))
        }
        _ => Err(bad("cannot slice a value")),
    }
}

/// Rule: of one basic kind; nothing equals nothing.
fn equal(one: &Item, other: &Item) -> Result<bool, Failure> {
    let is_nothing = |item: &Item| matches!(item, Item::Missing | Item::Null);
    match (one, other) {
        (Item::Data(_), _) | (_, Item::Data(_)) => Err(bad("non-comparable type")),
        (one, other) if is_nothing(one) || is_nothing(other) => {
            Ok(is_nothing(one) && is_nothing(other))
        }
        (Item::Bool(one), Item::Bool(other)) => Ok(one == other),
        (one, other) => Ok(order(one, other)?.is_eq()),
    }
}

fn order(one: &Item, other: &Item) -> Result<Ordering, Failure> {
    match (one, other) {
        (Item::Integer(one), Item::Integer(other)) => Ok(one.cmp(other)),
        (Item::Float(one), Item::Float(other)) => Ok(one.total_cmp(other)),
        (Item::Text(one) | Item::Number(one), Item::Text(other) | Item::Number(other)) => {
            Ok(one.cmp(other))
        }
        _ => Err(bad("incompatible types for comparison")),
    }
}
