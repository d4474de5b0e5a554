//! A push that cannot be used is refused with its place, and changes nothing.

use serde_json::{Value, json};

use crate::support::bundle::{archive, constant, gzip, header};
use crate::support::{Server, http};

/// Pushes a bad bundle over a good one and returns the error's first entry.
fn refused(server: &Server, bundle: &[u8]) -> Value {
    let url = server.url("/v1/bundles/b");
    let before = http::get(&server.url("/v1/status")).json()["snapshot"].clone();
    let answer = http::put(&url, bundle).expect(400).json();
    assert_eq!(
        http::get(&server.url("/v1/status")).json()["snapshot"],
        before
    );
    assert_eq!(answer["code"], "invalid_parameter");
    answer["errors"][0].clone()
}

#[tokio::test]
async fn bundles() {
    let server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &constant("good", "true")).expect(200);
    let rego = |text: &str| archive(&[("a/policy.rego", text)]);
    // Bundle, part of the message, file and line.
    let rows: Vec<(Vec<u8>, &str, Option<(&str, u64)>)> = vec![
        (b"not gzip".to_vec(), "gzip", None),
        (
            gzip(
                b"not tar, but long enough to be looked at as one"
                    .repeat(20)
                    .as_slice(),
            ),
            "archive",
            None,
        ),
        (
            rego("package a\n\nallow if {\n"),
            "",
            Some(("b/a/policy.rego", 4)),
        ),
        (
            rego("package a\n\nallow := nope(1)\n"),
            "undefined function nope",
            Some(("b/a/policy.rego", 3)),
        ),
        (
            rego("package a\n\nallow := http.send({}).ok\n"),
            "http.send reaches outside, which needs `rego.http_send: true`",
            Some(("b/a/policy.rego", 3)),
        ),
        (
            archive(&[("data.json", "{\"a\":\n 1,}")]),
            "invalid character '}' looking for beginning of object key string",
            Some(("b/data.json", 2)),
        ),
        (
            archive(&[("data.json", "[1]")]),
            "object",
            Some(("b/data.json", 0)),
        ),
        (
            archive(&[(".manifest", "{\"roots\": [\"a\", \"a/b\"]}")]),
            "overlapped roots",
            Some(("b/.manifest", 0)),
        ),
        (
            archive(&[
                (".manifest", "{\"roots\": [\"a\"]}"),
                ("b/data.json", "{\"x\": 1}"),
            ]),
            "do not permit data at path '/b/x'",
            Some(("b/b/data.json", 0)),
        ),
        (
            archive(&[
                (".manifest", "{\"roots\": [\"a\"]}"),
                ("x.rego", "package b\n\nallow := true\n"),
            ]),
            "do not permit 'package b'",
            Some(("b/x.rego", 1)),
        ),
    ];
    for (bundle, message, place) in rows {
        let error = refused(&server, &bundle);
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{message}: {error}"
        );
        if let Some((file, row)) = place {
            assert_eq!(error["location"]["file"], file, "{error}");
            assert_eq!(error["location"]["row"], row, "{error}");
        }
    }
    assert!(server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn archives_with_tricks() {
    let server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &constant("good", "true")).expect(200);
    let entry = |path: &str, kind| {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header(path, 0, kind), &b""[..]).unwrap();
        gzip(&tar.into_inner().unwrap())
    };
    let regular = tar::EntryType::Regular;
    let rows = [
        ("..", entry("../policy.rego", regular)),
        ("inner ..", entry("a/../policy.rego", regular)),
        ("empty segment", entry("a//policy.rego", regular)),
        ("two leading slashes", entry("//policy.rego", regular)),
        ("dot", entry("a/./policy.rego", regular)),
        ("backslash", entry("a\\policy.rego", regular)),
        ("control character", entry("a\x01.rego", regular)),
        (
            "symbolic link",
            entry("policy.rego", tar::EntryType::Symlink),
        ),
        ("hard link", entry("policy.rego", tar::EntryType::Link)),
        ("device", entry("policy.rego", tar::EntryType::Char)),
        (
            "twice",
            archive(&[("data.json", "{}"), ("./data.json", "{}")]),
        ),
        (
            "twice but for case",
            archive(&[("a.rego", "package a"), ("A.rego", "package a")]),
        ),
    ];
    for (name, bundle) in rows {
        let error = refused(&server, &bundle);
        assert_eq!(error["code"], "bundle_error", "{name}: {error}");
    }
    // What OPA writes is no trick.
    let fine = archive(&[
        ("/.manifest", "{}"),
        ("./data.json", "{}"),
        ("/p.rego", "package p"),
    ]);
    http::put(&server.url("/v1/bundles/b"), &fine).expect(200);
}

