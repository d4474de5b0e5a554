//! Every value of the vocabulary, in every place it can be written, against everything that can be
//! sent: what generated cases reach by chance is here in full, one value and one thing at a time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::case::{self, decide};
use super::evaluator::{Evaluator, Mesh, Workload};
use super::policies::{self, HEADER_KEYS, KEYS, OPERATION_FIELDS, SOURCE_FIELDS};
use super::requests::{self, HttpParts, Parts, Sent};
use super::tally::Tally;
use super::tokens::TOKENS;
use super::vocabulary::{self as words, Words};
use super::yaml::{self, Order};

/// Where a value is written.
#[derive(Debug, Clone)]
enum Place {
    Source(&'static str),
    Operation(&'static str),
    Key(String),
}

#[test]
fn every_value_against_everything_sent() {
    let tally = Tally::default();
    let mut compared = 0;
    for (place, values) in places() {
        let values: BTreeSet<_> = values.iter().copied().collect();
        let watchers = watchers(&place, &values);
        for (mesh, sent) in sent(&place) {
            compared += compare(&watchers, &mesh, &sent, &tally);
        }
    }
    eprintln!("{compared} pairs of a value and what is sent compared");
    assert!(compared > 50_000, "only {compared}");
    let never = tally
        .counts()
        .into_iter()
        .filter(|(_, counts)| counts.contains(&0));
    let never: Vec<_> = never
        .map(|(kind, counts)| format!("{kind:?} {counts:?}"))
        .collect();
    assert!(never.is_empty(), "always or never matched: {never:#?}");
}

fn places() -> Vec<(Place, Words)> {
    let sources = SOURCE_FIELDS
        .iter()
        .map(|(name, values)| (Place::Source(name), *values));
    let operations = OPERATION_FIELDS.iter();
    let operations = operations.map(|(name, values)| (Place::Operation(name), *values));
    let keys = KEYS.iter().flat_map(|(keys, values)| {
        let keys: BTreeSet<_> = keys.iter().collect();
        keys.into_iter()
            .map(|key| (Place::Key((*key).to_owned()), *values))
    });
    let headers = HEADER_KEYS.iter().flat_map(|(names, values)| {
        let key = |name: &&str| format!("request.headers[{name}]");
        names
            .iter()
            .map(move |name| (Place::Key(key(name)), *values))
    });
    sources
        .chain(operations)
        .chain(keys)
        .chain(headers)
        .collect()
}

/// What can be sent that a place looks at, with the meshes in which that makes a difference.
fn sent(place: &Place) -> Vec<(Mesh, Vec<Parts>)> {
    let (Place::Source(name) | Place::Operation(name)) = place else {
        let Place::Key(key) = place else {
            panic!("{place:?}")
        };
        return sent_for_key(key);
    };
    match *name {
        "principals" | "trustDomains" => meshes(&identities()),
        "namespaces" | "serviceAccounts" => one_mesh(identities()),
        "requestPrincipals" => one_mesh(tokens()),
        "ipBlocks" => one_mesh(each(words::SENT_IPS, |parts, ip| parts.source = ip)),
        "remoteIpBlocks" => hops(&forwarded()),
        "hosts" | "methods" | "paths" => one_mesh(lines()),
        "ports" => one_mesh(ports()),
        other => panic!("{other}"),
    }
}

fn sent_for_key(key: &str) -> Vec<(Mesh, Vec<Parts>)> {
    match key {
        "source.principal" | "source.trustDomain" => meshes(&identities()),
        "source.namespace" | "source.serviceAccount" => one_mesh(identities()),
        "source.ip" => one_mesh(each(words::SENT_IPS, |parts, ip| parts.source = ip)),
        "remote.ip" => hops(&forwarded()),
        "destination.ip" => one_mesh(each(words::SENT_IPS, |parts, ip| {
            parts.destination = Some(ip);
        })),
        "destination.port" => one_mesh(ports()),
        "connection.sni" => one_mesh(server_names()),
        "request.headers[x-forwarded-for]" => one_mesh(forwarded()),
        key if key.starts_with("request.headers[x-") => one_mesh(headers("x-a")),
        key if key.starts_with("request.headers[X-") => one_mesh(headers("X-a")),
        key if key.starts_with("request.headers[") => one_mesh(lines()),
        key if key.starts_with("request.auth.") => one_mesh(tokens()),
        _ => one_mesh(metadata()),
    }
}

/// Policies of one workload that tell for every action what matches, and decide nothing.
struct Watchers {
    /// The workload's.
    label: String,
    policies: Vec<Value>,
}

/// Compares what watches with everything sent, and says how many pairs these were.
fn compare(watchers: &[Watchers], mesh: &Mesh, sent: &[Parts], tally: &Tally) -> usize {
    // Only where there are tokens: looking for one makes much of a request part of what is
    // remembered, and would hide what the rules themselves forget to name.
    let has_token = |parts: &Parts| parts.http.as_ref().is_some_and(|http| http.token.is_some());
    let has_tokens = sent.iter().any(has_token);
    let common = has_tokens.then(|| policies::token_rules("", &["custom"]));
    let all = watchers.iter().flat_map(|watchers| &watchers.policies);
    let all: Vec<_> = all.chain(&common).cloned().collect();
    // With memory: of two requests that differ in what is looked at, neither may answer the other.
    let pdp = case::pdp(&yaml::stream(&all, Order::Forward), mesh, true).unwrap();
    for Watchers { label, policies } in watchers {
        let objects: Vec<_> = policies.iter().chain(&common).cloned().collect();
        let evaluator = Evaluator {
            mesh,
            objects: &objects,
            tally,
        };
        for parts in sent {
            let labels = [("value".to_owned(), label.clone())];
            let sent = Sent::from(Parts {
                workload: Workload {
                    namespace: Some("foo".to_owned()),
                    labels: Some(labels.into()),
                },
                ..parts.clone()
            });
            let (actual, expected) = (decide(&pdp, &sent), evaluator.verdict(sent.asked()));
            let text = || yaml::stream(&objects, Order::Forward);
            assert!(
                actual == expected,
                "Doorward says {actual:?}\nthe text says  {expected:?}\nfor\n{sent:?}\n{mesh:?}\n{}",
                text()
            );
        }
    }
    watchers.len() * sent.len()
}

/// Every value by itself and negated, then all of them as rules of the same policies, as many
/// rules are not asked one after the other.
fn watchers(place: &Place, values: &BTreeSet<&str>) -> Vec<Watchers> {
    let single = values
        .iter()
        .flat_map(|value| [false, true].map(|negated| vec![rule(place, value, negated)]));
    let crowds = (0..3).map(|turn| {
        let rules = values
            .iter()
            .cycle()
            .skip(turn * 5)
            .take(values.len())
            .enumerate();
        let rules = rules.map(|(index, value)| {
            let mut rule = rule(place, value, false);
            // Some match no request for another reason.
            if index % 3 == turn {
                let other = json!({"key": "destination.port", "values": ["1"]});
                let conditions = rule["when"].take();
                let conditions = conditions.as_array().into_iter().flatten().cloned();
                rule["when"] = conditions.chain([other]).collect();
            }
            rule
        });
        rules.collect()
    });
    let groups = single.chain(crowds).enumerate();
    groups
        .map(|(index, rules)| {
            let label = index.to_string();
            let policies = ["ALLOW", "DENY", "AUDIT"].map(|action| watcher(action, &rules, &label));
            Watchers {
                label,
                policies: policies.into(),
            }
        })
        .collect()
}

fn rule(place: &Place, value: &str, negated: bool) -> Value {
    let name = |field: &str| match negated {
        true => policies::not(field),
        false => field.to_owned(),
    };
    match place {
        Place::Source(field) => json!({"from": [{"source": {name(field): [value]}}]}),
        Place::Operation(field) => json!({"to": [{"operation": {name(field): [value]}}]}),
        Place::Key(key) => json!({"when": [{"key": key, name("values"): [value]}]}),
    }
}

fn watcher(action: &str, rules: &[Value], label: &str) -> Value {
    let annotations = match action {
        "AUDIT" => json!({}),
        _ => json!({"istio.io/dry-run": "true"}),
    };
    json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"namespace": "foo", "annotations": annotations,
            "name": format!("{}-{label}", action.to_ascii_lowercase())},
        "spec": {"action": action, "rules": rules,
            "selector": {"matchLabels": {"value": label}}}})
}

