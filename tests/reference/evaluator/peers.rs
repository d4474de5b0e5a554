//! PeerAuthentication: who must show an identity of the mesh.

use doorward::attributes::Attributes;
use serde_json::Value;

use super::objects::{labels_of, name_of, selects, text};
use super::{Evaluator, Workload, facts};

impl Evaluator<'_> {
    /// Rule: STRICT wants a SPIFFE identity of one of the mesh's trust domains. The object that
    /// asks for it, if the peer has none.
    pub(super) fn refuses_peer(
        &self,
        scope: &Workload,
        attributes: &Attributes,
    ) -> Option<Option<String>> {
        let (mode, object) = self.peer_mode(scope, facts::port(attributes));
        let domain = facts::spiffe_trust_domain(facts::identity(attributes));
        let accepted =
            domain.is_some_and(|domain| self.mesh.trust_domains.iter().any(|own| own == domain));
        (mode == "STRICT" && !accepted).then_some(object)
    }

    /// Rule: PERMISSIVE, then the oldest of the mesh, of the namespace, of the workload, each where
    /// it is set; then the port of the workload's.
    fn peer_mode(&self, scope: &Workload, port: Option<u32>) -> (String, Option<String>) {
        let is_root =
            |object: &&Value| text(&object["metadata"]["namespace"]) == self.mesh.root_namespace;
        let is_own = |object: &&Value| {
            !is_root(object)
                && scope.namespace.as_deref() == Some(text(&object["metadata"]["namespace"]))
        };
        let is_wide = |object: &&Value| labels_of(object).is_empty();
        let objects = || self.of_kind("PeerAuthentication");
        let mesh = oldest(objects().filter(is_root).filter(is_wide));
        let namespace = oldest(objects().filter(is_own).filter(is_wide));
        let narrow = objects().filter(is_own).filter(|object| !is_wide(object));
        let workload = oldest(narrow.filter(|object| selects(object, scope)));
        let mut effective = ("PERMISSIVE".to_owned(), None);
        for object in [mesh, namespace, workload].into_iter().flatten() {
            if let Some(mode) = mode(&object["spec"]["mtls"]) {
                effective = (mode, Some(name_of(object)));
            }
        }
        let Some(workload) = workload else {
            return effective;
        };
        let ports = workload["spec"]["portLevelMtls"].as_object();
        let of_port = |port: &Value| mode(port).map(|mode| (mode, Some(name_of(workload))));
        match (ports, port) {
            (None, _) => effective,
            (Some(ports), Some(port)) => {
                let own = ports.get(&port.to_string()).and_then(of_port);
                own.unwrap_or(effective)
            }
            // Rule: a connection whose port is not told is held to the strictest.
            (Some(ports), None) => {
                let strict = ports.values().filter_map(of_port);
                let strict = strict.chain([effective.clone()]);
                let mut strict = strict.filter(|(mode, _)| mode == "STRICT");
                strict.next().unwrap_or(effective)
            }
        }
    }
}

/// A mode that is set.
fn mode(mtls: &Value) -> Option<String> {
    let mode = mtls["mode"].as_str().filter(|mode| *mode != "UNSET");
    mode.map(str::to_owned)
}

fn oldest<'a>(objects: impl Iterator<Item = &'a Value>) -> Option<&'a Value> {
    objects.min_by_key(|object| {
        object["metadata"]["creationTimestamp"]
            .as_str()
            .map(str::to_owned)
    })
}
