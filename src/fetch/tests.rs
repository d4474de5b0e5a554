use reqwest::StatusCode;
use url::Url;

use super::{Clients, FetchError, Way, one_line};
use crate::address::OwnPorts;

/// An answer of a server, without one.
fn answer(status: u16, location: &str) -> reqwest::Response {
    let answer = http::Response::builder().status(status);
    let answer = match location {
        "" => answer,
        location => answer.header("location", location),
    };
    answer.body("").unwrap().into()
}

fn way(url: &str) -> Way {
    Way::to(&Url::parse(url).unwrap())
}

#[test]
fn where_answers_send_a_request() {
    let check = |from: &str, status, location: &str, expected: &str| {
        let mut way = way(from);
        let found = match way.follow(answer(status, location)) {
            Ok(Some(last)) => format!("last {}", last.status().as_u16()),
            Ok(None) => way.url().to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{from} {status} {location}");
    };
    check("http://a/x", 200, "", "last 200");
    check("http://a/x", 200, "/y", "last 200");
    check("http://a/x", 304, "/y", "last 304");
    check("http://a/x", 404, "/y", "last 404");
    check("http://a/x", 302, "/y", "http://a/y");
    check("http://a/x", 307, "y?z", "http://a/y?z");
    check("http://a/x", 308, "https://b/", "https://b/");
    check("https://a/x", 301, "//b/y", "https://b/y");
    check("http://a/x", 302, "", "status 302");
    let target = |why: &str| format!("the redirect's target {why}");
    let downgrade = target("leads from https to http");
    check("https://a/x", 302, "http://a/y", &downgrade);
    let scheme = target("is neither `http` nor `https`");
    check("https://a/x", 302, "file:///etc/passwd", &scheme);
    let user = target("holds a user name or password");
    check("https://a/x", 302, "https://u:p@a/", &user);
    let mut looping = way("http://a/x");
    for _ in 0..3 {
        assert!(looping.follow(answer(302, "/x")).unwrap().is_none());
    }
    let error = looping.follow(answer(302, "/x")).unwrap_err();
    assert_eq!(error.to_string(), "more than 3 redirects");
}

#[tokio::test]
async fn where_a_way_may_not_go() {
    let own_ports = OwnPorts::default();
    own_ports.add([81]);
    let clients = Clients::new(own_ports);
    let elsewhere = |to: &str| {
        let mut way = way("http://192.0.2.1/");
        way.follow(answer(302, to)).unwrap();
        way
    };
    let rows = [
        (way("http://127.0.0.1/"), ""),
        (way("http://127.0.0.1:81/"), "this machine's"),
        (way("http://169.254.169.254/"), "link-local"),
        (elsewhere("http://192.0.2.2/"), ""),
        (elsewhere("http://127.0.0.1/"), "this machine's"),
        (
            elsewhere("http://[::1]/").on_to(Url::parse("http://127.0.0.1/").unwrap()),
            "this machine's",
        ),
        (elsewhere("http://169.254.169.254/"), "link-local"),
    ];
    for (way, expected) in rows {
        let client = clients.get(Default::default(), &way).await;
        let found = client.map_or_else(|error| error.to_string(), |_| String::new());
        let is_expected = found.contains(expected) && found.is_empty() == expected.is_empty();
        assert!(is_expected, "{way:?}: {found}");
    }
}

#[test]
fn messages() {
    let status = FetchError::Status(StatusCode::NOT_FOUND);
    assert_eq!(status.to_string(), "status 404");
    assert_eq!(one_line("a\r\nb\u{1b}cd", 3), "abc");
}
