//! Bundles that are pushed as shadows: kept and compiled like any other, each together with all that is
//! enforced besides, and asked beside it. A shadow never keeps other policy from changing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::state::{BundleStatus, Owner, State};
use super::{
    Activation, ActivationError, ActivationSettings, PushedBundle, bundle_tests, compile_after,
    invalid_bundle,
};
use crate::bundle::{Bundle, Content};
use crate::policy::{PolicyError, PolicySet, ShadowPolicies};
use crate::shadow::{Compared, Skip, threads};
use crate::store::{Action, Attempt, Author, Change, Entry, EntryId, EntryKind};
use crate::telemetry::Metrics;

/// Most shadows at once: each takes the memory of all policies.
const MAX_SHADOWS: usize = 4;

/// Shadows by the names of their bundles.
#[derive(Debug, Clone, Default)]
pub(super) struct Shadows {
    readable: BTreeMap<String, ShadowBundle>,
    /// Those of the store that could not be read, and why: they stay there until somebody says otherwise.
    unreadable: BTreeMap<String, Vec<PolicyError>>,
}

#[derive(Debug, Clone)]
struct ShadowBundle {
    bundle: Arc<Bundle>,
    /// Why it cannot be asked, though it could be when it was pushed.
    problems: Vec<PolicyError>,
}

/// A shadow as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowStatus {
    #[serde(flatten)]
    pub bundle: BundleStatus,
    mode: &'static str,
    /// Why it is not asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<PolicyError>,
}

// === impl Shadows ===

impl Shadows {
    pub(super) fn put(&mut self, bundle: Arc<Bundle>) {
        let shadow = ShadowBundle {
            bundle,
            problems: Vec::new(),
        };
        let name = shadow.bundle.name.clone();
        self.unreadable.remove(&name);
        self.readable.insert(name, shadow);
    }

    pub(super) fn put_unreadable(&mut self, name: String, why: ActivationError) {
        self.unreadable.insert(name, problems_of(why));
    }

    fn remove(&mut self, name: &str) -> bool {
        self.readable.remove(name).is_some() | self.unreadable.remove(name).is_some()
    }

    /// How many are there and are not asked.
    pub(super) fn unusable(&self) -> usize {
        let readable = self.readable.values();
        let unusable = readable.filter(|shadow| !shadow.problems.is_empty());
        unusable.count() + self.unreadable.len()
    }

    fn check_room(&self, name: &str) -> Result<(), ActivationError> {
        let is_known = self.readable.contains_key(name) || self.unreadable.contains_key(name);
        if is_known || self.readable.len() + self.unreadable.len() < MAX_SHADOWS {
            return Ok(());
        }
        let message = format!(
            "there are {MAX_SHADOWS} shadows already, the most there can be: promote or delete one"
        );
        let error = PolicyError::new("shadow_limit", message);
        Err(ActivationError::Invalid(vec![error]))
    }
}

// === impl State ===

impl State {
    /// Everything as if a shadow were enforced.
    pub(super) fn promoted(&self, name: &str) -> Option<Self> {
        let mut state = self.clone();
        let shadow = state.shadows.readable.remove(name)?;
        state.put_bundle(shadow.bundle, Owner::Api);
        Some(state)
    }

    pub(super) fn shadow_status(&self) -> Vec<ShadowStatus> {
        let of = |bundle, problems: &Vec<_>| ShadowStatus {
            bundle,
            mode: "shadow",
            problems: problems.clone(),
        };
        let readable = self.shadows.readable.values();
        let readable = readable.map(|shadow| {
            of(
                BundleStatus::of(&shadow.bundle, Owner::Api),
                &shadow.problems,
            )
        });
        let unreadable = self.shadows.unreadable.iter();
        let unreadable = unreadable.map(|(name, why)| of(BundleStatus::unread(name), why));
        readable.chain(unreadable).collect()
    }
}

// === impl Activation ===

impl Activation {
    /// Puts a bundle as the shadow of the enforced one of its name, whoever owns that.
    pub async fn put_shadow(
        self: &Arc<Self>,
        author: Author,
        name: &str,
        archive: Vec<u8>,
        if_match: Option<u64>,
    ) -> Result<PushedBundle, ActivationError> {
        let attempt = Attempt::new(author, Action::PutShadow, name).of(&archive);
        let (this, name) = (Arc::clone(self), name.to_owned());
        self.attempt(attempt.clone(), async move {
            let settings = this.settings.bundles.clone();
            let read = this.in_background(move || {
                let read = Bundle::read_archive(&name, &archive, &settings);
                match read.map_err(|error| invalid_bundle(error, &name))? {
                    Content::Whole(bundle) => Ok((*bundle, archive)),
                    // Rule: it would not be known what it changes: the enforced one, or the shadow.
                    Content::Delta(_) => Err(no_delta(&name)),
                }
            });
            let (bundle, archive) = read.await?;
            let state = this.writable(if_match).await?;
            state.shadows.check_room(&bundle.name)?;
            let mut candidate = state.clone();
            let mut change = state.change(attempt);
            let pushed = pushed(&bundle);
            let entry = Entry::new(EntryKind::ShadowBundle, bundle.name.clone(), archive);
            change.put.push(entry);
            candidate.shadows.put(Arc::new(bundle));
            let snapshot = this.activate(state, candidate, change).await?;
            Ok(PushedBundle { snapshot, ..pushed })
        })
        .await
    }

