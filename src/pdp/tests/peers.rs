//! Who is at the other end: certificates, and what becomes of requests with bad ones.

use super::*;

const ALICE: &str = "spiffe://td/ns/a/sa/alice";
const MALLORY: &str = "spiffe://td/ns/a/sa/mallory";

/// A policy on who asks.
fn on_peer(action: &str, source: &Value) -> Value {
    let spec = json!({"action": action, "rules": [{"from": [{"source": source}]}]});
    policy(&action.to_lowercase(), &spec)
}

fn certificate(uris: &[&str]) -> String {
    CertificateMaker::with_uris(uris).text()
}

#[test]
fn a_name_behind_the_first_is_denied() {
    let objects = [
        on_peer("ALLOW", &json!({"principals": ["*/sa/alice"]})),
        on_peer("DENY", &json!({"principals": ["*/sa/mallory"]})),
    ];
    let rows: &[(&[&str], &str, u16)] = &[
        (&[ALICE], ALICE, 200),
        (&[ALICE, MALLORY], ALICE, 403),
        (&[MALLORY, ALICE], MALLORY, 403),
        (&["https://x", ALICE], "https://x", 200),
        (&["https://x"], "https://x", 403),
    ];
    // From memory too: the proxy reports the same name for some of them.
    let (pdp, cached) = (
        Setup::native(&objects).pdp(),
        Setup::native(&objects).cached().pdp(),
    );
    for (uris, principal, expected) in rows.iter().chain(rows) {
        let attributes = by_certificate(get(&[]), principal, &certificate(uris));
        let decision = pdp.check(attributes.clone(), NOW_NS).decision;
        assert_eq!(decision.status(), *expected, "{uris:?}");
        assert_eq!(decision.peer_principal.as_deref(), Some(*principal));
        let remembered = cached.check(attributes, NOW_NS).decision;
        assert_eq!(remembered, decision, "{uris:?}");
    }
}

#[test]
fn certificates_are_read_for_who_looks_at_them() {
    let by_name = on_peer("ALLOW", &json!({"notPrincipals": ["nobody"]}));
    let others = [
        Setup::native(&[
            on_header("DENY", "x-deny"),
            policy("all", &json!({"rules": [{}]})),
        ]),
        Setup::default().with_rego("package envoy.authz\nallow := true\n"),
    ];
    let strict = json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"namespace": "shop", "name": "strict"}, "spec": {"mtls": {"mode": "STRICT"}}});
    let identities = [
        Setup::native(&[by_name]),
        Setup::native(&[strict]),
        Setup::default()
            .with_rego("package envoy.authz\nallow := input.source_principal != \"nobody\"\n"),
        Setup::default()
            .with_rego("package envoy.authz\nallow := json.marshal(input) != \"nobody\"\n"),
    ];
    let rows = [
        ("junk", "is not one URL-encoded PEM block of a certificate"),
        (
            &certificate(&[MALLORY]),
            "does not have the peer's principal among its names",
        ),
        (
            &certificate(&[ALICE, "a\0b"]),
            "has a subject alternative name with control characters",
        ),
    ];
    for (certificate, expected) in rows {
        let attributes = || by_certificate(get(&[]), ALICE, certificate);
        for setup in &others {
            let decision = setup.pdp().check(attributes(), NOW_NS).decision;
            assert_eq!(decision.effect(), Effect::Allow, "{:?}", decision.reason);
        }
        for setup in &identities {
            let decision = setup.pdp().check(attributes(), NOW_NS).decision;
            let actual = (decision.status(), decision.reason.kind);
            assert_eq!(actual, (400, ReasonKind::InvalidRequest));
            let expected = format!("the peer's certificate {expected}");
            assert_eq!(decision.reason.message, expected);
            assert_eq!(decision.lifetime, Lifetime::never(Unremembered::Failure));
        }
    }
}

const GATEWAY: &str = "spiffe://td/ns/edge/sa/gateway";

fn trusting(objects: &[Value]) -> Setup {
    Setup::native(objects).with(|settings| {
        let trusted = "td/ns/edge/sa/gateway".to_owned();
        settings.trusted_xfcc_peers = vec![trusted.try_into().unwrap()];
    })
}

fn by_alice() -> [Value; 2] {
    [
        on_peer("ALLOW", &json!({"principals": ["td/ns/a/sa/alice"]})),
        on_peer("DENY", &json!({"principals": ["td/ns/a/sa/mallory"]})),
    ]
}

