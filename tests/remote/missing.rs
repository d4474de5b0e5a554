//! What has not been downloaded: nothing passes that it might deny, and nothing else is kept back.

use std::sync::Arc;

use super::{
    Depot, OFTEN, Options, Reply, Server, config, http, is_ready, many, number, part, ready,
};
use crate::support::bundle::{archive, constant};
use crate::support::check::http_check;

/// A key, for bundles that must be signed.
const KEY: &str = "bundle_verification: { keys: { only: { algorithm: HS256, key: secret } } }\n";

/// A file that allows whom the list does not name, and the list, which is downloaded.
const BLOCKING: &str = "package envoy.authz

allow if not blocked

\
    blocked if data.blocked[_] == input.attributes.request.http.headers[\"x-user\"]
";

fn blocklist(root: &str, blocked: &str) -> Vec<u8> {
    archive(&[
        (".manifest", &format!("{{\"roots\": [\"{root}\"]}}")),
        ("data.json", &format!("{{\"{root}\": [\"{blocked}\"]}}")),
    ])
}

/// How it answers who is on no list, and who is on the list that may be missing.
async fn allows(server: &Server) -> (bool, bool) {
    let checks = server.checks().await;
    let of = |user| {
        let checks = checks.clone();
        async move {
            let check = http_check("GET", "/", &[("x-user", user)]);
            checks.check(&check).await.allows()
        }
    };
    (of("ann").await, of("mallory").await)
}

/// What the missing bundle would deny is not known, whatever is there besides.
#[tokio::test]
async fn nothing_passes_as_long_as_a_bundle_is_missing() {
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("p.rego"), BLOCKING).unwrap();
    let depot = Depot::start(|_| Reply::status(503));
    let start = |data: Option<Arc<tempfile::TempDir>>, settings: &str| {
        let files = format!("policies: [{}]\n{KEY}", files.path().display());
        Server::with(Options {
            config: files + &config(&depot, settings),
            data,
            ..Options::default()
        })
    };
    let (none, good) = ((false, false), (true, false));

    // It has never come.
    let server = start(None, "");
    assert_eq!(allows(&server).await, none);
    let reply = server.checks().await.get("/").await;
    let metadata = format!("{reply:?}");
    assert!(
        metadata.contains("has not been downloaded yet"),
        "{metadata}"
    );
    depot.play(|_| Reply::body(blocklist("blocked", "mallory")));
    ready(&server).await;
    assert_eq!(allows(&server).await, good);

    // It was kept, and is used at once; or it was not kept.
    depot.play(|_| Reply::Hang);
    let data = Arc::clone(&server.data);
    drop(server);
    let server = start(Some(Arc::clone(&data)), "");
    assert_eq!(allows(&server).await, good);
    drop(server);

    // A file has come that it does not go with.
    let conflict = files.path().join("conflict.rego");
    std::fs::write(
        &conflict,
        "package blocked

x := 1
",
    )
    .unwrap();
    let server = start(Some(Arc::clone(&data)), "");
    assert_eq!(allows(&server).await, none);
    assert!(!is_ready(&server));
    drop(server);
    std::fs::remove_file(&conflict).unwrap();
    let server = start(Some(Arc::clone(&data)), "");
    assert_eq!(allows(&server).await, good);
    drop(server);

    // It must be signed now, and is not.
    let server = start(Some(Arc::clone(&data)), "signing: { mode: required }");
    assert_eq!(allows(&server).await, none);
    drop(server);
    let server = start(Some(data), "persist: false");
    assert_eq!(allows(&server).await, none);
}

