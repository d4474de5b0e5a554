//! The example Rego policies behind a real Envoy: requests that each lets through, and requests that
//! it does not.

use serde_json::Value;

use super::proxy::{Envoy, Upstream, binary};
use crate::support::{Options, Server, http, root};

/// A policy that decides alone, behind Envoy.
struct Stage {
    _server: Server,
    upstream: Upstream,
    envoy: Envoy,
}

/// Starts everything with what `serve` is given, or tells that there is no Envoy.
fn stage(entrypoint: &str, arguments: &[&str]) -> Option<Stage> {
    let binary = binary()?;
    let inside = |argument: &&str| match argument.starts_with('-') {
        true => (*argument).to_owned(),
        false => root().join(argument).display().to_string(),
    };
    let server = Server::with(Options {
        config: format!("rego: {{ entrypoint: {entrypoint} }}"),
        arguments: arguments.iter().map(inside).collect(),
        ..Options::default()
    });
    let upstream = Upstream::start();
    let envoy = Envoy::start_with_bodies(&binary, &server.ext_authz, &upstream.address);
    Some(Stage {
        _server: server,
        upstream,
        envoy,
    })
}

impl Stage {
    /// Sends a request; what the upstream saw of one that came through.
    fn check(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        status: u16,
    ) -> http::Answer {
        let before = self.upstream.requests();
        let url = self.envoy.url(path);
        let answer = http::send(method, &url, headers, body.as_bytes()).expect(status);
        let passed = self.upstream.requests() - before;
        assert_eq!(passed, usize::from(status == 200), "{method} {path}");
        answer
    }
}

#[tokio::test]
async fn people() {
    let Some(stage) = stage("people/authz/allow", &["policies/rego/people"]) else {
        return;
    };
    let token = |name: &str| {
        let path = root().join(format!("policies/rego/people/tokens/{name}.jwt"));
        format!("Bearer {}", std::fs::read_to_string(path).unwrap().trim())
    };
    let (guest, admin) = (token("guest"), token("admin"));
    let forged = format!("{}AAAA", &admin[..admin.len() - 4]);
    let rows = [
        (&guest, "GET", "/people/7", "", 200),
        (&guest, "GET", "/people/7/salary", "", 403),
        (&guest, "GET", "/people/7/../../secret", "", 403),
        (&guest, "POST", "/people", r#"{"name": "Carol"}"#, 403),
        (&admin, "GET", "/people/7", "", 200),
        (&admin, "POST", "/people", r#"{"name": "Carol"}"#, 200),
        (&admin, "POST", "/people", r#"{"name": "Alice"}"#, 403),
        (&admin, "POST", "/people", "Carol", 400),
        (&forged, "GET", "/people/7", "", 403),
        (&"Bearer".to_owned(), "GET", "/people/7", "", 403),
    ];
    for (token, method, path, body, status) in rows {
        let headers = [
            ("authorization", token.as_str()),
            ("content-type", "application/json"),
        ];
        stage.check(method, path, &headers, body, status);
    }
    stage.check("GET", "/people/7", &[], "", 403);
}

#[tokio::test]
async fn front() {
    let Some(stage) = stage("front/authz/allow", &["policies/rego/front"]) else {
        return;
    };
    let headers = [("x-let-in-by", "me"), ("x-debug", "1"), ("x-other", "2")];
    let answer = stage.check("GET", "/any?a=1", &headers, "", 200);
    let seen: Value = answer.json();
    assert_eq!(seen["headers"]["x-let-in-by"], "front");
    assert_eq!(seen["headers"]["x-debug"], Value::Null);
    assert_eq!(seen["headers"]["x-other"], "2");
    assert_eq!(answer.headers["cache-control"], "no-store");
    for method in ["POST", "DELETE"] {
        let answer = stage.check(method, "/any", &[], "", 405);
        assert_eq!(answer.body, format!("{method} is not for this door"));
        assert_eq!(answer.headers["allow"], "GET, HEAD");
    }
}

#[tokio::test]
async fn books() {
    let Some(stage) = stage("books/authz/allow", &["policies/rego/books"]) else {
        return;
    };
    let (nina, omar) = ("Basic bmluYTpzZWNyZXQ=", "Basic b21hcjpzZWNyZXQ=");
    let rows = [
        (nina, "GET", "/productpage?u=normal", 200),
        (nina, "GET", "/api/v1/products", 403),
        (nina, "POST", "/productpage", 403),
        (omar, "GET", "/api/v1/products", 200),
        (omar, "POST", "/api/v1/products", 200),
        (omar, "GET", "/productpage/..", 403),
        ("Basic", "GET", "/productpage", 403),
        ("Basic %%%", "GET", "/health", 200),
    ];
    for (credentials, method, path, status) in rows {
        stage.check(method, path, &[("authorization", credentials)], "", status);
    }
}

#[tokio::test]
async fn roles_of_a_bundle() {
    let Some(stage) = stage("rbac/authz/allow", &["--bundle", "bundles/rbac"]) else {
        return;
    };
    let rows = [
        ("ines", "GET", "/tickets/7", Some("agent")),
        ("ines", "GET", "/reports", None),
        ("ines", "DELETE", "/tickets/7", None),
        ("jo", "GET", "/reports/2026", Some("lead")),
        ("mallory", "GET", "/tickets/7", None),
    ];
    for (user, method, path, role) in rows {
        let headers = [("x-user", user), ("x-role", "lead")];
        let status = if role.is_some() { 200 } else { 403 };
        let answer = stage.check(method, path, &headers, "", status);
        if let Some(role) = role {
            assert_eq!(answer.json()["headers"]["x-role"], role, "{user} {path}");
        }
    }
}
