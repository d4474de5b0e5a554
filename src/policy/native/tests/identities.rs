//! Who asks: peers and principals of tokens.

use super::*;

/// `(value, peer, matches)` for a field and the key that means the same.
fn check_peers(field: &'static str, key: &'static str, rows: &[(&str, &str, bool)]) {
    for (value, peer, expected) in rows {
        let asked = Asked::get("/").by_peer(peer);
        check(&Field::Source(field), value, &asked, *expected, peer);
        check(&Field::When(key), value, &asked, *expected, peer);
        let connection = Asked::default().by_peer(peer);
        check(&Field::Source(field), value, &connection, *expected, peer);
    }
}

/// Envoy 1.40 matches any URI SAN, any DNS SAN and the subject of one certificate.
#[test]
fn every_name_of_a_certificate_is_looked_at() {
    let (first, second) = (
        "spiffe://td/ns/shop/sa/cart",
        "spiffe://other/ns/bank/sa/till",
    );
    let certificate = CertificateMaker::with_uris(&[first, second])
        .dns("dns.example")
        .common_name("/ns/named/x");
    let rows: &[(&'static str, &str, bool)] = &[
        ("principals", "*", true),
        ("principals", "td/ns/shop/sa/cart", true),
        ("principals", "other/ns/bank/sa/till", true),
        ("principals", "*/sa/till", true),
        ("principals", "other/*", true),
        ("principals", "third/*", false),
        ("principals", "dns.example", false),
        ("namespaces", "shop", true),
        ("namespaces", "bank", true),
        ("namespaces", "named", true),
        ("namespaces", "farm", false),
        ("serviceAccounts", "shop/cart", true),
        ("serviceAccounts", "bank/till", true),
        ("serviceAccounts", "bank/cart", false),
        ("trustDomains", "td", true),
        ("trustDomains", "other", true),
        ("trustDomains", "third", false),
    ];
    let asked = Asked::get("/").by_certificate(first, &certificate);
    for (field, value, expected) in rows {
        check(&Field::Source(field), value, &asked, *expected, "several");
    }
    // Each test by itself is content with any name: so one rule can be met by several.
    let both = json!({"from": [{"source": {"namespaces": ["shop"], "trustDomains": ["other"]}}]});
    assert!(matches("ALLOW", &both, &asked));
    let subject = CertificateMaker::default().common_name("x");
    let asked = Asked::get("/").by_certificate("CN=x", &subject);
    check(&Field::Source("principals"), "*", &asked, true, "subject");
    check(
        &Field::Source("trustDomains"),
        "*",
        &asked,
        false,
        "subject",
    );
}

#[test]
fn principals() {
    let cart = "spiffe://td/ns/shop/sa/cart";
    check_peers(
        "principals",
        "source.principal",
        &[
            ("*", cart, true),
            ("*", "spiffe://td", true),
            ("*", "client.example.com", true),
            ("*", "CN=client", true),
            ("*", "", false),
            ("*", "a\nb", false),
            ("td/ns/shop/sa/cart", cart, true),
            ("td/ns/shop/sa/cart", "td/ns/shop/sa/cart", false),
            ("td/ns/shop/sa/cart", "https://td/ns/shop/sa/cart", false),
            ("td/ns/shop/sa/cart", "spiffe://td/ns/shop/sa/cart2", false),
            ("td/ns/shop/sa/cart", "", false),
            ("TD/ns/shop/sa/cart", cart, false),
            // The scheme is put in front, so written out it is there twice.
            ("spiffe://td/ns/shop/sa/cart", cart, false),
            ("td/*", cart, true),
            ("td/*", "spiffe://td", false),
            ("td*", "spiffe://td", true),
            ("td*", "spiffe://td.evil/ns/shop/sa/cart", true),
            ("td/*", "spiffe://td.evil/ns/shop/sa/cart", false),
            ("*/sa/cart", cart, true),
            ("*/sa/cart", "https://td/ns/shop/sa/cart", false),
            ("*/sa/cart", "CN=x/sa/cart", false),
            ("*spiffe://td", "spiffe://td", false),
            // Only the outer star counts.
            ("*shop*", cart, false),
            ("*shop*", "spiffe://td/shop*", true),
            ("td/*/cart", cart, false),
            ("td/*/cart", "spiffe://td/*/cart", true),
            // No pattern is a regular expression.
            ("td/ns/sh.p/sa/cart", cart, false),
            ("td/ns/shop/sa/car[t]", cart, false),
            ("*sa/.*", cart, false),
        ],
    );
}

#[test]
fn principals_of_all_trust_domains_of_the_mesh() {
    let mesh = MeshSettings {
        trust_domains: ["td1", "td2"].map(str::to_owned).to_vec(),
        ..mesh()
    };
    let rows = [
        ("td1/ns/a/sa/b", "td1/ns/a/sa/b", true),
        ("td1/ns/a/sa/b", "td2/ns/a/sa/b", true),
        ("td2/ns/a/sa/b", "td1/ns/a/sa/b", true),
        ("td1/ns/a/sa/b", "td3/ns/a/sa/b", false),
        ("td3/ns/a/sa/b", "td3/ns/a/sa/b", true),
        ("td3/ns/a/sa/b", "td1/ns/a/sa/b", false),
        ("td1/ns/a/sa/*", "td2/ns/a/sa/x", true),
        // `cluster.local` is a word for the mesh's own.
        ("cluster.local/ns/a/sa/b", "td2/ns/a/sa/b", true),
        ("cluster.local/ns/a/sa/b", "cluster.local/ns/a/sa/b", false),
        ("*1/ns/a/sa/b", "td1/ns/a/sa/b", true),
        ("*1/ns/a/sa/b", "x1/ns/a/sa/b", true),
        ("*1/ns/a/sa/b", "td2/ns/a/sa/b", true),
        ("*/ns/a/sa/b", "td3/ns/a/sa/b", true),
        // Not five parts: taken as it is.
        ("td1/*", "td1/ns/a/sa/b", true),
        ("td1/*", "td2/ns/a/sa/b", false),
        ("td1/ns/a/sa/b/c", "td2/ns/a/sa/b/c", false),
    ];
    for (value, peer, expected) in rows {
        let asked = Asked::get("/").by_peer(&format!("spiffe://{peer}"));
        let rule = Field::Source("principals").rule(value, false);
        let actual = matches_in(&mesh, "ALLOW", &rule, &asked);
        assert_eq!(actual, expected, "{value} {peer}");
    }
    for (value, peer, expected) in [
        ("td1", "td2", true),
        ("td3", "td1", false),
        ("td*", "td3", true),
    ] {
        let asked = Asked::get("/").by_peer(&format!("spiffe://{peer}/x"));
        let rule = Field::Source("trustDomains").rule(value, false);
        let actual = matches_in(&mesh, "ALLOW", &rule, &asked);
        assert_eq!(actual, expected, "{value} {peer}");
    }
}

#[test]
fn namespaces() {
    let cart = "spiffe://td/ns/shop/sa/cart";
    check_peers(
        "namespaces",
        "source.namespace",
        &[
            ("shop", cart, true),
            ("shop", "spiffe://other/ns/shop/sa/cart", true),
            ("shop", "spiffe://td/ns/shop/", true),
            ("shop", "spiffe://td/ns/shop", false),
            ("shop", "spiffe://td/ns/shops/sa/cart", false),
            ("shop", "spiffe://td/ns/ashop/sa/cart", false),
            ("shop", "spiffe://td/ns/SHOP/sa/cart", false),
            ("shop", "spiffe://td/xns/shop/sa/cart", false),
            ("shop", "https://x/ns/shop/y", true),
            ("shop", "", false),
            ("*", cart, true),
            ("*", "spiffe://td/ns/shop", false),
            ("*", "", false),
            ("sh*", cart, true),
            ("*op", cart, true),
            ("s*p", cart, true),
            ("s*h*p", cart, true),
            ("p*s", cart, false),
            // A star does not stop at a slash.
            ("a*c", "spiffe://td/ns/a/b/c/d", true),
            ("a*", "spiffe://td/ns/b/ns/a/", true),
            ("sh.p", cart, false),
            ("shop", "spiffe://td/ns/shop/\n", false),
        ],
    );
}

#[test]
fn service_accounts() {
    let cart = "spiffe://td/ns/shop/sa/cart";
    check_peers(
        "serviceAccounts",
        "source.serviceAccount",
        &[
            ("shop/cart", cart, true),
            ("shop/cart", "spiffe://other/ns/shop/sa/cart", true),
            ("shop/cart", "spiffe://td/ns/web/sa/cart", false),
            ("shop/cart", "spiffe://td/ns/shop/sa/carts", false),
            ("shop/cart", "spiffe://td/ns/shop/sa/scart", false),
            ("shop/cart", "spiffe:///ns/shop/sa/cart", false),
            ("shop/cart", "https://td/ns/shop/sa/cart", false),
            ("shop/cart", "", false),
            // More segments before, between and behind.
            ("shop/cart", "spiffe://td/x/y/ns/shop/sa/cart", true),
            ("shop/cart", "spiffe://td/ns/shop/x/y/sa/cart", true),
            ("shop/cart", "spiffe://td/ns/shop/sa/cart/x/y", true),
            ("shop/cart", "spiffe://td/ns/shop/sa/cart/", false),
            ("shop/cart", "spiffe://td/ns/shop/xsa/cart", false),
            ("shop/cart", "spiffe://td/ns/shop/", false),
            ("shop/cart", "spiffe://td/ns/web/sa/x/ns/shop/sa/cart", true),
            ("shop/cart", "spiffe://td/ns/shop\n/sa/cart", false),
            // Places that share a slash with one that does not count.
            ("shop/cart", "spiffe:///ns/shop/ns/shop/sa/cart", true),
            ("shop/sa", "spiffe://td/ns/shop//sa/sa/sa", true),
            // Without a namespace, that of the policy.
            ("cart", cart, true),
            ("cart", "spiffe://td/ns/web/sa/cart", false),
            ("shop/c.rt", cart, false),
        ],
    );
}

#[test]
fn trust_domains() {
    let cart = "spiffe://td.example/ns/shop/sa/cart";
    check_peers(
        "trustDomains",
        "source.trustDomain",
        &[
            ("td.example", cart, true),
            ("td.example", "spiffe://td.example/", true),
            ("td.example", "spiffe://td.example", false),
            ("td.example", "spiffe://td.example.evil/x", false),
            ("td.example", "spiffe://tdxexample/x", false),
            ("td.example", "https://td.example/x", false),
            ("td.example", "", false),
            ("*", cart, true),
            ("*", "spiffe://x", true),
            ("*", "client.example.com", false),
            ("*", "", false),
            ("td.*", cart, true),
            ("*.example", cart, true),
            ("*.example", "spiffe://td.example.evil/x", false),
            ("*.example", "spiffe://evil/td.example/x", false),
            ("td.*", "spiffe://td.x", false),
            ("td.example*", cart, true),
        ],
    );
}

#[test]
fn request_principals() {
    let rows = [
        ("*", json!({"iss": "i", "sub": "s"}), true),
        ("*", json!({"iss": "i"}), false),
        ("*", json!({"sub": "s"}), false),
        ("*", json!({"iss": "", "sub": "s"}), false),
        ("*", json!({"iss": "i", "sub": ""}), false),
        ("i/s", json!({"iss": "i", "sub": "s"}), true),
        ("i/s", json!({"iss": "i", "sub": "S"}), false),
        ("i/s", json!({"iss": "x", "sub": "i/s"}), false),
        // The last slash divides, so a subject with a slash is never named exactly.
        ("i/a/b", json!({"iss": "i", "sub": "a/b"}), false),
        ("i/a/b", json!({"iss": "i/a", "sub": "b"}), true),
        ("https://i/*", json!({"iss": "https://i", "sub": "s"}), true),
        (
            "https://i/*",
            json!({"iss": "https://i/", "sub": "s"}),
            false,
        ),
        (
            "https://i//*",
            json!({"iss": "https://i/", "sub": "s"}),
            true,
        ),
        ("https://i*", json!({"iss": "https://i", "sub": "s"}), false),
        ("i/a*", json!({"iss": "i", "sub": "ab"}), true),
        ("i/a*", json!({"iss": "ii", "sub": "ab"}), false),
        ("i*", json!({"iss": "ii", "sub": "s"}), true),
        ("i*", json!({"iss": "ii"}), false),
        ("*/s", json!({"iss": "i", "sub": "s"}), true),
        ("*/s", json!({"iss": "i", "sub": "xs"}), false),
        ("*i/s", json!({"iss": "xi", "sub": "s"}), true),
        ("*s", json!({"iss": "i", "sub": "xs"}), true),
        ("*/*", json!({"iss": "i", "sub": "s"}), false),
        ("*/*", json!({"iss": "i", "sub": "*"}), true),
        ("i", json!({"iss": "i", "sub": "s"}), false),
        ("i", json!({"iss": "i", "sub": ""}), true),
        ("i", json!({"iss": "i"}), false),
    ];
    for (value, claims, expected) in &rows {
        let asked = Asked::get("/").with_claims(claims);
        let about = claims.to_string();
        check(
            &Field::Source("requestPrincipals"),
            value,
            &asked,
            *expected,
            &about,
        );
        check(
            &Field::When("request.auth.principal"),
            value,
            &asked,
            *expected,
            &about,
        );
        check(
            &Field::Source("requestPrincipals"),
            value,
            &Asked::get("/"),
            false,
            "no token",
        );
    }
}
