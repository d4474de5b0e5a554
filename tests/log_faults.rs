//! Whatever goes wrong around the decision log of a running server, each reply is accounted for: stored,
//! not wanted, or lost and counted, to the unit.

mod kills;
mod overflow;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::bundle::{archive, constant};
use crate::support::depot::{Depot, Reply};
use crate::support::disk::{has_limits, limit_files};
use crate::support::{Checks, Options, Server, eventually, http};

const POLICY: &str = "package envoy.authz\n\ndefault allow := false\n\n\
                      allow if input.parsed_path[0] == \"open\"\n";
const DROP: &str = "package system.log\n\ndrop if input.input.parsed_path[0] == \"health\"\n";

/// What became of records, by the metrics' names and labels: `written`, `dropped store`, `sampled policy`.
type Counts = BTreeMap<String, u64>;

fn counts(server: &Server) -> Counts {
    let metrics = http::get(&server.url("/metrics")).expect(200).body;
    let count = |line: &str| {
        let (name, value) = line
            .strip_prefix("doorward_decision_log_")?
            .rsplit_once(' ')?;
        let (name, labels) = name.split_once("_total")?;
        let label = labels.split('"').nth(1);
        let name = match (name, label) {
            ("written", _) => "written".to_owned(),
            ("dropped" | "sampled", Some(label)) => format!("{name} {label}"),
            _ => return None,
        };
        Some((name, value.parse().unwrap()))
    };
    let counts = metrics.lines().filter_map(count);
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Counts as soon as they account for so many replies; they never may for more.
async fn reconciled(what: &str, server: &Server, replies: u64) -> Counts {
    eventually(what, || {
        let sum = counts(server).values().sum::<u64>();
        assert!(sum <= replies, "{what}: {:?} of {replies}", counts(server));
        sum == replies
    })
    .await;
    counts(server)
}

fn of(counts: &Counts, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or(0)
}

fn stored(server: &Server) -> u64 {
    let summary = http::get(&server.url("/v1/decisions/summary")).expect(200);
    summary.json()["total"].as_u64().unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    FullDisk,
    /// What is written over the files while they are open.
    Damage,
}

/// A server, what is done to it, and which counts there are afterwards.
struct Row {
    what: &'static str,
    config: String,
    resources: &'static str,
    drops: bool,
    shadow: bool,
    fault: Fault,
    expected: &'static [&'static str],
}

impl Row {
    fn new(
        what: &'static str,
        config: impl Into<String>,
        expected: &'static [&'static str],
    ) -> Self {
        Self {
            what,
            config: config.into(),
            resources: "",
            drops: false,
            shadow: false,
            fault: Fault::None,
            expected,
        }
    }
}

fn serving(row: &Row) -> Server {
    let server = Server::with(Options {
        config: row.config.clone(),
        survives_large_files: true,
        ..Options::default()
    });
    let mut files = vec![("p.rego", POLICY)];
    files.extend(row.drops.then_some(("log.rego", DROP)));
    http::put(&server.url("/v1/bundles/b"), &archive(&files)).expect(200);
    if !row.resources.is_empty() {
        http::put(&server.url("/v1/resources"), row.resources.as_bytes()).expect(200);
    }
    if row.shadow {
        let url = server.url("/v1/bundles/b?mode=shadow");
        http::put(&url, &constant("shadow", "false")).expect(200);
    }
    server
}

/// Forty checks: allowed and denied ones, some of them remembered, some that a row does not want.
async fn forty(checks: &Checks, replies: &mut u64) {
    for index in 0..10 {
        for path in ["/open/same", "/shut", "/health"] {
            checks.get(path).await;
        }
        checks.get(&format!("/open/{index}")).await;
        *replies += 4;
    }
}

/// Overwrites what is behind the head of a file.
fn damage(server: &Server) {
    use std::os::unix::fs::FileExt as _;
    for name in ["decisions.db", "decisions.db-wal"] {
        let path = server.data.path().join(name);
        let length = std::fs::metadata(&path).unwrap().len();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let noise = vec![0x55; usize::try_from(length).unwrap().saturating_sub(100)];
        file.write_all_at(&noise, 100).unwrap();
    }
}

