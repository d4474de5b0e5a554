//! `make run`, up to the table: the first thing a newcomer sees.

use std::process::Command;

use crate::support::root;

#[test]
fn the_quickstart_shows_five_requests_decided() {
    let Some(envoy) = crate::envoy::envoy_binary() else {
        return;
    };
    let output = Command::new("python3")
        .current_dir(root())
        .args(["tools/quickstart.py", "--once", "--free-ports", "--binary"])
        .arg(env!("CARGO_BIN_EXE_doorward"))
        .env("DOORWARD_ENVOY", envoy)
        .output()
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{complained}");
    for row in [
        "foo/require-jwt",
        "foo/jwt-example",
        "foo/no-delete",
        "envoy/authz/allow",
    ] {
        assert!(said.contains(row), "{row} is missing:\n{said}");
    }
}
