//! Which hosts are this one, and which pages.

use super::*;

#[test]
fn without_tokens_a_call_names_this_server() {
    let hosts = Hosts::new(&["doorward.internal".to_owned()]);
    let rows: [(&str, &[&str], &[&str], bool, bool); 11] = [
        ("/", &["localhost:8181"], &[], true, true),
        (
            "/",
            &["doorward.internal:8181"],
            &["http://DOORWARD.internal:8181"],
            true,
            true,
        ),
        ("/", &["evil.example"], &[], false, true),
        ("/", &["doorward.internal.evil.example"], &[], false, true),
        ("/", &[], &[], false, true),
        ("/", &["localhost", "evil.example"], &[], false, true),
        ("http://evil.example/", &["localhost"], &[], false, true),
        ("/", &["[::1]:8181"], &["https://evil.example"], true, false),
        ("/", &["127.0.0.1"], &["null"], true, false),
        (
            "/",
            &["evil.example"],
            &["https://evil.example"],
            false,
            false,
        ),
        (
            "/",
            &["localhost"],
            &["http://localhost", "http://evil.example"],
            true,
            false,
        ),
    ];
    for (uri, named, origins, is_named, is_origin) in rows {
        let mut headers = HeaderMap::new();
        for host in named {
            headers.append("host", host.parse().unwrap());
        }
        for origin in origins {
            headers.append("origin", origin.parse().unwrap());
        }
        let uri: Uri = uri.parse().unwrap();
        assert_eq!(hosts.is_named(&uri, &headers), is_named, "{uri} {named:?}");
        assert_eq!(hosts.is_own_page(&headers, false), is_origin, "{origins:?}");
    }
    for name in ["", "*", "a b", "a:80", "http://a"] {
        assert!(problem(name).is_some(), "{name}");
    }
    for name in ["a", "a.example", "10.0.0.1", "::1"] {
        assert!(problem(name).is_none(), "{name}");
    }
}

/// An image of a page names no origin, but the browser tells where the page is.
#[test]
fn a_page_of_elsewhere_cannot_read_either() {
    let hosts = Hosts::new(&["doorward.internal".to_owned()]);
    let rows: [(&str, &[&str], bool); 10] = [
        ("localhost:8181", &[], true),
        ("localhost:8181", &["cross-site"], false),
        ("localhost:8181", &["same-site"], true),
        ("[::1]:8181", &["same-site"], true),
        ("localhost:8181", &["same-origin"], true),
        ("localhost:8181", &["none"], true),
        ("localhost:8181", &["none", "cross-site"], false),
        ("localhost:8181", &["unheard-of"], false),
        ("doorward.internal", &["same-site"], false),
        ("doorward.internal", &["same-origin"], true),
    ];
    for (host, sites, expected) in rows {
        let mut headers = HeaderMap::new();
        headers.append("host", host.parse().unwrap());
        for site in sites {
            headers.append("sec-fetch-site", site.parse().unwrap());
        }
        for is_host_proven in [false, true] {
            let found = hosts.is_own_page(&headers, is_host_proven);
            assert_eq!(found, expected, "{host} {sites:?}");
        }
    }
}
