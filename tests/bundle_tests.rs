//! Bundles that carry tests: with `rego.run_bundle_tests` a test that fails keeps its bundle out.

use crate::support::bundle::archive;
use crate::support::{Options, Server, http, root};

const RUN: &str = "rego: { run_bundle_tests: true }";

const POLICY: &str = "\
package envoy.authz

default allow := false

allow if input.attributes.request.http.method == data.envoy.method
";

const PASSING: &str = "\
package envoy.authz_test

import data.envoy.authz

todo_test_later if false

test_get if authz.allow with input.attributes.request.http.method as \"GET\"
";

fn bundle(tests: &str, method: &str) -> Vec<u8> {
    archive(&[
        (".manifest", "{\"roots\": [\"envoy\"]}"),
        ("envoy/authz.rego", POLICY),
        ("envoy/authz_test.rego", tests),
        ("envoy/data.json", &format!("{{\"method\": \"{method}\"}}")),
    ])
}

#[tokio::test]
async fn a_test_that_fails_keeps_its_bundle_out() {
    let server = Server::with_config(RUN);
    let url = server.url("/v1/bundles/b");
    http::put(&url, &bundle(PASSING, "GET")).expect(200);
    let snapshot = || http::get(&server.url("/v1/status")).json()["snapshot"].clone();
    let before = snapshot();
    let rows = [
        // The data is not what the test is about.
        (
            bundle(PASSING, "POST"),
            "test data.envoy.authz_test.test_get failed",
            7,
        ),
        (
            bundle(
                "package envoy.t\n\ntest_each[n] if {\n\tsome n in [1, 2, 3]\n\tn < 2\n}\n",
                "GET",
            ),
            "test data.envoy.t.test_each failed: 2, 3",
            3,
        ),
        (
            bundle(
                "package envoy.t\n\nx := y if some y in [1, 2]\n\ntest_x if x == 1\n",
                "GET",
            ),
            "test data.envoy.t.test_x had an error: eval_conflict_error",
            5,
        ),
    ];
    for (bundle, message, row) in rows {
        let answer = http::put(&url, &bundle).expect(400).json();
        assert_eq!(answer["code"], "invalid_parameter");
        let error = &answer["errors"][0];
        assert_eq!(error["code"], "test_error", "{error}");
        assert!(
            error["message"].as_str().unwrap().starts_with(message),
            "{error}"
        );
        assert_eq!(error["location"]["file"], "b/envoy/authz_test.rego");
        assert_eq!(error["location"]["row"], row, "{error}");
        assert_eq!(snapshot(), before);
    }
    // What is pushed beside it is not kept out by tests of others, and has none itself.
    let other = archive(&[
        (".manifest", "{\"roots\": [\"o\"]}"),
        ("o.rego", "package o\n\nx := 1\n"),
    ]);
    http::put(&server.url("/v1/bundles/o"), &other).expect(200);
    assert!(server.said().contains("the tests of bundles have ended"));
}

#[tokio::test]
async fn a_test_that_does_not_end_keeps_its_bundle_out() {
    let server = Server::with_config(RUN);
    let slow = "package envoy.t\n\ntest_slow if {\n\tsome x in numbers.range(1, 9999)\n\tsome y in numbers.range(1, 9999)\n\tsome z in numbers.range(1, 9999)\n\tx + y + z == 0\n}\n";
    let answer = http::put(&server.url("/v1/bundles/b"), &bundle(slow, "GET")).expect(400);
    assert!(answer.body.contains("eval_cancel_error"), "{}", answer.body);
}

#[tokio::test]
async fn tests_are_only_run_where_that_is_set() {
    let server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &bundle(PASSING, "POST")).expect(200);
}

#[tokio::test]
async fn bundles_of_files_are_tested_at_the_start() {
    let path = root().join("bundles/rbac").display().to_string();
    let start = |path: &str| {
        Server::try_with(Options {
            config: RUN.to_owned(),
            arguments: vec!["--bundle".to_owned(), path.to_owned()],
            ..Options::default()
        })
    };
    assert!(start(&path).is_ok());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("x_test.rego"),
        "package x\n\ntest_it if false\n",
    )
    .unwrap();
    let said = start(folder.path().to_str().unwrap()).err().unwrap();
    assert!(said.contains("test data.x.test_it failed"), "{said}");
}
