//! JSON documents that were pushed by themselves, by their paths: none of them lies within another, so
//! that a write touches one of them and is stored as that one. Who owns a path is left to `state`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use thiserror::Error;

use crate::policy::rego::{Data, EditError, JsonError};

/// Most parts of a path.
pub(super) const MAX_PARTS: usize = 200;
/// Most changes that are made together.
pub(super) const MAX_PATCHES: usize = 10_000;

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
    #[error("a path of more than {MAX_PARTS} parts")]
    TooDeep,
    #[error("{0} changes to one document, more than {MAX_PATCHES}")]
    TooMany(usize),
    #[error("it would be no document that can be stored: {0}")]
    NotStorable(JsonError),
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
        let from = self
            .0
            .range::<[String], _>((Bound::Included(path), Bound::Unbounded));
        let from = from.map(|(at, _)| at);
        from.take_while(move |at| at.starts_with(path))
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
