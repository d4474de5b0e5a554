//! Protobuf's own types that JSON shows in a form of their own: times as text, wrappers as what they
//! hold, structures as JSON, and a message of any type together with its name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value as Field};
use regorus::Value;

use super::{ProtobufError, Shower, Shown};

/// First and last second of the years 1 to 9999, and most seconds of a duration.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const LONGEST: i64 = 315_576_000_000;
const NANOS: u32 = 1_000_000_000;

/// How a message is shown.
type Form = for<'a> fn(&mut Shower<'a>, &DynamicMessage) -> Shown;

/// The form of a type that has its own.
pub(super) fn form(name: &str) -> Option<Form> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Any" => any,
        "Timestamp" => |_, message| timestamp(message),
        "Duration" => |_, message| duration(message),
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
        | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => wrapped,
        "Struct" => |shower, message| part(shower, message, "fields"),
        "ListValue" => |shower, message| part(shower, message, "values"),
        "Value" => value,
        "FieldMask" => |_, message| field_mask(message),
        "Empty" => |_, _| Ok(Value::new_object()),
        _ => return None,
    })
}

/// Rule: the members of the message it holds and `@type`; what has a form of its own is `value`.
fn any(shower: &mut Shower<'_>, message: &DynamicMessage) -> Shown {
    const NAME: &str = "google.protobuf.Any";
    let url = message.get_field_by_name("type_url");
    let url = url.as_deref().and_then(Field::as_str).unwrap_or_default();
    let bytes = message.get_field_by_name("value");
    let bytes = bytes.as_deref().and_then(Field::as_bytes);
    let bytes = bytes.cloned().unwrap_or_default();
    if url.is_empty() {
        return match bytes.is_empty() {
            true => Ok(Value::new_object()),
            false => Err(ProtobufError::Form(NAME, "empty type URL")),
        };
    }
    let name = url.rsplit('/').next().unwrap_or_default();
    let descriptor = shower.pool.get_message_by_name(name);
    let unknown = || ProtobufError::UnknownType(NAME, url.to_owned());
    let held = DynamicMessage::decode(descriptor.ok_or_else(unknown)?, bytes)?;
    // Its depth counts: bytes of bytes could go on for as long as the body.
    let mut members = match form(name) {
        Some(_) => BTreeMap::from([(Value::from("value"), shower.message(&held)?)]),
        None => {
            shower.depth += 1;
            if shower.depth > super::MAX_DEPTH {
                return Err(ProtobufError::Depth);
            }
            let members = shower.members(&held)?;
            shower.depth -= 1;
            members
        }
    };
    members.insert(Value::from("@type"), Value::from(url));
    Ok(Value::from(members))
}

fn timestamp(message: &DynamicMessage) -> Shown {
    const NAME: &str = "google.protobuf.Timestamp";
    let (seconds, nanos) = seconds_and_nanos(message);
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < NANOS);
    let nanos = nanos.ok_or(ProtobufError::Form(NAME, "nanos out of range"))?;
    let time = Timestamp::from_second(seconds).ok();
    let time = time.filter(|_| TIMES.contains(&seconds));
    let time = time.ok_or(ProtobufError::Form(NAME, "seconds out of range"))?;
    let time = time.to_string();
    let time = time.trim_end_matches('Z');
    Ok(Value::from(format!("{time}{}Z", fraction(nanos))))
}

fn duration(message: &DynamicMessage) -> Shown {
    const NAME: &str = "google.protobuf.Duration";
    let (seconds, nanos) = seconds_and_nanos(message);
    if !(-LONGEST..=LONGEST).contains(&seconds) {
        return Err(ProtobufError::Form(NAME, "seconds out of range"));
    }
    if nanos.unsigned_abs() >= NANOS {
        return Err(ProtobufError::Form(NAME, "nanos out of range"));
    }
    if (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0) {
        return Err(ProtobufError::Form(
            NAME,
            "signs of seconds and nanos differ",
        ));
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let fraction = fraction(nanos.unsigned_abs());
    Ok(Value::from(format!("{sign}{seconds}{fraction}s")))
}

fn seconds_and_nanos(message: &DynamicMessage) -> (i64, i32) {
    let seconds = message.get_field_by_name("seconds");
    let nanos = message.get_field_by_name("nanos");
    (
        seconds.as_deref().and_then(Field::as_i64).unwrap_or(0),
        nanos.as_deref().and_then(Field::as_i32).unwrap_or(0),
    )
}

/// Rule: no digits, or three, six or nine.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        nanos => format!(".{nanos:09}"),
    }
}

fn wrapped(shower: &mut Shower<'_>, message: &DynamicMessage) -> Shown {
    part(shower, message, "value")
}

/// What a message is shown as that is only there to hold it.
fn part(shower: &mut Shower<'_>, message: &DynamicMessage, name: &str) -> Shown {
    let descriptor = message.descriptor();
    let field = descriptor.get_field_by_name(name);
    let field = field.ok_or(ProtobufError::Form("google.protobuf", "is another type"))?;
    shower.field(&message.get_field(&field), &field.kind())
}

/// Rule: one of its kinds must be set; a number must be one.
fn value(shower: &mut Shower<'_>, message: &DynamicMessage) -> Shown {
    const NAME: &str = "google.protobuf.Value";
    let Some((field, value)) = message.fields().next() else {
        return Err(ProtobufError::Form(NAME, "none of the oneof fields is set"));
    };
    match (value, field.kind()) {
        (Field::F64(number), Kind::Double) if !number.is_finite() => {
            Err(ProtobufError::Form(NAME, "cannot have Inf or NaN"))
        }
        (value, kind) => shower.field(value, &kind),
    }
}

/// Rule: paths in lower camel case, joined; one that could not be turned back is an error.
fn field_mask(message: &DynamicMessage) -> Shown {
    const NAME: &str = "google.protobuf.FieldMask.paths";
    let paths = message.get_field_by_name("paths");
    let paths = paths.as_deref().and_then(Field::as_list);
    let mut shown = Vec::new();
    for path in paths.unwrap_or_default() {
        let path = path.as_str().unwrap_or_default();
        let camel = camel_case(path);
        if snake_case(&camel) != path || path.is_empty() {
            return Err(ProtobufError::Form(NAME, "contains irreversible value"));
        }
        shown.push(camel);
    }
    Ok(Value::from(shown.join(",")))
}

fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut behind_underscore = false;
    for character in name.chars() {
        match (character, behind_underscore) {
            ('_', _) => {}
            (letter, true) => camel.push(letter.to_ascii_uppercase()),
            (letter, false) => camel.push(letter),
        }
        behind_underscore = character == '_';
    }
    camel
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}
