//! Who changes policy at the same time as others: each change has a revision of its own, applies to the
//! one it was meant for, and none is lost.

use doorward::management::{Call, Role, calls};

use crate::support::bundle::{archive, constant, form};
use crate::support::{Server, http};

#[tokio::test]
async fn pushes_at_the_same_time_come_one_after_the_other() {
    let server = Server::start();
    let pushes = (0..8).map(|index| {
        let url = server.url(&format!("/v1/bundles/b{index}"));
        let manifest = format!("{{\"roots\": [\"b{index}\"]}}");
        let rego = format!("package b{index}\n\nx := 1\n");
        let bundle = archive(&[(".manifest", &manifest), ("p.rego", &rego)]);
        std::thread::spawn(move || {
            http::put(&url, &bundle).expect(200).json()["snapshot"]
                .as_u64()
                .unwrap()
        })
    });
    let pushes: Vec<_> = pushes.collect();
    let mut snapshots: Vec<_> = pushes
        .into_iter()
        .map(|push| push.join().unwrap())
        .collect();
    snapshots.sort_unstable();
    assert_eq!(snapshots, (1..=8).collect::<Vec<_>>());
    assert_eq!(
        http::get(&server.url("/v1/bundles")).json()["bundles"]
            .as_array()
            .unwrap()
            .len(),
        8
    );
}

#[tokio::test]
async fn of_two_changes_for_the_same_revision_one_is_stale() {
    let server = Server::start();
    let url = server.url("/v1/bundles/b");
    let push = |revision: &str| {
        http::send(
            "PUT",
            &url,
            &[("if-match", revision)],
            &constant("r", "true"),
        )
    };
    push("0").expect(200);
    let answer = push("\"0\"").expect(412);
    assert_eq!(answer.headers["etag"], "\"1\"");
    let answer = answer.json();
    assert_eq!(answer["message"], "the active revision is 1, not 0");
    assert_eq!(answer["snapshot"], 1);
    push("1").expect(200);
    push("x").expect(400);
}

/// Every write can be made for one revision only, and every read tells which that is.
#[test]
fn every_write_heeds_if_match_and_every_read_tells_the_revision() {
    let server = Server::start();
    let object = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                  metadata: { name: a }\nspec: { rules: [] }\n";
    let (forms, form) = form(&[("b", &constant("s", "true"))]);
    let bundle = constant("s", "true");
    let one = "/v1/resources/AuthorizationPolicy/default/a";
    let patch = r#"[{"op": "add", "path": "/x", "value": 1}]"#;
    // In an order in which each of them can be done.
    let writes: [(&str, &str, &str, &[u8]); 14] = [
        ("PUT", "/v1/bundles", &form, &forms),
        ("PUT", "/v1/bundles/b", "application/gzip", &bundle),
        (
            "PUT",
            "/v1/resources",
            "application/yaml",
            object.as_bytes(),
        ),
        ("PUT", one, "application/yaml", object.as_bytes()),
        (
            "PUT",
            "/v1/policies/p",
            "text/plain",
            b"package p\nx := 1\n",
        ),
        ("PUT", "/v1/data/d", "application/json", b"{}"),
        ("PATCH", "/v1/data/d", "application/json", patch.as_bytes()),
        ("DELETE", "/v1/data/d", "", b""),
        ("DELETE", "/v1/policies/p", "", b""),
        ("DELETE", one, "", b""),
        ("DELETE", "/v1/bundles/b", "", b""),
        ("PUT", "/v1/data", "application/json", br#"{"d": 1}"#),
        ("PATCH", "/v1/data", "application/json", patch.as_bytes()),
        ("POST", "/v1/revisions/6/rollback", "", b""),
    ];
    let tried: Vec<_> = writes
        .iter()
        .map(|(method, path, ..)| (*method, *path))
        .collect();
    for call in calls().iter().filter(|call| is_change(call)) {
        let path = path(call.path);
        let method = call.method.as_str();
        assert!(
            tried.contains(&(method, path.as_str())),
            "{method} {path} is not tried"
        );
    }
    let send = |method: &str, path: &str, kind: &str, revision: &str, body: &[u8]| {
        let headers = [("if-match", revision), ("content-type", kind)];
        http::send(method, &server.url(path), &headers, body)
    };
    let active = || {
        let status = http::get(&server.url("/v1/status")).expect(200);
        status.json()["snapshot"].as_u64().unwrap()
    };
    for (method, path, kind, body) in writes {
        let before = active();
        let answer = send(method, path, kind, "\"4711\"", body).expect(412);
        assert_eq!(answer.json()["snapshot"], before, "{method} {path}");
        assert_eq!(
            answer.headers["etag"],
            format!("\"{before}\""),
            "{method} {path}"
        );
        let answer = send(method, path, kind, &format!("\"{before}\""), body);
        assert!(
            matches!(answer.status, 200 | 204),
            "{method} {path}: {answer:?}"
        );
        // The same object again is no revision.
        let is_new = (method, path) != ("PUT", one);
        assert_eq!(active(), before + u64::from(is_new), "{method} {path}");
        assert_eq!(
            answer.headers["etag"],
            format!("\"{}\"", active()),
            "{method} {path}"
        );
    }
    let tag = format!("\"{}\"", active());
    for path in [
        "/v1/bundles",
        "/v1/bundles/b",
        "/v1/resources",
        one,
        "/v1/policies",
        "/v1/policies/p",
        "/v1/data",
        "/v1/data/d",
        "/v1/data/nothing",
        "/v1/revisions",
        "/v1/status",
    ] {
        let answer = http::get(&server.url(path)).expect(200);
        assert_eq!(answer.headers["etag"], tag, "{path}");
    }
}

fn is_change(call: &Call) -> bool {
    let role = call.need.role();
    matches!(role, Some(Role::PoliciesWrite | Role::DataWrite))
}

/// A path of the calls that are tried.
fn path(pattern: &str) -> String {
    pattern
        .replace("{kind}", "AuthorizationPolicy")
        .replace("{namespace}", "default")
        .replace(
            "/resources/AuthorizationPolicy/default/{name}",
            "/resources/AuthorizationPolicy/default/a",
        )
        .replace("{name}", "b")
        .replace("{*id}", "p")
        .replace("{*path}", "d")
        .replace("{number}", "6")
}
