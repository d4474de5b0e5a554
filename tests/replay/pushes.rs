//! Pushes that are kept back by what replaying recorded decisions shows.

use rusqlite::Connection;
use serde_json::json;

use super::{GET, IS_GET, POST, WHOLE, allowing, ask, decided, revision};
use crate::support::{Server, http};

#[tokio::test]
async fn a_push_is_kept_back_by_what_it_would_change() {
    let server = decided(WHOLE, IS_GET, &[GET, POST, GET]).await;
    let push = |parameters: &str, bundle: &[u8]| {
        let url = server.url(&format!("/v1/bundles/b?{parameters}"));
        http::put(&url, bundle)
    };
    let two = allowing("two", "req.method in {\"GET\", \"POST\"}");
    for bad in [
        "max_changes=0",
        "max_undetermined=0",
        "allow_unreplayed=true",
        "replay_limit=5",
        "require_replay=",
        "require_replay=soon",
        "require_replay=1h&require_replay=1h",
        "require_replay=1h&max_changes=-1",
        "require_replay=1h&max_changes=few",
        "require_replay=1h&max_changes=0&max_changes=1",
        "require_replay=1h&max_undetermined=x",
        "require_replay=1h&allow_unreplayed=1",
        "require_replay=1h&replay_limit=0",
        "require_replay=1h&mode=shadow",
        "require_replay=1h&limit=3",
    ] {
        let answer = push(bad, &two);
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
    }
    for parameters in [
        "require_replay=1h",
        "require_replay=1h&max_changes=0",
        "require_replay=1h&replay_limit=3",
    ] {
        let refused = push(parameters, &two).expect(409).json();
        assert_eq!(refused["code"], "replay_refused");
        assert_eq!(
            refused["message"],
            "1 decisions since 1h would change, and `max_changes` is 0; nothing was changed"
        );
        assert_eq!(refused["replay"]["groups"][0]["result"], "changed_to_allow");
        assert_eq!(revision(&server), 1);
    }
    let audit = http::get(&server.url("/v1/audit")).expect(200).json();
    let newest = &audit["records"][0];
    assert_eq!(
        (&newest["action"], &newest["target"], &newest["result"]),
        (&json!("put_bundle"), &json!("b"), &json!("failure")),
        "{newest}"
    );
    let headers = [("if-match", "\"4711\"")];
    let url = server.url("/v1/bundles/b?require_replay=1h");
    http::send("PUT", &url, &headers, &two).expect(412);

    let same = allowing("same", "req.method != \"POST\"");
    let pushed = push("require_replay=1h", &same).expect(200).json();
    assert_eq!(
        (&pushed["snapshot"], &pushed["replay"]["same"]),
        (&json!(2), &json!(3))
    );
    let pushed = push("require_replay=1h&max_changes=1", &two)
        .expect(200)
        .json();
    assert_eq!(pushed["snapshot"], 3);
    assert!(ask(&server.checks().await, &[POST]).await[0].allows());

    // Native policies, and shadows that are promoted.
    let deny = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: { name: d, namespace: default }\n\
                spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/a] } }] }] }\n";
    let one = "/v1/resources/AuthorizationPolicy/default/d";
    for path in ["/v1/resources", one] {
        let url = server.url(&format!("{path}?require_replay=1h"));
        let refused = http::put(&url, deny.as_bytes()).expect(409).json();
        assert_eq!(
            refused["replay"]["changed"]["changed_to_deny"], 2,
            "{refused}"
        );
        let url = server.url(&format!("{path}?max_changes=1"));
        http::put(&url, deny.as_bytes()).expect(400);
    }
    let url = server.url(&format!("{one}?require_replay=1h&max_changes=2"));
    http::put(&url, deny.as_bytes()).expect(200);
    let url = server.url("/v1/bundles/b?mode=shadow");
    http::put(&url, &allowing("shadow", "false")).expect(200);
    let promote = |parameters: &str| {
        let url = server.url(&format!("/v1/bundles/b/promote{parameters}"));
        http::send("POST", &url, &[], b"")
    };
    promote("?require_replay=1h").expect(409);
    promote("?max_changes=1").expect(400);
    promote("?require_replay=1h&max_changes=10").expect(200);
}

/// What tells nothing keeps a push back, unless it is said that it may not.
#[tokio::test]
async fn a_push_is_kept_back_by_what_cannot_be_told() {
    let server = decided("", "true", &[GET, GET]).await;
    let push = |parameters: &str| {
        let url = server.url(&format!("/v1/bundles/b?{parameters}"));
        http::put(&url, &allowing("two", "false"))
    };
    for parameters in [
        "require_replay=1h",
        "require_replay=1h&max_undetermined=1&allow_unreplayed=true",
        "require_replay=1h&replay_limit=1",
    ] {
        let refused = push(parameters).expect(409).json();
        let unknown = &refused["replay"]["undetermined"];
        assert_eq!(unknown["no_input"], unknown["total"], "{refused}");
    }
    push("require_replay=1h&max_undetermined=2&allow_unreplayed=true").expect(200);
    let server = Server::with_config("decision_log: { enabled: false }\n");
    let url = |parameters: &str| server.url(&format!("/v1/bundles/b?{parameters}"));
    let one = allowing("one", "true");
    let refused = http::put(&url("require_replay=1h"), &one).expect(409);
    assert!(
        refused.body.contains("decision_log.enabled"),
        "{}",
        refused.body
    );
    http::put(&url("require_replay=1h&allow_unreplayed=true"), &one).expect(200);
    // Where nothing was decided, nothing can change.
    let server = Server::start();
    let url = server.url("/v1/bundles/b?require_replay=1h");
    http::put(&url, &allowing("one", "true")).expect(200);
}

