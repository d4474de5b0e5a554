//! The whole path from attributes to an answer.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::attributes::{Headers, HttpRequest, Pairs, PathNormalization, Peer, Request};
use crate::cache::CacheSettings;
use crate::decision::Effect;
use crate::identity::tests::certificates::CertificateMaker;
use crate::identity::tests::signer::Signer;
use crate::policy::lifetime::{Lifetime, Unremembered};
use crate::policy::native::{MeshSettings, WorkloadSources};
use crate::policy::rego::{
    Asked, Caching, DEFAULT_ENTRYPOINT, InputSettings, RegoModule, RegoSettings,
};
use crate::policy::resource::Resource;
use crate::policy::{DefaultAction, OnError, PolicySet, PolicySettings, PolicySources};

mod caching;
mod counting;
mod custom;
mod effort;
mod form;
mod generated;
mod known;
mod late;
mod lifetimes;
mod paths;
mod peers;
mod recording;
mod shadows;
mod versions;

const NOW: u64 = 1_700_000_000;
const NOW_NS: i64 = 1_700_000_000_000_000_000;

/// Answers with whatever the request's header `x-rego` says, read as JSON.
const REGO: &str = "package envoy.authz\n\
    allow := json.unmarshal(input.attributes.request.http.headers[\"x-rego\"])\n";

/// What a PDP is made of.
struct Setup {
    objects: Vec<Value>,
    rego: Vec<&'static str>,
    settings: PolicySettings,
    cache_bytes: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let settings = PolicySettings {
            mesh: MeshSettings {
                root_namespace: "istio-system".to_owned(),
                trust_domains: vec!["cluster.local".to_owned()],
            },
            workloads: WorkloadSources {
                default: Arc::new(Workload {
                    namespace: Some("shop".to_owned()),
                    labels: Some(Pairs::new()),
                    service_account: None,
                    ..Workload::default()
                }),
                ..WorkloadSources::default()
            },
            default_action: DefaultAction::Deny,
            unknown_workload: UnknownWorkload::Deny,
            invalid_token_status: 401,
            trusted_proxies: 0,
            trusted_xfcc_peers: Vec::new(),
            path_normalization: PathNormalization::None,
            rego_dry_run: false,
            rego: RegoSettings {
                input: InputSettings::default(),
                asked: Asked::Rule(DEFAULT_ENTRYPOINT.to_owned()),
                providers: BTreeMap::from([
                    ("one".to_owned(), "one/allow".to_owned()),
                    ("two".to_owned(), "two/allow".to_owned()),
                ]),
                evaluation_limit: Duration::from_secs(5),
                at_once: NonZeroUsize::MIN,
                runtime: None,
                caching: Caching::default(),
                outside: Some(Duration::from_secs(5)),
            },
            rego_always: false,
            run_bundle_tests: false,
            on_error: OnError::Deny,
            replies_as_plugin: false,
        };
        Self {
            objects: Vec::new(),
            rego: Vec::new(),
            settings,
            cache_bytes: 0,
        }
    }
}

impl Setup {
    fn native(objects: &[Value]) -> Self {
        Self {
            objects: objects.to_vec(),
            ..Self::default()
        }
    }

    fn with_rego(mut self, text: &'static str) -> Self {
        self.rego.push(text);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut PolicySettings)) -> Self {
        change(&mut self.settings);
        self
    }

    fn cached(mut self) -> Self {
        self.cache_bytes = 1 << 20;
        self
    }

    fn pdp(&self) -> Pdp {
        self.pdp_over(self.policies())
    }

    fn policies(&self) -> PolicySet {
        let list = json!({"kind": "List", "items": self.objects}).to_string();
        let resources = Resource::parse_stream(&list).unwrap();
        let module = |(at, text): (usize, &&str)| RegoModule {
            path: format!("p{at}.rego"),
            text: (*text).to_owned(),
            v0: false,
        };
        let sources = PolicySources {
            resources: resources.iter().collect(),
            modules: self.rego.iter().enumerate().map(module).collect(),
            ..PolicySources::default()
        };
        PolicySet::compile(sources, &self.settings).unwrap()
    }

    fn pdp_over(&self, policies: PolicySet) -> Pdp {
        let cache = CacheSettings {
            max_bytes: self.cache_bytes,
            ttl: Duration::from_secs(3600),
            tokens_max_bytes: self.cache_bytes,
        };
        let snapshot = Snapshot::new(7, Arc::new(policies), RemoteKeySets::default(), cache);
        Pdp::new(
            Arc::new(ArcSwap::from_pointee(snapshot)),
            Recorder::default(),
            Arc::new(Metrics::default()),
        )
    }
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"namespace": "shop", "name": name}, "spec": spec})
}