// Meshes.

fn mesh(trust_domains: Words, trusted_proxies: usize) -> Mesh {
    Mesh {
        root_namespace: words::ROOT_NAMESPACE.to_owned(),
        trust_domains: trust_domains
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
        trusted_proxies,
        allow_by_default: true,
        unknown_gets_mesh_policies: false,
    }
}

fn one_mesh(sent: Vec<Parts>) -> Vec<(Mesh, Vec<Parts>)> {
    vec![(mesh(words::MESHES[1], 0), sent)]
}

fn meshes(sent: &[Parts]) -> Vec<(Mesh, Vec<Parts>)> {
    let meshes = words::MESHES.iter();
    meshes
        .map(|names| (mesh(names, 0), sent.to_vec()))
        .collect()
}

fn hops(sent: &[Parts]) -> Vec<(Mesh, Vec<Parts>)> {
    let mesh = |hops| mesh(words::MESHES[0], hops);
    (0..=2).map(|hops| (mesh(hops), sent.to_vec())).collect()
}

// What is sent, one thing at a time.

fn plain() -> Parts {
    Parts {
        source: "203.0.113.9",
        destination: Some("10.0.0.1"),
        port: Some(80),
        http: Some(HttpParts {
            method: "GET",
            path: "/a",
            host: "a.com",
            ..HttpParts::default()
        }),
        ..Parts::default()
    }
}

