//! Servers over TLS are trusted as the policy says, and are shown the certificate it gives.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};

use super::{CONFIG, echo, failure, get, send, start};
use crate::support::upstream::Upstream;

/// A certificate authority, certificates under it, and PEM texts of all.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key of a name.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.0).unwrap(), key)
    }

    fn server(&self, name: &str, clients: Option<&Self>) -> ServerConfig {
        let (certificate, key) = self.issue(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

#[tokio::test]
async fn servers_are_trusted_as_the_policy_says() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let plain = Upstream::start_tls(authority.server("server.test", None), echo);
    let mutual = Upstream::start_tls(authority.server("server.test", Some(&authority)), echo);
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    let (client, client_key) = authority.issue("client.test");
    let (client, client_key) = (client.pem(), client_key.serialize_pem());
    let (other, other_key) = stranger.issue("client.test");
    let (other, other_key) = (other.pem(), other_key.serialize_pem());
    let trusting = json!({"tls_ca_cert": authority.pem(), "tls_server_name": "server.test"});
    let both = |extra: Value| {
        let mut members = trusting.as_object().unwrap().clone();
        members.extend(extra.as_object().unwrap().clone());
        Value::Object(members)
    };
    let good: [(&Upstream, Value); 6] = [
        (&plain, trusting.clone()),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem(), "headers": {"Host": "server.test"}}),
        ),
        (&plain, json!({"tls_insecure_skip_verify": true})),
        (&plain, both(json!({"tls_use_system_certs": true}))),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem().replace('\n', "\\n"), "tls_server_name": "server.test"}),
        ),
        (
            &mutual,
            both(json!({"tls_client_cert": client, "tls_client_key": client_key})),
        ),
    ];
    for (upstream, options) in good {
        let mut request = get(&upstream.url("/"));
        request
            .as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        assert_eq!(
            send(&checks, &request).await["status_code"],
            200,
            "{options}"
        );
    }
    let bad: [(&Upstream, Value, &str); 8] = [
        (&plain, json!({}), "UnknownIssuer"),
        (
            &plain,
            json!({"tls_server_name": "server.test"}),
            "UnknownIssuer",
        ),
        (
            &plain,
            json!({"tls_ca_cert": stranger.pem(), "tls_server_name": "server.test"}),
            "invalid peer certificate",
        ),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem()}),
            "certificate not valid for name",
        ),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem(), "tls_server_name": "other.test"}),
            "certificate not valid for name",
        ),
        (
            &plain,
            json!({"tls_ca_cert": "none"}),
            "there is no certificate in PEM",
        ),
        (&mutual, trusting.clone(), ""),
        (
            &mutual,
            both(json!({"tls_client_cert": other, "tls_client_key": other_key})),
            "",
        ),
    ];
    for (upstream, options, expected) in bad {
        let before = upstream.asked().len();
        let mut request = get(&upstream.url("/"));
        request
            .as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        let message = failure(&checks, &request).await;
        assert!(message.contains(expected), "{options}: {message}");
        assert_eq!(upstream.asked().len(), before, "{options}");
    }
    assert!(!server.said().contains("PRIVATE KEY"));
}
