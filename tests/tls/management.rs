//! The management API over TLS: plain calls, probes, and the addresses it then may have.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::*;
use crate::support::{doorward, root};

/// printf %s open-sesame | sha256sum
const DIGEST: &str = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";
const TOKEN: &str = "Authorization: Bearer open-sesame\r\n";

/// Status and all of the answer to a GET; `None` if there is no connection.
pub async fn ask(
    server: &Server,
    client: ClientConfig,
    path: &str,
    headers: &str,
) -> Option<(u16, String)> {
    let stream = TcpStream::connect(&server.management).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    let mut stream = TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
        .ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

#[tokio::test]
async fn calls_are_answered_over_tls_alone() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(NAME));
    let section = files.section(None);
    let config =
        |more: &str| format!("management: {{ {section}, tokens: ['sha256:{DIGEST}']{more} }}");
    // Also at an address that others reach.
    let mut server = Server::with(Options {
        config: config(""),
        arguments: vec!["--management-listen".to_owned(), "0.0.0.0:0".to_owned()],
        ..Options::default()
    });
    server.management = server.management.replace("0.0.0.0", "127.0.0.1");
    let client = || authority.client(BOTH, &["http/1.1"], None);
    let rows = [
        ("/livez", "", 200),
        ("/v1/status", "", 401),
        ("/v1/status", TOKEN, 200),
    ];
    for (path, headers, expected) in rows {
        let (status, answer) = ask(&server, client(), path, headers).await.unwrap();
        assert_eq!(status, expected, "{path}: {answer}");
    }
    assert!(
        ask(
            &server,
            Authority::new().client(BOTH, &[], None),
            "/livez",
            ""
        )
        .await
        .is_none()
    );
    assert!(
        ask(&server, authority.client(BOTH, &["h2"], None), "/livez", "")
            .await
            .is_none()
    );
    let mut plain = TcpStream::connect(&server.management).await.unwrap();
    plain
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // The pair changes here, too.
    files.replace(&authority.issue(NAME));
    server.signal("HUP");
    eventually("the pair is read again", || {
        server.said().contains("management.tls")
    })
    .await;
    assert!(ask(&server, client(), "/livez", "").await.is_some());
}

#[tokio::test]
async fn callers_are_known_by_their_certificates() {
    const ID: &str = "spiffe://cluster.local/ns/ops/sa/ci";
    let (authority, clients, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(NAME));
    let config = format!(
        "management: {{ {}, tokens: ['sha256:{DIGEST}'], clients: [
            {{ spiffe_id: '{ID}', roles: ['metrics:read'] }},
            {{ subject: 'CN=operator', roles: [admin] }}] }}",
        files.section(Some(&clients))
    );
    let server = Server::with_config(&config);
    let service = clients.issue_client("anything", ID);
    let operator = clients.issue_client("operator", "");
    let unknown = clients.issue_client("unknown", "spiffe://cluster.local/ns/ops/sa/other");
    let forged = stranger.issue_client("operator", ID);
    let page = "Origin: https://evil.example\r\n";
    let own = "Origin: https://server.test\r\n";
    let wrong = "Authorization: Bearer wrong\r\n";
    let rows: [(Option<&Issued>, &str, &str, Option<u16>); 14] = [
        (Some(&service), "/v1/status", "", Some(200)),
        (Some(&service), "/v1/bundles", "", Some(403)),
        (Some(&operator), "/v1/bundles", "", Some(200)),
        (Some(&unknown), "/v1/status", "", Some(401)),
        (Some(&unknown), "/livez", "", Some(200)),
        (Some(&forged), "/livez", "", None),
        (None, "/v1/status", "", Some(401)),
        (None, "/livez", "", Some(200)),
        // What a call carries goes first, whatever that is.
        (None, "/v1/status", TOKEN, Some(200)),
        (Some(&service), "/v1/bundles", TOKEN, Some(200)),
        (Some(&operator), "/v1/status", wrong, Some(401)),
        (Some(&unknown), "/v1/status", TOKEN, Some(200)),
        // A browser shows certificates by itself.
        (Some(&operator), "/v1/status", page, Some(401)),
        (Some(&operator), "/v1/status", own, Some(200)),
    ];
    for versions in [&[&TLS12][..], &[&TLS13]] {
        for (number, (own, path, headers, expected)) in rows.iter().enumerate() {
            let client = authority.client(versions, &["http/1.1"], *own);
            let answer = ask(&server, client, path, headers).await;
            let status = answer.as_ref().map(|(status, _)| *status);
            assert_eq!(status, *expected, "{versions:?} {number}: {answer:?}");
        }
    }
}

