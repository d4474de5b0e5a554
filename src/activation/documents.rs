//! JSON documents that were pushed by themselves, by their paths: none of them lies within another, so
//! that a write touches one of them and is stored as that one. Who owns a path is left to `state`.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::policy::rego::{Data, EditError};

/// A path under `data`.
pub type Path = Vec<String>;

/// The documents.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents(BTreeMap<Path, Data>);

/// One change of several that are made together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    pub operation: Operation,
    /// Relative to where all of them are made.
    pub path: Path,
    pub value: Data,
}

/// What a patch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Where something can be: its parent must be there.
    Add,
    Remove,
    Replace,
}

/// What a document cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DocumentError {
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error("object must be placed at the root of all data")]
    Root,
}

impl Documents {
    /// As they were stored.
    pub(super) fn restore(&mut self, path: Path, document: Data) {
        self.0.insert(path, document);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, path: &[String]) -> Option<&Data> {
        self.0.get(path)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys()
    }

    /// Whether anything is at a path.
    pub(super) fn contains(&self, path: &[String]) -> bool {
        match self.around(path) {
            Some((base, document)) => document
                .at(path.get(base.len()..).unwrap_or_default())
                .is_some(),
            None => path.is_empty() || self.within(path).next().is_some(),
        }
    }

    /// Writes a document. Returned are the paths of documents that are other ones now, or gone.
    pub(super) fn put(
        &mut self,
        path: &[String],
        value: Data,
    ) -> Result<BTreeSet<Path>, DocumentError> {
        if path.is_empty() {
            return self.put_all(value);
        }
        if let Some((base, document)) = self.around_mut(path) {
            let rest = path.get(base.len()..).unwrap_or_default();
            document
                .put(rest, value)
                .map_err(|error| error.under(&base))?;
            return Ok(BTreeSet::from([base]));
        }
        let mut changed = self.take_within(path);
        self.0.insert(path.to_vec(), value);
        changed.insert(path.to_vec());
        Ok(changed)
    }

    /// Rule: the root is an object, whose members are documents of their own.
    fn put_all(&mut self, value: Data) -> Result<BTreeSet<Path>, DocumentError> {
        let members = value.into_members().ok_or(DocumentError::Root)?;
        let mut changed = self.take_within(&[]);
        for (name, member) in members {
            changed.insert(vec![name.clone()]);
            self.0.insert(vec![name], member);
        }
        Ok(changed)
    }

    /// Takes out what is at a path.
    pub(super) fn remove(&mut self, path: &[String]) -> Result<BTreeSet<Path>, DocumentError> {
        if let Some((base, document)) = self.around_mut(path) {
            let rest = path.get(base.len()..).unwrap_or_default();
            if rest.is_empty() {
                self.0.remove(&base);
            } else {
                document.remove(rest).map_err(|error| error.under(&base))?;
            }
            return Ok(BTreeSet::from([base]));
        }
        let gone = self.take_within(path);
        match gone.is_empty() {
            true => Err(missing(path)),
            false => Ok(gone),
        }
    }

    /// Makes one change of a patch at a path.
    pub(super) fn patch(
        &mut self,
        base: &[String],
        patch: Patch,
    ) -> Result<BTreeSet<Path>, DocumentError> {
        let path: Path = base.iter().cloned().chain(patch.path).collect();
        let parent = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
        match patch.operation {
            Operation::Remove => self.remove(&path),
            Operation::Add if self.contains(parent) => self.put(&path, patch.value),
            Operation::Add => Err(missing(parent)),
            Operation::Replace if !self.contains(&path) => Err(missing(&path)),
            Operation::Replace => match self.around_mut(&path) {
                Some((base, document)) => {
                    let rest = path.get(base.len()..).unwrap_or_default();
                    let replaced = document.replace(rest, patch.value);
                    replaced.map_err(|error| error.under(&base))?;
                    Ok(BTreeSet::from([base]))
                }
                None => self.put(&path, patch.value),
            },
        }
    }

    /// All of them as one document.
    pub(super) fn merged(&self) -> Result<Data, String> {
        let mut all = Data::default();
        for (path, document) in &self.0 {
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            all.merge(document.clone().nested_under(&path))?;
        }
        Ok(all)
    }

    /// The document that a path is in.
    fn around(&self, path: &[String]) -> Option<(&Path, &Data)> {
        let mut beginnings = (0..=path.len()).filter_map(|length| path.get(..length));
        beginnings.find_map(|beginning| self.0.get_key_value(beginning))
    }

    fn around_mut(&mut self, path: &[String]) -> Option<(Path, &mut Data)> {
        let base = self.around(path)?.0.clone();
        let document = self.0.get_mut(&base)?;
        Some((base, document))
    }

    /// Documents that lie within a path.
    fn within<'a>(&'a self, path: &'a [String]) -> impl Iterator<Item = &'a Path> {
        self.0.keys().filter(move |at| at.starts_with(path))
    }

    fn take_within(&mut self, path: &[String]) -> BTreeSet<Path> {
        let within: BTreeSet<_> = self.within(path).cloned().collect();
        within.iter().for_each(|at| drop(self.0.remove(at)));
        within
    }
}

