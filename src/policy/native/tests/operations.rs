//! What is asked for: hosts, ports, methods and paths.

use super::*;

fn check_all(field: &Field, rows: &[(&str, &str, bool)], asked: impl Fn(&str) -> Asked) {
    for (value, given, expected) in rows {
        check(field, value, &asked(given), *expected, given);
    }
}

#[test]
fn hosts() {
    let rows = [
        ("a.com", "a.com", true),
        ("a.com", "A.Com", true),
        ("A.com", "a.COM", true),
        ("a.com", "a.com:8080", false),
        ("a.com:*", "a.com:8080", true),
        ("a.com:*", "a.com", false),
        ("a.com", "a.com.", false),
        ("a.com", "xa.com", false),
        ("a.com", "axcom", false),
        ("*.a.com", "b.A.com", true),
        ("*.a.com", "a.com", false),
        ("*.a.com", ".a.com", true),
        ("a.*", "A.org", true),
        ("*a*", "xa", false),
        ("*a*", "xA*", true),
        ("*", "a.com", true),
        ("*", "", false),
        ("*.a.com", "m", false),
        ("longer.than.it*", "long", false),
        // Cut in the middle of a character.
        ("*é", "\u{29}", false),
        ("é*", "Ã", false),
    ];
    check_all(&Field::Operation("hosts"), &rows, |host| {
        Asked::get("/").with(|http| http.host = host.to_owned())
    });
}

#[test]
fn methods() {
    let rows = [
        ("GET", "GET", true),
        ("GET", "get", false),
        ("get", "GET", false),
        ("GET", "GETX", false),
        ("P*", "PUT", true),
        ("*T", "PUT", true),
        ("*", "BREW", true),
        ("*", "", false),
        ("GET", "", false),
    ];
    check_all(&Field::Operation("methods"), &rows, |method| {
        Asked::get("/").with(|http| http.method = method.to_owned())
    });
}

#[test]
fn ports_and_addresses() {
    for field in [Field::Operation("ports"), Field::When("destination.port")] {
        for (value, expected) in [("8080", true), ("08080", true), ("80", false), ("0", false)] {
            check(
                &field,
                value,
                &Asked::get("/").to("10.0.0.1", 8080),
                expected,
                value,
            );
            check(
                &field,
                value,
                &Asked::default().to("10.0.0.1", 8080),
                expected,
                value,
            );
        }
        check(&field, "8080", &Asked::get("/"), false, "no destination");
    }
    let rows = [
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false),
        ("10.1.0.0/16", "10.1.255.255", true),
        ("10.1.0.0/16", "10.2.0.0", false),
        // Bits beyond the prefix are allowed and of no meaning.
        ("10.1.2.3/8", "10.9.9.9", true),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("2001:db8::/32", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::1", "0:0:0:0:0:0:0:1", true),
        // Families never mix.
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "10.1.2.3", false),
        ("0.0.0.0/0", "::ffff:10.1.2.3", false),
        ("10.1.2.3", "not an address", false),
        ("0.0.0.0/0", "", false),
    ];
    for (value, ip, expected) in rows {
        let source = Asked::get("/").by_ip(ip);
        check(&Field::Source("ipBlocks"), value, &source, expected, ip);
        check(&Field::When("source.ip"), value, &source, expected, ip);
        let destination = Asked::default().to(ip, 80);
        check(
            &Field::When("destination.ip"),
            value,
            &destination,
            expected,
            ip,
        );
        let remote = Asked {
            remote_ip: ip.parse().ok(),
            ..Asked::get("/")
        };
        check(
            &Field::Source("remoteIpBlocks"),
            value,
            &remote,
            expected,
            ip,
        );
        check(&Field::When("remote.ip"), value, &remote, expected, ip);
        // One kind of address is not another.
        check(&Field::Source("remoteIpBlocks"), value, &source, false, ip);
    }
}

