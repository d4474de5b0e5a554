//! What was acknowledged is there after a crash.

use std::sync::Arc;

use crate::support::bundle::constant;
use crate::support::{Options, Server, http};

#[tokio::test]
async fn an_acknowledged_push_survives_a_kill() {
    let mut server = Server::start();
    for round in 0..5 {
        let allow = round % 2 == 0;
        let bundle = constant(&format!("r{round}"), &allow.to_string());
        let pushed = http::put(&server.url("/v1/bundles/b"), &bundle)
            .expect(200)
            .json();
        let policy = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{ name: p{round} }}\nspec: {{ rules: [{{}}] }}\n"
        );
        let applied = http::put(&server.url("/v1/resources"), policy.as_bytes())
            .expect(200)
            .json();
        assert_eq!(
            applied["snapshot"].as_u64(),
            pushed["snapshot"].as_u64().map(|snapshot| snapshot + 1)
        );
        server.signal("KILL");
        server.wait();

        let data = Arc::clone(&server.data);
        server = Server::with(Options {
            data: Some(data),
            ..Options::default()
        });
        assert_eq!(Some(server.revision), applied["snapshot"].as_u64());
        let reply = server.checks().await.get("/").await;
        assert_eq!((reply.allows(), reply.revision()), (allow, server.revision));
        let bundles = http::get(&server.url("/v1/bundles/b")).expect(200).json();
        assert_eq!(bundles["revision"], format!("r{round}"));
    }
    let resources = http::get(&server.url("/v1/resources")).json();
    assert_eq!(resources["resources"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let first = Server::start();
    let said = Server::try_with(Options {
        data: Some(Arc::clone(&first.data)),
        ..Options::default()
    });
    let said = said.err().expect("the second server started");
    assert!(
        said.contains("exit status: 3") && said.contains("in use by another process"),
        "{said}"
    );
}

#[tokio::test]
async fn a_corrupt_store_is_not_served_from() {
    let mut server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let path = server.data.path().join("policy.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // The bundle's bytes are somewhere near the end; its gzip header is found.
    let at = bytes
        .windows(3)
        .rposition(|window| window == [0x1f, 0x8b, 0x08])
        .unwrap();
    bytes[at + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let data = Arc::clone(&server.data);
    let said = Server::try_with(Options {
        data: Some(data),
        ..Options::default()
    });
    let said = said.err().expect("it started");
    assert!(
        said.contains("exit status: 3") && said.contains("checksum"),
        "{said}"
    );
}
