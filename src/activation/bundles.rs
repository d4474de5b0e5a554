//! Bundles that come over the API: read before anybody waits for them, kept as they were pushed.

use std::sync::Arc;

use super::state::Owner;
use super::{Activation, ActivationError, blocking, invalid_bundle};
use crate::bundle::Bundle;
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
            let (bundle, name, archive) = blocking(move || {
                let bundle = Bundle::from_archive(&name, &archive, &settings);
                let bundle = bundle.map_err(|error| invalid_bundle(error, &name))?;
                Ok((bundle, name, archive))
            })
            .await?;
            let state = this.writable(if_match).await?;
            state.require_api_bundle(&name)?;
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
