//! One request from the first attempt to the whole of its answer: attempts, redirects, and bounds on
//! time, size and addresses. What is remembered of answers is left to `responses`.

#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use tokio::time::{Instant, timeout_at};
use url::{ParseError, Url};

use super::Asking;
use crate::address::sends_from_elsewhere;
use crate::policy::rego::external::{ExternalError, HttpRequest, HttpResponse, TlsOptions};

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 10;
/// Pause before the second attempt after the first repetition, which comes at once, and the longest.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);
const RETRY_FACTOR: f64 = 1.6;
/// An attempt without a limit of its own ends with the check, long before this.
const NO_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Headers that must not reach another origin than the policy named.
const CREDENTIALS: [&str; 6] = [
    "authorization",
    "cookie",
    "cookie2",
    "host",
    "proxy-authorization",
    "www-authenticate",
];
/// Headers of a body that is not sent on.
const OF_BODY: [&str; 4] = [
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
];
/// Headers of an answer that are about its framing, which is undone.
const FRAMING: [&str; 2] = ["trailer", "transfer-encoding"];

/// One message to one server.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    /// Whether it goes where the policy said, with what the policy gave for that.
    is_first_origin: bool,
    /// Whether a server that is not this machine's, as far as its URL tells, chose where it goes.
    is_from_elsewhere: bool,
}

impl Asking {
    /// Asks, and asks again if nobody answered and the policy wants that.
    pub(super) async fn ask(
        &self,
        request: &HttpRequest,
        conditions: &[(HeaderName, HeaderValue)],
    ) -> Result<HttpResponse, ExternalError> {
        let mut attempt = 0;
        loop {
            let until = Instant::now() + request.timeout.unwrap_or(NO_LIMIT);
            let mut hop = Hop::first(request)?;
            for (name, value) in conditions {
                hop.headers.insert(name, value.clone());
            }
            let answer = timeout_at(until, self.follow(hop, request)).await;
            let answer = answer.unwrap_or_else(|_| Err(network(request, "request timed out")));
            match answer {
                Ok(answer) => {
                    let read = timeout_at(until, self.read(answer)).await;
                    let timeout = || ExternalError::Request("reading the body timed out".into());
                    return read.map_err(|_| timeout())?;
                }
                Err(ExternalError::Network(_)) if attempt < request.retries => {
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Follows redirects by hand: each hop is checked as the first one is.
    async fn follow(
        &self,
        mut hop: Hop,
        request: &HttpRequest,
    ) -> Result<Response<Incoming>, ExternalError> {
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.hop(&hop, request).await?;
            let location = answer.headers().get(LOCATION);
            let is_followed = request.follow_redirects && is_redirect(answer.status());
            match location.filter(|location| is_followed && !location.is_empty()) {
                None => return Ok(answer),
                Some(location) => {
                    let moved = hop.moved(answer.status(), location);
                    hop = moved.map_err(|why| network(request, why))?;
                }
            }
        }
        let why = format!("stopped after {MAX_REDIRECTS} redirects");
        Err(network(request, &why))
    }

    async fn hop(
        &self,
        hop: &Hop,
        request: &HttpRequest,
    ) -> Result<Response<Incoming>, ExternalError> {
        let fail = |why: &str| network(request, why);
        let none = TlsOptions::default();
        let options = match hop.url.scheme() {
            "https" => {
                // Rule: who the policy is, and whom it expects, is for the server it named.
                let trust = TlsOptions {
                    client: None,
                    server_name: None,
                    ..request.tls.clone()
                };
                if hop.is_first_origin {
                    request.tls.clone()
                } else {
                    trust
                }
            }
            "http" => none,
            other => return Err(fail(&format!("unsupported protocol scheme {other:?}"))),
        };
        let checked = self.resolver.rules.check_host(&hop.url);
        checked.map_err(|error| fail(&error.to_string()))?;
        let home = self.own_ports.home(&hop.url, hop.is_from_elsewhere);
        let checked = home.check_host(&hop.url);
        checked.map_err(|error| fail(&error.to_string()))?;
        let client = self.clients.get(options, home)?;
        let mut answer = client.request(hop.message()?).await;
        // A kept connection may have been closed just now. What changes nothing is sent once more.
        if let Err(error) = &answer
            && hop.method.is_safe()
            && was_closed(error)
        {
            answer = client.request(hop.message()?).await;
        }
        answer.map_err(|error| fail(&chain(&error)))
    }

    /// Reads a body to its end or its limit.
    async fn read(&self, answer: Response<Incoming>) -> Result<HttpResponse, ExternalError> {
        let (head, mut incoming) = answer.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| ExternalError::Request(chain(&error)))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if body.len() + data.len() > self.max_response {
                let why = format!("the answer is larger than {} bytes", self.max_response);
                return Err(ExternalError::Request(why));
            }
            body.extend_from_slice(data);
        }
        let reason = match head.extensions.get::<ReasonPhrase>() {
            Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
            None => head
                .status
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
        };
        let headers = head.headers.iter();
        let headers = headers.filter(|(name, _)| !FRAMING.contains(&name.as_str()));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(HttpResponse {
            status: head.status.as_u16(),
            status_line: format!("{} {reason}", head.status.as_u16()),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body,
        })
    }
}

// === impl Hop ===

impl Hop {
    fn first(request: &HttpRequest) -> Result<Self, ExternalError> {
        let wrong = |why: String| ExternalError::Request(why);
        let method = Method::from_bytes(request.method.as_bytes());
        let method = method.map_err(|_| wrong("the method is no method".to_owned()))?;
        let url = Url::parse(&request.url).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => {
                network(request, "unsupported protocol scheme \"\"")
            }
            error => wrong(format!("the URL cannot be read: {error}")),
        })?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(network(request, "a header cannot be sent"));
            };
            headers.insert(name, value);
        }
        let ours = HeaderValue::from_static(concat!("doorward/", env!("CARGO_PKG_VERSION")));
        headers.entry(USER_AGENT).or_insert(ours);
        Ok(Self {
            method,
            url,
            headers,
            body: Bytes::from(request.body.clone()),
            is_first_origin: true,
            is_from_elsewhere: false,
        })
    }

    /// Where a redirect leads. Rule: 301 to 303 ask for the other document, 307 and 308 for the same
    /// again.
    fn moved(&self, status: StatusCode, location: &HeaderValue) -> Result<Self, &'static str> {
        const WRONG: &str = "failed to parse the Location header";
        let location = location.to_str().map_err(|_| WRONG)?;
        let url = self.url.join(location).map_err(|_| WRONG)?;
        // Rule: what was asked over TLS is not taken from anybody in between.
        if self.url.scheme() == "https" && url.scheme() != "https" {
            return Err("a redirect leads from https to http");
        }
        let is_same_origin = self.url.origin() == url.origin();
        let leads_elsewhere = sends_from_elsewhere(&self.url, &url);
        let mut headers = self.headers.clone();
        if !is_same_origin {
            CREDENTIALS
                .iter()
                .for_each(|name| drop(headers.remove(*name)));
        }
        let is_again = matches!(status.as_u16(), 307 | 308);
        if !is_again {
            OF_BODY.iter().for_each(|name| drop(headers.remove(*name)));
        }
        let method = match self.method {
            _ if is_again => self.method.clone(),
            Method::HEAD => Method::HEAD,
            _ => Method::GET,
        };
        Ok(Self {
            method,
            url,
            headers,
            body: if is_again {
                self.body.clone()
            } else {
                Bytes::new()
            },
            is_first_origin: self.is_first_origin && is_same_origin,
            is_from_elsewhere: self.is_from_elsewhere || leads_elsewhere,
        })
    }

    fn message(&self) -> Result<Request<Full<Bytes>>, ExternalError> {
        let mut url = self.url.clone();
        url.set_fragment(None);
        let mut headers = self.headers.clone();
        if let Some(basic) = credentials_of(&url) {
            headers.entry(AUTHORIZATION).or_insert(basic);
            let removed = url.set_username("").and_then(|()| url.set_password(None));
            removed.map_err(|()| ExternalError::Request("the URL has no host".to_owned()))?;
        }
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_| ExternalError::Request("the URL cannot be sent".to_owned()))?;
        let mut message = Request::new(Full::new(self.body.clone()));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = uri;
        *message.headers_mut() = headers;
        Ok(message)
    }
}

