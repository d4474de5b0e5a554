//! `/v1/decisions/stream`: decisions as they come, as server-sent events. A stream has a place in the
//! log and at most two portions of records in memory; who reads too slowly is told what was missed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::decision_log::{Filter, Follower, Followers, Step};
use crate::management::Api;
use crate::management::error::{ApiError, internal};
use crate::management::memory::Held;
use crate::management::server::CALL_TIMEOUT;

/// Most streams at once, and how many of them read the log's file at the same time.
const MAX_STREAMS: usize = 16;
pub(in crate::management) const MAX_READING: usize = 2;
/// Memory of one stream, in bytes.
const STREAM_MEMORY: usize = 8 << 20;
/// How long nothing is sent at most.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A stream ends as any call does; its reader comes back to where it was.
const LIFETIME: Duration = CALL_TIMEOUT;
/// How soon, in milliseconds.
const RETRY_MS: u32 = 500;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The decision log as it comes, and room for those who follow it.
#[derive(Debug, Clone)]
pub struct Streams {
    log: Followers,
    places: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    /// Whether the server stops.
    stopped: watch::Receiver<bool>,
}

/// One stream, on its way to its reader.
struct Stream {
    follower: Follower,
    reading: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
    to: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
}

/// What is sent.
struct Events(mpsc::Receiver<Bytes>);

/// Why a stream ends.
struct Over;

impl Streams {
    pub fn of(log: Followers, stopped: watch::Receiver<bool>) -> Self {
        Self {
            log,
            places: Arc::new(Semaphore::new(MAX_STREAMS)),
            reading: Arc::new(Semaphore::new(MAX_READING)),
            stopped,
        }
    }
}

pub(in crate::management) async fn stream(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    headers: HeaderMap,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(filter) = filter?;
    let streams = &api.streams;
    let follower = streams.log.follow(&filter, last_event(&headers)?)?;
    let place = Arc::clone(&streams.places).try_acquire_owned();
    let place = place.map_err(|_| {
        ApiError::busy(format!("{MAX_STREAMS} streams are open, which is the most"))
    })?;
    held.take(STREAM_MEMORY)?;
    let (to, from) = mpsc::channel(1);
    let stream = Stream {
        follower,
        reading: Arc::clone(&streams.reading),
        stopped: streams.stopped.clone(),
        to,
        _place: place,
    };
    tokio::spawn(stream.run());
    let mut response = Response::new(Body::new(Events(from)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The number behind which a reader goes on that comes back.
fn last_event(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let mut sent = headers.get_all(LAST_EVENT_ID).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return match headers.contains_key(LAST_EVENT_ID) {
            true => Err(ApiError::invalid("`Last-Event-ID` is there twice")),
            false => Ok(None),
        };
    };
    let text = value.to_str().unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(ApiError::invalid("`Last-Event-ID` is no id of an event")),
    }
}

// === impl Stream ===

impl Stream {
    async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        let gone = self.to.clone();
        tokio::select! {
            _ = self.send_all() => {}
            () = stop => {}
            () = gone.closed() => {}
            () = tokio::time::sleep(LIFETIME) => {}
        }
    }

    async fn send_all(&mut self) -> Result<(), Over> {
        self.send(format!("retry: {RETRY_MS}\n\n")).await?;
        let mut sent = Instant::now();
        loop {
            match tokio::time::timeout(HEARTBEAT, self.follower.wait()).await {
                // Rule: an id alone is remembered and is no event.
                Err(_) => self.send(beat(self.follower.reached())).await?,
                Ok(false) => return Ok(()),
                Ok(true) => {
                    let before = self.follower.reached();
                    let text = self.read().await?;
                    let reached = self.follower.reached();
                    if !text.is_empty() {
                        self.send(text).await?;
                    } else if reached == before {
                        return Err(Over);
                    } else if sent.elapsed() < HEARTBEAT {
                        continue;
                    } else {
                        // Decisions come, and none is asked for.
                        self.send(beat(reached)).await?;
                    }
                }
            }
            sent = Instant::now();
        }
    }

    async fn send(&self, text: String) -> Result<(), Over> {
        self.to.send(text.into()).await.map_err(|_| Over)
    }

    /// Reads what comes next, written as events, which may be nothing.
    async fn read(&mut self) -> Result<String, Over> {
        let turn = Arc::clone(&self.reading).acquire_owned().await;
        let turn = turn.map_err(|_| Over)?;
        let mut follower = self.follower.clone();
        let step = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let written = follower.step().map(|step| written(&step));
            (follower, written)
        });
        let (follower, written) = step.await.map_err(|_| Over)?;
        self.follower = follower;
        match written {
            Ok(text) => Ok(text),
            Err(error) => {
                let error = internal(error.to_string());
                let data = json!({"message": error.message()});
                self.send(format!("event: error\ndata: {data}\n\n")).await?;
                Err(Over)
            }
        }
    }
}

fn beat(reached: i64) -> String {
    format!(": nothing new\nid: {reached}\n\n")
}

/// Rule: JSON on one line is one line of data, since it holds no line break.
fn written(step: &Step) -> String {
    let mut text = String::new();
    if let Some(count) = step.missed {
        let data = json!({ "count": count });
        text.push_str(&format!("event: missed\ndata: {data}\n\n"));
    }
    for (number, record) in &step.records {
        text.push_str(&format!(
            "id: {number}\nevent: decision\ndata: {record}\n\n"
        ));
    }
    text
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}
