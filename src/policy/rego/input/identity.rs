//! Member `doorward` of the input document, which OPA's plugin does not have: who asks, as far as that
//! was verified, and the workload that is asked.

use regorus::Value;

use super::{Object, key};
use crate::identity::{PeerIdentity, SpiffeId, VerifiedToken};
use crate::policy::native::Workload;
use crate::policy::rego::paths::Paths;

/// What was found out about a request before Rego is asked.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub peer: &'a PeerIdentity<'a>,
    pub token: Option<&'a VerifiedToken>,
    pub workload: &'a Workload,
}

/// Rule: a part of which nothing is known is not there.
pub(super) fn members(known: &Known<'_>, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    if let Some(name) = known.peer.display() {
        object.build(key!("peer"), |wanted| peer(known.peer, name, wanted));
    }
    object.optional(key!("request"), known.token, token);
    let workload_known = Some(known.workload).filter(|workload| !workload.is_unknown());
    object.optional(key!("workload"), workload_known, workload);
    object.into()
}

fn peer(identity: &PeerIdentity<'_>, name: &str, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    object.text(key!("principal"), name);
    if let Some(id) = identity.spiffe_id() {
        object.text(key!("trust_domain"), id.trust_domain());
        names(&mut object, &id);
    }
    object.into()
}

/// What Istio says in the path of an id.
fn names(object: &mut Object<'_>, id: &SpiffeId<'_>) {
    if let Some((namespace, account)) = id.workload() {
        object.text(key!("namespace"), namespace);
        object.text(key!("service_account"), account);
    }
}

fn token(token: &VerifiedToken, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    object.text(key!("principal"), &token.principal().unwrap_or_default());
    // How deep claims nest was bounded when the token was read.
    object.build(key!("claims"), |_| {
        serde_json::Value::Object(token.claims().as_object().clone()).into()
    });
    object.into()
}

fn workload(workload: &Workload, wanted: &Paths) -> Value {
    let mut object = Object::of(wanted);
    object.text(
        key!("namespace"),
        workload.namespace.as_deref().unwrap_or_default(),
    );
    object.text(
        key!("service_account"),
        workload.service_account.as_deref().unwrap_or_default(),
    );
    if let Some(labels) = &workload.labels {
        object.pairs(key!("labels"), labels);
    }
    object.into()
}
