//! What every request in the background has in common: where it may go, through redirects too, how much
//! is read, and what is told of an error. Who asks, when, and for what is left to `jwks` and `remote`.

mod client;

#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};
use thiserror::Error;
use tokio::sync::Semaphore;
use url::Url;

use crate::address::{AtHome, RefusedAddress, sends_from_elsewhere};
use crate::identity::{KeyUrlError, check_key_url};

pub use client::{Clients, Tls};

/// Threads of the runtime that read files and make clients for requests.
pub const BLOCKING_THREADS: usize = 4;
/// Most redirects of one request.
const MAX_REDIRECTS: usize = 3;

/// Why a request brought nothing.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Address(#[from] RefusedAddress),
    #[error("{0}")]
    AtHome(#[from] AtHome),
    #[error("{what} {error}")]
    Url {
        what: &'static str,
        error: KeyUrlError,
    },
    #[error("{0} leads from https to http")]
    Downgrade(&'static str),
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Http(String),
    /// Something of this side's, such as a file.
    #[error("{0}")]
    Local(String),
}

/// Where a request is on its way. Redirects are followed by hand: each hop is checked as the first one
/// is, since `Clients` has a client only for where a way may go.
#[derive(Debug, Clone)]
pub struct Way {
    url: Url,
    /// Whether a server of another machine chose where it goes.
    is_from_elsewhere: bool,
    redirects: usize,
}

// === impl Way ===

impl Way {
    pub fn to(url: &Url) -> Self {
        Self {
            url: url.clone(),
            is_from_elsewhere: false,
            redirects: 0,
        }
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Another request, to where an answer to this one says.
    #[must_use]
    pub fn on_to(&self, url: Url) -> Self {
        Self {
            is_from_elsewhere: self.is_from_elsewhere || sends_from_elsewhere(&self.url, &url),
            url,
            redirects: 0,
        }
    }

    /// Goes on to where an answer sends the request. Returns the answer if it is the last one.
    pub fn follow(&mut self, response: Response) -> Result<Option<Response>, FetchError> {
        const WHAT: &str = "the redirect's target";
        let status = response.status();
        // Rule: "not modified" is an answer.
        if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
            return Ok(Some(response));
        }
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let location = location.ok_or(FetchError::Status(status))?;
        let wrong = |error| FetchError::Url { what: WHAT, error };
        let to = self.url.join(location);
        let to = to.map_err(|error| wrong(KeyUrlError::Syntax(error)))?;
        check_key_url(&to).map_err(wrong)?;
        no_downgrade(&self.url, &to, WHAT)?;
        let redirects = self.redirects + 1;
        if redirects > MAX_REDIRECTS {
            return Err(FetchError::Redirects);
        }
        *self = Self {
            redirects,
            ..self.on_to(to)
        };
        Ok(None)
    }
}

/// Rule: what was asked for over TLS is not taken from anybody in between.
pub fn no_downgrade(from: &Url, to: &Url, what: &'static str) -> Result<(), FetchError> {
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(FetchError::Downgrade(what));
    }
    Ok(())
}

/// Reads a body to its end or its limit.
pub async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, FetchError> {
    let told = response.content_length();
    if told.is_some_and(|told| told > limit as u64) {
        return Err(FetchError::TooLarge(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::http)? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Gives work so much time and no more.
pub async fn within<T, E: From<FetchError>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(FetchError::Timeout(limit).into()))
}

/// Runs work that waits for the disk.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    static PLACES: Semaphore = Semaphore::const_new(BLOCKING_THREADS);
    let local = |error: &dyn std::fmt::Display| FetchError::Local(error.to_string());
    let place = PLACES.acquire().await.map_err(|error| local(&error))?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    let done = done.await;
    done.unwrap_or_else(|error| Err(local(&error)))
}

/// A message for records: short, on one line, whatever a server wrote.
pub fn one_line(message: &str, longest: usize) -> String {
    let is_plain = |character: &char| !character.is_control();
    message.chars().filter(is_plain).take(longest).collect()
}

// === impl FetchError ===

impl FetchError {
    /// An error of the HTTP client. What it says of the URL may hold a secret and is left out.
    pub fn http(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(refused) = inner.downcast_ref::<RefusedAddress>() {
                return Self::Address(*refused);
            }
            if let Some(refused) = inner.downcast_ref::<AtHome>() {
                return Self::AtHome(*refused);
            }
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Self::Http(text)
    }
}