    /// Removes a shadow.
    pub async fn delete_shadow(
        self: &Arc<Self>,
        author: Author,
        name: &str,
        if_match: Option<u64>,
    ) -> Result<u64, ActivationError> {
        let attempt = Attempt::new(author, Action::DeleteShadow, name);
        let (this, name) = (Arc::clone(self), name.to_owned());
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            let mut candidate = state.clone();
            if !candidate.shadows.remove(&name) {
                return Err(no_shadow(&name));
            }
            let mut change = state.change(attempt);
            let id = EntryId::new(EntryKind::ShadowBundle, name);
            change.delete.push(id);
            this.activate(state, candidate, change).await
        })
        .await
    }

    /// Makes a shadow the enforced bundle of its name, byte by byte as it was pushed.
    pub async fn promote_bundle(
        self: &Arc<Self>,
        author: Author,
        name: &str,
        if_match: Option<u64>,
    ) -> Result<PushedBundle, ActivationError> {
        let attempt = Attempt::new(author, Action::PromoteBundle, name);
        let (this, name) = (Arc::clone(self), name.to_owned());
        self.attempt(attempt.clone(), async move {
            let state = this.writable(if_match).await?;
            let candidate = state.promoted(&name).ok_or_else(|| no_shadow(&name))?;
            state.require_api_bundle(&name)?;
            let bundle = candidate.bundle(&name).ok_or_else(|| no_shadow(&name))?;
            let pushed = pushed(bundle);
            let id = EntryId::new(EntryKind::ShadowBundle, name.clone());
            let stored = this.store.load_at(state.stored()).await?;
            let mut entries = stored.entries.into_iter();
            let archive = entries.find(|entry| entry.id == id);
            let archive = archive.ok_or_else(|| no_shadow(&name))?.bytes;
            let mut change = state.change(attempt);
            change
                .put
                .push(Entry::new(EntryKind::Bundle, name, archive));
            change.delete.push(id);
            let snapshot = this.activate(state, candidate, change).await?;
            Ok(PushedBundle { snapshot, ..pushed })
        })
        .await
    }
}

/// The names of the shadows that a change puts.
pub(super) fn put_by(change: &Change) -> BTreeSet<String> {
    let put = change.put.iter().map(|entry| &entry.id);
    let shadows = put.filter(|id| id.kind == EntryKind::ShadowBundle);
    shadows.map(|id| id.key.clone()).collect()
}

/// Compiles the policies of every shadow. Rule: those just put must be good, their tests included; an
/// older one that does not go with the rest any more is not asked, and says why.
pub(super) fn compile(
    active: &PolicySet,
    state: &mut State,
    put: &BTreeSet<String>,
    settings: &ActivationSettings,
) -> Result<Vec<ShadowPolicies>, ActivationError> {
    if state.shadows.readable.is_empty() {
        return Ok(Vec::new());
    }
    let mut settings = settings.clone();
    settings.policy.rego.at_once = threads();
    let mut compiled = Vec::new();
    let names: Vec<_> = state.shadows.readable.keys().cloned().collect();
    for name in names {
        let result = compile_one(active, state, &name, put.contains(&name), &settings);
        let problems = match result {
            Ok(policies) => {
                compiled.extend(policies);
                Vec::new()
            }
            Err(error) if put.contains(&name) => return Err(error),
            Err(error) => {
                tracing::warn!(bundle = name, %error, "a shadow does not go with the rest of policy and is not asked");
                problems_of(error)
            }
        };
        if let Some(shadow) = state.shadows.readable.get_mut(&name) {
            shadow.problems = problems;
        }
    }
    Ok(compiled)
}

fn problems_of(error: ActivationError) -> Vec<PolicyError> {
    match error {
        ActivationError::Invalid(errors) => errors,
        other => vec![PolicyError::new("load_error", other.to_string())],
    }
}

fn compile_one(
    active: &PolicySet,
    state: &State,
    name: &str,
    is_new: bool,
    settings: &ActivationSettings,
) -> Result<Option<ShadowPolicies>, ActivationError> {
    let Some(promoted) = state.promoted(name) else {
        return Ok(None);
    };
    let mut known = active.shadows.iter();
    let before = known.find(|shadow| *shadow.bundle == *name);
    let before = before.map_or(active, |shadow| &shadow.policies);
    let policies = compile_after(Some(before), &promoted, settings)?;
    let Some(bundle) = promoted.bundle(name) else {
        return Ok(None);
    };
    if is_new {
        bundle_tests::run(&promoted, std::iter::once(bundle), &settings.policy)?;
    }
    Ok(Some(ShadowPolicies {
        bundle: name.into(),
        bundle_revision: bundle.manifest.revision.as_str().into(),
        policies: Arc::new(policies),
    }))
}

/// Drops the series of shadows that are asked no more.
pub(super) fn forget_gone(metrics: &Metrics, old: &PolicySet, new: &PolicySet) {
    for gone in &old.shadows {
        if new
            .shadows
            .iter()
            .all(|shadow| shadow.bundle != gone.bundle)
        {
            let results = Compared::ALL.map(Compared::as_str);
            metrics.shadow_gone(&gone.bundle, &results, &Skip::ALL.map(Skip::as_str));
        }
    }
}

fn pushed(bundle: &Bundle) -> PushedBundle {
    PushedBundle {
        name: bundle.name.clone(),
        revision: bundle.manifest.revision.clone(),
        snapshot: 0,
        warnings: bundle.warnings.clone(),
    }
}

pub(super) fn no_shadow(name: &str) -> ActivationError {
    ActivationError::NotFound(format!("shadow of bundle `{name}`"))
}

fn no_delta(name: &str) -> ActivationError {
    let message = format!("bundle `{name}` is a delta: a shadow is pushed whole");
    ActivationError::Invalid(vec![PolicyError::new("bundle_error", message)])
}
