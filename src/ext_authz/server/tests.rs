//! Checks that fail by a fault of ours, and peers that keep a connection waiting. What becomes of others
//! is tested with the whole program.

use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use doorward_proto::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tonic::Code;

use super::check::{Longer, Undecided};
use super::*;
use crate::address::OwnPorts;
use crate::attributes::ProtocolVersion;
use crate::decision_log::Overflow;
use crate::decision_log::tests::overflow::full_recorder;
use crate::external;
use crate::pdp::Effort;
use crate::policy::config::{MeshConfig, RegoConfig, settings};
use crate::policy::{PolicySet, PolicySources};

fn checks() -> Checks {
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
    Checks {
        pdp: Arc::new(Pdp::over(policies)),
        outside: Arc::new(outside),
        metrics,
        max_message_bytes: 1 << 20,
        deadline: NEVER,
        replies: Replies::default(),
    }
}

/// Without a runtime there are no threads, as when the system gives no more.
#[test]
fn a_check_that_gets_no_thread_is_denied() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let checks = runtime.block_on(async { checks() });
    let longer = Longer::Undecided(Undecided {
        attributes: Box::default(),
        needs: Effort::Wait,
        version: ProtocolVersion::V3,
        caller: TraceContext::default(),
        now_ns: 0,
        started: Instant::now(),
    });
    let metrics = Arc::clone(&checks.metrics);
    let finish = pin!(checks.finish(longer));
    let reply = finish.poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(mut reply)) = reply else {
        panic!("{reply:?}");
    };
    let reply = CheckResponse::decode(reply.split_off(PREFIX)).unwrap();
    assert!(
        matches!(reply.http_response, Some(HttpResponse::DeniedResponse(_))),
        "{reply:?}"
    );
    assert_eq!(metrics.panics.get(), 1);
}

/// Its caller has given up by then, and others wait.
#[tokio::test]
async fn a_check_whose_turn_comes_too_late_is_denied() {
    let checks = Checks {
        deadline: SHORT,
        ..checks()
    };
    let started = Instant::now().checked_sub(SHORT).unwrap();
    let longer = Longer::Undecided(Undecided {
        attributes: Box::default(),
        needs: Effort::Evaluate,
        version: ProtocolVersion::V3,
        caller: TraceContext::default(),
        now_ns: 0,
        started,
    });
    for reply in [
        checks.finish(longer).await,
        checks.crowd_out(ProtocolVersion::V3),
    ] {
        let reply = CheckResponse::decode(reply.unwrap().split_off(PREFIX)).unwrap();
        let Some(HttpResponse::DeniedResponse(denied)) = reply.http_response else {
            panic!("{reply:?}");
        };
        assert_eq!(denied.status.unwrap().code, 503);
    }
}

/// The thread that reads checks goes on; the reply comes once there is room, or time is up.
#[tokio::test]
async fn a_check_waits_for_room_in_the_log() {
    for deadline in [NEVER, SHORT] {
        let (recorder, make_room) = full_recorder(Overflow::Block);
        let template = checks();
        let checks = Checks {
            pdp: Arc::new(Pdp::new(
                Arc::new(ArcSwap::new(template.pdp.snapshot())),
                recorder,
                Arc::default(),
            )),
            deadline,
            ..template
        };
        let mut large = CheckRequest::default();
        let attributes = large.attributes.get_or_insert_default();
        let request = attributes.request.get_or_insert_default();
        let http = request.http.get_or_insert_default();
        http.path = "p".repeat(1 << 19);
        let message = Bytes::from(large.encode_to_vec());
        // Those that fit are answered at once.
        let mut each = (0..4).map(|_| {
            checks.check(
                message.clone(),
                ProtocolVersion::V3,
                TraceContext::default(),
            )
        });
        let Some(longer) = each.find_map(Result::err) else {
            panic!("there is room");
        };
        let mut finish = pin!(checks.finish(longer));
        let poll = finish
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
        if deadline == NEVER {
            assert!(make_room() > 0);
        }
        let reply = finish.await.unwrap().split_off(PREFIX);
        let reply = CheckResponse::decode(reply).unwrap();
        assert!(reply.http_response.is_some());
    }
}

