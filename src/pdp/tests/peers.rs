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
            assert!(!decision.cacheable);
        }
    }
}
