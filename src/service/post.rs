//! One request that brings something to a server, over HTTP with bounds on time and size. What is
//! brought, and what an answer means for it, is left to others.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};

use super::{Asker, AskerError, Servers, Tokens};
use crate::address::OwnPorts;
use crate::bundle::{Credentials, Secret, SourceTls, SourceUrl};
use crate::fetch::{FetchError, Way, read_body, within};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// A server, and how it is asked.
#[derive(Debug, Clone)]
pub struct PostTo {
    pub url: SourceUrl,
    pub headers: BTreeMap<String, Secret>,
    pub tls: SourceTls,
    pub credentials: Option<Credentials>,
    /// Longest that one request may take.
    pub timeout: Duration,
}

/// Brings things to one server.
#[derive(Debug)]
pub struct Poster {
    to: PostTo,
    servers: Servers,
    tokens: Tokens,
}

/// What the server answered.
#[derive(Debug)]
pub struct Posted {
    pub status: StatusCode,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

// === impl Poster ===

impl Poster {
    /// `own_ports` are never asked on this machine.
    pub fn new(to: PostTo, own_ports: OwnPorts) -> Self {
        Self {
            to,
            servers: Servers::new(own_ports),
            tokens: Tokens::default(),
        }
    }

    /// Posts a body that gzip has compressed. Rules: redirects are not followed, since only the
    /// configured server is told who asks; a token that it does not take is not used again.
    pub async fn post(&self, kind: &'static str, body: Vec<u8>) -> Result<Posted, AskerError> {
        let posted = within(self.to.timeout, self.send(kind, body)).await?;
        if posted.status == StatusCode::UNAUTHORIZED {
            self.tokens.forget().await;
        }
        Ok(posted)
    }

    async fn send(&self, kind: &'static str, body: Vec<u8>) -> Result<Posted, AskerError> {
        let to = &self.to;
        let asker = Asker {
            headers: &to.headers,
            tls: &to.tls,
            credentials: to.credentials.as_ref(),
        };
        let url = to.url.url();
        let client = self.servers.client(&to.tls, true, &Way::to(url)).await?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.extend(self.tokens.headers(asker, &self.servers).await?);
        let request = client.post(url.clone()).headers(headers).body(body);
        let response = request.send().await.map_err(FetchError::http)?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| pause(text, SystemTime::now()));
        // Only what is said of a success matters, and that is short.
        let body = match status.is_success() {
            true => read_body(response, MAX_ANSWER).await.unwrap_or_default(),
            false => Vec::new(),
        };
        Ok(Posted {
            status,
            retry_after,
            body,
        })
    }
}

/// Rule: seconds, or a date (RFC 9110 section 10.2.3).
pub(super) fn pause(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(now).ok()
}
