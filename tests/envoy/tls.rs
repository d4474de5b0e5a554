//! Envoy asks over TLS with the documented piece, and both ends must prove who they are.

use std::path::Path;

use super::proxy::{Envoy, Upstream, binary};
use crate::support::authority::{Authority, Issued};
use crate::support::bundle::constant;
use crate::support::{Server, http, root};

fn write(folder: &Path, name: &str, issued: &Issued) {
    let (certificate, key) = issued.pem();
    std::fs::write(folder.join(format!("{name}.crt")), certificate).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key).unwrap();
}

#[tokio::test]
async fn envoy_asks_over_tls() {
    let Some(binary) = binary() else { return };
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("ca.crt"), authority.pem()).unwrap();
    write(path, "doorward", &authority.issue("doorward.internal"));
    let shown = path.display();
    let server = Server::with_config(&format!(
        "ext_authz: {{ tls: {{ cert: '{shown}/doorward.crt', key: '{shown}/doorward.key', client_ca: '{shown}/ca.crt' }} }}"
    ));
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    let upstream = Upstream::start();
    let piece = std::fs::read_to_string(root().join("deploy/envoy/upstream-tls.yaml")).unwrap();
    let piece = piece.replace("/etc/envoy/tls", &shown.to_string());
    let other_name = piece.replace("exact: doorward.internal", "exact: other.internal");
    let rows = [
        (&authority, Some(&piece), 200),
        // Doorward does not know this Envoy.
        (&stranger, Some(&piece), 503),
        // This Envoy does not know Doorward.
        (&authority, Some(&other_name), 503),
        (&authority, None, 503),
    ];
    for (number, (clients, piece, expected)) in rows.into_iter().enumerate() {
        write(path, "envoy", &clients.issue_client("envoy", ""));
        let piece = piece.map_or("", String::as_str);
        let envoy = Envoy::start_with_cluster(&binary, &server.ext_authz, &upstream.address, piece);
        let answer = http::get(&envoy.url("/"));
        assert_eq!(answer.status, expected, "{number}: {}", envoy.log());
    }
    assert_eq!(upstream.requests(), 1);
}
