//! Native policies, indexed by workload: which are attached to one, in which order they are asked,
//! and what they answer. Combining that answer with Rego's is left to `decision`.

mod attachment;
mod authorization;
mod compile;
mod condition;
mod explain;
mod keys;
mod matcher;
mod observe;
mod path_template;
mod peer_authentication;
mod recording;
mod request_authentication;
mod rules;
mod trust_domain;
mod trusted_peers;
mod workload;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

pub use authorization::{CompiledRule, Facts, RuleAction};
pub use explain::{ExplainedRule, ExplainedTest};
pub use observe::{DryRun, EngineResult, Observed, Observers, Passed, WouldBe};
pub use peer_authentication::PeerRequirement;
pub use recording::{Observation, ObservedPeer, ObservedRequest, Recording};
pub use request_authentication::{Authenticated, Authentication, Refused, Unauthenticated};
pub use rules::Rules;
pub use trusted_peers::TrustedPeer;
pub use workload::{
    KnownWorkload, ServiceKind, ServiceName, Workload, WorkloadConfig, WorkloadSources,
};

use super::reads::{Field, Plan, Reads};
use super::resource::{Resource, Spec};
use crate::identity::KeySource;
use crate::yaml::Problem;
use attachment::Attachment;
use compile::CompiledPolicy;
use peer_authentication::{CompiledPeerAuthentication, oldest};
use recording::CompiledTelemetry;
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
    by_namespace: HashMap<String, Objects>,
    /// What says which decisions are recorded, by namespace. No decision depends on it.
    telemetry: HashMap<String, Vec<CompiledTelemetry>>,
    /// Whether any policy depends on which workload a request is for.
    needs_workload: bool,
    remembered: moka::sync::Cache<Arc<Workload>, Arc<Attached>>,
    /// Policies of the root namespace without selector: those of every workload.
    mesh_wide: OnceLock<Arc<Attached>>,
}

/// Objects of one namespace.
#[derive(Debug, Default)]
struct Objects {
    authorization: Vec<CompiledPolicy>,
    authentication: Vec<CompiledAuthentication>,
    peer: Vec<CompiledPeerAuthentication>,
}

