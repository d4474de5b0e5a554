use super::*;

#[test]
fn addresses_read_and_write_back() {
    let rows = [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("localhost:80", "127.0.0.1:80", true),
        ("[::1]:80", "[::1]:80", true),
        ("0.0.0.0:80", "0.0.0.0:80", false),
        (":80", "0.0.0.0:80", false),
        ("unix:///run/x.sock", "unix:///run/x.sock", true),
    ];
    for (text, written, local) in rows {
        let address: Address = text.parse().unwrap();
        assert_eq!(
            (address.to_string().as_str(), address.is_local()),
            (written, local),
            "{text}"
        );
    }
    for text in [
        "",
        "80",
        "host.example:80",
        "127.0.0.1",
        "127.0.0.1:99999",
        "unix://",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_socket_file_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let address = Address::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = Listener::bind(&address).await.unwrap();
    let in_use = Listener::bind(&address).await.unwrap_err();
    assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
    drop(listener);
    assert!(!path.exists());
}
