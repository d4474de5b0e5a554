//! Builders shared by the tables below; each table is one subject.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::attributes::{
    Address, Attributes, Headers, HttpRequest, PathNormalization, Peer, Port, Request,
    SocketAddress,
};
use crate::identity::tests::certificates::CertificateMaker;
use crate::identity::tests::signer::Signer;
use crate::identity::{
    KeySet, Keyring, Keys, PeerIdentity, PresentedToken, RemoteKeySets, VerifiedToken, Verifier,
};

mod attachment;
mod authentication;
mod conditions;
mod explaining;
mod finding;
mod identities;
mod operations;
mod peers;
mod refusals;
mod structure;
mod watching;

pub(super) static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::eddsa);

fn mesh() -> MeshSettings {
    MeshSettings {
        root_namespace: "istio-system".to_owned(),
        trust_domains: vec!["cluster.local".to_owned()],
    }
}

/// An object of namespace `shop`, named `p`.
fn authorization(spec: &Value) -> Value {
    object("AuthorizationPolicy", "shop", "p", spec)
}

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn compile_in(mesh: &MeshSettings, objects: &[Value]) -> NativePolicies {
    let list = json!({"kind": "List", "items": objects}).to_string();
    let resources = Resource::parse_stream(&list).unwrap();
    NativePolicies::compile(&resources, mesh).unwrap()
}

fn workload(namespace: &str, labels: &[(&str, &str)]) -> Workload {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Workload {
        namespace: Some(namespace.to_owned()),
        labels: Some(labels.iter().map(own).collect()),
        service_account: None,
        ..Workload::default()
    }
}

/// Claims as a token of `SIGNER` that verifies.
fn token(claims: &Value) -> VerifiedToken {
    let keys = Keys::Given(Arc::new(KeySet::parse(&SIGNER.jwks()).unwrap()));
    let verifier = Verifier::new("", &[], keys, &[]);
    let token = SIGNER.token(claims);
    let verified = Keyring::new(RemoteKeySets::default(), 0).verify(
        &verifier,
        &PresentedToken::new(&token),
        0,
    );
    Arc::unwrap_or_clone(verified.unwrap())
}

/// What is asked, as far as a test cares.
#[derive(Default, Clone)]
struct Asked {
    attributes: Attributes,
    peer: PeerIdentity<'static>,
    normalization: PathNormalization,
    token: Option<VerifiedToken>,
    remote_ip: Option<std::net::IpAddr>,
}

impl Asked {
    fn http() -> Self {
        let http = HttpRequest::default();
        let request = Request {
            time: None,
            http: Some(http),
        };
        let mut asked = Self::default();
        asked.attributes.request = Some(request);
        asked
    }

    fn get(path: &str) -> Self {
        Self::http().with(|http| {
            http.method = "GET".to_owned();
            http.path = path.to_owned();
        })
    }

    fn with(mut self, change: impl FnOnce(&mut HttpRequest)) -> Self {
        let request = self.attributes.request.as_mut().unwrap();
        change(request.http.as_mut().unwrap());
        self
    }

    fn by_peer(mut self, principal: &str) -> Self {
        let source = self.attributes.source.get_or_insert_default();
        source.principal = principal.to_owned();
        self.peer = PeerIdentity::new(principal.to_owned());
        self
    }

    /// By a peer whose certificate the proxy sends.
    fn by_certificate(mut self, principal: &str, certificate: &CertificateMaker) -> Self {
        let source = self.attributes.source.get_or_insert_default();
        source.principal = principal.to_owned();
        source.certificate = certificate.text();
        let attributes = Box::leak(Box::new(self.attributes.clone()));
        self.peer = PeerIdentity::of(attributes).unwrap();
        self
    }

    fn by_ip(mut self, ip: &str) -> Self {
        let source = self.attributes.source.get_or_insert_default();
        source.address = Some(socket(ip, None));
        self
    }

    fn to(mut self, ip: &str, port: u32) -> Self {
        self.attributes.destination = Some(Peer {
            address: Some(socket(ip, Some(Port::Value(port)))),
            ..Peer::default()
        });
        self
    }

    fn with_claims(mut self, claims: &Value) -> Self {
        self.token = Some(token(claims));
        self
    }

    fn facts(&self) -> Facts<'_> {
        let target = self.attributes.http().map_or("", |http| &http.path);
        let target = self.normalization.apply(target).unwrap();
        Facts {
            attributes: &self.attributes,
            peer: &self.peer,
            target: Box::leak(Box::new(target)),
            token: self.token.as_ref(),
            remote_ip: self.remote_ip,
        }
    }
}

fn socket(ip: &str, port: Option<Port>) -> Address {
    Address::Socket(SocketAddress {
        address: ip.to_owned(),
        port,
        ..SocketAddress::default()
    })
}

/// Raw header lines, each written `name: value`.
fn headers(lines: &[&str]) -> Headers {
    let lines = lines.iter().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), Bytes::from(value.to_owned()))
    });
    Headers::new(Vec::new(), Some(lines.collect()))
}

/// Whether the rule matches under an action.
fn matches_in(mesh: &MeshSettings, action: &str, rule: &Value, asked: &Asked) -> bool {
    let spec = json!({"action": action, "rules": [rule]});
    let policies = compile_in(mesh, &[authorization(&spec)]);
    let attached = policies.attached(&Arc::new(workload("shop", &[]))).unwrap();
    let facts = asked.facts();
    attached
        .denied_by(&facts)
        .or(attached.allowed_by(&facts))
        .is_some()
}

fn matches(action: &str, rule: &Value, asked: &Asked) -> bool {
    matches_in(&mesh(), action, rule, asked)
}

/// Checks one value of a field or key, and that its negation says the opposite.
fn check(field: &Field, value: &str, asked: &Asked, expected: bool, about: &str) {
    for action in ["ALLOW", "DENY"] {
        let about = format!("{action} {field:?} {value:?} on {about:?}");
        let actual = matches(action, &field.rule(value, false), asked);
        assert_eq!(actual, expected, "{about}");
        let actual = matches(action, &field.rule(value, true), asked);
        assert_eq!(actual, !expected, "not: {about}");
    }
}

/// Where a value stands in a rule.
#[derive(Debug, Clone, Copy)]
enum Field {
    Source(&'static str),
    Operation(&'static str),
    When(&'static str),
}

impl Field {
    fn rule(self, value: &str, negated: bool) -> Value {
        let name = |name: &str| match negated {
            false => name.to_owned(),
            true => format!("not{}{}", name[..1].to_uppercase(), &name[1..]),
        };
        match self {
            Self::Source(field) => json!({"from": [{"source": {name(field): [value]}}]}),
            Self::Operation(field) => json!({"to": [{"operation": {name(field): [value]}}]}),
            Self::When(key) => json!({"when": [{"key": key, name("values"): [value]}]}),
        }
    }
}
