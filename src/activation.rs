//! The one way by which policy changes: a change is read, compiled together with all that stays,
//! made durable, and only then swapped in. Whatever fails leaves the active revision as it was.

mod background;
mod bundle_tests;
mod bundles;
mod candidate;
mod documents;
mod downloads;
mod files;
mod fingerprint;
mod history;
mod load;
mod ownership;
mod pushed;
mod resources;
mod shadows;
mod state;
mod watched;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, watch};

use crate::bundle::{BundleError, BundleSettings};
use crate::cache::CacheSettings;
use crate::jwks::{KeyFetcher, KeyStatus};
use crate::policy::resource::Resource;
use crate::policy::{LACKS_BUNDLE, PolicyError, PolicySet, PolicySettings};
use crate::snapshot::Snapshot;
use crate::store::{Action, Attempt, Author, Change, EntryKind, Fallback, PolicyStore, StoreError};
use crate::telemetry::Metrics;

use background::Turn;
pub use bundles::PushedBundle;
pub use candidate::{Candidate, Proposal};
pub use documents::{DocumentError, Operation, Patch, Path};
pub use downloads::{Download, ExpectedDownload};
pub use files::{Checked, FilePolicies, check_files};
use fingerprint::Fingerprint;
pub use load::FileSources;
use load::load;
pub use pushed::{Edit, Policy};
pub use resources::{Applied, ObjectChange, PutScope};
pub use shadows::ShadowStatus;
use state::State;
pub use state::{BundleStatus, Owner};
use watched::FileWatch;
pub use watched::{FilesError, FilesStatus};

/// Threads of the runtime that read or look at files.
pub const BLOCKING_THREADS: usize = 1;

/// What activation needs to know besides policy.
#[derive(Debug, Clone)]
pub struct ActivationSettings {
    pub bundles: BundleSettings,
    pub policy: PolicySettings,
    pub cache: CacheSettings,
}

/// The writer's side of the active snapshot.
#[derive(Debug)]
pub struct Activation {
    settings: ActivationSettings,
    store: Arc<dyn PolicyStore>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    loaded: watch::Sender<bool>,
    keys: KeyFetcher,
    /// Sees every change of a key set since the first snapshot was made.
    key_changes: watch::Receiver<u64>,
    /// Held while a snapshot is put together and swapped in, so that neither a push nor new keys
    /// undo the other. Never across an await.
    publishing: std::sync::Mutex<()>,
    /// Held from reading a change to swapping it in: one writer at a time.
    state: Arc<Mutex<State>>,
    /// For changes that are being made or wait for it.
    places: Arc<Semaphore>,
    turn: Turn,
    /// How the store did at the start.
    store_status: StoreStatus,
    files: Mutex<FileWatch>,
    /// `None` if no policy comes from files.
    files_status: std::sync::Mutex<Option<FilesStatus>>,
}

