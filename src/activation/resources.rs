//! Native objects that come over the API: read before anybody waits for them, put all or none.

use std::collections::HashSet;
use std::sync::Arc;

use super::state::State;
use super::{Activation, ActivationError};
use crate::policy::PolicyError;
use crate::policy::resource::{Resource, ResourceId};
use crate::store::{Action, Attempt, Author, Change};

/// Which objects a text of native objects stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutScope {
    /// Those in it; at least one.
    Some,
    /// All that the API owns; others are removed.
    All,
    /// Exactly this one.
    One(ResourceId),
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

/// Native objects that were put.
#[derive(Debug)]
pub struct Applied {
    pub results: Vec<(ResourceId, ObjectChange)>,
    pub revision: u64,
    /// About the objects put, under all that holds now.
    pub warnings: Vec<PolicyError>,
}

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
            let put = move || {
                let results = put(resources, &scope, &mut candidate, &mut change)?;
                Ok((candidate, change, results))
            };
            let (candidate, change, results) = this.in_background(put).await?;
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

    /// The native objects that a text holds, and the text. One that cannot be read holds none: who puts
    /// it is told all that is wrong. `kept` is as long as it is read, whoever waits for it.
    pub async fn named_in(
        &self,
        text: String,
        kept: impl Send + 'static,
    ) -> Result<(String, Vec<ResourceId>), ActivationError> {
        self.in_background(move || {
            let read = Resource::parse_stream(&text).unwrap_or_default();
            let named = read.into_iter().map(|resource| resource.id).collect();
            drop(kept);
            Ok((text, named))
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

    fn warnings_about(&self, results: &[(ResourceId, ObjectChange)]) -> Vec<PolicyError> {
        let snapshot = self.snapshot.load();
        let warnings = snapshot.policies.warnings.iter();
        let put: HashSet<_> = results.iter().map(|(id, _)| id).collect();
        let is_asked = |about: &ResourceId| put.contains(about);
        let asked = warnings.filter(|warning| warning.about.as_ref().is_some_and(is_asked));
        asked.map(|warning| warning.problem.clone()).collect()
    }
}

/// Puts objects that were read, noting for the store what is new.
pub(super) fn put(
    resources: Vec<Resource>,
    scope: &PutScope,
    candidate: &mut State,
    change: &mut Change,
) -> Result<Vec<(ResourceId, ObjectChange)>, ActivationError> {
    let now = jiff::Timestamp::now();
    let mut results = candidate.put_resources(resources, now, change)?;
    if *scope == PutScope::All {
        let kept = results.iter().map(|(id, _)| id.clone()).collect();
        let pruned = candidate.prune(&kept);
        results.extend(pruned.iter().map(|id| (id.clone(), ObjectChange::Deleted)));
        change.delete.extend(pruned.iter().map(State::entry_id));
    }
    Ok(results)
}

impl PutScope {
    pub(super) fn check(&self, resources: &[Resource]) -> Result<(), ActivationError> {
        let message = match (self, resources) {
            // An empty body is more likely a mistake than the wish to have no policy.
            (Self::Some | Self::All, []) => "the body holds no object".to_owned(),
            (Self::One(id), [resource]) if resource.id != *id => {
                format!("the body holds {}, not {id}", resource.id)
            }
            (Self::One(_), many) if many.len() != 1 => {
                format!("the body holds {} objects, not one", many.len())
            }
            _ => return Ok(()),
        };
        let error = PolicyError::new("invalid_resource", message);
        Err(ActivationError::Invalid(vec![error]))
    }

    /// As the audit log names it.
    pub fn name(&self) -> String {
        match self {
            Self::Some => "some".to_owned(),
            Self::All => "all".to_owned(),
            Self::One(id) => id.to_string(),
        }
    }
}

pub(super) fn parse_resources(file: &str, text: &str) -> Result<Vec<Resource>, ActivationError> {
    let resources = Resource::parse_stream(text).map_err(|problems| {
        let problems = problems.into_iter();
        let errors = problems.map(|problem| PolicyError::in_document(file, problem));
        ActivationError::Invalid(errors.collect())
    })?;
    Ok(resources
        .into_iter()
        .map(|resource| resource.in_file(file))
        .collect())
}
