//! Who waits for what policies ask: the check alone, until its deadline, and so many of them only.

use serde_json::{Value, json};

use super::{CONFIG, POLICY, ask, echo, get, send, start};
use crate::support::bundle::archive;
use crate::support::upstream::{Play, Upstream};
use crate::support::{Options, Server, eventually, http};

#[tokio::test]
async fn nobody_else_waits() {
    let upstream = Upstream::start(|asked| match echo(asked) {
        Play::Answer(answer) if asked.path() == "/hold" => Play::Held(answer),
        play => play,
    });
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    let mut request = get(&upstream.url("/hold"));
    request["timeout"] = json!("60s");
    // Many more than there are threads that serve.
    let held: Vec<_> = (0..40)
        .map(|_| {
            let (checks, request) = (checks.clone(), request.clone());
            tokio::spawn(async move { send(&checks, &request).await })
        })
        .collect();
    eventually("checks that wait", || upstream.asked().len() == held.len()).await;
    assert!(checks.get("/").await.allows());
    assert_eq!(
        send(&checks, &get(&upstream.url("/"))).await["status_code"],
        200
    );
    http::get(&server.url("/readyz")).expect(200);
    assert!(held.iter().all(|held| !held.is_finished()));
    upstream.release();
    for held in held {
        assert_eq!(held.await.unwrap()["status_code"], 200);
    }
}

/// Nor does anybody when all places are taken: what else blocks threads has threads of its own.
#[tokio::test]
async fn nobody_else_waits_when_all_places_are_taken() {
    let upstream = Upstream::start(|asked| match echo(asked) {
        Play::Answer(answer) => Play::Held(answer),
        play => play,
    });
    // On a machine with other work, so many checks are not begun within the usual time.
    let config = CONFIG.replace("60s", "60s, max_checks: 384") + "ext_authz: { deadline: 30s }\n";
    let (server, _folder) = start(&config);
    let checks = server.checks().await;
    let mut request = get(&upstream.url("/hold"));
    request["timeout"] = json!("60s");
    let held: Vec<_> = (0..384)
        .map(|_| {
            let (checks, request) = (checks.clone(), request.clone());
            tokio::spawn(async move { send(&checks, &request).await })
        })
        .collect();
    let headers = json!({"x-send": request.to_string()});
    let by_hand: Vec<_> = (0..16)
        .map(|_| {
            let (url, headers) = (server.url("/v1/check"), headers.clone());
            tokio::task::spawn_blocking(move || check_by_hand(&url, &headers))
        })
        .collect();
    eventually("checks that wait", || upstream.asked().len() == 400).await;
    let bundle = archive(&[(".manifest", "{\"roots\": [\"other\"]}")]);
    http::put(&server.url("/v1/bundles/other"), &bundle).expect(200);
    http::send("PUT", &server.url("/v1/data/d"), &[], b"[1]").expect(204);
    http::get(&server.url("/v1/decisions")).expect(200);
    http::get(&server.url("/v1/audit")).expect(200);
    let large = format!("[\"{}\"]", "x".repeat(100_000));
    http::send("PUT", &server.url("/v1/data/d"), &[], large.as_bytes()).expect(204);
    let reply = checks.get("/").await;
    assert_eq!(reply.text("reason").as_deref(), Some("overloaded"));
    upstream.release();
    for held in held {
        assert_eq!(held.await.unwrap()["status_code"], 200);
    }
    for by_hand in by_hand {
        assert_eq!(by_hand.await.unwrap()["decision"]["effect"], "deny");
    }
}

