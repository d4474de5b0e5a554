//! Bundles that are downloaded: what is expected, what has come, and taking in several at once. Asking
//! servers is left to `remote`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Owner, State};
use super::{Activation, ActivationError, ActivationSettings, blocking, compile, invalid_bundle};
use crate::bundle::{Bundle, BundleError, BundleSettings, Content};
use crate::policy::PolicySet;
use crate::store::{Action, Attempt, Author, Entry, EntryId, EntryKind, Hash};

/// The bundles that are downloaded, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Downloads {
    expected: BTreeMap<String, Expected>,
    /// Kept of bundles that are not downloaded any more.
    stale: Vec<EntryId>,
}

#[derive(Debug, Clone, Default)]
struct Expected {
    keeps: bool,
    /// Of the active archive.
    digest: Option<Hash>,
}

/// A download that was read and is good by itself.
#[derive(Debug)]
pub struct Download {
    bundle: Arc<Bundle>,
    archive: Vec<u8>,
    pub digest: Hash,
    /// What was active when a delta to it came.
    base: Option<Arc<Bundle>>,
}

// === impl Download ===

impl Download {
    /// What OPA calls this kind of bundle.
    pub fn kind(&self) -> &'static str {
        match self.base {
            Some(_) => "delta",
            None => "snapshot",
        }
    }

    /// Its manifest's revision.
    pub fn revision(&self) -> &str {
        &self.bundle.manifest.revision
    }
}

// === impl Downloads ===

