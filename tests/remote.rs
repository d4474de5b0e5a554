//! Bundles that are downloaded: what comes is activated, what is bad leaves what was, and whatever a
//! server does, nobody waits for it and nothing passes that its bundle would deny.

mod credentials;
mod deltas;
mod missing;
mod objects;
mod opa_config;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::bundle::{archive, constant};
use crate::support::depot::{Asked, Depot, Reply};
use crate::support::{Options, Server, eventually, http};

/// Asked often, so that a test sees the next answer soon.
const OFTEN: &str = "polling: { min_delay: 10ms, max_delay: 30ms }";

/// A configuration with one bundle of a depot.
fn config(depot: &Depot, settings: &str) -> String {
    format!(
        "bundles: {{ main: {{ url: \"{}\", {OFTEN}, {settings} }} }}\n",
        depot.url("/main.tar.gz?sig=c4n4ry")
    )
}

fn source(server: &Server) -> Value {
    let bundle = http::get(&server.url("/v1/bundles/main")).expect(200);
    bundle.json()["source"].clone()
}

fn message(server: &Server) -> String {
    let source = source(server);
    source["message"].as_str().unwrap_or_default().to_owned()
}

fn is_ready(server: &Server) -> bool {
    http::get(&server.url("/readyz")).status == 200
}

async fn ready(server: &Server) {
    eventually("the download", || is_ready(server)).await;
}

fn snapshot(server: &Server) -> u64 {
    let status = http::get(&server.url("/v1/status")).expect(200).json();
    status["snapshot"].as_u64().unwrap()
}

fn revision(server: &Server) -> Value {
    let bundle = http::get(&server.url("/v1/bundles/main")).expect(200);
    bundle.json()["revision"].clone()
}

/// Answers with an archive and its `ETag`, or 304 to who has it.
fn with_etag(etag: &'static str, archive: Vec<u8>) -> impl Fn(&Asked) -> Reply {
    move |asked| match asked.header("if-none-match") == etag {
        true => Reply::status(304).header("etag", etag),
        false => Reply::body(archive.clone()).header("etag", etag),
    }
}

/// Waits for so many more requests.
async fn asked_again(depot: &Depot, times: usize) {
    let before = depot.asked().len();
    eventually("requests", || depot.asked().len() >= before + times).await;
}

#[tokio::test]
async fn another_revision_is_activated_and_the_same_one_is_not() {
    let depot = Depot::start(with_etag("\"1\"", constant("one", "true")));
    let server = Server::with_config(&config(&depot, ""));
    ready(&server).await;
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows());
    let first = snapshot(&server);
    asked_again(&depot, 3).await;
    let asked = depot.asked();
    assert_eq!(asked[0].header("if-none-match"), "");
    assert_eq!(asked[0].header("prefer"), "modes=snapshot");
    assert_eq!(asked.last().unwrap().header("if-none-match"), "\"1\"");

    // The same content under another tag, and from a server that has no tags.
    depot.play(with_etag("\"2\"", constant("one", "true")));
    eventually("the other tag", || source(&server)["etag"] == "\"2\"").await;
    depot.play(|_| Reply::body(constant("one", "true")));
    eventually("no tag", || source(&server)["etag"] == Value::Null).await;
    assert_eq!(snapshot(&server), first);

    depot.play(with_etag("\"3\"", constant("two", "false")));
    eventually("the new revision", || revision(&server) == "two").await;
    assert!(!checks.get("/").await.allows());
    assert_eq!(snapshot(&server), first + 1);

    let shown = source(&server);
    assert_eq!(shown["url"], depot.url("/main.tar.gz"));
    for time in [
        "request",
        "successful_request",
        "successful_download",
        "successful_activation",
    ] {
        assert!(shown[format!("last_{time}")].is_string(), "{time}: {shown}");
    }
    assert!(shown["code"].is_null(), "{shown}");
    let status = http::get(&server.url("/v1/status")).json();
    let of_opa = &status["result"]["bundles"]["main"];
    assert_eq!(of_opa["active_revision"], "two");
    assert!(of_opa["last_successful_download"].is_string(), "{of_opa}");
    let metrics = http::get(&server.url("/metrics")).body;
    let row = "doorward_bundle_requests_total{bundle=\"main\",result=\"activated\"} 2";
    assert!(metrics.contains(row), "{metrics}");
    let config = http::get(&server.url("/v1/config")).body;
    for text in [status.to_string(), metrics, config, server.said()] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
}

