//! What stands under `when`: headers, claims, server names, filter metadata.

use super::*;
use crate::attributes::Metadata;

#[test]
fn headers_line_by_line() {
    let key = Field::When("request.headers[x-role]");
    let rows: &[(&str, &[&str], bool)] = &[
        ("admin", &["x-role: admin"], true),
        ("admin", &["X-Role: admin"], true),
        ("admin", &["x-role: Admin"], false),
        ("admin", &["x-role: administrator"], false),
        ("admin", &["x-role: user", "x-role: admin"], true),
        ("admin", &["x-role: admin", "x-role: user"], true),
        ("admin", &["x-role: user,admin"], false),
        ("user,admin", &["x-role: user", "x-role: admin"], false),
        ("user,admin", &["x-role: user,admin"], true),
        ("admin", &["x-roles: admin"], false),
        ("adm*", &["x-role: admin"], true),
        ("*min", &["x-role: admin"], true),
        // There is enough; empty will do.
        ("*", &["x-role: "], true),
        ("*", &["x-other: a"], false),
        ("*", &[], false),
    ];
    for (value, lines, expected) in rows {
        let asked = Asked::get("/").with(|http| http.headers = headers(lines));
        check(&key, value, &asked, *expected, &lines.join(" | "));
    }
    let bytes = Headers::new(
        Vec::new(),
        Some(vec![("x-role".to_owned(), Bytes::from_static(b"a\xff"))]),
    );
    let asked = Asked::get("/").with(|http| http.headers = bytes);
    check(&key, "a*", &asked, true, "not UTF-8");
    check(&key, "*", &asked, true, "not UTF-8");
    let merged = Headers::new(vec![("x-role".to_owned(), "a,b".to_owned())], None);
    let asked = Asked::get("/").with(|http| http.headers = merged);
    check(&key, "a,b", &asked, true, "merged");
    check(&key, "a", &asked, false, "merged");
}

#[test]
fn parts_of_the_request_line() {
    let asked = Asked::get("/a?x=1").with(|http| {
        http.host = "Shop.example:80".to_owned();
        http.scheme = "https".to_owned();
        http.headers = headers(&["host: other", ":path: /other"]);
    });
    let rows = [
        ("request.headers[:path]", "/a?x=1", true),
        ("request.headers[:path]", "/a", false),
        ("request.headers[:method]", "GET", true),
        ("request.headers[:scheme]", "https", true),
        ("request.headers[:authority]", "Shop.example:80", true),
        // Unlike `hosts`, with regard to case.
        ("request.headers[:authority]", "shop.example:80", false),
        ("request.headers[Host]", "Shop.example:80", true),
        ("request.headers[host]", "other", false),
    ];
    for (key, value, expected) in rows {
        check(&Field::When(key), value, &asked, expected, "request line");
    }
    check(
        &Field::When("request.headers[:path]"),
        "*",
        &Asked::http(),
        false,
        "CONNECT",
    );
}

