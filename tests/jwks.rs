//! Keys that policy names by URL are fetched behind everybody's back: whatever their server does, no
//! request, push or start waits for it, and what it gave last stays good.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::check::{Reply, http_check};
use crate::support::issuer::{Issuer, Key, Play, jwks};
use crate::support::{Checks, Options, Server, eventually, http};

const NO_SET: &str = "Jwks remote fetch is failed";
const NO_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";
/// Once fetched, a set is not fetched again in a test.
const SELDOM: &str = "mesh: { default_action: allow, default_workload: { namespace: default, labels: {} } }\n\
                      jwks: { refresh_interval: 1d, cool_down: 1d }\n";

/// Puts a RequestAuthentication of the root namespace.
fn put(server: &Server, name: &str, rules: &Value) -> http::Answer {
    let object = json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"namespace": "istio-system", "name": name}, "spec": {"jwtRules": rules}});
    http::put(&server.url("/v1/resources"), object.to_string().as_bytes())
}

/// How the sets that are fetched are doing.
fn status(server: &Server) -> Vec<Value> {
    let status = http::get(&server.url("/v1/status")).expect(200).json();
    status["jwks"].as_array().unwrap().clone()
}

fn key_ids(server: &Server) -> Value {
    status(server)[0]["key_ids"].clone()
}

fn error(server: &Server) -> String {
    let message = &status(server)[0]["last_error"]["message"];
    message.as_str().unwrap_or_default().to_owned()
}

async fn present(checks: &Checks, token: &str) -> Reply {
    let line = format!("Bearer {token}");
    checks
        .check(&http_check("GET", "/", &[("authorization", &line)]))
        .await
}

/// The body of a refusal, `""` for a token that is accepted.
async fn refusal(checks: &Checks, token: &str) -> String {
    let reply = present(checks, token).await;
    assert_eq!(reply.status(), if reply.allows() { 200 } else { 401 });
    reply
        .denial()
        .map(|denial| denial.body.clone())
        .unwrap_or_default()
}

/// Waits until a token is accepted: a set is known a moment before it is used.
async fn accepted(checks: &Checks, token: &str) -> Reply {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let reply = present(checks, token).await;
        if reply.allows() {
            return reply;
        }
        assert!(Instant::now() < deadline, "{:?}", reply.denial());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "alice"})
}

#[tokio::test]
async fn a_rotated_key_is_found_without_anybody_waiting() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(jwks(&[&old]));
    let server = Server::with_config(&SELDOM.replace("cool_down: 1d", "cool_down: 1s"));
    let url = issuer.url("/keys?tenant=c4n4ry");
    put(&server, "jwt", &json!([{"issuer": "i", "jwksUri": url}])).expect(200);
    let checks = server.checks().await;
    let (by_old, by_new) = (old.sign(&claims("i")), new.sign(&claims("i")));
    let first = accepted(&checks, &by_old).await;
    assert!(present(&checks, &by_old).await.cached());

    issuer.play(jwks(&[&new]));
    assert_eq!(refusal(&checks, &by_new).await, NO_KEY);
    accepted(&checks, &by_new).await;
    assert_eq!(key_ids(&server), json!(["new"]));
    // What was decided under the old set went with it, under the same revision.
    let late = present(&checks, &by_old).await;
    assert_eq!((late.status(), late.cached()), (401, false));
    assert_eq!(late.revision(), first.revision());
    assert!(
        issuer
            .asked()
            .iter()
            .all(|target| target == "/keys?tenant=c4n4ry")
    );

    let metrics = http::get(&server.url("/metrics")).body;
    let row = "doorward_jwks_fetches_total{result=\"changed\"} 2";
    assert!(metrics.lines().any(|line| line == row), "{metrics}");
    let shown = format!(
        "doorward_jwks_last_success_timestamp_seconds{{uri=\"{}\"}}",
        issuer.url("/keys")
    );
    assert!(metrics.contains(&shown), "{metrics}");
    let status = http::get(&server.url("/v1/status")).body;
    for text in [metrics, status, server.said()] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
}

