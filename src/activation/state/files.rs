//! What of the state belongs to files, and putting other files in its place.

use std::sync::Arc;

use super::{Owner, State};
use crate::activation::ActivationError;
use crate::activation::load::in_both;
use crate::bundle::Bundle;
use crate::policy::resource::{Resource, ResourceId};

impl State {
    /// The same with other files; `None` if those hold what is there already.
    pub(in crate::activation) fn with_files(
        &self,
        files: Self,
    ) -> Result<Option<Self>, ActivationError> {
        if self.has_files_of(&files) {
            return Ok(None);
        }
        let mut state = self.clone();
        state
            .resources
            .retain(|_, (_, owner)| *owner != Owner::File);
        state.bundles.retain(|_, (_, owner)| *owner != Owner::File);
        (state.modules, state.data) = (files.modules, files.data);
        let mut errors = Vec::new();
        for (id, resource) in files.resources {
            if state.resources.contains_key(&id) {
                errors.push(in_both(&id.to_string()));
            }
            state.resources.insert(id, resource);
        }
        for (name, bundle) in files.bundles {
            if state.bundles.contains_key(&name) {
                errors.push(in_both(&format!("bundle `{name}`")));
            }
            state.bundles.insert(name, bundle);
        }
        match errors.is_empty() {
            true => Ok(Some(state)),
            false => Err(ActivationError::Invalid(errors)),
        }
    }

    fn has_files_of(&self, other: &Self) -> bool {
        let is_same_resource = |(one, other): (_, _)| is_same_resource(one, other);
        let is_same_bundle = |(one, other): (&Arc<Bundle>, &Arc<Bundle>)| {
            one.name == other.name
                && one.manifest == other.manifest
                && one.modules == other.modules
                && one.data == other.data
                && one.warnings == other.warnings
        };
        self.modules == other.modules
            && self.data == other.data
            && self.resources_of_files().count() == other.resources_of_files().count()
            && self
                .resources_of_files()
                .zip(other.resources_of_files())
                .all(is_same_resource)
            && self.bundles_of(Owner::File).count() == other.bundles_of(Owner::File).count()
            && self
                .bundles_of(Owner::File)
                .zip(other.bundles_of(Owner::File))
                .all(is_same_bundle)
    }

    fn resources_of_files(&self) -> impl Iterator<Item = (&ResourceId, &Arc<Resource>)> {
        let resources = self.resources.iter();
        resources
            .filter_map(|(id, (resource, owner))| (*owner == Owner::File).then_some((id, resource)))
    }
}

/// Lines count too: records and errors name them.
fn is_same_resource(
    (id, one): (&ResourceId, &Arc<Resource>),
    (other_id, other): (&ResourceId, &Arc<Resource>),
) -> bool {
    id == other_id && one.file == other.file && one.document == other.document
}
