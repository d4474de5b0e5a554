//! What an entrypoint is said to read is all that it reads: whatever else is changed in its input, its
//! answer stays the same. Tried with generated policies and with all recorded ones.

mod generated;
mod recorded;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use doorward::policy::rego::{
    Asked, Caching, Data, InputSettings, Paths, RegoModule, RegoPolicies, RegoSettings,
};
use serde_json::{Map, Value, json};

const NOW_NS: i64 = 1_700_000_000_000_000_000;

/// What becomes of parts that are not read.
#[derive(Debug, Clone)]
enum Change {
    Removed,
    Replaced(Value),
}

fn changes() -> Vec<Change> {
    let values = [
        json!(null),
        json!("mutant"),
        json!(17),
        json!([]),
        json!({"a": {"b": "mutant"}}),
    ];
    let replaced = values.into_iter().map(Change::Replaced);
    std::iter::once(Change::Removed).chain(replaced).collect()
}

/// An input that differs in all that is not read: it is as empty as the one that the service builds,
/// or full of other things.
fn changed(input: &Value, read: &Paths, change: &Change) -> Value {
    let Value::Object(members) = input else {
        return match change {
            Change::Replaced(value) if read.is_empty() => value.clone(),
            _ => input.clone(),
        };
    };
    changed_members(members, read, change)
}

fn changed_members(members: &Map<String, Value>, read: &Paths, change: &Change) -> Value {
    if read.is_whole() {
        return members.clone().into();
    }
    let mut others = Map::new();
    for (name, value) in members {
        match (read.member(name), value, change) {
            (Some(read), Value::Object(inner), _) => {
                others.insert(name.clone(), changed_members(inner, read, change));
            }
            (Some(_), value, _) => drop(others.insert(name.clone(), value.clone())),
            (None, _, Change::Removed) => {}
            (None, _, Change::Replaced(other)) => drop(others.insert(name.clone(), other.clone())),
        }
    }
    for name in ["a", "b", "mutant"] {
        if let Change::Replaced(other) = change
            && read.member(name).is_none()
        {
            others.entry(name).or_insert_with(|| other.clone());
        }
    }
    others.into()
}

fn settings() -> RegoSettings {
    RegoSettings {
        input: InputSettings::default(),
        asked: Asked::Rule("test/p".to_owned()),
        providers: BTreeMap::new(),
        evaluation_limit: Duration::from_secs(20),
        at_once: NonZeroUsize::MIN,
        runtime: None,
        caching: Caching::default(),
        outside: None,
    }
}

fn modules<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>, v0: bool) -> Vec<RegoModule> {
    let modules = texts.into_iter().map(|(path, text)| RegoModule {
        path: path.to_owned(),
        text: text.to_owned(),
        v0,
    });
    modules.collect()
}

/// The bindings of each solution of a query, or the error.
fn answer(policies: &RegoPolicies, query: &str, input: &Value) -> Result<Vec<String>, String> {
    let input = Data::from_json(input.clone());
    let ask = || policies.query(query, input, false, NOW_NS);
    let solutions = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
    let solutions = solutions.map_err(|_| "panics".to_owned())?;
    let solutions = solutions.map_err(|error| error.to_string())?;
    solutions.iter().map(Data::to_json).collect()
}

/// Holds the answers to all changes of an input against the one to itself.
fn check(policies: &RegoPolicies, query: &str, input: &Value, read: &Paths) -> Result<(), String> {
    let expected = answer(policies, query, input);
    for change in changes() {
        let other = changed(input, read, &change);
        let found = answer(policies, query, &other);
        if found != expected {
            return Err(format!(
                "`{query}` reads {:?} and answers {expected:?} to {input}, but {found:?} to {other}",
                read.references("input")
            ));
        }
    }
    Ok(())
}