/// Matches requests with a header.
fn on_header(action: &str, header: &str) -> Value {
    let key = format!("request.headers[{header}]");
    policy(
        &action.to_lowercase(),
        &json!({"action": action, "rules": [{"when": [{"key": key, "values": ["*"]}]}]}),
    )
}

fn jwt(signer: &Signer) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"namespace": "shop", "name": "jwt"},
        "spec": {"jwtRules": [{"issuer": "i", "jwks": signer.jwks()}]}})
}

/// A GET of `/` with header lines.
fn get(lines: &[&str]) -> Attributes {
    let lines = lines.iter().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    });
    let mut headers: Pairs = lines.collect();
    headers.sort();
    Attributes {
        request: Some(Request {
            time: None,
            http: Some(HttpRequest {
                method: "GET".to_owned(),
                path: "/".to_owned(),
                host: "h".to_owned(),
                headers: Headers::new(headers, None),
                ..HttpRequest::default()
            }),
        }),
        ..Attributes::default()
    }
}

fn by(attributes: Attributes, principal: &str) -> Attributes {
    by_certificate(attributes, principal, "")
}

fn by_certificate(mut attributes: Attributes, principal: &str, certificate: &str) -> Attributes {
    attributes.source = Some(Peer {
        principal: principal.to_owned(),
        certificate: certificate.to_owned(),
        ..Peer::default()
    });
    attributes
}

#[test]
fn the_first_denial_in_order_decides() {
    use ReasonKind::{AuthorizationPolicy, NoAllowRule, Rego, RegoError, RequestAuthentication};
    let signer = Signer::eddsa();
    let good = format!(
        "authorization: Bearer {}",
        signer.token(&json!({"iss": "i", "sub": "s"}))
    );
    let bad = "authorization: Bearer junk";
    let objects = [
        jwt(&signer),
        on_header("DENY", "x-deny"),
        on_header("ALLOW", "x-allow"),
    ];
    let pdp = Setup::native(&objects).with_rego(REGO).pdp();
    let rows: &[(&[&str], u16, ReasonKind)] = &[
        (
            &[bad, "x-deny: 1", "x-rego: false"],
            401,
            RequestAuthentication,
        ),
        (
            &[bad, "x-rego: true", "x-allow: 1"],
            401,
            RequestAuthentication,
        ),
        (
            &[&good, "x-deny: 1", "x-rego: true", "x-allow: 1"],
            403,
            AuthorizationPolicy,
        ),
        (
            &[
                "x-deny: 1",
                "x-rego: {\"allowed\": false, \"http_status\": 418}",
            ],
            403,
            AuthorizationPolicy,
        ),
        (&["x-allow: 1", "x-rego: false"], 403, Rego),
        (
            &[
                "x-allow: 1",
                "x-rego: {\"allowed\": false, \"http_status\": 429}",
            ],
            429,
            Rego,
        ),
        (&["x-rego: false"], 403, Rego),
        (&["x-allow: 1"], 403, RegoError),
        (&["x-allow: 1", "x-rego: 1"], 403, RegoError),
        (&["x-allow: 1", "x-rego: null"], 403, RegoError),
        (&["x-allow: 1", "x-rego: \"true\""], 403, RegoError),
        (&["x-allow: 1", "x-rego: {}"], 403, RegoError),
        (
            &["x-allow: 1", "x-rego: {\"allowed\": \"true\"}"],
            403,
            RegoError,
        ),
        (&["x-rego: true"], 403, NoAllowRule),
        (&["x-rego: true", "x-allow: 1"], 200, AuthorizationPolicy),
        (
            &[&good, "x-rego: {\"allowed\": true}", "x-allow: 1"],
            200,
            AuthorizationPolicy,
        ),
    ];
    for (lines, status, kind) in rows {
        let answer = pdp.check(get(lines), NOW_NS);
        let decision = &answer.decision;
        assert_eq!(
            (decision.status(), decision.reason.kind),
            (*status, *kind),
            "{lines:?}"
        );
        assert_eq!((answer.revision, answer.cached), (7, false));
    }
}

