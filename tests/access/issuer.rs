//! Callers who are known by tokens of an issuer: its keys, and what its claims permit.

use super::*;
use crate::support::issuer::{Issuer, Key, jwks};

fn remove(claims: &mut Value, name: &str) {
    claims.as_object_mut().unwrap().remove(name);
}

#[tokio::test]
async fn callers_have_tokens_of_the_issuer() {
    let (key, next, foreign) = (Key::new("k"), Key::new("next"), Key::new("k"));
    let issuer = Issuer::start(jwks(&[&key]));
    let url = issuer.url("/jwks");
    let server = Server::with_config(&format!(
        "jwks: {{ cool_down: 1s }}\nmanagement: {{ jwt: {{ issuer: 'https://login.test', audiences: [doorward], jwks_uri: '{url}', scope_claim: areas }} }}"
    ));
    let now = jiff::Timestamp::now().as_second();
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": "https://login.test", "aud": "doorward", "sub": "alice", "exp": now + 600,
            "roles": ["metrics:read", "policies:write", "nonsense"], "areas": ["bundles/a*"],
        });
        change(&mut claims);
        claims
    };
    let good = key.sign(&claims(&|_| {}));
    eventually("the keys are fetched", || !issuer.asked().is_empty()).await;
    let send = |token: &str, method: &str, path: &str| {
        let authorization = format!("Bearer {token}");
        let body = if method == "PUT" {
            constant("1", "true")
        } else {
            vec![]
        };
        http::send(
            method,
            &server.url(path),
            &[("authorization", &authorization)],
            &body,
        )
    };
    eventually("the keys are known", || {
        send(&good, "GET", "/v1/status").status == 200
    })
    .await;
    send(&good, "GET", "/v1/bundles").expect(403);
    send(&good, "PUT", "/v1/bundles/a1").expect(200);
    send(&good, "PUT", "/v1/bundles/b").expect(403);
    let changed: [(&dyn Fn(&mut Value), u16, &str); 11] = [
        (
            &|claims| claims["roles"] = json!("metrics:read logs:read"),
            200,
            "",
        ),
        (&|claims| claims["aud"] = json!(["x", "doorward"]), 200, ""),
        (&|claims| claims["roles"] = json!([]), 403, "metrics:read"),
        (
            &|claims| claims["roles"] = json!({"metrics:read": true}),
            403,
            "metrics:read",
        ),
        (
            &|claims| claims["iss"] = json!("https://other.test"),
            401,
            "issuer",
        ),
        (&|claims| claims["aud"] = json!("other"), 401, "Audiences"),
        (&|claims| remove(claims, "aud"), 401, "Audiences"),
        (&|claims| claims["exp"] = json!(now - 3600), 401, "expired"),
        (&|claims| remove(claims, "exp"), 401, "no end"),
        (&|claims| remove(claims, "sub"), 401, "names nobody"),
        (
            &|claims| claims["sub"] = json!("a\r\nb"),
            401,
            "names nobody",
        ),
    ];
    for (change, expected, message) in changed {
        let claims = claims(change);
        let answer = send(&key.sign(&claims), "GET", "/v1/status").expect(expected);
        assert!(answer.body.contains(message), "{claims}: {}", answer.body);
    }
    // Without the claim of a scope nothing may be changed.
    let token = key.sign(&claims(&|claims| remove(claims, "areas")));
    send(&token, "PUT", "/v1/bundles/a1").expect(403);
    send(&foreign.sign(&claims(&|_| {})), "GET", "/v1/status").expect(401);
    // A new key is found by the first who uses it, and the old one ends.
    issuer.play(jwks(&[&next]));
    let token = next.sign(&claims(&|_| {}));
    let ask = || call(&server, [127, 0, 5, 1], "GET", "/v1/status", &token);
    for from in 1.. {
        let (status, _) = call(&server, [127, 0, 5, from], "GET", "/v1/status", &token).await;
        if status == 200 {
            break;
        }
        assert!(from < 200, "the new key is not found");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(ask().await.0, 200);
    let (status, _) = call(&server, [127, 0, 5, 2], "GET", "/v1/status", &good).await;
    assert_eq!(status, 401);
}