#[tokio::test]
async fn a_check_that_finds_no_place_is_denied() {
    let upstream = Upstream::start(|asked| match echo(asked) {
        Play::Answer(answer) => Play::Held(answer),
        play => play,
    });
    let config = CONFIG.replace("60s", "60s, max_checks: 1");
    let (server, _folder) = start(&config);
    let checks = server.checks().await;
    let mut request = get(&upstream.url("/"));
    request["timeout"] = json!("60s");
    let spawn = || {
        let (checks, request) = (checks.clone(), request.clone());
        tokio::spawn(async move { send(&checks, &request).await })
    };
    let held = spawn();
    eventually("a check that waits", || upstream.asked().len() == 1).await;
    let reply = ask(&checks, &request).await;
    assert_eq!(
        (reply.status(), reply.text("reason").as_deref()),
        (503, Some("overloaded"))
    );
    // The management API has places of its own.
    let checked = check_by_hand(&server.url("/v1/check"), &json!({}));
    assert_eq!(checked["decision"]["effect"], "allow", "{checked}");

    // A caller that goes away makes place.
    held.abort();
    let mut next = None;
    for _ in 0..2_000 {
        let held = spawn();
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        if held.is_finished() {
            continue;
        }
        next = Some(held);
        break;
    }
    upstream.release();
    assert_eq!(next.unwrap().await.unwrap()["status_code"], 200);
}

fn check_by_hand(url: &str, headers: &Value) -> Value {
    let http = json!({"method": "GET", "path": "/", "headers": headers});
    let body = json!({"attributes": {"request": {"http": http}}}).to_string();
    http::send("POST", url, &[], body.as_bytes())
        .expect(200)
        .json()
}

/// However many checks somebody makes by hand, proxies find their places free.
#[tokio::test]
async fn checks_by_hand_crowd_nobody_out() {
    let upstream = Upstream::start(|asked| match echo(asked) {
        Play::Answer(answer) if asked.path() == "/hold" => Play::Held(answer),
        play => play,
    });
    let (server, _folder) = start(&CONFIG.replace("60s", "60s, max_checks: 1"));
    let checks = server.checks().await;
    let mut request = get(&upstream.url("/hold"));
    request["timeout"] = json!("60s");
    let headers = json!({"x-send": request.to_string()});
    let by_hand: Vec<_> = (0..24)
        .map(|_| {
            let (url, headers) = (server.url("/v1/check"), headers.clone());
            tokio::task::spawn_blocking(move || check_by_hand(&url, &headers))
        })
        .collect();
    eventually("checks by hand that wait", || upstream.asked().len() == 16).await;
    let answer = send(&checks, &get(&upstream.url("/"))).await;
    assert_eq!(answer["status_code"], 200);
    // Those that found no place wait for one.
    upstream.release();
    for by_hand in by_hand {
        assert_eq!(by_hand.await.unwrap()["decision"]["effect"], "deny");
    }
}

#[tokio::test]
async fn a_check_waits_until_its_deadline() {
    let upstream = Upstream::start(|_| Play::Held(String::new()));
    let (server, _folder) = start(&CONFIG.replace("60s", "300ms"));
    let checks = server.checks().await;
    let mut request = get(&upstream.url("/"));
    request["max_retry_attempts"] = json!(1_000_000);
    for raise in [true, false] {
        request["raise_error"] = json!(raise);
        for timeout in ["60s", "10ms"] {
            request["timeout"] = json!(timeout);
            let reply = ask(&checks, &request).await;
            let message = reply.response.status.clone().unwrap().message;
            assert_eq!(reply.status(), 403);
            assert!(message.contains("the check's time is up"), "{message}");
        }
    }
}

#[test]
fn rego_that_asks_others_needs_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.rego");
    std::fs::write(&policy, POLICY).unwrap();
    let policy = policy.display().to_string();
    let refused = Server::try_with(Options {
        arguments: vec![policy.clone()],
        ..Options::default()
    });
    let said = refused.err().unwrap();
    let place = format!("{policy}:5:");
    let why = "http.send reaches outside, which needs `rego.http_send: true`";
    assert!(said.contains(&place) && said.contains(why), "{said}");

    let validated = crate::support::doorward()
        .args(["validate", &policy])
        .output()
        .unwrap();
    assert!(validated.status.success());
    let said = String::from_utf8_lossy(&validated.stderr);
    assert!(said.contains("`rego.http_send: true`"), "{said}");
}