async fn check(row: Row) {
    let what = row.what;
    let server = serving(&row);
    let checks = server.checks().await;
    let mut replies = 0;
    forty(&checks, &mut replies).await;
    match row.fault {
        Fault::None => {}
        // What comes before a fault has its own end.
        Fault::FullDisk => {
            reconciled(what, &server, replies).await;
            limit_files(&server, Some(1));
        }
        Fault::Damage => {
            reconciled(what, &server, replies).await;
            damage(&server);
        }
    }
    forty(&checks, &mut replies).await;
    if row.fault == Fault::FullDisk {
        // What `deny` keeps waits for the disk.
        if !row.config.contains("overflow: deny") {
            reconciled(what, &server, replies).await;
        }
        limit_files(&server, None);
    }
    forty(&checks, &mut replies).await;
    let found = reconciled(what, &server, replies).await;
    if row.fault == Fault::Damage {
        return goes_on(what, &server, &checks, replies).await;
    }
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, row.expected, "{what}: {found:?}");
    assert_eq!(stored(&server), of(&found, "written"), "{what}");
}

/// How much damage hits is up to SQLite: after some more checks they are stored again.
async fn goes_on(what: &str, server: &Server, checks: &Checks, mut replies: u64) {
    let before = reconciled(what, server, replies).await;
    let mut found = before.clone();
    for _ in 0..10 {
        checks.get("/open/more").await;
        replies += 1;
        found = reconciled(what, server, replies).await;
    }
    let more = of(&found, "written") - of(&before, "written");
    assert!(
        more >= 8,
        "{what}: {before:?}, then {found:?}: {}",
        server.said()
    );
}

const FILTER: &str = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n\
    metadata: { name: wide, namespace: istio-system }\n\
    spec: { accessLogging: [{ filter: { expression: \"!request.url_path.startsWith('/health')\" } }] }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reply_is_accounted_for() {
    if !has_limits("each_reply_is_accounted_for") {
        return;
    }
    let slow = Depot::start(|_| {
        Reply::After(
            std::time::Duration::from_millis(300),
            Box::new(Reply::status(204)),
        )
    });
    let sink = |url: &str| {
        format!(
            "decision_log: {{ sinks: [{{ type: http, url: \"{url}\", min_delay: 0s, max_delay: 10ms }}] }}\n"
        )
    };
    let half = "sample: [{ effect: allow, ratio: 0.5 }]";
    let full = |mode: &str| Row {
        fault: Fault::FullDisk,
        ..Row::new(
            "a full disk",
            format!("decision_log: {{ overflow: {mode} }}\n"),
            &["dropped store", "written"],
        )
    };
    for row in [
        Row::new("nothing", "", &["written"]),
        Row::new(
            "nothing is wanted",
            "decision_log: { sample: [{ ratio: 0.0 }] }\n",
            &["sampled sample"],
        ),
        Row::new(
            "sampling",
            format!("decision_log: {{ {half} }}\n"),
            &["sampled sample", "written"],
        ),
        Row {
            drops: true,
            ..Row::new("a rule drops", "", &["sampled policy", "written"])
        },
        Row {
            resources: FILTER,
            ..Row::new("a filter", "", &["sampled telemetry", "written"])
        },
        Row {
            shadow: true,
            ..Row::new("a shadow", "", &["written"])
        },
        Row::new(
            "a sink that is away",
            sink("http://127.0.0.1:1/"),
            &["written"],
        ),
        Row::new("a slow sink", sink(&slow.url("/logs")), &["written"]),
        full("count"),
        full("block"),
        Row {
            expected: &["written"],
            ..full("deny")
        },
        Row {
            drops: true,
            shadow: true,
            resources: FILTER,
            fault: Fault::FullDisk,
            ..Row::new(
                "a full disk, and all that is not wanted",
                format!("decision_log: {{ {half} }}\n"),
                &[
                    "dropped store",
                    "sampled sample",
                    "sampled telemetry",
                    "written",
                ],
            )
        },
        Row {
            fault: Fault::Damage,
            ..Row::new("damage", "", &[])
        },
        Row {
            fault: Fault::Damage,
            ..Row::new(
                "damage under `block`",
                "decision_log: { overflow: block }\n",
                &[],
            )
        },
    ] {
        check(row).await;
    }
}