impl Downloads {
    /// Names, and whether the last good download of each is kept.
    pub(super) fn new(names: &[(String, bool)]) -> Self {
        let expected = names.iter().map(|(name, keeps)| {
            let expected = Expected {
                keeps: *keeps,
                digest: None,
            };
            (name.clone(), expected)
        });
        Self {
            expected: expected.collect(),
            stale: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    pub(super) fn expects(&self, name: &str) -> bool {
        self.expected.contains_key(name)
    }

    /// Whether the last good download is kept.
    pub(super) fn keeps(&self, name: &str) -> bool {
        self.expected
            .get(name)
            .is_some_and(|expected| expected.keeps)
    }

    /// Whether one has never come.
    pub(super) fn is_waiting(&self) -> bool {
        let mut expected = self.expected.values();
        expected.any(|expected| expected.digest.is_none())
    }

    /// Whether any has come.
    fn has_come(&self) -> bool {
        let mut expected = self.expected.values();
        expected.any(|expected| expected.digest.is_some())
    }

    fn is_active(&self, name: &str, digest: Hash) -> bool {
        let expected = self.expected.get(name);
        expected.is_some_and(|expected| expected.digest == Some(digest))
    }

    /// None has come.
    pub(super) fn forget(&mut self) {
        for expected in self.expected.values_mut() {
            expected.digest = None;
        }
    }

    /// What the store holds under this name goes with the next change.
    pub(super) fn is_stale(&mut self, name: &str) {
        self.stale.push(EntryId::new(EntryKind::RemoteBundle, name));
    }

    pub(super) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    pub(super) fn take_stale(&mut self) -> Vec<EntryId> {
        std::mem::take(&mut self.stale)
    }
}

// === impl State ===

impl State {
    /// Takes in what was downloaded.
    pub(super) fn put_download(&mut self, bundle: Arc<Bundle>, digest: Hash) {
        if let Some(expected) = self.downloads.expected.get_mut(&bundle.name) {
            expected.digest = Some(digest);
            self.put_bundle(bundle, Owner::Url);
        }
    }

    /// Rule: a delta is to what is active, and nothing else.
    fn check_base(&self, download: &Download) -> Result<(), ActivationError> {
        let Some(base) = &download.base else {
            return Ok(());
        };
        match self.shared_bundle(&base.name) {
            Some(active) if Arc::ptr_eq(&active, base) => Ok(()),
            _ => Err(ActivationError::Internal(format!(
                "bundle `{}` was changed while a delta to it was read",
                base.name
            ))),
        }
    }
}

// === impl Activation ===

impl Activation {
    /// Reads an archive that was downloaded, and checks its signature. Rule: a delta is taken only if it
    /// is one to what is active, which makes it a whole bundle.
    pub async fn read_download(
        &self,
        name: &str,
        archive: Vec<u8>,
        takes_delta: bool,
    ) -> Result<Download, ActivationError> {
        let settings = self.settings.bundles.clone();
        let name = name.to_owned();
        let base = match takes_delta {
            true => self.state.lock().await.shared_bundle(&name),
            false => None,
        };
        blocking(move || {
            let read = read(&name, archive, base, &settings);
            read.map_err(|error| invalid_bundle(error, &name))
        })
        .await
    }

    /// Takes in several downloads as one revision. There is none if all of it is active already.
    pub async fn put_downloads(
        self: &Arc<Self>,
        downloads: &[Arc<Download>],
    ) -> Result<Option<u64>, ActivationError> {
        let active = Arc::clone(&self.state).lock_owned().await;
        let is_new = |download: &&Arc<Download>| {
            !active
                .downloads
                .is_active(&download.bundle.name, download.digest)
        };
        let new: Vec<Arc<Download>> = downloads.iter().filter(is_new).cloned().collect();
        drop(active);
        if new.is_empty() {
            return Ok(None);
        }
        let names: Vec<_> = new.iter().map(|new| new.bundle.name.clone()).collect();
        let mut attempt =
            Attempt::new(Author::program(), Action::DownloadBundle, &names.join(", "));
        if let [only] = new.as_slice() {
            attempt = attempt.of(&only.archive);
        }
        let this = Arc::clone(self);
        self.attempt(attempt.clone(), async move {
            let state = this.writable(None).await?;
            let mut candidate = state.clone();
            let mut change = state.change(attempt);
            for download in &new {
                let name = &download.bundle.name;
                state.check_base(download)?;
                candidate.put_download(Arc::clone(&download.bundle), download.digest);
                if state.downloads.keeps(name) {
                    let kind = EntryKind::RemoteBundle;
                    let entry = Entry::new(kind, name.clone(), download.archive.clone());
                    change.put.push(entry);
                }
            }
            let revision = this
                .activate_tested(state, candidate, change, names)
                .await?;
            Ok(Some(revision))
        })
        .await
    }
}

fn read(
    name: &str,
    archive: Vec<u8>,
    base: Option<Arc<Bundle>>,
    settings: &BundleSettings,
) -> Result<Download, BundleError> {
    let (bundle, archive, base) = match Bundle::read_archive(name, &archive, settings)? {
        Content::Whole(bundle) => (*bundle, archive, None),
        Content::Delta(delta) => {
            let base = base.ok_or_else(|| {
                let why = "is a delta to something else than what is active here";
                BundleError::Delta(why.to_owned())
            })?;
            let (bundle, archive) = base.changed_by(&delta, settings)?;
            (bundle, archive, Some(base))
        }
    };
    Ok(Download {
        bundle: Arc::new(bundle),
        digest: Hash::of(&archive),
        archive,
        base,
    })
}

/// Compiles what a start finds. Rule: what was downloaded once and does not go with the rest any more
/// counts as not downloaded yet.
pub(super) fn compile_start(
    mut state: State,
    settings: &ActivationSettings,
) -> Result<(State, PolicySet), ActivationError> {
    match compile(&state, settings) {
        Ok(policies) => Ok((state, policies)),
        Err(error) if !state.downloads.has_come() => Err(error),
        Err(error) => {
            let others = state.without_downloaded();
            let Ok(policies) = compile(&others, settings) else {
                return Err(error);
            };
            tracing::error!(
                %error,
                "THE LAST DOWNLOADS DO NOT GO WITH THE REST OF POLICY and are left out until they are \
                 downloaded again"
            );
            state = others;
            Ok((state, policies))
        }
    }
}
