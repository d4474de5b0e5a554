//! The same tokens asked of a running server over gRPC: all whose expectation holds at any time.

use std::collections::BTreeMap;

use doorward_proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
use doorward_proto::envoy::service::auth::v3::CheckRequest;
use serde_json::Value;

use super::{attached, disagreement, forms, header_lines, text};
use crate::support::check::{http_check, http_of};
use crate::support::{Server, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_judged_alike_over_the_wire() {
    let Some(folder) = super::super::folder("jwt") else {
        return;
    };
    for suite in super::suites(&folder) {
        let name = suite["suite"].as_str().unwrap();
        let (agreed, wrong) = replay(&suite).await;
        eprintln!("{name}: {agreed} tokens agree over gRPC");
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        assert!(agreed > 0, "{name}: nothing was asked");
    }
}

async fn replay(suite: &Value) -> (usize, Vec<String>) {
    let server = Server::with_config("mesh: { default_action: allow }\n");
    let checks = server.checks().await;
    let mut compiled = BTreeMap::new();
    let (mut agreed, mut wrong) = (0, Vec::new());
    for case in suite["cases"].as_array().unwrap() {
        let namespace = case["namespace"].as_str().unwrap();
        let attached = compiled.entry(namespace).or_insert_with(|| {
            let attached = attached(suite, namespace).ok()?;
            put_objects(&server, suite, namespace);
            Some(attached)
        });
        // What was recorded may have expired since.
        let now = jiff::Timestamp::now().as_second().cast_unsigned();
        let raw = forms(case).pop().unwrap();
        let required = case["expect"]["required"].as_str().unwrap();
        let holds = attached
            .as_ref()
            .is_some_and(|attached| disagreement(suite, case, attached, raw, now).is_none());
        if !holds || required == "either" {
            continue;
        }
        let reply = checks.check(&check(suite, case, namespace)).await;
        let principal = reply.text("request_principal");
        let expected = case["expect"]["principal"].as_str();
        let is_same = match required {
            "accept" => reply.allows() && principal.as_deref() == expected,
            _ => [401, 403].contains(&reply.status()),
        };
        if is_same {
            agreed += 1;
        } else {
            let status = reply.status();
            wrong.push(format!(
                "{namespace}/{}: {status} {principal:?}",
                case["name"]
            ));
        }
    }
    (agreed, wrong)
}

fn put_objects(server: &Server, suite: &Value, namespace: &str) {
    let objects = suite["requestAuthentication"].as_array().unwrap().iter();
    let own = objects.filter(|object| object["metadata"]["namespace"] == namespace);
    let list = serde_json::json!({"kind": "List", "items": own.collect::<Vec<_>>()});
    let url = server.url("/v1/resources");
    http::put(&url, list.to_string().as_bytes()).expect(200);
}

fn check(suite: &Value, case: &Value, namespace: &str) -> CheckRequest {
    let method = case["request"]["method"].as_str().unwrap();
    let mut check = http_check(method, &text(&case["request"]["path"]), &[]);
    let http = http_of(&mut check);
    http.host = suite["host"].as_str().unwrap().to_owned();
    let lines = header_lines(case).into_iter();
    let lines = lines.map(|(key, value)| HeaderValue {
        key,
        raw_value: value,
        ..HeaderValue::default()
    });
    http.header_map = Some(HeaderMap {
        headers: lines.collect(),
    });
    let attributes = check.attributes.as_mut().unwrap();
    for (name, value) in [("doorward.namespace", namespace), ("doorward.labels", "")] {
        let extensions = &mut attributes.context_extensions;
        extensions.insert(name.to_owned(), value.to_owned());
    }
    check
}
