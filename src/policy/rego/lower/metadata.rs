//! `rego.metadata.chain()` and `rego.metadata.rule()`: written as what they come to, which is told by
//! the METADATA comments above rules and packages. Those that cannot be read say nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::keywords::Statements;
use super::{Output, SourceMap, row_and_column};
use crate::yaml::Document;

/// The calls.
const CHAIN: [&str; 7] = ["rego", ".", "metadata", ".", "chain", "(", ")"];
const RULE: [&str; 7] = ["rego", ".", "metadata", ".", "rule", "(", ")"];

/// Names one in the other, without `data`.
type Path = Vec<String>;

/// Annotations that hold in all modules, by the path of what they are about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Annotations {
    packages: BTreeMap<Path, Json>,
    subpackages: BTreeMap<Path, Json>,
    documents: BTreeMap<Path, Json>,
}

/// A METADATA comment and the statement that it stands above.
struct Block {
    scope: Scope,
    /// Where that statement begins.
    begin: usize,
    path: Path,
    annotations: Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Rule,
    Document,
    Package,
    Subpackages,
}

/// Whether a module asks for annotations.
pub(super) fn asks(text: &str) -> bool {
    text.contains("rego.metadata.")
}

impl Annotations {
    /// What all modules say.
    pub(super) fn of(texts: &[&str]) -> Self {
        let mut annotations = Self::default();
        for block in texts.iter().flat_map(|text| blocks(text)) {
            let places = match block.scope {
                Scope::Rule => continue,
                Scope::Document => &mut annotations.documents,
                Scope::Package => &mut annotations.packages,
                Scope::Subpackages => &mut annotations.subpackages,
            };
            places.entry(block.path).or_insert(block.annotations);
        }
        annotations
    }

    /// Rule: the rule's own, the nearest first, or the rule without any; its document's, its package's,
    /// and those for subpackages, from the inside out.
    fn chain(&self, own: &[&Json], package: &[String], path: &[String]) -> Json {
        let link =
            |path: &[String], annotations: &Json| json!({"path": path, "annotations": annotations});
        let mut chain: Vec<_> = own.iter().map(|own| link(path, own)).collect();
        if chain.is_empty() {
            chain.push(json!({"path": path}));
        }
        chain.extend(self.documents.get(path).map(|found| link(path, found)));
        chain.extend(self.packages.get(package).map(|found| link(package, found)));
        for length in (0..=package.len()).rev() {
            let outer = package.get(..length).unwrap_or_default();
            chain.extend(self.subpackages.get(outer).map(|found| link(outer, found)));
        }
        Json::from(chain)
    }
}

/// Writes the calls of a module as their values.
pub(super) fn lower(text: &str, annotations: &Annotations) -> SourceMap {
    let mut output = Output::new(text);
    let mut copied = 0;
    if asks(text) {
        let statements = Statements::of(text);
        let package = package_of(&statements);
        let blocks = blocks(text);
        for (begin, end, statement, is_chain) in calls(&statements) {
            let path = rule_path(&statements, statement, &package);
            let place = statements.place(statement.0);
            let own = blocks.iter().rev();
            let own = own.filter(|block| block.scope == Scope::Rule && block.begin == place);
            let own: Vec<_> = own.map(|block| &block.annotations).collect();
            let value = match (is_chain, own.first()) {
                (true, _) => annotations.chain(&own, &package, &path),
                (false, Some(own)) => (*own).clone(),
                (false, None) => json!({}),
            };
            output.copy(copied, begin);
            output.put(&value.to_string(), begin);
            copied = end;
        }
    }
    output.copy(copied, text.len());
    output.finish()
}

/// Where calls are, in which statement, and whether they ask for the chain.
fn calls(statements: &Statements<'_>) -> Vec<(usize, usize, (usize, usize), bool)> {
    let mut calls = Vec::new();
    for range in statements.ranges() {
        for index in range.0..range.1 {
            let is_call = |words: [&str; 7]| {
                let words = words.iter().enumerate();
                let mut same = words.map(|(offset, word)| statements.word(index + offset) == *word);
                same.all(|same| same) && !statements.is_field(index)
            };
            let is_chain = is_call(CHAIN);
            if is_chain || is_call(RULE) {
                let begin = statements.place(index);
                calls.push((begin, statements.place(index + 6) + 1, range, is_chain));
            }
        }
    }
    calls
}

fn package_of(statements: &Statements<'_>) -> Path {
    let mut ranges = statements.ranges();
    let package = ranges.find(|range| statements.word(range.0) == "package");
    package.map_or_else(Path::new, |(begin, end)| {
        ground_path(statements, begin + 1, end)
    })
}

fn rule_path(statements: &Statements<'_>, range: (usize, usize), package: &[String]) -> Path {
    let name = statements.name_of(range).unwrap_or(range.0);
    [package, &ground_path(statements, name, range.1)].concat()
}

/// The names a reference begins with.
fn ground_path(statements: &Statements<'_>, begin: usize, end: usize) -> Path {
    let mut path = vec![statements.word(begin).to_owned()];
    let mut at = begin + 1;
    while at < end {
        let string = || serde_json::from_str::<String>(statements.word(at + 1)).ok();
        match statements.word(at) {
            "." => {
                path.push(statements.word(at + 1).to_owned());
                at += 2;
            }
            "[" if statements.word(at + 2) == "]" => match string() {
                Some(name) => {
                    path.push(name);
                    at += 3;
                }
                None => break,
            },
            _ => break,
        }
    }
    path
}

// === Comments ===

