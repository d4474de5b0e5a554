//! Generated objects: what a user could write and Doorward accepts, made of the shared vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

use super::tokens;
use super::vocabulary::{self as words, Words};

/// Fields of a source and operation, and their values.
pub const SOURCE_FIELDS: &[(&str, Words)] = &[
    ("principals", words::PRINCIPALS),
    ("requestPrincipals", words::REQUEST_PRINCIPALS),
    ("namespaces", words::IDENTITY_NAMESPACES),
    ("serviceAccounts", words::SERVICE_ACCOUNTS),
    ("ipBlocks", words::IP_BLOCKS),
    ("remoteIpBlocks", words::IP_BLOCKS),
    ("trustDomains", words::TRUST_DOMAINS),
];
pub const OPERATION_FIELDS: &[(&str, Words)] = &[
    ("hosts", words::HOSTS),
    ("ports", words::PORTS),
    ("methods", words::METHODS),
    ("paths", words::PATHS),
];

/// Keys of `when`, and their values.
pub const KEYS: &[(Words, Words)] = &[
    (&["source.ip"], words::IP_BLOCKS),
    (&["remote.ip"], words::IP_BLOCKS),
    (&["destination.ip"], words::IP_BLOCKS),
    (&["destination.port"], words::PORTS),
    (&["source.namespace"], words::IDENTITY_NAMESPACES),
    (&["source.serviceAccount"], words::SERVICE_ACCOUNTS),
    (&["source.principal"], words::PRINCIPALS),
    (&["source.trustDomain"], words::TRUST_DOMAINS),
    (&["connection.sni"], words::SERVER_NAMES),
    (&["request.auth.principal"], words::REQUEST_PRINCIPALS),
    (&["request.auth.audiences"], words::AUDIENCES),
    (&["request.auth.presenter"], words::PRESENTERS),
    (words::CLAIMS, words::CLAIM_VALUES),
    (words::METADATA, words::METADATA_VALUES),
];

/// `when` keys that are headers: names and values.
pub const HEADER_KEYS: &[(Words, Words)] = &[
    (words::HEADERS, words::HEADER_VALUES),
    (words::PSEUDO_HEADERS, words::PSEUDO_VALUES),
    (&["x-forwarded-for"], words::FORWARDED_VALUES),
];

const POLICY_NAMES: Words = &["a", "b", "a.b", "a-b", "a0", "z"];
const MOMENTS: Words = &[
    "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:01Z",
    "2023-12-31T23:59:59Z",
    "2025-06-01T12:00:00Z",
    "2022-06-01T12:00:00Z",
];
const MODES: Words = &["STRICT", "PERMISSIVE", "DISABLE", "UNSET"];

fn values(words: Words) -> impl Strategy<Value = Value> {
    vec(select(words), 1..=2).prop_map(|values| json!(values))
}

/// The name of a field's negation.
pub fn not(field: &str) -> String {
    format!("not{}{}", field[..1].to_uppercase(), &field[1..])
}

/// A field or its negation, and values for it.
fn field(table: &[(&'static str, Words)]) -> impl Strategy<Value = (String, Value)> + use<> {
    let fields = table.iter().flat_map(|(name, words)| {
        let named = |name: String| values(words).prop_map(move |values| (name.clone(), values));
        [
            (3, named((*name).to_owned()).boxed()),
            (2, named(not(name)).boxed()),
        ]
    });
    Union::new_weighted(fields.collect())
}

/// An object with some of the fields, sometimes with others that are written but empty.
fn fields(table: &'static [(&'static str, Words)]) -> impl Strategy<Value = Map<String, Value>> {
    let empty = weighted(0.1, (select(table), select(vec![json!([]), Value::Null])));
    let given = prop_oneof![5 => vec(field(table), 1), 3 => vec(field(table), 2), 1 => vec(field(table), 3)];
    (given, empty).prop_map(|(fields, empty)| {
        let mut object: Map<_, _> = fields.into_iter().collect();
        if let Some(((name, _), nothing)) = empty {
            object.entry(name).or_insert(nothing);
        }
        object
    })
}

/// An entry of `from`.
pub fn source() -> impl Strategy<Value = Value> {
    fields(SOURCE_FIELDS).prop_map(|mut source| {
        // Service accounts are not to be combined with these.
        let has = |name| {
            source
                .get(name)
                .is_some_and(|values| values.get(0).is_some())
        };
        if has("serviceAccounts") || has("notServiceAccounts") {
            for name in ["principals", "notPrincipals", "namespaces", "notNamespaces"] {
                source.remove(name);
            }
        }
        json!({"source": source})
    })
}

