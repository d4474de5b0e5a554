//! A real Envoy in front: what its filter does with our answers. The binary comes from
//! `DOORWARD_ENVOY` (`make test` sets it); without it these tests say so and pass, unless
//! `DOORWARD_REQUIRE_ENVOY` is set.

mod identity;
mod proxy;
mod rego;
mod tls;

use serde_json::Value;

use crate::support::bundle::archive;
use crate::support::disk::{has_limits, limit_files};
use crate::support::{Options, Server, eventually, http};
use proxy::{Envoy, Upstream};

pub use proxy::binary as envoy_binary;

/// Starts everything, or tells that there is no Envoy.
fn stage(rego: &str, config: &str) -> Option<(Server, Upstream, Envoy)> {
    let config = config.to_owned();
    stage_with(
        rego,
        Options {
            config,
            ..Options::default()
        },
    )
}

fn stage_with(rego: &str, options: Options) -> Option<(Server, Upstream, Envoy)> {
    let binary = proxy::binary()?;
    let server = Server::with(options);
    let bundle = archive(&[("p.rego", &format!("package envoy.authz\n\n{rego}"))]);
    http::put(&server.url("/v1/bundles/b"), &bundle).expect(200);
    let upstream = Upstream::start();
    let envoy = Envoy::start(&binary, &server.ext_authz, &upstream.address);
    Some((server, upstream, envoy))
}

/// Everything, with a proxy that traces as well.
pub fn traced_by_envoy(config: &str, collector: &str) -> Option<(Server, Upstream, Envoy)> {
    let binary = proxy::binary()?;
    let server = Server::with_config(config);
    let upstream = Upstream::start();
    let envoy = Envoy::start_tracing(&binary, &server.ext_authz, &upstream.address, collector);
    Some((server, upstream, envoy))
}

#[tokio::test]
async fn an_allow_changes_the_request_on_its_way() {
    let Some((_server, _upstream, envoy)) = stage(
        r#"allow := {
            "allowed": true,
            "headers": {"x-user": "from-policy", "x-many": ["one", "two"]},
            "request_headers_to_remove": ["x-gone"],
            "response_headers_to_add": {"x-told": "client"},
            "query_parameters_to_remove": ["secret"],
        }"#,
        "",
    ) else {
        return;
    };
    // Under the same cached decision further on, another spelling goes as well.
    let url = envoy.url("/path?secret=1&open=2");
    for lookalike in ["x-other", "x_user", "x_gone"] {
        let answer = http::send("GET", &url, &[(lookalike, "forged")], b"").expect(200);
        let seen = &answer.json()["headers"][lookalike];
        let expected = match lookalike {
            "x-other" => Value::from("forged"),
            _ => Value::Null,
        };
        assert_eq!(*seen, expected, "{lookalike}");
    }
    let headers = [
        ("x-user", "forged"),
        ("x-gone", "here"),
        ("x-stays", "here"),
    ];
    let answer = http::send("GET", &url, &headers, b"").expect(200);
    let seen: Value = answer.json();
    assert_eq!(seen["headers"]["x-user"], "from-policy");
    assert_eq!(seen["headers"]["x-many"], "one,two");
    assert_eq!(seen["headers"]["x-gone"], Value::Null);
    assert_eq!(seen["headers"]["x-stays"], "here");
    assert_eq!(seen["path"], "/path?open=2");
    assert_eq!(answer.headers["x-told"], "client");
}

#[tokio::test]
async fn a_denial_reaches_the_client_as_the_policy_words_it() {
    let Some((_server, upstream, envoy)) = stage(
        r#"allow := {
            "allowed": false,
            "http_status": 429,
            "body": "slow down",
            "headers": {"retry-after": "7", "set-cookie": ["a=1", "b=2"]},
        }"#,
        "",
    ) else {
        return;
    };
    let answer = http::get(&envoy.url("/")).expect(429);
    assert_eq!(answer.body, "slow down");
    assert_eq!(answer.headers["retry-after"], "7");
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(upstream.requests(), 0);
}

