//! What of the state belongs to files, and putting other files in its place.

use std::sync::Arc;

use super::{Owner, State};
use crate::activation::ActivationError;
use crate::activation::load::in_both;
use crate::bundle::{Bundle, LooseFiles};
use crate::policy::rego::{Data, RegoModule};
use crate::store::{Change, Entry, EntryId, Hash, Parts};

impl State {
    /// The same with other files; `None` if those hold what is there already.
    pub(in crate::activation) fn with_files(
        &self,
        files: Self,
    ) -> Result<Option<Self>, ActivationError> {
        if self.files == files.files {
            return Ok(None);
        }
        let mut state = self.clone();
        state
            .resources
            .retain(|_, (_, owner)| *owner != Owner::File);
        state.bundles.retain(|_, (_, owner)| *owner != Owner::File);
        (state.modules, state.data) = (files.modules, files.data);
        state.files = files.files;
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

    /// Has a change note what files hold now, if that is not what is stored. Rule: a revision stands for
    /// one content, that of files included.
    pub(in crate::activation) fn note_files(&self, change: &mut Change) {
        match self.files {
            _ if self.files == self.stored_files => {}
            Some(digest) => change.put.push(Entry {
                id: EntryId::files(),
                bytes: digest.to_string().into_bytes(),
            }),
            None => change.delete.push(EntryId::files()),
        }
    }

    /// Whether files hold something else than when a revision was last stored.
    pub(in crate::activation) fn has_other_files(&self) -> bool {
        self.files != self.stored_files
    }

    pub(in crate::activation) fn set_digest(&mut self, files: Hash) {
        self.files = Some(files);
    }

    /// What the store has of files. One that cannot be read is another than any.
    pub(in crate::activation) fn set_stored_digest(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        self.stored_files = Some(text.parse().unwrap_or_default());
    }
}

/// The digest of all that files hold: what has the same is no change.
pub(in crate::activation) fn digest<'a>(
    loose: &LooseFiles,
    bundles: impl Iterator<Item = &'a Arc<Bundle>>,
) -> Hash {
    let mut parts = Parts::of("doorward files");
    add_content(&mut parts, &loose.modules, &loose.data);
    for (path, text) in &loose.documents {
        parts.add_all([b"document", path.as_bytes(), text.as_bytes()]);
    }
    for bundle in bundles {
        let manifest = serde_json::to_vec(&bundle.manifest).unwrap_or_default();
        parts.add_all([b"bundle", bundle.name.as_bytes(), &manifest]);
        add_content(&mut parts, &bundle.modules, &bundle.data);
        for warning in &bundle.warnings {
            parts.add_all([b"warning", warning.to_string().as_bytes()]);
        }
    }
    parts.finish()
}

/// Each kind of part begins with its name and has a fixed number of further ones, so that no two lists
/// of them run together.
fn add_content(parts: &mut Parts, modules: &[RegoModule], data: &Data) {
    for RegoModule { path, text, v0 } in modules {
        let version = u8::from(*v0);
        parts.add_all([b"module", path.as_bytes(), text.as_bytes(), &[version]]);
    }
    parts.add_all([b"data", data.to_text().as_bytes()]);
}