#[tokio::test]
async fn tokens_of_unknown_keys_do_not_make_fetches() {
    let key = Key::new("known");
    let issuer = Issuer::start(jwks(&[&key]));
    let server = Server::with_config(SELDOM);
    let rules = json!([{"issuer": "i", "jwksUri": issuer.url("/")}]);
    put(&server, "jwt", &rules).expect(200);
    let checks = server.checks().await;
    accepted(&checks, &key.sign(&claims("i"))).await;
    for index in 0..200 {
        let token = Key::new(&index.to_string()).sign(&claims("i"));
        assert_eq!(refusal(&checks, &token).await, NO_KEY);
    }
    assert_eq!(refusal(&checks, &key.sign(&claims("i"))).await, "");
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn nothing_waits_for_an_issuer_that_hangs() {
    let key = Key::new("k");
    let (stuck, good) = (Issuer::start(Play::Hang), Issuer::start(jwks(&[&key])));
    let server = Server::with_config(SELDOM);
    let rules = json!([
        {"issuer": "stuck", "jwksUri": stuck.url("/"), "timeout": "3600s"},
        {"issuer": "good", "jwksUri": good.url("/")},
    ]);
    // The push is answered, and so are requests, while the fetch still hangs.
    put(&server, "jwt", &rules).expect(200);
    eventually("a fetch that hangs", || stuck.asked().len() == 1).await;
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows(), "a request without token");
    assert_eq!(refusal(&checks, &key.sign(&claims("stuck"))).await, NO_SET);
    accepted(&checks, &key.sign(&claims("good"))).await;
    let hanging = status(&server);
    let hanging = hanging.iter().find(|set| set["keys"] == 0).unwrap();
    assert_eq!(hanging["last_error"], Value::Null);
    assert_eq!(stuck.asked().len(), 1);

    // And so is a start with what was pushed.
    let data = server.data.clone();
    drop(server);
    let server = Server::with(Options {
        config: SELDOM.to_owned(),
        data: Some(data),
        ..Options::default()
    });
    eventually("the start's fetch", || stuck.asked().len() == 2).await;
    let checks = server.checks().await;
    assert_eq!(refusal(&checks, &key.sign(&claims("stuck"))).await, NO_SET);
}

#[tokio::test]
async fn the_last_good_set_outlasts_whatever_its_server_does() {
    let key = Key::new("k");
    let issuer = Issuer::start(jwks(&[&key]));
    let config = SELDOM.replace("refresh_interval: 1d", "refresh_interval: 1s");
    let server = Server::with_config(&config);
    let rules = json!([{"issuer": "i", "jwksUri": issuer.url("/?c4n4ry"), "timeout": "0.3s"}]);
    put(&server, "jwt", &rules).expect(200);
    let checks = server.checks().await;
    let token = key.sign(&claims("i"));
    accepted(&checks, &token).await;
    let leak = json!({"keys": [{"kty": "EC", "kid": "leaked", "d": "AQ"}]}).to_string();
    let metadata = "http://169.254.169.254/latest/meta-data/".to_owned();
    let refused = "address 169.254.169.254 is link-local";
    let rows = [
        (Play::Hang, "no answer within 300ms"),
        (Play::Drip, "no answer within 300ms"),
        (Play::status(500), "status 500"),
        (Play::status(204), "status 204"),
        (Play::body("<html>"), "is not a JSON Web Key Set"),
        (Play::body(leak), "key leaked holds private key material"),
        (Play::body("{\"keys\":[]}"), "has no usable public key"),
        (Play::Endless, "larger than 1048576 bytes"),
        (Play::Close, "error sending request"),
        (Play::redirect(&metadata), refused),
        (
            Play::redirect("http://[::ffff:a9fe:a9fe]/"),
            "is link-local",
        ),
        (
            Play::redirect("file:///etc/passwd"),
            "is neither `http` nor `https`",
        ),
        (
            Play::redirect(&issuer.url("/again")),
            "more than 3 redirects",
        ),
    ];
    for (play, expected) in rows {
        let about = format!("{play:?}");
        issuer.play(play);
        eventually(&about, || error(&server).contains(expected)).await;
        assert_eq!(key_ids(&server), json!(["k"]), "{about}");
        assert_eq!(refusal(&checks, &token).await, "", "{about}");
    }
    issuer.play(jwks(&[&key]));
    eventually("an end of the errors", || error(&server).is_empty()).await;
    assert!(!server.said().contains("c4n4ry"), "{}", server.said());
}

