//! Messages of gRPC over HTTP/2: one gathered from a call's body, one written as its answer. What they
//! hold is left to others.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use tonic::Status;

use crate::ext_authz::written::PREFIX;

/// Most bytes of unfinished messages that a connection may hold, besides those in HTTP/2's windows.
const MAX_UNFINISHED: usize = 64 << 20;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Headers of every answer that is a message.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let grpc = HeaderValue::from_static("application/grpc");
    HeaderMap::from_iter([(CONTENT_TYPE, grpc)])
});
/// What follows that message.
static TRAILERS: LazyLock<HeaderMap> =
    LazyLock::new(|| HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]));

/// Why there is no message.
#[derive(Debug)]
pub(super) enum NoMessage {
    /// There is nobody to tell.
    Gone(h2::Error),
    Refused(Status),
    /// There is no room for it.
    Crowded,
}

/// The one message of a call, as it comes.
#[derive(Debug)]
pub(super) struct Incoming {
    body: RecvStream,
    /// Longest message.
    limit: usize,
    /// What has come: usually all of it at once, which is then never copied.
    first: Bytes,
    rest: BytesMut,
    held: Held,
}

/// Bytes of unfinished messages that a connection holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Unfinished(Arc<AtomicUsize>);

/// A share of them, given back when it is dropped.
#[derive(Debug)]
struct Held {
    bytes: usize,
    of: Unfinished,
}

// === impl Incoming ===

impl Incoming {
    pub(super) fn new(body: RecvStream, limit: usize, unfinished: &Unfinished) -> Self {
        Self {
            body,
            limit,
            first: Bytes::new(),
            rest: BytesMut::new(),
            held: Held {
                bytes: 0,
                of: unfinished.clone(),
            },
        }
    }

    /// The message without its prefix, once the call has been made in full.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, NoMessage>> {
        while let Some(part) = ready!(self.body.poll_data(context)) {
            self.add(part.map_err(NoMessage::Gone)?)?;
            if self.body.is_end_stream() {
                break;
            }
        }
        Poll::Ready(self.finish().map_err(NoMessage::Refused))
    }

    fn add(&mut self, part: Bytes) -> Result<(), NoMessage> {
        let flow = self.body.flow_control();
        flow.release_capacity(part.len()).map_err(NoMessage::Gone)?;
        if self.first.is_empty() {
            self.first = part;
        } else {
            self.held.add(part.len())?;
            self.rest.extend_from_slice(&part);
        }
        self.check_length().map_err(NoMessage::Refused)
    }

    /// Refuses as soon as can be what is too long to be read at all.
    fn check_length(&self) -> Result<(), Status> {
        let come = self.first.len() + self.rest.len();
        if come > self.limit.saturating_add(PREFIX) {
            return Err(Status::resource_exhausted(format!(
                "the message is longer than {} bytes",
                self.limit
            )));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Bytes, Status> {
        let mut all = std::mem::take(&mut self.first);
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            let mut joined = BytesMut::with_capacity(all.len() + rest.len());
            joined.extend_from_slice(&all);
            joined.extend_from_slice(&rest);
            all = joined.freeze();
        }
        self.held.give_back();
        if all.len() < PREFIX {
            return Err(Status::internal("the call holds no message"));
        }
        let compressed = all.get_u8();
        let length = all.get_u32() as usize;
        // Rule: who is sent what it did not say it can read answers UNIMPLEMENTED.
        match compressed {
            0 => {}
            1 => return Err(Status::unimplemented("compressed messages are not read")),
            _ => return Err(Status::internal("the message's prefix is none")),
        }
        if length != all.len() {
            return Err(Status::internal(
                "the call does not hold exactly one message",
            ));
        }
        Ok(all)
    }
}

// === impl Held ===

impl Held {
    fn add(&mut self, bytes: usize) -> Result<(), NoMessage> {
        self.bytes += bytes;
        let held = self.of.0.fetch_add(bytes, Ordering::Relaxed);
        match held + bytes > MAX_UNFINISHED {
            true => Err(NoMessage::Crowded),
            false => Ok(()),
        }
    }

    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            self.of.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
    }
}

// === answers ===

/// Answers a call with a message, or with a gRPC error. What is not sent at once waits with HTTP/2.
pub(super) fn answer(
    respond: &mut SendResponse<Bytes>,
    reply: Result<Bytes, Status>,
) -> Result<(), h2::Error> {
    match reply {
        Ok(message) => {
            let mut head = Response::new(());
            *head.headers_mut() = HEADERS.clone();
            let mut stream = respond.send_response(head, false)?;
            stream.send_data(message, false)?;
            stream.send_trailers(TRAILERS.clone())
        }
        Err(status) => {
            let (head, _) = status.into_http::<()>().into_parts();
            respond.send_response(Response::from_parts(head, ()), true)?;
            Ok(())
        }
    }
}
