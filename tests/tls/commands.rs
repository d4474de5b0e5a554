//! That commands keep a token from whoever is on the way to the management API.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Mutex;

use super::*;
use crate::support::doorward;

const SECRET: &str = "open-sesame";

/// What a command ends with and says, and what came to a server that says nothing. `PORT` in the
/// arguments is that server's.
fn listen_to(folder: &TempDir, arguments: &str) -> (Option<i32>, String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or_default();
            hearing.lock().unwrap().extend_from_slice(&bytes[..read]);
        }
    });
    let arguments = arguments.replace("PORT", &port);
    let mut command = doorward();
    command.current_dir(folder.path());
    let output = command.args(arguments.split(' ')).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let heard = heard.lock().unwrap().clone();
    (output.status.code(), said, heard)
}

#[test]
fn no_token_is_sent_in_the_clear_to_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = Authority::new().issue_client("ci", "").pem();
    let files = [
        ("token", SECRET.to_owned()),
        ("ci.crt", certificate),
        ("ci.key", key),
        ("ca.pem", Authority::new().pem()),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("b.tar.gz"), constant("1", "true")).unwrap();
    let check = "check --path / --token-file token --management";
    let push = "bundle push b b.tar.gz --token-file token --server";
    let shown = "--tls-cert ci.crt --tls-key ci.key";
    // Nothing that is not loopback by its name is taken for this machine.
    let refused = [
        (format!("{check} 0.0.0.0:PORT"), "--allow-plaintext"),
        (format!("{push} http://0.0.0.0:PORT"), "--allow-plaintext"),
        (
            format!("{push} http://localhost.example:PORT"),
            "--allow-plaintext",
        ),
        (format!("{push} http://127.0.0.1:PORT {shown}"), "https://"),
        (
            format!("{push} http://127.0.0.1:PORT --tls-ca ca.pem"),
            "https://",
        ),
        (format!("{push} nowhere"), "is no URL"),
    ];
    for (arguments, expected) in refused {
        let (code, said, heard) = listen_to(&folder, &arguments);
        assert_eq!((code, heard.len()), (Some(3), 0), "{arguments}: {said}");
        assert!(said.contains(expected), "{arguments}: {said}");
    }
    let encrypted = [
        format!("{check} 127.0.0.1:PORT {shown}"),
        format!("{check} 127.0.0.1:PORT --tls-name localhost"),
        format!("{check} 127.0.0.1:PORT --tls-ca ca.pem"),
        format!("{push} https://localhost:PORT {shown}"),
    ];
    for arguments in encrypted {
        let (code, said, heard) = listen_to(&folder, &arguments);
        assert_eq!(code, Some(3), "{arguments}: {said}");
        // A handshake (RFC 8446, section 5.1).
        assert_eq!(heard.first(), Some(&22), "{arguments}: {said}");
        assert!(!String::from_utf8_lossy(&heard).contains(SECRET));
    }
    let plain = [
        format!("{check} 127.0.0.1:PORT"),
        format!("{check} 0.0.0.0:PORT --allow-plaintext"),
        format!("{push} http://localhost:PORT"),
        format!("{push} http://0.0.0.0:PORT --allow-plaintext"),
    ];
    for arguments in plain {
        let (_, said, heard) = listen_to(&folder, &arguments);
        let heard = String::from_utf8_lossy(&heard);
        assert!(heard.contains(SECRET), "{arguments}: {said}{heard}");
    }
}
