//! Checks that fail by a fault of ours, and peers that keep a connection waiting. What becomes of others
//! is tested with the whole program.

use std::pin::pin;
use std::task::Waker;

use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::address::OwnPorts;
use crate::external;
use crate::policy::config::{MeshConfig, RegoConfig, settings};
use crate::policy::{PolicySet, PolicySources};

fn service() -> CheckService {
    let settings = settings(
        &MeshConfig::default(),
        &RegoConfig::default(),
        &[],
        Duration::from_secs(1),
    );
    let policies = PolicySet::compile(PolicySources::default(), &settings).unwrap();
    let metrics = Arc::<Metrics>::default();
    let outside = Outside::new(
        &external::Config::default(),
        Duration::from_secs(1),
        OwnPorts::default(),
        Arc::clone(&metrics),
    );
    CheckService {
        pdp: Arc::new(Pdp::over(policies)),
        outside: Arc::new(outside),
        metrics,
        max_message_bytes: 1 << 20,
        replies: Replies::default(),
        version: ProtocolVersion::V3,
    }
}

/// Without a runtime there are no threads, as when the system gives no more.
#[test]
fn a_check_that_gets_no_thread_is_denied() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(async { service() });
    let waiting = Waiting {
        attributes: Box::default(),
        now_ns: 0,
        started: Instant::now(),
    };
    let metrics = Arc::clone(&service.metrics);
    let wait = pin!(service.wait(waiting));
    let reply = wait.poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(reply)) = reply else {
        panic!("{reply:?}");
    };
    assert!(
        matches!(reply.http_response, Some(HttpResponse::DeniedResponse(_))),
        "{reply:?}"
    );
    assert_eq!(metrics.panics.get(), 1);
}

const SHORT: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(600);
/// After this a test has failed.
const LATE: Duration = Duration::from_secs(20);

/// What every client begins with, and settings of its own: none.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8; 17] = b"\0\0\x08\x06\0\0\0\0\0whoisit?";
const PONG: &[u8; 17] = b"\0\0\x08\x06\x01\0\0\0\0whoisit?";

/// Connections to a server, whose other ends take little that is not read.
async fn connect<const COUNT: usize>(patience: Patience) -> [TcpStream; COUNT] {
    let CheckService {
        pdp,
        outside,
        metrics,
        ..
    } = service();
    let (server, _) = Server::new(&Config::default(), pdp, outside, metrics).await;
    let listener = Listener::bind(&Address::loopback(0)).await.unwrap();
    let Ok(Address::Tcp(address)) = listener.address() else {
        panic!("{listener:?}");
    };
    let stop = std::future::pending();
    tokio::spawn(server.serve(listener, None, stop, SHORT, patience));
    let mut streams = Vec::new();
    for _ in 0..COUNT {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        streams.push(socket.connect(address).await.unwrap());
    }
    streams.try_into().unwrap()
}

#[tokio::test]
async fn a_peer_must_begin_and_may_then_be_idle() {
    let patience = Patience {
        opening: SHORT,
        write: NEVER,
    };
    let [mut silent, mut slow, mut idle] = connect(patience).await;
    slow.write_all(&BEGINNING[..7]).await.unwrap();
    idle.write_all(BEGINNING).await.unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut told = Vec::new();
        let read = stream.read_to_end(&mut told);
        drop(tokio::time::timeout(LATE, read).await.unwrap());
    }
    idle.write_all(PING).await.unwrap();
    let mut told = Vec::new();
    while !told.ends_with(PONG) {
        told.push(idle.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_peer_must_read() {
    let patience = Patience {
        opening: NEVER,
        write: SHORT,
    };
    let [mut deaf] = connect(patience).await;
    deaf.write_all(BEGINNING).await.unwrap();
    let asking = async {
        // Goes on until the server closes: it reads no more once it cannot answer.
        while deaf.write_all(&PING.repeat(1_000)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LATE, asking).await.unwrap();
}
