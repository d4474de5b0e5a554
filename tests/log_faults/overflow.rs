//! `overflow` while another process holds the file, so that nothing is stored and the queue is full: whom
//! it has wait, whom it denies, and that all goes on afterwards.

use std::time::Duration;

use rusqlite::Connection;
use tokio::task::JoinSet;

use super::*;
use crate::support::check::Reply as Checked;
use crate::support::check::http_check;

/// Of one check, so that few of them fill the queue of 64 MiB; of text that hardly compresses.
const LARGE: usize = 1 << 20;
const MANY: usize = 96;
/// The queue has no room for so many.
const FEWER: usize = 66;

/// Keeps others from writing to the log until it is dropped.
struct Held(Connection);

impl Held {
    fn of(server: &Server) -> Self {
        let connection = Connection::open(server.data.path().join("decisions.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

fn serving_with(config: &str) -> Server {
    serving(&Row::new("", config, &[]))
}

/// Sends many large checks at once.
fn flood(checks: &Checks, path: &str) -> JoinSet<Checked> {
    let words = std::iter::repeat_with(crate::support::random).take(LARGE / 16);
    let noise: String = words.map(|word| format!("{word:016x}")).collect();
    let request = http_check("GET", path, &[("x-noise", &noise)]);
    let message: bytes::Bytes = prost::Message::encode_to_vec(&request).into();
    let mut flood = JoinSet::new();
    for _ in 0..MANY {
        let (checks, message) = (checks.clone(), message.clone());
        flood.spawn(async move { checks.send(message).await.unwrap() });
    }
    flood
}

/// Takes so many replies.
async fn some(flood: &mut JoinSet<Checked>, count: usize) -> Vec<Checked> {
    let mut replies = Vec::new();
    while replies.len() < count {
        let Some(reply) = flood.join_next().await else {
            break;
        };
        replies.push(reply.unwrap());
    }
    replies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_are_lost_and_counted() {
    let server = serving_with("decision_log: { overflow: count }\n");
    let checks = server.checks().await;
    let held = Held::of(&server);
    let mut flood = flood(&checks, "/open");
    let replies = some(&mut flood, MANY).await;
    assert!(replies.iter().all(Checked::allows));
    eventually("a full queue", || {
        of(&counts(&server), "dropped buffer_full") > 0
    })
    .await;
    drop(held);
    let found = reconciled("count", &server, MANY as u64).await;
    assert!(of(&found, "dropped buffer_full") >= 1, "{found:?}");
    assert_eq!(stored(&server), of(&found, "written"));
    // There is room again.
    assert!(checks.get("/open").await.allows());
    let after = reconciled("count", &server, MANY as u64 + 1).await;
    assert_eq!(of(&after, "written"), of(&found, "written") + 1);
}

/// Checks wait for room, with a deadline that does not come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_wait_for_room() {
    let server = serving_with("ext_authz: { deadline: 60s }\ndecision_log: { overflow: block }\n");
    let checks = server.checks().await;
    let held = Held::of(&server);
    let mut flood = flood(&checks, "/open");
    let mut replies = some(&mut flood, MANY - FEWER).await;
    assert!(!flood.is_empty());
    drop(held);
    replies.extend(some(&mut flood, MANY).await);
    assert_eq!(replies.len(), MANY);
    assert!(replies.iter().all(Checked::allows));
    let found = reconciled("block", &server, MANY as u64).await;
    assert_eq!(of(&found, "dropped buffer_full"), 0, "{found:?}");
    assert_eq!(stored(&server), of(&found, "written"));
}

/// The deadline of a check ends its waiting: it is answered all the same, and its record is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_do_not_wait_for_ever() {
    let server =
        serving_with("ext_authz: { deadline: 300ms }\ndecision_log: { overflow: block }\n");
    let checks = server.checks().await;
    let held = Held::of(&server);
    let mut flood = flood(&checks, "/open");
    let replies = some(&mut flood, MANY).await;
    assert_eq!(replies.len(), MANY);
    assert!(replies.iter().all(Checked::allows));
    assert!(of(&counts(&server), "dropped buffer_full") > 0);
    drop(held);
    let found = reconciled("block", &server, MANY as u64).await;
    assert_eq!(stored(&server), of(&found, "written"));
}

/// No record, no allow: neither while there is no room nor while nothing can be stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_is_no_allow() {
    let server = serving_with("decision_log: { overflow: deny }\n");
    let checks = server.checks().await;
    let held = Held::of(&server);
    let mut flood = flood(&checks, "/open");
    let replies = some(&mut flood, MANY).await;
    let (allowed, denied): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.allows());
    assert!(
        !denied.is_empty() && !allowed.is_empty(),
        "{}",
        denied.len()
    );
    for reply in denied {
        assert_eq!(reply.status(), 503);
        assert_eq!(reply.text("reason").as_deref(), Some("not_recorded"));
    }
    drop(held);
    let mut replies = MANY as u64;
    let mut allows = false;
    while !allows {
        allows = checks.get("/open").await.allows();
        replies += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let found = reconciled("deny", &server, replies).await;
    // Rule: each allow has its record.
    let url = server.url("/v1/decisions/summary?effect=allow");
    let total = http::get(&url).expect(200).json()["total"].clone();
    assert_eq!(total, allowed.len() + 1, "{found:?}");
}

/// The same for a disk that is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_allowing_until_there_is_room() {
    if !has_limits("a_full_disk_ends_allowing_until_there_is_room") {
        return;
    }
    let server = serving_with("decision_log: { overflow: deny }\n");
    let checks = server.checks().await;
    assert!(checks.get("/open").await.allows());
    let mut replies = reconciled("deny", &server, 1).await.values().sum::<u64>();
    limit_files(&server, Some(1));
    let mut reply = checks.get("/open").await;
    replies += 1;
    while reply.allows() {
        reply = checks.get("/open").await;
        replies += 1;
    }
    let reason = reply.text("reason");
    assert_eq!(
        (reply.status(), reason.as_deref()),
        (503, Some("not_recorded"))
    );
    // Denials are what they were.
    assert_eq!(checks.get("/shut").await.status(), 403);
    limit_files(&server, None);
    replies += 1;
    let mut allows = false;
    while !allows {
        allows = checks.get("/open").await.allows();
        replies += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let found = reconciled("deny", &server, replies).await;
    assert_eq!(of(&found, "written"), replies, "{found:?}");
}