/// A connection that was made in time does not outlast its certificate, nor is it taken up again.
#[tokio::test]
async fn a_certificate_that_ends_is_worth_nothing_from_then_on() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(NAME));
    let server = Server::with_config(&format!(
        "management: {{ {}, clients: [{{ subject: 'CN=guest', roles: [admin] }}] }}",
        files.section(Some(&clients))
    ));
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, "guest");
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let until = since + std::time::Duration::from_secs(6);
    parameters.not_after = rcgen::date_time_ymd(1970, 1, 1) + until;
    let guest = clients.issue_with(parameters);
    let client = Arc::new(authority.client(BOTH, &["http/1.1"], Some(&guest)));
    let connect = async || {
        let stream = TcpStream::connect(&server.management).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::clone(&client))
            .connect(name, stream)
            .await
    };
    let mut stream = connect().await.unwrap();
    let mut ask = async || {
        let head = format!("HEAD /v1/status HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask().await, "200");
    while ask().await == "200" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(ask().await, "401");
    // TLS 1.3 tells the client of it only when that reads.
    let mut answer = Vec::new();
    if let Ok(mut stream) = connect().await {
        drop(stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await);
        drop(stream.read_to_end(&mut answer).await);
    }
    assert!(answer.is_empty(), "{answer:?}");
}

/// What was connected under it ends, on both ports.
#[tokio::test]
async fn an_authority_that_is_taken_away_ends_what_it_let_in() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.issue(NAME));
    let section = files.section(Some(&clients));
    let server = Server::with_config(&format!(
        "management: {{ {section}, clients: [{{ subject: 'CN=operator', roles: [admin] }}] }}\n\
         ext_authz: {{ {section} }}"
    ));
    let operator = clients.issue_client("operator", "");
    let connect = async |protocol: &'static str, address: &str| {
        let client = authority.client(BOTH, &[protocol], Some(&operator));
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        connector.connect(name, stream).await.unwrap()
    };
    // Each call is sooner than the pause after which an idle connection is closed.
    let mut caller = connect("http/1.1", &server.management).await;
    let mut ask = async || -> Option<String> {
        let head = format!("HEAD /v1/status HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        caller.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(caller.read_u8().await.ok()?);
        }
        String::from_utf8(answer).ok()
    };
    assert!(ask().await.unwrap().starts_with("HTTP/1.1 200"));
    let mut proxy = connect("h2", &server.ext_authz).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    proxy.write_all(preface).await.unwrap();

    // Another certificate of the server's own ends nothing.
    let reloads = |count: usize| {
        let said = server.said();
        said.matches("\"management.tls\"").count() >= count
            && said.matches("\"ext_authz.tls\"").count() >= count
    };
    files.replace(&authority.issue(NAME));
    server.signal("HUP");
    eventually("the pair is read again", || reloads(1)).await;
    assert!(ask().await.unwrap().starts_with("HTTP/1.1 200"));

    std::fs::write(files.path("clients.pem"), Authority::new().pem()).unwrap();
    server.signal("HUP");
    eventually("the authority is read again", || reloads(2)).await;
    let ended = async {
        while ask().await.is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // GOAWAY, by which a proxy knows that it must connect anew.
        let mut told = Vec::new();
        while !told
            .windows(9)
            .any(|frame| frame[3..] == [7, 0, 0, 0, 0, 0])
        {
            told.push(proxy.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(8), ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn health_is_asked_over_tls() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(NAME));
    let server = Server::with_config(&format!("management: {{ {} }}", files.section(None)));
    let (ca, other) = (files.path("ca.pem"), files.path("other.pem"));
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&other, Authority::new().pem()).unwrap();
    let code = |arguments: &[&std::ffi::OsStr]| {
        let mut command = doorward();
        command
            .current_dir(root())
            .args(["healthcheck", "--management", &server.management]);
        command.args(arguments).output().unwrap().status.code()
    };
    let name = NAME.as_ref();
    // No policy is loaded: not ready.
    assert_eq!(
        code(&[
            "--tls-ca".as_ref(),
            ca.as_os_str(),
            "--tls-name".as_ref(),
            name
        ]),
        Some(1)
    );
    assert_eq!(
        code(&[
            "--tls-ca".as_ref(),
            other.as_os_str(),
            "--tls-name".as_ref(),
            name
        ]),
        Some(3)
    );
    assert_eq!(code(&["--tls-ca".as_ref(), ca.as_os_str()]), Some(3));
    assert_ne!(code(&[]), Some(0));
}

