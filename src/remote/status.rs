//! What is known of one source: when it was asked, what came, and what went wrong last; the same for
//! metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::activation::ActivationError;
use crate::bundle::RemoteSource;
use crate::fetch::one_line;
use crate::policy::PolicyError;
use crate::telemetry::{BundleStage, Metrics};

/// Longest message that is kept of an error, in characters, and most errors.
const MAX_MESSAGE: usize = 500;
const MAX_ERRORS: usize = 20;

/// How one source is doing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RemoteStatus {
    #[serde(skip)]
    pub name: String,
    /// Without its query.
    pub url: String,
    /// Of what was activated last, as its manifest has it.
    #[serde(skip)]
    revision: Option<String>,
    /// Of the same: `snapshot` or `delta`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Of the archive that was activated last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Of the last download, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    pub last_request: Option<Timestamp>,
    /// The server answered with an archive, or that there is no other.
    pub last_successful_request: Option<Timestamp>,
    pub last_successful_download: Option<Timestamp>,
    pub last_successful_activation: Option<Timestamp>,
    pub next_request: Option<Timestamp>,
    /// Of the last attempt, if it failed.
    #[serde(flatten)]
    pub error: Option<Failure>,
}

/// Why an attempt failed, as OPA tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<PolicyError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_code: Option<u16>,
}

/// What is in force now.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) kind: &'static str,
    /// Its manifest's.
    pub(super) revision: String,
    pub(super) etag: Option<String>,
}

/// Where a source's task writes it down, and has it counted.
#[derive(Debug)]
pub(super) struct Record {
    status: Mutex<RemoteStatus>,
    name: String,
    metrics: Arc<Metrics>,
}

// === impl Record ===

impl Record {
    pub(super) fn new(source: &RemoteSource, metrics: Arc<Metrics>) -> Self {
        Self {
            status: Mutex::new(RemoteStatus {
                name: source.name.clone(),
                url: source.url.to_string(),
                ..RemoteStatus::default()
            }),
            name: source.name.clone(),
            metrics,
        }
    }

    pub(super) fn status(&self) -> RemoteStatus {
        self.change(|status| status.clone())
    }

    /// What a panic left behind is still whole: every member stands for itself.
    fn change<T>(&self, change: impl FnOnce(&mut RemoteStatus) -> T) -> T {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn asks(&self, now: Timestamp) {
        self.change(|status| status.last_request = Some(now));
        self.metrics.of_bundles.asked(&self.name, nanos(now));
    }

    pub(super) fn waits(&self, now: Timestamp, pause: Duration) {
        let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
        self.change(|status| status.next_request = now.saturating_add(pause).ok());
    }

    pub(super) fn answered(&self, now: Timestamp) {
        self.change(|status| status.last_successful_request = Some(now));
        self.metrics.of_bundles.answered(&self.name, nanos(now));
    }

    pub(super) fn downloaded(&self, now: Timestamp, size: usize) {
        self.change(|status| {
            status.last_successful_download = Some(now);
            status.size = Some(size);
        });
        self.metrics.of_bundles.downloaded(&self.name, nanos(now));
    }

    pub(super) fn took(&self, stage: BundleStage, duration: Duration) {
        self.metrics.of_bundles.took(&self.name, stage, duration);
    }

    /// What came is in force now.
    pub(super) fn activated(&self, now: Timestamp, active: Active) {
        let Active {
            kind,
            revision,
            etag,
        } = active;
        let before = self.change(|status| {
            status.last_successful_activation = Some(now);
            status.kind = Some(kind);
            status.etag = etag;
            status.revision.replace(revision.clone())
        });
        let metrics = &self.metrics.of_bundles;
        metrics.activated(&self.name, before.as_deref(), &revision, nanos(now));
    }

    /// Nothing is wrong, and what the server has is in force; `is_new` if it was not before.
    pub(super) fn is_good(&self, now: Timestamp, is_new: bool) {
        self.change(|status| status.error = None);
        let result = if is_new { "activated" } else { "unchanged" };
        self.metrics
            .bundle_asked(&self.name, result, now.as_second());
        self.metrics.of_bundles.loaded(&self.name);
    }

    /// Whether this is another failure than the last one.
    pub(super) fn failed(&self, now: Timestamp, failure: Failure) -> bool {
        self.metrics
            .bundle_asked(&self.name, "failure", now.as_second());
        self.metrics.of_bundles.failed(&self.name, failure.code);
        self.change(|status| {
            let is_other = status.error.as_ref() != Some(&failure);
            status.error = Some(failure);
            is_other
        })
    }
}

fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

// === impl Failure ===

impl Failure {
    /// Short and on one line, whatever a server wrote.
    pub(super) fn new(message: &str, http_code: Option<u16>) -> Self {
        Self {
            code: "bundle_error",
            message: one_line(message, MAX_MESSAGE),
            errors: Vec::new(),
            http_code,
        }
    }
}

impl From<&ActivationError> for Failure {
    fn from(error: &ActivationError) -> Self {
        let errors = match error {
            ActivationError::Invalid(errors) => errors.iter().take(MAX_ERRORS).cloned().collect(),
            _ => Vec::new(),
        };
        Self {
            errors,
            ..Self::new(&error.to_string(), None)
        }
    }
}
