//! Which URLs may be asked for keys, and how they are shown.

use super::*;

#[test]
fn urls_that_may_be_asked() {
    let rows = [
        ("https://idp.example.com/keys", ""),
        ("http://127.0.0.1:8080/keys?tenant=1", ""),
        ("HTTPS://IDP.example.com", ""),
        ("", "is not a URL: relative URL without a base"),
        ("/keys", "is not a URL: relative URL without a base"),
        (
            "idp.example.com/keys",
            "is not a URL: relative URL without a base",
        ),
        ("https://", "is not a URL: empty host"),
        ("https://a:99999/", "is not a URL: invalid port number"),
        ("https://a:b/", "is not a URL: invalid port number"),
        ("https://a:0/", "has port 0"),
        ("ftp://a/", "is neither `http` nor `https`"),
        ("file:///etc/passwd", "is neither `http` nor `https`"),
        ("data:,x", "is neither `http` nor `https`"),
        ("idp.example.com:443/keys", "is neither `http` nor `https`"),
        ("https://user@a/", "holds a user name or password"),
        ("https://:pass@a/", "holds a user name or password"),
        (
            "https://a.example@evil.example/",
            "holds a user name or password",
        ),
        (
            " https://a/",
            "holds white space, a backslash or control characters",
        ),
        (
            "https://a\\b/",
            "holds white space, a backslash or control characters",
        ),
        (
            "https://a/\tb",
            "holds white space, a backslash or control characters",
        ),
        (
            "https://a/\0",
            "holds white space, a backslash or control characters",
        ),
    ];
    for (text, expected) in rows {
        let actual = KeySource::at(text).map(drop);
        let actual = actual.map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(actual, expected, "{text:?}");
    }
    let long = |length: usize| format!("https://a/{}", "b".repeat(length - 10));
    assert!(KeySource::at(&long(2048)).is_ok());
    assert_eq!(KeySource::at(&long(2049)), Err(KeyUrlError::TooLong));
}

#[test]
fn issuers_tell_where_they_describe_themselves() {
    let rows = [
        (
            "https://a",
            Some("https://a/.well-known/openid-configuration"),
        ),
        (
            "https://a/",
            Some("https://a/.well-known/openid-configuration"),
        ),
        (
            "https://a/b",
            Some("https://a/b/.well-known/openid-configuration"),
        ),
        (
            "https://a/b/",
            Some("https://a/b/.well-known/openid-configuration"),
        ),
        (
            "https://a/b//",
            Some("https://a/b//.well-known/openid-configuration"),
        ),
        ("https://a?b", None),
        ("https://a#b", None),
        ("testing@secure.istio.io", None),
    ];
    for (issuer, expected) in rows {
        let source = KeySource::of_issuer(issuer).ok();
        let url = source.as_ref().map(|source| source.url().as_str());
        assert_eq!(url, expected, "{issuer}");
    }
}

#[test]
fn a_query_is_not_shown() {
    let source = KeySource::at("https://a/keys?key=secret#part").unwrap();
    assert_eq!(source.to_string(), "https://a/keys");
    assert_eq!(source.url().query(), Some("key=secret"));
}
