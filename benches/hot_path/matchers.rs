//! What a check costs by the number of policies and rules, and what compiling them costs.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward::attributes::{Attributes, Headers, HttpRequest, Peer, Request};
use doorward::cache::CacheSettings;
use doorward::decision_log::Recorder;
use doorward::identity::RemoteKeySets;
use doorward::pdp::Pdp;
use doorward::policy::config::{MeshConfig, RegoConfig, settings};
use doorward::policy::resource::Resource;
use doorward::policy::{PolicySet, PolicySources};
use doorward::snapshot::Snapshot;
use doorward::telemetry::Metrics;

use crate::harness::{heading, line, median, median_of, shown};

/// Policies of one namespace in the first table.
const A_NAMESPACE: usize = 5;

pub(crate) fn run() {
    heading("native policies, from attributes to a decision");
    by_number_of_policies();
    by_number_of_rules();
    compiling();
}

/// A workload with 5 policies, among ever more policies of other namespaces.
fn by_number_of_policies() {
    let mut first = None;
    for count in [10, 1_000, 100_000] {
        let pdp = pdp(&many_namespaces(count));
        let time = median(|| check(&pdp, &request("ns1", 3, 3), true));
        let first = *first.get_or_insert(time);
        let ratio = time.as_secs_f64() / first.as_secs_f64();
        let what = format!("check of a workload with 5 of {count} policies");
        line(&what, &shown(time), "");
        line("  against the first", &format!("{ratio:.2}"), "1.50");
    }
}

/// A workload whose one policy has many rules of 10 hosts, paths and principals each.
fn by_number_of_rules() {
    for (what, rule, allowed) in [
        ("the last of 1,000 rules allows", 999, true),
        ("none of 1,000 rules allows", 1_000, false),
    ] {
        let pdp = pdp(&long_policy(1_000));
        let time = median(|| check(&pdp, &request("ns1", rule, 9), allowed));
        line(what, &shown(time), "20 µs");
    }
    let pdp = pdp(&long_policy(1));
    let time = median(|| check(&pdp, &request("ns1", 0, 9), true));
    line("the only rule allows", &shown(time), "");
}

fn compiling() {
    let texts = many_namespaces(10_000);
    let resources = parse(&texts);
    let time = median_of(5, || drop(black_box(compile(&resources))));
    line("compiling 10,000 policies", &shown(time), "1 s");
    let time = median_of(3, || drop(black_box(parse(&texts))));
    line("reading them from YAML", &shown(time), "");
}

/// Policies of a rule each, five a namespace, as one text each.
fn many_namespaces(count: usize) -> Vec<String> {
    let policy = |index| {
        let (namespace, own) = (index / A_NAMESPACE, index % A_NAMESPACE);
        let mut yaml = head(&format!("ns{namespace}"), &format!("p{own}"));
        rule(&mut yaml, own, 4);
        yaml
    };
    (0..count).map(policy).collect()
}

fn long_policy(rules: usize) -> Vec<String> {
    let mut yaml = head("ns1", "p");
    (0..rules).for_each(|index| rule(&mut yaml, index, 10));
    vec![yaml]
}

fn parse(texts: &[String]) -> Vec<Resource> {
    let parse = |text: &String| Resource::parse_stream(text).unwrap();
    texts.iter().flat_map(parse).collect()
}

fn head(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  rules:\n"
    )
}

/// A rule with so many hosts, paths and principals.
fn rule(yaml: &mut String, rule: usize, values: usize) {
    let list = |value: &dyn Fn(usize) -> String| {
        let values: Vec<_> = (0..values).map(value).collect();
        values.join(", ")
    };
    let principals = list(&|value| format!("cluster.local/ns/n{rule}/sa/a{value}"));
    let hosts = list(&|value| format!("h{value}.r{rule}.example.com"));
    let paths = list(&|value| format!("/r{rule}/p{value}/*"));
    writeln!(
        yaml,
        "  - from: [{{source: {{principals: [{principals}]}}}}]\n    \
             to: [{{operation: {{hosts: [{hosts}], paths: [{paths}]}}}}]"
    )
    .unwrap();
}

/// What one of those rules allows.
fn request(namespace: &str, rule: usize, value: usize) -> Attributes {
    let value = value.min(9);
    let lines = [("accept", "*/*"), ("user-agent", "bench")];
    let headers = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Attributes {
        source: Some(Peer {
            principal: format!("spiffe://cluster.local/ns/n{rule}/sa/a{value}"),
            ..Peer::default()
        }),
        request: Some(Request {
            time: None,
            http: Some(HttpRequest {
                method: "GET".to_owned(),
                host: format!("h{value}.r{rule}.example.com"),
                path: format!("/r{rule}/p{value}/items/17?page=2"),
                headers: Headers::new(headers.to_vec(), None),
                ..HttpRequest::default()
            }),
        }),
        context_extensions: vec![
            ("doorward.labels".to_owned(), "app=a".to_owned()),
            ("doorward.namespace".to_owned(), namespace.to_owned()),
        ],
        ..Attributes::default()
    }
}

fn compile(resources: &[Resource]) -> PolicySet {
    let (mesh, rego) = (MeshConfig::default(), RegoConfig::default());
    let settings = settings(&mesh, &rego, &[], Duration::from_secs(1));
    let sources = PolicySources {
        resources: resources.iter().collect(),
        ..PolicySources::default()
    };
    PolicySet::compile(sources, &settings).unwrap()
}

/// Without a decision cache.
fn pdp(texts: &[String]) -> Pdp {
    let policies = compile(&parse(texts));
    let cache = CacheSettings {
        max_bytes: 0,
        ttl: Duration::ZERO,
        tokens_max_bytes: 0,
    };
    Pdp::new(
        Arc::new(ArcSwap::from_pointee(Snapshot::new(
            1,
            Arc::new(policies),
            RemoteKeySets::default(),
            cache,
        ))),
        Recorder::default(),
        Arc::new(Metrics::default()),
    )
}

fn check(pdp: &Pdp, request: &Attributes, allowed: bool) {
    let answer = pdp.check(request.clone(), 0);
    assert_eq!(answer.decision.reply().is_ok(), allowed);
    black_box(answer);
}
