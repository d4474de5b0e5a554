//! Bundles that come over the API: read before anybody waits for them, kept as they were pushed;
//! and deltas, which are kept as the bundle they make.

use std::sync::Arc;

use super::state::Owner;
use super::{Activation, ActivationError, blocking, invalid_bundle};
use crate::bundle::{Bundle, BundleError, Content, Delta};
use crate::policy::PolicyError;
use crate::store::{Action, Attempt, Author, Entry, EntryId, EntryKind};

/// A bundle that was put.
#[derive(Debug)]
pub struct PushedBundle {
    /// Its manifest's.
    pub revision: String,
    /// The new snapshot's.
    pub snapshot: u64,
    /// What of it has no effect.
    pub warnings: Vec<PolicyError>,
}

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
        let (this, name) = (Arc::clone(self), name.to_owned());
        self.attempt(attempt.clone(), async move {
            let settings = this.settings.bundles.clone();
            let (content, name, archive) = blocking(move || {
                let content = Bundle::read_archive(&name, &archive, &settings);
                let content = content.map_err(|error| invalid_bundle(error, &name))?;
                Ok((content, name, archive))
            })
            .await?;
            let state = this.writable(if_match).await?;
            state.require_api_bundle(&name)?;
            let (bundle, archive) = match content {
                Content::Whole(bundle) => (*bundle, archive),
                Content::Delta(delta) => {
                    let base = state.shared_bundle(&name);
                    let base = base.ok_or_else(|| nothing_to_change(&name))?;
                    this.change_bundle(base, *delta).await?
                }
            };
            let revision = bundle.manifest.revision.clone();
            let warnings = bundle.warnings.clone();
            let mut candidate = state.clone();
            candidate.put_bundle(Arc::new(bundle), Owner::Api);
            let mut change = state.change(attempt);
            change
                .put
                .push(Entry::new(EntryKind::Bundle, name, archive));
            Ok(PushedBundle {
                snapshot: this.activate(state, candidate, change).await?,
                revision,
                warnings,
            })
        })
        .await
    }

    /// The bundle that a delta makes, and the archive to keep of it.
    async fn change_bundle(
        &self,
        base: Arc<Bundle>,
        delta: Delta,
    ) -> Result<(Bundle, Vec<u8>), ActivationError> {
        let settings = self.settings.bundles.clone();
        blocking(move || {
            let change = || {
                let changed = base.with_delta(&delta)?;
                let archive = changed.to_archive()?;
                // Rule: what is active is what will be read again.
                let bundle = Bundle::from_archive(&base.name, &archive, &settings)?;
                match bundle.data == changed.data && bundle.modules.len() == base.modules.len() {
                    true => Ok((bundle, archive)),
                    false => Err(BundleError::Delta(
                        "the changed data holds a number that cannot be stored exactly".to_owned(),
                    )),
                }
            };
            change().map_err(|error| invalid_bundle(error, &base.name))
        })
        .await
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

fn nothing_to_change(name: &str) -> ActivationError {
    let what = format!("bundle `{name}` that the delta could change: push it whole first");
    ActivationError::NotFound(what)
}
