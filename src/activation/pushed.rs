//! Rego modules and JSON documents that are pushed by themselves, as OPA's API has it: what of all policy
//! and data they may touch, and how a push of them is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::documents::{DocumentError, Documents, Patch, Path};
use super::state::{Owner, State};
use super::{Activation, ActivationError};
use crate::policy::rego::{Data, RegoModule, slashed};
use crate::store::{Action, Attempt, Author, Change, Entry, EntryId, EntryKind};

/// What was pushed by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Pushed {
    /// By their ids.
    pub(super) policies: BTreeMap<String, Arc<RegoModule>>,
    pub(super) documents: Documents,
}

/// What is done to a document.
#[derive(Debug, Clone)]
pub enum Edit {
    Put(Data),
    /// All or none.
    Patch(Vec<Patch>),
    Delete,
}

/// A Rego module as the API shows it.
#[derive(Debug, Clone)]
pub struct Policy {
    pub id: String,
    pub text: String,
}

impl Activation {
    /// Puts a Rego module; the same text again changes nothing.
    pub async fn put_policy(
        self: &Arc<Self>,
        author: Author,
        id: &str,
        text: String,
        if_match: Option<u64>,
    ) -> Result<u64, ActivationError> {
        let attempt = Attempt::new(author, Action::PutPolicy, id).of(text.as_bytes());
        let (this, id) = (Arc::clone(self), id.to_owned());
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            if state.policy(&id).is_some_and(|known| known.text == text) {
                return Ok(state.revision);
            }
            let mut candidate = state.clone();
            candidate.put_policy(&id, &text)?;
            let mut change = state.change(attempt);
            let entry = Entry::new(EntryKind::Policy, id, text.into_bytes());
            change.put.push(entry);
            this.activate(state, candidate, change).await
        })
        .await
    }

    /// Removes a Rego module.
    pub async fn delete_policy(
        self: &Arc<Self>,
        author: Author,
        id: &str,
        if_match: Option<u64>,
    ) -> Result<u64, ActivationError> {
        let attempt = Attempt::new(author, Action::DeletePolicy, id);
        let (this, id) = (Arc::clone(self), id.to_owned());
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            let mut candidate = state.clone();
            candidate.delete_policy(&id)?;
            let mut change = state.change(attempt);
            change.delete.push(EntryId::new(EntryKind::Policy, id));
            this.activate(state, candidate, change).await
        })
        .await
    }

    /// Changes the document at a path. `only_new` leaves one alone that is there, and `false` is
    /// returned.
    pub async fn edit_data(
        self: &Arc<Self>,
        author: Author,
        path: Path,
        edit: Edit,
        only_new: bool,
        if_match: Option<u64>,
    ) -> Result<bool, ActivationError> {
        let attempt = Attempt::new(author, edit.action(), &slashed(&path));
        let this = Arc::clone(self);
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            if only_new && state.has_data(&path) {
                return Ok(false);
            }
            let mut candidate = state.clone();
            let mut change = state.change(attempt);
            candidate.edit_data(&path, edit, &mut change)?;
            this.activate(state, candidate, change).await?;
            Ok(true)
        })
        .await
    }

    /// Every Rego module, whoever owns it.
    pub async fn policies(&self) -> Vec<Policy> {
        let state = self.state.lock().await;
        let modules = state.all_modules();
        let policies = modules.map(|module| Policy {
            id: module.path.clone(),
            text: module.text.clone(),
        });
        policies.collect()
    }
}

impl Edit {
    fn action(&self) -> Action {
        match self {
            Self::Put(_) => Action::PutData,
            Self::Patch(_) => Action::PatchData,
            Self::Delete => Action::DeleteData,
        }
    }
}

// === impl Pushed ===

impl Pushed {
    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.documents.is_empty()
    }

    pub(super) fn restore_policy(&mut self, id: String, text: String) {
        let module = RegoModule {
            path: id.clone(),
            text,
            v0: false,
        };
        self.policies.insert(id, Arc::new(module));
    }

    /// `false` if the entry is none of a document.
    pub(super) fn restore_document(&mut self, key: &str, json: &[u8]) -> bool {
        let path = serde_json::from_str::<Path>(key);
        let document = Data::parse(json);
        match (path, document) {
            (Ok(path), Ok(document)) => {
                self.documents.restore(path, document);
                true
            }
            _ => false,
        }
    }
}

/// Under what the store keeps a document.
fn document_id(path: &Path) -> EntryId {
    let key = serde_json::Value::from(path.as_slice()).to_string();
    EntryId::new(EntryKind::Data, key)
}

// === impl State ===

impl State {
    fn policy(&self, id: &str) -> Option<&RegoModule> {
        self.pushed.policies.get(id).map(Arc::as_ref)
    }

