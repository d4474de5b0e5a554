//! Decisions recorded from a real Envoy running what Istio generates: each suite is a set of
//! policies pushed to a running server, each case a check sent to it.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;

use crate::support::{Options, Server, http};

/// Suites with other contents than policies and checks.
const OTHERS: &[&str] = &["normalization.json", "validation.json"];

struct Tally {
    checked: usize,
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_of_envoy_under_istio() {
    let Some(folder) = super::folder("istio") else {
        return;
    };
    let pool = DescriptorPool::decode(doorward_proto::DESCRIPTORS).unwrap();
    let mut tally = Tally {
        checked: 0,
        wrong: Vec::new(),
    };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".json") && !OTHERS.contains(&name.as_str()) {
            let suite: Value =
                serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            for suite in one_by_one(&suite) {
                replay(&name, &suite, &pool, &mut tally).await;
            }
        }
    }
    eprintln!("{} decisions agree", tally.checked);
    assert!(
        tally.wrong.is_empty(),
        "{} differ:\n{}",
        tally.wrong.len(),
        tally.wrong.join("\n")
    );
    assert!(tally.checked > 4_000, "only {} were checked", tally.checked);
}

/// A suite whose cases bring their own policies, as one suite a case. Cases that no proxy could ask
/// about are left out.
fn one_by_one(suite: &Value) -> Vec<Value> {
    if suite.get("policies").is_some() {
        return vec![suite.clone()];
    }
    let cases = suite["cases"].as_array().unwrap().iter();
    let observable = cases.filter(|case| case["notObservable"] != true);
    let with_itself = observable.map(|case| {
        let mut suite = case.clone();
        suite["cases"] = serde_json::json!([case]);
        suite
    });
    with_itself.collect()
}

async fn replay(name: &str, suite: &Value, pool: &DescriptorPool, tally: &mut Tally) {
    let server = Server::with(Options {
        config: config(suite),
        ..Options::default()
    });
    let list = serde_json::json!({ "kind": "List", "items": suite["policies"] });
    if suite["policies"]
        .as_array()
        .is_some_and(|policies| !policies.is_empty())
    {
        let answer = http::put(&server.url("/v1/resources"), list.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    let checks = server.checks().await;
    let descriptor = pool
        .get_message_by_name("envoy.service.auth.v3.CheckRequest")
        .unwrap();
    for case in suite["cases"].as_array().unwrap() {
        let request =
            DynamicMessage::deserialize(descriptor.clone(), &case["checkRequest"]).unwrap();
        let reply = checks.send(request.encode_to_vec()).await.unwrap();
        let expect = &case["expect"];
        let actual = (
            if reply.allows() { "allow" } else { "deny" },
            i64::from(reply.status()),
        );
        let wanted = expect["decision"].as_str().unwrap();
        let status = expect["httpStatus"]
            .as_i64()
            .unwrap_or(if wanted == "allow" { 200 } else { 403 });
        let policy = expect["policy"].as_str();
        let decided = reply.text("policy");
        let same_policy = policy.is_none() || policy == decided.as_deref();
        let shown = reply.shown();
        let same_dry_run = expect.get("dryRun").is_none_or(|dry_run| {
            let seen = shown
                .get("dry_run")
                .cloned()
                .unwrap_or(serde_json::json!({}));
            seen == *dry_run
        });
        let same_audit = expect
            .get("audited")
            .is_none_or(|audited| shown.get("audited") == Some(audited));
        if actual == (wanted, status) && same_policy && same_dry_run && same_audit {
            tally.checked += 1;
        } else {
            let case = case["name"].as_str().unwrap_or_default();
            tally.wrong.push(format!(
                "{name}: {case}: {actual:?} by {decided:?} {shown}, not {expect}"
            ));
        }
    }
}

fn config(suite: &Value) -> String {
    let mesh = &suite["mesh"];
    let settings = serde_json::json!({
        "root_namespace": mesh["rootNamespace"],
        "trust_domain": mesh["trustDomain"],
        "trust_domain_aliases": mesh["trustDomainAliases"],
        "default_action": "allow",
        "trusted_proxies": mesh["numTrustedProxies"].as_u64().unwrap_or(0),
        "default_workload": {
            "namespace": suite["workload"]["namespace"],
            "labels": suite["workload"]["labels"],
            "service_account": suite["workload"]["serviceAccount"],
        },
    });
    format!("mesh: {settings}\n")
}