#[tokio::test]
async fn what_is_bad_leaves_what_was() {
    let depot = Depot::start(with_etag("\"1\"", constant("one", "true")));
    let server = Server::with_config(&config(&depot, "timeout: 2s, size_limit: 64KiB"));
    ready(&server).await;
    let checks = server.checks().await;
    let first = snapshot(&server);
    let elsewhere = "http://169.254.169.254/latest/meta-data?c4n4ry";
    let cut = constant("cut", "false")[..60].to_vec();
    let bad_rego = archive(&[("p.rego", "package envoy.authz\n\nallow := {")]);
    let no_url = format!("http://{}/v1/config?c4n4ry", server.management);
    let replies = [
        (Reply::body("no archive"), "is not a gzip"),
        (Reply::body(cut), "is not a gzip"),
        (Reply::body(bad_rego), "rego_parse_error"),
        (Reply::status(404), "Not Found"),
        (Reply::status(500), "Internal Server Error"),
        (Reply::Announced(1 << 40), "larger than 65536 bytes"),
        (Reply::Endless, "larger than 65536 bytes"),
        (Reply::redirect(elsewhere), "169.254.169.254 is link-local"),
        (Reply::redirect(&no_url), "is this machine's"),
        (Reply::redirect("file:///etc/passwd"), "neither `http`"),
        (Reply::redirect("/main.tar.gz"), "more than 3 redirects"),
        (Reply::Hang, "no answer within 2s"),
        (Reply::Drip, "no answer within 2s"),
    ];
    for (reply, expected) in replies {
        depot.play(move |_| reply.clone());
        eventually(expected, || message(&server).contains(expected)).await;
        assert!(checks.get("/").await.allows(), "{expected}");
        assert!(is_ready(&server), "{expected}");
        assert_eq!(snapshot(&server), first, "{expected}");
    }
    depot.play(|_| Reply::status(503));
    eventually("the status", || source(&server)["http_code"] == 503).await;
    assert_eq!(source(&server)["code"], "bundle_error");
    assert!(!server.said().contains("c4n4ry"), "{}", server.said());
    // And it goes on.
    depot.play(|_| Reply::body(constant("two", "false")));
    eventually("the new revision", || revision(&server) == "two").await;
    eventually("no error", || source(&server)["code"].is_null()).await;
}

#[tokio::test]
async fn what_has_not_come_denies() {
    let depot = Depot::start(|_| Reply::Hang);
    let server = Server::with_config(&config(&depot, "timeout: 1h"));
    eventually("a request", || depot.asked().len() == 1).await;
    assert!(!is_ready(&server));
    let health = http::get(&server.url("/health?bundles"));
    assert_eq!(health.status, 500);
    let checks = server.checks().await;
    assert!(!checks.get("/").await.allows());
    let bundle = http::get(&server.url("/v1/bundles/main"))
        .expect(200)
        .json();
    assert_eq!(bundle["owner"], "url");
    assert!(bundle["revision"].is_null());

    // It is the server's even so.
    let put = http::put(&server.url("/v1/bundles/main"), &constant("x", "true"));
    let put = put.expect(409);
    assert!(put.body.contains("its URL"), "{}", put.body);
    http::delete(&server.url("/v1/bundles/main")).expect(409);
    let other = constant("x", "true");
    http::put(&server.url("/v1/bundles/other"), &other).expect(200);
    assert!(!checks.get("/").await.allows(), "a bundle that was pushed");
    assert!(!is_ready(&server));
}

#[tokio::test]
async fn the_last_good_one_is_there_without_network() {
    let depot = Depot::start(with_etag("\"1\"", constant("one", "true")));
    let server = Server::with_config(&config(&depot, ""));
    ready(&server).await;
    depot.play(|_| Reply::Hang);
    let data = Arc::clone(&server.data);
    let first = snapshot(&server);
    server.signal("KILL");
    drop(server);
    let start = |settings: &str| {
        Server::with(Options {
            config: config(&depot, settings),
            data: Some(Arc::clone(&data)),
            ..Options::default()
        })
    };
    let server = start("");
    assert!(is_ready(&server));
    assert!(server.checks().await.get("/").await.allows());
    assert_eq!(snapshot(&server), first);
    // The same again makes no revision.
    depot.play(with_etag("\"1\"", constant("one", "true")));
    drop(server);
    let server = start("");
    eventually("the download", || source(&server)["etag"] == "\"1\"").await;
    assert_eq!(snapshot(&server), first);
    drop(server);
    // Nothing is kept any more, nor used.
    depot.play(|_| Reply::Hang);
    let server = start("persist: false");
    assert!(!is_ready(&server));
    drop(server);
    let server = start("");
    assert!(!is_ready(&server));
}