    fn put_policy(&mut self, id: &str, text: &str) -> Result<(), ActivationError> {
        let other = self.all_modules().any(|module| module.path == id);
        if other && self.policy(id).is_none() {
            return Err(in_file_too(id));
        }
        self.pushed.restore_policy(id.to_owned(), text.to_owned());
        Ok(())
    }

    fn delete_policy(&mut self, id: &str) -> Result<(), ActivationError> {
        if self.pushed.policies.remove(id).is_some() {
            return Ok(());
        }
        match self.all_modules().any(|module| module.path == id) {
            true => Err(in_file_too(id)),
            false => Err(ActivationError::NotFound(format!("policy `{id}`"))),
        }
    }

    /// Makes a change to documents, noting for the store what is another one now.
    fn edit_data(
        &mut self,
        path: &[String],
        edit: Edit,
        change: &mut Change,
    ) -> Result<(), ActivationError> {
        let mut changed = BTreeSet::new();
        match edit {
            Edit::Put(value) => {
                self.check_path(path)?;
                changed.extend(self.pushed.documents.put(path, value)?);
            }
            Edit::Delete => {
                self.check_path(path)?;
                changed.extend(self.pushed.documents.remove(path)?);
            }
            Edit::Patch(patches) => {
                for patch in patches {
                    let whole: Path = path.iter().chain(&patch.path).cloned().collect();
                    self.check_path(&whole)?;
                    changed.extend(self.pushed.documents.patch(path, patch)?);
                }
            }
        }
        for path in changed {
            let id = document_id(&path);
            match self.pushed.documents.get(&path) {
                Some(document) => change.put.push(Entry {
                    id,
                    bytes: document.to_text().into_bytes(),
                }),
                None => change.delete.push(id),
            }
        }
        Ok(())
    }

    /// Whether there is base data at a path, whoever owns it.
    fn has_data(&self, path: &[String]) -> bool {
        self.base_data().any(|data| data.at(path).is_some()) || self.pushed.documents.contains(path)
    }

    /// Rule: what is pushed by itself lies outside of the roots of bundles, and no file has the same
    /// package, or says something at the same path.
    pub(super) fn check_pushed(&self) -> Result<(), ActivationError> {
        if self.pushed.is_empty() {
            return Ok(());
        }
        let package = |module: &RegoModule| module.package().map(|(package, _)| package);
        let of_files: BTreeSet<_> = self.file_modules().filter_map(package).collect();
        for module in self.pushed.policies.values() {
            if self.file_modules().any(|file| file.path == module.path) {
                return Err(in_file_too(&module.path));
            }
            // One that has no package is left to the compiler, which says why.
            let Some(package) = package(module) else {
                continue;
            };
            self.check_bundles(&package)?;
            if of_files.contains(&package) {
                return Err(in_file(&package));
            }
        }
        let mut paths = self.pushed.documents.paths();
        paths.try_for_each(|path| self.check_path(path))
    }

    fn check_path(&self, path: &[String]) -> Result<(), ActivationError> {
        self.check_bundles(path)?;
        let joined = path.join("/");
        let of_files = self.file_data();
        let meets = |leaf: &str| {
            let leaf: Vec<_> = leaf.split('/').collect();
            let depth = leaf.len().min(path.len());
            leaf.iter()
                .zip(path)
                .take(depth)
                .all(|(one, other)| one == other)
        };
        match of_files.find_path(meets) {
            Some(leaf) if joined.is_empty() => Err(in_file(&[leaf])),
            Some(_) => Err(in_file(path)),
            None => Ok(()),
        }
    }

    fn check_bundles(&self, path: &[String]) -> Result<(), ActivationError> {
        let joined = path.join("/");
        let owner = self
            .all_bundles()
            .find(|bundle| bundle.manifest.touches(&joined));
        let Some(bundle) = owner else { return Ok(()) };
        let name = &bundle.name;
        let owns_all = bundle.manifest.roots.iter().any(String::is_empty);
        Err(ActivationError::InBundle(match (owns_all, path) {
            (true, _) => format!("all paths owned by bundle \"{name}\""),
            (false, []) => "can't write to document root with bundle roots configured".to_owned(),
            (false, _) => format!("path {joined} is owned by bundle \"{name}\""),
        }))
    }
}

fn in_file_too(id: &str) -> ActivationError {
    ActivationError::Owned {
        what: format!("policy `{id}`"),
        owner: Owner::File,
    }
}

fn in_file(path: &[String]) -> ActivationError {
    ActivationError::Owned {
        what: format!("data.{}", path.join(".")),
        owner: Owner::File,
    }
}

impl From<DocumentError> for ActivationError {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}
