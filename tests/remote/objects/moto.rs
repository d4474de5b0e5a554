//! A server of somebody else's that speaks S3, and checks signatures and permissions as AWS does, where
//! there is one.

use std::path::Path;

use super::*;
use crate::support::python::Script;

struct Store {
    script: Script,
    endpoint: String,
    id: String,
    secret: String,
}

impl Store {
    fn start(file: &Path) -> Option<Self> {
        let mut script = Script::start("serve.py", &[file])?;
        let told = script.json();
        let word = |name: &str| told[name].as_str().unwrap().to_owned();
        Some(Self {
            endpoint: word("endpoint"),
            id: word("id"),
            secret: word("secret"),
            script,
        })
    }

    /// Puts another file in place of the object. Returns its tag.
    fn put(&mut self, file: &Path) -> String {
        self.script.tell(&file.display().to_string());
        self.script.line()
    }
}

#[tokio::test]
async fn a_server_that_checks_as_aws_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, archive: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, archive).unwrap();
        path
    };
    let Some(mut store) = Store::start(&file("one", constant("one", "true"))) else {
        return;
    };
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
