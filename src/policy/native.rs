//! Native policies, indexed by workload: which are attached to one, in which order they are asked,
//! and what they answer. Combining that answer with Rego's is left to `decision`.

mod authorization;
mod compile;
mod condition;
mod matcher;
mod observe;
mod path_template;
mod peer_authentication;
mod request_authentication;
mod selector;
mod trust_domain;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub use authorization::{CompiledRule, Facts, RuleAction};
pub use observe::{DryRun, EngineResult, Observed, Observers, Passed, WouldBe};
pub use peer_authentication::PeerRequirement;
pub use request_authentication::{Authenticated, CompiledJwtRule, Refused, authenticate};
pub use selector::{KnownWorkload, Workload, WorkloadConfig, WorkloadSources};

use super::reads::{Field, Reads};
use super::resource::{Resource, Spec};
use crate::attributes::Pairs;
use crate::yaml::Problem;
use compile::CompiledPolicy;
use peer_authentication::{CompiledPeerAuthentication, oldest};
use request_authentication::CompiledAuthentication;

/// Workloads whose attached policies are remembered; beyond that they are found anew each time.
const MAX_REMEMBERED_WORKLOADS: u64 = 10_000;

/// Settings of the mesh that policies are compiled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshSettings {
    pub root_namespace: String,
    /// The trust domain and its aliases.
    pub trust_domains: Vec<String>,
}

/// All native policies.
#[derive(Debug)]
pub struct NativePolicies {
    root_namespace: String,
    authorization: Vec<CompiledPolicy>,
    authentication: Vec<CompiledAuthentication>,
    peer: Vec<CompiledPeerAuthentication>,
    by_namespace: HashMap<String, Scope>,
    /// Whether any policy depends on which workload a request is for.
    needs_workload: bool,
    remembered: moka::sync::Cache<Arc<Workload>, Arc<Attached>>,
    /// Policies of the root namespace without selector: those of every workload.
    mesh_wide: OnceLock<Arc<Attached>>,
}

/// Positions of a namespace's policies.
#[derive(Debug, Default)]
struct Scope {
    authorization: Vec<usize>,
    authentication: Vec<usize>,
    peer: Vec<usize>,
}

/// The policies of one workload.
#[derive(Debug, Default)]
pub struct Attached {
    /// In byte order of their ids.
    pub deny: Vec<Arc<CompiledRule>>,
    pub allow: Vec<Arc<CompiledRule>>,
    /// Whether any ALLOW policy is attached, even one without rules.
    pub has_allow: bool,
    pub authentication: Vec<Arc<CompiledJwtRule>>,
    pub peer: PeerRequirement,
    pub observers: Observers,
    pub reads: Reads,
    /// Tells attached sets of one snapshot apart in cache keys.
    pub label: String,
}

// === impl NativePolicies ===