const SHORT: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(600);
const ENDLESS: Patience = Patience {
    opening: NEVER,
    write: NEVER,
    message: NEVER,
    pings: NEVER,
    pong: NEVER,
};
/// After this a test has failed.
const LATE: Duration = Duration::from_secs(20);

/// What every client begins with, and settings of its own: none.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8; 17] = b"\0\0\x08\x06\0\0\0\0\0whoisit?";
const PONG: &[u8; 17] = b"\0\0\x08\x06\x01\0\0\0\0whoisit?";

/// Connections to a server, whose other ends take little that is not read.
async fn connect<const COUNT: usize>(patience: Patience) -> [TcpStream; COUNT] {
    let Checks {
        pdp,
        outside,
        metrics,
        ..
    } = checks();
    let config = Config {
        max_message_bytes: Size(1024),
        ..Config::default()
    };
    let (server, _) = Server::new(&config, pdp, outside, metrics).await;
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
        ..ENDLESS
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
        write: SHORT,
        ..ENDLESS
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

#[tokio::test]
async fn a_peer_must_answer_pings() {
    let patience = Patience {
        pings: SHORT,
        pong: SHORT,
        ..ENDLESS
    };
    let [mut asleep, awake] = connect(patience).await;
    asleep.write_all(BEGINNING).await.unwrap();
    let awake = Client::open(awake).await;
    let mut told = Vec::new();
    let read = asleep.read_to_end(&mut told);
    drop(tokio::time::timeout(LATE, read).await.unwrap());
    tokio::time::sleep(SHORT * 4).await;
    assert_eq!(awake.ask(&[WHOLE], true).await, Some(0));
}

/// A message of nothing.
const WHOLE: &[u8] = b"\0\0\0\0\0";

/// A proxy's side of a connection.
struct Client(h2::client::SendRequest<Bytes>);

impl Client {
    async fn open(stream: TcpStream) -> Self {
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(client.ready().await.unwrap())
    }

    /// The status of gRPC that a check of these parts is answered with. Without an end there may be
    /// more to come.
    async fn ask(&self, parts: &[&[u8]], ends: bool) -> Option<i32> {
        self.ask_at(&format!("/{SERVICE}/Check"), parts, ends).await
    }

    async fn ask_at(&self, path: &str, parts: &[&[u8]], ends: bool) -> Option<i32> {
        let uri = format!("http://localhost{path}");
        let request = http::Request::post(uri).body(()).unwrap();
        let (answer, mut call) = self.0.clone().send_request(request, false).unwrap();
        for part in parts {
            call.send_data(Bytes::copy_from_slice(part), false).unwrap();
            tokio::task::yield_now().await;
        }
        if ends {
            call.send_data(Bytes::new(), true).unwrap();
        }
        let answer = tokio::time::timeout(LATE, answer).await.unwrap().ok()?;
        let (head, mut body) = answer.into_parts();
        while let Some(part) = body.data().await {
            drop(part.unwrap());
        }
        let trailers = body.trailers().await.unwrap();
        let status = trailers.unwrap_or(head.headers).get("grpc-status").cloned();
        status.unwrap().to_str().unwrap().parse().ok()
    }
}

#[tokio::test]
async fn a_call_holds_one_message() {
    let [stream] = connect(ENDLESS).await;
    let client = Client::open(stream).await;
    let long = |length: usize| {
        let mut bytes = vec![0; 5 + length];
        bytes[1..5].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        bytes
    };
    let (largest, longer) = (long(4096), long(4097));
    let rows: &[(&[&[u8]], Code)] = &[
        (&[WHOLE], Code::Ok),
        (&[b"\0\0", b"\0", b"\0\0"], Code::Ok),
        (&[b"\0\0\0\0\x02", b"\x0a\x00"], Code::Ok),
        // Over the limit it is denied, over four times the limit an error.
        (&[&largest], Code::Ok),
        (&[&largest[..2000], &largest[2000..]], Code::Ok),
        (&[&longer], Code::ResourceExhausted),
        (&[&longer[..2000], &longer[2000..]], Code::ResourceExhausted),
        (&[], Code::Internal),
        (&[b"\0\0\0\0"], Code::Internal),
        (&[WHOLE, WHOLE], Code::Internal),
        (&[b"\0\0\0\0\x03\x0a\x00"], Code::Internal),
        (&[b"\0\0\0\0\x01\x0a\x00"], Code::Internal),
        (&[b"\x01\0\0\0\0"], Code::Unimplemented),
        (&[b"\x02\0\0\0\0"], Code::Internal),
    ];
    for (parts, expected) in rows {
        let status = client.ask(parts, true).await;
        assert_eq!(status, Some(*expected as i32), "{parts:?}");
    }
}

#[tokio::test]
async fn a_message_must_come() {
    let patience = Patience {
        message: SHORT,
        ..ENDLESS
    };
    let [stream] = connect(patience).await;
    let client = Client::open(stream).await;
    for parts in [&[][..], &[&WHOLE[..3]], &[WHOLE]] {
        let status = client.ask(parts, false).await;
        assert_eq!(status, Some(Code::DeadlineExceeded as i32), "{parts:?}");
    }
    assert_eq!(client.ask(&[WHOLE], true).await, Some(0));
}

/// Connections that hold what never becomes a message are bounded, and room is given back.
#[tokio::test]
async fn calls_besides_checks_are_short() {
    let [stream] = connect(ENDLESS).await;
    let client = Client::open(stream).await;
    let check = "/grpc.health.v1.Health/Check";
    assert_eq!(
        client.ask_at(check, &[WHOLE], true).await,
        Some(Code::Ok as i32)
    );
    let long = [&b"\0\0\x10\0\0"[..], &[0; 40_000], &[0; 40_000]];
    let refused = client.ask_at(check, &long, false).await;
    assert_eq!(refused, Some(Code::ResourceExhausted as i32));
}

/// More calls at once than are taken together, and some that never end between them.
#[tokio::test]
async fn many_calls_at_once_are_all_answered() {
    let [stream] = connect(ENDLESS).await;
    let client = Client::open(stream).await;
    let beginning = [&WHOLE[..1]];
    let hanging = client.ask(&beginning, false);
    let all = async {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..300 {
            let client = Client(client.0.clone());
            calls.spawn(async move { client.ask(&[WHOLE], true).await });
        }
        calls.join_all().await
    };
    tokio::select! {
        _ = hanging => panic!("a call without a message was answered"),
        all = all => assert!(all.iter().all(|status| *status == Some(0)), "{all:?}"),
    }
}

/// Whoever watches health hears that it ends, and does not hold that up.
#[tokio::test]
async fn a_call_that_watches_ends_with_the_server() {
    let Checks {
        pdp,
        outside,
        metrics,
        ..
    } = checks();
    let (server, health) = Server::new(&Config::default(), pdp, outside, metrics).await;
    health.set(true).await;
    let listener = Listener::bind(&Address::loopback(0)).await.unwrap();
    let Ok(Address::Tcp(address)) = listener.address() else {
        panic!("{listener:?}");
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serving = tokio::spawn(server.serve(listener, None, stopped, NEVER, ENDLESS));
    let client = Client::open(TcpStream::connect(address).await.unwrap()).await;
    let call = |path: &str, ends: bool| {
        let uri = format!("http://localhost/grpc.health.v1.Health/{path}");
        let request = http::Request::post(uri).body(()).unwrap();
        let (answer, mut call) = client.0.clone().send_request(request, false).unwrap();
        if ends {
            call.send_data(Bytes::from_static(WHOLE), true).unwrap();
        }
        // Without its message a call waits for it.
        (answer, call)
    };
    let (answer, _watching) = call("Watch", true);
    let (unasked, _asking) = call("Check", false);
    let mut body = answer.await.unwrap().into_body();
    let heard = |part: Option<Result<Bytes, h2::Error>>| part.unwrap().unwrap()[6];
    assert_eq!(heard(body.data().await), 1);
    health.set(false).await;
    stop.send(()).unwrap();
    assert_eq!(heard(body.data().await), 2);
    assert!(body.data().await.is_none());
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(unasked.await.unwrap().headers()["grpc-status"], "14");
    tokio::time::timeout(LATE, serving).await.unwrap().unwrap();
}
