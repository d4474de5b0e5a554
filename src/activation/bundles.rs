//! Bundles that come over the API: read before anybody waits for them, kept as they were pushed;
//! and deltas, which are kept as the bundle they make.

use std::sync::Arc;

use super::state::{Owner, State};
use super::{Activation, ActivationError, invalid_bundle};
use crate::bundle::{Bundle, BundleSettings, Content};
use crate::policy::PolicyError;
use crate::store::{Action, Attempt, Author, Change, Entry, EntryId, EntryKind};

/// A bundle that was put.
#[derive(Debug)]
pub struct PushedBundle {
    pub name: String,
    /// Its manifest's.
    pub revision: String,
    /// The new snapshot's.
    pub snapshot: u64,
    /// What of it has no effect.
    pub warnings: Vec<PolicyError>,
}

/// An archive, read: the bundle's name, what is in it, and its bytes.
pub(super) type ReadArchive = (String, Content, Vec<u8>);

impl Activation {
    /// Puts a bundle.
    pub async fn put_bundle(
        self: &Arc<Self>,
        author: Author,
        name: &str,
        archive: Vec<u8>,
        if_match: Option<u64>,
    ) -> Result<PushedBundle, ActivationError> {
        let attempt = Attempt::new(author, Action::PutBundle, name).of(&archive);
        let sent = vec![(name.to_owned(), archive)];
        let mut pushed = self.put_archives(attempt, sent, if_match).await?;
        let one = pushed.pop();
        one.ok_or_else(|| ActivationError::Internal("no bundle was put".to_owned()))
    }

    /// Puts bundles by their names, all or none, as one revision.
    pub async fn put_bundles(
        self: &Arc<Self>,
        author: Author,
        sent: Vec<(String, Vec<u8>)>,
        if_match: Option<u64>,
    ) -> Result<Vec<PushedBundle>, ActivationError> {
        let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
        let attempt = Attempt::new(author, Action::PutBundle, &names.join(", "));
        self.put_archives(attempt, sent, if_match).await
    }

    async fn put_archives(
        self: &Arc<Self>,
        attempt: Attempt,
        sent: Vec<(String, Vec<u8>)>,
        if_match: Option<u64>,
    ) -> Result<Vec<PushedBundle>, ActivationError> {
        let this = Arc::clone(self);
        self.attempt(attempt.clone(), async move {
            let settings = this.settings.bundles.clone();
            let read = this
                .in_background(move || read_archives(sent, &settings))
                .await?;
            let state = this.writable(if_match).await?;
            let mut candidate = state.clone();
            let mut change = state.change(attempt);
            let pushed = this.put_read(read, &mut candidate, &mut change).await?;
            let snapshot = this.activate(state, candidate, change).await?;
            let pushed = pushed.into_iter();
            Ok(pushed
                .map(|bundle| PushedBundle { snapshot, ..bundle })
                .collect())
        })
        .await
    }

    /// Puts bundles that were read, noting for the store what is new.
    pub(super) async fn put_read(
        &self,
        read: Vec<ReadArchive>,
        candidate: &mut State,
        change: &mut Change,
    ) -> Result<Vec<PushedBundle>, ActivationError> {
        let mut pushed = Vec::with_capacity(read.len());
        for (name, content, archive) in read {
            candidate.require_api_bundle(&name)?;
            let (bundle, archive) = match content {
                Content::Whole(bundle) => (*bundle, archive),
                Content::Delta(delta) => {
                    let base = candidate.shared_bundle(&name);
                    let base = base.ok_or_else(|| nothing_to_change(&name))?;
                    let settings = self.settings.bundles.clone();
                    let change = move || {
                        let changed = base.changed_by(&delta, &settings);
                        changed.map_err(|error| invalid_bundle(error, &base.name))
                    };
                    self.in_background(change).await?
                }
            };
            pushed.push(PushedBundle {
                name: name.clone(),
                revision: bundle.manifest.revision.clone(),
                snapshot: 0,
                warnings: bundle.warnings.clone(),
            });
            candidate.put_bundle(Arc::new(bundle), Owner::Api);
            let entry = Entry::new(EntryKind::Bundle, name, archive);
            change.put.push(entry);
        }
        Ok(pushed)
    }

    /// Removes a bundle.
    pub async fn delete_bundle(
        self: &Arc<Self>,
        author: Author,
        name: &str,
        if_match: Option<u64>,
    ) -> Result<u64, ActivationError> {
        let attempt = Attempt::new(author, Action::DeleteBundle, name);
        let (this, name) = (Arc::clone(self), name.to_owned());
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            state.require_api_bundle(&name)?;
            let mut candidate = state.clone();
            if !candidate.delete_bundle(&name) {
                return Err(ActivationError::NotFound(format!("bundle `{name}`")));
            }
            let mut change = state.change(attempt);
            change.delete.push(EntryId::new(EntryKind::Bundle, name));
            this.activate(state, candidate, change).await
        })
        .await
    }
}

/// What is sent, read; or everything that is wrong with it.
pub(super) fn read_archives(
    sent: Vec<(String, Vec<u8>)>,
    settings: &BundleSettings,
) -> Result<Vec<ReadArchive>, ActivationError> {
    let mut read = Vec::with_capacity(sent.len());
    let mut errors = Vec::new();
    for (name, archive) in sent {
        match Bundle::read_archive(&name, &archive, settings) {
            Ok(content) => read.push((name, content, archive)),
            Err(error) => errors.push(error.into_policy_error(&name)),
        }
    }
    match errors.is_empty() {
        true => Ok(read),
        false => Err(ActivationError::Invalid(errors)),
    }
}

fn nothing_to_change(name: &str) -> ActivationError {
    let what = format!("bundle `{name}` that the delta could change: push it whole first");
    ActivationError::NotFound(what)
}
