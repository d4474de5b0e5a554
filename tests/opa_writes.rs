//! Policies and data pushed by OPA's API: who owns what, what is refused, and that they are kept.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::bundle::archive;
use crate::support::{Options, Server, http};

const POLICY: &str = "package envoy.authz\nimport rego.v1\ndefault allow := false\nallow if data.users.alice.admin\n";

/// Sends, and compares the status and, if one is given, the message.
#[track_caller]
pub fn check(server: &Server, method: &str, path: &str, body: &str, status: u16, message: &str) {
    let answer = http::send(method, &server.url(path), &[], body.as_bytes());
    let shown = format!("{method} {path} {body}: {}", answer.body);
    assert_eq!(answer.status, status, "{shown}");
    if !message.is_empty() {
        let json = answer.json();
        let cause = json
            .pointer("/errors/0/message")
            .unwrap_or(&json["message"]);
        assert_eq!(cause, message, "{shown}");
    }
}

fn document(server: &Server, path: &str) -> Value {
    http::get(&server.url(&format!("/v1/data/{path}")))
        .expect(200)
        .json()["result"]
        .clone()
}

#[tokio::test]
async fn what_is_pushed_decides_and_is_kept() {
    let server = Server::start();
    let checks = server.checks().await;
    check(
        &server,
        "PUT",
        "/v1/policies/authz/main.rego",
        POLICY,
        200,
        "",
    );
    assert_eq!(checks.get("/").await.status(), 403);
    check(
        &server,
        "PUT",
        "/v1/data/users",
        r#"{"alice": {"admin": true}}"#,
        204,
        "",
    );
    assert_eq!(checks.get("/").await.status(), 200);
    let shown = http::get(&server.url("/v1/policies/authz/main.rego"))
        .expect(200)
        .json();
    assert_eq!(shown["result"]["raw"], POLICY);
    assert_eq!(
        shown["result"]["ast"]["package"]["path"][2]["value"],
        "authz"
    );
    let all = http::get(&server.url("/v1/policies")).expect(200).json();
    assert_eq!(all["result"].as_array().unwrap().len(), 1);
    // The same again changes nothing.
    let revision = || http::get(&server.url("/v1/status")).expect(200).json()["snapshot"].clone();
    let before = revision();
    check(
        &server,
        "PUT",
        "/v1/policies/authz/main.rego",
        POLICY,
        200,
        "",
    );
    assert_eq!(revision(), before);
    // A document is stored as what it lies in.
    check(&server, "PUT", "/v1/data/users/bob", "{}", 204, "");
    check(
        &server,
        "PATCH",
        "/v1/data/users",
        r#"[{"op": "remove", "path": "/alice"}]"#,
        204,
        "",
    );
    assert_eq!(checks.get("/").await.status(), 403);
    let data = Arc::clone(&server.data);
    server.signal("KILL");
    drop(server);
    let server = Server::with(Options {
        data: Some(data),
        ..Options::default()
    });
    assert_eq!(document(&server, "users"), json!({"bob": {}}));
    // A rollback brings back what was pushed by itself, too.
    let rollback = format!("/v1/revisions/{before}/rollback");
    check(&server, "POST", &rollback, "", 200, "");
    assert_eq!(
        document(&server, "users"),
        json!({"alice": {"admin": true}})
    );
    assert_eq!(server.checks().await.get("/").await.status(), 200);
    check(
        &server,
        "DELETE",
        "/v1/policies/authz/main.rego",
        "",
        200,
        "",
    );
    check(&server, "GET", "/v1/policies/authz/main.rego", "", 404, "");
    assert_eq!(server.checks().await.get("/").await.status(), 403);
}

