//! Answers that hold are not asked for again, old ones are asked about, and failures asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{CONFIG, echo, failure, get, send, start};
use crate::support::http;
use crate::support::upstream::{Asked, Play, Upstream, answer};

/// Answers with these headers, and 304 to whom has it already.
fn versioned(
    headers: &'static [(&'static str, &'static str)],
) -> impl Fn(&Asked) -> Play + Send + Sync {
    move |asked| {
        let has = asked
            .header("if-none-match")
            .or(asked.header("if-modified-since"));
        match has {
            Some(_) => answer("304 Not Modified", &[("x-new", "1")], ""),
            None => answer("200 OK", headers, "body"),
        }
    }
}

#[tokio::test]
async fn answers_that_hold_are_remembered() {
    const FUTURE: &str = "Thu, 01 Jan 2099 00:00:00 GMT";
    const PAST: &str = "Thu, 01 Jan 2009 00:00:00 GMT";
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    let cache = json!({"cache": true});
    let force = json!({"force_cache": true, "force_cache_duration_seconds": 600});
    type Headers = &'static [(&'static str, &'static str)];
    // The answer's headers, the request's members, and the requests that three checks make.
    let rows: [(Headers, Value, &[&str]); 9] = [
        (
            &[("cache-control", "max-age=60"), ("date", FUTURE)],
            cache.clone(),
            &["full"],
        ),
        (
            &[("cache-control", "max-age=60"), ("date", FUTURE)],
            json!({}),
            &["full", "full", "full"],
        ),
        (
            &[("cache-control", "max-age=60"), ("date", PAST)],
            cache.clone(),
            &["full", "full", "full"],
        ),
        (&[("expires", FUTURE)], cache.clone(), &["full"]),
        (
            &[("cache-control", "no-store"), ("expires", FUTURE)],
            cache.clone(),
            &["full", "full", "full"],
        ),
        (
            &[("etag", "\"v\"")],
            cache.clone(),
            &["full", "\"v\"", "\"v\""],
        ),
        (
            &[("last-modified", PAST)],
            cache.clone(),
            &["full", PAST, PAST],
        ),
        (&[("cache-control", "no-store")], force.clone(), &["full"]),
        (
            &[("expires", PAST), ("etag", "\"v\"")],
            force.clone(),
            &["full"],
        ),
    ];
    for (headers, members, expected) in rows {
        let upstream = Upstream::start(versioned(headers));
        let mut request = get(&upstream.url("/"));
        request
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        for _ in 0..3 {
            let answer = send(&checks, &request).await;
            assert_eq!(
                (&answer["status_code"], &answer["raw_body"]),
                (&json!(200), &json!("body"))
            );
        }
        let asked = upstream.asked();
        let asked: Vec<_> = asked
            .iter()
            .map(|asked| {
                asked
                    .header("if-none-match")
                    .or(asked.header("if-modified-since"))
                    .unwrap_or("full")
            })
            .collect();
        assert_eq!(asked, expected, "{headers:?} {members}");
    }
    // Another request is another answer, and one that is ignored is none.
    let upstream = Upstream::start(versioned(&[("expires", FUTURE)]));
    for (user, expected) in [("alice", 1), ("bob", 2), ("alice", 2)] {
        let request = json!({"method": "GET", "url": upstream.url("/"), "cache": true, "headers": {"x-user": user}});
        send(&checks, &request).await;
        assert_eq!(upstream.asked().len(), expected, "{user}");
    }
    for (trace, expected) in [("1", 3), ("2", 3)] {
        let request = json!({"method": "GET", "url": upstream.url("/"), "cache": true,
            "headers": {"x-trace": trace}, "cache_ignored_headers": ["x-trace"]});
        send(&checks, &request).await;
        assert_eq!(upstream.asked().len(), expected, "{trace}");
    }
}

#[tokio::test]
async fn a_check_at_another_time_leaves_no_answer_to_others() {
    let upstream = Upstream::start(echo);
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    let request = json!({"method": "GET", "url": upstream.url("/"),
        "force_cache": true, "force_cache_duration_seconds": 60});
    let check_at = |time: &str| {
        let headers = json!({"x-send": request.to_string()});
        let http = json!({"method": "GET", "path": "/", "headers": headers});
        let body = json!({"attributes": {"request": {"http": http}}}).to_string();
        let url = server.url(&format!("/v1/check?at={time}"));
        http::send("POST", &url, &[], body.as_bytes()).expect(200);
    };
    check_at("2199-01-01T00:00:00Z");
    assert_eq!(upstream.asked().len(), 1);
    for _ in 0..2 {
        send(&checks, &request).await;
        assert_eq!(upstream.asked().len(), 2);
    }
    // Nor does it take or end one of others.
    check_at("2199-01-01T00:00:00Z");
    assert_eq!(upstream.asked().len(), 3);
    send(&checks, &request).await;
    assert_eq!(upstream.asked().len(), 3);
}

#[tokio::test]
async fn attempts_are_repeated() {
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::start(move |asked| match count.fetch_add(1, Ordering::SeqCst) {
        0..3 => Play::Close,
        _ => echo(asked),
    });
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    let request = |retries: usize| json!({"method": "POST", "url": upstream.url("/"), "max_retry_attempts": retries});
    failure(&checks, &request(0)).await;
    assert_eq!(upstream.asked().len(), 1);
    failure(&checks, &request(1)).await;
    assert_eq!(upstream.asked().len(), 3);
    assert_eq!(send(&checks, &request(1)).await["status_code"], 200);
    assert_eq!(upstream.asked().len(), 4);
}