impl NativePolicies {
    /// Compiles objects. All problems are returned, each with the object it is in.
    pub fn compile<'a>(
        resources: impl IntoIterator<Item = &'a Resource>,
        mesh: &MeshSettings,
    ) -> Result<Self, Vec<(&'a Resource, Problem)>> {
        let mut policies = Self {
            root_namespace: mesh.root_namespace.clone(),
            authorization: Vec::new(),
            authentication: Vec::new(),
            peer: Vec::new(),
            by_namespace: HashMap::new(),
            needs_workload: false,
            remembered: moka::sync::Cache::new(MAX_REMEMBERED_WORKLOADS),
            mesh_wide: OnceLock::new(),
        };
        let mut problems = Vec::new();
        for resource in resources {
            if let Err(found) = policies.add(resource, mesh) {
                problems.extend(found.into_iter().map(|problem| (resource, problem)));
            }
        }
        if problems.is_empty() {
            Ok(policies)
        } else {
            Err(problems)
        }
    }

    fn add(&mut self, resource: &Resource, mesh: &MeshSettings) -> Result<(), Vec<Problem>> {
        let scope = self
            .by_namespace
            .entry(resource.id.namespace.clone())
            .or_default();
        let selects_all = match &resource.spec {
            Spec::AuthorizationPolicy(spec) => {
                let policy = compile::compile(resource, spec, &mesh.trust_domains)?;
                let selects_all = policy.selector.is_empty();
                scope.authorization.push(self.authorization.len());
                self.authorization.push(policy);
                selects_all
            }
            Spec::RequestAuthentication(spec) => {
                let authentication = request_authentication::compile(resource, spec)?;
                let selects_all = authentication.selector.is_empty();
                scope.authentication.push(self.authentication.len());
                self.authentication.push(authentication);
                selects_all
            }
            Spec::PeerAuthentication(spec) => {
                let peer = peer_authentication::compile(resource, spec)?;
                let is_mesh_wide = peer.selector.is_empty();
                scope.peer.push(self.peer.len());
                self.peer.push(peer);
                // Rule: one with a selector in the root namespace is ignored.
                is_mesh_wide || resource.id.namespace == mesh.root_namespace
            }
        };
        self.needs_workload |= !selects_all || resource.id.namespace != mesh.root_namespace;
        Ok(())
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.authorization.len() + self.authentication.len() + self.peer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Policies of a workload; `None` if what is known of it is not enough to tell.
    pub fn attached(&self, workload: &Arc<Workload>) -> Option<Arc<Attached>> {
        match (&workload.namespace, &workload.labels) {
            (Some(namespace), Some(labels)) => {
                let found = self.remembered.get(workload).unwrap_or_else(|| {
                    let found = Arc::new(self.find(namespace, Some(labels)));
                    self.remembered
                        .insert(Arc::clone(workload), Arc::clone(&found));
                    found
                });
                Some(found)
            }
            _ if self.needs_workload => None,
            _ => Some(self.mesh_wide()),
        }
    }

    /// Policies of the root namespace without selector: those of every workload.
    pub fn mesh_wide(&self) -> Arc<Attached> {
        let find = || Arc::new(self.find("", None));
        Arc::clone(self.mesh_wide.get_or_init(find))
    }

    /// Rule: policies of the root namespace and of the workload's own, if they select its labels.
    fn find(&self, namespace: &str, labels: Option<&Pairs>) -> Attached {
        let mut attached = Attached {
            label: format!("{namespace}\0{labels:?}"),
            ..Attached::default()
        };
        let mut scopes = vec![self.root_namespace.as_str()];
        if namespace != self.root_namespace {
            scopes.push(namespace);
        }
        for scope in scopes
            .into_iter()
            .filter_map(|name| self.by_namespace.get(name))
        {
            let selected = |selector: &selector::Selector| match labels {
                Some(labels) => selector.selects(labels),
                None => selector.is_empty(),
            };
            let policies = scope
                .authorization
                .iter()
                .filter_map(|at| self.authorization.get(*at));
            for policy in policies.filter(|policy| selected(&policy.selector)) {
                attached.add(policy);
            }
            let authentication = scope
                .authentication
                .iter()
                .filter_map(|at| self.authentication.get(*at));
            for found in authentication.filter(|found| selected(&found.selector)) {
                attached.authentication.extend(found.rules.iter().cloned());
            }
        }
        attached.peer = self.peer_requirement(namespace, labels);
        attached.finish();
        attached
    }

    fn peer_requirement(&self, namespace: &str, labels: Option<&Pairs>) -> PeerRequirement {
        let of = |name: &str| {
            let scope = self.by_namespace.get(name);
            let positions = scope.into_iter().flat_map(|scope| &scope.peer);
            positions
                .filter_map(|at| self.peer.get(*at))
                .collect::<Vec<_>>()
        };
        let without = |object: &&&CompiledPeerAuthentication| object.selector.is_empty();
        let selected = |object: &&&CompiledPeerAuthentication| {
            !object.selector.is_empty()
                && labels.is_some_and(|labels| object.selector.selects(labels))
        };
        let mesh = of(&self.root_namespace);
        let mesh = oldest(mesh.iter().filter(without).copied());
        if namespace == self.root_namespace {
            return PeerRequirement::compose(mesh, None, None);
        }
        let own = of(namespace);
        let wide = oldest(own.iter().filter(without).copied());
        let workload = oldest(own.iter().filter(selected).copied());
        PeerRequirement::compose(mesh, wide, workload)
    }
}

// === impl Attached ===

impl Attached {
    fn add(&mut self, policy: &CompiledPolicy) {
        let rules = &policy.rules;
        match policy.action {
            // Rule: dry-run policies count for nothing that is enforced, not even for the default.
            action if policy.dry_run => self.observers.add_dry_run(action, rules),
            RuleAction::Audit => self.observers.add_audit(rules),
            RuleAction::Allow => {
                self.has_allow = true;
                self.allow.extend(rules.iter().cloned());
            }
            RuleAction::Deny => self.deny.extend(rules.iter().cloned()),
        }
    }

    fn finish(&mut self) {
        // Rule: of several rules that match, the first in byte order of the ids is reported.
        self.deny.sort_by_cached_key(|rule| rule.id());
        self.allow.sort_by_cached_key(|rule| rule.id());
        request_authentication::sort(&mut self.authentication);
        for rule in self.deny.iter().chain(&self.allow) {
            self.reads.merge(&rule.reads());
        }
        self.observers.finish(&mut self.reads);
        request_authentication::add_reads(&self.authentication, &mut self.reads);
        if self.peer.is_strict_anywhere() {
            self.reads.field(Field::Principal);
            self.reads.field(Field::DestinationAddress);
        }
    }

    /// The first DENY rule that matches.
    pub fn denied_by(&self, facts: &Facts<'_>) -> Option<&CompiledRule> {
        authorization::first_match(&self.deny, facts)
    }

    /// The first ALLOW rule that matches.
    pub fn allowed_by(&self, facts: &Facts<'_>) -> Option<&CompiledRule> {
        authorization::first_match(&self.allow, facts)
    }
}
