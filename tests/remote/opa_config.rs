//! A configuration of OPA brings its bundles: `services`, `bundles`, `keys`.

use super::{is_ready, message, ready, revision, source};
use crate::support::bundle::{archive, signed};
use crate::support::depot::{Depot, Reply};
use crate::support::{Options, Server, eventually, http};

const CONFIG: &str = "
services:
  acme:
    url: URL/base/
    headers: { X-Tenant: c4n4ry-shop }
    credentials: { bearer: { token: c4n4ry } }
keys:
  global: { algorithm: HS256, key: secret }
bundles:
  main:
    service: acme
    resource: shop/bundle.tar.gz?sig=c4n4ry
    persist: true
    polling: { min_delay_seconds: 1, max_delay_seconds: 1 }
    signing: { keyid: global }
plugins:
  envoy_ext_authz_grpc: { path: shop/allow }
";

/// A bundle of one rule, as `make` packs it.
fn bundle(make: impl Fn(&[(&str, &str)]) -> Vec<u8>, revision: &str, allow: &str) -> Vec<u8> {
    let manifest = format!("{{\"revision\": \"{revision}\", \"roots\": [\"shop\"]}}");
    let policy = format!("package shop\n\nallow := {allow}\n");
    make(&[(".manifest", &manifest), ("p.rego", &policy)])
}

#[tokio::test]
async fn decisions_are_those_of_the_downloaded_bundle() {
    let unsigned = bundle(archive, "one", "true");
    let depot = Depot::start(move |asked| match asked.header("authorization") {
        "Bearer c4n4ry" => Reply::body(unsigned.clone()),
        _ => Reply::status(401),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opa.yaml");
    std::fs::write(&file, CONFIG.replace("URL", &depot.url(""))).unwrap();
    let server = Server::with(Options {
        arguments: vec!["--opa-config".to_owned(), file.display().to_string()],
        ..Options::default()
    });
    let missing = "missing .signatures.json";
    eventually(missing, || message(&server).contains(missing)).await;
    assert!(!is_ready(&server));
    let asked = depot.asked()[0].clone();
    assert_eq!(asked.target, "/base/shop/bundle.tar.gz?sig=c4n4ry");
    assert_eq!(asked.header("x-tenant"), "c4n4ry-shop");

    for (number, allow) in [("one", "true"), ("two", "false")] {
        let bundle = bundle(signed, number, allow);
        depot.play(move |_| Reply::body(bundle.clone()));
        ready(&server).await;
        eventually(number, || revision(&server) == number).await;
        let allows = server.checks().await.get("/").await.allows();
        assert_eq!(allows.to_string(), allow);
    }
    assert_eq!(
        source(&server)["url"],
        depot.url("/base/shop/bundle.tar.gz")
    );
    let config = http::get(&server.url("/v1/config")).json();
    let services = &config["result"]["services"]["acme"];
    assert_eq!(services["url"], depot.url("/base/"));
    let shown = config.to_string();
    let status = http::get(&server.url("/v1/status")).body;
    for text in [shown, status, server.said()] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
    assert!(
        !server.said().contains("has no effect"),
        "{}",
        server.said()
    );
}
