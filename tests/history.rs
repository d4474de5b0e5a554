//! What policy was can be had again, and who changed it can be told.

use aws_lc_rs::digest;
use serde_json::{Value, json};

use crate::support::bundle::{archive, constant};
use crate::support::{Options, Server, http, root};

fn revisions(server: &Server) -> Value {
    http::get(&server.url("/v1/revisions")).expect(200).json()
}

fn audit(server: &Server) -> Value {
    http::get(&server.url("/v1/audit")).expect(200).json()
}

fn rollback(server: &Server, number: u64, headers: &[(&str, &str)]) -> http::Answer {
    let url = server.url(&format!("/v1/revisions/{number}/rollback"));
    http::send("POST", &url, headers, b"")
}

fn policy(name: &str, action: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{ name: {name} }}\nspec: {{ action: {action}, rules: [{{}}] }}\n"
    )
}

#[tokio::test]
async fn an_earlier_revision_is_had_again() {
    let server = Server::start();
    let bundle = server.url("/v1/bundles/b");
    let resources = server.url("/v1/resources");
    let checks = server.checks().await;
    http::put(&bundle, &constant("good", "true")).expect(200);
    http::put(&resources, policy("allow", "ALLOW").as_bytes()).expect(200);
    assert!(checks.get("/").await.allows());
    // A bad night: another bundle, one more object, and one taken away.
    http::put(&bundle, &constant("bad", "false")).expect(200);
    http::put(&resources, policy("deny", "DENY").as_bytes()).expect(200);
    http::delete(&server.url("/v1/resources/AuthorizationPolicy/default/allow")).expect(200);
    assert!(!checks.get("/").await.allows());

    let before = revisions(&server);
    assert_eq!(before["active"], 5);
    let second = before["revisions"][3].clone();
    assert_eq!(second["number"], 2);
    let answer = rollback(&server, 2, &[]).expect(200).json();
    assert_eq!(answer, json!({"snapshot": 6, "restored": 2}));
    let reply = checks.get("/").await;
    assert_eq!((reply.allows(), reply.revision()), (true, 6));
    let status = http::get(&bundle).expect(200).json();
    assert_eq!(status["revision"], "good");
    let listed = http::get(&resources).json();
    assert_eq!(listed["resources"].as_array().unwrap().len(), 1);
    assert_eq!(
        listed["resources"][0]["resource"]["metadata"]["name"],
        "allow"
    );

    // The new revision says what it is and has the old content's digest.
    let after = revisions(&server);
    let newest = &after["revisions"][0];
    assert_eq!(
        (&newest["action"], &newest["target"]),
        (&json!("rollback"), &json!("2"))
    );
    assert_eq!(newest["content_sha256"], second["content_sha256"]);
    assert_eq!(
        newest["changes"],
        json!([
            {"kind": "resource", "key": "AuthorizationPolicy/default/allow", "result": "created"},
            {"kind": "bundle", "key": "b", "result": "updated"},
            {"kind": "resource", "key": "AuthorizationPolicy/default/deny", "result": "deleted"},
        ])
    );

    // It is as durable as a push, and can itself be gone back from.
    let mut server = server;
    server.signal("KILL");
    server.wait();
    let server = Server::with(Options {
        data: Some(std::sync::Arc::clone(&server.data)),
        ..Options::default()
    });
    assert_eq!(server.revision, 6);
    assert!(server.checks().await.get("/").await.allows());
    rollback(&server, 5, &[]).expect(200);
    assert!(!server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn a_rollback_is_for_the_revision_it_was_meant_for() {
    let server = Server::start();
    let bundle = server.url("/v1/bundles/b");
    http::put(&bundle, &constant("1", "true")).expect(200);
    http::put(&bundle, &constant("2", "false")).expect(200);
    rollback(&server, 1, &[("if-match", "\"1\"")]).expect(412);
    rollback(&server, 1, &[("if-match", "two")]).expect(400);
    assert_eq!(revisions(&server)["active"], 2);
    rollback(&server, 1, &[("if-match", "\"2\"")]).expect(200);
    let missing = rollback(&server, 17, &[]).expect(404).json();
    assert_eq!(missing["code"], "resource_not_found");
    assert_eq!(revisions(&server)["active"], 3);
}

/// What comes from files is as the files say, whatever it was at that revision.
#[tokio::test]
async fn what_files_say_is_not_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, policy("of-file", "ALLOW")).unwrap();
    let config = format!("policies: [{}]\n", file.display());
    let mut server = Server::with_config(&config);
    let url = server.url("/v1/resources");
    http::put(&url, policy("pushed", "ALLOW").as_bytes()).expect(200);
    http::delete(&server.url("/v1/resources/AuthorizationPolicy/default/pushed")).expect(200);
    rollback(&server, 2, &[]).expect(200);
    assert_eq!(
        http::get(&url).json()["resources"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    // The file takes over the name of what was pushed: both cannot be.
    http::delete(&server.url("/v1/resources/AuthorizationPolicy/default/pushed")).expect(200);
    server.signal("TERM");
    server.wait();
    std::fs::write(&file, policy("pushed", "DENY")).unwrap();
    let server = Server::with(Options {
        config,
        data: Some(std::sync::Arc::clone(&server.data)),
        ..Options::default()
    });
    let refused = rollback(&server, 2, &[]).expect(400).json();
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("is in a file"), "{message}");
    assert!(!server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn history_is_as_long_as_it_is_set() {
    let server = Server::with_config("store: { history: 3 }\n");
    for push in 1..=5 {
        let bundle = constant(&push.to_string(), "true");
        http::put(&server.url("/v1/bundles/b"), &bundle).expect(200);
    }
    let listed = revisions(&server);
    let numbers: Vec<_> = listed["revisions"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = numbers
        .iter()
        .map(|one| one["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [5, 4, 3]);
    rollback(&server, 2, &[]).expect(404);
    rollback(&server, 3, &[]).expect(200);
}

#[tokio::test]
async fn every_attempt_is_in_the_audit_log() {
    let server = Server::start();
    let bundle = server.url("/v1/bundles/b");
    http::put(&bundle, &constant("1", "true")).expect(200);
    http::put(
        &bundle,
        &archive(&[("x.rego", "package x\n\nallow if {\n")]),
    )
    .expect(400);
    http::delete(&server.url("/v1/bundles/absent")).expect(404);
    http::send("DELETE", &bundle, &[("if-match", "7")], b"").expect(412);
    http::put(
        &server.url("/v1/resources"),
        policy("a", "NONSENSE").as_bytes(),
    )
    .expect(400);
    rollback(&server, 9, &[]).expect(404);
    http::put(
        &server.url("/v1/resources"),
        policy("a", "ALLOW").as_bytes(),
    )
    .expect(200);
    // What changes nothing is no change.
    http::put(
        &server.url("/v1/resources"),
        policy("a", "ALLOW").as_bytes(),
    )
    .expect(200);

    let log = audit(&server);
    let expected = [
        ("put_resources", "some", "success", json!(2)),
        ("rollback", "9", "failure", json!(null)),
        ("put_resources", "some", "failure", json!(null)),
        ("delete_bundle", "b", "failure", json!(null)),
        ("delete_bundle", "absent", "failure", json!(null)),
        ("put_bundle", "b", "failure", json!(null)),
        ("put_bundle", "b", "success", json!(1)),
    ];
    let records = log["records"].as_array().unwrap();
    assert_eq!(records.len(), expected.len(), "{log:#}");
    for (record, (action, target, result, revision)) in records.iter().zip(expected) {
        assert_eq!(record["action"], action, "{record}");
        assert_eq!(record["target"], target, "{record}");
        assert_eq!(record["result"], result, "{record}");
        assert_eq!(record["new_revision"], revision, "{record}");
        assert_eq!(record["error"].is_string(), result == "failure", "{record}");
        assert_eq!(record["author"], "anonymous");
        assert!(
            record["address"]
                .as_str()
                .unwrap()
                .starts_with("127.0.0.1:")
        );
        assert!(record["time"].as_str().unwrap().ends_with('Z'), "{record}");
    }
    assert_eq!(records[0]["old_revision"], 1);
    assert_eq!(records[6]["sent_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(log["chain"]["intact"], true);
    let up_to = |chain: &str| log["chain"][chain]["up_to"].as_u64();
    assert_eq!((up_to("changes"), up_to("attempts")), (Some(7), Some(6)));

    let page = http::get(&server.url("/v1/audit?limit=2&before=3")).json();
    let numbers: Vec<_> = page["records"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = numbers.iter().map(|one| one["number"].clone()).collect();
    assert_eq!(numbers, [2, 1]);
}

/// The holder of a token is the author, also of a change that is not theirs to make; what strangers
/// try is no entry.
#[tokio::test]
async fn the_author_is_who_was_let_in() {
    let digest = |token: &str| {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let bytes = digest.as_ref().iter();
        bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let server = Server::with_config(&format!(
        "management: {{ tokens: [\
            {{ name: ann, sha256: {}, roles: [admin] }}, \
            {{ name: bob, sha256: {}, roles: ['policies:write'], scope: [bundles/other] }}, \
            {{ name: eve, sha256: {}, roles: ['metrics:read'] }}] }}\n",
        digest("secret-a"),
        digest("secret-b"),
        digest("secret-e"),
    ));
    let call = |method: &str, path: &str, token: &str, body: &[u8]| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        http::send(method, &server.url(path), &headers, body)
    };
    let bundle = constant("1", "true");
    http::send("PUT", &server.url("/v1/bundles/b"), &[], &bundle).expect(401);
    call("PUT", "/v1/bundles/b", "secret-x", &bundle).expect(401);
    call("PUT", "/v1/bundles/b", "secret-b", &bundle).expect(403);
    call("POST", "/v1/revisions/1/rollback", "secret-b", b"").expect(403);
    call("DELETE", "/v1/bundles/b", "secret-e", b"").expect(403);
    let resources = policy("a", "ALLOW");
    call("PUT", "/v1/resources", "secret-b", resources.as_bytes()).expect(403);
    call("GET", "/v1/audit", "secret-e", b"").expect(403);
    call("PUT", "/v1/bundles/b", "secret-a", &bundle).expect(200);
    let log = call("GET", "/v1/audit", "secret-a", b"").expect(200);
    assert!(!log.body.contains("secret"));
    let log = log.json();
    let records = log["records"].as_array().unwrap().iter();
    let shown = records.map(|record| {
        let members = ["author", "action", "target", "result"];
        members.map(|member| record[member].as_str().unwrap().to_owned())
    });
    let expected = [
        ["ann", "put_bundle", "b", "success"],
        ["bob", "refused", "PUT /v1/resources", "failure"],
        ["eve", "refused", "DELETE /v1/bundles/b", "failure"],
        ["bob", "refused", "POST /v1/revisions/1/rollback", "failure"],
        ["bob", "refused", "PUT /v1/bundles/b", "failure"],
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

/// A start with files leaves a record as well.
#[tokio::test]
async fn a_start_with_files_is_recorded() {
    let config = format!(
        "policies: [{}]\n",
        root().join("policies/quickstart").display()
    );
    let server = Server::with_config(&config);
    let log = audit(&server);
    assert_eq!(log["records"][0]["action"], "start");
    assert_eq!(log["records"][0]["author"], "doorward");
}