/// An entry of `to`.
fn operation() -> impl Strategy<Value = Value> {
    fields(OPERATION_FIELDS).prop_map(|operation| json!({"operation": operation}))
}

/// An entry of `when`.
fn condition() -> impl Strategy<Value = Value> {
    let plain = KEYS.iter().map(|(keys, words)| (*keys, *words, ""));
    let headers = HEADER_KEYS.iter();
    let headers = headers.map(|(names, words)| (*names, *words, "request.headers"));
    let of_key = |(keys, words, header): (Words, Words, &'static str)| {
        let given = prop_oneof![
            4 => values(words).prop_map(|values| json!({"values": values})),
            3 => values(words).prop_map(|values| json!({"notValues": values})),
            1 => (values(words), values(words))
                .prop_map(|(values, not)| json!({"values": values, "notValues": not})),
        ];
        let condition = (select(keys), given).prop_map(move |(key, mut condition)| {
            let key = if header.is_empty() {
                key.to_owned()
            } else {
                format!("{header}[{key}]")
            };
            condition["key"] = key.into();
            condition
        });
        // Claims and metadata have many keys.
        (if keys.len() > 1 { 4 } else { 2 }, condition.boxed())
    };
    Union::new_weighted(plain.chain(headers).map(of_key).collect())
}

/// No entry, or one, or two.
fn few<S: Strategy<Value = Value> + Clone>(entry: S) -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![4 => Just(Vec::new()), 3 => vec(entry.clone(), 1), 1 => vec(entry, 2)]
}

/// One rule; a part without entries is left out. Many have a single part, so that it decides.
pub fn rule() -> impl Strategy<Value = Value> {
    let none = || Just(Vec::new());
    let (source, operation, condition) =
        (source().boxed(), operation().boxed(), condition().boxed());
    let parts = prop_oneof![
        2 => (few(source.clone()), few(operation.clone()), few(condition.clone())),
        1 => (vec(source, 1), none(), none()),
        1 => (none(), vec(operation, 1), none()),
        2 => (none(), none(), vec(condition, 1)),
    ];
    parts.prop_map(|(from, to, when)| {
        let mut rule = Map::new();
        for (name, entries) in [("from", from), ("to", to), ("when", when)] {
            if !entries.is_empty() {
                rule.insert(name.to_owned(), entries.into());
            }
        }
        rule.into()
    })
}

fn selector() -> impl Strategy<Value = Option<Value>> {
    let all = [json!({}), json!({"matchLabels": {}})];
    let some = [
        json!({"matchLabels": {"app": "web"}}),
        json!({"matchLabels": {"app": "api"}}),
        json!({"matchLabels": {"app": "web", "version": "v1"}}),
    ];
    prop_oneof![
        4 => Just(None),
        1 => select(all.to_vec()).prop_map(Some),
        2 => select(some.to_vec()).prop_map(Some),
    ]
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(vec![
        "foo",
        "foo",
        "foo",
        words::ROOT_NAMESPACE,
        words::ROOT_NAMESPACE,
        "bar",
    ])
}

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// An AuthorizationPolicy with the given actions; `None` is the default, ALLOW.
pub fn authorization_policy(actions: Vec<Option<&'static str>>) -> impl Strategy<Value = Value> {
    let dry_run = select(vec!["true", "true", "true", "1", "T", "false", "0"]);
    let rules = prop_oneof![8 => vec(rule(), 1..=3), 1 => vec(rule(), 0), 1 => vec(rule(), 9..=12)];
    let parts = (
        namespace(),
        select(POLICY_NAMES),
        selector(),
        select(actions),
        weighted(0.2, dry_run),
        rules,
        select(vec![json!([]), Value::Null]),
    );
    parts.prop_map(
        |(namespace, name, selector, action, dry_run, mut rules, none)| {
            let mut spec = json!({});
            if let Some(selector) = selector {
                spec["selector"] = selector;
            }
            if let Some(action) = action {
                spec["action"] = action.into();
            }
            // A DENY without rules is refused.
            if rules.is_empty() && action == Some("DENY") {
                rules.push(json!({}));
            }
            spec["rules"] = if rules.is_empty() { none } else { rules.into() };
            let mut policy = object("AuthorizationPolicy", namespace, name, &spec);
            if let Some(dry_run) = dry_run.filter(|_| action != Some("AUDIT")) {
                policy["metadata"]["annotations"] = json!({"istio.io/dry-run": dry_run});
            }
            policy
        },
    )
}

