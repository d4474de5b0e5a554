//! One request for a bundle: over HTTP with bounds on time, size, redirects and addresses. When it is
//! made, and what becomes of the archive, is left to `poll`.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Response, StatusCode};
use thiserror::Error;
use url::Url;

use crate::address::OwnPorts;
use crate::bundle::{RemoteSource, SourceUrl};
use crate::fetch::{FetchError, Way, read_body, within};
use crate::service::{Asker, AskerError, Servers, Tokens};

/// Longest `ETag` that is sent back, in bytes.
const MAX_ETAG: usize = 1_024;
/// What a server that knows OPA's way of polling calls a bundle.
const OPA_TYPE: &str = "application/vnd.openpolicyagent.bundles";

/// Makes requests.
#[derive(Debug)]
pub(super) struct Fetcher(Servers);

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
pub(super) enum DownloadError {
    #[error("server replied with {}", reason(*.0))]
    Status(StatusCode),
    /// With what it has to say of it.
    #[error("server replied with {} ({code})", reason(*.status))]
    Refused { status: StatusCode, code: String },
    #[error("no token was given: {0}")]
    Token(String),
    #[error("{0}")]
    Fetch(FetchError),
}

fn reason(status: StatusCode) -> String {
    let known = status.canonical_reason().map(str::to_owned);
    known.unwrap_or_else(|| format!("status {}", status.as_u16()))
}

// === impl Fetcher ===

impl Fetcher {
    pub(super) fn new(own_ports: OwnPorts) -> Self {
        Self(Servers::new(own_ports))
    }

    /// Asks for a bundle. Rule: a token that the server does not take is not used again.
    pub(super) async fn fetch(
        &self,
        source: &RemoteSource,
        url: &SourceUrl,
        tokens: &Tokens,
        wanted: Wanted<'_>,
    ) -> Result<Answer, DownloadError> {
        let limit = source.timeout.0 + wanted.wait.unwrap_or_default();
        let fetch = async {
            let response = self.get(source, url.url(), tokens, wanted).await?;
            Ok(take(response, source.size_limit.as_usize()).await?)
        };
        let fetched = within(limit, fetch).await;
        if let Err(DownloadError::Status(StatusCode::UNAUTHORIZED)) = fetched {
            tokens.forget().await;
        }
        fetched
    }

    /// Rule: only the configured server is told who asks.
    async fn get(
        &self,
        source: &RemoteSource,
        first: &Url,
        tokens: &Tokens,
        wanted: Wanted<'_>,
    ) -> Result<Response, DownloadError> {
        let mut way = Way::to(first);
        loop {
            let is_first = way.url().origin() == first.origin();
            let client = self.0.client(&source.tls, is_first, &way).await?;
            let mut headers = wanted.headers()?;
            if is_first {
                headers.extend(tokens.headers(asker(source), &self.0).await?);
            }
            let request = client.get(way.url().clone()).headers(headers);
            let response = request.send().await.map_err(FetchError::http)?;
            let Some(response) = way.follow(response)? else {
                continue;
            };
            return match response.status() {
                StatusCode::OK => Ok(response),
                StatusCode::NOT_MODIFIED if wanted.etag.is_some() => Ok(response),
                status => Err(DownloadError::Status(status)),
            };
        }
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.0
    }
}

/// Who asks for a bundle.
fn asker(source: &RemoteSource) -> Asker<'_> {
    Asker {
        headers: &source.headers,
        tls: &source.tls,
        credentials: source.credentials.as_ref(),
    }
}

impl Wanted<'_> {
    fn headers(self) -> Result<HeaderMap, FetchError> {
        let value = |text: &str| {
            let value = HeaderValue::from_str(text);
            value.map_err(|error| FetchError::Local(error.to_string()))
        };
        let mut headers = HeaderMap::new();
        // Rule: a change is asked for only if the server is told of what.
        let modes = match self.etag {
            Some(_) => "modes=snapshot,delta",
            None => "modes=snapshot",
        };
        let mut prefer = modes.to_owned();
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

/// A tag that can be sent back.
pub(super) fn kept_etag(etag: Option<&str>) -> Option<String> {
    let etag = etag.filter(|etag| !etag.is_empty() && etag.len() <= MAX_ETAG);
    etag.map(str::to_owned)
}

async fn take(response: Response, limit: usize) -> Result<Answer, FetchError> {
    let header = |name| response.headers().get(name)?.to_str().ok();
    let etag = kept_etag(header(ETAG));
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

// === impl DownloadError ===

impl From<FetchError> for DownloadError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Status(status) => Self::Status(status),
            other => Self::Fetch(other),
        }
    }
}

impl From<AskerError> for DownloadError {
    fn from(error: AskerError) -> Self {
        match error {
            AskerError::Token(why) => Self::Token(why),
            AskerError::Fetch(error) => error.into(),
        }
    }
}

impl DownloadError {
    /// What the server answered with, if that is what was wrong.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) | Self::Refused { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }
}
