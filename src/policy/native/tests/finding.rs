//! Rules found by hosts, paths and principals are those that are found by asking all of them.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

const HOSTS: [&str; 7] = ["*", "a.com", "A.com", "*.com", "a.*", "b.org", "*b.org"];
const PATHS: [&str; 9] = [
    "*", "/a", "/a/*", "*/b", "/a/{*}", "/a/{**}", "/{*}/b", "/b", "/a/b",
];
const PRINCIPALS: [&str; 6] = ["*", "td/a", "td/*", "*/a", "td/b", "t*"];

fn values(from: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(from), 0..3)
}

prop_compose! {
    fn operation()(hosts in values(&HOSTS), not_hosts in values(&HOSTS), paths in values(&PATHS), port in any::<bool>()) -> Value {
        let mut operation = json!({"hosts": hosts, "paths": paths});
        if port || (hosts.is_empty() && paths.is_empty()) {
            operation["ports"] = json!(["80"]);
        }
        if hosts.len() == 2 {
            operation["notHosts"] = json!(not_hosts);
        }
        operation
    }
}

prop_compose! {
    fn rule()(
        to in prop::collection::vec(operation(), 0..3),
        principals in values(&PRINCIPALS),
        when in values(&PRINCIPALS),
    ) -> Value {
        let mut rule = json!({});
        if !to.is_empty() {
            let to: Vec<_> = to.iter().map(|operation| json!({"operation": operation})).collect();
            rule["to"] = json!(to);
        }
        if to.is_empty() || !principals.is_empty() {
            let principals = if principals.is_empty() { vec!["td/none"] } else { principals };
            rule["from"] = json!([{"source": {"principals": principals}}]);
        }
        if !when.is_empty() {
            rule["when"] = json!([{"key": "source.principal", "values": when}]);
        }
        rule
    }
}

type Request = (&'static str, &'static str, &'static [&'static str], bool);

/// Names of peers; several are those of a certificate.
const PEERS: &[&[&str]] = &[
    &[""],
    &["spiffe://td/a"],
    &["spiffe://td/b"],
    &["spiffe://x/a"],
    &["td/a"],
    &["spiffe://y/c", "spiffe://td/a", "x"],
    &["spiffe://td/b", "spiffe://x/a"],
];

fn request() -> impl Strategy<Value = Request> {
    (
        prop::sample::select(&["a.com", "A.COM", "b.org", "xb.org", "", "c"][..]),
        prop::sample::select(
            &[
                "/a", "/a/b", "/a/b/c?d", "/a/", "/b", "/", "", "*", "a/b", "/x/../a", "//a%2fb",
            ][..],
        ),
        prop::sample::select(PEERS),
        prop::bool::weighted(0.1),
    )
}

fn facts_of((host, path, principals, tcp): Request) -> Asked {
    let asked = match principals {
        [principal] => Asked::get(path).by_peer(principal),
        several => {
            let certificate = CertificateMaker::with_uris(several);
            Asked::get(path).by_certificate(several[0], &certificate)
        }
    };
    let asked = asked.to("::1", 80);
    let mut asked = asked.with(|http| http.host = host.to_owned());
    asked.normalization = PathNormalization::DecodeAndMergeSlashes;
    if tcp {
        asked.attributes.request = None;
    }
    asked
}

#[test]
fn the_first_rule_is_found() {
    let (found, missed) = (Cell::new(0), Cell::new(0));
    let rules = prop::collection::vec(rule(), 8..30);
    let strategy = (
        rules,
        any::<bool>(),
        prop::collection::vec(request(), 1..10),
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(600));
    let result = runner.run(&strategy, |(rules, denies, requests)| {
        let action = if denies { "DENY" } else { "ALLOW" };
        let policy = authorization(&json!({"action": action, "rules": rules}));
        let policies = compile_in(&mesh(), &[policy]);
        let attached = policies.attached(&Arc::new(workload("shop", &[]))).unwrap();
        let rules = if denies {
            &attached.deny
        } else {
            &attached.allow
        };
        for request in requests {
            let asked = facts_of(request);
            let facts = asked.facts();
            let first = rules.first_match(&facts).map(CompiledRule::id);
            let mut all = rules.iter();
            let expected = all.find(|rule| rule.matches(&facts));
            let count = if first.is_some() { &found } else { &missed };
            count.set(count.get() + 1);
            prop_assert_eq!(first, expected.map(CompiledRule::id));
        }
        Ok(())
    });
    result.unwrap();
    let counts = (found.get(), missed.get());
    assert!(
        counts.0 > 200 && counts.1 > 200,
        "{counts:?} found and missed"
    );
}
