//! One request for a bundle: over HTTP with bounds on time, size, redirects and addresses. When it is
//! made, and what becomes of the archive, is left to `poll`.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Client, Response, StatusCode};
use thiserror::Error;
use url::Url;

use super::client::Clients;
use super::credentials::Tokens;
use crate::address::{AtHome, OwnPorts, RefusedAddress, Rules, sends_from_elsewhere};
use crate::bundle::{RemoteSource, SourceTls};
use crate::identity::{KeyUrlError, check_key_url};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 3;
/// Longest `ETag` that is sent back, in bytes.
const MAX_ETAG: usize = 1_024;
/// What a server that knows OPA's way of polling calls a bundle.
const OPA_TYPE: &str = "application/vnd.openpolicyagent.bundles";

/// Makes requests.
#[derive(Debug)]
pub(super) struct Fetcher {
    own_ports: OwnPorts,
    clients: Clients,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Anything else than this.
    pub(super) etag: Option<&'a str>,
    /// The server may wait as long for it.
    pub(super) wait: Option<Duration>,
}

/// What came.
#[derive(Debug)]
pub(super) struct Answer {
    /// `None`: there is nothing else than what is there.
    pub(super) archive: Option<Vec<u8>>,
    pub(super) etag: Option<String>,
    /// Whether the server knows OPA's way of polling; a server that says nothing of it says nothing new.
    pub(super) can_wait: Option<bool>,
}

/// Why nothing came.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Address(#[from] RefusedAddress),
    #[error("{0}")]
    AtHome(#[from] AtHome),
    #[error("the redirect's target {0}")]
    Redirect(KeyUrlError),
    #[error("the redirect's target leads from https to http")]
    Downgrade,
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
    #[error("server replied with {}", reason(*.0))]
    Status(StatusCode),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Http(String),
    #[error("no token was given: {0}")]
    Token(String),
    /// Something of this side's, such as a file.
    #[error("{0}")]
    Local(String),
}

fn reason(status: StatusCode) -> String {
    let known = status.canonical_reason().map(str::to_owned);
    known.unwrap_or_else(|| format!("status {}", status.as_u16()))
}

// === impl Fetcher ===

impl Fetcher {
    pub(super) fn new(own_ports: OwnPorts) -> Self {
        Self {
            own_ports,
            clients: Clients::default(),
        }
    }

    /// Asks for a bundle. Rule: a token that the server does not take is not used again.
    pub(super) async fn fetch(
        &self,
        source: &RemoteSource,
        tokens: &Tokens,
        wanted: Wanted<'_>,
    ) -> Result<Answer, FetchError> {
        let limit = source.timeout.0 + wanted.wait.unwrap_or_default();
        let fetch = async {
            let response = self.get(source, tokens, wanted).await?;
            take(response, source.size_limit.as_usize()).await
        };
        let fetched = tokio::time::timeout(limit, fetch).await;
        let fetched = fetched.unwrap_or(Err(FetchError::Timeout(limit)));
        if let Err(FetchError::Status(StatusCode::UNAUTHORIZED)) = fetched {
            tokens.forget().await;
        }
        fetched
    }

    /// Asks, and follows redirects by hand: each hop is checked as the first one is. Rule: only the
    /// configured server is told who asks.
    async fn get(
        &self,
        source: &RemoteSource,
        tokens: &Tokens,
        wanted: Wanted<'_>,
    ) -> Result<Response, FetchError> {
        let first = source.url.url();
        let (mut url, mut is_from_elsewhere) = (first.clone(), false);
        for _ in 0..=MAX_REDIRECTS {
            let is_first = url.origin() == first.origin();
            let client = self.client(&source.tls, is_first, &url, is_from_elsewhere);
            let client = client.await?;
            let mut headers = wanted.headers()?;
            if is_first {
                headers.extend(tokens.headers(source, self).await?);
            }
            let request = client.get(url.clone()).headers(headers);
            let response = request.send().await.map_err(FetchError::http)?;
            match response.status() {
                StatusCode::OK => return Ok(response),
                StatusCode::NOT_MODIFIED if wanted.etag.is_some() => return Ok(response),
                status if status.is_redirection() => {
                    let to = redirect(&url, &response)?;
                    is_from_elsewhere |= sends_from_elsewhere(&url, &to);
                    url = to;
                }
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::Redirects)
    }

    /// A client that may ask there.
    pub(super) async fn client(
        &self,
        tls: &SourceTls,
        shows_itself: bool,
        url: &Url,
        is_from_elsewhere: bool,
    ) -> Result<Client, FetchError> {
        Rules::default().check_host(url)?;
        let home = self.own_ports.home(url, is_from_elsewhere);
        home.check_host(url)?;
        self.clients.get(tls, shows_itself, home).await
    }
}

impl Wanted<'_> {
    fn headers(self) -> Result<HeaderMap, FetchError> {
        let value = |text: &str| {
            let value = HeaderValue::from_str(text);
            value.map_err(|error| FetchError::Local(error.to_string()))
        };
        let mut headers = HeaderMap::new();
        // Delta bundles are not asked for.
        let mut prefer = "modes=snapshot".to_owned();
        if let Some(wait) = self.wait {
            prefer = format!("{prefer};wait={}", wait.as_secs());
        }
        headers.insert("prefer", value(&prefer)?);
        if let Some(etag) = self.etag {
            headers.insert(IF_NONE_MATCH, value(etag)?);
        }
        Ok(headers)
    }
}

/// Rule: what was asked for over TLS is not taken from anybody in between.
fn redirect(from: &Url, response: &Response) -> Result<Url, FetchError> {
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let Some(location) = location else {
        return Err(FetchError::Status(response.status()));
    };
    let to = from
        .join(location)
        .map_err(|error| FetchError::Redirect(KeyUrlError::Syntax(error)))?;
    check_key_url(&to).map_err(FetchError::Redirect)?;
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(FetchError::Downgrade);
    }
    Ok(to)
}

async fn take(response: Response, limit: usize) -> Result<Answer, FetchError> {
    let header = |name| response.headers().get(name)?.to_str().ok();
    let etag = header(ETAG).filter(|etag| !etag.is_empty() && etag.len() <= MAX_ETAG);
    let etag = etag.map(str::to_owned);
    let kind = header(CONTENT_TYPE).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let can_wait = kind.map(|kind| kind.eq_ignore_ascii_case(OPA_TYPE));
    if response.status() == StatusCode::NOT_MODIFIED {
        return Ok(Answer {
            archive: None,
            etag,
            can_wait,
        });
    }
    Ok(Answer {
        etag,
        // Rule: an archive without a type is of a server that does not know.
        can_wait: Some(can_wait.unwrap_or(false)),
        archive: Some(read_body(response, limit).await?),
    })
}

/// Reads a body to its end or its limit.
pub(super) async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, FetchError> {
    if response
        .content_length()
        .is_some_and(|told| told > limit as u64)
    {
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

// === impl FetchError ===

impl FetchError {
    /// An error of the HTTP client. What it says of the URL may hold a secret and is left out.
    pub(super) fn http(error: reqwest::Error) -> Self {
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(refused) = inner.downcast_ref::<RefusedAddress>() {
                return Self::Address(*refused);
            }
            if let Some(refused) = inner.downcast_ref::<AtHome>() {
                return Self::AtHome(*refused);
            }
            source = inner.source();
        }
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Self::Http(text)
    }

    /// What the server answered with, if that is what was wrong.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.as_u16()),
            _ => None,
        }
    }
}
