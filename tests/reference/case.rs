//! One generated case: a mesh, its objects and requests; and how Doorward decides it, through the
//! text of the objects and the function that every door calls.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward::cache::CacheSettings;
use doorward::decision::{Effect, ReasonKind};
use doorward::decision_log::Recorder;
use doorward::identity::RemoteKeySets;
use doorward::pdp::Pdp;
use doorward::policy::config::{self, MeshConfig, RegoConfig};
use doorward::policy::resource::Resource;
use doorward::policy::{DefaultAction, PolicySet, PolicySettings, PolicySources, UnknownWorkload};
use doorward::snapshot::Snapshot;
use doorward::telemetry::Metrics;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::evaluator::{Because, Mesh, Verdict};
use super::facts;
use super::policies;
use super::requests::{self, Sent};
use super::vocabulary as words;
use super::yaml::{self, Order};

const NOW_NS: i64 = 1_700_000_000_000_000_000;

static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(Arc::default);

#[derive(Clone)]
pub struct Case {
    pub requests: Vec<Sent>,
    pub mesh: Mesh,
    pub objects: Vec<Value>,
    pub order: Order,
    /// Whether decisions are remembered.
    pub cached: bool,
}

/// Any objects, asked about so many requests.
pub fn any(requests: usize) -> impl Strategy<Value = Case> {
    of(policies::any_objects(), vec(requests::any(), requests))
}

/// A case of these objects and requests. Requests shrink first, down to the one that matters.
pub fn of(
    objects: impl Strategy<Value = Vec<Value>>,
    requests: impl Strategy<Value = Vec<Sent>>,
) -> impl Strategy<Value = Case> {
    let order = select(vec![Order::Forward, Order::Backward]);
    let cached = select(vec![false, true]);
    (requests, objects, mesh(), order, cached).prop_map(
        |(requests, objects, mesh, order, cached)| Case {
            requests,
            mesh,
            objects,
            order,
            cached,
        },
    )
}

fn mesh() -> impl Strategy<Value = Mesh> {
    let yes_or_no = || select(vec![true, false]);
    let parts = (select(words::MESHES), 0..=2_usize, yes_or_no(), yes_or_no());
    parts.prop_map(
        |(trust_domains, trusted_proxies, allow_by_default, unknown)| Mesh {
            root_namespace: words::ROOT_NAMESPACE.to_owned(),
            trust_domains: trust_domains
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            trusted_proxies,
            allow_by_default,
            unknown_gets_mesh_policies: unknown,
        },
    )
}

impl Case {
    /// The objects as a user would write them.
    pub fn text(&self) -> String {
        yaml::stream(&self.objects, self.order)
    }

    /// Doorward with these objects.
    pub fn pdp(&self) -> Result<Pdp, String> {
        pdp(&self.text(), &self.mesh, self.cached)
    }
}

/// Doorward with the objects of a text.
pub fn pdp(text: &str, mesh: &Mesh, cached: bool) -> Result<Pdp, String> {
    let resources = Resource::parse_stream(text).map_err(|problems| format!("{problems:?}"))?;
    let sources = PolicySources {
        resources: resources.iter().collect(),
        ..PolicySources::default()
    };
    let policies =
        PolicySet::compile(sources, &settings(mesh)).map_err(|errors| format!("{errors:?}"))?;
    let policies = Arc::new(policies);
    let memory = if cached { 16 << 20 } else { 0 };
    let cache = CacheSettings {
        max_bytes: memory,
        tokens_max_bytes: memory,
        ttl: Duration::from_secs(3600),
    };
    let snapshot = Snapshot::new(1, policies, RemoteKeySets::default(), cache);
    Ok(Pdp::new(
        Arc::new(ArcSwap::from_pointee(snapshot)),
        Recorder::default(),
        Arc::clone(&METRICS),
    ))
}

fn settings(mesh: &Mesh) -> PolicySettings {
    let (trust_domain, aliases) = mesh.trust_domains.split_first().unwrap();
    let config = MeshConfig {
        root_namespace: mesh.root_namespace.clone(),
        trust_domain: trust_domain.clone(),
        trust_domain_aliases: aliases.to_vec(),
        default_action: match mesh.allow_by_default {
            true => DefaultAction::Allow,
            false => DefaultAction::Deny,
        },
        unknown_workload: match mesh.unknown_gets_mesh_policies {
            true => UnknownWorkload::MeshPolicies,
            false => UnknownWorkload::Deny,
        },
        trusted_proxies: mesh.trusted_proxies,
        ..MeshConfig::default()
    };
    config::settings(&config, &RegoConfig::default(), &[], Duration::from_secs(5))
}

/// What Doorward decides, in the evaluator's words.
pub fn decide(pdp: &Pdp, sent: &Sent) -> Verdict {
    let decision = pdp.check(sent.attributes.clone(), NOW_NS).decision;
    let because = match decision.reason.kind {
        ReasonKind::AuthorizationPolicy => Because::Rule,
        ReasonKind::NoAllowRule => Because::NoAllowRule,
        ReasonKind::PeerAuthentication => Because::Peer,
        ReasonKind::RequestAuthentication => Because::Token,
        ReasonKind::DefaultAction | ReasonKind::NoPolicy => Because::Default,
        ReasonKind::UnknownWorkload => Because::UnknownWorkload,
        other => panic!("{other:?}: {}\n{sent:?}", decision.reason.message),
    };
    // Which rule a token failed, and which of several objects is the strictest for a connection
    // whose port is not told, is no part of this comparison.
    let is_told = match because {
        Because::Token => false,
        Because::Peer => facts::port(&sent.attributes).is_some(),
        _ => true,
    };
    let observed = serde_json::to_value(&decision.observed).unwrap();
    Verdict {
        allowed: decision.effect() == Effect::Allow,
        because,
        policy: decision.reason.policy.clone().filter(|_| is_told),
        rule: decision.reason.rule,
        audited: observed["audited"].as_bool(),
        dry_run: observed.get("dry_run").cloned().unwrap_or(json!({})),
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Which request it is about is told with what is wrong.
        let Self { mesh, cached, .. } = self;
        write!(formatter, "{mesh:?} cached: {cached}\n{}", self.text())
    }
}
