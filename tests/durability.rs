//! What was acknowledged is there after a crash.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;

use crate::support::bundle::{archive, constant};
use crate::support::disk::{has_limits, limit_files};
use crate::support::{Options, Server, http, random};

#[tokio::test]
async fn an_acknowledged_push_survives_a_kill() {
    let mut server = Server::start();
    for round in 0..5 {
        let allow = round % 2 == 0;
        let bundle = constant(&format!("r{round}"), &allow.to_string());
        let pushed = http::put(&server.url("/v1/bundles/b"), &bundle)
            .expect(200)
            .json();
        let policy = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{ name: p{round} }}\nspec: {{ rules: [{{}}] }}\n"
        );
        let applied = http::put(&server.url("/v1/resources"), policy.as_bytes())
            .expect(200)
            .json();
        assert_eq!(
            applied["snapshot"].as_u64(),
            pushed["snapshot"].as_u64().map(|snapshot| snapshot + 1)
        );
        server.signal("KILL");
        server.wait();

        let data = Arc::clone(&server.data);
        server = Server::with(Options {
            data: Some(data),
            ..Options::default()
        });
        assert_eq!(Some(server.revision), applied["snapshot"].as_u64());
        let reply = server.checks().await.get("/").await;
        assert_eq!((reply.allows(), reply.revision()), (allow, server.revision));
        let bundles = http::get(&server.url("/v1/bundles/b")).expect(200).json();
        assert_eq!(bundles["revision"], format!("r{round}"));
    }
    let resources = http::get(&server.url("/v1/resources")).json();
    assert_eq!(resources["resources"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let first = Server::start();
    let said = Server::try_with(Options {
        data: Some(Arc::clone(&first.data)),
        ..Options::default()
    });
    let said = said.err().expect("the second server started");
    assert!(
        said.contains("exit status: 3") && said.contains("in use by another process"),
        "{said}"
    );
}

#[tokio::test]
async fn a_corrupt_store_is_not_served_from() {
    let mut server = Server::start();
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let path = server.data.path().join("policy.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // The bundle's bytes are somewhere near the end; its gzip header is found.
    let at = bytes
        .windows(3)
        .rposition(|window| window == [0x1f, 0x8b, 0x08])
        .unwrap();
    bytes[at + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let data = Arc::clone(&server.data);
    let said = Server::try_with(Options {
        data: Some(data),
        ..Options::default()
    });
    let said = said.err().expect("it started");
    assert!(
        said.contains("exit status: 3") && said.contains("checksum"),
        "{said}"
    );
}

/// What pushes were acknowledged, by snapshot: the manifest's revision.
type Acknowledged = BTreeMap<u64, String>;

/// Pushes until the server is gone.
fn push_until_killed(url: &str, round: u64) -> Acknowledged {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut acknowledged = Acknowledged::new();
    for push in 0.. {
        let revision = format!("{round}-{push}");
        // Of very different sizes, so that the kill hits different steps of the write.
        let filler = "x".repeat((push % 5) * 40_000);
        let bundle = archive(&[
            (
                ".manifest",
                &format!("{{\"revision\": \"{revision}\", \"roots\": [\"envoy\"]}}"),
            ),
            ("policy.rego", "package envoy.authz\n\nallow := true\n"),
            (
                "envoy/filler/data.json",
                &format!("{{\"filler\": \"{filler}\"}}"),
            ),
        ]);
        let Ok(mut answer) = agent.put(url).send(&bundle[..]) else {
            break;
        };
        let Ok(body) = answer.body_mut().read_to_string() else {
            break;
        };
        assert_eq!(answer.status(), 200, "{body}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        acknowledged.insert(body["snapshot"].as_u64().unwrap(), revision);
    }
    acknowledged
}

/// Kills the server at random points under pushes, again and again on the same store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_push_survives_kills_at_random_points() {
    const ROUNDS: u64 = 6;
    let config = "store: { history: 10000, audit: 100000 }\n";
    let mut server = Server::with_config(config);
    let mut acknowledged = Acknowledged::new();
    for round in 0..ROUNDS {
        let url = server.url("/v1/bundles/b");
        let pushing = tokio::task::spawn_blocking(move || push_until_killed(&url, round));
        let pause = 100 + random() % 250;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.signal("KILL");
        server.wait();
        acknowledged.extend(pushing.await.unwrap());

        server = Server::with(Options {
            config: config.to_owned(),
            data: Some(Arc::clone(&server.data)),
            ..Options::default()
        });
        // At most the one push that was on its way may be there besides.
        let last = acknowledged
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        assert!(
            (last..=last + 1).contains(&server.revision),
            "{} after {last} was acknowledged",
            server.revision
        );
        let found = http::get(&server.url("/v1/revisions")).expect(200).json();
        let found = found["revisions"].as_array().unwrap();
        let numbers: Vec<_> = found
            .iter()
            .rev()
            .map(|one| one["number"].as_u64())
            .collect();
        let expected: Vec<_> = (1..=server.revision).map(Some).collect();
        assert_eq!(numbers, expected);
        if server.revision == last && last > 0 {
            let bundle = http::get(&server.url("/v1/bundles/b")).expect(200).json();
            assert_eq!(bundle["revision"], acknowledged[&last]);
        }
        let log = http::get(&server.url("/v1/audit?limit=1"))
            .expect(200)
            .json();
        assert_eq!(log["chain"]["intact"], true, "{log}");
        // The next push has the next number, so that none stands for two things.
        acknowledged.entry(server.revision).or_default();
    }
    assert!(
        acknowledged.len() > 2 * ROUNDS as usize,
        "{}",
        acknowledged.len()
    );
    // Any of them can be had again.
    let (number, revision) = acknowledged
        .iter()
        .find(|(_, revision)| !revision.is_empty())
        .unwrap();
    let url = server.url(&format!("/v1/revisions/{number}/rollback"));
    http::send("POST", &url, &[], b"").expect(200);
    let bundle = http::get(&server.url("/v1/bundles/b")).json();
    assert_eq!(bundle["revision"], *revision);
}

/// A volume that is gone below the process, or a file removed by hand.
#[tokio::test]
async fn a_push_is_not_acknowledged_when_the_store_is_gone() {
    let server = Server::start();
    let url = server.url("/v1/bundles/b");
    http::put(&url, &constant("1", "true")).expect(200);
    let path = server.data.path().join("policy.db");
    for name in ["policy.db", "policy.db.lock", "decisions.db"] {
        let mode = std::fs::metadata(server.data.path().join(name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
    std::fs::remove_file(&path).unwrap();
    let answer = http::put(&url, &constant("2", "false")).expect(500).json();
    assert_eq!(answer["code"], "internal_error");
    assert!(server.checks().await.get("/").await.allows());
    let data = Arc::clone(&server.data);
    drop(server);
    let said = Server::try_with(Options {
        data: Some(data),
        ..Options::default()
    });
    let said = said.err().expect("it started");
    assert!(said.contains("policy.db is gone"), "{said}");
}

/// Flips a bit in the content of the newest bundle.
fn damage_newest(server: &Server) {
    let path = server.data.path().join("policy.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let newest = constant("newest", "true");
    let at = bytes
        .windows(newest.len())
        .rposition(|window| window == newest)
        .unwrap();
    bytes[at + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_revision_gives_way_loudly_to_the_one_before() {
    let mut server = Server::start();
    let url = server.url("/v1/bundles/b");
    http::put(&url, &constant("before", "false")).expect(200);
    http::put(&url, &constant("newest", "true")).expect(200);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    damage_newest(&server);
    let mut server = Server::with(Options {
        data: Some(Arc::clone(&server.data)),
        ..Options::default()
    });
    // It is a revision of its own: number 2 never stands for anything but what it was.
    assert_eq!(server.revision, 3);
    assert!(!server.checks().await.get("/").await.allows());
    let status = http::get(&server.url("/v1/status")).expect(200).json();
    let fallback = &status["store"]["fallback"];
    assert_eq!(
        (&fallback["damaged"], &fallback["loaded"]),
        (&2.into(), &1.into()),
        "{status}"
    );
    let metrics = http::get(&server.url("/metrics")).body;
    assert!(
        metrics.contains("doorward_store_failures_total{kind=\"fallback\"} 1"),
        "{metrics}"
    );
    assert!(
        server
            .said()
            .contains("POLICY OF AN EARLIER REVISION IS IN FORCE")
    );
    let log = http::get(&server.url("/v1/audit")).json();
    assert_eq!(
        (&log["records"][0]["action"], &log["chain"]["intact"]),
        (&"fallback".into(), &true.into())
    );
    assert_eq!(log["records"][0]["target"], "2->1");
    // Each start tells it, until somebody has changed something.
    server.signal("TERM");
    server.wait();
    let mut server = Server::with(Options {
        data: Some(Arc::clone(&server.data)),
        ..Options::default()
    });
    assert_eq!(server.revision, 3);
    let status = http::get(&server.url("/v1/status")).expect(200).json();
    assert_eq!(status["store"]["fallback"]["damaged"], 2, "{status}");
    assert!(
        server
            .said()
            .contains("POLICY OF AN EARLIER REVISION IS IN FORCE")
    );
    // Going back to what is damaged is refused, and pushing it again heals it.
    let rollback = server.url("/v1/revisions/2/rollback");
    http::send("POST", &rollback, &[], b"").expect(500);
    http::put(&server.url("/v1/bundles/b"), &constant("newest", "true")).expect(200);
    http::send("POST", &rollback, &[], b"").expect(200);
    assert!(server.checks().await.get("/").await.allows());
    // The next start has nothing to tell.
    server.signal("TERM");
    server.wait();
    let server = Server::with(Options {
        data: Some(Arc::clone(&server.data)),
        ..Options::default()
    });
    let status = http::get(&server.url("/v1/status")).json();
    assert_eq!(status["store"], serde_json::json!({}));
}

/// Text that does not compress, about this many bytes of it.
fn noise(bytes: usize) -> String {
    let words = std::iter::repeat_with(random).take(bytes / 8);
    words.map(|word| format!("{word:016x}")).collect()
}

fn with_data(revision: &str, text: &str) -> Vec<u8> {
    archive(&[
        (
            ".manifest",
            &format!("{{\"revision\": \"{revision}\", \"roots\": [\"envoy\"]}}"),
        ),
        ("policy.rego", "package envoy.authz\n\nallow := true\n"),
        (
            "envoy/noise/data.json",
            &format!("{{\"noise\": \"{text}\"}}"),
        ),
    ])
}

#[tokio::test]
async fn a_push_without_room_is_answered_507_and_the_next_that_fits_is_taken() {
    let server = Server::with_config("store: { max_bytes: 256KiB }\n");
    let url = server.url("/v1/bundles/b");
    let checks = server.checks().await;
    http::put(&url, &constant("1", "true")).expect(200);
    let large = with_data("large", &noise(400_000));
    for _ in 0..2 {
        let answer = http::put(&url, &large).expect(507).json();
        assert_eq!(answer["code"], "insufficient_storage");
        let reply = checks.get("/").await;
        assert_eq!((reply.allows(), reply.revision()), (true, 1));
    }
    http::put(&url, &constant("2", "false")).expect(200);
    assert_eq!(checks.get("/").await.revision(), 2);
    let log = http::get(&server.url("/v1/audit")).json();
    let results = log["records"].as_array().unwrap().iter();
    let results: Vec<_> = results
        .map(|record| record["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["success", "failure", "failure", "success"]);
    assert_eq!(log["chain"]["intact"], true);
    let metrics = http::get(&server.url("/metrics")).body;
    assert!(
        metrics.contains("doorward_store_failures_total{kind=\"full\"} 2"),
        "{metrics}"
    );
}

/// A write that fails is an error of the disk, other than no room: nothing of the push is there, the
/// file is opened anew, and pushes work as soon as the disk does.
#[tokio::test]
async fn a_disk_that_fails_costs_the_push_and_nothing_else() {
    if !has_limits("a_disk_that_fails_costs_the_push_and_nothing_else") {
        return;
    }
    let mut server = Server::with(Options {
        survives_large_files: true,
        ..Options::default()
    });
    let url = server.url("/v1/bundles/b");
    let checks = server.checks().await;
    http::put(&url, &constant("1", "true")).expect(200);
    let size = std::fs::metadata(server.data.path().join("policy.db"))
        .unwrap()
        .len();
    limit_files(&server, Some(size));
    let large = with_data("2", &noise(400_000));
    for _ in 0..2 {
        let answer = http::put(&url, &large).expect(500).json();
        assert_eq!(answer["code"], "internal_error");
        let reply = checks.get("/").await;
        assert_eq!((reply.allows(), reply.revision()), (true, 1));
    }
    limit_files(&server, None);
    http::put(&url, &large).expect(200);
    assert_eq!(checks.get("/").await.revision(), 2);
    let metrics = http::get(&server.url("/metrics")).body;
    assert!(
        metrics.contains("doorward_store_failures_total{kind=\"io\"}"),
        "{metrics}"
    );
    server.signal("KILL");
    server.wait();
    let server = Server::with(Options {
        data: Some(Arc::clone(&server.data)),
        ..Options::default()
    });
    assert_eq!(server.revision, 2);
    let log = http::get(&server.url("/v1/audit")).json();
    let results = log["records"].as_array().unwrap().iter();
    let results: Vec<_> = results
        .map(|record| record["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["success", "failure", "failure", "success"]);
    assert_eq!(log["chain"]["intact"], true);
}
