//! Servers over TLS: which are trusted, and that they know who asks by its certificate.

use std::path::Path;

use tempfile::TempDir;

use super::{OFTEN, is_ready, message, ready};
use crate::support::authority::{Authority, Issued};
use crate::support::bundle::constant;
use crate::support::depot::{Depot, Reply};
use crate::support::{Server, eventually};

const ADDRESS: &str = "127.0.0.1";

/// A folder of certificates.
struct Files(TempDir);

impl Files {
    fn new(ca: &Authority) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("ca.pem", &ca.pem());
        files
    }

    fn write(&self, name: &str, text: &str) {
        // As one, so that no half of a file is read.
        let new = self.0.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.0.path().join(name)).unwrap();
    }

    fn write_identity(&self, issued: &Issued) {
        let (cert, key) = issued.pem();
        self.write("client.pem", &cert);
        self.write("client.key", &key);
    }
}

/// A server that gives a bundle to those whose certificate is of an authority.
fn depot(authority: &Authority, clients: Option<&Authority>) -> Depot {
    let config = authority.server(ADDRESS, clients);
    Depot::start_tls(config, |_| Reply::body(constant("one", "true")))
}

const CA: &str = "ca: ca.pem";
const IDENTITY: &str = "cert: client.pem, key: client.key";

/// A configuration of one bundle; `tls` names files of the folder.
fn config(url: &str, tls: &str, folder: &Path) -> String {
    let mut tls = format!("{{ {tls} }}");
    for name in ["ca.pem", "client.pem", "client.key"] {
        tls = tls.replace(name, &format!("'{}'", folder.join(name).display()));
    }
    format!("bundles: {{ main: {{ url: '{url}', {OFTEN}, tls: {tls} }} }}\n")
}

fn start(depot: &Depot, files: &Files, tls: &str) -> Server {
    Server::with_config(&config(&depot.url("/b"), tls, files.0.path()))
}

/// The server is asked in vain, and the reason is told.
async fn fails(server: &Server, expected: &str) {
    eventually(expected, || message(server).contains(expected)).await;
    assert!(!is_ready(server));
    assert!(!server.checks().await.get("/").await.allows());
}

#[tokio::test]
async fn a_server_of_the_given_authority_is_trusted() {
    let (own, other) = (Authority::new(), Authority::new());
    let depot = depot(&own, None);
    let files = Files::new(&own);
    for tls in [CA, "ca: ca.pem, system_ca: true"] {
        let server = start(&depot, &files, tls);
        ready(&server).await;
        assert!(server.checks().await.get("/").await.allows(), "{tls}");
    }
    let asked = depot.asked().len();
    fails(&start(&depot, &files, ""), "UnknownIssuer").await;
    let of_other = Files::new(&other);
    fails(&start(&depot, &of_other, CA), "invalid peer certificate").await;
    // Another name than the one that it has a certificate for.
    let url = depot.other_url("/b");
    let server = Server::with_config(&config(&url, CA, files.0.path()));
    fails(&server, "not valid for name").await;
    assert_eq!(depot.asked().len(), asked, "nothing was sent");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let depot = depot(&servers, Some(&clients));
    let files = Files::new(&servers);
    let with_identity = format!("{CA}, {IDENTITY}");
    fails(&start(&depot, &files, CA), "CertificateRequired").await;

    // Files are read for each request, whatever is wrong with them.
    let server = start(&depot, &files, &with_identity);
    fails(&server, "No such file").await;
    files.write("client.pem", "c4n4ry");
    files.write("client.key", "c4n4ry");
    fails(&server, "hold no certificate and key").await;
    files.write_identity(&Authority::new().issue_client("doorward", ""));
    fails(&server, "fatal alert").await;
    let (right, wrong) = (clients.issue_client("doorward", ""), servers.issue("x"));
    files.write_identity(&right);
    files.write("client.key", &wrong.pem().1);
    fails(&server, "KeyMismatch").await;
    assert!(depot.asked().is_empty());
    files.write_identity(&right);
    ready(&server).await;
    assert!(server.checks().await.get("/").await.allows());
    assert!(!server.said().contains("c4n4ry"), "{}", server.said());
}

/// Rule: only the configured server is told who asks.
#[tokio::test]
async fn another_server_does_not_see_the_certificate() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let target = depot(&servers, Some(&clients));
    let to = target.url("/b");
    let config = servers.server(ADDRESS, Some(&clients));
    let depot = Depot::start_tls(config, move |_| Reply::redirect(&to));
    let files = Files::new(&servers);
    files.write_identity(&clients.issue_client("doorward", ""));
    let server = start(&depot, &files, &format!("{CA}, {IDENTITY}"));
    fails(&server, "CertificateRequired").await;
    assert!(!depot.asked().is_empty());
    assert!(target.asked().is_empty());
}