/// Of what was kept only that is left out which does not go with the rest.
#[tokio::test]
async fn one_kept_download_that_does_not_fit_leaves_the_others() {
    let depot = Depot::start(|asked| Reply::body(part(number(asked))));
    let start = |policies: String, data| {
        Server::with(Options {
            config: policies + &many(&depot, 5),
            data,
            ..Options::default()
        })
    };
    let server = start(String::new(), None);
    ready(&server).await;
    depot.play(|_| Reply::Hang);
    let files = tempfile::tempdir().unwrap();
    std::fs::write(
        files.path().join("p.rego"),
        "package parts.p3

x := 1
",
    )
    .unwrap();
    let policies = format!(
        "policies: [{}]
",
        files.path().display()
    );
    let data = Arc::clone(&server.data);
    drop(server);
    let server = start(policies, Some(data));
    let value = |index: usize| {
        let found = http::get(&server.url(&format!("/v1/data/parts/p{index}/value")));
        found.json()["result"].clone()
    };
    for index in [0, 1, 2, 4] {
        assert_eq!(value(index), index);
    }
    assert!(value(3).is_null());
    assert!(!is_ready(&server));
    assert!(!server.checks().await.get("/").await.allows());
}

/// Rego that is not asked keeps nothing back.
#[tokio::test]
async fn what_does_not_ask_rego_passes_without_the_bundle() {
    let files = tempfile::tempdir().unwrap();
    let policy = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
\
        metadata: { name: a }
spec: { rules: [{}] }
---
\
        apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: b }
\
        spec: { action: CUSTOM, provider: { name: opa }, \
        rules: [{ to: [{ operation: { paths: [/custom] } }] }] }
";
    std::fs::write(files.path().join("p.yaml"), policy).unwrap();
    std::fs::write(
        files.path().join("p.rego"),
        "package opa

allow := true
",
    )
    .unwrap();
    let depot = Depot::start(|_| Reply::Hang);
    let server = Server::with_config(&format!(
        "policies: [{}]
rego: {{ entrypoint: none, providers: {{ opa: opa/allow }} }}
{}",
        files.path().display(),
        config(&depot, "")
    ));
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows());
    assert!(!checks.get("/custom").await.allows());
}

/// What was kept of another URL is not this bundle.
#[tokio::test]
async fn a_kept_download_is_of_its_url() {
    let depot = Depot::start(|_| Reply::body(constant("one", "true")));
    let start = |path: &str, data| {
        Server::with(Options {
            config: format!(
                "bundles: {{ main: {{ url: \"{}\", {OFTEN} }} }}\n",
                depot.url(path)
            ),
            data,
            ..Options::default()
        })
    };
    let server = start("/dev?token=1", None);
    ready(&server).await;
    depot.play(|_| Reply::Hang);
    let data = Arc::clone(&server.data);
    drop(server);
    let server = start("/dev?token=2", Some(Arc::clone(&data)));
    assert!(is_ready(&server));
    assert!(server.checks().await.get("/").await.allows());
    drop(server);
    for path in ["/prod", "/dev?token=1"] {
        let server = start(path, Some(Arc::clone(&data)));
        assert!(!is_ready(&server), "{path}");
        assert!(!server.checks().await.get("/").await.allows(), "{path}");
    }
}

/// Nothing that is pushed takes the place of a bundle that is on its way.
#[tokio::test]
async fn modules_and_documents_wait_for_the_bundle() {
    let depot = Depot::start(|_| Reply::status(503));
    let server = Server::with_config(&config(&depot, ""));
    let data = server.url("/v1/data/envoy/authz/allow");
    let policy = server.url("/v1/policies/mine");
    let patch = |body: &[u8]| {
        let headers = [("content-type", "application/json-patch+json")];
        http::send("PATCH", &data, &headers, body)
    };
    for answer in [
        http::put(&data, b"true"),
        http::put(&policy, b"package envoy.authz\n\nallow := true\n"),
        patch(b"[{\"op\": \"add\", \"path\": \"/x\", \"value\": true}]"),
    ] {
        let answer = answer.expect(409).json();
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("bundle `main` has not been"), "{message}");
    }
    http::delete(&policy).expect(404);
    depot.play(|_| Reply::body(constant("one", "false")));
    ready(&server).await;
    assert!(!server.checks().await.get("/").await.allows());
    let other = server.url("/v1/policies/other");
    http::put(&other, b"package other\n\nx := 1\n").expect(200);
}