/// What cannot be kept back is not done as if nothing had been said; and going back can be.
#[tokio::test]
async fn no_change_passes_by_what_would_keep_it_back() {
    let server = decided(WHOLE, IS_GET, &[GET, POST]).await;
    let send =
        |method: &str, path: &str, body: &[u8]| http::send(method, &server.url(path), &[], body);
    let both = allowing("two", "true");
    send("PUT", "/v1/bundles/b", &both).expect(200);
    let module = b"package other\n\nx := 1\n";
    let patch = br#"[{"op": "add", "path": "/y", "value": 1}]"#;
    for (method, path, body) in [
        ("PUT", "/v1/policies/other.rego", module.as_slice()),
        ("DELETE", "/v1/policies/other.rego", b""),
        ("PUT", "/v1/data/other", b"{}"),
        ("PUT", "/v1/data", b"{}"),
        ("PATCH", "/v1/data/other", patch),
        ("DELETE", "/v1/data/other", b""),
        ("DELETE", "/v1/bundles/b", b""),
        ("DELETE", "/v1/bundles/b?mode=shadow&", b""),
        ("DELETE", "/v1/resources/AuthorizationPolicy/default/d", b""),
    ] {
        for gate in [
            "require_replay=1h",
            "pretty=true&require%5Freplay=1h",
            "max_changes=0",
            "max_undetermined=0",
            "replay_limit=10",
            "allow_unreplayed=false",
        ] {
            let joint = if path.contains('?') { "" } else { "?" };
            let path = format!("{path}{joint}{gate}");
            let refused = send(method, &path, body);
            assert_eq!(refused.status, 400, "{method} {path}: {}", refused.body);
            let message = refused.json()["message"].to_string();
            assert!(message.contains("kept back"), "{method} {path}: {message}");
        }
    }
    assert_eq!(revision(&server), 2);
    let back = "/v1/revisions/1/rollback";
    let refused = send("POST", &format!("{back}?require_replay=1h"), b"").expect(409);
    assert_eq!(refused.json()["replay"]["changed"]["changed_to_deny"], 1);
    send("POST", &format!("{back}?max_changes=1"), b"").expect(400);
    let passed = send(
        "POST",
        &format!("{back}?require_replay=1h&max_changes=1"),
        b"",
    );
    let passed = passed.expect(200).json();
    assert_eq!(
        (
            &passed["snapshot"],
            &passed["restored"],
            &passed["replay"]["same"]
        ),
        (&json!(3), &json!(1), &json!(1))
    );
    send("POST", back, b"").expect(200);
}

/// A log that has lost some of its decisions does not speak for all of them.
#[tokio::test]
async fn a_push_is_kept_back_by_what_the_log_has_lost() {
    let log = |server: &Server| Connection::open(server.data.path().join("decisions.db")).unwrap();
    let now = "removed_until_ns = unixepoch() * 1000000000";
    for (missing, said, lost) in [
        (
            "removed",
            "removed",
            format!("UPDATE numbers SET {now} - 60000000000"),
        ),
        (
            "damaged",
            "damaged",
            "UPDATE contents SET entries = x'00'".to_owned(),
        ),
        (
            "damaged",
            "damaged",
            "UPDATE blocks SET sum = sum + 1".to_owned(),
        ),
    ] {
        let server = decided(WHOLE, "true", &[GET, GET]).await;
        let url = |parameters: &str| server.url(&format!("/v1/bundles/b?{parameters}"));
        let two = allowing("two", "1 == 1");
        let passed = http::put(&url("require_replay=1h"), &two)
            .expect(200)
            .json();
        let report = &passed["replay"];
        assert_eq!(
            (&report["same"], &report["complete"]),
            (&json!(2), &json!(true))
        );
        // A young log tells when it began.
        assert!(report["oldest"].is_string(), "{report}");
        assert!(report.get("missing").is_none(), "{report}");
        assert!(log(&server).execute(&lost, []).unwrap() > 0);
        let refused = http::put(&url("require_replay=1h&max_undetermined=0"), &two);
        let refused = refused.expect(409).json();
        assert_eq!(refused["code"], "replay_refused");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(said), "{message}");
        let report = &refused["replay"];
        assert_eq!(
            (&report["missing"], &report["complete"]),
            (&json!([missing]), &json!(false))
        );
        http::put(&url("require_replay=1h&allow_unreplayed=true"), &two).expect(200);
        if missing == "removed" {
            http::put(&url("require_replay=30s"), &two).expect(200);
        }
    }
}
