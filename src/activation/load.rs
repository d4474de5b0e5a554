//! What a start finds: files that the configuration names, and what the store held. Goes through
//! all of it, so that everything wrong is told at once.

use std::path::PathBuf;
use std::sync::Arc;

use super::downloads::{Downloads, ExpectedDownload};
use super::state::files::digest;
use super::state::{Owner, State};
use super::{ActivationError, invalid_bundle};
use crate::bundle::{Bundle, BundleSettings, read_files};
use crate::policy::PolicyError;
use crate::policy::resource::Resource;
use crate::store::{Entry, EntryId, EntryKind, Hash, Stored};
use crate::yaml::Document;

/// Policy that comes from files named in the configuration.
#[derive(Debug, Clone, Default)]
pub struct FileSources {
    pub paths: Vec<PathBuf>,
    /// Name and path.
    pub bundles: Vec<(String, PathBuf)>,
    pub downloads: Vec<ExpectedDownload>,
}

/// Reads everything, or tells all that is wrong.
pub(super) fn load(
    files: &FileSources,
    stored: Stored,
    settings: &BundleSettings,
) -> Result<State, ActivationError> {
    let mut loader = Loader {
        settings,
        state: State::at(stored.revision),
        errors: Vec::new(),
    };
    loader.files(files);
    loader.stored(stored.entries);
    loader.end()
}

/// Adds what was once pushed to what is there.
pub(super) fn load_pushed(
    state: State,
    stored: Stored,
    settings: &BundleSettings,
) -> Result<State, ActivationError> {
    let mut loader = Loader {
        settings,
        state,
        errors: Vec::new(),
    };
    let pushed = stored.entries.into_iter();
    loader.stored(pushed.filter(|entry| entry.id.kind.is_pushed()).collect());
    loader.end()
}

struct Loader<'a> {
    settings: &'a BundleSettings,
    state: State,
    errors: Vec<PolicyError>,
}