fn missing(path: &[String]) -> DocumentError {
    EditError::missing(path).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        text.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn operation(name: &str) -> Operation {
        match name {
            "add" => Operation::Add,
            "remove" => Operation::Remove,
            _ => Operation::Replace,
        }
    }

    /// Puts, and then makes a change; the whole afterwards, or the error, and which documents there are.
    fn check(
        puts: &[(&str, serde_json::Value)],
        change: (&str, &str, serde_json::Value),
        expected: Result<serde_json::Value, &str>,
        paths: &[&str],
    ) {
        let mut documents = Documents::default();
        for (at, value) in puts {
            documents
                .put(&path(at), Data::from_json(value.clone()))
                .unwrap();
        }
        let (name, at, value) = change;
        let value = Data::from_json(value);
        let result = match name {
            "put" => documents.put(&path(at), value),
            "delete" => documents.remove(&path(at)),
            name => documents.patch(
                &[],
                Patch {
                    operation: operation(name),
                    path: path(at),
                    value,
                },
            ),
        };
        let shown = format!("{puts:?}, {name} {at}");
        let actual = result.map(|_| {
            serde_json::from_str(&documents.merged().unwrap().opa_text().unwrap()).unwrap()
        });
        assert_eq!(
            actual.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned),
            "{shown}"
        );
        let left: Vec<_> = documents.paths().map(|path| path.join("/")).collect();
        assert_eq!(left, paths, "{shown}");
        let apart = |(at, one): (usize, &Path)| {
            documents
                .0
                .keys()
                .skip(at + 1)
                .all(|other| !other.starts_with(one))
        };
        assert!(documents.0.keys().enumerate().all(apart), "{shown}");
    }

    #[test]
    fn a_write_touches_the_document_it_is_in() {
        let none = json!(null);
        check(
            &[],
            ("put", "a/b", json!(1)),
            Ok(json!({"a": {"b": 1}})),
            &["a/b"],
        );
        check(
            &[("a/b", json!(1))],
            ("put", "a/c", json!(2)),
            Ok(json!({"a": {"b": 1, "c": 2}})),
            &["a/b", "a/c"],
        );
        check(
            &[("a/b", json!(1)), ("a/c", json!(2))],
            ("put", "a", json!({"x": 1})),
            Ok(json!({"a": {"x": 1}})),
            &["a"],
        );
        check(
            &[("a", json!({"b": {}}))],
            ("put", "a/b/c/d", json!(1)),
            Ok(json!({"a": {"b": {"c": {"d": 1}}}})),
            &["a"],
        );
        check(
            &[("a", json!({"b": 1}))],
            ("put", "a/b/c", json!(1)),
            Err("storage_write_conflict_error: /a/b"),
            &["a"],
        );
        check(
            &[("a", json!([1]))],
            ("put", "a/0/x", json!(1)),
            Err("storage_write_conflict_error: /a/0"),
            &["a"],
        );
        check(
            &[("a", json!([1, 2]))],
            ("put", "a/1", json!(3)),
            Ok(json!({"a": [1, 3, 2]})),
            &["a"],
        );
        check(
            &[("a", json!(1))],
            ("put", "", json!({"b": 1, "c": {}})),
            Ok(json!({"b": 1, "c": {}})),
            &["b", "c"],
        );
        check(
            &[("a", json!(1))],
            ("put", "", json!([1])),
            Err("object must be placed at the root of all data"),
            &["a"],
        );
        check(
            &[("a/b", json!(1))],
            ("delete", "a/b", none.clone()),
            Ok(json!({})),
            &[],
        );
        check(
            &[("a/b", json!(1)), ("a/c", json!(2))],
            ("delete", "a", none.clone()),
            Ok(json!({})),
            &[],
        );
        check(
            &[("a", json!({"b": 1, "c": 2}))],
            ("delete", "a/b", none.clone()),
            Ok(json!({"a": {"c": 2}})),
            &["a"],
        );
        check(
            &[("a", json!({"b": 1}))],
            ("delete", "a/x", none.clone()),
            Err("storage_not_found_error: /a/x: document does not exist"),
            &["a"],
        );
        check(
            &[],
            ("delete", "a", none),
            Err("storage_not_found_error: /a: document does not exist"),
            &[],
        );
    }

    #[test]
    fn patches() {
        let start = [("a", json!({"l": [1, 2], "o": {}}))];
        let rows = [
            (
                ("add", "a/l/-", json!(3)),
                Ok(json!({"a": {"l": [1, 2, 3], "o": {}}})),
            ),
            (
                ("add", "a/l/0", json!(3)),
                Ok(json!({"a": {"l": [3, 1, 2], "o": {}}})),
            ),
            (
                ("add", "a/l/3", json!(3)),
                Err("storage_not_found_error: /a/l/3: array index out of range"),
            ),
            (
                ("add", "a/l/x", json!(3)),
                Err("storage_not_found_error: /a/l/x: array index must be integer"),
            ),
            (
                ("add", "a/x/y", json!(3)),
                Err("storage_not_found_error: /a/x: document does not exist"),
            ),
            (
                ("add", "b", json!(3)),
                Ok(json!({"a": {"l": [1, 2], "o": {}}, "b": 3})),
            ),
            (
                ("replace", "a/l/0", json!(3)),
                Ok(json!({"a": {"l": [3, 2], "o": {}}})),
            ),
            (
                ("replace", "a/x", json!(3)),
                Err("storage_not_found_error: /a/x: document does not exist"),
            ),
            (("replace", "a", json!(3)), Ok(json!({"a": 3}))),
            (
                ("remove", "a/l/0", json!(null)),
                Ok(json!({"a": {"l": [2], "o": {}}})),
            ),
            (
                ("remove", "a/l/2", json!(null)),
                Err("storage_not_found_error: /a/l/2: array index out of range"),
            ),
            (
                ("remove", "a/zz", json!(null)),
                Err("storage_not_found_error: /a/zz: document does not exist"),
            ),
        ];
        for (change, expected) in rows {
            let left: &[&str] = if change.1 == "b" { &["a", "b"] } else { &["a"] };
            check(&start, change, expected, left);
        }
    }
}
