//! PeerAuthentication: what holds for a port, and which identities satisfy it.

use super::*;

/// `KIND NAMESPACE NAME MODE`, with labels and port modes where they are given.
fn object(namespace: &str, name: &str, created: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": created},
        "spec": spec,
    })
}

/// Object that refuses a peer on a port of workload `shop`, `app: cart`; `None` lets it pass.
fn refused_by(objects: &[Value], port: impl Into<Option<u32>>, peer: &str) -> Option<String> {
    refused(objects, port, &PeerIdentity::new(peer))
}

fn refused(
    objects: &[Value],
    port: impl Into<Option<u32>>,
    peer: &PeerIdentity<'_>,
) -> Option<String> {
    let labels = vec![("app".to_owned(), "cart".to_owned())];
    let workload = Workload {
        namespace: Some("shop".to_owned()),
        labels: Some(labels),
        service_account: None,
        ..Workload::default()
    };
    let attached = compile_in(&mesh(), objects)
        .attached(&Arc::new(workload))
        .unwrap();
    let domains = mesh().trust_domains;
    attached
        .peer
        .refuses(port.into(), peer, &domains)
        .map(str::to_owned)
}

const EARLY: &str = "2020-01-01T00:00:00Z";
const LATE: &str = "2021-01-01T00:00:00Z";

#[test]
fn the_nearest_mode_holds_and_unset_inherits() {
    let mode = |mode: &str| json!({"mtls": {"mode": mode}});
    let mesh = |set: &str| object("istio-system", "mesh", EARLY, &mode(set));
    let space = |set: &str| object("shop", "space", EARLY, &mode(set));
    let workload = |set: &str, ports: Value| {
        let spec = json!({"selector": {"matchLabels": {"app": "cart"}}, "mtls": {"mode": set}, "portLevelMtls": ports});
        object("shop", "workload", EARLY, &spec)
    };
    let other = json!({"selector": {"matchLabels": {"app": "other"}}, "mtls": {"mode": "STRICT"}});
    let selected =
        json!({"selector": {"matchLabels": {"app": "cart"}}, "mtls": {"mode": "STRICT"}});
    let rows: Vec<(Vec<Value>, Option<&str>)> = vec![
        (vec![], None),
        (vec![mesh("STRICT")], Some("istio-system/mesh")),
        (vec![mesh("PERMISSIVE")], None),
        (vec![mesh("STRICT"), space("PERMISSIVE")], None),
        (vec![mesh("STRICT"), space("DISABLE")], None),
        (
            vec![mesh("STRICT"), space("UNSET")],
            Some("istio-system/mesh"),
        ),
        (
            vec![mesh("STRICT"), object("shop", "space", EARLY, &json!({}))],
            Some("istio-system/mesh"),
        ),
        (vec![space("STRICT")], Some("shop/space")),
        (vec![object("web", "space", EARLY, &mode("STRICT"))], None),
        (
            vec![space("PERMISSIVE"), workload("STRICT", json!({"1": {}}))],
            Some("shop/workload"),
        ),
        (
            vec![
                space("STRICT"),
                workload("UNSET", json!({"8080": {"mode": "PERMISSIVE"}})),
            ],
            None,
        ),
        (
            vec![
                space("STRICT"),
                workload("UNSET", json!({"8080": {"mode": "UNSET"}})),
            ],
            Some("shop/space"),
        ),
        (
            vec![
                space("STRICT"),
                workload("UNSET", json!({"8081": {"mode": "PERMISSIVE"}})),
            ],
            Some("shop/space"),
        ),
        (
            vec![workload("PERMISSIVE", json!({"8080": {"mode": "STRICT"}}))],
            Some("shop/workload"),
        ),
        // Of another workload, or with a selector in the root namespace: ignored.
        (vec![object("shop", "other", EARLY, &other)], None),
        (
            vec![object("istio-system", "selected", EARLY, &selected)],
            None,
        ),
        // The oldest of one scope holds, whatever its name.
        (
            vec![
                object("shop", "a", LATE, &mode("STRICT")),
                object("shop", "b", EARLY, &mode("PERMISSIVE")),
            ],
            None,
        ),
        (
            vec![
                object("shop", "a", LATE, &mode("PERMISSIVE")),
                object("shop", "b", EARLY, &mode("STRICT")),
            ],
            Some("shop/b"),
        ),
    ];
    for (objects, expected) in rows {
        assert_eq!(
            refused_by(&objects, 8080, "").as_deref(),
            expected,
            "{objects:#?}"
        );
    }
}