#[test]
fn what_is_loaded_decides_what_silence_means() {
    use ReasonKind::{
        AuthorizationPolicy, DefaultAction as Default, NoAllowRule, NoPolicy, Rego, RegoError,
    };
    let deny = || on_header("DENY", "x-deny");
    let allow = || on_header("ALLOW", "x-allow");
    let nothing = || policy("nothing", &json!({}));
    // `(setup, reply, reply with default allow)` to a request that nothing denies.
    let rows: Vec<(Setup, (u16, ReasonKind), (u16, ReasonKind))> = vec![
        (Setup::default(), (403, NoPolicy), (200, Default)),
        (Setup::native(&[deny()]), (403, Default), (200, Default)),
        (
            Setup::native(&[jwt(&Signer::eddsa())]),
            (403, Default),
            (200, Default),
        ),
        (
            Setup::native(&[allow()]),
            (200, AuthorizationPolicy),
            (200, AuthorizationPolicy),
        ),
        (
            Setup::native(&[nothing()]),
            (403, NoAllowRule),
            (403, NoAllowRule),
        ),
        (Setup::default().with_rego(REGO), (200, Rego), (200, Rego)),
        (
            Setup::native(&[deny()]).with_rego(REGO),
            (200, Rego),
            (200, Rego),
        ),
        (
            Setup::native(&[nothing()]).with_rego(REGO),
            (403, NoAllowRule),
            (403, NoAllowRule),
        ),
        // Rego that is asked for and not there.
        (
            Setup::default().with_rego("package other"),
            (403, RegoError),
            (403, RegoError),
        ),
        (
            Setup::default().with(|settings| settings.rego_always = true),
            (403, RegoError),
            (403, RegoError),
        ),
    ];
    for (setup, denying, allowing) in rows {
        for (default_action, expected) in [
            (DefaultAction::Deny, denying),
            (DefaultAction::Allow, allowing),
        ] {
            let settings = PolicySettings {
                default_action,
                ..setup.settings.clone()
            };
            let setup = Setup {
                settings,
                objects: setup.objects.clone(),
                rego: setup.rego.clone(),
                ..setup
            };
            let decision = setup
                .pdp()
                .check(get(&["x-allow: 1", "x-rego: true"]), NOW_NS)
                .decision;
            let about = format!("{:?} {:?} {default_action:?}", setup.objects, setup.rego);
            assert_eq!(
                (decision.status(), decision.reason.kind),
                expected,
                "{about}"
            );
        }
    }
}

#[test]
fn connections_have_no_tokens() {
    let objects = [
        jwt(&Signer::eddsa()),
        policy("all", &json!({"rules": [{}]})),
    ];
    let connection = by(Attributes::default(), "spiffe://td/ns/a/sa/b");
    let decision = Setup::native(&objects)
        .pdp()
        .check(connection, NOW_NS)
        .decision;
    assert_eq!(decision.effect(), Effect::Allow);
    assert_eq!(
        decision.peer_principal.as_deref(),
        Some("spiffe://td/ns/a/sa/b")
    );
    assert_eq!(decision.request_principal, None);
}

