//! Both ports over TLS: who is let in, and that certificates change while traffic flows.

mod commands;
mod management;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rcgen::CertificateParams;
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::authority::{Authority, Issued};
use crate::support::bundle::constant;
use crate::support::{Checks, Options, Server, eventually, http};

const NAME: &str = "server.test";
const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// Files of a port as Kubernetes mounts them: links into a folder that is replaced as one.
struct Files {
    folder: TempDir,
    versions: AtomicU64,
}

impl Files {
    fn new(issued: &Issued) -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            versions: AtomicU64::new(0),
        };
        files.replace(issued);
        for name in ["tls.crt", "tls.key"] {
            let target = PathBuf::from("..data").join(name);
            std::os::unix::fs::symlink(target, files.path(name)).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replace(&self, issued: &Issued) {
        let (cert, key) = issued.pem();
        self.replace_with(&cert, &key);
    }

    fn replace_with(&self, cert: &str, key: &str) {
        let version = self.versions.fetch_add(1, Ordering::SeqCst).to_string();
        let folder = self.path(&version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("tls.crt"), cert).unwrap();
        std::fs::write(folder.join("tls.key"), key).unwrap();
        let link = self.path("..new");
        std::os::unix::fs::symlink(&version, &link).unwrap();
        std::fs::rename(&link, self.path("..data")).unwrap();
    }

    /// Section `tls`, with an authority of clients if there is one.
    fn section(&self, clients: Option<&Authority>) -> String {
        let (cert, key) = (self.path("tls.crt"), self.path("tls.key"));
        let client_ca = clients.map(|clients| {
            let path = self.path("clients.pem");
            std::fs::write(&path, clients.pem()).unwrap();
            format!(", client_ca: '{}'", path.display())
        });
        format!(
            "tls: {{ cert: '{}', key: '{}'{} }}",
            cert.display(),
            key.display(),
            client_ca.unwrap_or_default()
        )
    }
}

fn start(files: &Files, clients: Option<&Authority>) -> Server {
    let server = Server::with_config(&format!("ext_authz: {{ {} }}", files.section(clients)));
    http::put(&server.url("/v1/bundles/b"), &constant("1", "true")).expect(200);
    server
}

async fn connect(server: &Server, client: ClientConfig) -> Result<Checks, String> {
    Checks::connect_tls(&server.ext_authz, NAME, Arc::new(client)).await
}

/// Whether a check goes through.
async fn is_answered(server: &Server, client: ClientConfig) -> bool {
    match connect(server, client).await {
        Ok(checks) => checks.send(vec![]).await.is_ok_and(|reply| reply.allows()),
        Err(_) => false,
    }
}

#[tokio::test]
async fn checks_are_answered_over_tls_alone() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(NAME));
    let server = start(&files, None);
    let rows = [
        (authority.client(&[&TLS13], &["h2"], None), true),
        (authority.client(&[&TLS12], &["h2"], None), true),
        (authority.client(BOTH, &[], None), true),
        (authority.client(BOTH, &["http/1.1"], None), false),
        (stranger.client(BOTH, &["h2"], None), false),
    ];
    for (number, (client, expected)) in rows.into_iter().enumerate() {
        assert_eq!(is_answered(&server, client).await, expected, "{number}");
    }
    // Nothing is said to who does not encrypt.
    let mut plain = TcpStream::connect(&server.ext_authz).await.unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    // An alert at most (RFC 8446, section 6).
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
}

