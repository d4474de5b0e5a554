//! Which files make a port, and what becomes of changed ones. Handshakes are tested with the whole
//! program.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// Certificate and key in PEM, valid in these years.
fn pair(from: i32, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["server.test".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    (
        parameters.self_signed(&key).unwrap().pem(),
        key.serialize_pem(),
    )
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, cert: &str, key: &str) {
        std::fs::write(self.0.path().join("cert"), cert).unwrap();
        std::fs::write(self.0.path().join("key"), key).unwrap();
    }

    fn config(&self, client_ca: Option<&str>) -> Config {
        let path = |name: &str| self.0.path().join(name);
        Config {
            cert: path("cert"),
            key: path("key"),
            client_ca: client_ca.map(path),
        }
    }

    fn load(&self, client_ca: Option<&str>) -> Result<Tls, String> {
        Tls::load(&self.config(client_ca), Clients::Required, b"h2")
            .map_err(|error| error.to_string())
    }
}

#[test]
fn files_that_make_no_port() {
    let (cert, key) = pair(2020, 2090);
    let (other, other_key) = pair(2020, 2090);
    let (old, old_key) = pair(2000, 2020);
    let (new, new_key) = pair(2080, 2090);
    let large = "x".repeat((1 << 20) + 1);
    let rows = [
        (&*cert, &*other_key, "is not that of the certificate"),
        (&other, &key, "is not that of the certificate"),
        (&old, &old_key, "has expired"),
        (&new, &new_key, "is not valid yet"),
        ("", &key, "holds no certificate"),
        (&key, &key, "holds no certificate"),
        (&cert, "", "holds no private key"),
        (&cert, &cert, "holds no private key"),
        (&cert[..cert.len() / 2], &key, "holds no certificate"),
        (&cert, &key[..key.len() / 2], "holds no private key"),
        (&large, &key, "is larger than"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            "cannot be used",
        ),
    ];
    let folder = Folder::new();
    assert!(folder.load(None).unwrap_err().contains("cannot be read"));
    for (cert, key, expected) in rows {
        folder.write(cert, key);
        let error = folder.load(None).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("BEGIN"), "{error}");
    }
    folder.write(&cert, &key);
    folder.load(None).unwrap();
    folder.load(Some("cert")).unwrap();
    assert!(
        folder
            .load(Some("key"))
            .unwrap_err()
            .contains("holds no certificate")
    );
    assert!(
        folder
            .load(Some("none"))
            .unwrap_err()
            .contains("cannot be read")
    );
}

#[test]
fn changed_files_are_used_if_they_can_be() {
    let folder = Folder::new();
    let (cert, key) = pair(2020, 2090);
    folder.write(&cert, &key);
    let tls = folder.load(Some("cert")).unwrap();
    assert!(!tls.reload().unwrap());
    let expires = tls.expires();
    let used = || Arc::as_ptr(&tls.active.load().server);
    let first = used();
    let (new, new_key) = pair(2020, 2091);
    let bad = [(&*new, &*key), (&cert, &new_key), ("", &key), (&new, "")];
    for (cert, key) in bad {
        folder.write(cert, key);
        assert!(tls.reload().is_err());
        assert_eq!(used(), first);
    }
    // The same again is no change.
    folder.write(&cert, &key);
    assert!(!tls.reload().unwrap());
    folder.write(&new, &new_key);
    assert!(tls.reload().unwrap());
    assert!(tls.expires() > expires);
    assert_ne!(used(), first);
}

#[tokio::test]
async fn handshakes_are_bounded_in_number() {
    let folder = Folder::new();
    let (cert, key) = pair(2020, 2090);
    folder.write(&cert, &key);
    let tls = Arc::new(folder.load(None).unwrap());
    let mut clients = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        let (client, server) = tokio::io::duplex(64);
        clients.push(client);
        let tls = Arc::clone(&tls);
        tokio::spawn(async move { open(Some(&tls), server).await.map(drop) });
    }
    while tls.handshakes.available_permits() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (_client, server) = tokio::io::duplex(64);
    let error = open(Some(&tls), server).await.unwrap_err();
    assert!(error.to_string().contains("too many handshakes"), "{error}");
    // Who goes away makes room.
    drop(clients);
    while tls.handshakes.available_permits() < MAX_HANDSHAKES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn no_key_is_shown() {
    let folder = Folder::new();
    let (cert, key) = pair(2020, 2090);
    folder.write(&cert, &key);
    let shown = format!("{:?}", folder.load(None).unwrap());
    assert!(shown.contains("cert") && shown.len() < 300, "{shown}");
}
