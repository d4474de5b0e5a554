//! `doorward bundle`: what it builds and signs is what servers load, and what OPA made it reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Server, doorward, http};
use crate::vectors::folder;

fn run(arguments: &[&str]) -> Output {
    doorward().arg("bundle").args(arguments).output().unwrap()
}

/// Standard output of a command that must work.
#[track_caller]
fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error of a command that must not.
fn failed(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// A folder with files, and paths in it as text.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = folder.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

fn policy_folder() -> Folder {
    Folder::with(&[
        (
            "src/.manifest",
            "{\"revision\": \"old\", \"roots\": [\"envoy\", \"roles\"], \"metadata\": {\"team\": \"a\"}}",
        ),
        (
            "src/authz.rego",
            "package envoy.authz\n\nallow := data.roles.any == \"all\"\n",
        ),
        ("src/roles/data.yaml", "any: all\n"),
        ("src/README.md", "read me"),
        (
            "src/old/authz.rego",
            "package envoy.authz\n\nallow := false\n",
        ),
        ("src/.hidden.rego", "package hidden\n"),
    ])
}

fn inspected(path: &str) -> Value {
    serde_json::from_str(&done(&["inspect", "-f", "json", path])).unwrap()
}

#[tokio::test]
async fn what_is_built_is_the_same_each_time_and_loads() {
    let folder = policy_folder();
    let (source, one, two) = (
        folder.path("src"),
        folder.path("1.tar.gz"),
        folder.path("2.tar.gz"),
    );
    let build = |output: &str| {
        done(&[
            "build", "-b", &source, "-r", "7", "--ignore", "old", "-o", output,
        ]);
    };
    build(&one);
    std::fs::write(folder.path("src/authz.rego.tmp"), "").unwrap();
    build(&two);
    let archive = std::fs::read(&one).unwrap();
    assert_eq!(archive, std::fs::read(&two).unwrap());
    let shown = inspected(&one);
    assert_eq!(
        shown["manifest"],
        json!({"revision": "7", "roots": ["envoy", "roles"], "rego_version": 1, "metadata": {"team": "a"}})
    );
    assert_eq!(
        shown["namespaces"],
        json!({"data": ["/data.json"], "data.envoy.authz": ["/authz.rego"]})
    );
    let table = done(&["inspect", &one]);
    assert!(
        table.contains("data.envoy.authz") && table.contains("/authz.rego"),
        "{table}"
    );

    let server = Server::start();
    let url = format!("http://{}", server.management);
    let said = done(&["push", "b", &one, "--server", &url]);
    assert_eq!(said, "pushed b revision=7 snapshot=1\n");
    assert!(server.checks().await.get("/").await.allows());
    assert_eq!(
        done(&[
            "push",
            "b",
            &source.replace("src", "src/old"),
            "--server",
            &url
        ]),
        "pushed b revision= snapshot=2\n"
    );
    assert!(!server.checks().await.get("/").await.allows());
    // A refusal names the place.
    let bad = Folder::with(&[("p.rego", "package p\n\nallow if {\n")]);
    let (code, said) = failed(&["push", "b", &bad.path(""), "--server", &url]);
    assert_eq!(code, Some(1));
    assert!(said.contains("b/p.rego:4: rego_parse_error"), "{said}");
    let (code, said) = failed(&["push", "b", &one, "--server", &url, "--if-match", "1"]);
    assert_eq!(code, Some(1), "{said}");
    let (code, _) = failed(&["push", "b", &one, "--server", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(3));
    assert_eq!(http::get(&server.url("/v1/status")).json()["snapshot"], 2);
}

#[test]
fn what_cannot_be_a_bundle_is_not_built() {
    let rows = [
        (
            "p.rego",
            "package p\n\nallow := nope(1)\n",
            "undefined function nope",
        ),
        (
            "p.rego",
            "package q\n",
            "manifest roots [p] do not permit 'package q' in module 'p.rego'",
        ),
        (
            "data.json",
            "{\"q\": 1}",
            "manifest roots [p] do not permit data at path '/q'",
        ),
        ("data.json", "{", "unexpected EOF"),
    ];
    for (path, text, message) in rows {
        let folder = Folder::with(&[(path, text)]);
        let output = folder.path("b.tar.gz");
        let (code, said) = failed(&["build", "--root", "p", "-o", &output, &folder.path("")]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(message), "{said}");
        assert!(!Path::new(&output).exists());
    }
    // Two files of one name.
    let folder = Folder::with(&[("a/p.rego", "package a\n"), ("b/p.rego", "package b\n")]);
    let (a, b) = (folder.path("a/p.rego"), folder.path("b/p.rego"));
    let (code, said) = failed(&["build", "-o", &folder.path("b.tar.gz"), &a, &b]);
    assert_eq!(code, Some(3), "{said}");
    // Of folders they keep these.
    let output = folder.path("b.tar.gz");
    done(&["build", "-o", &output, &folder.path("a"), &folder.path("b")]);
    assert_eq!(
        inspected(&output)["namespaces"],
        json!({"data": ["/data.json"], "data.a": ["/a/p.rego"], "data.b": ["/b/p.rego"]})
    );
}

#[test]
fn what_is_signed_verifies_with_its_key_and_scope_only() {
    let folder = policy_folder();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (private, public) = (folder.path("key.pem"), folder.path("pub.pem"));
    std::fs::write(&private, pair.serialize_pem()).unwrap();
    std::fs::write(&public, pair.public_key_pem()).unwrap();
    std::fs::write(folder.path("claims.json"), "{\"iss\": \"ci\"}").unwrap();
    let (source, signed) = (folder.path("src"), folder.path("signed.tar.gz"));
    let by_key = ["--signing-key", &private, "--signing-alg", "ES256"];
    let more = [
        "--claims-file",
        &folder.path("claims.json"),
        "--scope",
        "prod",
    ];
    done(&[&["sign", "-b", &source, "-o", &signed][..], &by_key, &more].concat());
    // The same beside the files.
    done(&[&["sign", &source, "-o", &source][..], &by_key, &more].concat());
    // And in one go.
    let built = folder.path("built.tar.gz");
    done(
        &[
            &["build", "-b", &source, "--ignore", "old", "-o", &built][..],
            &by_key,
            &more,
        ]
        .concat(),
    );
    let verify = |path: &str, key: &str, algorithm: &str, scope: &str| {
        let flags = [
            "--verification-key",
            key,
            "--signing-alg",
            algorithm,
            "--scope",
            scope,
        ];
        run(&[&["verify", path][..], &flags].concat()).status.code()
    };
    for path in [&signed, &source, &built] {
        assert_eq!(verify(path, &public, "ES256", "prod"), Some(0), "{path}");
        assert_eq!(verify(path, &public, "ES256", "test"), Some(1));
        assert_eq!(verify(path, "secret", "HS256", "prod"), Some(1));
        assert_eq!(verify(path, &public, "RS256", "prod"), Some(3));
        assert_eq!(verify(path, "/does/not/exist", "ES256", "prod"), Some(3));
    }
    std::fs::write(folder.path("src/README.md"), "read me!").unwrap();
    assert_eq!(verify(&source, &public, "ES256", "prod"), Some(1));
    let (code, said) = failed(&[
        "verify",
        &folder.path("src/old"),
        "--verification-key",
        &public,
        "--signing-alg",
        "ES256",
    ]);
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "doorward: bundle missing .signatures.json file\n")
    );
}

