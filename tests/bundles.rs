//! Which bundles get in: those that are signed where that is asked for, and those that own what they
//! bring.

use serde_json::Value;

use crate::support::bundle::{archive, constant, signed};
use crate::support::{Options, Server, http};

const REQUIRED: &str = "bundle_verification:\n  mode: required\n  \
                        keys: { only: { algorithm: HS256, key: secret } }\n";

fn first_error(answer: &Value) -> &str {
    answer["errors"][0]["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn where_signatures_are_required_nothing_unsigned_gets_in() {
    let server = Server::with_config(REQUIRED);
    let answer = http::put(&server.url("/v1/bundles/b"), &constant("1", "true"));
    let answer = answer.expect(400).json();
    assert_eq!(first_error(&answer), "bundle missing .signatures.json file");
    // Native policies cannot carry a signature.
    let object = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                  metadata: { name: a }\nspec: { rules: [{}] }\n";
    for path in [
        "/v1/resources",
        "/v1/resources/AuthorizationPolicy/default/a",
    ] {
        let answer = http::put(&server.url(path), object.as_bytes()).expect(403);
        assert_eq!(answer.json()["code"], "unsigned");
    }
    assert_eq!(http::get(&server.url("/v1/status")).json()["snapshot"], 0);
    assert!(!server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn what_was_stored_unsigned_does_not_start_where_signatures_are_required() {
    let object = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                  metadata: { name: a }\nspec: { rules: [{}] }\n";
    let rows = [
        (
            "/v1/bundles/b",
            constant("1", "true"),
            "bundle missing .signatures.json file",
        ),
        (
            "/v1/resources",
            object.as_bytes().to_vec(),
            "signatures are required",
        ),
    ];
    for (path, body, message) in rows {
        let server = Server::start();
        http::put(&server.url(path), &body).expect(200);
        let data = Some(std::sync::Arc::clone(&server.data));
        drop(server);
        let options = Options {
            config: REQUIRED.to_owned(),
            data,
            ..Options::default()
        };
        let said = Server::try_with(options).err().unwrap();
        assert!(said.contains(message), "{said}");
    }
}

#[tokio::test]
async fn one_bundle_may_have_rules_of_its_own() {
    let config = format!("{REQUIRED}bundles: {{ free: {{ signing: {{ mode: off }} }} }}\n");
    let server = Server::with_config(&config);
    http::put(&server.url("/v1/bundles/free"), &constant("1", "true")).expect(200);
    http::put(&server.url("/v1/bundles/other"), &archive(&[])).expect(400);
}

#[test]
fn verification_that_cannot_work_is_told_at_start() {
    let rows = [
        (
            "{ mode: required }",
            "`bundle_verification.mode`: needs a key",
        ),
        ("{ mode: maybe }", "unknown variant, expected one of `off`"),
        ("{ keys: { a: {} } }", "needs one of `key` and `key_file`"),
        (
            "{ keys: { a: { key: text } } }",
            "is neither a public key nor a certificate",
        ),
        (
            "{ keys: { a: { key_file: /does/not/exist } } }",
            "/does/not/exist: ",
        ),
        (
            "{ keys: { a: { algorithm: none, key: x } } }",
            "unknown signature algorithm: none",
        ),
        (
            "{ key_id: b, keys: { a: { algorithm: HS256, key: x } } }",
            "there is no `b` in `bundle_verification.keys`",
        ),
        ("{ exclude_files: ['a?'] }", "of patterns only `*` is known"),
    ];
    for (section, message) in rows {
        let options = Options {
            config: format!("bundle_verification: {section}\n"),
            ..Options::default()
        };
        let said = Server::try_with(options).err().unwrap();
        assert!(said.contains(message), "{section}: {said}");
        assert!(!said.contains("key: x") && said.contains(": 3"), "{said}");
    }
}

#[tokio::test]
async fn roots_have_one_owner() {
    let server = Server::start();
    let bundle = |roots: &str| {
        let manifest = format!("{{\"roots\": [{roots}]}}");
        archive(&[(".manifest", manifest.as_str())])
    };
    let put = |name: &str, roots: &str| {
        let url = server.url(&format!("/v1/bundles/{name}"));
        http::put(&url, &bundle(roots))
    };
    put("a", "\"a/b\", \"c\"").expect(200);
    let rows = [
        (
            "b",
            "\"a\"",
            "detected overlapping roots in manifests for these bundles: [a, b] (a overlaps a/b)",
        ),
        (
            "b",
            "\"a/b/c\", \"c\"",
            "detected overlapping roots in manifests for these bundles: [a, b] \
             (a/b overlaps a/b/c, root c is in multiple bundles)",
        ),
        (
            "b",
            "\"\"",
            "bundles [a, b] have overlapping roots and cannot be activated simultaneously because \
             bundle(s) [b] specify empty root paths ('') which overlap with any other bundle root",
        ),
    ];
    for (name, roots, message) in rows {
        let answer = put(name, roots).expect(400).json();
        assert_eq!(first_error(&answer), message);
    }
    // Beside each other, and again under its own name.
    put("b", "\"a/c\", \"cc\"").expect(200);
    put("a", "\"a/b/x\"").expect(200);
    put("b", "\"a/b/y\", \"c\"").expect(200);
}

/// A delta changes a bundle that is there, and what it makes is there after a restart.
#[tokio::test]
async fn deltas_change_what_is_there() {
    let server = Server::start();
    let url = server.url("/v1/bundles/b");
    let patch = |value: &str| {
        archive(&[
            (
                ".manifest",
                "{\"revision\": \"2\", \"roots\": [\"envoy\", \"flag\"]}",
            ),
            (
                "patch.json",
                &format!(
                    "{{\"data\": [{{\"op\": \"upsert\", \"path\": \"/flag/on\", \"value\": {value}}}]}}"
                ),
            ),
        ])
    };
    let answer = http::put(&url, &patch("true")).expect(404).json();
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("push it whole first"),
        "{answer}"
    );
    let whole = archive(&[
        (
            ".manifest",
            "{\"revision\": \"1\", \"roots\": [\"envoy\", \"flag\"]}",
        ),
        ("data.json", "{\"flag\": {\"on\": false}}"),
        (
            "policy.rego",
            "package envoy.authz\n\nallow := data.flag.on\n",
        ),
    ]);
    http::put(&url, &whole).expect(200);
    let checks = server.checks().await;
    assert!(!checks.get("/").await.allows());
    let answer = http::put(&url, &patch("true")).expect(200).json();
    assert_eq!(answer["revision"], "2");
    assert!(checks.get("/").await.allows());
    // A bad one changes nothing.
    http::put(&url, &patch("nope")).expect(400);
    assert!(checks.get("/").await.allows());
    let data = Some(std::sync::Arc::clone(&server.data));
    drop(server);
    let server = Server::with(Options {
        data,
        ..Options::default()
    });
    assert!(server.checks().await.get("/").await.allows());
    let status = http::get(&server.url("/v1/bundles/b")).json();
    assert_eq!(status["revision"], "2");
    http::put(&server.url("/v1/bundles/b"), &patch("false")).expect(200);
    assert!(!server.checks().await.get("/").await.allows());
}

/// Where signatures are required, so are those of deltas, and what they make is there after a start.
#[tokio::test]
async fn signed_deltas_get_in_where_signatures_are_required() {
    let server = Server::with_config(REQUIRED);
    let url = server.url("/v1/bundles/b");
    let whole = |revision: &str| {
        signed(&[
            (".manifest", &format!("{{\"revision\": \"{revision}\"}}")),
            ("data.json", "{\"flag\": false}"),
            ("policy.rego", "package envoy.authz\n\nallow := data.flag\n"),
        ])
    };
    let patch = "{\"data\": [{\"op\": \"replace\", \"path\": \"/flag\", \"value\": true}]}";
    http::put(&url, &whole("1")).expect(200);
    let answer = http::put(&url, &archive(&[("patch.json", patch)]))
        .expect(400)
        .json();
    assert_eq!(first_error(&answer), "bundle missing .signatures.json file");
    let checks = server.checks().await;
    assert!(!checks.get("/").await.allows());
    let manifest = "{\"revision\": \"2\", \"metadata\": {\"base_revision\": \"1\"}}";
    let delta = signed(&[("patch.json", patch), (".manifest", manifest)]);
    // It is good once, for what it was made for.
    http::put(&url, &whole("3")).expect(200);
    let answer = http::put(&url, &delta).expect(400).json();
    let error = first_error(&answer);
    assert!(
        error.contains("changes revision '1', and the bundle is at '3'"),
        "{error}"
    );
    http::put(&url, &whole("1")).expect(200);
    http::put(&url, &delta).expect(200);
    http::put(&url, &delta).expect(400);
    assert!(checks.get("/").await.allows());
    let data = Some(std::sync::Arc::clone(&server.data));
    drop(server);
    let server = Server::with(Options {
        config: REQUIRED.to_owned(),
        data,
        ..Options::default()
    });
    assert!(server.checks().await.get("/").await.allows());
    let bundle = http::get(&server.url("/v1/bundles/b")).json();
    assert_eq!(bundle["signed"], true);
}

/// Whoever must sign a bundle has a say in whether it is there.
#[tokio::test]
async fn a_bundle_that_must_be_signed_is_not_taken_away() {
    let server = Server::with_config(
        "bundle_verification: { keys: { only: { algorithm: HS256, key: secret } } }\n\
         bundles: { b: { signing: { mode: required } } }\n",
    );
    let files = [("policy.rego", "package envoy.authz\n\nallow := false\n")];
    let other = archive(&[
        (".manifest", "{\"roots\": [\"other\"]}"),
        ("policy.rego", "package other\n"),
    ]);
    let manifest = (".manifest", "{\"roots\": [\"envoy\"]}");
    let whole = signed(&[files[0], manifest]);
    http::put(&server.url("/v1/bundles/other"), &other).expect(200);
    http::put(&server.url("/v1/bundles/b"), &whole).expect(200);
    let back = server.url("/v1/revisions/1/rollback");
    for answer in [
        http::delete(&server.url("/v1/bundles/b")),
        http::send("POST", &back, &[], b""),
    ] {
        let answer = answer.expect(403).json();
        assert_eq!(answer["code"], "unsigned");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("bundle `b` must be there"), "{message}");
    }
    http::put(&server.url("/v1/bundles/b"), &whole).expect(200);
    http::delete(&server.url("/v1/bundles/other")).expect(200);
    http::get(&server.url("/v1/bundles/b")).expect(200);
}