impl Loader<'_> {
    fn files(&mut self, files: &FileSources) {
        self.state.downloads = Downloads::new(&files.downloads);
        let (loose, errors) = read_files(&files.paths, self.settings.v0);
        self.errors.extend(errors);
        let mut bundles = Vec::with_capacity(files.bundles.len());
        for (name, path) in &files.bundles {
            match Bundle::from_path(name, path, self.settings) {
                Ok(bundle) => bundles.push(Arc::new(bundle)),
                Err(error) => self.fail(invalid_bundle(error, name)),
            }
        }
        if !(files.paths.is_empty() && files.bundles.is_empty()) {
            self.state.set_digest(digest(&loose, bundles.iter()));
        }
        let bundles = bundles.into_iter();
        bundles.for_each(|bundle| self.state.put_bundle(bundle, Owner::File));
        self.state.set_files(loose.modules, loose.data);
        for (path, text) in loose.documents {
            match Resource::parse_stream(&text) {
                Ok(resources) => {
                    let resources = resources.into_iter();
                    resources
                        .for_each(|resource| self.resource(resource.in_file(&path), Owner::File));
                }
                Err(problems) => {
                    let errors = problems.into_iter();
                    self.errors
                        .extend(errors.map(|problem| PolicyError::in_document(&path, problem)));
                }
            }
        }
    }

    fn stored(&mut self, entries: Vec<Entry>) {
        for Entry { id, bytes } in entries {
            match id.kind {
                EntryKind::Resource => self.stored_resource(&id, &bytes),
                EntryKind::Bundle => self.stored_bundle(&id.key, &bytes),
                EntryKind::ShadowBundle => self.stored_shadow(id, &bytes),
                EntryKind::Policy => self.stored_policy(&id, bytes),
                EntryKind::Data => self.stored_document(&id, &bytes),
                EntryKind::RemoteBundle => self.stored_download(id, &bytes),
                EntryKind::Files => self.state.set_stored_digest(&bytes),
            }
        }
    }

    fn stored_resource(&mut self, id: &EntryId, json: &[u8]) {
        let value = match serde_json::from_slice(json) {
            Ok(value) => value,
            Err(error) => {
                let message = format!("{id} in the store is not JSON: {error}");
                self.errors.push(PolicyError::new("load_error", message));
                return;
            }
        };
        match Resource::parse(Document::from_value(value)) {
            Ok(resource) if self.settings.verification.is_required() => {
                self.fail(ActivationError::Unsigned(format!("stored {}", resource.id)));
            }
            Ok(resource) => self.resource(resource, Owner::Api),
            Err(problem) => self
                .errors
                .push(PolicyError::in_document("the store", problem)),
        }
    }

    fn stored_policy(&mut self, id: &EntryId, text: Vec<u8>) {
        if self.settings.verification.is_required() {
            return self.fail(ActivationError::Unsigned(format!("stored {id}")));
        }
        match String::from_utf8(text) {
            Ok(text) => {
                let (id, v0) = (id.key.clone(), self.settings.v0);
                self.state.pushed.restore_policy(id, text, v0);
            }
            Err(_) => self.errors.push(PolicyError::new(
                "load_error",
                format!("{id} in the store is not UTF-8"),
            )),
        }
    }

    fn stored_document(&mut self, id: &EntryId, json: &[u8]) {
        if self.settings.verification.is_required() {
            return self.fail(ActivationError::Unsigned(format!("stored {id}")));
        }
        if !self.state.pushed.restore_document(&id.key, json) {
            let message = format!("{id} in the store is no JSON document");
            self.errors.push(PolicyError::new("load_error", message));
        }
    }

    fn stored_bundle(&mut self, name: &str, archive: &[u8]) {
        match self.state.require_api_bundle(name) {
            Ok(()) => {}
            Err(ActivationError::Owned {
                owner: Owner::Url, ..
            }) => return self.errors.push(pushed_and_downloaded(name)),
            Err(_) => return self.errors.push(in_both(&format!("bundle `{name}`"))),
        }
        match Bundle::from_archive(name, archive, self.settings) {
            Ok(bundle) => self.state.put_bundle(Arc::new(bundle), Owner::Api),
            Err(error) => self.fail(invalid_bundle(error, name)),
        }
    }

    /// Rule: what decides nothing is no reason not to start. A shadow that cannot be read any more is not
    /// asked, and stays: what keeps it from being read may be this start's configuration.
    fn stored_shadow(&mut self, id: EntryId, archive: &[u8]) {
        match Bundle::from_archive(&id.key, archive, self.settings) {
            Ok(bundle) => self.state.shadows.put(Arc::new(bundle)),
            Err(error) => {
                tracing::error!(bundle = id.key, %error, "a shadow cannot be read any more and is not asked");
                let why = invalid_bundle(error, &id.key);
                self.state.shadows.put_unreadable(id.key, why);
            }
        }
    }

    /// Rule: a download that cannot be used any more is no reason not to start. It counts as one that
    /// has not come yet.
    fn stored_download(&mut self, id: EntryId, archive: &[u8]) {
        let Some(name) = self.state.downloads.name_of(&id) else {
            self.state.downloads.note_stale(id);
            return;
        };
        match Bundle::from_archive(name, archive, self.settings) {
            Ok(bundle) => self.state.put_download(Arc::new(bundle), Hash::of(archive)),
            Err(error) => {
                tracing::error!(bundle = name, %error, "the last download cannot be used any more");
            }
        }
    }

    fn resource(&mut self, resource: Resource, owner: Owner) {
        match self.state.add_resource(resource, owner) {
            Ok(()) => {}
            Err(ActivationError::Owned { what, .. }) => self.errors.push(in_both(&what)),
            Err(error) => self.fail(error),
        }
    }

    fn end(self) -> Result<State, ActivationError> {
        if self.errors.is_empty() {
            Ok(self.state)
        } else {
            Err(ActivationError::Invalid(self.errors))
        }
    }

    fn fail(&mut self, error: ActivationError) {
        match error {
            ActivationError::Invalid(errors) => self.errors.extend(errors),
            other => self
                .errors
                .push(PolicyError::new("load_error", other.to_string())),
        }
    }
}

/// A bundle's name for one that was pushed and for one that is downloaded.
fn pushed_and_downloaded(name: &str) -> PolicyError {
    let message = format!(
        "bundle `{name}` has a URL and was also pushed over the API: \
         start without the URL and delete the pushed one, or give the URL another name"
    );
    PolicyError::new("resource_conflict", message)
}

/// A name in a file and in the store: one has to go.
pub(super) fn in_both(what: &str) -> PolicyError {
    let message = format!(
        "{what} is in a file and was also pushed over the API: \
         start without the file and delete the pushed one, or leave the file out"
    );
    PolicyError::new("resource_conflict", message)
}