/// No record, no allow: a client gets 503 while nothing can be recorded, and is let through afterwards.
#[tokio::test]
async fn a_log_that_must_be_kept_and_cannot_lets_nobody_through() {
    if !has_limits("a_log_that_must_be_kept_and_cannot_lets_nobody_through") {
        return;
    }
    let options = Options {
        config: "decision_log: { overflow: deny }\n".to_owned(),
        survives_large_files: true,
        ..Options::default()
    };
    let Some((server, upstream, envoy)) = stage_with("allow := true", options) else {
        return;
    };
    let url = envoy.url("/");
    http::get(&url).expect(200);
    limit_files(&server, Some(1));
    eventually("a denial", || http::get(&url).status == 503).await;
    let before = upstream.requests();
    for _ in 0..10 {
        http::get(&url).expect(503);
    }
    assert_eq!(upstream.requests(), before);
    limit_files(&server, None);
    eventually("an allow", || http::get(&url).status == 200).await;
    http::get(&url).expect(200);
}

#[tokio::test]
async fn the_access_log_can_join_the_decision_log() {
    let Some((server, _upstream, envoy)) = stage("allow := true", "") else {
        return;
    };
    http::get(&envoy.url("/joined")).expect(200);
    let url = server.url("/v1/decisions?path=/joined");
    eventually("the record", || {
        !http::get(&url).json()["decisions"]
            .as_array()
            .unwrap()
            .is_empty()
    })
    .await;
    let record = http::get(&url).json()["decisions"][0].clone();
    let id = record["decision_id"].as_str().unwrap().to_owned();
    eventually("the access log line", || envoy.log().contains(&id)).await;
    let line = envoy
        .log()
        .lines()
        .find(|line| line.contains(&id))
        .unwrap()
        .to_owned();
    assert!(line.contains("reason=rego"), "{line}");
}

#[tokio::test]
async fn paths_are_normalised_before_they_are_decided() {
    let Some((_server, _upstream, envoy)) = stage(
        "default allow := false\n\nallow if input.attributes.request.http.path == \"/admin\"",
        "",
    ) else {
        return;
    };
    for path in ["/admin", "//admin", "/x/../admin", "/%61dmin", "/./admin"] {
        assert_eq!(envoy.raw("GET", path), 200, "{path}");
    }
    assert_eq!(envoy.raw("GET", "/other"), 403);
}

#[tokio::test]
async fn a_push_decides_the_next_request() {
    let Some((server, _upstream, envoy)) = stage("allow := true", "") else {
        return;
    };
    http::get(&envoy.url("/")).expect(200);
    let closed = archive(&[("p.rego", "package envoy.authz\n\nallow := false\n")]);
    http::put(&server.url("/v1/bundles/b"), &closed).expect(200);
    http::get(&envoy.url("/")).expect(403);
}

#[tokio::test]
async fn without_doorward_nothing_passes() {
    let Some((mut server, upstream, envoy)) = stage("allow := true", "") else {
        return;
    };
    http::get(&envoy.url("/")).expect(200);
    server.signal("KILL");
    server.wait();
    http::get(&envoy.url("/")).expect(503);
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn tokens_are_checked_and_kept_from_the_upstream() {
    let Some((server, _upstream, envoy)) = stage("allow := true", "") else {
        return;
    };
    let policy =
        std::fs::read_to_string(crate::support::root().join("policies/quickstart/jwt.yaml"))
            .unwrap();
    let policy = policy
        .replace("namespace: foo", "namespace: default")
        .replace("app: httpbin", "app: web");
    http::put(&server.url("/v1/resources"), policy.as_bytes()).expect(200);
    let token =
        std::fs::read_to_string(crate::support::root().join("policies/quickstart/demo.jwt"))
            .unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let get = |authorization: Option<&str>| {
        let headers: Vec<_> = authorization
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        http::send("GET", &envoy.url("/headers?a=1"), &headers, b"")
    };
    assert_eq!(get(None).expect(403).body, "RBAC: access denied");
    let seen = get(Some(&bearer)).expect(200).json();
    assert_eq!(seen["headers"]["authorization"], Value::Null);
    let forged = format!("{}AAAA", &bearer[..bearer.len() - 4]);
    let answer = get(Some(&forged)).expect(401);
    assert_eq!(answer.body, "Jwt verification fails");
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    let expected = format!(
        "Bearer realm=\"{}\", error=\"invalid_token\"",
        envoy.url("/headers")
    );
    assert_eq!(challenge, expected);
}
