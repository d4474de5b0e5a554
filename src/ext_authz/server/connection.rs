//! One connection of a proxy: HTTP/2 calls, checks answered where they are read. All that have come
//! are taken before any is answered, and their answers are written together, so that many streams cost
//! few reads and writes. What would hold up the others, such as evaluating Rego or verifying a
//! signature, becomes a task of its own, which any thread can take.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::Patience;
use super::check::{Checks, Longer, Reply};
use super::message::{Incoming, NoMessage, Unfinished, answer};
use super::services::Services;
use crate::attributes::ProtocolVersion;
use crate::traces::TraceContext;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// The same in version 2 of the API.
const LEGACY_CHECK: &str = "/envoy.service.auth.v2.Authorization/Check";
/// A message of up to so many times the limit is read, to be denied; a larger one is an error.
const READ_FACTOR: usize = 4;
/// Most calls taken before the first of them is answered.
const BATCH: usize = 64;
/// Limits of a connection.
const MAX_STREAMS: u32 = 1_000;
const MAX_HEADER_LIST: u32 = 64 * 1024;
const MAX_LOCAL_RESETS: usize = 256;
const WINDOW: u32 = 1 << 20;
/// Longest that calls may take which are running when a connection is to end.
const DRAIN: Duration = Duration::from_secs(60);

/// What calls are answered by.
pub(super) struct Door {
    pub checks: Checks,
    pub services: Services,
    pub patience: Patience,
}

type Call = (Request<RecvStream>, SendResponse<Bytes>);

/// A check of which not all has come.
struct Begun {
    message: Incoming,
    version: ProtocolVersion,
    caller: TraceContext,
    respond: SendResponse<Bytes>,
}

/// A connection past its opening.
struct Open<S> {
    door: Arc<Door>,
    http2: Connection<S, Bytes>,
    /// Calls that have come and are still to be answered.
    calls: Vec<Call>,
    unfinished: Unfinished,
    /// Told once it takes nothing new.
    draining: watch::Sender<bool>,
}

impl Door {
    /// Serves a connection to its end. From `drain` on it takes nothing new, and what is running then
    /// has a minute.
    pub(super) async fn serve<S>(
        self: Arc<Self>,
        stream: S,
        drain: impl Future<Output = ()>,
    ) -> Result<(), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut drain = pin!(drain);
        let patience = self.patience;
        let http2 = tokio::select! {
            opened = settings().handshake(stream) => opened?,
            () = &mut drain => return Ok(()),
        };
        let mut open = Open {
            door: self,
            http2,
            calls: Vec::new(),
            unfinished: Unfinished::default(),
            draining: watch::Sender::new(false),
        };
        let pings = open.http2.ping_pong();
        tokio::select! {
            ended = poll_fn(|context| open.poll(context)) => return ended,
            () = silence(pings, patience) => return Ok(()),
            () = drain => {}
        }
        open.http2.graceful_shutdown();
        open.draining.send_replace(true);
        timeout(DRAIN, poll_fn(|context| open.poll(context)))
            .await
            .unwrap_or(Ok(()))
    }
}

fn settings() -> Builder {
    let mut settings = Builder::new();
    settings
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    settings
}

/// Ends when the other end answers pings no more.
async fn silence(pings: Option<PingPong>, patience: Patience) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        sleep(patience.pings).await;
        let pong = timeout(patience.pong, pings.ping(Ping::opaque())).await;
        if !matches!(pong, Ok(Ok(_))) {
            return;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Open<S> {
    /// Takes calls and answers them until the connection ends.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            let ended = self.take(context);
            if self.calls.is_empty() || ended.is_ready() {
                return ended;
            }
            for call in self.calls.drain(..) {
                begin(&self.door, call, &self.unfinished, &self.draining, context);
            }
            // Once more, which writes what was answered and sees what has come meanwhile.
        }
    }

    /// Takes what calls there are. Ready once there will be no more.
    fn take(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while self.calls.len() < BATCH {
            match ready!(self.http2.poll_accept(context)) {
                Some(call) => self.calls.push(call?),
                None => return Poll::Ready(Ok(())),
            }
        }
        Poll::Pending
    }
}

/// Answers a call, or gives it to a task of its own.
fn begin(
    door: &Arc<Door>,
    (request, respond): Call,
    unfinished: &Unfinished,
    draining: &watch::Sender<bool>,
    context: &mut Context<'_>,
) {
    // Rule: paths match exactly.
    let version = match request.uri().path() {
        CHECK => ProtocolVersion::V3,
        LEGACY_CHECK => ProtocolVersion::V2,
        _ => {
            let door = Arc::clone(door);
            let draining = draining.subscribe();
            tokio::spawn(async move { door.services.call(request, respond, draining).await });
            return;
        }
    };
    let limit = door.checks.max_message_bytes.saturating_mul(READ_FACTOR);
    let caller = door.checks.caller(request.headers());
    let mut begun = Begun {
        message: Incoming::new(request.into_body(), limit, unfinished),
        version,
        caller,
        respond,
    };
    // Most messages have come with the call.
    match begun.message.poll(context) {
        Poll::Ready(message) => {
            if let Some(longer) = begun.check(door, message) {
                tokio::spawn(begun.finish(Arc::clone(door), longer));
            }
        }
        Poll::Pending => {
            tokio::spawn(begun.await_message(Arc::clone(door)));
        }
    }
}

impl Begun {
    async fn await_message(mut self, door: Arc<Door>) {
        let coming = poll_fn(|context| self.message.poll(context));
        let message = timeout(door.patience.message, coming)
            .await
            .unwrap_or_else(|_| {
                let why = "the message did not come in time";
                Err(NoMessage::Refused(Status::deadline_exceeded(why)))
            });
        if let Some(longer) = self.check(&door, message) {
            self.finish(door, longer).await;
        }
    }

    /// Answers the check, if that takes little.
    fn check(&mut self, door: &Door, message: Result<Bytes, NoMessage>) -> Option<Longer> {
        let checked = match message {
            Ok(message) => door.checks.check(message, self.version, self.caller),
            Err(NoMessage::Refused(status)) => Ok(Err(status)),
            // No error: a proxy that is set to fail open would let it pass.
            Err(NoMessage::Crowded) => Ok(door.checks.crowd_out(self.version)),
            Err(NoMessage::Gone(error)) => {
                tracing::debug!(%error, "a call broke off");
                return None;
            }
        };
        match checked {
            Ok(reply) => self.answer(reply),
            Err(longer) => return Some(longer),
        }
        None
    }

    /// Answers a check that takes longer, unless nobody waits for the answer any more.
    async fn finish(mut self, door: Arc<Door>, longer: Longer) {
        let gone = poll_fn(|context| self.respond.poll_reset(context));
        let reply = tokio::select! {
            biased;
            _ = gone => return,
            reply = door.checks.finish(longer) => reply,
        };
        self.answer(reply);
    }

    fn answer(&mut self, reply: Reply) {
        if let Err(error) = answer(&mut self.respond, reply) {
            tracing::debug!(%error, "a call was not answered");
        }
    }
}