fn each<T: Copy>(things: &[T], change: impl Fn(&mut Parts, T)) -> Vec<Parts> {
    let changed = things.iter().map(|thing| {
        let mut parts = plain();
        change(&mut parts, *thing);
        parts
    });
    changed.collect()
}

fn each_http<T: Copy>(things: &[T], change: impl Fn(&mut HttpParts, T)) -> Vec<Parts> {
    each(things, |parts, thing| {
        change(parts.http.as_mut().unwrap(), thing);
    })
}

fn tcp(told: bool) -> Parts {
    Parts {
        http: None,
        told,
        ..plain()
    }
}

fn identities() -> Vec<Parts> {
    let odd = words::SENT_IDENTITIES.iter().map(|name| (*name).to_owned());
    let all = requests::regular_identities().into_iter().chain(odd);
    let with = |identity| Parts {
        identity,
        ..plain()
    };
    let mut sent: Vec<_> = all.map(with).collect();
    sent.push(Parts {
        identity: "spiffe://td1/ns/foo/sa/a".to_owned(),
        ..tcp(true)
    });
    sent
}

fn ports() -> Vec<Parts> {
    let mut sent = each(words::SENT_PORTS, |parts, port| parts.port = Some(port));
    sent.extend([
        Parts {
            port: None,
            ..plain()
        },
        Parts {
            destination: None,
            ..plain()
        },
        tcp(false),
    ]);
    sent
}

fn server_names() -> Vec<Parts> {
    let mut sent = each(words::SENT_SERVER_NAMES, |parts, name| {
        parts.sni = Some(name);
    });
    for told in [true, false] {
        let with = |name: &&'static str| Parts {
            sni: Some(name),
            ..tcp(told)
        };
        sent.extend(words::SENT_SERVER_NAMES.iter().map(with));
    }
    sent.extend([plain(), tcp(true), tcp(false)]);
    sent
}

/// Request lines and hosts.
fn lines() -> Vec<Parts> {
    let mut sent = each_http(words::SENT_HOSTS, |http, host| http.host = host);
    sent.extend(each_http(words::SENT_METHODS, |http, method| {
        http.method = method;
    }));
    sent.extend(each_http(words::SENT_PATHS, |http, path| http.path = path));
    sent.extend([tcp(true), tcp(false)]);
    sent
}

/// No line, one and two of a header, in both forms.
fn headers(name: &'static str) -> Vec<Parts> {
    repeated(name, words::SENT_HEADER_VALUES)
}

fn forwarded() -> Vec<Parts> {
    repeated("x-forwarded-for", words::SENT_FORWARDED)
}

fn repeated(name: &'static str, values: &[&'static [u8]]) -> Vec<Parts> {
    let mut all = vec![Vec::new()];
    for first in values {
        all.push(vec![(name, *first)]);
        all.extend(
            values
                .iter()
                .take(5)
                .map(|second| vec![(name, *first), (name, *second)]),
        );
    }
    let mut sent = vec![tcp(true)];
    for raw in [true, false] {
        sent.extend(all.iter().map(|lines| {
            let mut parts = plain();
            let http = parts.http.as_mut().unwrap();
            http.lines.clone_from(lines);
            http.raw = raw;
            parts
        }));
    }
    sent
}

fn tokens() -> Vec<Parts> {
    let all: Vec<_> = (0..TOKENS.len()).collect();
    let mut sent = each_http(&all, |http, token| http.token = Some(token));
    sent.extend([plain(), tcp(true)]);
    sent
}

fn metadata() -> Vec<Parts> {
    let mut sent = vec![plain(), tcp(true)];
    let values: BTreeSet<_> = words::SENT_METADATA_VALUES.iter().collect();
    for filter in words::SENT_METADATA_FILTERS.iter().collect::<BTreeSet<_>>() {
        for key in words::SENT_METADATA_KEYS {
            sent.extend(values.iter().map(|json| {
                let value: Value = serde_json::from_str(json).unwrap();
                let fields = [((*key).to_owned(), value)].into_iter().collect();
                Parts {
                    metadata: Some(vec![((*filter).to_owned(), fields)]),
                    ..plain()
                }
            }));
        }
    }
    sent
}