#[test]
fn claims() {
    let claims = json!({
        "iss": "i", "role": "admin", "empty": "", "line": "a\nb",
        "groups": ["dev", "ops"], "mixed": [1, null, ["deep"], "x"], "none": [],
        "level": 3, "admin": true, "nothing": null, "object": {"a": "b", "c.d": {"e": ["f"]}},
        "https://x/y": "z", "a[b]": "c", "scope": "read write", "aud": ["api", "web"], "azp": "app",
    });
    let rows = [
        ("request.auth.claims[role]", "admin", true),
        ("request.auth.claims[role]", "Admin", false),
        ("request.auth.claims[role]", "ad*", true),
        ("request.auth.claims[role]", "*min", true),
        ("request.auth.claims[role]", "*", true),
        ("request.auth.claims[Role]", "admin", false),
        ("request.auth.claims[missing]", "*", false),
        ("request.auth.claims[empty]", "*", false),
        ("request.auth.claims[line]", "*", false),
        ("request.auth.claims[line]", "a*", true),
        ("request.auth.claims[groups]", "ops", true),
        ("request.auth.claims[groups]", "dev,ops", false),
        ("request.auth.claims[groups]", "*", true),
        ("request.auth.claims[mixed]", "x", true),
        ("request.auth.claims[mixed]", "1", false),
        ("request.auth.claims[mixed]", "deep", false),
        ("request.auth.claims[none]", "*", false),
        // Only strings match.
        ("request.auth.claims[level]", "3", false),
        ("request.auth.claims[level]", "*", false),
        ("request.auth.claims[admin]", "true", false),
        ("request.auth.claims[nothing]", "*", false),
        ("request.auth.claims[object]", "*", false),
        ("request.auth.claims[object][a]", "b", true),
        ("request.auth.claims[object][c.d][e]", "f", true),
        ("request.auth.claims[object.a]", "b", false),
        ("request.auth.claims[role][x]", "*", false),
        ("request.auth.claims[https://x/y]", "z", true),
        ("request.auth.claims[a[b]]", "c", true),
        ("request.auth.claims[scope]", "write", true),
        ("request.auth.claims[scope]", "read write", false),
        ("request.auth.audiences", "web", true),
        ("request.auth.audiences", "ap", false),
        ("request.auth.presenter", "app", true),
        ("request.auth.presenter", "web", false),
    ];
    let asked = Asked::get("/").with_claims(&claims);
    for (key, value, expected) in rows {
        check(&Field::When(key), value, &asked, expected, "claims");
        check(
            &Field::When(key),
            value,
            &Asked::get("/"),
            false,
            "no token",
        );
    }
}

#[test]
fn server_names() {
    let rows = [
        ("a.com", Some("a.com"), true),
        ("a.com", Some("A.COM"), true),
        // What is compared is in lower case, so capitals of a policy never match.
        ("A.com", Some("A.com"), false),
        ("*.com", Some("a.com"), true),
        ("*", Some("a.com"), true),
        ("*", Some(""), false),
        ("*", None, false),
    ];
    for (value, sni, expected) in rows {
        let mut asked = Asked::get("/");
        asked.attributes.sni = sni.map(str::to_owned);
        check(
            &Field::When("connection.sni"),
            value,
            &asked,
            expected,
            sni.unwrap_or("none"),
        );
    }
    // On TCP the proxy puts it elsewhere.
    for (mut asked, expected) in [(Asked::default(), true), (Asked::get("/"), false)] {
        asked = asked.to("10.0.0.1", 80);
        asked.attributes.destination.as_mut().unwrap().service = "a.com".to_owned();
        check(
            &Field::When("connection.sni"),
            "a.com",
            &asked,
            expected,
            "service",
        );
    }
}

#[test]
fn filter_metadata() {
    let fields = json!({"text": "abc", "list": ["x", "y"], "nested": [["x"]], "number": 1});
    let other = json!({"text": "other"});
    let mut asked = Asked::default();
    asked.attributes.metadata = Some(Metadata {
        filter: vec![
            (
                "envoy.filters.a".to_owned(),
                other.as_object().unwrap().clone(),
            ),
            (
                "envoy.filters.b".to_owned(),
                fields.as_object().unwrap().clone(),
            ),
        ],
        typed: Vec::new(),
    });
    let rows = [
        ("experimental.envoy.filters.b[text]", "abc", true),
        ("experimental.envoy.filters.b[text]", "a*", true),
        ("experimental.envoy.filters.b[text]", "other", false),
        ("experimental.envoy.filters.b[text]", "[abc]", false),
        ("experimental.envoy.filters.b[list]", "[x]", true),
        ("experimental.envoy.filters.b[list]", "[[y]]", true),
        ("experimental.envoy.filters.b[list]", "[z]", false),
        ("experimental.envoy.filters.b[list]", "x", false),
        ("experimental.envoy.filters.b[nested]", "[x]", false),
        ("experimental.envoy.filters.b[number]", "1", false),
        ("experimental.envoy.filters.b[missing]", "*", false),
        ("experimental.envoy.filters.c[text]", "abc", false),
    ];
    for (key, value, expected) in rows {
        check(&Field::When(key), value, &asked, expected, "metadata");
    }
}
