//! The one way by which policy changes: a change is read, compiled together with all that stays,
//! made durable, and only then swapped in. Whatever fails leaves the active revision as it was.

mod state;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::bundle::{Bundle, BundleError, Limits, LooseFiles};
use crate::cache::CacheSettings;
use crate::policy::resource::{Resource, ResourceId};
use crate::policy::{PolicyError, PolicySet, PolicySettings};
use crate::snapshot::Snapshot;
use crate::store::{Change, PolicyStore, StoreError, Stored, StoredBundle};
use crate::telemetry::Metrics;

use state::State;
pub use state::{BundleStatus, Owner};

/// What activation needs to know besides policy.
#[derive(Debug, Clone)]
pub struct ActivationSettings {
    pub policy: PolicySettings,
    pub cache: CacheSettings,
}

/// Policy that comes from files named in the configuration.
#[derive(Debug, Clone, Default)]
pub struct FileSources {
    pub paths: Vec<PathBuf>,
    /// Name and path.
    pub bundles: Vec<(String, PathBuf)>,
    /// Rego files are in language version 0.
    pub v0: bool,
}

/// The writer's side of the active snapshot.
#[derive(Debug)]
pub struct Activation {
    settings: ActivationSettings,
    store: Arc<dyn PolicyStore>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    loaded: watch::Sender<bool>,
    /// Held from reading a change to swapping it in: one writer at a time.
    state: Arc<Mutex<State>>,
}

/// A change, and what the caller believes it applies to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Precondition {
    /// The revision the change was made for.
    pub if_match: Option<u64>,
}

/// What became of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectChange {
    Created,
    Updated,
    Unchanged,
    Deleted,
}

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum ActivationError {
    #[error("{}", summary(.0))]
    Invalid(Vec<PolicyError>),
    #[error("{what} belongs to {owner} and cannot be changed over the API")]
    Owned { what: String, owner: Owner },
    #[error("the active revision is {current}, not {expected}")]
    Stale { expected: u64, current: u64 },
    #[error("there is no {0}")]
    NotFound(String),
    #[error("the change could not be stored: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Internal(String),
}

