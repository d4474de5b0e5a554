//! Bundles that `opa build` and `opa sign` made: they load, and their signatures hold.

use super::folder;
use crate::support::{Options, Server, http};

/// One after the other under the same name.
#[tokio::test]
async fn bundles_made_by_opa_load() {
    let Some(folder) = folder("opa/bundles") else {
        return;
    };
    let server = Server::start();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".tar.gz") {
            let answer = http::put(&server.url("/v1/bundles/b"), &std::fs::read(&path).unwrap());
            assert_eq!(answer.status, 200, "{}: {}", path.display(), answer.body);
            let is_plan = path.ends_with("plan.tar.gz");
            assert_eq!(answer.body.contains("plan.json is ignored"), is_plan);
            count += 1;
        }
    }
    assert!(count > 3, "only {count} bundles were found");
}

/// Each under the key that made it and no other; over a restart too.
#[tokio::test]
async fn signatures_made_by_opa_hold() {
    let Some(folder) = folder("opa/bundles") else {
        return;
    };
    let keys = folder.join("keys");
    let config = |mode: &str, key_id: &str| {
        format!(
            "bundle_verification:\n  mode: {mode}\n  key_id: {key_id}\n  scope: read\n  keys:\n    \
             rs: {{ key_file: {0}/rs256.pub.pem }}\n    \
             es: {{ algorithm: ES256, key_file: {0}/es256.pub.pem }}\n    \
             hs: {{ algorithm: HS256, key: test-secret-0123456789-0123456789 }}\n",
            keys.display()
        )
    };
    let bundle = |name: &str| std::fs::read(folder.join(name)).unwrap();
    for (id, own) in [
        ("rs", "signed-rs256"),
        ("es", "signed-es256"),
        ("hs", "signed-hs256"),
    ] {
        let server = Server::with_config(&config("required", id));
        let url = server.url("/v1/bundles/b");
        for name in ["signed-rs256", "signed-es256", "signed-hs256", "plain"] {
            let answer = http::put(&url, &bundle(&format!("{name}.tar.gz")));
            let expected = if name == own { 200 } else { 400 };
            assert_eq!(answer.status, expected, "{id} {name}: {}", answer.body);
        }
        let data = std::sync::Arc::clone(&server.data);
        drop(server);
        // What is stored is looked at like what is pushed.
        for (id, starts) in [(id, true), ("none", false), ("rs", id == "rs")] {
            let options = Options {
                config: config("required", id),
                data: Some(std::sync::Arc::clone(&data)),
                ..Options::default()
            };
            let started = Server::try_with(options);
            assert_eq!(started.is_ok(), starts, "{id}: {:?}", started.err());
        }
    }
}
