//! Rego modules and JSON documents that are pushed by themselves, as OPA's API has it: how a push of them
//! is made. What of all policy and data they may touch is left to `ownership`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::documents::{DocumentError, Documents, MAX_PARTS, MAX_PATCHES, Patch, Path};
use super::ownership::in_file;
use super::state::State;
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
            state.check_awaited()?;
            let mut candidate = state.clone();
            candidate.put_policy(&id, &text, this.settings.bundles.v0)?;
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

    /// Changes the document at a path. `only_new` leaves one alone that is there, and `None` is
    /// returned.
    pub async fn edit_data(
        self: &Arc<Self>,
        author: Author,
        path: Path,
        edit: Edit,
        only_new: bool,
        if_match: Option<u64>,
    ) -> Result<Option<u64>, ActivationError> {
        let attempt = Attempt::new(author, edit.action(), &slashed(&path));
        let this = Arc::clone(self);
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            if only_new && state.has_data(&path) {
                return Ok(None);
            }
            if !matches!(edit, Edit::Delete) {
                state.check_awaited()?;
            }
            let mut candidate = state.clone();
            let mut change = state.change(attempt);
            let edit = move || {
                candidate.edit_data(&path, edit, &mut change)?;
                Ok((candidate, change))
            };
            let (candidate, change) = this.in_background(edit).await?;
            this.activate(state, candidate, change).await.map(Some)
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
    /// Refuses what would take too long, or nest too deep.
    fn check(&self, path: &[String]) -> Result<(), DocumentError> {
        let patches = match self {
            Self::Patch(patches) => patches.as_slice(),
            Self::Put(_) | Self::Delete => &[],
        };
        let deepest = patches.iter().map(|patch| patch.path.len()).max();
        if path.len() + deepest.unwrap_or(0) > MAX_PARTS {
            return Err(DocumentError::TooDeep);
        }
        match patches.len() {
            count if count > MAX_PATCHES => Err(DocumentError::TooMany(count)),
            _ => Ok(()),
        }
    }

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

    pub(super) fn restore_policy(&mut self, id: String, text: String, v0: bool) {
        let path = id.clone();
        let module = RegoModule { path, text, v0 };
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

    fn put_policy(&mut self, id: &str, text: &str, v0: bool) -> Result<(), ActivationError> {
        let other = self.all_modules().any(|module| module.path == id);
        if other && self.policy(id).is_none() {
            return Err(in_file(&format!("policy `{id}`")));
        }
        let (id, text) = (id.to_owned(), text.to_owned());
        self.pushed.restore_policy(id, text, v0);
        Ok(())
    }

    fn delete_policy(&mut self, id: &str) -> Result<(), ActivationError> {
        if self.pushed.policies.remove(id).is_some() {
            return Ok(());
        }
        match self.all_modules().any(|module| module.path == id) {
            true => Err(in_file(&format!("policy `{id}`"))),
            false => Err(ActivationError::NotFound(format!("policy `{id}`"))),
        }
    }

    /// Rule: nothing takes the place of a bundle of which it is not known yet what it owns, and keeps it
    /// out.
    fn check_awaited(&self) -> Result<(), ActivationError> {
        match self.downloads.waits_for() {
            Some(name) => Err(ActivationError::Awaited(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Makes a change to documents, noting for the store what is another one now. Rule: what is active is
    /// what a start would read again, so that is what is kept.
    fn edit_data(
        &mut self,
        path: &[String],
        edit: Edit,
        change: &mut Change,
    ) -> Result<(), ActivationError> {
        let mut changed = BTreeSet::new();
        edit.check(path)?;
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
            let Some(document) = self.pushed.documents.get(&path) else {
                change.delete.push(id);
                continue;
            };
            let bytes = document.to_text().into_bytes();
            let stored = Data::parse(&bytes).map_err(DocumentError::NotStorable)?;
            change.put.push(Entry { id, bytes });
            self.pushed.documents.restore(path, stored);
        }
        Ok(())
    }

    /// Whether there is base data at a path, whoever owns it.
    fn has_data(&self, path: &[String]) -> bool {
        self.base_data().any(|data| data.at(path).is_some()) || self.pushed.documents.contains(path)
    }
}

impl From<DocumentError> for ActivationError {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}