#[tokio::test]
async fn each_part_of_policy_and_data_has_one_owner() {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let policy = file("file.rego", "package files.own\nx := 1\n");
    let arguments = vec![policy.clone(), file("data.json", r#"{"filed": {"a": 1}}"#)];
    let server = Server::with(Options {
        arguments,
        ..Options::default()
    });
    let bundle = archive(&[
        (".manifest", r#"{"roots": ["of/bundle", "bundled"]}"#),
        ("of/bundle/p.rego", "package of.bundle\ny := 1\n"),
        ("bundled/data.json", r#"{"b": 1}"#),
    ]);
    http::put(&server.url("/v1/bundles/b"), &bundle).expect(200);
    let in_bundle = |path: &str| format!("path {path} is owned by bundle \"b\"");
    let in_file = |what: &str| format!("{what} belongs to a file, which alone can change it");
    let rows = [
        (
            "PUT",
            "/v1/policies/p",
            "package of.bundle\nz := 1",
            400,
            in_bundle("of/bundle"),
        ),
        (
            "PUT",
            "/v1/policies/p",
            "package of.bundle.deeper\nz := 1",
            400,
            in_bundle("of/bundle/deeper"),
        ),
        (
            "PUT",
            "/v1/policies/p",
            "package files.own\nz := 1",
            409,
            in_file("data.files.own"),
        ),
        // A rule's name may lead into the file's package, and its package may be seen from there.
        (
            "PUT",
            "/v1/policies/p",
            "package files\nown.z := 1",
            409,
            in_file("data.files"),
        ),
        (
            "PUT",
            "/v1/policies/p",
            "package files.own.deeper\nz := 1",
            409,
            in_file("data.files.own.deeper"),
        ),
        (
            "PUT",
            "/v1/data/bundled/c",
            "1",
            400,
            in_bundle("bundled/c"),
        ),
        (
            "DELETE",
            "/v1/data/bundled/b",
            "",
            400,
            in_bundle("bundled/b"),
        ),
        (
            "PATCH",
            "/v1/data",
            r#"[{"op": "add", "path": "/bundled/c", "value": 1}]"#,
            400,
            in_bundle("bundled/c"),
        ),
        (
            "PUT",
            "/v1/data",
            "{}",
            400,
            "can't write to document root with bundle roots configured".to_owned(),
        ),
        ("PUT", "/v1/data/filed/a", "2", 409, in_file("data.filed.a")),
        ("PUT", "/v1/data/filed", "{}", 409, in_file("data.filed")),
        (
            "PUT",
            "/v1/data/filed/a/b",
            "2",
            409,
            in_file("data.filed.a.b"),
        ),
        ("PUT", "/v1/data/filed/new", "2", 204, String::new()),
        (
            "DELETE",
            "/v1/data/nope",
            "",
            404,
            "storage_not_found_error: /nope: document does not exist".to_owned(),
        ),
        (
            "PUT",
            "/v1/data/files/own/x",
            "2",
            400,
            format!(
                "1 error occurred: {policy}:2: rego_compile_error: conflicting rule for data path files/own/x found"
            ),
        ),
        (
            "PUT",
            "/v1/policies/free",
            "package free\nz := data.filed.new",
            200,
            String::new(),
        ),
    ];
    for (method, path, body, status, message) in rows {
        check(&server, method, path, body, status, &message);
    }
    let encoded = policy.replace('/', "%2F");
    check(
        &server,
        "PUT",
        &format!("/v1/policies/{encoded}"),
        "package other",
        409,
        "",
    );
    check(
        &server,
        "DELETE",
        &format!("/v1/policies/{encoded}"),
        "",
        409,
        "",
    );
    check(
        &server,
        "DELETE",
        "/v1/policies/b%2Fof%2Fbundle%2Fp.rego",
        "",
        409,
        "",
    );
    // Nor does a bundle take what was pushed before it.
    for roots in [r#"["free"]"#, r#"["filed/new"]"#, r#"[""]"#] {
        let other = archive(&[(".manifest", &format!("{{\"roots\": {roots}}}"))]);
        let status = http::put(&server.url("/v1/bundles/c"), &other).status;
        assert!(matches!(status, 400 | 409), "{roots}: {status}");
    }
    assert_eq!(document(&server, "free/z"), json!(2));
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let server = Server::start();
    check(&server, "PUT", "/v1/data/a", r#"{"l": [1, 2]}"#, 204, "");
    let rows = [
        (
            "PUT",
            "/v1/policies/p",
            "package p\nx := nope(1)",
            400,
            "undefined function nope",
        ),
        (
            "PUT",
            "/v1/policies/p",
            "# nothing\n",
            400,
            "p:0: rego_parse_error: empty module",
        ),
        (
            "PUT",
            "/v1/policies/p%0Aq",
            "package p",
            400,
            "a policy's id is 1 to 1024 bytes without control characters",
        ),
        (
            "PUT",
            "/v1/data/a",
            "",
            400,
            "body contains malformed document: unexpected EOF",
        ),
        ("PUT", "/v1/data/a", "{", 400, ""),
        (
            "PUT",
            "/v1/data",
            "[]",
            400,
            "object must be placed at the root of all data",
        ),
        (
            "PATCH",
            "/v1/data/a",
            "{}",
            400,
            "body contains malformed document: it is no array of operations",
        ),
        (
            "PATCH",
            "/v1/data/a",
            r#"[{"op": "add", "path": "l", "value": 1}]"#,
            400,
            "bad patch path: l",
        ),
        (
            "PATCH",
            "/v1/data/a",
            r#"[{"path": "/l"}]"#,
            400,
            "bad patch operation: ",
        ),
        // All or none.
        (
            "PATCH",
            "/v1/data/a",
            r#"[{"op": "add", "path": "/l/-", "value": 3}, {"op": "remove", "path": "/m"}]"#,
            404,
            "storage_not_found_error: /a/m: document does not exist",
        ),
    ];
    for (method, path, body, status, message) in rows {
        check(&server, method, path, body, status, message);
    }
    assert_eq!(document(&server, "a"), json!({"l": [1, 2]}));
    let stale = [("if-match", "7")];
    for (method, path, body) in [
        ("PUT", "/v1/data/a", "1"),
        ("PATCH", "/v1/data/a", "[]"),
        ("DELETE", "/v1/data/a", ""),
        ("PUT", "/v1/policies/p", "package p"),
        ("DELETE", "/v1/policies/p", ""),
    ] {
        http::send(method, &server.url(path), &stale, body.as_bytes()).expect(412);
    }
}

/// Under `--v0-compatible` policy that says nothing else is in language version 0, however it comes.
#[tokio::test]
async fn what_is_pushed_is_in_the_version_that_was_asked_for() {
    const V0: &str = "package envoy.authz\ndefault allow = false\nallow { data.open[_] == 1 }\n";
    const V1: &str = "package envoy.authz\ndefault allow := false\nallow if 1 in data.open\n";
    let with_import = V1.replacen('\n', "\nimport rego.v1\n", 1);
    let bundle = |manifest: &str, text: &str| {
        let data = r#"{"open": [1]}"#;
        archive(&[
            (".manifest", manifest),
            ("p.rego", text),
            ("data.json", data),
        ])
    };
    let (silent, first) = (
        r#"{"roots": [""]}"#,
        r#"{"roots": [""], "rego_version": 1}"#,
    );
    let zero = r#"{"roots": [""], "rego_version": 0}"#;
    for is_v0 in [true, false] {
        let options = |data| Options {
            arguments: is_v0
                .then(|| "--v0-compatible".to_owned())
                .into_iter()
                .collect(),
            data,
            ..Options::default()
        };
        let server = Server::with(options(None));
        check(&server, "PUT", "/v1/data/open", "[1]", 204, "");
        for (text, is_good) in [(V0, is_v0), (V1, !is_v0), (&with_import, true)] {
            let status = if is_good { 200 } else { 400 };
            check(&server, "PUT", "/v1/policies/p", text, status, "");
            if is_good {
                assert_eq!(server.checks().await.get("/").await.status(), 200, "{text}");
            }
        }
        let text = if is_v0 { V0 } else { V1 };
        check(&server, "PUT", "/v1/policies/p", text, 200, "");
        let data = Arc::clone(&server.data);
        server.signal("KILL");
        drop(server);
        let server = Server::with(options(Some(data)));
        assert_eq!(server.checks().await.get("/").await.status(), 200);
        check(&server, "DELETE", "/v1/policies/p", "", 200, "");
        check(&server, "DELETE", "/v1/data/open", "", 204, "");
        for (manifest, text, is_good) in [
            (silent, V0, is_v0),
            (silent, V1, !is_v0),
            (first, V0, false),
            (first, V1, true),
            (zero, V0, true),
            (zero, V1, false),
        ] {
            let status = if is_good { 200 } else { 400 };
            let url = server.url("/v1/bundles/b");
            http::put(&url, &bundle(manifest, text)).expect(status);
            if is_good {
                assert_eq!(server.checks().await.get("/").await.status(), 200, "{text}");
                http::delete(&url).expect(200);
            }
        }
    }
}

#[tokio::test]
async fn a_token_for_data_is_kept_to_its_paths() {
    // printf %s data-token | sha256sum
    let digest = "17413446c86d23ac699051a000aefb38232952d793ddb1f6256e451e4215a3e6";
    let server = Server::with_config(&format!(
        "management: {{ tokens: [{{ name: feeder, sha256: {digest}, roles: ['data:write'], scope: [data/users, 'data/x/team-*'] }}] }}"
    ));
    let put = |path: &str| {
        let headers = [("authorization", "Bearer data-token")];
        http::send("PUT", &server.url(path), &headers, b"{}").status
    };
    let rows = [
        ("/v1/data/users", 204),
        ("/v1/data/users/alice", 204),
        ("/v1/data//users/bob/", 204),
        ("/v1/data/x/team-a", 204),
        ("/v1/data/x/team-a/deep", 204),
        ("/v1/data/usersx", 403),
        ("/v1/data/x", 403),
        ("/v1/data/x/teams", 403),
        ("/v1/data", 403),
        ("/v1/data/users%2Falice", 403),
        ("/v1/data/%75sers", 204),
        ("/v1/policies/p", 403),
    ];
    for (path, status) in rows {
        assert_eq!(put(path), status, "{path}");
    }
}
