//! What a decision came from, for people: the workload, who asks, what the cache keeps apart, and how
//! every rule came out. Nothing is decided here.

use std::sync::Arc;

use serde::Serialize;

use super::attached;
use super::question::{Question, check_form, identify, normal_target};
use super::verdict::authenticate;
use crate::attributes::Attributes;
use crate::policy::native::{ExplainedRule, Workload};
use crate::policy::reads::Reads;
use crate::policy::rego::Entrypoint;
use crate::snapshot::Snapshot;
use crate::telemetry::Stopwatch;

/// What a check looked at. What is not known, or was not looked at, is left out.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// Which workload's policies were asked.
    pub workload: Arc<Workload>,
    /// Why no policy was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The path that rules were asked about, if it is not as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalized_path: Option<String>,
    /// Every name of who asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_principal: Option<String>,
    /// The STRICT PeerAuthentication that the peer does not satisfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_refused_by: Option<String>,
    /// Why the token is refused; rules are then shown as without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_refused: Option<String>,
    /// What the decision cache had to do with the answer: `hit`, `miss`, or why it is not remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<&'static str>,
    /// What tells requests apart in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_key: Option<Reads>,
    /// The Rego entrypoints that can be asked for the workload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rego: Vec<ExplainedEntrypoint>,
    /// Of all policies of the workload, in the order in which they are asked. All are shown, also
    /// those behind the one that decided.
    pub rules: Vec<ExplainedRule>,
}

/// What an entrypoint can read, as references.
#[derive(Debug, Serialize)]
pub struct ExplainedEntrypoint {
    pub entrypoint: String,
    pub input: Vec<String>,
    /// Of base data.
    pub data: Vec<String>,
    /// The built-in that makes each of its answers a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volatile: Option<String>,
}

// === impl ExplainedEntrypoint ===

impl ExplainedEntrypoint {
    fn of(entrypoint: &Entrypoint) -> Self {
        Self {
            entrypoint: entrypoint.path().to_owned(),
            input: entrypoint.input().references("input"),
            data: entrypoint.data().references("data"),
            volatile: entrypoint.reads().volatile.clone(),
        }
    }
}

// === impl Explanation ===

impl Explanation {
    pub(super) fn of(snapshot: &Snapshot, attributes: &Attributes, now_ns: i64) -> Self {
        let mut explanation = Self::default();
        if let Err(why) = explanation.fill(snapshot, attributes, now_ns) {
            explanation.refused = Some(why);
        }
        explanation
    }

    /// The steps of a check; an error is why it ends before policies are asked.
    fn fill(
        &mut self,
        snapshot: &Snapshot,
        attributes: &Attributes,
        now_ns: i64,
    ) -> Result<(), String> {
        let policies = &snapshot.policies;
        let settings = &policies.settings;
        self.workload = Workload::of(attributes, &settings.workloads)?;
        check_form(attributes)?;
        let target = normal_target(attributes, settings.path_normalization)?;
        let attached = attached(policies, &self.workload).ok_or("the workload is not known")?;
        let reads = &policies.plan(&attached).reads;
        self.cache_key = Some(reads.clone());
        let entrypoints = policies.entrypoints(&attached);
        self.rego = entrypoints.map(ExplainedEntrypoint::of).collect();
        let unmeasured = Stopwatch::default();
        let question = Question {
            attributes,
            target,
            caller: identify(reads, &settings.trusted_xfcc_peers, attributes)?,
            now_ns,
            stopwatch: &unmeasured,
        };
        let sent = attributes.http().map_or("", |http| &http.path);
        let path = question.target.whole();
        self.normalized_path = (path != sent).then(|| path.to_owned());
        let names = question.caller.peer.names();
        self.peer = names.map(str::to_owned).collect();
        let refused_by = question.refused_peer(&attached, settings);
        self.peer_refused_by = refused_by.map(str::to_owned);
        let token = match authenticate(snapshot, &attached, &question) {
            Ok(authenticated) => authenticated.token,
            Err((refused, _)) => {
                self.token_refused = Some(format!("{}: {}", refused.policy, refused.error));
                None
            }
        };
        self.request_principal = token.as_ref().and_then(|token| token.principal());
        self.rules = attached.explain(&question.facts(settings, token.as_deref()));
        Ok(())
    }
}
