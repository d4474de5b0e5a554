//! What was and who did it: revisions to go back to, and the audit record that every change and every
//! attempt leaves.

use std::sync::Arc;

use tokio::task::JoinError;
use tracing::Instrument as _;

use super::load::load_pushed;
use super::state::State;
use super::{Activation, ActivationError};
use crate::store::{
    Action, Attempt, AuditPage, AuditQuery, Author, PolicyStore, Revision, StoreError,
};
use crate::telemetry::Metrics;

/// Most changes read and waiting at once; further callers wait before anything is done for them.
pub(super) const MAX_CHANGES: usize = 32;

impl Activation {
    /// Makes a new revision in which all that the API owns is as it was at an earlier one. What comes
    /// from elsewhere stays.
    pub async fn rollback(
        self: &Arc<Self>,
        author: Author,
        number: u64,
        if_match: Option<u64>,
    ) -> Result<u64, ActivationError> {
        let attempt = Attempt::new(author, Action::Rollback, &number.to_string());
        let this = Arc::clone(self);
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            let candidate = this.at_revision(&state, number).await?;
            let mut change = state.change(attempt);
            change.restore = Some(number);
            this.activate(state, candidate, change).await
        })
        .await
    }

    /// What is loaded, with all that the API owns as it was at an earlier revision.
    pub(super) async fn at_revision(
        &self,
        state: &State,
        number: u64,
    ) -> Result<State, ActivationError> {
        let old = self.store.load_at(number).await;
        let old = old.map_err(|error| match error {
            StoreError::NotKept(_) => ActivationError::NotFound(format!("revision {number}")),
            other => other.into(),
        })?;
        let others = state.without_pushed();
        let settings = self.settings.bundles.clone();
        self.in_background(move || load_pushed(others, old, &settings))
            .await
    }

    /// Revisions that can be gone back to, newest first.
    pub async fn revisions(&self) -> Result<Vec<Revision>, ActivationError> {
        Ok(self.store.revisions().await?)
    }

    /// Records of changes and attempts, newest first.
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditPage, ActivationError> {
        Ok(self.store.audit(query).await?)
    }

    /// Goes on to its end even if the caller gives up in between: what is stored must also be active,
    /// and what was tried be recorded.
    pub(super) async fn attempt<T: Send + 'static>(
        self: &Arc<Self>,
        attempt: Attempt,
        change: impl Future<Output = Result<T, ActivationError>> + Send + 'static,
    ) -> Result<T, ActivationError> {
        let this = Arc::clone(self);
        let place = Arc::clone(&self.places).acquire_owned().await;
        let task = async move {
            let _place = place;
            // On a task of its own, so that a panic is an error like any other.
            let result = tokio::spawn(change.in_current_span()).await;
            let result = result.unwrap_or_else(|error| internal(&error));
            this.note(attempt, result.as_ref().err()).await;
            result
        };
        // What it logs belongs to the call.
        let task = tokio::spawn(task.in_current_span());
        task.await.unwrap_or_else(|error| internal(&error))
    }

    /// Counts an attempt by what it came to, and records one that failed. One that worked was recorded
    /// with the change.
    pub(super) async fn note(&self, attempt: Attempt, error: Option<&ActivationError>) {
        let Some(error) = error else {
            self.metrics.activated("success");
            return;
        };
        self.metrics.activated("failure");
        tracing::warn!(%error, "policy was not changed");
        if let ActivationError::Store(error) = error
            && !error.is_answer()
        {
            self.metrics.store_failed(error.kind());
        }
        self.record(attempt, error.to_string()).await;
    }

    /// Records a change that was not even begun, since its author may not make it.
    pub async fn refused(&self, author: Author, wanted: &str) {
        let attempt = Attempt::new(author, Action::Refused, wanted);
        let error = "the caller may not make this change";
        self.record(attempt, error.to_owned()).await;
    }

    /// Records a change that was not made for what replaying decisions has shown.
    pub async fn not_replayed(&self, author: Author, action: Action, target: &str, why: String) {
        self.metrics.activated("failure");
        self.record(Attempt::new(author, action, target), why).await;
    }

    async fn record(&self, attempt: Attempt, error: String) {
        let revision = self.snapshot.load().revision;
        if let Err(error) = self.store.record_failure(attempt, revision, error).await {
            self.metrics.store_failed(error.kind());
            tracing::error!(%error, "the audit record of an attempt waits to be written");
        }
    }
}

pub(super) fn internal<T>(error: &JoinError) -> Result<T, ActivationError> {
    Err(ActivationError::Internal(error.to_string()))
}

/// Tells if the audit log is not what it was. Policy is served all the same.
pub(super) async fn check_audit(store: &dyn PolicyStore, metrics: &Metrics) {
    let query = AuditQuery {
        limit: 1,
        before: None,
    };
    let problem = match store.audit(query).await {
        Ok(page) => page.chain.problem,
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        metrics.store_failed("audit");
        tracing::error!(problem, "the audit log was tampered with or is damaged");
    }
}