#[tokio::test]
async fn a_server_that_waits_is_asked_to() {
    const TYPE: &str = "application/vnd.openpolicyagent.bundles";
    let waits = |asked: &Asked| match asked.header("if-none-match") {
        "\"1\"" => {
            let unchanged = Reply::status(304).header("content-type", TYPE);
            Reply::After(Duration::from_millis(1_200), Box::new(unchanged))
        }
        _ => Reply::body(constant("one", "true"))
            .header("etag", "\"1\"")
            .header("content-type", TYPE),
    };
    let depot = Depot::start(waits);
    let url = depot.url("/");
    // Without long polling it would not be asked a second time.
    let seldom = "polling: { min_delay: 1d, max_delay: 1d, long_polling_timeout: 7s }";
    let server = Server::with_config(&format!(
        "bundles: {{ main: {{ url: \"{url}\", {seldom} }} }}\n"
    ));
    ready(&server).await;
    eventually("long polls", || depot.asked().len() >= 3).await;
    let asked = depot.asked();
    assert_eq!(asked[2].header("prefer"), "modes=snapshot,delta;wait=7");
    // Once it does not say so any more, the delays are kept.
    depot.play(|_| Reply::body(constant("two", "true")));
    eventually("the new revision", || revision(&server) == "two").await;
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(20);
    eventually("a pause", || {
        let next = source(&server)["next_request"].as_str().map(str::parse);
        next.is_some_and(|next: Result<jiff::Timestamp, _>| next.unwrap() > tomorrow)
    })
    .await;
}

#[tokio::test]
async fn metrics_are_named_as_in_opa() {
    let depot = Depot::start(|_| Reply::body(constant("one", "true")));
    let server = Server::with_config(&config(&depot, ""));
    ready(&server).await;
    depot.play(with_etag("\"2\"", constant("two", "true")));
    asked_again(&depot, 3).await;
    depot.play(|_| Reply::status(500));
    let metrics = || http::get(&server.url("/metrics")).expect(200).body;
    let failed = "bundle_failed_load_counter{name=\"main\",code=\"bundle_error\"} ";
    eventually("a failure", || metrics().contains(failed)).await;
    let text = metrics();
    let value = |row: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(row));
        let value = line.unwrap_or_else(|| panic!("{row} is not in {text}"));
        value.trim().parse().unwrap()
    };
    assert!(value("bundle_loaded_counter{name=\"main\"}") >= 3.0);
    let now = jiff::Timestamp::now().as_second() as f64;
    for row in [
        "last_bundle_request{name=\"main\"}",
        "last_success_bundle_request{name=\"main\"}",
        "last_success_bundle_download{name=\"main\"}",
        "last_success_bundle_activation{name=\"main\",active_revision=\"two\"}",
    ] {
        // On the same day: these are nanoseconds.
        assert!((value(row) / 1e9 - now).abs() < 86_400.0, "{row}");
    }
    for stage in ["timer_bundle_request_ns", "timer_rego_load_bundles_ns"] {
        let row = format!("bundle_loading_duration_ns_count{{name=\"main\",stage=\"{stage}\"}}");
        assert!(value(&row) >= 2.0, "{stage}");
    }
    // Of the revision before nothing is left.
    assert_eq!(text.matches("active_revision=").count(), 1, "{text}");
}

