use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

fn peer(address: &str) -> Peer {
    Peer::Tcp(SocketAddr::new(address.parse().unwrap(), 7))
}

#[test]
fn places_are_shared() {
    let places = Places::new(4, 2);
    let rows = [
        ("10.0.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("10.0.0.1", false),
        ("2001:db8::1", true),
        ("2001:db8::ffff", true),
        ("2001:db8::2", false),
        // There is no room for anybody.
        ("10.0.0.2", false),
    ];
    let mut taken = Vec::new();
    for (address, expected) in rows {
        let place = places.take(peer(address));
        assert_eq!(place.is_ok(), expected, "{address}: {place:?}");
        taken.extend(place);
    }
    taken.remove(0);
    assert!(places.take(Peer::Unix).is_ok());
    assert!(places.take(peer("10.0.0.1")).is_ok());
    drop(taken);
    let places = [(); 3].map(|()| places.take(peer("10.0.0.3")));
    let taken = places.each_ref().map(Result::is_ok);
    assert_eq!(taken, [true, true, false]);
}

#[test]
fn a_flood_is_told_once_in_a_while() {
    let places = Places::new(0, 0);
    let start = Instant::now();
    assert_eq!(places.refused(start), Some(1));
    for _ in 0..1_000 {
        assert_eq!(places.refused(start + Duration::from_secs(59)), None);
    }
    assert_eq!(places.refused(start + Duration::from_secs(60)), Some(1_001));
}

const SHORT: Duration = Duration::from_millis(100);

/// What does not end is a failure.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, work).await.unwrap()
}

#[tokio::test]
async fn a_write_fails_when_nothing_is_taken() {
    let (mut reader, writer) = tokio::io::duplex(64);
    let mut writer = Steady::new(writer, SHORT);
    // As long as something is taken, however slowly, it goes on.
    let writing = async { writer.write_all(&[0; 256]).await };
    let reading = async {
        for _ in 0..4 {
            tokio::time::sleep(SHORT / 2).await;
            reader.read_exact(&mut [0; 64]).await.unwrap();
        }
    };
    let (written, ()) = tokio::join!(writing, reading);
    written.unwrap();
    let error = in_time(writer.write_all(&[0; 256])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    // What it says is read all the same.
    reader.write_all(b"x").await.unwrap();
    assert_eq!(writer.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_read_fails_until_the_beginning_has_come() {
    let (mut writer, reader) = tokio::io::duplex(64);
    let mut reader = Opening::new(reader, 3, SHORT);
    writer.write_all(b"ab").await.unwrap();
    let error = in_time(reader.read_exact(&mut [0; 3])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    let (mut writer, reader) = tokio::io::duplex(64);
    let mut reader = Opening::new(reader, 3, SHORT);
    writer.write_all(b"abc").await.unwrap();
    reader.read_exact(&mut [0; 3]).await.unwrap();
    // From then on it may say nothing for as long as it likes.
    let later = async {
        tokio::time::sleep(2 * SHORT).await;
        writer.write_all(b"d").await.unwrap();
    };
    let (read, ()) = tokio::join!(reader.read_u8(), later);
    assert_eq!(read.unwrap(), b'd');
}