fn summary(errors: &[PolicyError]) -> String {
    match errors {
        [] => "invalid policy".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

// === impl Activation ===

impl Activation {
    /// Loads files and the store, and makes the first snapshot of them.
    pub async fn start(
        settings: ActivationSettings,
        files: FileSources,
        store: Arc<dyn PolicyStore>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ActivationError> {
        let mut stored = store.load().await?;
        let (state, settings, policies) = blocking({
            let settings = settings.clone();
            let stored = std::mem::take(&mut stored);
            move || {
                let state = load(&files, stored)?;
                let policies = compile(&state, &settings)?;
                Ok((state, settings, policies))
            }
        })
        .await?;
        let mut state = state;
        if state.has_files() {
            // Files may have changed since the last start: their content is a revision of its own.
            let change = Change {
                base: state.revision,
                ..Change::default()
            };
            state.revision = store.commit(change).await?;
        }
        let loaded = watch::Sender::new(!policies.is_empty());
        let snapshot = Snapshot::new(state.revision, policies, settings.cache);
        metrics
            .revision
            .set(i64::try_from(state.revision).unwrap_or(i64::MAX));
        Ok(Self {
            settings,
            store,
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            metrics,
            loaded,
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// Where checks find the active snapshot.
    pub fn snapshot(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.snapshot)
    }

    /// Follows whether any policy is loaded.
    pub fn loaded(&self) -> watch::Receiver<bool> {
        self.loaded.subscribe()
    }

    /// Puts a bundle and returns its manifest's revision and the new snapshot's.
    pub async fn put_bundle(
        self: &Arc<Self>,
        name: &str,
        archive: Vec<u8>,
        precondition: Precondition,
    ) -> Result<(String, u64), ActivationError> {
        let result = self.try_put_bundle(name, archive, precondition).await;
        self.count(&result);
        result
    }

    async fn try_put_bundle(
        self: &Arc<Self>,
        name: &str,
        archive: Vec<u8>,
        precondition: Precondition,
    ) -> Result<(String, u64), ActivationError> {
        let owned_name = name.to_owned();
        let (bundle, archive) = blocking(move || {
            let bundle = Bundle::from_archive(&owned_name, &archive, Limits::default());
            let bundle = bundle.map_err(|error| invalid_bundle(error, &owned_name))?;
            Ok((bundle, archive))
        })
        .await?;
        let state = self.writable(precondition).await?;
        state.require_api_bundle(name)?;
        let manifest_revision = bundle.manifest.revision.clone();
        let mut candidate = state.clone();
        candidate.put_bundle(Arc::new(bundle), Owner::Api);
        let change = Change {
            base: state.revision,
            put_bundles: vec![StoredBundle {
                name: name.to_owned(),
                archive,
            }],
            ..Change::default()
        };
        let revision = self.activate(state, candidate, change).await?;
        Ok((manifest_revision, revision))
    }

    /// Removes a bundle.
    pub async fn delete_bundle(
        self: &Arc<Self>,
        name: &str,
        precondition: Precondition,
    ) -> Result<u64, ActivationError> {
        let state = self.writable(precondition).await?;
        state.require_api_bundle(name)?;
        let mut candidate = state.clone();
        if !candidate.delete_bundle(name) {
            return Err(ActivationError::NotFound(format!("bundle `{name}`")));
        }
        let change = Change {
            base: state.revision,
            delete_bundles: vec![name.to_owned()],
            ..Change::default()
        };
        self.activate(state, candidate, change).await
    }

    /// Puts native objects, all or none. With `prune` the API's other objects are removed.
    pub async fn put_resources(
        self: &Arc<Self>,
        resources: Vec<Resource>,
        prune: bool,
        precondition: Precondition,
    ) -> Result<(Vec<(ResourceId, ObjectChange)>, u64), ActivationError> {
        let result = self.try_put_resources(resources, prune, precondition).await;
        self.count(&result);
        result
    }

    async fn try_put_resources(
        self: &Arc<Self>,
        resources: Vec<Resource>,
        prune: bool,
        precondition: Precondition,
    ) -> Result<(Vec<(ResourceId, ObjectChange)>, u64), ActivationError> {
        let state = self.writable(precondition).await?;
        let mut candidate = state.clone();
        let mut change = Change {
            base: state.revision,
            ..Change::default()
        };
        let mut results = candidate.put_resources(resources, &mut change)?;
        if prune {
            let kept = results.iter().map(|(id, _)| id.clone()).collect();
            let pruned = candidate.prune(&kept);
            results.extend(pruned.iter().map(|id| (id.clone(), ObjectChange::Deleted)));
            change.delete_resources.extend(pruned);
        }
        if change.put_resources.is_empty() && change.delete_resources.is_empty() {
            return Ok((results, state.revision));
        }
        let revision = self.activate(state, candidate, change).await?;
        Ok((results, revision))
    }

    /// Removes a native object.
    pub async fn delete_resource(
        self: &Arc<Self>,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<u64, ActivationError> {
        let state = self.writable(precondition).await?;
        let mut candidate = state.clone();
        candidate.delete_resource(id)?;
        let change = Change {
            base: state.revision,
            delete_resources: vec![id.clone()],
            ..Change::default()
        };
        self.activate(state, candidate, change).await
    }

    /// Native objects as they were written, with their owners.
    pub async fn resources(&self) -> Vec<(Arc<Resource>, Owner)> {
        self.state.lock().await.resources()
    }

    /// Bundles and what is known of them.
    pub async fn bundles(&self) -> Vec<BundleStatus> {
        self.state.lock().await.bundle_status()
    }

    async fn writable(
        &self,
        precondition: Precondition,
    ) -> Result<OwnedMutexGuard<State>, ActivationError> {
        let state = Arc::clone(&self.state).lock_owned().await;
        match precondition.if_match {
            Some(expected) if expected != state.revision => Err(ActivationError::Stale {
                expected,
                current: state.revision,
            }),
            _ => Ok(state),
        }
    }

    /// Compiles, stores, swaps. Goes on to its end even if the caller gives up in between: what is
    /// stored must also be active.
    async fn activate(
        self: &Arc<Self>,
        state: OwnedMutexGuard<State>,
        candidate: State,
        change: Change,
    ) -> Result<u64, ActivationError> {
        let activation = Arc::clone(self);
        let task = tokio::spawn(async move { activation.finish(state, candidate, change).await });
        task.await
            .unwrap_or_else(|error| Err(ActivationError::Internal(error.to_string())))
    }

    async fn finish(
        &self,
        mut state: OwnedMutexGuard<State>,
        candidate: State,
        change: Change,
    ) -> Result<u64, ActivationError> {
        let settings = self.settings.clone();
        let (mut candidate, policies) = blocking(move || {
            let policies = compile(&candidate, &settings)?;
            Ok((candidate, policies))
        })
        .await?;
        candidate.revision = self.store.commit(change).await?;
        let revision = candidate.revision;
        *state = candidate;
        self.swap(revision, policies);
        Ok(revision)
    }

    fn swap(&self, revision: u64, policies: PolicySet) {
        self.loaded.send_replace(!policies.is_empty());
        let snapshot = Snapshot::new(revision, policies, self.settings.cache);
        let old = self.snapshot.swap(Arc::new(snapshot));
        // Checks that still hold the old one let go of it soon; freeing it is not their work.
        drop(tokio::task::spawn_blocking(move || drop(old)));
        self.metrics
            .revision
            .set(i64::try_from(revision).unwrap_or(i64::MAX));
        tracing::info!(revision, "policy activated");
    }

    fn count<T>(&self, result: &Result<T, ActivationError>) {
        match result {
            Ok(_) => self.metrics.activated("success"),
            Err(error) => {
                self.metrics.activated("failure");
                tracing::warn!(%error, "policy was not changed");
            }
        }
    }
}

/// Loads files as a start would, and says how much there is.
pub fn check_files(
    files: &FileSources,
    settings: &ActivationSettings,
) -> Result<String, ActivationError> {
    let state = load(files, Stored::default())?;
    let policies = compile(&state, settings)?;
    let (resources, bundles) = (policies.native.len(), state.bundle_status().len());
    Ok(format!("{resources} native policies, {bundles} bundles"))
}

fn invalid_bundle(error: BundleError, name: &str) -> ActivationError {
    ActivationError::Invalid(vec![error.into_policy_error(name)])
}

/// Reads files and what the store held. A name in both is a conflict: one has to go.
fn load(files: &FileSources, stored: Stored) -> Result<State, ActivationError> {
    let mut state = State::at(stored.revision);
    let loose = crate::bundle::read_files(&files.paths, files.v0)
        .map_err(|(path, why)| invalid_file(&path, &why))?;
    let LooseFiles {
        modules,
        data,
        documents,
    } = loose;
    state.set_files(modules, data);
    for (path, text) in documents {
        let resources = Resource::parse_stream(&text).map_err(|problems| {
            let errors = problems
                .into_iter()
                .map(|problem| PolicyError::in_document(&path, problem));
            ActivationError::Invalid(errors.collect())
        })?;
        for resource in resources {
            state.add_resource(resource, Owner::File)?;
        }
    }
    for (name, path) in &files.bundles {
        let bundle = Bundle::from_path(name, path).map_err(|error| invalid_bundle(error, name))?;
        state.put_bundle(Arc::new(bundle), Owner::File);
    }
    for document in stored.resources {
        let resource =
            Resource::parse(crate::yaml::Document::from_value(document)).map_err(|problem| {
                ActivationError::Invalid(vec![PolicyError::in_document("stored", problem)])
            })?;
        state.add_resource(resource, Owner::Api)?;
    }
    for StoredBundle { name, archive } in stored.bundles {
        state.require_api_bundle(&name)?;
        let bundle = Bundle::from_archive(&name, &archive, Limits::default())
            .map_err(|error| invalid_bundle(error, &name))?;
        state.put_bundle(Arc::new(bundle), Owner::Api);
    }
    Ok(state)
}

fn invalid_file(path: &std::path::Path, why: &str) -> ActivationError {
    ActivationError::Invalid(vec![PolicyError::new(
        "file_error",
        format!("{}: {why}", path.display()),
    )])
}

fn compile(state: &State, settings: &ActivationSettings) -> Result<PolicySet, ActivationError> {
    let sources = state.sources()?;
    PolicySet::compile(sources, &settings.policy).map_err(ActivationError::Invalid)
}

/// Runs work that takes a while where it blocks nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ActivationError> + Send + 'static,
) -> Result<T, ActivationError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ActivationError::Internal(error.to_string())))
}