/// The proxy says nothing of the port, or names it: the STRICT one could be meant.
#[test]
fn an_unknown_port_is_as_strict_as_the_strictest() {
    let workload = |set: &str, port: &str| {
        let spec = json!({"selector": {"matchLabels": {"app": "cart"}},
            "mtls": {"mode": set}, "portLevelMtls": {"8080": {"mode": port}, "8081": {}}});
        [object("shop", "workload", EARLY, &spec)]
    };
    let rows = [
        ("PERMISSIVE", "PERMISSIVE", false),
        ("PERMISSIVE", "STRICT", true),
        ("STRICT", "PERMISSIVE", true),
        ("STRICT", "STRICT", true),
    ];
    for (set, port, refused) in rows {
        let actual = refused_by(&workload(set, port), None, "");
        assert_eq!(actual.is_some(), refused, "{set} {port}");
        let peer = "spiffe://cluster.local/ns/a/sa/b";
        assert_eq!(refused_by(&workload(set, port), None, peer), None);
    }
}

#[test]
fn strict_needs_a_spiffe_identity_of_the_mesh() {
    let strict = [object(
        "shop",
        "space",
        EARLY,
        &json!({"mtls": {"mode": "STRICT"}}),
    )];
    let domain = mesh().trust_domains[0].clone();
    let rows = [
        (format!("spiffe://{domain}/ns/a/sa/b"), true),
        (format!("spiffe://{domain}"), false),
        ("spiffe://elsewhere/ns/a/sa/b".to_owned(), false),
        (format!("spiffe://{domain}.evil/ns/a/sa/b"), false),
        (format!("{domain}/ns/a/sa/b"), false),
        ("dns.example".to_owned(), false),
        (String::new(), false),
    ];
    for (peer, accepted) in rows {
        assert_eq!(
            refused_by(&strict, 8080, &peer).is_none(),
            accepted,
            "{peer}"
        );
    }
}

/// Rule: a certificate with several URI SANs is no X.509-SVID, whatever the others are.
#[test]
fn strict_needs_one_uri_in_the_certificate() {
    let spec = json!({"mtls": {"mode": "STRICT"}});
    let strict = [object("shop", "space", EARLY, &spec)];
    let id = format!("spiffe://{}/ns/a/sa/b", mesh().trust_domains[0]);
    let one = CertificateMaker::with_uris(&[&id]);
    let rows = [
        (one.clone(), true),
        (one.clone().dns("dns.example").common_name("x"), true),
        (one.clone().uri("spiffe://elsewhere/a"), false),
        (one.clone().uri("https://dns.example"), false),
        (one.uri(&id), false),
        (CertificateMaker::default().dns(&id), false),
    ];
    for (certificate, accepted) in rows {
        let asked = Asked::default().by_certificate(&id, &certificate);
        let actual = refused(&strict, 8080, &asked.peer).is_none();
        assert_eq!(actual, accepted, "{certificate:?}");
    }
}

#[test]
fn trusted_peers_are_told_apart() {
    let gateway = "spiffe://td/ns/edge/sa/gateway";
    let rows = [
        ("td/ns/edge/sa/gateway", gateway, true),
        (
            "td/ns/edge/sa/gateway",
            "spiffe://td/ns/edge/sa/gateway2",
            false,
        ),
        ("td/ns/edge/sa/gateway", "td/ns/edge/sa/gateway", false),
        (
            "td/ns/edge/sa/gateway",
            "https://td/ns/edge/sa/gateway",
            false,
        ),
        ("td/ns/edge/sa/gateway", "", false),
        ("td/ns/edge/*", gateway, true),
        ("td/ns/edge/*", "spiffe://td.evil/ns/edge/sa/gateway", false),
        ("td/*", "spiffe://td/x?y", false),
        ("*/ns/edge/sa/gateway", gateway, true),
        (
            "*/ns/edge/sa/gateway",
            "spiffe://td/ns/edge/sa/gateway/x",
            false,
        ),
        ("*/ns/edge/sa/gateway", "CN=x/ns/edge/sa/gateway", false),
        ("td", "spiffe://td", true),
    ];
    for (text, peer, expected) in rows {
        let trusted = [TrustedPeer::try_from(text.to_owned()).unwrap()];
        let actual = TrustedPeer::is_any(&trusted, &PeerIdentity::new(peer));
        assert_eq!(actual, expected, "{text} {peer}");
    }
    assert!(!TrustedPeer::is_any(&[], &PeerIdentity::new(gateway)));
}

#[test]
fn nobody_is_trusted_by_accident() {
    for text in [
        "",
        "*",
        "**",
        "td*",
        "*gateway",
        "/ns/*",
        "*/",
        "*/sa/",
        "/td",
        "td/",
        "td/*/sa/gateway",
        "td/ns/*/*",
        "spiffe://td/ns/edge/sa/gateway",
        "td/ns/edge sa",
        "td/ns/edge/sa/gateway,x",
        "tä/*",
    ] {
        assert!(TrustedPeer::try_from(text.to_owned()).is_err(), "{text}");
    }
}
