//! What a record tells of its request: what of the input document was masked, as policies may read it,
//! and the name of the workload. Whether policies do read it is left to `policy`.

use serde::Deserialize as _;
use serde_json::Value;

use super::facts::WorkloadFacts;
use super::mask::MASKED;
use super::pointer::Pointer;
use crate::policy::{Hidden, Names};

/// Header lines by themselves in the input document, whose names stand beside their values.
const LINES: [&str; 5] = ["attributes", "request", "http", "headerMap", "headers"];

/// What of the input of a record, as it is shown, is not as it was sent.
pub fn hidden_in(record: &Value) -> Hidden {
    let pointers = |member: &str| record.get(member).map(pointers);
    let [erased, masked] = [pointers("erased"), pointers("masked")].map(Option::unwrap_or_default);
    let all = erased.iter().chain(&masked);
    let mut hidden = Hidden::default();
    // Rule: what cannot be read may be anywhere.
    if all.clone().any(Option::is_none) {
        return Hidden::everything();
    }
    // Where lines were taken away, others stand at their places.
    let lines_stay = !erased.iter().flatten().any(|place| is_within_lines(place));
    let lines = lines_stay.then(|| lines_of(record)).flatten();
    for place in all.flatten() {
        match header_of(place, lines) {
            Some(name) => hidden.add_header(name),
            None => hidden.add(place.clone()),
        }
    }
    hidden
}

/// What a workload is called that stands in a record.
pub fn workload_name(record: &Value) -> Option<String> {
    let workload = record.get("workload")?;
    WorkloadFacts::deserialize(workload).ok()?.shown()
}

/// Places of the input document; `None` is one that cannot be read. What leads elsewhere is left out.
fn pointers(list: &Value) -> Vec<Option<Vec<Names>>> {
    let Value::Array(list) = list else {
        return vec![None];
    };
    let places = list.iter().map(|pointer| {
        let pointer = pointer.as_str().map(Pointer::parse);
        pointer.and_then(Result::ok).map(|pointer| {
            let mut names = pointer.names().map(known);
            let root = names.next().unwrap_or_default();
            (root.iter().any(|root| root == "input"), names.collect())
        })
    });
    let wanted = places.filter(|place| place.as_ref().is_none_or(|(is_input, _)| *is_input));
    wanted.map(|place| place.map(|(_, names)| names)).collect()
}

/// Rule: a name that was masked may be any.
fn known(names: Names) -> Names {
    match names.iter().any(|name| name == MASKED) {
        true => Names::new(),
        false => names,
    }
}

fn is_within_lines(place: &[Names]) -> bool {
    let means = |(names, part): (&Names, &&str)| {
        names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(part))
    };
    place.len() > LINES.len() && place.iter().zip(&LINES).all(means)
}

fn lines_of(record: &Value) -> Option<&Vec<Value>> {
    let path = LINES
        .iter()
        .try_fold(record.get("input")?, |value, part| value.get(part))?;
    path.as_array()
}

/// The header whose value is at a place among lines.
fn header_of<'a>(place: &[Names], lines: Option<&'a Vec<Value>>) -> Option<&'a str> {
    let lines = lines.filter(|_| is_within_lines(place))?;
    let [index, member] = place.get(LINES.len()..)? else {
        return None;
    };
    let (Some(index), Some(member)) = (index.first(), member.first()) else {
        return None;
    };
    if !matches!(member.as_str(), "value" | "rawValue") {
        return None;
    }
    lines
        .get(index.parse::<usize>().ok()?)?
        .get("key")?
        .as_str()
}
