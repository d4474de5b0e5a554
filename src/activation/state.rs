//! What is loaded, by name, and to whom it belongs. Copied for each change, so that a change that
//! fails has touched nothing; objects themselves are shared between the copies.

pub(super) mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::downloads::Downloads;
use super::pushed::Pushed;
use super::shadows::Shadows;
use super::{ActivationError, ObjectChange};
use crate::bundle::Bundle;
use crate::policy::rego::{Data, RegoModule};
use crate::policy::resource::{Resource, ResourceId};
use crate::policy::{PolicyError, PolicySources};
use crate::store::{Attempt, Change, Entry, EntryId, EntryKind, Hash};

/// Who may change an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    File,
    Api,
    /// The server that it is downloaded from.
    Url,
}

/// Everything loaded.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) revision: u64,
    /// The store's newest revision; another than the active one if that could not be written.
    stored: u64,
    resources: BTreeMap<ResourceId, (Arc<Resource>, Owner)>,
    bundles: BTreeMap<String, (Arc<Bundle>, Owner)>,
    pub(super) downloads: Downloads,
    /// Rego and data of files that belong to no bundle.
    modules: Arc<Vec<RegoModule>>,
    data: Data,
    /// Digest of all that files hold; `None` if there are none.
    files: Option<Hash>,
    /// The same as the store has it.
    stored_files: Option<Hash>,
    /// Rego and data of the API that belong to no bundle.
    pub(super) pushed: Pushed,
    /// Bundles that decide nothing.
    pub(super) shadows: Shadows,
}

/// One bundle as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct BundleStatus {
    pub name: String,
    pub revision: String,
    pub roots: Vec<String>,
    pub owner: Owner,
    /// Rego files.
    pub modules: Vec<String>,
    /// Whether it was verified to be signed.
    pub signed: bool,
    /// What of it has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<PolicyError>,
}

impl State {
    /// Nothing, at a revision.
    pub(super) fn at(revision: u64) -> Self {
        Self {
            revision,
            stored: revision,
            ..Self::default()
        }
    }

    /// It has been stored as this revision.
    pub(super) fn stored_at(&mut self, revision: u64) {
        self.revision = revision;
        self.stored = revision;
        self.stored_files = self.files;
    }

    /// The store's newest revision.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// No change yet to what is stored.
    pub(super) fn change(&self, attempt: Attempt) -> Change {
        Change {
            at_least: self.revision.saturating_add(1),
            ..Change::to(self.stored, attempt)
        }
    }

    /// Under what the store keeps a native object.
    pub(super) fn entry_id(id: &ResourceId) -> EntryId {
        EntryId::new(EntryKind::Resource, id.to_string())
    }

    /// The same without all that the API owns.
    pub(super) fn without_pushed(&self) -> Self {
        let mut others = self.clone();
        others
            .resources
            .retain(|_, (_, owner)| *owner != Owner::Api);
        others.bundles.retain(|_, (_, owner)| *owner != Owner::Api);
        others.pushed = Pushed::default();
        others.shadows = Shadows::default();
        others
    }

    pub(super) fn set_files(&mut self, modules: Vec<RegoModule>, data: Data) {
        self.modules = Arc::new(modules);
        self.data = data;
    }

    /// How many Rego files there are that belong to no bundle.
    pub(super) fn loose_modules(&self) -> usize {
        self.modules.len()
    }

    pub(super) fn add_resource(
        &mut self,
        resource: Resource,
        owner: Owner,
    ) -> Result<(), ActivationError> {
        let id = resource.id.clone();
        match self.resources.get(&id) {
            None => {
                self.resources.insert(id, (Arc::new(resource), owner));
                Ok(())
            }
            // The same object in two files, or in a file and in the store.
            Some((other, existing)) if *existing == owner => Err(duplicate(&resource, Some(other))),
            Some((_, existing)) => Err(ActivationError::Owned {
                what: id.to_string(),
                owner: *existing,
            }),
        }
    }

