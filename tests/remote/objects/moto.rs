//! A server of somebody else's that speaks S3, and checks signatures and permissions as AWS does. It comes
//! from `DOORWARD_STORES` (`make test` sets it); without it this test says so and passes, unless
//! `DOORWARD_REQUIRE_STORES` is set.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::*;
use crate::support::root;

/// Where the server's modules are, if they are anywhere.
fn modules() -> Option<PathBuf> {
    match std::env::var_os("DOORWARD_STORES").filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None if std::env::var_os("DOORWARD_REQUIRE_STORES").is_some() => {
            panic!("DOORWARD_REQUIRE_STORES is set, but DOORWARD_STORES names no folder")
        }
        None => {
            eprintln!(
                "NOT RUN: a server of S3, as DOORWARD_STORES is not set (`make test` sets it)"
            );
            None
        }
    }
}

/// It ends with its input.
struct Store {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    endpoint: String,
    id: String,
    secret: String,
}

impl Store {
    fn start(modules: &Path, file: &Path) -> Self {
        let python = modules.parent().unwrap().join("bin/python");
        let mut process = Command::new(python)
            .arg(root().join("tests/stores/serve.py"))
            .arg(file)
            .env("PYTHONPATH", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut store = Self {
            input: process.stdin.take(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
            endpoint: String::new(),
            id: String::new(),
            secret: String::new(),
        };
        let told: Value = serde_json::from_str(&store.line()).unwrap();
        let word = |name: &str| told[name].as_str().unwrap().to_owned();
        (store.endpoint, store.id, store.secret) = (word("endpoint"), word("id"), word("secret"));
        store
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Puts another file in place of the object. Returns its tag.
    fn put(&mut self, file: &Path) -> String {
        writeln!(self.input.as_mut().unwrap(), "{}", file.display()).unwrap();
        self.line()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
async fn a_server_that_checks_as_aws_does() {
    let Some(modules) = modules() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, archive: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, archive).unwrap();
        path
    };
    let mut store = Store::start(&modules, &file("one", constant("one", "true")));
    let config = |path: &str, id: &str, secret: &str| {
        let endpoint = &store.endpoint;
        format!(
            "bundles: {{ main: {{ url: \"s3://policy/{path}\", {OFTEN}, object_store: {{ endpoint: \
             \"{endpoint}\" }}, credentials: {{ aws: {{ access_key_id: {id}, secret_access_key: \
             \"{secret}\" }} }} }} }}\n"
        )
    };
    let (id, secret) = (store.id.clone(), store.secret.clone());
    let good = server(config("prod/main.tar.gz", &id, &secret), &[]);
    let wrong = server(config("prod/main.tar.gz", &id, "other"), &[]);
    let absent = server(config("prod/a%20b/+/%C3%A9.tar.gz", &id, &secret), &[]);
    ready(&good).await;
    assert_eq!(revision(&good), "one");
    let etag = source(&good)["etag"].clone();
    eventually("an answer", || !message(&wrong).is_empty()).await;
    let said = message(&wrong);
    assert_eq!(
        said,
        "server replied with Forbidden (SignatureDoesNotMatch)"
    );
    // Rule: a path is signed as it is sent, whatever stands in it.
    eventually("an answer", || !message(&absent).is_empty()).await;
    let said = message(&absent);
    assert_eq!(said, "server replied with Not Found (NoSuchKey)");

    let other = store.put(&file("two", constant("two", "true")));
    eventually("the new revision", || revision(&good) == "two").await;
    eventually("its tag", || source(&good)["etag"] == other.as_str()).await;
    assert_ne!(etag, other);
    let metrics = || http::get(&good.url("/metrics")).body;
    let unchanged = "doorward_bundle_requests_total{bundle=\"main\",result=\"unchanged\"}";
    eventually("an answer 304", || metrics().contains(unchanged)).await;
}
