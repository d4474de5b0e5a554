//! Deltas that a server sends: taken where they are changes to what is active here, and answered with
//! a request for the whole bundle where they are not.

use std::sync::Arc;

use super::{OFTEN, asked_again, config, is_ready, message, ready, revision, snapshot, source};
use crate::support::bundle::{archive, signed};
use crate::support::depot::{Asked, Depot, Reply};
use crate::support::{Options, Server, eventually, http};

const POLICY: (&str, &str) = ("p.rego", "package envoy.authz\n\nallow := data.flag\n");

fn manifest(revision: &str) -> String {
    format!("{{\"revision\": \"{revision}\", \"roots\": [\"envoy\", \"flag\"]}}")
}

/// A bundle that allows if the flag says so.
fn whole(revision: &str, flag: bool) -> Vec<u8> {
    let data = format!("{{\"flag\": {flag}}}");
    archive(&[
        (".manifest", &manifest(revision)),
        ("data.json", &data),
        POLICY,
    ])
}

fn patch(path: &str, value: &str) -> String {
    format!("{{\"data\": [{{\"op\": \"replace\", \"path\": \"{path}\", \"value\": {value}}}]}}")
}

fn delta(revision: &str, path: &str, value: &str) -> Vec<u8> {
    let patch = patch(path, value);
    archive(&[(".manifest", &manifest(revision)), ("patch.json", &patch)])
}

/// The whole bundle for who has nothing, a change for who has it, and nothing new for who has both.
fn changing(whole: Vec<u8>, delta: Vec<u8>) -> impl Fn(&Asked) -> Reply {
    move |asked| match asked.header("if-none-match") {
        "\"1\"" => Reply::body(delta.clone()).header("etag", "\"2\""),
        "\"2\"" => Reply::status(304).header("etag", "\"2\""),
        _ => Reply::body(whole.clone()).header("etag", "\"1\""),
    }
}

#[tokio::test]
async fn a_change_is_made_to_what_is_active() {
    let depot = Depot::start(changing(whole("one", false), delta("two", "/flag", "true")));
    let server = Server::with_config(&config(&depot, ""));
    eventually("the change", || revision(&server) == "two").await;
    assert!(server.checks().await.get("/").await.allows());
    asked_again(&depot, 2).await;
    let asked = depot.asked();
    assert_eq!(asked[0].header("prefer"), "modes=snapshot");
    assert_eq!(asked[0].header("if-none-match"), "");
    assert_eq!(asked[1].header("prefer"), "modes=snapshot,delta");
    assert_eq!(asked[1].header("if-none-match"), "\"1\"");
    assert_eq!(asked.last().unwrap().header("if-none-match"), "\"2\"");
    assert_eq!(source(&server)["type"], "delta");
    let status = http::get(&server.url("/v1/status")).json();
    let of_opa = &status["result"]["bundles"]["main"];
    assert_eq!(of_opa["type"], "delta");
    assert_eq!(of_opa["active_revision"], "two");

    // It is kept as a whole one.
    depot.play(|_| Reply::Hang);
    let data = Arc::clone(&server.data);
    let last = snapshot(&server);
    drop(server);
    let server = Server::with(Options {
        config: config(&depot, ""),
        data: Some(data),
        ..Options::default()
    });
    assert!(is_ready(&server));
    assert_eq!((snapshot(&server), revision(&server)), (last, "two".into()));
    assert!(server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn a_change_to_nothing_is_refused() {
    const NOTHING: &str = "is a delta to something else than what is active here";
    let depot =
        Depot::start(|_| Reply::body(delta("two", "/flag", "true")).header("etag", "\"2\""));
    let server = Server::with_config(&config(&depot, ""));
    eventually(NOTHING, || message(&server).contains(NOTHING)).await;
    asked_again(&depot, 2).await;
    assert!(!is_ready(&server));
    for asked in depot.asked() {
        assert_eq!(asked.header("if-none-match"), "");
        assert_eq!(asked.header("prefer"), "modes=snapshot");
    }
    depot.play(|_| Reply::body(whole("one", true)));
    ready(&server).await;
    // Without a tag the server cannot know what its change is to.
    depot.play(|_| Reply::body(delta("two", "/flag", "false")));
    eventually(NOTHING, || message(&server).contains(NOTHING)).await;
    assert!(server.checks().await.get("/").await.allows());
    // And one that leads to where it begins would be made again and again.
    let depot = Depot::start(|asked| match asked.header("if-none-match") {
        "" => Reply::body(whole("one", true)).header("etag", "\"1\""),
        _ => Reply::body(delta("two", "/flag", "false")).header("etag", "\"1\""),
    });
    let server = Server::with_config(&config(&depot, ""));
    eventually(NOTHING, || message(&server).contains(NOTHING)).await;
    assert_eq!(revision(&server), "one");
    assert!(server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn a_change_that_cannot_be_made_brings_the_whole_bundle() {
    let depot = Depot::start(changing(whole("one", true), delta("two", "/none", "false")));
    let server = Server::with_config(&config(&depot, ""));
    let roots = "do not permit data patch at path 'none'";
    eventually(roots, || message(&server).contains(roots)).await;
    assert!(server.checks().await.get("/").await.allows());
    let without = |asked: &Asked| asked.header("if-none-match").is_empty();
    let asked = |depot: &Depot| depot.asked().iter().filter(|asked| without(asked)).count();
    eventually("whole bundles", || asked(&depot) >= 2).await;
    depot.play(move |asked| match without(asked) {
        true => Reply::body(whole("three", false)).header("etag", "\"3\""),
        false => Reply::body(delta("two", "/flag/none", "true")).header("etag", "\"2\""),
    });
    eventually("the bundle", || revision(&server) == "three").await;
    assert!(!server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn a_change_must_be_signed_where_bundles_must_be() {
    let whole = signed(&[
        (".manifest", &manifest("1")),
        ("data.json", "{\"flag\": false}"),
        POLICY,
    ]);
    let patch = patch("/flag", "true");
    let next = manifest("2").replace('{', "{\"metadata\": {\"base_revision\": \"1\"}, ");
    let parts = [(".manifest", next.as_str()), ("patch.json", &patch)];
    let depot = Depot::start(changing(whole.clone(), archive(&parts)));
    let url = depot.url("/b");
    let config = format!(
        "bundle_verification: {{ mode: required, keys: {{ k: {{ algorithm: HS256, key: secret }} }} }}\n\
         bundles: {{ main: {{ url: '{url}', {OFTEN} }} }}\n"
    );
    let server = Server::with_config(&config);
    let missing = "missing .signatures.json";
    eventually(missing, || message(&server).contains(missing)).await;
    assert!(!server.checks().await.get("/").await.allows());
    depot.play(changing(whole, signed(&parts)));
    eventually("the change", || source(&server)["type"] == "delta").await;
    assert!(server.checks().await.get("/").await.allows());
}