/// Name and password in a URL, as a header.
fn credentials_of(url: &Url) -> Option<HeaderValue> {
    let (name, password) = (url.username(), url.password().unwrap_or_default());
    if name.is_empty() && password.is_empty() {
        return None;
    }
    let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [decode(name), decode(password)].join(&b':');
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// How long to wait after so many repetitions that failed. Rule: not at all after the first attempt,
/// then longer by more than half each time.
fn pause(repetitions: usize) -> Duration {
    if repetitions == 0 {
        return Duration::ZERO;
    }
    let exponent = i32::try_from(repetitions).unwrap_or(i32::MAX);
    let pause = RETRY_PAUSE.as_secs_f64() * RETRY_FACTOR.powi(exponent);
    Duration::from_secs_f64(pause.min(MAX_RETRY_PAUSE.as_secs_f64()))
}

/// A failure in the words of Go's client: what was tried, where, and why not. Passwords stay out.
fn network(request: &HttpRequest, why: &str) -> ExternalError {
    let mut operation = request.method.to_ascii_lowercase();
    if let Some(first) = operation.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let hidden = |mut url: Url| {
        let is_secret = url.password().is_some();
        (is_secret && url.set_password(Some("xxxxx")).is_ok()).then(|| url.to_string())
    };
    let url = Url::parse(&request.url).ok().and_then(hidden);
    let url = url.unwrap_or_else(|| request.url.clone());
    ExternalError::Network(format!("{operation} {url:?}: {why}"))
}

/// Whether a connection ended before the answer began.
fn was_closed(error: &hyper_util::client::legacy::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message() || error.is_closed();
        }
        source = inner.source();
    }
    false
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