#[tokio::test]
async fn a_decompression_bomb() {
    let server = Server::start();
    // One gigabyte of zeros in about five megabytes; the limit is half of it.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![0; 1 << 20];
    for _ in 0..1024 {
        std::io::Write::write_all(&mut encoder, &block).unwrap();
    }
    let error = refused(&server, &encoder.finish().unwrap());
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("decompresses to more than"),
        "{error}"
    );
}

#[tokio::test]
async fn resources() {
    let server = Server::start();
    let url = server.url("/v1/resources");
    let policy = |spec: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: a\nspec:\n{spec}"
        )
    };
    http::put(&url, policy("  rules: [{}]\n").as_bytes()).expect(200);
    let bomb: String = (1..12).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, level| {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            format!("{text}a{level}: &a{level} [{below}]\n")
        },
    );
    let rows = [
        (policy("  rulez: [{}]\n"), 6, "unknown field `rulez`"),
        (
            policy("  rules:\n  - from:\n    - source:\n        principal: [a]\n"),
            9,
            "unknown field `principal`",
        ),
        (policy("  rules:\n  - from: []\n"), 7, "must not be empty"),
        (
            policy(
                "  rules:\n  - from:\n    - source:\n        ipBlocks: [10.0.0.0/8, 10.0.0.0/99]\n",
            ),
            9,
            "bad CIDR range",
        ),
        (policy("  action: DENY\n"), 5, "never triggers"),
        (
            format!("{0}---\n{0}", policy("  rules: [{}]\n")),
            11,
            "AuthorizationPolicy/default/a is there twice",
        ),
        (
            policy("  rules: [{}]\n").replace("security.istio.io/v1", "security.istio.io/v9"),
            1,
            "security.istio.io/v9",
        ),
        (
            policy("  rules: [{}]\n").replace("AuthorizationPolicy", "Secret"),
            2,
            "`Secret` is neither",
        ),
        (
            policy("  rules: [{}]\n").replace("AuthorizationPolicy", "NetworkPolicy"),
            2,
            "network plugin",
        ),
        (policy("  rules: [\n"), 6, "unclosed bracket"),
        (bomb, 0, ""),
    ];
    for (yaml, row, message) in rows {
        let before = http::get(&url).json();
        let answer = http::put(&url, yaml.as_bytes()).expect(400).json();
        let error = &answer["errors"][0];
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{message}: {answer}"
        );
        assert!(
            row == 0 || error["location"]["row"] == row,
            "{message}: {answer}"
        );
        assert_eq!(http::get(&url).json(), before);
    }
}

#[tokio::test]
async fn one_bad_object_keeps_all_others_out() {
    let server = Server::start();
    let url = server.url("/v1/resources");
    let object = |name: &str, rules: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: {name} }}\nspec: {{ rules: {rules} }}\n"
        )
    };
    let body =
        object("good", "[{}]") + &object("bad", "[{ to: [{ operation: { ports: [http] } }] }]");
    http::put(&url, body.as_bytes()).expect(400);
    assert_eq!(http::get(&url).json()["resources"], serde_json::json!([]));
    // The same name twice is no change either, however it is written.
    let (first, second) = (object("a", "[{}]"), object("a", "[]"));
    let with_namespace = second.replace("name: a", "name: a, namespace: default");
    let item = |name: &str| {
        json!({
            "apiVersion": "security.istio.io/v1beta1", "kind": "AuthorizationPolicy",
            "metadata": {"name": name}, "spec": {"rules": []},
        })
    };
    let list = |names: [&str; 2]| {
        let items = names.map(item);
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    };
    for (body, query) in [
        (format!("{first}{second}"), ""),
        (format!("{first}{second}"), "?prune=true"),
        (format!("{first}{first}"), ""),
        (format!("{first}{}{with_namespace}", object("b", "[]")), ""),
        (list(["a", "a"]), ""),
        (format!("{first}---\n{}", list(["b", "a"])), ""),
    ] {
        let answer = http::put(&format!("{url}{query}"), body.as_bytes());
        let answer = answer.expect(400).json();
        let message = answer["errors"][0]["message"].as_str().unwrap();
        let told = "AuthorizationPolicy/default/a is there twice";
        assert!(message.contains(told), "{body}: {message}");
        assert_eq!(http::get(&url).json()["resources"], json!([]));
    }
}

