//! Writes objects as block YAML, as people do. Strings are quoted where YAML could read something
//! else; members may be written in another order than they are kept in.

use serde_json::Value;

/// The order in which members of objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Forward,
    Backward,
}

/// A stream of documents.
pub fn stream(objects: &[Value], order: Order) -> String {
    let documents = objects.iter().map(|object| {
        let mut text = String::new();
        write(&mut text, object, 0, order);
        text
    });
    documents.collect::<Vec<_>>().join("---\n")
}

/// Writes a value behind what stands on the line already, and ends the line.
fn write(text: &mut String, value: &Value, indent: usize, order: Order) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut members: Vec<_> = members.iter().collect();
            if order == Order::Backward {
                members.reverse();
            }
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    pad(text, indent);
                }
                text.push_str(&scalar(name));
                text.push(':');
                write_member(text, member, indent, order);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    pad(text, indent);
                }
                text.push_str("- ");
                write(text, item, indent + 2, order);
            }
        }
        Value::String(line) => {
            text.push_str(&scalar(line));
            text.push('\n');
        }
        other => {
            text.push_str(&other.to_string());
            text.push('\n');
        }
    }
}

fn write_member(text: &mut String, member: &Value, indent: usize, order: Order) {
    let is_block = match member {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        pad(text, indent + 2);
    } else {
        text.push(' ');
    }
    write(text, member, indent + 2, order);
}

fn pad(text: &mut String, indent: usize) {
    text.push_str(&" ".repeat(indent));
}

/// Plain if nothing but a word, else as JSON writes it.
fn scalar(text: &str) -> String {
    let words = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "t", "f",
    ];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}
