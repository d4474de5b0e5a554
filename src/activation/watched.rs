//! Policy of files, read again when they change, the same way as a push: whole, compiled with all that
//! stays, a revision of its own. What cannot be used leaves what the files held before in force, is told
//! once, and ends by itself as soon as the files are good. When to look is the caller's matter.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::fingerprint::Fingerprint;
use super::load::load;
use super::{Activation, ActivationError, FileSources, blocking};
use crate::policy::PolicyError;
use crate::store::{Action, Attempt, Author, Stored};

/// What files that changed are called in metrics.
const METRIC: &str = "policies";
/// Looks at files that keep changing, where somebody wants them read at once.
const MAX_LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// Most errors in a line of the log.
const MAX_LOGGED: usize = 20;

/// Files between two looks at them.
#[derive(Debug)]
pub(super) struct FileWatch {
    sources: Arc<FileSources>,
    /// When what is in force was read.
    loaded: Fingerprint,
    /// Whether `loaded` stands for one content only.
    is_settled: bool,
    /// At the last look.
    seen: Fingerprint,
    /// What cannot be used, and under which revision that was so.
    refused: Option<(Fingerprint, u64)>,
    /// Whether the error in the status was told.
    is_told: bool,
}

/// How policy of files is doing.
#[derive(Debug, Clone, Serialize)]
pub struct FilesStatus {
    /// When what is in force was read.
    pub loaded: Timestamp,
    /// Why what the files hold now is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FilesError>,
}

#[derive(Debug, Clone, Serialize)]
pub struct FilesError {
    pub time: Timestamp,
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<PolicyError>,
}

/// What came of reading files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// They changed meanwhile.
    Unsteady,
    Unchanged,
    Changed,
}

impl FileWatch {
    /// Of files that looked like this just before they were loaded.
    pub(super) fn new(sources: FileSources, loaded: Fingerprint) -> Self {
        Self {
            sources: Arc::new(sources),
            is_settled: loaded.is_settled(),
            seen: loaded.clone(),
            loaded,
            refused: None,
            is_told: false,
        }
    }

    pub(super) fn status(&self) -> Option<FilesStatus> {
        (!self.loaded.is_empty()).then(|| FilesStatus {
            loaded: Timestamp::now(),
            error: None,
        })
    }
}