/// The policies of one workload.
#[derive(Debug, Default)]
pub struct Attached {
    pub deny: Rules,
    /// Rules of action CUSTOM, by the name of the provider they ask.
    pub custom: BTreeMap<String, Rules>,
    pub allow: Rules,
    pub authentication: Authentication,
    pub peer: PeerRequirement,
    pub recording: Recording,
    pub observers: Observers,
    pub reads: Reads,
    /// What of a request a decision by these and all other policies that are asked depends on.
    pub(super) plan: OnceLock<Plan>,
    /// Tells attached sets of one snapshot apart in cache keys: a digest of the workload.
    pub label: [u8; SHA256_OUTPUT_LEN],
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
            by_namespace: HashMap::new(),
            telemetry: HashMap::new(),
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
        let namespace = resource.id.namespace.clone();
        let is_root = namespace == mesh.root_namespace;
        if let Spec::Telemetry(spec) = &resource.spec {
            let telemetry = recording::compile(resource, spec)?;
            self.telemetry.entry(namespace).or_default().push(telemetry);
            return Ok(());
        }
        let objects = self.by_namespace.entry(namespace).or_default();
        let is_for_all = match &resource.spec {
            Spec::AuthorizationPolicy(spec) => {
                let policy = compile::compile(resource, spec, &mesh.trust_domains)?;
                let is_for_all = policy.attachment.is_for_all();
                objects.authorization.push(policy);
                is_for_all
            }
            Spec::RequestAuthentication(spec) => {
                let authentication = request_authentication::compile(resource, spec)?;
                let is_for_all = authentication.attachment.is_for_all();
                objects.authentication.push(authentication);
                is_for_all
            }
            Spec::PeerAuthentication(spec) => {
                let peer = peer_authentication::compile(resource, spec)?;
                // Rule: one with a selector in the root namespace is ignored.
                let is_for_all = peer.selector.is_empty() || is_root;
                objects.peer.push(peer);
                is_for_all
            }
            Spec::Telemetry(_) => true,
        };
        self.needs_workload |= !is_for_all || !is_root;
        Ok(())
    }

    /// Where keys are fetched from, each once, and the longest that any rule lets it take.
    pub fn key_sources(&self) -> BTreeMap<KeySource, Duration> {
        let mut sources = BTreeMap::new();
        let objects = self.by_namespace.values();
        let objects = objects.flat_map(|objects| &objects.authentication);
        let rules = objects.flat_map(|object| &object.rules);
        for (source, timeout) in rules.filter_map(|rule| rule.key_source()) {
            let longest: &mut Duration = sources.entry(source.clone()).or_default();
            *longest = timeout.max(*longest);
        }
        sources
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        let objects = self.by_namespace.values();
        objects.map(Objects::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        // A namespace is there as soon as it has an object.
        self.by_namespace.is_empty()
    }

    /// Policies of a workload; `None` if what is known of it is not enough to tell.
    pub fn attached(&self, workload: &Arc<Workload>) -> Option<Arc<Attached>> {
        let is_known = workload.namespace.is_some() && workload.labels.is_some();
        if self.needs_workload && !is_known {
            return None;
        }
        let found = self.remembered.get(workload).unwrap_or_else(|| {
            let found = Arc::new(self.find(workload));
            self.remembered
                .insert(Arc::clone(workload), Arc::clone(&found));
            found
        });
        Some(found)
    }

    /// Policies of the root namespace without selector: those of every workload.
    pub fn mesh_wide(&self) -> Arc<Attached> {
        let find = || Arc::new(self.find(&Workload::default()));
        Arc::clone(self.mesh_wide.get_or_init(find))
    }

    /// Rule: policies of the root namespace, of the workload's own, and of that of the service behind
    /// a waypoint, if they are for it.
    fn find(&self, workload: &Workload) -> Attached {
        let mut attached = Attached {
            label: label(workload),
            ..Attached::default()
        };
        let root = self.root_namespace.as_str();
        let service = workload.service.as_ref();
        let mut namespaces = vec![root];
        for namespace in [
            workload.namespace.as_deref(),
            service.map(|service| service.namespace.as_str()),
        ] {
            namespaces.extend(namespace.filter(|namespace| !namespaces.contains(namespace)));
        }
        for namespace in namespaces {
            let Some(objects) = self.by_namespace.get(namespace) else {
                continue;
            };
            let covers = |attachment: &Attachment| attachment.covers(workload, namespace, root);
            for policy in &objects.authorization {
                if covers(&policy.attachment) {
                    attached.add(policy);
                }
            }
            for object in &objects.authentication {
                if covers(&object.attachment) {
                    attached.authentication.add(object);
                }
            }
        }
        attached.peer = self.peer_requirement(workload);
        attached.recording = self.recording(workload);
        attached.finish();
        attached
    }

    /// Whether anything says which decisions are recorded.
    pub fn has_telemetry(&self) -> bool {
        !self.telemetry.is_empty()
    }

    fn recording(&self, workload: &Workload) -> Recording {
        let root = self.root_namespace.as_str();
        let of = |namespace: &str| self.telemetry.get(namespace).map_or(&[][..], Vec::as_slice);
        let wide = |object: &&CompiledTelemetry| object.attachment.is_for_all();
        let mesh = recording::oldest(of(root).iter().filter(wide));
        let Some(namespace) = workload.namespace.as_deref() else {
            return Recording::compose([mesh]);
        };
        let covers = |object: &&CompiledTelemetry| {
            !wide(object) && object.attachment.covers(workload, namespace, root)
        };
        let own = recording::oldest(of(namespace).iter().filter(covers));
        let wide =
            (namespace != root).then(|| recording::oldest(of(namespace).iter().filter(wide)));
        Recording::compose([mesh, wide.flatten(), own])
    }

    fn peer_requirement(&self, workload: &Workload) -> PeerRequirement {
        // Rule: on a Gateway, its own TLS settings say who may connect.
        if workload.gateway().is_some() && workload.service.is_none() {
            return PeerRequirement::default();
        }
        let of = |namespace: &str| {
            let objects = self.by_namespace.get(namespace);
            objects.map_or(&[][..], |objects| &objects.peer)
        };
        let without = |object: &&CompiledPeerAuthentication| object.selector.is_empty();
        let selected = |object: &&CompiledPeerAuthentication| {
            !object.selector.is_empty() && object.selector.selects(workload.labels.as_ref())
        };
        let mesh = oldest(of(&self.root_namespace).iter().filter(without));
        let own = match workload.namespace.as_deref() {
            Some(namespace) if namespace != self.root_namespace => of(namespace),
            _ => return PeerRequirement::compose(mesh, None, None),
        };
        let wide = oldest(own.iter().filter(without));
        let workload = oldest(own.iter().filter(selected));
        PeerRequirement::compose(mesh, wide, workload)
    }
}

/// Names and values are written in quotes, so that no two workloads look alike.
fn label(workload: &Workload) -> [u8; SHA256_OUTPUT_LEN] {
    let mut label = [0; SHA256_OUTPUT_LEN];
    label.copy_from_slice(digest(&SHA256, format!("{workload:?}").as_bytes()).as_ref());
    label
}

impl Objects {
    fn len(&self) -> usize {
        self.authorization.len() + self.authentication.len() + self.peer.len()
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
            RuleAction::Allow => self.allow.add(rules),
            RuleAction::Deny => self.deny.add(rules),
            RuleAction::Custom => {
                let provider = policy.provider.clone();
                self.custom.entry(provider).or_default().add(rules);
            }
        }
    }

    fn finish(&mut self) {
        let custom = self.custom.values_mut();
        for rules in custom.chain([&mut self.deny, &mut self.allow]) {
            rules.finish(&mut self.reads);
        }
        self.authentication.finish();
        self.observers.finish(&mut self.reads);
        self.authentication.add_reads(&mut self.reads);
        if self.peer.is_strict_anywhere() {
            self.reads.field(Field::Principal);
            self.reads.field(Field::DestinationAddress);
        }
    }

    /// The first DENY rule that matches.
    pub fn denied_by(&self, facts: &Facts<'_>) -> Option<&CompiledRule> {
        self.deny.first_match(facts)
    }

    /// Providers to be asked, in the order of their names, each with the first rule that asks it.
    pub fn custom<'a>(
        &'a self,
        facts: &'a Facts<'_>,
    ) -> impl Iterator<Item = (&'a str, &'a CompiledRule)> {
        self.custom.iter().filter_map(|(provider, rules)| {
            let rule = rules.first_match(facts)?;
            Some((provider.as_str(), rule))
        })
    }

    /// The first ALLOW rule that matches.
    pub fn allowed_by(&self, facts: &Facts<'_>) -> Option<&CompiledRule> {
        self.allow.first_match(facts)
    }
}
