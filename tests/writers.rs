//! Who changes policy at the same time as others: each change has a revision of its own, applies to the
//! one it was meant for, and none is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward::management::{Call, Role, calls};

use crate::support::bundle::{archive, constant, form};
use crate::support::{Options, Server, http};

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
    let tried_out = constant("s", "false");
    let gzip = "application/gzip";
    let writes: [(&str, &str, &str, &[u8]); 16] = [
        ("PUT", "/v1/bundles", &form, &forms),
        ("PUT", "/v1/bundles/b", gzip, &bundle),
        ("PUT", "/v1/bundles/b?mode=shadow", gzip, &tried_out),
        ("POST", "/v1/bundles/b/promote", "", b""),
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
    // One with a slash at its end is the same call.
    pattern
        .trim_end_matches('/')
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

/// One thing that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    kind: Kind,
    slot: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bundle,
    Resource,
    Policy,
    Data,
}

impl Target {
    /// One of each kind after the other.
    fn of(writer: usize) -> Self {
        let kinds = [Kind::Bundle, Kind::Resource, Kind::Policy, Kind::Data];
        Self {
            kind: kinds[writer % 4],
            slot: writer / 4 % 5,
        }
    }

    fn path(self) -> String {
        let slot = self.slot;
        match self.kind {
            Kind::Bundle => format!("/v1/bundles/b{slot}"),
            Kind::Resource => format!("/v1/resources/AuthorizationPolicy/default/r{slot}"),
            Kind::Policy => format!("/v1/policies/p{slot}"),
            Kind::Data => format!("/v1/data/d{slot}"),
        }
    }

    /// What puts a value there.
    fn body(self, value: usize) -> Vec<u8> {
        let slot = self.slot;
        let policy = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: r{slot}, annotations: {{ value: '{value}' }} }}\nspec: {{ rules: [] }}\n"
        );
        match self.kind {
            Kind::Bundle => {
                let manifest = format!("{{\"revision\": \"{value}\", \"roots\": [\"b{slot}\"]}}");
                archive(&[(".manifest", &manifest)])
            }
            Kind::Resource => policy.into(),
            Kind::Policy => format!("package p{slot}\n\nvalue := {value}\n").into(),
            Kind::Data => value.to_string().into(),
        }
    }

    /// The value there.
    fn value(self, server: &Server) -> usize {
        let slot = self.slot;
        let path = match self.kind {
            Kind::Policy => format!("/v1/data/p{slot}/value"),
            _ => self.path(),
        };
        let found = http::get(&server.url(&path)).expect(200).json();
        let value = match self.kind {
            Kind::Bundle => found["revision"].clone(),
            Kind::Resource => found["metadata"]["annotations"]["value"].clone(),
            Kind::Policy | Kind::Data => found["result"].clone(),
        };
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| value.to_string()).parse().unwrap()
    }
}

/// What was acknowledged.
#[derive(Debug)]
struct Written {
    target: Target,
    value: usize,
    revision: u64,
    /// The revision that it was for, if for one.
    wanted: Option<u64>,
}

/// Writes once, from an address of its own; or tells the active revision.
async fn write(server: &str, writer: usize, wanted: Option<u64>) -> Result<Written, u64> {
    let (target, value) = (Target::of(writer), writer + 1000);
    let from = [127, 0, 20, u8::try_from(writer + 1).unwrap()];
    let tag = wanted.map(|revision| format!("\"{revision}\""));
    let headers: Vec<_> = tag.iter().map(|tag| ("if-match", tag.as_str())).collect();
    let body = target.body(value);
    let answer = http::send_from(from, server, "PUT", &target.path(), &headers, &body).await;
    let told = answer.headers["etag"].to_str().unwrap().trim_matches('"');
    let revision = told.parse().unwrap();
    match answer.status {
        200 | 204 => Ok(Written {
            target,
            value,
            revision,
            wanted,
        }),
        412 => Err(revision),
        other => panic!("{target:?}: {other} {}", answer.body),
    }
}

/// Rule: acknowledged revisions follow each other without a gap, each change that was for a revision
/// made the next one, and of each thing the last that was acknowledged is there.
fn check(server: &Server, base: u64, mut written: Vec<Written>) {
    written.sort_by_key(|written| written.revision);
    let revisions: Vec<_> = written.iter().map(|written| written.revision).collect();
    let expected: Vec<_> = (base + 1..).take(written.len()).collect();
    assert_eq!(revisions, expected);
    for written in &written {
        let is_next = written
            .wanted
            .is_none_or(|wanted| wanted + 1 == written.revision);
        assert!(is_next, "{written:?}");
    }
    let last: BTreeMap<_, _> = written
        .iter()
        .map(|written| (written.target, written.value))
        .collect();
    for (target, value) in last {
        assert_eq!(target.value(server), value, "{target:?}");
    }
    let history = http::get(&server.url("/v1/revisions")).expect(200).json();
    assert_eq!(history["active"], revisions.last().copied().unwrap_or(base));
    let mut recorded = Vec::new();
    let mut before = u64::MAX;
    while before > 1 {
        let page = server.url(&format!("/v1/audit?limit=1000&before={before}"));
        let log = http::get(&page).expect(200).json();
        assert_eq!(log["chain"]["intact"], true, "{}", log["chain"]);
        let records = log["records"].as_array().unwrap();
        let made = records
            .iter()
            .filter_map(|record| record["new_revision"].as_u64());
        recorded.extend(made.filter(|revision| *revision > base));
        let last = records.last().and_then(|record| record["number"].as_u64());
        before = last.unwrap_or_default();
    }
    recorded.reverse();
    assert_eq!(recorded, revisions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_for_one_revision_one_wins() {
    let server = Server::start();
    http::put(
        &server.url("/v1/bundles/b"),
        &archive(&[(".manifest", "{\"roots\": [\"b\"]}")]),
    )
    .expect(200);
    let writers = (0..100).map(|writer| {
        let server = server.management.clone();
        tokio::spawn(async move { write(&server, writer, Some(1)).await })
    });
    let mut written = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            Ok(done) => written.push(done),
            Err(active) => assert_eq!(active, 2),
        }
    }
    assert_eq!(written.len(), 1, "{written:?}");
    check(&server, 1, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_lose_nothing() {
    let config = "store: { history: 200 }\n";
    let server = Server::with_config(config);
    let writers = (0..100).map(|writer| {
        let server = server.management.clone();
        tokio::spawn(async move {
            // Half of them are for a revision, and try again with the one that is told.
            let mut wanted = (writer % 8 >= 4).then_some(0);
            loop {
                match write(&server, writer, wanted).await {
                    Ok(written) => return written,
                    Err(active) => wanted = Some(active),
                }
            }
        })
    });
    let mut written = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        written.push(writer.await.unwrap());
    }
    assert_eq!(written.len(), 100);
    let conditional = written.iter().filter(|written| written.wanted.is_some());
    assert_eq!(conditional.count(), 48);
    check(&server, 0, written);
    // And all of it is durable.
    let data = Arc::clone(&server.data);
    server.signal("KILL");
    drop(server);
    let server = Server::with(Options {
        config: config.to_owned(),
        data: Some(data),
        ..Options::default()
    });
    assert_eq!(server.revision, 100);
}
