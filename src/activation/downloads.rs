//! Bundles that are downloaded: what is expected, what has come, and taking in several at once. Asking
//! servers is left to `remote`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Owner, State};
use super::{Activation, ActivationError, ActivationSettings, blocking, compile, invalid_bundle};
use crate::bundle::{Bundle, BundleError, BundleSettings, Content};
use crate::policy::PolicySet;
use crate::store::{Action, Attempt, Author, Entry, EntryId, EntryKind, Hash};

/// A bundle that is downloaded.
#[derive(Debug, Clone)]
pub struct ExpectedDownload {
    pub name: String,
    /// Its URL without what may be a secret.
    pub from: String,
    /// Whether the last good download is kept.
    pub keeps: bool,
}

/// The bundles that are downloaded, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Downloads {
    expected: BTreeMap<String, Expected>,
    /// Kept of bundles that are not downloaded any more.
    stale: Vec<EntryId>,
}

#[derive(Debug, Clone, Default)]
struct Expected {
    from: String,
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
    pub(super) fn new(downloads: &[ExpectedDownload]) -> Self {
        let expected = downloads.iter().map(|download| {
            let expected = Expected {
                from: download.from.clone(),
                keeps: download.keeps,
                digest: None,
            };
            (download.name.clone(), expected)
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

    /// Under what the last good download is kept, if it is. Rule: what another server sent, or the same
    /// one from another path, is not a download of this bundle.
    fn kept(&self, name: &str) -> Option<EntryId> {
        let expected = self.expected.get(name).filter(|expected| expected.keeps)?;
        let key = format!("{name} {}", expected.from);
        Some(EntryId::new(EntryKind::RemoteBundle, key))
    }

    /// The bundle of which the store keeps a download under this; `None` if it is not downloaded, from
    /// there or at all, any more.
    pub(super) fn name_of<'a>(&self, id: &'a EntryId) -> Option<&'a str> {
        let (name, _) = id.key.split_once(' ')?;
        (self.kept(name).as_ref() == Some(id)).then_some(name)
    }

    /// One that has never come.
    pub(super) fn waits_for(&self) -> Option<&str> {
        let mut expected = self.expected.iter();
        let missing = expected.find(|(_, expected)| expected.digest.is_none());
        missing.map(|(name, _)| name.as_str())
    }

    /// Whether one has never come.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits_for().is_some()
    }

    fn is_active(&self, name: &str, digest: Hash) -> bool {
        let expected = self.expected.get(name);
        expected.is_some_and(|expected| expected.digest == Some(digest))
    }

    /// As if this one had not come. Returns the digest of what had.
    pub(super) fn forget(&mut self, name: &str) -> Option<Hash> {
        self.expected.get_mut(name)?.digest.take()
    }

    /// What the store holds under this goes with the next change.
    pub(super) fn note_stale(&mut self, id: EntryId) {
        self.stale.push(id);
    }

    pub(super) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    pub(super) fn take_stale(&mut self) -> Vec<EntryId> {
        std::mem::take(&mut self.stale)
    }
}

/// A bundle that was downloaded, and the digest of its archive.
type Downloaded = (Arc<Bundle>, Hash);

// === impl State ===

impl State {
    /// The same as if nothing had been downloaded yet, and what had been.
    fn split_downloaded(&self) -> (Self, Vec<Downloaded>) {
        let mut others = self.clone();
        let mut downloaded = Vec::new();
        for bundle in self.bundles_of(Owner::Url) {
            if let Some(digest) = others.downloads.forget(&bundle.name) {
                others.delete_bundle(&bundle.name);
                downloaded.push((Arc::clone(bundle), digest));
            }
        }
        (others, downloaded)
    }

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
                change
                    .put
                    .extend(state.downloads.kept(name).map(|id| Entry {
                        id,
                        bytes: download.archive.clone(),
                    }));
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
/// counts as not downloaded yet, and nothing else is left out.
pub(super) fn compile_start(
    state: State,
    settings: &ActivationSettings,
) -> Result<(State, PolicySet), ActivationError> {
    let (others, downloaded) = state.split_downloaded();
    match compile(&state, settings) {
        Ok(policies) => return Ok((state, policies)),
        Err(error) if downloaded.is_empty() => return Err(error),
        Err(_) => {}
    }
    let policies = compile(&others, settings)?;
    let mut start = Start {
        state: others,
        policies,
        settings,
    };
    let mut left = downloaded;
    // Bundles may need each other: those that failed are tried again as long as others got in.
    loop {
        let count = left.len();
        left = start.add(left);
        if left.is_empty() || left.len() == count {
            break;
        }
    }
    for (bundle, _) in left {
        tracing::error!(
            bundle = bundle.name,
            "THE LAST DOWNLOAD DOES NOT GO WITH THE REST OF POLICY and is left out until it is downloaded \
             again"
        );
    }
    Ok((start.state, start.policies))
}

/// What was put together so far.
struct Start<'a> {
    state: State,
    policies: PolicySet,
    settings: &'a ActivationSettings,
}

impl Start<'_> {
    /// Adds all, or the halves of what cannot be added together. Returns what failed alone.
    fn add(&mut self, downloaded: Vec<Downloaded>) -> Vec<Downloaded> {
        let mut parts = vec![downloaded];
        let mut failed = Vec::new();
        while let Some(mut part) = parts.pop() {
            let mut candidate = self.state.clone();
            for (bundle, digest) in &part {
                candidate.put_download(Arc::clone(bundle), *digest);
            }
            match compile(&candidate, self.settings) {
                Ok(policies) => (self.state, self.policies) = (candidate, policies),
                Err(error) if part.len() == 1 => {
                    tracing::error!(%error, "a download cannot be used");
                    failed.append(&mut part);
                }
                Err(_) => {
                    let half = part.split_off(part.len() / 2);
                    parts.extend([half, part]);
                }
            }
        }
        failed
    }
}