/// Rule: a comment that begins with METADATA, and the comments on the lines right below it, at their
/// beginning. They are about the next statement.
fn blocks(text: &str) -> Vec<Block> {
    let statements = Statements::of(text);
    let package = package_of(&statements);
    let mut blocks = Vec::new();
    let mut lines = text.split_inclusive('\n').peekable();
    let mut at = 0;
    while let Some(line) = lines.next() {
        let begin = at;
        at += line.len();
        let comment = line.trim().strip_prefix('#').map(str::trim_start);
        let is_metadata = comment.is_some_and(|comment| comment.starts_with("METADATA"));
        if !is_metadata || statements.is_within_token(begin) {
            continue;
        }
        let mut yaml = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('#')) {
            at += line.len();
            let line = line.trim_end_matches(['\n', '\r']);
            let line = line.strip_prefix('#').unwrap_or(line);
            yaml.push_str(line.strip_prefix(' ').unwrap_or(line));
            yaml.push('\n');
        }
        let row = row_and_column(text, begin).0;
        let mut ranges = statements.ranges();
        let target = ranges.find(|range| {
            let place = statements.place(range.0);
            place > begin && row_and_column(text, place).0 > row
        });
        let block = target.and_then(|target| block(&statements, target, &package, &yaml));
        blocks.extend(block);
    }
    blocks
}

fn block(
    statements: &Statements<'_>,
    target: (usize, usize),
    package: &[String],
    yaml: &str,
) -> Option<Block> {
    let document = Document::parse_stream(yaml).ok()?.into_iter().next()?;
    let Json::Object(raw) = document.value else {
        return None;
    };
    let is_package = statements.word(target.0) == "package";
    let is_entrypoint = raw.get("entrypoint") == Some(&Json::Bool(true));
    let scope = match (raw.get("scope").and_then(Json::as_str), is_package) {
        (Some("document"), false) => Scope::Document,
        (Some("package"), true) | (None, true) => Scope::Package,
        (Some("subpackages"), true) => Scope::Subpackages,
        // Rule: what is asked as an entrypoint is the document.
        (None, false) if is_entrypoint => Scope::Document,
        (Some("rule") | None, false) => Scope::Rule,
        _ => return None,
    };
    let path = match is_package {
        true => package.to_vec(),
        false => rule_path(statements, target, package),
    };
    Some(Block {
        scope,
        begin: statements.place(target.0),
        path,
        annotations: annotations(scope, &raw),
    })
}

/// Rule: what is empty is left out.
fn annotations(scope: Scope, raw: &Map<String, Json>) -> Json {
    let scope = match scope {
        Scope::Rule => "rule",
        Scope::Document => "document",
        Scope::Package => "package",
        Scope::Subpackages => "subpackages",
    };
    let mut annotations = Map::from_iter([("scope".to_owned(), Json::from(scope))]);
    for (name, value) in raw {
        let items = |of: fn(&Json) -> Option<Json>| {
            let items = value.as_array().into_iter().flatten();
            items.filter_map(of).collect::<Vec<_>>()
        };
        let value = match name.as_str() {
            "title" | "description" => value.as_str().map(Json::from),
            "entrypoint" => value.as_bool().filter(|is| *is).map(Json::from),
            "organizations" => Some(Json::from(items(|item| item.as_str().map(Json::from)))),
            "related_resources" => Some(Json::from(items(resource))),
            "authors" => Some(Json::from(items(author))),
            "schemas" => Some(Json::from(items(schema))),
            "custom" => value.is_object().then(|| value.clone()),
            _ => None,
        };
        let is_empty = |value: &Json| match value {
            Json::String(text) => text.is_empty(),
            Json::Array(items) => items.is_empty(),
            Json::Object(members) => members.is_empty(),
            _ => false,
        };
        if let Some(value) = value.filter(|value| !is_empty(value)) {
            annotations.insert(name.clone(), value);
        }
    }
    Json::from(annotations)
}

/// Rule: a URL, or `ref` and `description`.
fn resource(raw: &Json) -> Option<Json> {
    match raw {
        Json::String(url) => Some(json!({"ref": url})),
        Json::Object(members) => {
            let url = members.get("ref")?.as_str()?;
            match members.get("description").and_then(Json::as_str) {
                None | Some("") => Some(json!({"ref": url})),
                Some(text) => Some(json!({"ref": url, "description": text})),
            }
        }
        _ => None,
    }
}

/// Rule: a name and perhaps an address in `<>`, or `name` and `email`.
fn author(raw: &Json) -> Option<Json> {
    let (name, email) = match raw {
        Json::String(text) => {
            let words: Vec<_> = text.split_whitespace().collect();
            let (last, before) = words.split_last()?;
            let email = last
                .strip_prefix('<')
                .and_then(|last| last.strip_suffix('>'));
            match email {
                Some(email) => (before.join(" "), email.to_owned()),
                None => (words.join(" "), String::new()),
            }
        }
        Json::Object(members) => {
            let text = |name: &str| {
                let text = members.get(name).and_then(Json::as_str);
                text.unwrap_or_default().trim().to_owned()
            };
            (text("name"), text("email"))
        }
        _ => return None,
    };
    let parts = [("name", name), ("email", email)];
    let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
    let author = Map::from_iter(parts.map(|(name, text)| (name.to_owned(), Json::from(text))));
    (!author.is_empty()).then_some(Json::from(author))
}

/// Rule: a path with the name of a schema or the schema itself.
fn schema(raw: &Json) -> Option<Json> {
    let (path, schema) = raw.as_object()?.iter().next()?;
    let parts = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
    match schema {
        Json::String(name) => Some(json!({"path": parts(path), "schema": parts(name)})),
        definition => Some(json!({"path": parts(path), "definition": definition})),
    }
}