    /// Puts objects, noting for the store what is new.
    pub(super) fn put_resources(
        &mut self,
        resources: Vec<Resource>,
        now: jiff::Timestamp,
        change: &mut Change,
    ) -> Result<Vec<(ResourceId, ObjectChange)>, ActivationError> {
        let mut results: Vec<(ResourceId, ObjectChange)> = Vec::with_capacity(resources.len());
        let mut seen = BTreeSet::new();
        for mut resource in resources {
            let id = resource.id.clone();
            let known = self.resources.get(&id).and_then(|(old, _)| old.created);
            resource.created_at(known.unwrap_or(now));
            if !seen.insert(id.clone()) {
                return Err(duplicate(&resource, None));
            }
            let result = match self.resources.get(&id) {
                Some((_, owner @ (Owner::File | Owner::Url))) => {
                    return Err(ActivationError::Owned {
                        what: id.to_string(),
                        owner: *owner,
                    });
                }
                Some((old, Owner::Api)) if old.document.value == resource.document.value => {
                    ObjectChange::Unchanged
                }
                Some(_) => ObjectChange::Updated,
                None => ObjectChange::Created,
            };
            if result != ObjectChange::Unchanged {
                let bytes = resource.document.value.to_string().into_bytes();
                change.put.push(Entry {
                    id: Self::entry_id(&id),
                    bytes,
                });
                self.resources
                    .insert(id.clone(), (Arc::new(resource), Owner::Api));
            }
            results.push((id, result));
        }
        Ok(results)
    }

    /// Removes the API's objects besides those kept, and tells which.
    pub(super) fn prune(&mut self, kept: &BTreeSet<ResourceId>) -> Vec<ResourceId> {
        let is_stale = |id: &ResourceId, owner: Owner| owner == Owner::Api && !kept.contains(id);
        let stale: Vec<_> = self
            .resources
            .iter()
            .filter(|(id, (_, owner))| is_stale(id, *owner))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &stale {
            self.resources.remove(id);
        }
        stale
    }

    pub(super) fn delete_resource(&mut self, id: &ResourceId) -> Result<(), ActivationError> {
        match self.resources.get(id) {
            None => Err(ActivationError::NotFound(id.to_string())),
            Some((_, owner @ (Owner::File | Owner::Url))) => Err(ActivationError::Owned {
                what: id.to_string(),
                owner: *owner,
            }),
            Some((_, Owner::Api)) => {
                self.resources.remove(id);
                Ok(())
            }
        }
    }

    /// Takes an object out, whoever owns it.
    pub(super) fn leave_out(&mut self, id: &ResourceId) {
        self.resources.remove(id);
    }

    pub(super) fn require_api_bundle(&self, name: &str) -> Result<(), ActivationError> {
        let owner = match self.bundles.get(name) {
            // It is the server's even before it has come.
            _ if self.downloads.expects(name) => Owner::Url,
            Some((_, owner @ (Owner::File | Owner::Url))) => *owner,
            Some((_, Owner::Api)) | None => return Ok(()),
        };
        Err(ActivationError::Owned {
            what: format!("bundle `{name}`"),
            owner,
        })
    }

    pub(super) fn put_bundle(&mut self, bundle: Arc<Bundle>, owner: Owner) {
        self.bundles.insert(bundle.name.clone(), (bundle, owner));
    }

    pub(super) fn delete_bundle(&mut self, name: &str) -> bool {
        self.bundles.remove(name).is_some()
    }

    pub(super) fn bundles_of(&self, owner: Owner) -> impl Iterator<Item = &Arc<Bundle>> {
        let bundles = self.bundles.values().filter(move |(_, of)| *of == owner);
        bundles.map(|(bundle, _)| bundle)
    }

    pub(super) fn has_bundle(&self, name: &str) -> bool {
        self.bundles.contains_key(name)
    }

    pub(super) fn bundle(&self, name: &str) -> Option<&Bundle> {
        self.bundles.get(name).map(|(bundle, _)| bundle.as_ref())
    }

    pub(super) fn shared_bundle(&self, name: &str) -> Option<Arc<Bundle>> {
        self.bundles.get(name).map(|(bundle, _)| Arc::clone(bundle))
    }

    pub(super) fn bundle_warnings(&self) -> impl Iterator<Item = &PolicyError> {
        let bundles = self.bundles.values();
        bundles.flat_map(|(bundle, _)| &bundle.warnings)
    }

    /// Bundles that are not files.
    pub(super) fn foreign_bundles(&self) -> impl Iterator<Item = &Bundle> {
        let bundles = self.bundles.values();
        let foreign = bundles.filter(|(_, owner)| *owner != Owner::File);
        foreign.map(|(bundle, _)| bundle.as_ref())
    }

