//! The `h2` crate with a constant answer: what HTTP/2 itself costs, and so the practical limit in
//! `compare.py`. Requests are received to their end and not looked at. Arguments: address to bind
//! (`127.0.0.1:0`), worker threads (`1`).

use std::error::Error;
use std::future::poll_fn;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};

/// A CheckResponse whose status is OK, in its gRPC frame.
const ALLOW: &[u8] = &[0, 0, 0, 0, 2, 10, 0];
/// As Doorward's, so that neither server waits for a window.
const WINDOW: u32 = 1 << 20;
const MAX_STREAMS: u32 = 1_000;

// As in the `doorward` program, so that only the servers differ.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let workers = arguments.next().unwrap_or_else(|| "1".to_owned());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.parse::<NonZeroUsize>()?.get())
        .enable_all()
        .build()?
        .block_on(serve(address.parse()?))
}

async fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    writeln!(std::io::stdout(), "ready ext_authz={bound}")?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that ends early is the client's affair.
        tokio::spawn(async { drop(connection(stream).await) });
    }
}

async fn connection(stream: TcpStream) -> Result<(), h2::Error> {
    let mut connection = server::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .handshake::<_, Bytes>(stream)
        .await?;
    let answer = Answer::new();
    let mut waiting: Vec<(RecvStream, SendResponse<Bytes>)> = Vec::new();
    // One task a connection: what has arrived is answered before anything is written, so that many
    // answers share a write.
    poll_fn(|context| {
        loop {
            while let Poll::Ready(request) = connection.poll_accept(context) {
                let Some(request) = request.transpose()? else {
                    return Poll::Ready(Ok(()));
                };
                waiting.push((request.0.into_body(), request.1));
            }
            let before = waiting.len();
            waiting.retain_mut(|(body, respond)| match received(body, context) {
                Poll::Pending => true,
                // A stream that ends early is the client's affair, too.
                Poll::Ready(arrived) => {
                    drop(arrived.and_then(|()| answer.send(respond)));
                    false
                }
            });
            if waiting.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Takes what has come of a body, and is ready at its end.
fn received(body: &mut RecvStream, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
    while let Some(data) = std::task::ready!(body.poll_data(context)) {
        body.flow_control().release_capacity(data?.len())?;
    }
    Poll::Ready(Ok(()))
}

/// What every request gets.
struct Answer {
    head: HeaderMap,
    trailers: HeaderMap,
}

impl Answer {
    fn new() -> Self {
        let one = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        Self {
            head: one(http::header::CONTENT_TYPE, "application/grpc"),
            trailers: one(http::HeaderName::from_static("grpc-status"), "0"),
        }
    }

    fn send(&self, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
        let mut response = Response::new(());
        response.headers_mut().clone_from(&self.head);
        let mut stream = respond.send_response(response, false)?;
        stream.send_data(Bytes::from_static(ALLOW), false)?;
        stream.send_trailers(self.trailers.clone())
    }
}
