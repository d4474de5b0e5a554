//! Putting file and environment together, and saying everything that is wrong with them.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Config, ConfigError, DEFAULT_FILE, Flag};
use crate::yaml::{Document, Problem};

/// Beginning of the environment's names.
const PREFIX: &str = "DOORWARD__";
/// Most problems reported at once.
const MAX_PROBLEMS: usize = 50;
/// Names further apart than this are not suggested.
const MIN_SIMILARITY: f64 = 0.6;

/// A value that does not come from the file.
struct Override {
    /// Variable or flag.
    name: String,
    /// Dotted path in the configuration.
    path: String,
}

pub(super) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Config, ConfigError> {
    let shown = file
        .unwrap_or(Path::new(DEFAULT_FILE))
        .display()
        .to_string();
    let mut document = read_file(file, &shown)?;
    let mut overrides = override_with(&mut document, environment)?;
    for flag in flags {
        let path: Vec<_> = flag.path.split('.').map(str::to_owned).collect();
        set(&mut document.value, &path, Value::from(flag.value.as_str()));
        overrides.push(Override {
            name: flag.name.to_owned(),
            path: flag.path.to_owned(),
        });
    }
    let describe = |problem: Problem| {
        // The last one given wins; it may have set a whole section.
        let from = overrides.iter().rev().find(|entry| {
            let rest = problem.path.strip_prefix(entry.path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        match (from, problem.mark) {
            (Some(entry), _) => format!("{}: {}", entry.name, problem.message),
            (None, Some(_)) => format!("{shown}:{problem}"),
            (None, None) => format!("{shown}: {problem}"),
        }
    };
    let (config, mut problems) = read_all::<Config>(document.clone());
    let more = config.as_ref().map(Config::problems).unwrap_or_default();
    problems.extend(
        more.into_iter()
            .map(|(path, why)| document.problem(path, why)),
    );
    problems.sort_by_key(|problem| problem.mark.map(|mark| (mark.row, mark.col)));
    let messages: Vec<_> = problems.into_iter().map(describe).collect();
    match config {
        Some(config) if messages.is_empty() => Ok(config),
        _ => Err(ConfigError(messages)),
    }
}

fn read_file(file: Option<&Path>, shown: &str) -> Result<Document, ConfigError> {
    let fail = |why: String| ConfigError(vec![format!("{shown}: {why}")]);
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    if file.is_none() && !path.exists() {
        return Ok(Document::from_value(Value::Object(serde_json::Map::new())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let mut documents = Document::parse_stream(&text)
        .map_err(|problem| ConfigError(vec![format!("{shown}:{problem}")]))?;
    match documents.len() {
        0 => Ok(Document::from_value(Value::Object(serde_json::Map::new()))),
        1 => Ok(documents.remove(0)),
        _ => Err(fail("holds more than one document".to_owned())),
    }
}

/// Rule: `DOORWARD__MESH__DEFAULT_ACTION=allow` sets `mesh.default_action`; the value is YAML.
fn override_with(
    document: &mut Document,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>, ConfigError> {
    let mut overrides = Vec::new();
    for (variable, text) in environment {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            // One underscore too few would leave a setting at its default.
            if variable.starts_with("DOORWARD_") && variable.contains("__") {
                let why = format!("{variable}: settings begin with `{PREFIX}`");
                return Err(ConfigError(vec![why]));
            }
            continue;
        };
        let path: Vec<_> = name.split("__").map(str::to_ascii_lowercase).collect();
        let parsed = Document::parse_stream(&text)
            .map_err(|problem| ConfigError(vec![format!("{variable}: {}", problem.message)]))?;
        let value = parsed
            .into_iter()
            .next()
            .map_or(Value::Null, |document| document.value);
        set(&mut document.value, &path, value);
        overrides.push(Override {
            name: variable,
            path: path.join("."),
        });
    }
    Ok(overrides)
}

fn set(target: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Some(object) = target.as_object_mut() {
        set(
            object.entry(first.clone()).or_insert(Value::Null),
            rest,
            value,
        );
    }
}

/// Reads a document, taking out what is wrong and going on, until all of it has been seen.
fn read_all<T: DeserializeOwned>(mut document: Document) -> (Option<T>, Vec<Problem>) {
    let mut problems = Vec::new();
    while problems.len() < MAX_PROBLEMS {
        match document.read::<T>() {
            Ok(read) => return (Some(read), problems),
            Err(problem) => {
                let problem = problem.without_value();
                let path = faulty_path(&problem);
                let problem = Problem {
                    mark: document.locate(&path),
                    message: suggest(&problem.message),
                    path: path.clone(),
                };
                problems.push(problem);
                if !remove(&mut document.value, &path) {
                    break;
                }
            }
        }
    }
    (None, problems)
}

/// Path of the value that is wrong; for an unknown key, of the key.
fn faulty_path(problem: &Problem) -> String {
    let unknown = problem
        .message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    match unknown {
        Some(key) if problem.path.is_empty() => key.to_owned(),
        Some(key) if problem.path != key && !problem.path.ends_with(&format!(".{key}")) => {
            format!("{}.{key}", problem.path)
        }
        _ => problem.path.clone(),
    }
}

/// Names the known key that was probably meant.
fn suggest(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.to_owned();
    };
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    let best = names
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match best {
        Some((similarity, known)) if similarity >= MIN_SIMILARITY => {
            format!("unknown key `{unknown}`, did you mean `{known}`?")
        }
        _ => format!("unknown key `{unknown}`"),
    }
}

/// Takes a value out of a tree by its path; tells whether it was there.
fn remove(value: &mut Value, path: &str) -> bool {
    let pointer: String = path
        .split(['.', '['])
        .filter(|step| !step.is_empty())
        .map(|step| format!("/{}", step.trim_end_matches(']')))
        .collect();
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return false;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(object)) => object.remove(last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}
