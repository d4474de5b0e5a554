//! PeerAuthentication, compiled: which mode of mutual TLS a workload's port asks for. Whether a
//! certificate was verified is the proxy's matter; here STRICT asks for the identity it reports.

use std::collections::BTreeMap;

use super::attachment::Selector;
use crate::identity::PeerIdentity;
use crate::policy::resource::{MtlsMode, PeerAuthenticationSpec, Resource};
use crate::yaml::Problem;

/// One object.
#[derive(Debug)]
pub(super) struct CompiledPeerAuthentication {
    /// `namespace/name`.
    pub(super) name: String,
    pub(super) selector: Selector,
    created: Option<jiff::Timestamp>,
    mode: MtlsMode,
    ports: BTreeMap<u32, MtlsMode>,
}

/// What holds for one workload.
#[derive(Debug, Default)]
pub struct PeerRequirement {
    mode: Setting,
    ports: BTreeMap<u32, Setting>,
}

/// A mode and the object that set it.
#[derive(Debug, Clone, Default)]
struct Setting {
    strict: bool,
    policy: String,
}

/// Compiles one object.
pub(super) fn compile(
    resource: &Resource,
    spec: &PeerAuthenticationSpec,
) -> Result<CompiledPeerAuthentication, Vec<Problem>> {
    let mut problems = Vec::new();
    let document = &resource.document;
    let selector = Selector::of(document, spec.selector.as_ref(), &mut problems);
    // Rule: ports are of a workload, so there must be a selector.
    if spec.port_level_mtls.is_some() && selector.is_empty() {
        let why = "port level mTLS needs a workload selector";
        problems.push(document.problem("spec.portLevelMtls", why));
    }
    if spec
        .port_level_mtls
        .as_ref()
        .is_some_and(BTreeMap::is_empty)
    {
        problems.push(document.problem("spec.portLevelMtls", "must not be empty"));
    }
    let mut ports = BTreeMap::new();
    for (port, mtls) in spec.port_level_mtls.iter().flatten() {
        match port.parse::<u16>() {
            Ok(number) if number > 0 => drop(ports.insert(u32::from(number), mtls.mode)),
            _ => {
                let path = format!("spec.portLevelMtls.{port}");
                problems.push(document.problem(&path, format!("bad port `{port}`")));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(CompiledPeerAuthentication {
        name: format!("{}/{}", resource.id.namespace, resource.id.name),
        selector,
        created: resource.created,
        mode: spec.mtls.as_ref().map_or(MtlsMode::Unset, |mtls| mtls.mode),
        ports,
    })
}

/// The oldest of a scope's objects; the others are ignored.
pub(super) fn oldest<'a>(
    objects: impl Iterator<Item = &'a CompiledPeerAuthentication>,
) -> Option<&'a CompiledPeerAuthentication> {
    objects.min_by_key(|object| (object.created.is_none(), object.created, &object.name))
}

// === impl PeerRequirement ===

impl PeerRequirement {
    /// Rule: PERMISSIVE, unless the mesh says otherwise, unless the namespace, unless the workload.
    /// UNSET leaves what holds; ports are those of the workload's object.
    pub(super) fn compose(
        mesh: Option<&CompiledPeerAuthentication>,
        namespace: Option<&CompiledPeerAuthentication>,
        workload: Option<&CompiledPeerAuthentication>,
    ) -> Self {
        let mut mode = Setting::default();
        for object in [mesh, namespace, workload].into_iter().flatten() {
            mode = mode.overridden(object.mode, &object.name);
        }
        let ports = workload.map(|object| {
            let ports = object.ports.iter();
            ports
                .map(|(port, set)| (*port, mode.clone().overridden(*set, &object.name)))
                .collect()
        });
        Self {
            mode,
            ports: ports.unwrap_or_default(),
        }
    }

    /// Whether any port asks for an identity.
    pub fn is_strict_anywhere(&self) -> bool {
        self.mode.strict || self.ports.values().any(|setting| setting.strict)
    }

    /// The object by which a connection is refused. Rule: STRICT needs a SPIFFE identity of one of
    /// the mesh's trust domains. Where the port is not known, one that is STRICT could be meant.
    pub fn refuses(
        &self,
        port: Option<u32>,
        peer: &PeerIdentity<'_>,
        trust_domains: &[String],
    ) -> Option<&str> {
        let setting = match port {
            Some(port) => self.ports.get(&port),
            None => self.ports.values().find(|setting| setting.strict),
        };
        let setting = setting.unwrap_or(&self.mode);
        let accepted = peer.spiffe_id().is_some_and(|id| {
            let mut domains = trust_domains.iter();
            // Rule: the name goes on behind the trust domain, which by itself is nobody.
            id.has_path() && domains.any(|domain| domain == id.trust_domain())
        });
        let refused = setting.strict && !accepted;
        refused.then_some(&setting.policy)
    }
}

impl Setting {
    fn overridden(self, mode: MtlsMode, policy: &str) -> Self {
        match mode {
            MtlsMode::Unset => self,
            mode => Self {
                strict: mode == MtlsMode::Strict,
                policy: policy.to_owned(),
            },
        }
    }
}
