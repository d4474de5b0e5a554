//! Generated sets of policies: native ones of all kinds, as `reference` makes them, Rego, and settings.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use doorward::attributes::PathNormalization;
use doorward::identity::{KeySet, KeySignal, KeySource, RemoteKeySets, RemoteKeys};
use doorward::policy::config::{self, EvaluationLimit, MeshConfig, RegoConfig};
use doorward::policy::native::WorkloadConfig;
use doorward::policy::rego::{Data, RegoModule};
use doorward::policy::resource::Resource;
use doorward::policy::{DefaultAction, OnError, PolicySet, PolicySources, UnknownWorkload};
use doorward::units::Span;
use proptest::collection::vec;
use serde_json::{Value, json};

use super::random::Random;
use super::rego;
use super::tokens::{self, Key};
use crate::reference::policies as native;

/// Where keys are fetched from, which here is never asked.
const KEYS_URL: &str = "https://keys.test/jwks";
/// Rules that providers stand for; `nobody` is one that there is not.
const PROVIDERS: [&str; 3] = ["one", "two", "nobody"];
/// Rules that ask for one thing, with values that some requests have: `from`, `to` or `when`, and its entry.
const AIMED: &[(&str, &str)] = &[
    ("from", r#"{"source": {"ipBlocks": ["10.0.0.1"]}}"#),
    ("from", r#"{"source": {"notIpBlocks": ["10.0.0.0/24"]}}"#),
    ("from", r#"{"source": {"remoteIpBlocks": ["10.0.0.1"]}}"#),
    ("from", r#"{"source": {"remoteIpBlocks": ["203.0.113.9"]}}"#),
    (
        "from",
        r#"{"source": {"principals": ["cluster.local/ns/foo/sa/a"]}}"#,
    ),
    ("from", r#"{"source": {"namespaces": ["foo"]}}"#),
    (
        "from",
        r#"{"source": {"requestPrincipals": ["iss-a/alice"]}}"#,
    ),
    ("to", r#"{"operation": {"hosts": ["a.com"]}}"#),
    ("to", r#"{"operation": {"hosts": ["*:8080"]}}"#),
    ("to", r#"{"operation": {"ports": ["8080"]}}"#),
    ("to", r#"{"operation": {"methods": ["GET"]}}"#),
    ("to", r#"{"operation": {"paths": ["/a"]}}"#),
    ("when", r#"{"key": "remote.ip", "values": ["10.0.0.200"]}"#),
    (
        "when",
        r#"{"key": "destination.ip", "values": ["10.0.0.1"]}"#,
    ),
    (
        "when",
        r#"{"key": "destination.port", "notValues": ["80"]}"#,
    ),
    ("when", r#"{"key": "connection.sni", "values": ["a.com"]}"#),
    ("when", r#"{"key": "connection.sni", "values": ["*"]}"#),
    (
        "when",
        r#"{"key": "request.headers[x-a]", "values": ["*"]}"#,
    ),
    (
        "when",
        r#"{"key": "request.headers[x-b]", "notValues": ["v"]}"#,
    ),
    (
        "when",
        r#"{"key": "request.auth.claims[groups]", "values": ["admin"]}"#,
    ),
    (
        "when",
        r#"{"key": "experimental.envoy.filters.http.lua[k]", "values": ["v"]}"#,
    ),
];

/// Most attempts at a set that is accepted.
const ATTEMPTS: usize = 100;

/// What a set of policies is made of.
#[derive(Debug)]
pub struct Policies {
    objects: Vec<Value>,
    modules: Vec<(String, String)>,
    mesh: MeshConfig,
    rego: RegoConfig,
    /// Whether a rule reads the clock and says how long its answer holds.
    pub holds: bool,
}

impl Policies {
    /// A set that Doorward accepts, compiled twice, so that both have no memory in common.
    pub fn any(random: &mut Random) -> (Self, [PolicySet; 2]) {
        for _ in 0..ATTEMPTS {
            let policies = Self::attempt(random);
            match policies.compile() {
                Ok(compiled) => {
                    let again = policies.compile().unwrap();
                    return (policies, [compiled, again]);
                }
                // Not all that is read can be put everywhere.
                Err(why) if why.contains("rego_type_error") => {}
                Err(why) => assert!(!why.contains("rego"), "{why}\n{policies}"),
            }
        }
        panic!("no set is accepted");
    }

    fn attempt(random: &mut Random) -> Self {
        let (with_native, with_rego) = *random.pick(&[(true, false), (false, true), (true, true)]);
        let mut policies = Self {
            objects: Vec::new(),
            modules: Vec::new(),
            mesh: mesh(random),
            rego: RegoConfig {
                providers: PROVIDERS[..2]
                    .iter()
                    .map(|name| ((*name).to_owned(), format!("{name}/allow")))
                    .collect(),
                dry_run: random.percent(5),
                skip_request_body_parse: random.percent(20),
                // None is slow; a machine may be.
                evaluation_limit: EvaluationLimit(Span::from_secs(20)),
                on_error: *random.pick(&[OnError::Deny, OnError::Deny, OnError::Error]),
                ..RegoConfig::default()
            },
            holds: false,
        };
        if with_native {
            policies.natives(random);
        }
        if with_rego || random.percent(20) {
            let packages = match with_rego {
                true => &["envoy.authz", "one", "two"][..],
                false => &["one", "two"],
            };
            if !with_rego {
                policies.rego.entrypoint = Some("none".to_owned().into());
            }
            for package in packages {
                let (text, holds) = rego::module(random, package);
                policies.modules.push((format!("{package}.rego"), text));
                policies.holds |= holds;
            }
        }
        policies
    }

    fn natives(&mut self, random: &mut Random) {
        match random.below(10) {
            0..3 => return self.objects = vec![single(random)],
            3..6 => return self.objects = aimed(random),
            _ => {}
        }
        let mut objects = random.value(&vec(
            native::authorization_policy(native::any_action()),
            1..=3,
        ));
        for _ in 0..*random.pick(&[0, 0, 1, 2]) {
            let mut custom = random.value(&native::authorization_policy(vec![Some("CUSTOM")]));
            custom["spec"]["provider"] = json!({"name": random.pick(&PROVIDERS)});
            objects.push(custom);
        }
        if random.percent(70) {
            objects.push(authentication(random));
        }
        if random.percent(25) {
            objects.extend(random.value(&vec(native::peer_authentication(), 1..=2)));
        }
        self.objects = native::distinct(objects.into_iter());
    }

    fn compile(&self) -> Result<PolicySet, String> {
        let list = json!({"kind": "List", "items": self.objects}).to_string();
        let resources =
            Resource::parse_stream(&list).map_err(|problems| format!("{problems:?}"))?;
        let modules = self.modules.iter().map(|(path, text)| RegoModule {
            path: path.clone(),
            text: text.clone(),
            v0: false,
        });
        let sources = PolicySources {
            resources: resources.iter().collect(),
            modules: modules.collect(),
            data: Data::from_json(
                json!({"roles": {"a": ["x"], "ab": {"c": 1}, "v": true, "": null}}),
            ),
            ..PolicySources::default()
        };
        let settings = config::settings(&self.mesh, &self.rego, &[], Duration::from_secs(30));
        PolicySet::compile(sources, &settings).map_err(|errors| format!("{errors:?}"))
    }
}

/// A set of nothing but a module.
pub fn of_rego(text: &str) -> Result<PolicySet, String> {
    let policies = Policies {
        objects: Vec::new(),
        modules: vec![("p.rego".to_owned(), text.to_owned())],
        mesh: MeshConfig::default(),
        rego: RegoConfig::default(),
        holds: false,
    };
    policies.compile()
}

/// Keys as they were fetched: none, one, or both.
pub fn fetched(random: &mut Random) -> (RemoteKeySets, &'static [Key]) {
    let keys: &[Key] = random.pick::<&[Key]>(&[&[], &[Key::A], &[Key::A, Key::B], &[Key::B]]);
    let set = (!keys.is_empty()).then(|| KeySet::parse(&tokens::jwks(keys)).unwrap().into());
    let signal = std::sync::Arc::new(Unheard);
    let source = KeySource::at(KEYS_URL).unwrap();
    (
        RemoteKeySets::from([(source, RemoteKeys { set, signal })]),
        keys,
    )
}

/// There is nobody to fetch keys.
#[derive(Debug)]
struct Unheard;

impl KeySignal for Unheard {
    fn key_missed(&self) {}
}

fn mesh(random: &mut Random) -> MeshConfig {
    let aliases: &[&str] = random.pick::<&[&str]>(&[&[], &["td1"], &["old-td"]]);
    let trusted = random
        .percent(25)
        .then(|| "cluster.local/ns/foo/sa/a".to_owned().try_into().unwrap());
    let workload = WorkloadConfig {
        namespace: Some("foo".to_owned()),
        labels: Some(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
        service_account: None,
    };
    MeshConfig {
        trust_domain_aliases: aliases.iter().map(|name| (*name).to_owned()).collect(),
        default_action: *random.pick(&[
            DefaultAction::Deny,
            DefaultAction::Allow,
            DefaultAction::Allow,
        ]),
        default_workload: Some(workload).filter(|_| random.percent(85)),
        unknown_workload: *random.pick(&[UnknownWorkload::Deny, UnknownWorkload::MeshPolicies]),
        invalid_token_status: *random.pick(&[401, 403]),
        trusted_proxies: random.below(3),
        trusted_xfcc_peers: trusted.into_iter().collect(),
        path_normalization: *random.pick(&[
            PathNormalization::None,
            PathNormalization::Base,
            PathNormalization::MergeSlashes,
            PathNormalization::DecodeAndMergeSlashes,
            PathNormalization::Reject,
        ]),
        ..MeshConfig::default()
    }
}

/// A policy of one rule for every workload, so that nothing else decides.
fn single(random: &mut Random) -> Value {
    let actions = vec![Some("ALLOW"), Some("DENY"), Some("AUDIT")];
    let mut policy = random.value(&native::authorization_policy(actions));
    policy["metadata"]["namespace"] = "istio-system".into();
    policy["spec"].as_object_mut().unwrap().remove("selector");
    policy["spec"]["rules"] = json!([random.value(&native::rule())]);
    policy
}

/// Policies of few rules for every workload, each of which can be told from the decision whatever the others
/// say: one that is enforced, one that marks, and dry runs, which name the rule that matched.
fn aimed(random: &mut Random) -> Vec<Value> {
    let mut objects = Vec::new();
    for (name, action, dry_run, most) in [
        ("enforced", *random.pick(&["ALLOW", "DENY"]), false, 1),
        ("marks", "AUDIT", false, 1),
        ("would-allow", "ALLOW", true, 2),
        ("would-deny", "DENY", true, 2),
    ] {
        if random.percent(25) {
            continue;
        }
        let rules = (0..=random.below(most)).map(|_| {
            let (part, entry) = *random.pick(AIMED);
            let entry: Value = serde_json::from_str(entry).unwrap();
            json!({part: [entry]})
        });
        let rules: Vec<_> = rules.collect();
        let mut policy = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"namespace": "istio-system", "name": name},
            "spec": {"action": action, "rules": rules}});
        if dry_run {
            policy["metadata"]["annotations"] = json!({"istio.io/dry-run": "true"});
        }
        objects.push(policy);
    }
    if random.percent(30) {
        objects.push(authentication(random));
    }
    objects
}

/// A RequestAuthentication whose tokens come from all places that there are.
fn authentication(random: &mut Random) -> Value {
    let mut issuers: Vec<_> = ["", "iss-a", "iss-b", "https://idp.example/"].to_vec();
    let rules = (0..=random.below(2)).map(|_| {
        let issuer = issuers.swap_remove(random.below(issuers.len()));
        let mut rule = json!({"issuer": issuer});
        match random.below(4) {
            0 => rule["jwksUri"] = KEYS_URL.into(),
            1 => rule["jwks"] = tokens::jwks(&[Key::A]).into(),
            _ => rule["jwks"] = tokens::jwks(&[Key::A, Key::B]).into(),
        }
        if random.percent(40) {
            rule["fromHeaders"] = json!([{"name": "x-token", "prefix": "T "}, {"name": "authorization", "prefix": "Bearer "}]);
        }
        if random.percent(30) {
            rule["fromParams"] = json!(["access_token"]);
        }
        if random.percent(30) {
            rule["fromCookies"] = json!(["session"]);
        }
        if random.percent(30) {
            rule["audiences"] = json!(["aud-a"]);
        }
        if random.percent(40) {
            rule["forwardOriginalToken"] = true.into();
        }
        if random.percent(30) {
            rule["outputPayloadToHeader"] = "x-payload".into();
        }
        if random.percent(50) {
            rule["outputClaimToHeaders"] = json!([{"header": "x-user", "claim": "sub"}, {"header": "x-level", "claim": "level"}]);
        }
        if random.percent(30) {
            rule["spaceDelimitedClaims"] = json!(["custom"]);
        }
        rule
    });
    json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"namespace": "istio-system", "name": "jwt"}, "spec": {"jwtRules": rules.collect::<Vec<_>>()}})
}

impl fmt::Display for Policies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:?}\n{:?}", self.mesh, self.rego)?;
        for object in &self.objects {
            writeln!(formatter, "{object}")?;
        }
        for (path, text) in &self.modules {
            writeln!(formatter, "--- {path}\n{text}")?;
        }
        Ok(())
    }
}