#[test]
fn paths() {
    let rows = [
        ("/a", "/a", true),
        ("/a", "/A", false),
        ("/a", "/a/", false),
        ("/a", "/a?x=/b", true),
        ("/a", "/a#b", true),
        ("/a", "/a#b?c", true),
        ("/a", "/%61", false),
        ("/a", "//a", false),
        ("/a", "/a;x", false),
        ("/a*", "/a", true),
        ("/a*", "/ab/c", true),
        ("/a/*", "/a", false),
        ("/a/*", "/a?/x", false),
        ("*.js", "/x.js", true),
        ("*.js", "/x?y.js", false),
        ("*.js", "/x.js?v=1", true),
        ("*a*", "/xa", false),
        ("*a*", "/xa*", true),
        ("/a*b", "/axb", false),
        ("/a*b", "/a*b", true),
        ("/a.c", "/abc", false),
        ("*", "/", true),
        ("*", "", false),
        ("/", "", false),
        ("/pkg.Service/Method", "/pkg.Service/Method", true),
    ];
    check_all(&Field::Operation("paths"), &rows, Asked::get);
}

#[test]
fn path_templates() {
    let rows = [
        ("/foo/{*}", "/foo/a", true),
        ("/foo/{*}", "/foo/a?x", true),
        ("/foo/{*}", "/foo/", false),
        ("/foo/{*}", "/foo", false),
        ("/foo/{*}", "/foo/a/", false),
        ("/foo/{*}", "/foo/a/b", false),
        ("/foo/{*}/bar", "/foo/a/bar", true),
        ("/foo/{*}/bar", "/foo//bar", false),
        ("/{*}/{*}/x", "/a/b/x", true),
        ("/foo/{**}", "/foo/", true),
        ("/foo/{**}", "/foo/a/b/", true),
        ("/foo/{**}", "/foo", false),
        ("/foo/{**}", "/foox/a", false),
        ("/foo/{**}/", "/foo/a/", true),
        ("/foo/{**}/", "/foo/a", false),
        ("/store/{**}/cart", "/store/a/b/cart", true),
        ("/store/{**}/cart", "/store//cart", true),
        ("/store/{**}/cart", "/store/cart", false),
        ("/store/{**}/cart", "/store/a/cart/b", false),
        ("/{**}", "/", true),
        ("/{**}", "", false),
        ("/{*}/{**}", "/a/", true),
        ("/{*}/{**}", "/a", false),
        ("/a.b/{*}", "/axb/c", false),
        // Path characters, and two that are none but pass.
        ("/f/{*}", "/f/a-._~%!$&'()+,;:@=9Z", true),
        ("/f/{*}", "/f/a*b", true),
        ("/f/{*}", "/f/%zz", true),
    ];
    check_all(&Field::Operation("paths"), &rows, Asked::get);
}

/// An upstream could read it as any path.
#[test]
fn a_target_that_is_no_path_matches_what_denies_only() {
    let rows = [
        ("admin", true),
        ("http://h/admin", true),
        ("?admin", true),
        ("#admin", true),
        ("*?admin", true),
        // None at all (CONNECT), and the server as a whole (OPTIONS).
        ("", false),
        ("*", false),
    ];
    for (target, odd) in rows {
        let asked = Asked::get(target);
        for negated in [false, true] {
            let rule = Field::Operation("paths").rule("/other", negated);
            let about = format!("{target} not: {negated}");
            assert_eq!(matches("DENY", &rule, &asked), odd || negated, "{about}");
            assert_eq!(matches("ALLOW", &rule, &asked), !odd && negated, "{about}");
        }
    }
}

/// Envoy's template misses these bytes, so a path with one would slip past a rule that denies.
#[test]
fn odd_bytes_do_not_get_past_a_template_that_denies() {
    let template = |negated| Field::Operation("paths").rule("/f/{*}", negated);
    for odd in [
        "\"", "<", ">", "[", "\\", "]", "^", "`", "{", "|", "}", " ", "ä",
    ] {
        let asked = Asked::get(&format!("/f/a{odd}"));
        assert!(matches("DENY", &template(false), &asked), "DENY {odd}");
        assert!(!matches("ALLOW", &template(false), &asked), "ALLOW {odd}");
        assert!(matches("DENY", &template(true), &asked), "DENY not {odd}");
        // As Envoy: `notPaths` of a rule that allows does not keep them out.
        assert!(matches("ALLOW", &template(true), &asked), "ALLOW not {odd}");
    }
}
