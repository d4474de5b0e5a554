//! What one caller can take of the others' room: connections that say nothing, are never read, or stay.

use axum::body::Bytes;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, put};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::listen::Address;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_millis(300);
/// After this a test has failed.
const LATE: Duration = Duration::from_secs(20);

/// Nothing of it ends anything.
const PATIENT: Limits = Limits {
    connections: 6,
    share: 4,
    header: NEVER,
    write: NEVER,
    age: NEVER,
    drain: NEVER,
};

const ONE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];
const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Running {
    address: Address,
    _stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn start(limits: Limits) -> Running {
    let router = Router::new()
        .route("/livez", get(|| async { "alive" }))
        .route("/large", get(|| async { "x".repeat(1 << 20) }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(SOON + SOON / 2).await;
                "done"
            }),
        )
        .route(
            "/body",
            put(|body: Bytes| async move { body.len().to_string() }),
        )
        .layer(from_fn_with_state(2 * SOON, limit_time));
    let listener = Listener::bind(&Address::loopback(0)).await.unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let server = serve(router, listener, None, stopped, SOON, limits);
    Running {
        address,
        _stop: stop,
        server: tokio::spawn(server),
    }
}

impl Running {
    /// A connection from an address of this machine, whose end takes little that is not read.
    async fn connect(&self, from: [u8; 4]) -> TcpStream {
        let Address::Tcp(address) = self.address else {
            panic!("{:?}", self.address);
        };
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(address).await.unwrap()
    }

    async fn connect_many(&self, from: [u8; 4], count: usize) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for _ in 0..count {
            streams.push(self.connect(from).await);
        }
        streams
    }

    async fn is_answered(&self, from: [u8; 4]) -> bool {
        let mut stream = self.connect(from).await;
        let mut answer = [0; 12];
        stream.write_all(LIVEZ).await.is_ok()
            && stream.read_exact(&mut answer).await.is_ok()
            && answer == *b"HTTP/1.1 200"
    }

    async fn answers_again(&self, from: [u8; 4]) {
        let answered = async {
            while !self.is_answered(from).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LATE, answered).await.unwrap();
    }
}

/// Reads to the end of the connection.
async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    drop(tokio::time::timeout(LATE, read).await.unwrap());
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn nobody_alone_takes_all_places() {
    let server = start(PATIENT).await;
    let silent = server.connect_many(ONE, 8).await;
    while server.is_answered(ONE).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.is_answered(OTHER).await);
    drop(silent);
    server.answers_again(ONE).await;
}

#[tokio::test]
async fn all_together_have_a_bound() {
    let server = start(PATIENT).await;
    let one = server.connect_many(ONE, 4).await;
    let other = server.connect_many(OTHER, 2).await;
    while server.is_answered([127, 0, 0, 3]).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop((one, other));
    server.answers_again([127, 0, 0, 3]).await;
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let server = start(Limits {
        header: SOON,
        ..PATIENT
    })
    .await;
    let silent = server.connect_many(ONE, 4).await;
    assert!(server.is_answered(OTHER).await);
    for stream in silent {
        read_all(stream).await;
    }
    server.answers_again(ONE).await;
}

/// No answer gets out, so that no time of a call or of a header is running.
#[tokio::test]
async fn who_never_reads_is_closed() {
    let server = start(Limits {
        write: SOON,
        ..PATIENT
    })
    .await;
    let mut tasks = Vec::new();
    for mut stream in server.connect_many(ONE, 4).await {
        // Goes on until the server closes.
        tasks.push(tokio::spawn(async move {
            while stream.write_all(LARGE).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }));
    }
    assert!(server.is_answered(OTHER).await);
    for task in tasks {
        tokio::time::timeout(LATE, task).await.unwrap().unwrap();
    }
    server.answers_again(ONE).await;
}

#[tokio::test]
async fn who_reads_slowly_is_answered_to_the_end() {
    let server = start(Limits {
        write: SOON,
        ..PATIENT
    })
    .await;
    let mut stream = server.connect(ONE).await;
    stream.write_all(LARGE).await.unwrap();
    let mut left = 1 << 20;
    let mut buffer = vec![0; 128 << 10];
    while left > 0 {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left = usize::saturating_sub(left, read);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// However busy it is, and what is running then is answered.
#[tokio::test]
async fn a_connection_does_not_stay_for_ever() {
    let server = start(Limits {
        age: SOON,
        ..PATIENT
    })
    .await;
    let mut slow = server.connect(ONE).await;
    slow.write_all(SLOW).await.unwrap();
    let mut busy = server.connect(ONE).await;
    let mut answer = vec![0; 4096];
    let calls = async {
        while busy.write_all(LIVEZ).await.is_ok() {
            if !matches!(busy.read(&mut answer).await, Ok(read) if read > 0) {
                break;
            }
        }
    };
    tokio::time::timeout(LATE, calls).await.unwrap();
    let answer = read_all(slow).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
        "{answer}"
    );
    server.answers_again(ONE).await;
}

/// A call that never ends does not keep it longer.
#[tokio::test]
async fn what_does_not_end_is_cut_off() {
    let server = start(Limits {
        age: SOON / 3,
        drain: SOON / 3,
        ..PATIENT
    })
    .await;
    let mut slow = server.connect(ONE).await;
    slow.write_all(SLOW).await.unwrap();
    assert_eq!(read_all(slow).await, "");
}

/// Sends a head, and then the same few bytes again and again; what was answered when the connection ended.
async fn drip(mut stream: TcpStream, head: &str, drop_of_it: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let dripping = async {
        while writer.write_all(drop_of_it.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => {}
        read = tokio::time::timeout(LATE, reader.read_to_end(&mut answer)) => drop(read.unwrap()),
    }
    String::from_utf8(answer).unwrap()
}

/// A byte now and then keeps no call open: not of a header, and not of a body, however it is framed.
#[tokio::test]
async fn who_sends_drop_by_drop_is_cut_off() {
    let server = start(Limits {
        header: 2 * SOON,
        ..PATIENT
    })
    .await;
    let put = "PUT /body HTTP/1.1\r\nHost: localhost\r\n";
    let [header, whole, chunked] = [
        format!("{put}X-Long: "),
        format!("{put}Content-Length: 100000\r\n\r\n"),
        format!("{put}Transfer-Encoding: chunked\r\n\r\n"),
    ];
    let [one, two, three] = [
        server.connect(ONE).await,
        server.connect(ONE).await,
        server.connect(ONE).await,
    ];
    let (header, whole, chunked, others) = tokio::join!(
        drip(one, &header, "x"),
        drip(two, &whole, "x"),
        drip(three, &chunked, "1\r\nx\r\n"),
        server.is_answered(OTHER),
    );
    assert!(others);
    assert!(!header.contains("200"), "{header}");
    for answer in [whole, chunked] {
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(
            answer.contains("the call took longer than 600ms"),
            "{answer}"
        );
    }
    server.answers_again(ONE).await;
}
