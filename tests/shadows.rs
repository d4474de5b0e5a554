//! A bundle that is tried out decides nothing, tells what it would, and becomes what is enforced by one
//! call.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::bundle::{archive, constant};
use crate::support::{Checks, Options, Server, http};

const SHADOW: &str = "/v1/bundles/b?mode=shadow";

fn push(server: &Server, path: &str, bundle: &[u8]) -> Value {
    http::put(&server.url(path), bundle).expect(200).json()
}

fn promote(server: &Server, headers: &[(&str, &str)]) -> http::Answer {
    let url = server.url("/v1/bundles/b/promote");
    http::send("POST", &url, headers, b"")
}

fn listed(server: &Server, list: &str) -> Vec<Value> {
    let answer = http::get(&server.url("/v1/bundles")).expect(200).json();
    answer[list].as_array().cloned().unwrap_or_default()
}

fn query(server: &Server, filter: &str) -> Vec<Value> {
    let url = server.url(&format!("/v1/decisions?{filter}"));
    let answer = http::get(&url).expect(200).json();
    answer["decisions"].as_array().unwrap().clone()
}

/// Asks until a shadow was asked in time; returns the record of that check. A machine that has other
/// things to do leaves some out.
async fn compared(server: &Server, checks: &Checks, path: &str, allows: bool) -> Value {
    loop {
        let reply = checks.get(path).await;
        assert_eq!(reply.allows(), allows);
        let url = server.url(&format!(
            "/v1/decisions/{}",
            reply.text("decision_id").unwrap()
        ));
        let record = loop {
            let answer = http::get(&url);
            if answer.status == 200 {
                break answer.json();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        if record["shadow"][0]["result"].is_string() {
            return record;
        }
    }
}

#[tokio::test]
async fn a_shadow_tells_what_it_would_decide_and_is_promoted() {
    let server = Server::start();
    let checks = server.checks().await;
    push(&server, "/v1/bundles/b", &constant("one", "true"));
    let pushed = push(&server, SHADOW, &constant("two", "false"));
    let expected = json!({"name": "b", "mode": "shadow", "revision": "two", "snapshot": 2});
    assert_eq!(pushed, expected);
    let record = compared(&server, &checks, "/a", true).await;
    let shadow = &record["shadow"][0];
    assert_eq!(
        (&shadow["bundle"], &shadow["bundle_revision"]),
        (&json!("b"), &json!("two"))
    );
    assert_eq!(
        (&shadow["effect"], &shadow["status"]),
        (&json!("deny"), &json!(403))
    );
    assert_eq!(shadow["reason"]["kind"], "rego");
    assert_eq!(
        (&shadow["result"], &shadow["changed"]),
        (&json!("changed_to_deny"), &json!(true))
    );
    assert_eq!(record["effect"], "allow");
    // What came from memory has a verdict of its own.
    let again = loop {
        let again = compared(&server, &checks, "/a", true).await;
        if again["cached"] == json!(true) {
            break again;
        }
    };
    assert_eq!(again["shadow"], record["shadow"]);
    let changed = query(&server, "shadow=changed&limit=1000");
    assert!(changed.len() >= 2);
    assert!(
        changed
            .iter()
            .all(|record| record["shadow"][0]["changed"] == json!(true))
    );
    assert!(query(&server, "shadow=same").is_empty());
    http::get(&server.url("/v1/decisions?shadow=other")).expect(400);
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    assert!(
        metrics
            .contains("doorward_shadow_decisions_total{bundle=\"b\",result=\"changed_to_deny\"}"),
        "{metrics}"
    );

    let shown = http::get(&server.url(SHADOW)).expect(200).json();
    assert_eq!(
        (&shown["mode"], &shown["revision"]),
        (&json!("shadow"), &json!("two"))
    );
    assert_eq!(json!(listed(&server, "shadows")), json!([shown]));
    assert_eq!(listed(&server, "bundles")[0]["revision"], "one");
    let status = http::get(&server.url("/v1/status")).expect(200).json();
    assert_eq!(status["shadows"], json!([shown]));

    promote(&server, &[("if-match", "\"1\"")]).expect(412);
    assert!(checks.get("/a").await.allows());
    let promoted = promote(&server, &[("if-match", "\"2\"")])
        .expect(200)
        .json();
    assert_eq!(
        promoted,
        json!({"name": "b", "revision": "two", "snapshot": 3})
    );
    let reply = checks.get("/a").await;
    assert_eq!((reply.allows(), reply.revision()), (false, 3));
    assert!(listed(&server, "shadows").is_empty());
    assert_eq!(listed(&server, "bundles")[0]["revision"], "two");
    promote(&server, &[]).expect(404);
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    assert!(
        !metrics.contains("doorward_shadow_decisions_total{"),
        "{metrics}"
    );

    // An earlier revision has its shadow again.
    let rollback = server.url("/v1/revisions/2/rollback");
    http::send("POST", &rollback, &[], b"").expect(200);
    assert_eq!(listed(&server, "shadows")[0]["revision"], "two");
    compared(&server, &checks, "/a", true).await;
    http::delete(&server.url(SHADOW)).expect(200);
    http::delete(&server.url(SHADOW)).expect(404);
    assert!(checks.get("/a").await.allows());
    let audit = http::get(&server.url("/v1/audit")).expect(200).json();
    let actions = audit["records"].as_array().unwrap().iter();
    let actions: Vec<_> = actions
        .filter(|record| record["result"] == "success")
        .map(|record| record["action"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "delete_shadow",
        "rollback",
        "promote_bundle",
        "put_shadow",
        "put_bundle",
    ];
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn shadows_outlive_the_process_and_keep_nothing_from_changing() {
    let server = Server::start();
    let uses = archive(&[
        (".manifest", "{\"revision\": \"s\", \"roots\": [\"envoy\"]}"),
        ("p.rego", "package envoy.authz\n\nallow if data.lib.f(1)\n"),
    ]);
    let library = archive(&[
        (".manifest", "{\"revision\": \"l\", \"roots\": [\"lib\"]}"),
        ("l.rego", "package lib\n\nf(x) if x == 1\n"),
    ]);
    push(&server, "/v1/bundles/b", &constant("one", "false"));
    push(&server, "/v1/bundles/lib", &library);
    push(&server, SHADOW, &uses);
    let checks = server.checks().await;
    let record = compared(&server, &checks, "/", false).await;
    assert_eq!(record["shadow"][0]["result"], "changed_to_allow");
    let data = Arc::clone(&server.data);
    let revision = 3;
    drop((server, checks));

    let server = Server::with(Options {
        data: Some(Arc::clone(&data)),
        ..Options::default()
    });
    assert_eq!(server.revision, revision);
    let checks = server.checks().await;
    compared(&server, &checks, "/", false).await;
    // Without the library the shadow cannot be: that is no reason for the library to stay.
    http::delete(&server.url("/v1/bundles/lib")).expect(200);
    let shadows = listed(&server, "shadows");
    assert!(!shadows[0]["problems"].as_array().unwrap().is_empty());
    assert!(!checks.get("/").await.allows());
    promote(&server, &[]).expect(400);
    let before = listed(&server, "bundles");
    drop((server, checks));

    let server = Server::with(Options {
        data: Some(data),
        ..Options::default()
    });
    assert_eq!(listed(&server, "bundles"), before);
    assert_eq!(listed(&server, "shadows"), shadows);
    push(&server, "/v1/bundles/lib", &library);
    assert_eq!(listed(&server, "shadows")[0].get("problems"), None);
    let answer = promote(&server, &[]).expect(200).json();
    assert_eq!(answer["revision"], "s");
    assert!(server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn what_is_no_shadow_is_refused() {
    let server = Server::with_config("rego: { run_bundle_tests: true }\n");
    push(&server, "/v1/bundles/b", &constant("one", "true"));
    let failing = archive(&[
        (".manifest", "{\"roots\": [\"envoy\"]}"),
        ("p.rego", "package envoy.authz\n\nallow := false\n"),
        (
            "p_test.rego",
            "package envoy.authz\n\ntest_allow if allow\n",
        ),
    ]);
    let unreadable = archive(&[("p.rego", "package envoy.authz\n\nallow if\n")]);
    let delta = archive(&[("patch.json", "{\"data\": []}")]);
    for (what, path, body) in [
        ("mode", "/v1/bundles/b?mode=other", constant("two", "true")),
        ("option", "/v1/bundles/b?shadow=1", constant("two", "true")),
        (
            "name",
            "/v1/bundles/b%20?mode=shadow",
            constant("two", "true"),
        ),
        ("archive", SHADOW, b"none".to_vec()),
        ("Rego", SHADOW, unreadable),
        ("test", SHADOW, failing),
        ("delta", SHADOW, delta),
        // The roots of `b`, which stays enforced.
        ("roots", "/v1/bundles/c?mode=shadow", constant("c", "true")),
    ] {
        let answer = http::put(&server.url(path), &body);
        assert_eq!(answer.status, 400, "{what}");
    }
    promote(&server, &[]).expect(404);
    http::get(&server.url(SHADOW)).expect(404);
    let rooted = |at: usize| {
        let manifest = format!("{{\"revision\": \"{at}\", \"roots\": [\"r{at}\"]}}");
        archive(&[
            (".manifest", &manifest),
            ("r.rego", &format!("package r{at}\n\nx := 1\n")),
        ])
    };
    for at in 0..5 {
        let url = server.url(&format!("/v1/bundles/s{at}?mode=shadow"));
        let status = if at < 4 { 200 } else { 400 };
        assert_eq!(http::put(&url, &rooted(at)).status, status, "{at}");
    }
    // One that is there can be replaced.
    push(&server, "/v1/bundles/s0?mode=shadow", &rooted(0));
    assert_eq!(listed(&server, "shadows").len(), 4);
    assert_eq!(listed(&server, "bundles").len(), 1);
}

/// A start that cannot read a shadow decides as ever, says so, and leaves the shadow as it is.
#[tokio::test]
async fn a_shadow_that_cannot_be_read_is_told_of() {
    let start = |config: &str, data| {
        Server::with(Options {
            config: config.to_owned(),
            data,
            ..Options::default()
        })
    };
    let server = start("", None);
    push(&server, "/v1/bundles/b", &constant("one", "true"));
    let folders = (0..20).map(|at| format!("envoy/d{at}/data.json"));
    let folders: Vec<_> = folders.collect();
    let mut files = vec![("p.rego", "package envoy.authz\n\nallow := false\n")];
    files.extend(folders.iter().map(|path| (path.as_str(), "{}")));
    push(&server, SHADOW, &archive(&files));
    let unusable = |server: &Server| {
        let metrics = http::get(&server.url("/metrics")).expect(200).body;
        let name = "doorward_shadows_unusable ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = listed(&server, "shadows");
    assert_eq!((before.len(), unusable(&server)), (1, 0));
    let limits = "bundle_limits: { max_entries: 10 }\n";
    let data = Arc::clone(&server.data);
    drop(server);

    let server = start(limits, Some(Arc::clone(&data)));
    assert_eq!(server.revision, 2);
    assert!(server.checks().await.get("/").await.allows());
    let status = http::get(&server.url("/v1/status")).expect(200).json();
    let told = &status["shadows"][0];
    assert_eq!(
        (&told["name"], &told["mode"]),
        (&json!("b"), &json!("shadow"))
    );
    assert!(!told["problems"].as_array().unwrap().is_empty(), "{told}");
    assert_eq!(unusable(&server), 1);
    promote(&server, &[]).expect(404);
    // Other changes leave it.
    push(&server, "/v1/bundles/b", &constant("two", "true"));
    assert_eq!(unusable(&server), 1);
    drop(server);

    // Where it can be read it is asked.
    let server = start("", Some(Arc::clone(&data)));
    assert_eq!((listed(&server, "shadows"), unusable(&server)), (before, 0));
    let checks = server.checks().await;
    compared(&server, &checks, "/", true).await;
    drop((server, checks));

    let server = start(limits, Some(data));
    http::delete(&server.url(SHADOW)).expect(200);
    assert!(listed(&server, "shadows").is_empty());
    assert_eq!(unusable(&server), 0);
}
