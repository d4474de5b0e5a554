//! Whether a reply is the recorded one. Numbers keep their text until they are compared, JSON in a
//! body is compared as a document, and texts of errors do not count.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use tonic::{Code, Status};

/// Marks a text as that of a number.
const NUMBER: char = '\u{1}';
const VOLATILE: &str = "<volatile>";
const INPUT: &str = "<expectInput>";
const PARSE_ERROR: &str = "request_parse_error";

/// A JSON document whose numbers are marked texts.
pub(super) type Document = Value;

/// Reads JSON of any depth, numbers as marked texts.
pub(super) fn parse(text: &str) -> Option<Document> {
    let mut rest = text;
    let value = value(&mut rest)?;
    rest.trim_start().is_empty().then_some(value)
}

fn value(rest: &mut &str) -> Option<Document> {
    *rest = rest.trim_start();
    match rest.chars().next()? {
        '[' => {
            let items = list(rest, ']', value)?;
            Some(Value::Array(items))
        }
        '{' => {
            let members = list(rest, '}', |rest| {
                let name = value(rest)?.as_str()?.to_owned();
                *rest = rest.trim_start().strip_prefix(':')?;
                Some((name, value(rest)?))
            });
            Some(Value::Object(members?.into_iter().collect()))
        }
        '"' => {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find_map(|(at, character)| {
                let ends = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                ends.then_some(at + 1)
            })?;
            serde_json::from_str(take(rest, end)).ok()
        }
        _ => {
            let is_word =
                |character: char| character.is_alphanumeric() || "+-.".contains(character);
            let end = rest.find(|character| !is_word(character));
            let word = take(rest, end.unwrap_or(rest.len()));
            match serde_json::from_str(word).ok()? {
                Value::Number(_) => Some(Value::from(format!("{NUMBER}{word}"))),
                other => Some(other),
            }
        }
    }
}

fn list<T>(rest: &mut &str, end: char, item: fn(&mut &str) -> Option<T>) -> Option<Vec<T>> {
    take(rest, 1);
    let mut items = Vec::new();
    *rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix(end) {
        *rest = after;
        return Some(items);
    }
    loop {
        items.push(item(rest)?);
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(end) {
            *rest = after;
            return Some(items);
        }
        *rest = rest.strip_prefix(',')?;
    }
}

fn take<'a>(rest: &mut &'a str, length: usize) -> &'a str {
    let (taken, after) = rest.split_at(length);
    *rest = after;
    taken
}

/// The JSON that `parse` read.
pub(super) fn text(document: &Document) -> String {
    match document {
        Value::String(number) if number.starts_with(NUMBER) => number[1..].to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), text(value))
            };
            let members: Vec<_> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// Tells what is not as recorded.
pub(super) fn compare(case: &Value, reply: Result<Bytes, Status>) -> Result<(), String> {
    let expected = &case["expect"];
    let code = expected["grpcCode"].as_str().unwrap_or_default();
    let code: i32 = code.trim_start_matches(NUMBER).parse().unwrap();
    let bytes = match reply {
        Err(status) if status.code() == Code::from(code) => return Ok(()),
        Err(status) => {
            let (got, message) = (status.code() as i32, status.message());
            return Err(format!("gRPC code {got} ({message}), not {code}"));
        }
        Ok(_) if code != 0 => {
            let message = expected["grpcMessage"].as_str().unwrap_or_default();
            return Err(format!("an answer, not gRPC code {code} ({message})"));
        }
        Ok(bytes) => bytes,
    };
    let (mut wanted, mut got) = (expected["response"].clone(), decode(&bytes));
    let in_order = case["strictHeaderOrder"] == true;
    normalize(&mut wanted, in_order);
    normalize(&mut got, in_order);
    bodies(case, &mut wanted, &mut got);
    parse_errors(&mut wanted, &mut got);
    let mut differences = Vec::new();
    diff(&wanted, &got, "response", &mut differences);
    match differences.is_empty() {
        true => Ok(()),
        false => Err(differences.join("; ")),
    }
}

fn decode(bytes: &[u8]) -> Document {
    let pool = DescriptorPool::decode(doorward_proto::DESCRIPTORS).unwrap();
    let descriptor = pool
        .get_message_by_name("envoy.service.auth.v3.CheckResponse")
        .unwrap();
    let message = DynamicMessage::decode(descriptor, bytes).unwrap();
    let options = SerializeOptions::new().use_enum_numbers(true);
    let json = message.serialize_with_options(serde_json::value::Serializer, &options);
    parse(&json.unwrap().to_string()).unwrap()
}

