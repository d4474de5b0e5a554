//! Who calls, as a real Envoy reports it: certificates of clients, and tokens whose claims go on to
//! the upstream.

use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use serde_json::Value;

use super::proxy::{Envoy, Upstream, binary};
use crate::support::{Server, http, root};

const FRONT: &str = "spiffe://cluster.local/ns/web/sa/front";
const EVIL: &str = "spiffe://cluster.local/ns/web/sa/evil";
const FOREIGN: &str = "spiffe://elsewhere/ns/web/sa/front";

const POLICIES: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: callers, namespace: default }
spec:
  rules: [{ from: [{ source: { namespaces: [web] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: not-evil, namespace: default }
spec:
  action: DENY
  rules: [{ from: [{ source: { principals: [cluster.local/ns/web/sa/evil] } }] }]
";
const STRICT: &str = "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: default }
spec: { mtls: { mode: STRICT } }
";

/// Signs certificates that Envoy and its clients show each other.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Certificate and key.
    fn issue(&self, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a test");
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A client with these URI SANs; without a certificate if there is none.
    fn client(&self, uris: &[&str]) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(self.0.pem().as_bytes()).unwrap();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([ca]);
        if uris.is_empty() {
            return builder.build().unwrap();
        }
        let uri = |uri: &&str| SanType::URI(Ia5String::try_from(*uri).unwrap());
        let (certificate, key) = self.issue(uris.iter().map(uri).collect());
        let identity = reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes());
        builder.identity(identity.unwrap()).build().unwrap()
    }
}

/// Envoy with the documented piece for TLS in its listener.
fn envoy_with_tls(
    binary: &std::path::Path,
    authority: &Authority,
    server: &Server,
    upstream: &Upstream,
    folder: &std::path::Path,
) -> Envoy {
    let local = "127.0.0.1".parse().unwrap();
    let (certificate, key) = authority.issue(vec![SanType::IpAddress(local)]);
    for (name, text) in [
        ("server.crt", certificate),
        ("server.key", key),
        ("ca.crt", authority.0.pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let piece = std::fs::read_to_string(root().join("deploy/envoy/downstream-tls.yaml")).unwrap();
    let piece = piece.replace("/etc/envoy/tls", folder.to_str().unwrap());
    Envoy::start_with(binary, &server.ext_authz, &upstream.address, &piece)
}

#[tokio::test]
async fn certificates_tell_who_calls() {
    let Some(binary) = binary() else { return };
    let server = Server::start();
    let url = server.url("/v1/resources");
    http::put(&url, POLICIES.as_bytes()).expect(200);
    let authority = Authority::new();
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let envoy = envoy_with_tls(&binary, &authority, &server, &upstream, folder.path());
    // URI SANs, and the status before and after STRICT.
    let rows: &[(&[&str], u16, u16)] = &[
        (&[FRONT], 200, 200),
        (&[EVIL], 403, 403),
        // Every name counts, whichever the proxy reports.
        (&[FRONT, EVIL], 403, 403),
        (&[FOREIGN], 200, 403),
        // Several names are no identity of a mesh.
        (&[FRONT, FOREIGN], 200, 403),
        (&["https://cluster.local/ns/web/sa/front"], 200, 403),
        (&[], 403, 403),
    ];
    for (at, strict) in [(0, false), (1, true)] {
        if strict {
            http::put(&url, STRICT.as_bytes()).expect(200);
        }
        for (uris, before, after) in rows {
            let url = envoy.url("/").replace("http://", "https://");
            let answer = authority.client(uris).get(url).send().await.unwrap();
            let expected = [*before, *after][at];
            assert_eq!(answer.status(), expected, "{uris:?}, strict {strict}");
            if expected == 403 {
                assert_eq!(answer.text().await.unwrap(), "RBAC: access denied");
            }
        }
    }
    let record = server.url(&format!("/v1/decisions?principal={FRONT}&effect=allow"));
    crate::support::eventually("the record", || {
        http::get(&record).json()["decisions"][0]["peer_principal"] == FRONT
    })
    .await;
}

#[tokio::test]
async fn claims_reach_the_upstream_and_forgeries_do_not() {
    let Some(binary) = binary() else { return };
    let server = Server::with_config(
        "mesh: { default_action: allow, default_workload: { namespace: profile, labels: {} } }\n",
    );
    let example =
        |name: &str| std::fs::read_to_string(root().join("policies/istio").join(name)).unwrap();
    let policy = example("claim-to-header.yaml");
    http::put(&server.url("/v1/resources"), policy.as_bytes()).expect(200);
    let upstream = Upstream::start();
    let envoy = Envoy::start(&binary, &server.ext_authz, &upstream.address);
    let get = |token: Option<&str>| {
        let bearer = token.map(|name| format!("Bearer {}", example(name).trim()));
        let mut headers = vec![
            ("x-user", "admin"),
            ("X-Tenant", "south"),
            ("x_user", "admin"),
        ];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        http::send("GET", &envoy.url("/me"), &headers, b"")
    };
    let seen = |token: Option<&str>| {
        let seen = get(token).expect(200).json();
        ["x-user", "x-tenant", "x-level", "x_user", "authorization"]
            .map(|name| seen["headers"][name].clone())
    };
    let text = |text: &str| Value::from(text);
    let alice = seen(Some("tokens/alice.jwt"));
    let expected = [
        text("alice"),
        text("north"),
        text("3"),
        Value::Null,
        Value::Null,
    ];
    assert_eq!(alice, expected);
    let [user, others @ ..] = seen(Some("tokens/bob.jwt"));
    assert_eq!((user, others), (text("bob"), [const { Value::Null }; 4]));
    assert_eq!(seen(None), [const { Value::Null }; 5]);
    let refused = get(Some("tokens/forged-alice.jwt")).expect(401);
    assert_eq!(refused.body, "Jwt verification fails");
    assert_eq!(upstream.requests(), 3);
}