/// How the store is doing.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct StoreStatus {
    /// The newest revision was damaged at this start or an earlier one, and an earlier revision was
    /// loaded. Told until somebody has changed policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// The revision of the start could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_not_stored: Option<String>,
}

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum ActivationError {
    #[error("{}", summary(.0))]
    Invalid(Vec<PolicyError>),
    #[error("{what} belongs to {owner}, which alone can change it")]
    Owned { what: String, owner: Owner },
    #[error(
        "bundle `{0}` has not been downloaded yet, and what it owns is not known: modules and documents \
         cannot be put before it is there"
    )]
    Awaited(String),
    #[error("the active revision is {current}, not {expected}")]
    Stale { expected: u64, current: u64 },
    #[error("there is no {0}")]
    NotFound(String),
    /// What is pushed by itself would lie within a bundle.
    #[error("{0}")]
    InBundle(String),
    #[error(transparent)]
    Document(DocumentError),
    #[error(
        "signatures are required (`bundle_verification.mode`), and {0} cannot carry one: \
         put it into a file, or into a signed bundle"
    )]
    Unsigned(String),
    #[error(
        "bundle `{0}` must be there and signed (`bundles.{0}.signing`): it can be replaced by another that \
         is signed, and not be taken away over the API"
    )]
    MustStay(String),
    #[error(transparent)]
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
        keys: KeyFetcher,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ActivationError> {
        let stored = store.load().await?;
        let (fallback, fell_back) = (stored.fallback.clone(), stored.fell_back());
        let (mut state, policies, files) = blocking({
            let settings = settings.clone();
            move || {
                let found = Fingerprint::of(&files);
                let state = load(&files, stored, &settings.bundles)?;
                let (mut state, mut policies) = downloads::compile_start(state, &settings)?;
                // Rule: what decides nothing is no reason not to start.
                policies.shadows =
                    shadows::compile(&policies, &mut state, &BTreeSet::new(), &settings)?;
                test_files(&state, &settings)?;
                Ok((state, policies, FileWatch::new(files, found)))
            }
        })
        .await?;
        let mut store_status = StoreStatus {
            fallback,
            start_not_stored: None,
        };
        if let Some(Fallback {
            damaged,
            loaded,
            why,
        }) = &store_status.fallback
        {
            metrics.store_failed("fallback");
            tracing::error!(
                damaged,
                loaded,
                why,
                "POLICY OF AN EARLIER REVISION IS IN FORCE"
            );
        }
        history::check_audit(store.as_ref(), &metrics).await;
        // Rule: a revision stands for one content. Files that hold something else than when the last one
        // was stored, and be it nothing, are one of their own; so is an earlier revision that stands in
        // for a damaged one.
        if state.has_other_files() || state.downloads.has_stale() || fell_back {
            let attempt = match &store_status.fallback {
                Some(Fallback {
                    damaged, loaded, ..
                }) if fell_back => start(Action::Fallback, &format!("{damaged}->{loaded}")),
                _ => start(Action::Start, "files"),
            };
            store_status.start_not_stored =
                store_start(&mut state, attempt, store.as_ref(), &metrics).await;
        }
        for warning in policies.warnings.iter().map(|warning| &warning.problem) {
            tracing::warn!("{warning}");
        }
        for warning in state.bundle_warnings() {
            tracing::warn!("{warning}");
        }
        let loaded = watch::Sender::new(is_loaded(&state, &policies));
        let key_changes = keys.changes();
        let sets = keys.follow(&policies.native.key_sources());
        let policies = Arc::new(policies);
        let tallies = Arc::new(metrics.of_policies.tallies(policies.names()));
        let snapshot = Snapshot::new(state.revision, policies, sets, settings.cache);
        let snapshot = snapshot.counted_by(tallies);
        metrics
            .revision
            .set(i64::try_from(state.revision).unwrap_or(i64::MAX));
        metrics.shadows_unusable(state.shadows.unusable());
        Ok(Self {
            settings,
            store,
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            metrics,
            loaded,
            keys,
            key_changes,
            publishing: std::sync::Mutex::default(),
            state: Arc::new(Mutex::new(state)),
            turn: Turn::new(),
            places: Arc::new(Semaphore::new(history::MAX_CHANGES)),
            store_status,
            files_status: std::sync::Mutex::new(files.status()),
            files: Mutex::new(files),
        })
    }

    /// Where checks find the active snapshot.
    pub fn snapshot(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.snapshot)
    }

    /// What keeps checks from being decided as configured, if anything.
    pub fn missing(&self) -> Option<&'static str> {
        match *self.loaded.borrow() {
            true => None,
            false if self.snapshot.load().policies.is_empty() => Some("no policy is loaded"),
            false => Some(LACKS_BUNDLE),
        }
    }

    /// Follows whether all policy is loaded, and there is any.
    pub fn loaded(&self) -> watch::Receiver<bool> {
        self.loaded.subscribe()
    }

    /// Native objects as they were written, with their owners.
    pub async fn resources(&self) -> Vec<(Arc<Resource>, Owner)> {
        self.state.lock().await.resources()
    }

    /// Bundles and what is known of them.
    pub async fn bundles(&self) -> Vec<BundleStatus> {
        self.state.lock().await.bundle_status()
    }

    /// Bundles that are pushed as shadows, and what is known of them.
    pub async fn shadows(&self) -> Vec<ShadowStatus> {
        self.state.lock().await.shadow_status()
    }

    /// How the store is doing.
    pub fn store_status(&self) -> &StoreStatus {
        &self.store_status
    }

    async fn writable(
        &self,
        if_match: Option<u64>,
    ) -> Result<OwnedMutexGuard<State>, ActivationError> {
        let state = Arc::clone(&self.state).lock_owned().await;
        match if_match {
            Some(expected) if expected != state.revision => Err(ActivationError::Stale {
                expected,
                current: state.revision,
            }),
            _ => Ok(state),
        }
    }

    /// Compiles, stores, swaps.
    async fn activate(
        &self,
        state: OwnedMutexGuard<State>,
        candidate: State,
        change: Change,
    ) -> Result<u64, ActivationError> {
        self.check_unsigned(&change)?;
        self.check_required(&state, &candidate)?;
        let pushed = change.put.iter().map(|entry| &entry.id);
        let pushed = pushed.filter(|id| id.kind == EntryKind::Bundle);
        let pushed = pushed.map(|id| id.key.clone()).collect();
        self.activate_tested(state, candidate, change, pushed).await
    }

    /// The same, with the tests of these bundles run.
    async fn activate_tested(
        &self,
        mut state: OwnedMutexGuard<State>,
        mut candidate: State,
        mut change: Change,
        tested: Vec<String>,
    ) -> Result<u64, ActivationError> {
        let settings = self.settings.clone();
        let active = Arc::clone(&self.snapshot.load().policies);
        let shadows = shadows::put_by(&change);
        let (mut candidate, policies) = self
            .in_background(move || {
                let mut policies = compile_after(Some(&active), &candidate, &settings)?;
                let tested = tested.iter().filter_map(|name| candidate.bundle(name));
                bundle_tests::run(&candidate, tested, &settings.policy)?;
                policies.shadows = shadows::compile(&active, &mut candidate, &shadows, &settings)?;
                Ok((candidate, policies))
            })
            .await?;
        candidate.note_files(&mut change);
        let revision = self.store.commit(change).await?;
        candidate.stored_at(revision);
        let is_loaded = is_loaded(&candidate, &policies);
        self.metrics.shadows_unusable(candidate.shadows.unusable());
        *state = candidate;
        self.swap(revision, policies, is_loaded);
        Ok(revision)
    }

    /// Rule: where signatures are required, nothing gets in that has none.
    fn check_unsigned(&self, change: &Change) -> Result<(), ActivationError> {
        // Bundles are looked at where they are read.
        let is_bundle = |kind| {
            matches!(
                kind,
                EntryKind::Bundle | EntryKind::ShadowBundle | EntryKind::RemoteBundle
            )
        };
        match change.put.iter().find(|entry| !is_bundle(entry.id.kind)) {
            Some(entry) if self.settings.bundles.verification.is_required() => {
                Err(ActivationError::Unsigned(entry.id.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Rule: whoever must sign a bundle has a say in whether it is there.
    fn check_required(&self, state: &State, candidate: &State) -> Result<(), ActivationError> {
        let mut required = self.settings.bundles.verification.required_bundles();
        let is_lost = |name: &&str| state.has_bundle(name) && !candidate.has_bundle(name);
        match required.find(is_lost) {
            Some(name) => Err(ActivationError::MustStay(name.to_owned())),
            None => Ok(()),
        }
    }

    fn swap(&self, revision: u64, policies: PolicySet, is_loaded: bool) {
        for warning in policies
            .warnings
            .iter()
            .filter(|warning| warning.about.is_none())
        {
            tracing::warn!("{}", warning.problem);
        }
        let policies = Arc::new(policies);
        self.publish(|_| (revision, policies));
        self.loaded.send_replace(is_loaded);
        self.metrics
            .revision
            .set(i64::try_from(revision).unwrap_or(i64::MAX));
        tracing::info!(revision, "policy activated");
    }

    /// Swaps in a snapshot of a revision's policies and the keys there are for them.
    fn publish(&self, choose: impl FnOnce(&Snapshot) -> (u64, Arc<PolicySet>)) {
        let publishing = self.publishing.lock();
        let publishing = publishing.unwrap_or_else(PoisonError::into_inner);
        let (revision, policies) = choose(&self.snapshot.load());
        let sets = self.keys.follow(&policies.native.key_sources());
        let tallies = Arc::new(self.metrics.of_policies.tallies(policies.names()));
        let snapshot = Snapshot::new(revision, policies, sets, self.settings.cache);
        let snapshot = snapshot.counted_by(tallies);
        let old = self.snapshot.swap(Arc::new(snapshot));
        drop(publishing);
        shadows::forget_gone(&self.metrics, &old.policies, &self.snapshot.load().policies);
        let gone = old.cache.usage();
        self.metrics
            .cache_evicted(gone.evicted_for_room, gone.evicted_at_end);
        // Checks that still hold the old one let go of it soon; freeing it is not their work.
        background::free(old);
    }

    /// Makes a snapshot of the same revision each time that a key set has changed. A new one begins
    /// with empty caches: nothing that was decided under the old keys is left.
    pub async fn follow_keys(self: Arc<Self>) {
        let mut changes = self.key_changes.clone();
        while changes.changed().await.is_ok() {
            self.publish(|active| (active.revision, Arc::clone(&active.policies)));
        }
    }

    /// How the fetched key sets are doing.
    pub fn key_sets(&self) -> Vec<KeyStatus> {
        self.keys.status()
    }
}

fn start(action: Action, target: &str) -> Attempt {
    Attempt::new(Author::program(), action, target)
}

/// Writes a revision for what was loaded. If that cannot be done, what was loaded is served all the
/// same: it is known to be good, and its number is not given out again.
async fn store_start(
    state: &mut State,
    attempt: Attempt,
    store: &dyn PolicyStore,
    metrics: &Metrics,
) -> Option<String> {
    let mut change = state.change(attempt);
    change.delete = state.downloads.take_stale();
    state.note_files(&mut change);
    match store.commit(change).await {
        Ok(revision) => {
            state.stored_at(revision);
            None
        }
        Err(error) => {
            metrics.store_failed(error.kind());
            tracing::error!(%error, "the revision of the start could not be stored");
            state.revision = state.revision.saturating_add(1);
            Some(error.to_string())
        }
    }
}

/// Rule: every bundle that is downloaded was activated once.
fn is_loaded(state: &State, policies: &PolicySet) -> bool {
    !policies.is_empty() && !state.downloads.is_waiting()
}

fn invalid_bundle(error: BundleError, name: &str) -> ActivationError {
    ActivationError::Invalid(vec![error.into_policy_error(name)])
}

fn compile(state: &State, settings: &ActivationSettings) -> Result<PolicySet, ActivationError> {
    compile_after(None, state, settings)
}

/// The same, where much is likely to be as it was before.
fn compile_after(
    before: Option<&PolicySet>,
    state: &State,
    settings: &ActivationSettings,
) -> Result<PolicySet, ActivationError> {
    let sources = state.sources()?;
    PolicySet::compile_after(before, sources, &settings.policy).map_err(ActivationError::Invalid)
}

/// Runs the tests of bundles that are files. Those pushed had theirs run when they were.
fn test_files(state: &State, settings: &ActivationSettings) -> Result<(), ActivationError> {
    bundle_tests::run(state, state.file_bundles(), &settings.policy)
}

/// Runs work that takes a while where it blocks nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ActivationError> + Send + 'static,
) -> Result<T, ActivationError> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .unwrap_or_else(|error| Err(ActivationError::Internal(error.to_string())))
}