impl Activation {
    /// Looks at the files, and loads what they hold if that changed. Unless it is wanted at once, a
    /// change is left alone until it looks the same a second time: it may be half written.
    pub async fn look_at_files(self: &Arc<Self>, at_once: bool) {
        let mut watch = self.files.lock().await;
        if watch.loaded.is_empty() {
            return;
        }
        for _ in 0..MAX_LOOKS {
            let read = self.look(&mut watch, at_once).await;
            if !at_once || read != Read::Unsteady {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How policy of files is doing, if there is any.
    pub fn files_status(&self) -> Option<FilesStatus> {
        let status = self.files_status.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look(self: &Arc<Self>, watch: &mut FileWatch, at_once: bool) -> Read {
        let sources = Arc::clone(&watch.sources);
        let look = move || {
            let found = Fingerprint::of(&sources);
            let is_settled = found.is_settled();
            Ok((found, is_settled))
        };
        let Ok((found, is_settled)) = blocking(look).await else {
            return Read::Unsteady;
        };
        let is_steady = watch.seen == found;
        watch.seen.clone_from(&found);
        if !is_steady && !at_once {
            return Read::Unsteady;
        }
        if found == watch.loaded && watch.is_settled {
            watch.refused = None;
            self.files_are_good(watch, Read::Unchanged);
            return Read::Unchanged;
        }
        // Whether they fit what was pushed may be another matter under another revision.
        let tried = (found, self.snapshot.load().revision);
        if watch.refused.as_ref() == Some(&tried) {
            return Read::Unchanged;
        }
        match self.reload(watch, &tried.0).await {
            Ok(Read::Unsteady) => Read::Unsteady,
            Ok(read) => {
                watch.loaded = tried.0;
                watch.is_settled = is_settled;
                watch.refused = None;
                self.files_are_good(watch, read);
                read
            }
            Err(error) => {
                // The store may do better the next time.
                let is_lasting = !matches!(error, ActivationError::Store(_));
                watch.refused = is_lasting.then_some(tried);
                self.files_are_bad(watch, &error).await;
                Read::Unchanged
            }
        }
    }

    async fn reload(
        self: &Arc<Self>,
        watch: &FileWatch,
        found: &Fingerprint,
    ) -> Result<Read, ActivationError> {
        let settings = self.settings.bundles.clone();
        let sources = Arc::clone(&watch.sources);
        let (found, loaded) = (found.clone(), watch.loaded.clone());
        let read = self.in_background(move || {
            if let Some(why) = found.objection(&loaded) {
                let error = PolicyError::new("file_error", why);
                return Err(ActivationError::Invalid(vec![error]));
            }
            let read = load(&sources, Stored::default(), &settings);
            // Of files that are replaced meanwhile some would be old and some new.
            Ok((Fingerprint::of(&sources) == found).then_some(read))
        });
        let Some(files) = read.await? else {
            return Ok(Read::Unsteady);
        };
        let state = self.writable(None).await?;
        let Some(candidate) = state.with_files(files?)? else {
            return Ok(Read::Unchanged);
        };
        for warning in candidate.file_bundles().flat_map(|bundle| &bundle.warnings) {
            tracing::warn!("{warning}");
        }
        let tested = candidate.file_bundles().map(|bundle| bundle.name.clone());
        let tested = tested.collect();
        let change = state.change(attempt());
        self.activate_tested(state, candidate, change, tested)
            .await?;
        Ok(Read::Changed)
    }

    fn files_are_good(&self, watch: &mut FileWatch, read: Read) {
        watch.is_told = false;
        self.metrics.files_refused.set(0);
        let mut status = self.files_status.lock();
        let status = status.as_deref_mut().ok().and_then(Option::as_mut);
        let Some(status) = status else {
            return;
        };
        if status.error.take().is_some() {
            tracing::info!("files of policy can be used again");
        }
        if read == Read::Changed {
            status.loaded = Timestamp::now();
            self.metrics.reloaded(METRIC, "success");
            self.metrics.activated("success");
        }
    }

    /// Tells an error once, and keeps it for those who ask.
    async fn files_are_bad(&self, watch: &mut FileWatch, error: &ActivationError) {
        self.metrics.files_refused.set(1);
        let (is_new, text) = self.keep_error(error);
        if watch.is_told && !is_new {
            return;
        }
        watch.is_told = true;
        self.metrics.reloaded(METRIC, "failure");
        tracing::error!(
            error = text,
            "FILES OF POLICY CANNOT BE USED: what they held before stays in force"
        );
        self.note(attempt(), Some(error)).await;
    }

    /// Whether it is another error than before, and all of it in one text.
    fn keep_error(&self, error: &ActivationError) -> (bool, String) {
        let errors = match error {
            ActivationError::Invalid(errors) => errors.clone(),
            _ => Vec::new(),
        };
        let lines: Vec<_> = errors.iter().map(PolicyError::to_string).collect();
        let text = match lines.is_empty() {
            true => error.to_string(),
            false => lines.get(..MAX_LOGGED).unwrap_or(&lines).join("; "),
        };
        let mut status = self.files_status.lock();
        let status = status.as_deref_mut().ok().and_then(Option::as_mut);
        let Some(status) = status else {
            return (true, text);
        };
        let new = FilesError {
            time: Timestamp::now(),
            message: error.to_string(),
            errors,
        };
        let is_same = |old: &FilesError| (&old.message, &old.errors) == (&new.message, &new.errors);
        if status.error.as_ref().is_some_and(is_same) {
            return (false, text);
        }
        status.error = Some(new);
        (true, text)
    }
}

/// As the audit log has it.
fn attempt() -> Attempt {
    Attempt::new(Author::new("file", None), Action::Reload, "files")
}