#[tokio::test]
async fn redirects_are_followed_and_names_resolved() {
    let key = Key::new("k");
    let issuer = Issuer::start(Play::status(404));
    issuer.play_at("/one", Play::redirect("two?x=1"));
    issuer.play_at("/two?x=1", Play::redirect(&issuer.url("/three")));
    issuer.play_at("/three", jwks(&[&key]));
    let server = Server::with_config(SELDOM);
    let url = issuer.url("/one").replace("127.0.0.1", "localhost");
    put(&server, "jwt", &json!([{"issuer": "i", "jwksUri": url}])).expect(200);
    eventually("a set", || key_ids(&server) == json!(["k"])).await;
    assert_eq!(issuer.asked(), ["/one", "/two?x=1", "/three"]);
}

/// Neither by a policy, nor by whoever answers what it asks.
#[tokio::test]
async fn the_process_itself_is_never_asked() {
    let server = Server::with_config(SELDOM);
    let own = server.url("/v1/status");
    let issuer = Issuer::start(Play::redirect(&own));
    let metadata = json!({"jwks_uri": own}).to_string();
    issuer.play_at("/.well-known/openid-configuration", Play::body(metadata));
    let rows = [
        json!({"issuer": "i", "jwksUri": own}),
        json!({"issuer": "i", "jwksUri": own.replace("127.0.0.1", "localhost")}),
        json!({"issuer": "i", "jwksUri": own.replace("127.0.0.1", "[::ffff:127.0.0.1]")}),
        json!({"issuer": "i", "jwksUri": issuer.url("/moved")}),
        json!({"issuer": issuer.url("")}),
    ];
    for rule in rows {
        put(&server, "jwt", &json!([rule])).expect(200);
        let refused = "is this machine's, which may not be asked there";
        eventually("a refusal", || error(&server).contains(refused)).await;
    }
}

#[tokio::test]
async fn an_issuer_without_keys_is_asked_where_they_are() {
    let key = Key::new("k");
    let provider = Issuer::start(Play::status(404));
    let keys = json!({"issuer": "any", "jwks_uri": provider.url("/certs")}).to_string();
    provider.play_at("/realm/.well-known/openid-configuration", Play::body(keys));
    provider.play_at("/certs", jwks(&[&key]));
    let server = Server::with_config(SELDOM);
    let issuer = provider.url("/realm/");
    put(&server, "jwt", &json!([{ "issuer": issuer }])).expect(200);
    let checks = server.checks().await;
    accepted(&checks, &key.sign(&claims(&issuer))).await;
    assert_eq!(status(&server)[0]["kind"], "discovery");
    let asked = ["/realm/.well-known/openid-configuration", "/certs"];
    assert_eq!(provider.asked(), asked);
}

#[tokio::test]
async fn a_url_is_fetched_once_for_all_rules_and_no_longer_than_one_names_it() {
    let key = Key::new("k");
    let issuer = Issuer::start(jwks(&[&key]));
    let server = Server::with_config(SELDOM);
    let rule = |name: &str| json!({"issuer": name, "jwksUri": issuer.url("/")});
    // What is refused fetches nothing.
    put(
        &server,
        "bad",
        &json!([rule("a"), {"issuer": "b", "jwksUri": "ftp://b"}]),
    )
    .expect(400);
    assert_eq!(status(&server), Vec::<Value>::new());
    put(&server, "one", &json!([rule("a"), rule("b")])).expect(200);
    put(&server, "two", &json!([rule("c")])).expect(200);
    eventually("a set", || key_ids(&server) == json!(["k"])).await;
    let checks = server.checks().await;
    for name in ["a", "b", "c"] {
        assert_eq!(
            refusal(&checks, &key.sign(&claims(name))).await,
            "",
            "{name}"
        );
    }
    assert_eq!(issuer.asked().len(), 1);
    let object = |name| {
        server.url(&format!(
            "/v1/resources/RequestAuthentication/istio-system/{name}"
        ))
    };
    http::delete(&object("one")).expect(200);
    assert_eq!(status(&server).len(), 1);
    http::delete(&object("two")).expect(200);
    assert_eq!(status(&server), Vec::<Value>::new());
    let metrics = http::get(&server.url("/metrics")).body;
    assert!(!metrics.contains(&issuer.address()), "{metrics}");
}