#[test]
fn settings_of_refusals() {
    let token = "authorization: Bearer junk";
    let setup = Setup::native(&[jwt(&Signer::eddsa())]);
    let pdp = setup
        .with(|settings| settings.invalid_token_status = 403)
        .pdp();
    assert_eq!(pdp.check(get(&[token]), NOW_NS).decision.status(), 403);

    for (on_error, as_error) in [(OnError::Deny, false), (OnError::Error, true)] {
        let pdp = Setup::default()
            .with_rego(REGO)
            .with(|settings| settings.on_error = on_error)
            .pdp();
        let decision = pdp.check(get(&[]), NOW_NS).decision;
        let denial = decision.reply().unwrap_err();
        assert_eq!((denial.status, denial.as_error), (403, as_error));
        assert_eq!(decision.reason.message, "undefined decision");
        // A request that has no input document is the client's mistake in either case.
        let mut attributes = get(&[]);
        attributes
            .request
            .as_mut()
            .unwrap()
            .http
            .as_mut()
            .unwrap()
            .path = "/%zz".to_owned();
        let decision = pdp.check(attributes, NOW_NS).decision;
        let denial = decision.reply().unwrap_err();
        let expected = "request_parse_error: invalid URL escape \"%zz\"";
        assert_eq!(
            (denial.status, denial.as_error, denial.body.as_str()),
            (400, false, expected)
        );
    }
}

#[test]
fn a_workload_not_known_is_denied_or_gets_the_mesh_policies() {
    let mut mesh_wide = on_header("DENY", "x-mesh");
    mesh_wide["metadata"]["namespace"] = "istio-system".into();
    let objects = [mesh_wide, on_header("DENY", "x-deny")];
    let setup = |unknown| {
        Setup::native(&objects).with(|settings| {
            settings.workloads.default = Arc::default();
            settings.unknown_workload = unknown;
            settings.default_action = DefaultAction::Allow;
        })
    };
    let strict = setup(UnknownWorkload::Deny).pdp();
    let decision = strict.check(get(&[]), NOW_NS).decision;
    assert_eq!(
        (decision.status(), decision.reason.kind),
        (403, ReasonKind::UnknownWorkload)
    );
    let open = setup(UnknownWorkload::MeshPolicies).pdp();
    for (line, status) in [("x-none: 1", 200), ("x-deny: 1", 200), ("x-mesh: 1", 403)] {
        assert_eq!(
            open.check(get(&[line]), NOW_NS).decision.status(),
            status,
            "{line}"
        );
    }
    let mut known = get(&["x-deny: 1"]);
    known.context_extensions = vec![
        ("doorward.labels".to_owned(), String::new()),
        ("doorward.namespace".to_owned(), "shop".to_owned()),
    ];
    for pdp in [strict, open] {
        assert_eq!(
            pdp.check(known.clone(), NOW_NS).decision.reason.kind,
            ReasonKind::AuthorizationPolicy
        );
    }
}

#[test]
fn a_dry_run_lets_pass_what_the_entrypoint_denies() {
    let text = "package envoy.authz\nimport input.attributes.request.http\nallow := false if http.headers.form == \"plain\"\nallow := {\"allowed\": false, \"http_status\": 401, \"headers\": {\"a\": \"b\"}, \"dynamic_metadata\": {\"k\": 1}} if http.headers.form == \"object\"\n";
    let pdp = Setup::default()
        .with_rego(text)
        .with(|settings| settings.rego_dry_run = true)
        .pdp();
    for (form, metadata) in [
        ("plain", None),
        ("object", Some(serde_json::json!({ "k": 1 }))),
    ] {
        let decision = pdp.check(get(&[&format!("form: {form}")]), NOW_NS).decision;
        let mutations = decision.reply().unwrap();
        assert!(mutations.explicit && mutations.set_headers.is_empty());
        assert_eq!(decision.reason.message, "denied by Rego in a dry run");
        let shown = decision.dynamic_metadata.clone();
        assert_eq!(shown.map(Value::Object), metadata);
    }
    // An error is no denial of the entrypoint's.
    let decision = pdp.check(get(&["form: other"]), NOW_NS).decision;
    assert_eq!(decision.status(), 403);
}
