//! Where redirects lead and how long attempts are apart. Asking is tested in `tests/external.rs` with
//! the whole program.

use super::*;

fn pauses(many: usize) -> Vec<Duration> {
    (0..many).map(pause).collect()
}

/// What a redirected POST becomes, in a line.
fn moved(from: &str, status: u16, target: &str) -> Result<String, &'static str> {
    let mut headers = HeaderMap::new();
    for name in ["authorization", "content-type", "host", "x-api"] {
        headers.insert(name, HeaderValue::from_static("v"));
    }
    let hop = Hop {
        method: Method::POST,
        url: Url::parse(from).unwrap(),
        headers,
        body: Bytes::from_static(b"body"),
        is_first_origin: true,
        is_from_elsewhere: false,
    };
    let status = StatusCode::from_u16(status).unwrap();
    let to = hop.moved(status, &HeaderValue::from_str(target).unwrap())?;
    let mut names: Vec<_> = to.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let body = String::from_utf8_lossy(&to.body).into_owned();
    let names = names.join(",");
    assert_eq!(to.is_first_origin, names.contains("host"));
    Ok(format!("{} {} {body} {names}", to.method, to.url))
}

#[test]
fn where_redirects_lead() {
    // From, status, target: method, URL, body, and which of the headers stay.
    let rows = [
        (
            "http://a/x",
            302,
            "/y",
            Ok("GET http://a/y  authorization,host,x-api"),
        ),
        (
            "http://a/x",
            303,
            "y?z=1",
            Ok("GET http://a/y?z=1  authorization,host,x-api"),
        ),
        (
            "http://a/x",
            301,
            "http://a:80/",
            Ok("GET http://a/  authorization,host,x-api"),
        ),
        (
            "http://a/x",
            307,
            "/y",
            Ok("POST http://a/y body authorization,content-type,host,x-api"),
        ),
        (
            "http://a/x",
            308,
            "//b/y",
            Ok("POST http://b/y body content-type,x-api"),
        ),
        // Another port or scheme is another origin.
        (
            "http://a/x",
            302,
            "http://a:81/",
            Ok("GET http://a:81/  x-api"),
        ),
        ("http://a/x", 302, "https://a/", Ok("GET https://a/  x-api")),
        (
            "http://a/x",
            302,
            "http://a.b/",
            Ok("GET http://a.b/  x-api"),
        ),
        (
            "https://a/x",
            302,
            "http://a/",
            Err("a redirect leads from https to http"),
        ),
        (
            "http://a/x",
            302,
            "http://[",
            Err("failed to parse the Location header"),
        ),
    ];
    for (from, status, target, expected) in rows {
        let to = moved(from, status, target);
        assert_eq!(
            to.as_deref().map_err(|why| *why),
            expected,
            "{from} {target}"
        );
    }
}

/// Rule: who is elsewhere sends nobody to this machine's loopback.
#[test]
fn who_chose_where_it_goes() {
    let rows: [(&[&str], bool); 8] = [
        (&["http://a/"], false),
        (&["http://a/", "/b"], false),
        (&["http://a/", "http://127.0.0.1/"], true),
        (&["http://a/", "http://localhost:1/", "/b"], true),
        (&["http://127.0.0.1:1/", "http://127.0.0.1:2/"], false),
        (&["http://[::1]:1/", "http://localhost:2/"], false),
        (&["http://localhost/", "http://a/"], false),
        (
            &["http://localhost/", "http://a/", "http://localhost/"],
            true,
        ),
    ];
    for (urls, expected) in rows {
        let mut hop = Hop {
            method: Method::GET,
            url: Url::parse(urls[0]).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            is_first_origin: true,
            is_from_elsewhere: false,
        };
        for url in &urls[1..] {
            let location = HeaderValue::from_str(url).unwrap();
            hop = hop.moved(StatusCode::FOUND, &location).unwrap();
        }
        assert_eq!(hop.is_from_elsewhere, expected, "{urls:?}");
    }
}

#[test]
fn attempts_are_further_and_further_apart() {
    let millis: Vec<_> = pauses(5).iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [0, 160, 256, 409, 655]);
    assert_eq!(pauses(100)[99], Duration::from_secs(60));
}