#[test]
fn only_trusted_peers_speak_for_others() {
    let alice = format!("x-forwarded-client-cert: By={GATEWAY};URI={ALICE}");
    let mallory = format!("x-forwarded-client-cert: URI={ALICE},URI={MALLORY}");
    let named = |name| format!("x-forwarded-client-cert: {name}");
    let (none, dns) = (named("By=x;Hash=y"), named("DNS=alice"));
    let other = "x-other: 1";
    let rows: &[(&str, &str, u16, Option<&str>, Option<&str>)] = &[
        // Header, peer, status, who policies saw, by whom they were told.
        (&alice, GATEWAY, 200, Some(ALICE), Some(GATEWAY)),
        (&mallory, GATEWAY, 403, Some(MALLORY), Some(GATEWAY)),
        (&none, GATEWAY, 403, None, Some(GATEWAY)),
        (&named(""), GATEWAY, 403, None, Some(GATEWAY)),
        (&dns, GATEWAY, 403, Some("alice"), Some(GATEWAY)),
        (other, GATEWAY, 403, None, Some(GATEWAY)),
        // Anybody else's header is a header.
        (&alice, MALLORY, 403, Some(MALLORY), None),
        (&mallory, ALICE, 200, Some(ALICE), None),
        (&alice, "", 403, None, None),
        (
            &alice,
            "td/ns/edge/sa/gateway",
            403,
            Some("td/ns/edge/sa/gateway"),
            None,
        ),
        (
            &alice,
            "spiffe://td/ns/edge/sa/gateway2",
            403,
            Some("spiffe://td/ns/edge/sa/gateway2"),
            None,
        ),
        (
            &alice,
            "CN=td/ns/edge/sa/gateway",
            403,
            Some("CN=td/ns/edge/sa/gateway"),
            None,
        ),
    ];
    let (pdp, cached) = (
        trusting(&by_alice()).pdp(),
        trusting(&by_alice()).cached().pdp(),
    );
    for (line, peer, status, seen, told_by) in rows.iter().chain(rows) {
        let attributes = by(get(&[line]), peer);
        let decision = pdp.check(attributes.clone(), NOW_NS).decision;
        let actual = (
            decision.status(),
            decision.peer_principal.as_deref(),
            decision.forwarded_by.as_deref(),
        );
        assert_eq!(actual, (*status, *seen, *told_by), "{line} by {peer}");
        let remembered = cached.check(attributes, NOW_NS).decision;
        assert_eq!(remembered, decision, "{line} by {peer}");
    }
    // Where nobody is trusted, the gateway is itself.
    let decision = Setup::native(&by_alice())
        .pdp()
        .check(by(get(&[&alice]), GATEWAY), NOW_NS)
        .decision;
    assert_eq!(decision.status(), 403);
    assert_eq!(decision.peer_principal.as_deref(), Some(GATEWAY));
}

#[test]
fn an_unreadable_header_of_a_trusted_peer_is_denied() {
    let allows_unknown = on_peer("ALLOW", &json!({"notPrincipals": ["td/ns/a/sa/mallory"]}));
    let pdp = trusting(&[allows_unknown]).pdp();
    let check = |line: &str, peer| pdp.check(by(get(&[line]), peer), NOW_NS).decision;
    let line = format!("x-forwarded-client-cert: By=\",By=x;URI={MALLORY}");
    let decision = check(&line, GATEWAY);
    assert_eq!(decision.status(), 400);
    assert_eq!(
        decision.reason.message,
        "header `x-forwarded-client-cert` of a trusted peer is not a list of `key=value;…` elements"
    );
    assert_eq!(check(&line, ALICE).status(), 200);
    assert_eq!(check("x-other: 1", GATEWAY).status(), 200);
}

#[test]
fn a_certificate_of_several_uris_is_no_trusted_peer() {
    let pdp = trusting(&by_alice()).pdp();
    let line = format!("x-forwarded-client-cert: URI={ALICE}");
    for (uris, status) in [
        (&[GATEWAY][..], 200),
        (&[GATEWAY, MALLORY], 403),
        (&[GATEWAY, "https://x"], 403),
        (&[GATEWAY, GATEWAY], 403),
    ] {
        let attributes = by_certificate(get(&[&line]), GATEWAY, &certificate(uris));
        assert_eq!(pdp.check(attributes, NOW_NS).decision.status(), status);
    }
    let dns = CertificateMaker::default().dns(GATEWAY).text();
    let attributes = by_certificate(get(&[&line]), GATEWAY, &dns);
    assert_eq!(pdp.check(attributes, NOW_NS).decision.status(), 403);
}

/// STRICT is about the connection, which is the gateway's, whoever it speaks for.
#[test]
fn strict_looks_at_the_connection() {
    let strict = json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"namespace": "shop", "name": "strict"}, "spec": {"mtls": {"mode": "STRICT"}}});
    let all = policy("all", &json!({"rules": [{}]}));
    let pdp = trusting(&[strict, all])
        .with(|settings| settings.mesh.trust_domains = vec!["td".to_owned()])
        .pdp();
    let foreign = "x-forwarded-client-cert: Subject=\"CN=client\"";
    let mesh = format!("x-forwarded-client-cert: URI={ALICE}");
    for (line, peer, status) in [
        (foreign, GATEWAY, 200),
        ("x-other: 1", GATEWAY, 200),
        (&mesh, "", 403),
        (&mesh, "spiffe://elsewhere/ns/edge/sa/gateway", 403),
    ] {
        let decision = pdp.check(by(get(&[line]), peer), NOW_NS).decision;
        assert_eq!(decision.status(), status, "{line} by {peer}");
    }
}

/// There are no headers on a connection: such a peer is itself.
#[test]
fn a_connection_of_a_trusted_peer_is_its_own() {
    let pdp = trusting(&[on_peer("ALLOW", &json!({"principals": ["td/ns/edge/*"]}))]).pdp();
    let decision = pdp
        .check(by(Attributes::default(), GATEWAY), NOW_NS)
        .decision;
    assert_eq!(decision.status(), 200);
    assert_eq!(decision.peer_principal.as_deref(), Some(GATEWAY));
    assert_eq!(decision.forwarded_by, None);
}
