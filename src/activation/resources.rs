//! Native objects that come over the API: read before anybody waits for them, put all or none.

use std::sync::Arc;

use super::state::State;
use super::{Activation, ActivationError, Applied, ObjectChange, PutScope, parse_resources};
use crate::policy::resource::ResourceId;
use crate::store::{Action, Attempt, Author};

impl Activation {
    /// Puts the native objects of a YAML or JSON text, all or none. `file` is what errors
    /// name.
    pub async fn put_resources(
        self: &Arc<Self>,
        author: Author,
        file: &'static str,
        text: String,
        scope: PutScope,
        if_match: Option<u64>,
    ) -> Result<Applied, ActivationError> {
        let attempt = Attempt::new(author, Action::PutResources, &scope.name());
        let attempt = attempt.of(text.as_bytes());
        let this = Arc::clone(self);
        self.attempt(attempt.clone(), async move {
            let resources = this
                .in_background(move || parse_resources(file, &text))
                .await?;
            scope.check(&resources)?;
            let state = this.writable(if_match).await?;
            let mut candidate = state.clone();
            let mut change = state.change(attempt);
            let mut results =
                candidate.put_resources(resources, jiff::Timestamp::now(), &mut change)?;
            if scope == PutScope::All {
                let kept = results.iter().map(|(id, _)| id.clone()).collect();
                let pruned = candidate.prune(&kept);
                results.extend(pruned.iter().map(|id| (id.clone(), ObjectChange::Deleted)));
                change.delete.extend(pruned.iter().map(State::entry_id));
            }
            let revision = if change.is_empty() {
                state.revision
            } else {
                this.activate(state, candidate, change).await?
            };
            Ok(Applied {
                revision,
                warnings: this.warnings_about(&results),
                results,
            })
        })
        .await
    }

    /// Removes a native object.
    pub async fn delete_resource(
        self: &Arc<Self>,
        author: Author,
        id: &ResourceId,
        if_match: Option<u64>,
    ) -> Result<u64, ActivationError> {
        let attempt = Attempt::new(author, Action::DeleteResource, &id.to_string());
        let (this, id) = (Arc::clone(self), id.clone());
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            let mut candidate = state.clone();
            candidate.delete_resource(&id)?;
            let mut change = state.change(attempt);
            change.delete.push(State::entry_id(&id));
            this.activate(state, candidate, change).await
        })
        .await
    }
}

impl PutScope {
    /// As the audit log names it.
    fn name(&self) -> String {
        match self {
            Self::Some => "some".to_owned(),
            Self::All => "all".to_owned(),
            Self::One(id) => id.to_string(),
        }
    }
}