#[tokio::test]
async fn calls_that_make_no_sense() {
    let server = Server::start();
    let rows = [
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/bundles", 405),
        ("GET", "/v1/bundles/absent", 404),
        ("DELETE", "/v1/bundles/absent", 404),
        ("GET", "/v1/resources/Nothing/default/a", 404),
        ("GET", "/v1/resources/AuthorizationPolicy/default/a", 404),
        ("DELETE", "/v1/resources/AuthorizationPolicy/default/a", 404),
        ("GET", "/v1/revisions/1", 404),
        ("GET", "/v1/revisions/1/rollback", 405),
        ("POST", "/v1/revisions/1/rollback", 404),
        ("POST", "/v1/revisions/0/rollback", 404),
        ("POST", "/v1/revisions/9223372036854775808/rollback", 404),
        ("POST", "/v1/revisions/18446744073709551615/rollback", 404),
        ("POST", "/v1/revisions/18446744073709551616/rollback", 400),
        ("POST", "/v1/revisions/-1/rollback", 400),
        ("POST", "/v1/revisions/last/rollback", 400),
        ("GET", "/v1/audit?limit=0", 400),
        ("GET", "/v1/audit?limit=1001", 400),
        ("GET", "/v1/audit?before=x", 400),
        ("GET", "/v1/audit?since=1h", 400),
        ("DELETE", "/v1/audit", 405),
        ("GET", "/v1/decisions?effect=maybe", 400),
        ("GET", "/v1/decisions?limit=0", 400),
        ("GET", "/v1/decisions?limit=1001", 400),
        ("GET", "/v1/decisions?since=yesterday", 400),
        ("GET", "/v1/decisions?cursor=x", 400),
        ("GET", "/v1/decisions?colour=red", 400),
        ("GET", "/v1/decisions/no-uuid", 400),
        ("GET", "/v1/resources?kind=Nothing", 400),
        ("PUT", "/v1/resources?prune=maybe", 400),
        ("PUT", "/v1/resources?dry_run=true", 400),
        ("PUT", "/v1/resources", 400),
        // Not taken for the wish to have no policy at all.
        ("PUT", "/v1/resources?prune=true", 400),
        (
            "GET",
            "/v1/decisions/8f14e45f-ceea-467f-a0e6-000000000000",
            404,
        ),
    ];
    for (method, path, status) in rows {
        let answer = http::send(method, &server.url(path), &[], b"");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(
            answer.json()["code"].is_string(),
            "{method} {path}: {}",
            answer.body
        );
    }
    http::put(&server.url("/v1/bundles/na%20me"), &constant("1", "true")).expect(400);
    http::put(&server.url("/v1/bundles/.."), &constant("1", "true")).expect(400);
}

/// Data that stands where a rule does would silently win over it.
#[tokio::test]
async fn data_cannot_replace_a_rule() {
    let server = Server::start();
    let bundle = archive(&[
        ("p.rego", "package envoy.authz\n\nallow := false\n"),
        ("data.json", "{\"envoy\": {\"authz\": {\"allow\": true}}}"),
    ]);
    let answer = http::put(&server.url("/v1/bundles/b"), &bundle)
        .expect(400)
        .json();
    assert_eq!(
        answer["errors"][0]["message"],
        "conflicting rule for data path envoy/authz/allow found"
    );
    assert!(!server.checks().await.get("/").await.allows());
}

/// Headers that would make another reader see another archive.
#[tokio::test]
async fn extended_headers_that_change_sizes() {
    let server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &constant("good", "true")).expect(200);
    for (key, value) in [("size", &b"1"[..]), ("GNU.sparse.name", b"other")] {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_pax_extensions([(key, value)]).unwrap();
        tar.append(&header("policy.rego", 0, tar::EntryType::Regular), &b""[..])
            .unwrap();
        let error = refused(&server, &gzip(&tar.into_inner().unwrap()));
        assert_eq!(error["code"], "bundle_error", "{key}: {error}");
    }
}
