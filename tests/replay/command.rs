//! `doorward replay`, and `doorward bundle push` that is kept back.

use std::path::Path;

use serde_json::Value;

use super::{GET, IS_GET, POST, WHOLE, allowing, decided, revision};
use crate::support::doorward;

/// Exit code, what was printed, and what was said.
fn run(server: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{server}");
    let output = doorward()
        .args(arguments)
        .args(["--server", &url])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn the_command_tells_what_would_change() {
    let server = decided(WHOLE, IS_GET, &[GET, POST, GET]).await;
    let folder = tempfile::tempdir().unwrap();
    let at = server.management.clone();
    let replay = |arguments: &[&str]| run(&at, &[&["replay"], arguments].concat());
    let file = |name: &str, bytes: &[u8]| write(folder.path(), name, bytes);
    let same = file("same.tar.gz", &allowing("same", "req.method != \"POST\""));
    let other = file("other.tar.gz", &allowing("other", "true"));
    let broken = file("broken.tar.gz", &allowing("broken", "if if"));
    let deny = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: { name: NAME, namespace: default }\n\
                spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/a] } }] }] }\n";
    let one = file("one.yaml", deny.replace("NAME", "one").as_bytes());
    let two = file("two.yaml", deny.replace("NAME", "two").as_bytes());

    let (code, printed, said) = replay(&["--bundle", &same, "--name", "b", "--since", "1h"]);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{printed}");
    assert_eq!(
        printed,
        "3 decisions, held against revision 1: 3 same, 0 changed, 0 undetermined, 0 drifted\n"
    );
    let (code, printed, _) = replay(&["--bundle", &other, "--name", "b"]);
    assert_eq!(code, Some(1));
    let lines: Vec<_> = printed.lines().collect();
    assert!(
        lines[1].starts_with(
            "1 changed_to_allow  default/web: deny 403 rego envoy/authz/allow  →  allow 200"
        ),
        "{printed}"
    );
    assert!(
        lines[2].contains("POST") && lines[2].contains("/b?x=1"),
        "{printed}"
    );
    let (code, printed, _) = replay(&["--resources", &one, &two, "--output", "json"]);
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["changed"]["changed_to_deny"], 2);
    let (code, ..) = replay(&["--resources", &one, "--method", "POST"]);
    assert_eq!(code, Some(0));
    let (code, _, said) = replay(&["--candidate", "revision/1", "--limit", "1"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("a larger `--limit`"), "{said}");

    for (arguments, expected, why) in [
        (vec![], 2, "required"),
        (vec!["--bundle", &other], 2, "--name"),
        (vec!["--bundle", &other, "--name", "a/b"], 2, "not a name"),
        (vec!["--candidate", "bundle/b"], 2, "neither"),
        (vec!["--candidate", "shadow/b"], 3, "there is no shadow"),
        (vec!["--candidate", "revision/x"], 2, "candidate"),
        (vec!["--resources", &one, "--since", "soon"], 2, "since"),
        (vec!["--resources", "/nowhere"], 3, "/nowhere"),
        (
            vec!["--resources", &one, "--candidate", "shadow/b"],
            2,
            "cannot be used with",
        ),
        (vec!["--bundle", &broken, "--name", "b"], 3, "b/p.rego:7"),
    ] {
        let (code, _, said) = replay(&arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }

    let push = |path: &str, more: &[&str]| {
        let arguments = [
            &["bundle", "push", "b", path, "--require-replay", "1h"],
            more,
        ]
        .concat();
        run(&at, &arguments)
    };
    let (code, _, said) = push(&other, &["--max-changes", "0"]);
    assert_eq!((code, revision(&server)), (Some(1), 1));
    assert!(said.contains("1 decisions since 1h would change"), "{said}");
    assert!(said.contains("1 changed_to_allow  default/web"), "{said}");
    let (code, printed, _) = push(&other, &["--max-changes", "1", "--max-undetermined", "0"]);
    assert_eq!((code, revision(&server)), (Some(0), 2), "{printed}");
}
