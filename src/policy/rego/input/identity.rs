//! Member `doorward` of the input document, which OPA's plugin does not have: who asks, as far as that
//! was verified, and the workload that is asked.

use regorus::Value;

use super::{Object, key};
use crate::identity::{PeerIdentity, SpiffeId, VerifiedToken};
use crate::policy::native::Workload;

/// What was found out about a request before Rego is asked.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub peer: &'a PeerIdentity<'a>,
    pub token: Option<&'a VerifiedToken>,
    pub workload: &'a Workload,
}

/// Rule: a part of which nothing is known is not there.
pub(super) fn members(known: &Known<'_>) -> Object {
    let mut object = Object::default();
    if let Some(peer) = peer(known.peer) {
        object.set(key!("peer"), peer);
    }
    object.optional(key!("request"), known.token, token);
    if !known.workload.is_unknown() {
        object.set(key!("workload"), workload(known.workload));
    }
    object
}

fn peer(identity: &PeerIdentity<'_>) -> Option<Object> {
    let mut object = Object::default();
    object.text(key!("principal"), identity.display()?);
    if let Some(id) = identity.spiffe_id() {
        object.text(key!("trust_domain"), id.trust_domain());
        names(&mut object, &id);
    }
    Some(object)
}

/// What Istio says in the path of an id.
fn names(object: &mut Object, id: &SpiffeId<'_>) {
    if let Some((namespace, account)) = id.workload() {
        object.text(key!("namespace"), namespace);
        object.text(key!("service_account"), account);
    }
}

fn token(token: &VerifiedToken) -> Value {
    let mut object = Object::default();
    object.text(key!("principal"), &token.principal().unwrap_or_default());
    // How deep claims nest was bounded when the token was read.
    let claims = serde_json::Value::Object(token.claims().as_object().clone());
    object.set(key!("claims"), claims);
    object.into()
}

fn workload(workload: &Workload) -> Object {
    let mut object = Object::default();
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
    object
}