/// Name and hash of each file in a signature.
fn listed(signatures: &Value) -> BTreeMap<String, String> {
    let token = signatures["signatures"][0].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = payload["files"].as_array().unwrap().iter();
    files
        .map(|file| (text(&file["name"]), text(&file["hash"])))
        .collect()
}

#[test]
fn what_opa_built_and_signed_is_read_and_hashed_as_opa_does() {
    let Some(vectors) = folder("opa/bundles") else {
        return;
    };
    let path = |name: &str| vectors.join(name).display().to_string();
    let secret = "test-secret-0123456789-0123456789";
    let keys = [
        (
            "signed-rs256.tar.gz",
            path("keys/rs256.pub.pem"),
            path("keys/TEST-ONLY-rs256.pem"),
            "RS256",
        ),
        (
            "signed-es256.tar.gz",
            path("keys/es256.pub.pem"),
            path("keys/TEST-ONLY-es256.pem"),
            "ES256",
        ),
        (
            "signed-hs256.tar.gz",
            secret.to_owned(),
            secret.to_owned(),
            "HS256",
        ),
    ];
    let work = Folder::with(&[]);
    for (name, public, private, algorithm) in keys {
        let bundle = path(name);
        let verify = |bundle: &str| {
            done(&[
                "verify",
                bundle,
                "--verification-key",
                &public,
                "--signing-alg",
                algorithm,
                "--scope",
                "read",
            ])
        };
        verify(&bundle);
        let shown = inspected(&bundle);
        assert_eq!(shown["manifest"]["metadata"]["team"], "payments");
        assert_eq!(
            shown["namespaces"]["data.envoy.authz"],
            json!(["/authz.rego"])
        );
        // The same files signed by us.
        let own = work.path("own.tar.gz");
        let key = [
            "--signing-key",
            &private,
            "--signing-alg",
            algorithm,
            "--scope",
            "read",
        ];
        done(&[&["sign", "-b", &bundle, "-o", &own][..], &key].concat());
        assert_eq!(
            listed(&inspected(&own)["signatures_config"]),
            listed(&shown["signatures_config"])
        );
        verify(&own);
        // What we build of it hashes to the same: content and Rego are as they were.
        let built = work.path("built.tar.gz");
        done(&[&["build", "-b", &bundle, "-o", &built][..], &key].concat());
        assert_eq!(
            listed(&inspected(&built)["signatures_config"]),
            listed(&shown["signatures_config"])
        );
    }
    for name in ["plain", "optimized", "plan", "rego-v0", "yaml-data"] {
        let shown = inspected(&path(&format!("{name}.tar.gz")));
        assert!(
            shown["namespaces"]
                .as_object()
                .is_some_and(|all| !all.is_empty()),
            "{name}"
        );
        assert_eq!(shown["warnings"].is_array(), name == "plan", "{name}");
    }
}