/// Every action, ALLOW and DENY more often.
pub fn any_action() -> Vec<Option<&'static str>> {
    vec![
        None,
        Some("ALLOW"),
        Some("ALLOW"),
        Some("DENY"),
        Some("DENY"),
        Some("AUDIT"),
    ]
}

/// A RequestAuthentication for every workload.
pub fn token_rules(issuer: &str, space_delimited: &[&str]) -> Value {
    let rule =
        json!({"issuer": issuer, "jwks": tokens::jwks(), "spaceDelimitedClaims": space_delimited});
    let spec = json!({"jwtRules": [rule]});
    object("RequestAuthentication", words::ROOT_NAMESPACE, "jwt", &spec)
}

/// A RequestAuthentication whose rules accept tokens of any issuer, or of some; mostly for every
/// workload.
fn request_authentication() -> impl Strategy<Value = Value> {
    let issuers: Vec<&[&str]> = vec![&[""], &[""], &[""], &["iss-a", "iss-b"]];
    let custom: Vec<&[&str]> = vec![&[], &["custom"], &["custom", "nested", "a.b"]];
    let some = (namespace(), selector());
    let scope = prop_oneof![3 => Just((words::ROOT_NAMESPACE, None)), 1 => some];
    let parts = (scope, select(issuers), select(custom));
    parts.prop_map(|((namespace, selector), issuers, custom)| {
        let mut object = token_rules("", &[]);
        object["metadata"]["namespace"] = namespace.into();
        let rule = |issuer: &&str| token_rules(issuer, custom)["spec"]["jwtRules"][0].clone();
        object["spec"]["jwtRules"] = issuers.iter().map(rule).collect();
        if let Some(selector) = selector {
            object["spec"]["selector"] = selector;
        }
        object
    })
}

pub fn peer_authentication() -> impl Strategy<Value = Value> {
    let mode = || select(MODES).prop_map(|mode| json!({"mode": mode}));
    let port = select(vec!["80", "8080", "443"]);
    let ports = weighted(0.4, proptest::collection::btree_map(port, mode(), 1..=2));
    let parts = (
        namespace(),
        select(POLICY_NAMES),
        select(MOMENTS),
        selector(),
        weighted(0.8, mode()),
        ports,
    );
    parts.prop_map(|(namespace, name, created, selector, mtls, ports)| {
        let mut spec = json!({});
        if let Some(mtls) = mtls {
            spec["mtls"] = mtls;
        }
        if let Some(selector) = selector {
            // Ports are for workloads only.
            let selects = selector["matchLabels"].as_object();
            if let Some(ports) = ports.filter(|_| selects.is_some_and(|labels| !labels.is_empty()))
            {
                spec["portLevelMtls"] = json!(ports);
            }
            spec["selector"] = selector;
        }
        let mut object = object("PeerAuthentication", namespace, name, &spec);
        object["metadata"]["creationTimestamp"] = created.into();
        object
    })
}

/// A set of objects with these policies.
pub fn objects(policies: impl Strategy<Value = Vec<Value>>) -> impl Strategy<Value = Vec<Value>> {
    let peers = prop_oneof![4 => Just(Vec::new()), 1 => vec(peer_authentication(), 1..=4)];
    (policies, weighted(0.85, request_authentication()), peers).prop_map(
        |(policies, authentication, peers)| {
            distinct(policies.into_iter().chain(authentication).chain(peers))
        },
    )
}

/// Without objects of the same name, and PeerAuthentications of the same age.
pub fn distinct(objects: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut names = BTreeSet::new();
    let mut ages = BTreeSet::new();
    let fresh = objects.filter(|object| {
        let metadata = &object["metadata"];
        let name = format!(
            "{}/{}/{}",
            object["kind"], metadata["namespace"], metadata["name"]
        );
        let age = metadata["creationTimestamp"].as_str();
        names.insert(name) && age.is_none_or(|age| ages.insert(age.to_owned()))
    });
    fresh.collect()
}

/// A set with policies of every action.
pub fn any_objects() -> impl Strategy<Value = Vec<Value>> {
    objects(vec(authorization_policy(any_action()), 1..=4))
}

/// Labels that workloads have.
pub fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let sets: Vec<&[(&str, &str)]> = vec![
        &[],
        &[("app", "web")],
        &[("app", "api")],
        &[("app", "web"), ("version", "v1")],
        &[("app", "web"), ("version", "v2"), ("zone", "z")],
    ];
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    select(sets).prop_map(move |labels| labels.iter().map(own).collect())
}
