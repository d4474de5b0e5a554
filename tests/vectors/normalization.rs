//! What Envoy makes of paths in each of Istio's modes, recorded: asked of a running server, which
//! must match policies on the normal path and on the header `:path` that it stands in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::check::http_check;
use crate::support::{NAMESPACE, Server, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_are_normalised_as_by_envoy() {
    let Some(folder) = super::folder("istio") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("normalization.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut modes: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        let mode = row["mode"].as_str().unwrap().to_lowercase();
        modes.entry(mode).or_default().push(row);
    }
    let mut count = 0;
    let mut wrong = Vec::new();
    for (mode, rows) in modes {
        let server = server(&mode, &rows);
        let checks = server.checks().await;
        for row in rows {
            let path = row["in"].as_str().unwrap();
            let reply = checks.check(&http_check("GET", path, &[])).await;
            let actual = (reply.status(), reply.text("policy"));
            let expected = match row["out"].as_str() {
                Some(out) => (200, Some(format!("{NAMESPACE}/{}", policy_name(out)))),
                None => (row["status"].as_i64().unwrap() as i32, None),
            };
            count += 1;
            if actual != expected {
                wrong.push(format!("{mode} {path}: {actual:?}, not {row}"));
            }
        }
    }
    eprintln!("{} of {count} paths agree", count - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 300, "only {count} were checked");
}

/// Every byte that a name cannot hold is written as its number.
fn policy_name(path: &str) -> String {
    let bytes = path.bytes().map(|byte| format!("{byte:02x}"));
    format!("p{}", bytes.collect::<String>())
}

/// A server with one ALLOW policy for each path that may come out.
fn server(mode: &str, rows: &[&Value]) -> Server {
    let mesh = json!({
        "path_normalization": mode,
        "default_workload": {"namespace": NAMESPACE, "labels": {}},
    });
    let server = Server::with_config(&format!("mesh: {mesh}\n"));
    let outputs: BTreeSet<_> = rows.iter().filter_map(|row| row["out"].as_str()).collect();
    // Envoy has removed the fragment before anybody sees the header.
    let inputs = rows.iter().filter_map(|row| row["in"].as_str());
    let fragments: BTreeSet<_> = inputs
        .filter_map(|path| path.split_once('#'))
        .map(|(path, _)| path)
        .collect();
    let items = outputs.into_iter().map(|path| {
        let bare = path.split('?').next().unwrap();
        let mut rule = json!({"to": [{"operation": {"paths": [bare]}}]});
        if !fragments.contains(path) {
            rule["when"] = json!([{"key": "request.headers[:path]", "values": [path]}]);
        }
        json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"namespace": NAMESPACE, "name": policy_name(path)},
            "spec": {"rules": [rule]},
        })
    });
    let list = json!({"kind": "List", "items": items.collect::<Vec<_>>()}).to_string();
    http::put(&server.url("/v1/resources"), list.as_bytes()).expect(200);
    server
}
