//! Memory that calls hold: what they have sent so far, what it is read into, and their answer until it is
//! sent. All calls of a kind share one bound, so that no number of callers makes the process grow. A call
//! that finds no room is refused and may come again: it never waits for those who hold it.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::Extensions;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{ApiError, internal};

/// Memory of all calls that ask together, and of all that change something.
const MAX_ASKING: usize = 512 << 20;
const MAX_CHANGING: usize = 512 << 20;
/// Documents that are read to be written at once, of each of both.
pub(super) const MAX_READING: usize = 1;
/// Memory of one call that asks.
const MAX_OF_ONE: usize = 256 << 20;
/// The last of it is for calls that hold no more than this.
const RESERVED: usize = 64 << 20;
const SMALL: usize = 1 << 20;

/// Memory that calls share.
#[derive(Debug)]
pub(super) struct Pool {
    total: usize,
    /// What of it is only there for small calls.
    reserved: usize,
    of_one: usize,
    held: AtomicUsize,
    /// Documents to be written are read one after the other.
    turn: Arc<Semaphore>,
}

/// What one call holds, until the last that has to do with it is gone.
#[derive(Debug)]
pub(super) struct Held {
    pool: Arc<Pool>,
    bytes: AtomicUsize,
    was_cut_off: AtomicBool,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Full {
    #[error("the call needs too much memory")]
    Call,
    #[error("other calls hold all memory there is for calls: try again")]
    Others,
}

/// What calls of one row may send.
#[derive(Debug, Clone)]
pub(super) struct Allowance {
    pub(super) pool: Arc<Pool>,
    /// Largest body, compressed or not.
    pub(super) max_body: MaxBody,
}

/// Largest body of a call, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaxBody(pub(super) usize);

/// A body whose bytes are held until it is gone.
struct Counted {
    body: Body,
    held: Arc<Held>,
    /// Whether its bytes are not counted yet.
    is_new: bool,
}

/// Counts what a call sends, and lets go of it when its answer is sent.
pub(super) async fn hold(
    State(allowance): State<Allowance>,
    request: Request,
    next: Next,
) -> Response {
    let held = Arc::new(Held::new(allowance.pool));
    let mut request = request.map(|body| Counted::body(body, &held, true));
    request.extensions_mut().insert(Arc::clone(&held));
    request.extensions_mut().insert(allowance.max_body);
    let response = next.run(request).await;
    // Whatever the call made of a body that was cut off.
    if held.was_cut_off.load(Ordering::Relaxed) {
        return ApiError::from(Full::Others).into_response();
    }
    held.keep(response.body().size_hint().exact());
    response.map(|body| Counted::body(body, &held, false))
}

// === impl Pool ===

impl Pool {
    /// For calls that ask.
    pub(super) fn asking() -> Arc<Self> {
        Self::new(MAX_ASKING, RESERVED, MAX_OF_ONE)
    }

    /// For calls that change something, which nobody who asks can keep out.
    pub(super) fn changing() -> Arc<Self> {
        Self::new(MAX_CHANGING, RESERVED, MAX_CHANGING)
    }

    fn new(total: usize, reserved: usize, of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            reserved,
            of_one,
            held: AtomicUsize::new(0),
            turn: Arc::new(Semaphore::new(MAX_READING)),
        })
    }
}

// === impl Held ===

impl Held {
    fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            bytes: AtomicUsize::new(0),
            was_cut_off: AtomicBool::new(false),
        }
    }

    /// What the call holds whose extensions these are.
    pub(super) fn of(extensions: &Extensions) -> Result<Arc<Self>, ApiError> {
        let held = extensions.get::<Arc<Self>>().cloned();
        held.ok_or_else(|| internal("nobody counts what the call holds".to_owned()))
    }

    #[cfg(test)]
    pub(super) fn alone() -> Arc<Self> {
        Arc::new(Self::new(Pool::new(MAX_ASKING, 0, MAX_ASKING)))
    }

    /// Holds more.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Full> {
        let all = self
            .bytes
            .load(Ordering::Relaxed)
            .checked_add(bytes)
            .filter(|all| *all <= self.pool.of_one)
            .ok_or(Full::Call)?;
        let reserved = if all > SMALL { self.pool.reserved } else { 0 };
        let total = self.pool.total.saturating_sub(reserved);
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= total);
        let taken = self
            .pool
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map_err(|_| Full::Others)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// How much more the call may hold at most.
    pub(super) fn room(&self) -> usize {
        let held = self.bytes.load(Ordering::Relaxed);
        self.pool.of_one.saturating_sub(held)
    }

    /// Lets go of what was held in vain.
    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.pool.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// To be kept as long as a document that is to be written is read and made active.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = Arc::clone(&self.pool.turn).acquire_owned().await;
        turn.map_err(|closed| internal(closed.to_string()))
    }

    /// Lets go of all but so much.
    fn keep(&self, bytes: Option<u64>) {
        let Some(keep) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else {
            return;
        };
        let held = self.bytes.load(Ordering::Relaxed);
        self.give_back(held.saturating_sub(keep));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = *self.bytes.get_mut();
        self.pool.held.fetch_sub(held, Ordering::Relaxed);
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        match full {
            Full::Call => Self::too_large(full.to_string()),
            Full::Others => Self::busy(full.to_string()),
        }
    }
}

// === impl Counted ===

impl Counted {
    fn body(body: Body, held: &Arc<Held>, is_new: bool) -> Body {
        Body::new(Self {
            body,
            held: Arc::clone(held),
            is_new,
        })
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if self.is_new
            && let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
            && let Err(full) = self.held.take(bytes.len())
        {
            self.held.was_cut_off.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new(full))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
