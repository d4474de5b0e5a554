//! Bundles that come over the API: read before anybody waits for them, kept as they were pushed.

use std::sync::Arc;

use super::state::Owner;
use super::{Activation, ActivationError, blocking, invalid_bundle};
use crate::bundle::Bundle;
use crate::policy::PolicyError;
use crate::store::{Change, StoredBundle};

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
        name: &str,
        archive: Vec<u8>,
        if_match: Option<u64>,
    ) -> Result<PushedBundle, ActivationError> {
        self.counted(async {
            let owned_name = name.to_owned();
            let settings = self.settings.bundles.clone();
            let (bundle, archive) = blocking(move || {
                let bundle = Bundle::from_archive(&owned_name, &archive, &settings);
                let bundle = bundle.map_err(|error| invalid_bundle(error, &owned_name))?;
                Ok((bundle, archive))
            })
            .await?;
            let state = self.writable(if_match).await?;
            state.require_api_bundle(name)?;
            let manifest_revision = bundle.manifest.revision.clone();
            let warnings = bundle.warnings.clone();
            let mut candidate = state.clone();
            candidate.put_bundle(Arc::new(bundle), Owner::Api);
            let mut change = Change::to(state.revision);
            let name = name.to_owned();
            change.put_bundles.push(StoredBundle { name, archive });
            Ok(PushedBundle {
                snapshot: self.activate(state, candidate, change).await?,
                revision: manifest_revision,
                warnings,
            })
        })
        .await
    }

    /// Removes a bundle.
    pub async fn delete_bundle(
        self: &Arc<Self>,
        name: &str,
        if_match: Option<u64>,
    ) -> Result<u64, ActivationError> {
        self.counted(async {
            let state = self.writable(if_match).await?;
            state.require_api_bundle(name)?;
            let mut candidate = state.clone();
            if !candidate.delete_bundle(name) {
                return Err(ActivationError::NotFound(format!("bundle `{name}`")));
            }
            let mut change = Change::to(state.revision);
            change.delete_bundles.push(name.to_owned());
            self.activate(state, candidate, change).await
        })
        .await
    }
}
