//! Who a request is from is told to the configured server, and to nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{asked_again, config, message, ready, revision};
use crate::support::bundle::constant;
use crate::support::depot::{Asked, Depot, Reply};
use crate::support::{Server, eventually, http};

const BUNDLE: &str = "/main.tar.gz";

/// Gives the bundle to who sends this line.
fn guarded(line: &'static str) -> impl Fn(&Asked) -> Reply {
    move |asked| match asked.header("authorization") == line {
        true => Reply::body(constant("one", "true")),
        false => Reply::status(401),
    }
}

fn is_kept_secret(server: &Server) {
    let config = http::get(&server.url("/v1/config")).body;
    let status = http::get(&server.url("/v1/status")).body;
    for text in [config, status, server.said()] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
}

#[tokio::test]
async fn tokens_and_passwords() {
    let rows = [
        ("bearer: { token: c4n4ry }", "Bearer c4n4ry"),
        ("bearer: { token: c4n4ry, scheme: token }", "token c4n4ry"),
        // alice:c4n4ry
        (
            "basic: { username: alice, password: c4n4ry }",
            "Basic YWxpY2U6YzRuNHJ5",
        ),
    ];
    for (credentials, line) in rows {
        let depot = Depot::start(guarded(line));
        let settings =
            format!("credentials: {{ {credentials} }}, headers: {{ X-Tenant: c4n4ry2 }}");
        let server = Server::with_config(&config(&depot, &settings));
        ready(&server).await;
        assert_eq!(depot.asked()[0].header("x-tenant"), "c4n4ry2");
        is_kept_secret(&server);
    }
}

#[tokio::test]
async fn a_file_is_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let depot = Depot::start(guarded("Bearer c4n4ry"));
    let shown = file.display();
    let settings = format!("credentials: {{ bearer: {{ token_file: \"{shown}\" }} }}");
    let server = Server::with_config(&config(&depot, &settings));
    eventually("no file", || message(&server).contains("No such file")).await;
    std::fs::write(&file, "wrong\n").unwrap();
    eventually("a wrong token", || {
        message(&server).contains("Unauthorized")
    })
    .await;
    std::fs::write(&file, "c4n4ry\n").unwrap();
    ready(&server).await;
    is_kept_secret(&server);
}

#[tokio::test]
async fn another_server_is_not_told() {
    let target = Depot::start(|_| Reply::body(constant("one", "true")));
    let to = target.other_url("/there?c4n4ry");
    let depot = Depot::start(move |_| Reply::redirect(&to));
    let settings = "credentials: { bearer: { token: c4n4ry } }, headers: { x-key: c4n4ry }";
    let server = Server::with_config(&config(&depot, settings));
    ready(&server).await;
    assert_eq!(depot.asked()[0].header("authorization"), "Bearer c4n4ry");
    assert!(!target.asked().is_empty());
    for asked in target.asked() {
        assert_eq!(asked.header("authorization"), "");
        assert_eq!(asked.header("x-key"), "");
    }
    is_kept_secret(&server);
}

#[tokio::test]
async fn a_token_is_fetched_and_kept_until_it_ends() {
    let given = Arc::new(AtomicUsize::new(0));
    let good = Arc::new(AtomicUsize::new(1));
    let (gives, takes) = (Arc::clone(&given), Arc::clone(&good));
    let depot = Depot::start(move |asked| match asked.target.starts_with(BUNDLE) {
        true => {
            let wanted = format!("Bearer c4n4ry{}", takes.load(Ordering::SeqCst));
            match asked.header("authorization") == wanted {
                true => Reply::body(constant("one", "true")),
                false => Reply::status(401),
            }
        }
        false => {
            let number = gives.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!(
                "{{\"access_token\": \"c4n4ry{number}\", \"token_type\": \"bearer\", \
                 \"expires_in\": 3600}}"
            );
            Reply::body(token)
        }
    });
    let token_url = depot.url("/token");
    let settings = format!(
        "credentials: {{ oauth2: {{ token_url: \"{token_url}\", client_id: me, \
         client_secret: c4n4ry, scopes: [a, b], parameters: {{ audience: \"x y\" }} }} }}"
    );
    let server = Server::with_config(&config(&depot, &settings));
    ready(&server).await;
    asked_again(&depot, 3).await;
    let granted: Vec<_> = depot.asked();
    let granted: Vec<_> = granted
        .iter()
        .filter(|asked| asked.method == "POST")
        .collect();
    assert_eq!(granted.len(), 1);
    assert_eq!(
        granted[0].body,
        "grant_type=client_credentials&scope=a+b&audience=x+y"
    );
    // me:c4n4ry
    assert_eq!(granted[0].header("authorization"), "Basic bWU6YzRuNHJ5");
    // One that is not taken any more is not used again.
    good.store(2, Ordering::SeqCst);
    eventually("another token", || given.load(Ordering::SeqCst) == 2).await;
    eventually("the bundle", || message(&server).is_empty()).await;
    assert_eq!(revision(&server), "one");
    is_kept_secret(&server);
}

#[tokio::test]
async fn no_token_no_request() {
    let depot = Depot::start(|asked| match asked.target.starts_with(BUNDLE) {
        true => Reply::body(constant("one", "true")),
        false => Reply::With(400, Vec::new(), b"{\"error\": \"c4n4ry\"}".to_vec()),
    });
    let token_url = depot.url("/token?c4n4ry");
    let settings = format!(
        "credentials: {{ oauth2: {{ token_url: \"{token_url}\", client_id: me, \
         client_secret: c4n4ry }} }}"
    );
    let server = Server::with_config(&config(&depot, &settings));
    eventually("a refusal", || {
        message(&server) == "no token was given: status 400"
    })
    .await;
    let is_bundle = |asked: &Asked| asked.target.starts_with(BUNDLE);
    assert!(!depot.asked().iter().any(is_bundle));
    is_kept_secret(&server);
}
