//! Bodies that hold a document: JSON or YAML, compressed or not. How much memory they may take is counted in
//! `memory`, where they are read is left to the calls.

use std::io::Read as _;
use std::sync::Arc;

use axum::RequestExt as _;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use flate2::read::MultiGzDecoder;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::error::{ApiError, internal};
use super::memory::{Full, Held, MaxBody};
use crate::policy::rego::Data;
use crate::yaml::Document;

/// What a byte of YAML may become in memory: each value keeps its place in the text until it is read.
const YAML_WEIGHT: usize = 128;
/// Bytes that are decompressed at once.
const STEP: usize = 64 << 10;

/// A body that was received and not read yet, which takes its time.
#[derive(Debug)]
pub(super) struct Body {
    received: Result<Bytes, BytesRejection>,
    is_gzip: bool,
    is_yaml: bool,
    max: MaxBody,
    held: Arc<Held>,
}

impl FromRequest<Api> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let known = request.extensions();
        let allowed = known.get::<Arc<Held>>().cloned().zip(known.get().copied());
        // Only a call outside the table could come here.
        let uncounted = || internal("nobody counts what the call sends".to_owned());
        let (held, max) = allowed.ok_or_else(uncounted)?;
        Ok(Self {
            is_gzip: says(request.headers(), CONTENT_ENCODING, "gzip"),
            is_yaml: says(request.headers(), CONTENT_TYPE, "yaml"),
            received: request.extract_with_state(api).await,
            max,
            held,
        })
    }
}

fn says(headers: &HeaderMap, name: HeaderName, part: &str) -> bool {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.to_ascii_lowercase().contains(part))
}

impl Body {
    /// Reads a document to be asked with; `None` if there is none. `what` is what errors call it.
    pub(super) fn document(&self, what: &str) -> Result<Option<Data>, ApiError> {
        self.read(what, |bytes| self.held.take(bytes))
    }

    /// Reads a document to be written: its values are as many as fit into its bytes.
    fn written(&self, what: &str) -> Result<Option<Data>, ApiError> {
        self.read(what, |_| Ok(()))
    }

    /// Reads what is to be written aside, when it is its turn. The turn is over when it is dropped.
    pub(super) async fn read_aside<T: Send + 'static>(
        self,
        what: &'static str,
        read: impl FnOnce(Option<Data>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), ApiError> {
        let turn = self.held.turn().await?;
        let task = tokio::task::spawn_blocking(move || {
            let read = read(self.written(what)?)?;
            Ok((read, turn))
        });
        task.await
            .unwrap_or_else(|error| Err(internal(error.to_string())))
    }

    /// `take` is asked before values are made.
    fn read(
        &self,
        what: &str,
        take: impl Fn(usize) -> Result<(), Full>,
    ) -> Result<Option<Data>, ApiError> {
        let received = self.received.as_ref();
        let received = received.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large("request body too large"),
            _ => ApiError::invalid(rejection.body_text()),
        })?;
        let decompressed = match self.is_gzip {
            true => Some(self.decompressed(received)?),
            false => None,
        };
        let bytes = decompressed.as_deref().unwrap_or(received);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let malformed = |why: &str| ApiError::invalid(format!("{what}: {why}"));
        if self.is_yaml {
            take(bytes.len().saturating_mul(YAML_WEIGHT))?;
            let text = str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
            let documents = Document::parse_stream(text);
            let documents = documents.map_err(|problem| malformed(&problem.to_string()))?;
            let first = documents.into_iter().next();
            return Ok(first.map(|document| Data::from_json(document.value)));
        }
        let mut full = None;
        let parsed = Data::parse_within(bytes, &mut |bytes| {
            full = take(bytes).err();
            full.is_none()
        });
        match (parsed, full) {
            (_, Some(full)) => Err(full.into()),
            (parsed, None) => parsed.map(Some).map_err(|error| malformed(&error.message)),
        }
    }

    /// Rule: what a call may send is the limit of what it decompresses to.
    fn decompressed(&self, received: &[u8]) -> Result<Vec<u8>, ApiError> {
        let mut all = Vec::new();
        let mut decoder = MultiGzDecoder::new(received);
        loop {
            let before = all.len();
            let mut step = decoder.by_ref().take(STEP as u64);
            let read = step.read_to_end(&mut all);
            read.map_err(|error| ApiError::invalid(format!("the body is not gzip: {error}")))?;
            if all.len() == before {
                return Ok(all);
            }
            if all.len() > self.max.0 {
                return Err(ApiError::too_large("compressed request body too large"));
            }
            self.held.take(all.len() - before)?;
        }
    }
}