/// Headers by name, and lists whose order means nothing, sorted. How a header joins others is the
/// server's choice.
fn normalize(response: &mut Value, in_order: bool) {
    for side in ["okResponse", "deniedResponse"] {
        let Some(side) = response.get_mut(side).and_then(Value::as_object_mut) else {
            continue;
        };
        for (list, name) in [
            ("headers", "/header/key"),
            ("responseHeadersToAdd", "/header/key"),
            ("queryParametersToSet", "/key"),
        ] {
            let Some(Value::Array(entries)) = side.get_mut(list) else {
                continue;
            };
            for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                entry.remove("append");
                entry.remove("appendAction");
            }
            if !in_order {
                let key = |entry: &Value| entry.pointer(name).cloned().unwrap_or_default();
                entries.sort_by_key(|entry| key(entry).to_string());
            }
        }
        for list in ["headersToRemove", "queryParametersToRemove"] {
            if let Some(Value::Array(entries)) = side.get_mut(list) {
                entries.sort_by_key(ToString::to_string);
            }
        }
    }
}

/// Puts documents in the place of bodies that are JSON.
fn bodies(case: &Value, wanted: &mut Value, got: &mut Value) {
    const BODY: &str = "/deniedResponse/body";
    let (Some(wanted), Some(got)) = (wanted.pointer_mut(BODY), got.pointer_mut(BODY)) else {
        return;
    };
    if *wanted == INPUT {
        *wanted = case["expectInput"].clone();
        *got = parse(got.as_str().unwrap()).unwrap_or_else(|| got.clone());
        return;
    }
    let documents = (
        wanted.as_str().and_then(parse),
        got.as_str().and_then(parse),
    );
    if let (Some(wanted_document), Some(got_document)) = documents {
        (*wanted, *got) = (wanted_document, got_document);
    }
}

/// Of a request that cannot be read, the text of the error does not count.
fn parse_errors(wanted: &mut Value, got: &mut Value) {
    for place in ["/status/message", "/deniedResponse/body"] {
        if let (Some(wanted), Some(got)) = (wanted.pointer_mut(place), got.pointer_mut(place)) {
            let is_one = |text: &Value| {
                text.as_str()
                    .is_some_and(|text| text.starts_with(PARSE_ERROR))
            };
            if is_one(wanted) && is_one(got) {
                got.clone_from(wanted);
            }
        }
    }
}

fn diff(wanted: &Value, got: &Value, path: &str, differences: &mut Vec<String>) {
    match (wanted, got) {
        (Value::String(text), _) if text == VOLATILE => {}
        (Value::Object(wanted), Value::Object(got)) => {
            let names: BTreeSet<_> = wanted.keys().chain(got.keys()).collect();
            for name in names {
                let path = format!("{path}.{name}");
                match (wanted.get(name), got.get(name)) {
                    (Some(wanted), Some(got)) => diff(wanted, got, &path, differences),
                    (Some(wanted), None) => differences.push(format!("{path}: no {wanted}")),
                    (None, got) => {
                        let got = got.unwrap_or(&Value::Null);
                        differences.push(format!("{path}: unexpected {got}"));
                    }
                }
            }
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            for (at, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                diff(wanted, got, &format!("{path}[{at}]"), differences);
            }
        }
        (Value::String(wanted), Value::String(got))
            if wanted.starts_with(NUMBER) && got.starts_with(NUMBER) =>
        {
            if !same_number(&wanted[1..], &got[1..]) {
                differences.push(format!("{path}: {} and not {}", &got[1..], &wanted[1..]));
            }
        }
        _ if wanted == got => {}
        _ => differences.push(format!("{path}: {got} and not {wanted}")),
    }
}

/// Rule: equal by value; the same double will do if both are written like one.
fn same_number(wanted: &str, got: &str) -> bool {
    let is_double = |text: &str| text.contains(['e', 'E', '.']);
    decimal(wanted) == decimal(got)
        || (is_double(wanted)
            && is_double(got)
            && wanted.parse::<f64>().ok() == got.parse::<f64>().ok())
}

/// Sign, digits without zeros around them, and exponent.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some((false, String::new(), 0));
    }
    let exponent: i64 = exponent.parse().ok()?;
    let zeros = (significant.len() - trimmed.len()) as i64;
    let exponent = exponent - fraction.len() as i64 + zeros;
    Some((mantissa.starts_with('-'), trimmed.to_owned(), exponent))
}