#[tokio::test]
async fn with_an_authority_for_clients_each_must_have_its_certificate() {
    let (authority, clients, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(NAME));
    let server = start(&files, Some(&clients));
    let good = clients.issue_client("envoy", "");
    let bad = stranger.issue_client("envoy", "");
    let mut old = CertificateParams::new(vec!["envoy".to_owned()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let old = clients.issue_with(old);
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let rows = [
            (Some(&good), true),
            (None, false),
            (Some(&bad), false),
            (Some(&old), false),
        ];
        for (number, (own, expected)) in rows.into_iter().enumerate() {
            let client = authority.client(versions, &["h2"], own);
            assert_eq!(
                is_answered(&server, client).await,
                expected,
                "{versions:?} {number}"
            );
        }
    }
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_ends_the_start() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(NAME), authority.issue(NAME));
    let mut old = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let (old, old_key) = authority.issue_with(old).pem();
    let files = Files::new(&one);
    let rows = [
        (one.pem().0, other.pem().1, "is not that of the certificate"),
        (old, old_key, "has expired"),
        (String::new(), one.pem().1, "holds no certificate"),
    ];
    for (cert, key, expected) in rows {
        files.replace_with(&cert, &key);
        for port in ["ext_authz", "management"] {
            let options = Options {
                config: format!("{port}: {{ {} }}", files.section(None)),
                ..Options::default()
            };
            let said = Server::try_with(options).err().unwrap();
            assert!(
                said.contains("exit status: 3") && said.contains(expected) && said.contains(port),
                "{said}"
            );
        }
    }
}

/// One that is being replaced is not seen half, one that cannot be used is told and not used.
#[tokio::test]
async fn a_bad_pair_leaves_the_old_one() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(NAME), authority.issue(NAME));
    let files = Files::new(&one);
    let server = start(&files, None);
    files.replace_with(&one.pem().0, &other.pem().1);
    eventually("the error is told", || {
        server.said().contains("is not that of the certificate")
    })
    .await;
    let client = || authority.client(BOTH, &["h2"], None);
    assert!(is_answered(&server, client()).await);
    let metrics = || http::get(&server.url("/metrics")).body;
    let failed = "doorward_reloads_total{what=\"ext_authz.tls\",result=\"failure\"} 1";
    assert!(metrics().contains(failed), "{}", metrics());
    assert!(
        metrics().contains("doorward_tls_expiry_timestamp_seconds{port=\"ext_authz\"}"),
        "{}",
        metrics()
    );
    // The rest follows: the pair fits again.
    files.replace(&other);
    let done = "doorward_reloads_total{what=\"ext_authz.tls\",result=\"success\"} 1";
    eventually("the new pair is used", || metrics().contains(done)).await;
    assert!(is_answered(&server, client()).await);
    assert!(!server.said().contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_certificates_change_under_load_without_an_error() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(NAME));
    let server = Arc::new(start(&files, None));
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    // Some keep their connection, some connect each time.
    let load = [true, false, false].map(|keeps| {
        let (server, stop, answered) = (
            Arc::clone(&server),
            Arc::clone(&stop),
            Arc::clone(&answered),
        );
        let client = authority.client(BOTH, &["h2"], None);
        tokio::spawn(async move {
            let mut checks = connect(&server, client.clone()).await.unwrap();
            while !stop.load(Ordering::SeqCst) {
                if !keeps {
                    checks = connect(&server, client.clone()).await.unwrap();
                }
                assert!(checks.send(vec![]).await.unwrap().allows());
                answered.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    for number in 1..=100 {
        let before = answered.load(Ordering::SeqCst);
        files.replace(&authority.issue(NAME));
        server.signal("HUP");
        let url = server.url("/metrics");
        let row = format!(
            "doorward_reloads_total{{what=\"ext_authz.tls\",result=\"success\"}} {number}\n"
        );
        eventually("the certificate is used", || {
            http::get(&url).body.contains(&row)
        })
        .await;
        eventually("checks go on", || {
            answered.load(Ordering::SeqCst) > before + 2
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    for task in load {
        task.await.unwrap();
    }
    let metrics = http::get(&server.url("/metrics")).body;
    assert!(!metrics.contains("result=\"failure\""), "{metrics}");
}

/// Who begins a handshake and does not end it is closed after a while, and in nobody's way.
#[tokio::test]
async fn slow_handshakes_are_in_nobodys_way() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(NAME));
    let server = start(&files, None);
    let client = || authority.client(BOTH, &["h2"], None);
    let checks = connect(&server, client()).await.unwrap();
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(&server.ext_authz).await.unwrap();
        // The beginning of a hello, for every second one.
        if number % 2 == 0 {
            stream.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
        }
        slow.push(stream);
    }
    for _ in 0..10 {
        assert!(checks.send(vec![]).await.unwrap().allows());
        assert!(is_answered(&server, client()).await);
    }
    for mut stream in slow {
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    }
    assert!(is_answered(&server, client()).await);
}