/// A server that has something new whenever it is asked is not asked without a pause.
#[tokio::test]
async fn a_server_that_never_waits_is_asked_as_seldom_as_others() {
    const TYPE: &str = "application/vnd.openpolicyagent.bundles";
    let count = AtomicUsize::new(0);
    let depot = Depot::start(move |_| {
        let revision = count.fetch_add(1, Ordering::SeqCst).to_string();
        Reply::body(constant(&revision, "true"))
            .header("etag", &format!("\"{revision}\""))
            .header("content-type", TYPE)
    });
    let seldom = "polling: { min_delay: 1d, max_delay: 1d, long_polling_timeout: 7s }";
    let server = Server::with_config(&format!(
        "bundles: {{ main: {{ url: \"{}\", {seldom} }} }}\n",
        depot.url("/")
    ));
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(20);
    eventually("a pause", || {
        let next = source(&server)["next_request"].as_str().map(str::parse);
        next.is_some_and(|next: Result<jiff::Timestamp, _>| next.unwrap() > tomorrow)
    })
    .await;
    assert_eq!(depot.asked().len(), 2);
}

/// However often it is sent again, as long as nothing else has changed.
#[tokio::test]
async fn what_never_gets_in_is_recorded_once() {
    let files = tempfile::tempdir().unwrap();
    let rego = "package envoy.authz\n\nallow := true\n";
    std::fs::write(files.path().join("p.rego"), rego).unwrap();
    let depot = Depot::start(|_| Reply::body(constant("one", "true")));
    let server = Server::with_config(&format!(
        "policies: [{}]\n{}",
        files.path().display(),
        config(&depot, "")
    ));
    let why = "belongs to a file";
    eventually(why, || message(&server).contains(why)).await;
    asked_again(&depot, 5).await;
    let audit = http::get(&server.url("/v1/audit")).expect(200).json();
    let records = audit["records"].as_array().unwrap().iter();
    let failed = records.filter(|record| record["action"] == "download_bundle");
    assert_eq!(failed.count(), 1, "{audit}");
}

/// Bundles of a number each, and one rule that needs them all.
fn part(index: usize) -> Vec<u8> {
    let manifest = format!("{{\"roots\": [\"parts/p{index}\"]}}");
    let rego = format!("package parts.p{index}\n\nvalue := {index}\n");
    archive(&[(".manifest", &manifest), ("p.rego", &rego)])
}

fn number(asked: &Asked) -> usize {
    asked.target.trim_start_matches('/').parse().unwrap()
}

fn many(depot: &Depot, count: usize) -> String {
    let mut text = "bundles:\n".to_owned();
    for index in 0..count {
        let url = depot.url(&format!("/{index}"));
        text += &format!("  b{index}: {{ url: \"{url}\", {OFTEN} }}\n");
    }
    text
}

#[tokio::test]
async fn eighty_bundles_are_compiled_once() {
    let depot = Depot::start(|asked| Reply::body(part(number(asked))));
    let server = Server::with_config(&many(&depot, 80));
    ready(&server).await;
    assert_eq!(snapshot(&server), server.revision + 1);
    let found = http::get(&server.url("/v1/data/parts/p79/value")).json();
    assert_eq!(found["result"], 79);
}

#[tokio::test]
async fn a_bad_one_does_not_keep_the_others_out() {
    let fixed = Arc::new(AtomicUsize::new(0));
    let is_fixed = Arc::clone(&fixed);
    let depot = Depot::start(move |asked| match number(asked) {
        // Needs the next one to be there.
        3 => Reply::body(archive(&[
            (".manifest", "{\"roots\": [\"parts/p3\"]}"),
            (
                "p.rego",
                "package parts.p3\n\nvalue := data.parts.p4.double(1)\n",
            ),
        ])),
        4 => Reply::body(archive(&[
            (".manifest", "{\"roots\": [\"parts/p4\"]}"),
            ("p.rego", "package parts.p4\n\ndouble(x) := 2 * x\n"),
        ])),
        // Its root is another's.
        6 if is_fixed.load(Ordering::SeqCst) == 0 => Reply::body(part(5)),
        index => Reply::body(part(index)),
    });
    let server = Server::with_config(&many(&depot, 8));
    let value = |index: usize| {
        let found = http::get(&server.url(&format!("/v1/data/parts/p{index}")));
        found.json()["result"]["value"].clone()
    };
    eventually("the good ones", || {
        [0, 1, 2, 7].iter().all(|index| value(*index) == *index)
    })
    .await;
    eventually("the one that needs another", || value(3) == 2).await;
    assert!(!is_ready(&server));
    fixed.store(1, Ordering::SeqCst);
    ready(&server).await;
    assert_eq!((value(5), value(6)), (5.into(), 6.into()));
}
