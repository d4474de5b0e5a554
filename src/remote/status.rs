//! What is known of one source: when it was asked, what came, and what went wrong last.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::activation::ActivationError;
use crate::bundle::RemoteSource;
use crate::fetch::one_line;
use crate::policy::PolicyError;

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

/// Where a source's task writes it down.
#[derive(Debug)]
pub(super) struct Record(Mutex<RemoteStatus>);

// === impl Record ===

impl Record {
    pub(super) fn new(source: &RemoteSource) -> Self {
        Self(Mutex::new(RemoteStatus {
            name: source.name.clone(),
            url: source.url.to_string(),
            ..RemoteStatus::default()
        }))
    }

    pub(super) fn status(&self) -> RemoteStatus {
        self.change(|status| status.clone())
    }

    /// What a panic left behind is still whole: every member stands for itself.
    fn change<T>(&self, change: impl FnOnce(&mut RemoteStatus) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn asks(&self, now: Timestamp) {
        self.change(|status| status.last_request = Some(now));
    }

    pub(super) fn waits(&self, now: Timestamp, pause: Duration) {
        let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
        self.change(|status| status.next_request = now.saturating_add(pause).ok());
    }

    pub(super) fn answered(&self, now: Timestamp) {
        self.change(|status| status.last_successful_request = Some(now));
    }

    pub(super) fn downloaded(&self, now: Timestamp, size: usize) {
        self.change(|status| {
            status.last_successful_download = Some(now);
            status.size = Some(size);
        });
    }

    /// Nothing is wrong; `activated` if what came is in force now.
    pub(super) fn is_good(&self, now: Timestamp, activated: Option<Option<String>>) {
        self.change(|status| {
            status.error = None;
            if let Some(etag) = activated {
                status.last_successful_activation = Some(now);
                status.etag = etag;
            }
        });
    }

    /// Whether this is another failure than the last one.
    pub(super) fn failed(&self, failure: Failure) -> bool {
        self.change(|status| {
            let is_other = status.error.as_ref() != Some(&failure);
            status.error = Some(failure);
            is_other
        })
    }
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
