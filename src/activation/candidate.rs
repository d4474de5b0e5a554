//! Policy as a change would make it, compiled whole and refused as the change would be, and activated
//! by nobody: for what is found out before.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tracing::Instrument as _;

use super::bundles::{ReadArchive, read_archives};
use super::history::internal;
use super::resources::{parse_resources, put};
use super::shadows::no_shadow;
use super::state::State;
use super::{Activation, ActivationError, PutScope, bundle_tests, compile_after, start};
use crate::policy::PolicySet;
use crate::policy::resource::Resource;
use crate::snapshot::Snapshot;
use crate::store::{Action, Change};

/// A change that might be made.
#[derive(Debug)]
pub enum Proposal {
    /// Archives by the names of their bundles.
    Bundles(Vec<(String, Vec<u8>)>),
    /// Native objects as text; `file` is what errors name.
    Resources {
        file: &'static str,
        text: String,
        scope: PutScope,
    },
    /// A shadow that is there, enforced.
    Shadow(String),
    /// What the API owns as it was at an earlier revision.
    Revision(u64),
}

/// What a change would make of policy.
#[derive(Debug)]
pub struct Candidate {
    pub policies: Arc<PolicySet>,
    /// What it would be a change of.
    pub active: Arc<Snapshot>,
}

/// The same, read.
enum Read {
    Bundles(Vec<ReadArchive>),
    Resources(Vec<Resource>, PutScope),
    Shadow(String),
    Revision(u64),
}

impl Activation {
    /// Compiles what a change would make. Nobody who changes policy waits for it but to compile. It goes
    /// on to its end even if the caller gives up in between, since compiling does, and keeps `kept` until
    /// then.
    pub async fn propose<K: Send + 'static>(
        self: &Arc<Self>,
        proposal: Proposal,
        if_match: Option<u64>,
        kept: K,
    ) -> Result<(Candidate, K), ActivationError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|error| ActivationError::Internal(error.to_string()))?;
        let this = Arc::clone(self);
        let task = async move {
            let _place = place;
            let candidate = this.compile_proposal(proposal, if_match).await?;
            Ok((candidate, kept))
        };
        let task = tokio::spawn(task.in_current_span());
        task.await.unwrap_or_else(|error| internal(&error))
    }

    async fn compile_proposal(
        &self,
        proposal: Proposal,
        if_match: Option<u64>,
    ) -> Result<Candidate, ActivationError> {
        let read = self.read(proposal).await?;
        let (state, active) = {
            let state = self.writable(if_match).await?;
            (state.clone(), self.snapshot.load_full())
        };
        let mut candidate = state.clone();
        // Nobody stores it.
        let mut change = state.change(start(Action::Start, ""));
        let mut tested = Vec::new();
        match read {
            Read::Bundles(read) => {
                tested.extend(read.iter().map(|(name, ..)| name.clone()));
                self.put_read(read, &mut candidate, &mut change).await?;
            }
            Read::Resources(resources, scope) => {
                (candidate, change) = self
                    .in_background(move || {
                        put(resources, &scope, &mut candidate, &mut change)?;
                        Ok((candidate, change))
                    })
                    .await?;
            }
            Read::Shadow(name) => {
                let promoted = state.promoted(&name);
                candidate = promoted.ok_or_else(|| no_shadow(&name))?;
            }
            Read::Revision(number) => candidate = self.at_revision(&state, number).await?,
        }
        self.check_change(&state, &candidate, &change)?;
        let mut settings = self.settings.clone();
        settings.policy.rego.at_once = NonZeroUsize::MIN;
        let before = Arc::clone(&active.policies);
        let compile = move || {
            let policies = compile_after(Some(&before), &candidate, &settings)?;
            let tested = tested.iter().filter_map(|name| candidate.bundle(name));
            bundle_tests::run(&candidate, tested, &settings.policy)?;
            Ok(policies)
        };
        let policies = Arc::new(self.in_background(compile).await?);
        Ok(Candidate { policies, active })
    }

    async fn read(&self, proposal: Proposal) -> Result<Read, ActivationError> {
        let settings = self.settings.bundles.clone();
        let read = move || {
            Ok(match proposal {
                Proposal::Bundles(sent) => Read::Bundles(read_archives(sent, &settings)?),
                Proposal::Resources { file, text, scope } => {
                    let resources = parse_resources(file, &text)?;
                    scope.check(&resources)?;
                    Read::Resources(resources, scope)
                }
                Proposal::Shadow(name) => Read::Shadow(name),
                Proposal::Revision(number) => Read::Revision(number),
            })
        };
        self.in_background(read).await
    }

    /// Rule: what would be refused when it is made is refused when it is thought of.
    fn check_change(
        &self,
        state: &State,
        candidate: &State,
        change: &Change,
    ) -> Result<(), ActivationError> {
        self.check_unsigned(change)?;
        self.check_required(state, candidate)
    }
}