#[tokio::test]
async fn a_bundle_is_pushed_over_tls() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let local = std::net::Ipv4Addr::LOCALHOST.to_string();
    let files = Files::new(&authority.issue(&local));
    let server = Server::with_config(&format!(
        "management: {{ {}, clients: [{{ subject: 'CN=ci', roles: ['policies:write'] }}] }}",
        files.section(Some(&clients))
    ));
    let (certificate, key) = clients.issue_client("ci", "").pem();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("ci.crt", certificate),
        ("ci.key", key),
    ] {
        std::fs::write(files.path(name), text).unwrap();
    }
    std::fs::write(files.path("b.tar.gz"), constant("1", "true")).unwrap();
    let url = format!("https://{}", server.management);
    let push = |arguments: &[&str]| {
        let mut command = doorward();
        command.current_dir(files.folder.path());
        command.args(["bundle", "push", "b", "b.tar.gz", "--server", &url]);
        let output = command.args(arguments).output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("PRIVATE"));
        output.status.code()
    };
    let trust = ["--tls-ca", "ca.pem"];
    let shown = ["--tls-cert", "ci.crt", "--tls-key", "ci.key"];
    assert_eq!(push(&[&trust[..], &shown].concat()), Some(0));
    assert_eq!(push(&trust), Some(1));
    assert_eq!(push(&shown), Some(3));
    assert_eq!(push(&[&trust[..], &shown[..2]].concat()), Some(2));
    assert_eq!(
        push(&[&trust[..], &["--tls-cert", "ca.pem", "--tls-key", "ca.pem"]].concat()),
        Some(3)
    );
}

#[tokio::test]
async fn a_decision_is_asked_for_over_tls() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(NAME));
    let server = Server::with_config(&format!(
        "management: {{ {}, tokens: ['sha256:{DIGEST}'] }}",
        files.section(None)
    ));
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("token", "open-sesame\n".to_owned()),
    ] {
        std::fs::write(files.path(name), text).unwrap();
    }
    let code = |arguments: &[&str]| {
        let mut command = doorward();
        command.current_dir(files.folder.path());
        command.args(["check", "--path", "/", "--management", &server.management]);
        command.args(arguments).output().unwrap().status.code()
    };
    let trust = ["--tls-ca", "ca.pem", "--tls-name", NAME];
    let token = ["--token-file", "token"];
    // Denied, as nothing is loaded.
    assert_eq!(code(&[&trust[..], &token].concat()), Some(1));
    assert_eq!(code(&trust), Some(3));
    assert_eq!(code(&[&trust[..2], &token].concat()), Some(3));
    assert_eq!(code(&token), Some(3));
    assert_eq!(code(&["--tls-ca", "token"]), Some(3));
}
