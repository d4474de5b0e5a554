//! Values as Rego writes them, which is how `sprintf` prints what is neither text nor number.

use regorus::Value;

use crate::policy::rego::json;

/// A value in Rego's own notation, keys and elements in order.
pub(super) fn as_rego(value: &Value) -> String {
    let mut text = String::new();
    write_as_rego(value, &mut text);
    text
}

/// Into one text: what is nested deep would be copied as often.
fn write_as_rego(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => write_list(items.iter(), ('[', ']'), text),
        Value::Set(items) if items.is_empty() => text.push_str("set()"),
        Value::Set(items) => {
            let mut items: Vec<_> = items.iter().collect();
            items.sort();
            write_list(items.into_iter(), ('{', '}'), text);
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort();
            text.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write_as_rego(key, text);
                text.push_str(": ");
                write_as_rego(value, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&json::scalar_text(scalar)),
    }
}

fn write_list<'v>(
    items: impl Iterator<Item = &'v Value>,
    (open, close): (char, char),
    text: &mut String,
) {
    text.push(open);
    for (at, item) in items.enumerate() {
        text.push_str(if at == 0 { "" } else { ", " });
        write_as_rego(item, text);
    }
    text.push(close);
}