    pub(super) fn file_bundles(&self) -> impl Iterator<Item = &Bundle> {
        self.bundles_of(Owner::File).map(Arc::as_ref)
    }

    pub(super) fn resources(&self) -> Vec<(Arc<Resource>, Owner)> {
        self.resources.values().cloned().collect()
    }

    pub(super) fn bundle_status(&self) -> Vec<BundleStatus> {
        let bundles = self.bundles.values();
        let status = bundles.map(|(bundle, owner)| BundleStatus::of(bundle, *owner));
        status.collect()
    }

    pub(super) fn all_bundles(&self) -> impl Iterator<Item = &Bundle> {
        self.bundles.values().map(|(bundle, _)| bundle.as_ref())
    }

    /// Rego of files that belong to no bundle.
    pub(super) fn file_modules(&self) -> impl Iterator<Item = &RegoModule> {
        self.modules.iter()
    }

    /// Data of files that belong to no bundle.
    pub(super) fn file_data(&self) -> &Data {
        &self.data
    }

    pub(super) fn all_modules(&self) -> impl Iterator<Item = &RegoModule> {
        let bundles = self.all_bundles().flat_map(|bundle| &bundle.modules);
        let pushed = self.pushed.policies.values().map(Arc::as_ref);
        self.modules.iter().chain(bundles).chain(pushed)
    }

    /// Data that was not pushed by itself.
    pub(super) fn base_data(&self) -> impl Iterator<Item = &Data> {
        let bundles = self.all_bundles().map(|bundle| &bundle.data);
        std::iter::once(&self.data).chain(bundles)
    }

    /// Everything as input for the compiler.
    pub(super) fn sources(&self) -> Result<PolicySources<'_>, ActivationError> {
        self.check_owners()?;
        let mut modules = self.modules.as_ref().clone();
        let mut data = self.data.clone();
        for (bundle, _) in self.bundles.values() {
            modules.extend(bundle.modules.iter().cloned());
            data.merge(bundle.data.clone()).map_err(|why| {
                let message = format!("bundle `{}`: {why}", bundle.name);
                ActivationError::Invalid(vec![PolicyError::new("bundle_error", message)])
            })?;
        }
        modules.extend(
            self.pushed
                .policies
                .values()
                .map(|module| module.as_ref().clone()),
        );
        let documents = self.pushed.documents.merged();
        let merged = documents.and_then(|documents| data.merge(documents));
        merged
            .map_err(|why| ActivationError::Invalid(vec![PolicyError::new("load_error", why)]))?;
        Ok(PolicySources {
            resources: self
                .resources
                .values()
                .map(|(resource, _)| resource.as_ref())
                .collect(),
            modules,
            data,
            // Rule: what has not come yet counts, so that nothing passes that it would deny.
            has_rego: !self.bundles.is_empty()
                || !self.pushed.is_empty()
                || !self.downloads.is_empty(),
            lacks_bundle: self.downloads.is_waiting(),
        })
    }
}

impl BundleStatus {
    pub(super) fn of(bundle: &Bundle, owner: Owner) -> Self {
        let modules = bundle.modules.iter();
        Self {
            name: bundle.name.clone(),
            revision: bundle.manifest.revision.clone(),
            roots: bundle.manifest.roots.clone(),
            owner,
            modules: modules.map(|module| module.path.clone()).collect(),
            signed: bundle.is_signed,
            warnings: bundle.warnings.clone(),
        }
    }

    /// Of one that the API pushed and that cannot be read any more.
    pub(super) fn unread(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            revision: String::new(),
            roots: Vec::new(),
            owner: Owner::Api,
            modules: Vec::new(),
            signed: false,
            warnings: Vec::new(),
        }
    }
}

/// The same name a second time, where it stands and, if that is elsewhere, where the first does.
fn duplicate(resource: &Resource, first: Option<&Arc<Resource>>) -> ActivationError {
    let first = first.and_then(|first| first.file.as_deref());
    let first = first.map_or_else(String::new, |file| format!(", first in {file}"));
    let message = format!("{} is there twice{first}", resource.id);
    let problem = resource.document.problem("metadata.name", message);
    let error = PolicyError {
        code: "duplicate_resource",
        ..PolicyError::in_document(&resource.origin(), problem)
    };
    ActivationError::Invalid(vec![error])
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::File => "a file",
            Self::Api => "the API",
            Self::Url => "its URL",
        })
    }
}
