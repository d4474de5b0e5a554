//! How `object_store` makes requests: by our clients, which go nowhere else than other downloads do, with
//! bounds on what is read. A redirect is not followed. What went wrong is handed to us unchanged.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Body, Response, StatusCode};
use thiserror::Error;
use url::Url;

use crate::address::Rules;
use crate::bundle::{BundleUrl, RemoteSource, StoreKind};
use crate::fetch::{FetchError, Way, read_body};
use crate::remote::fetch::{DownloadError, Fetcher};

/// Largest answer with credentials, in bytes.
const MAX_CREDENTIALS: usize = 1 << 20;
/// Most that is read of an answer that tells an error, in bytes, and longest code that is shown of it.
const MAX_ERROR: usize = 64 << 10;
const MAX_CODE: usize = 64;

/// What requests are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Object,
    /// Rule: only these may go to the metadata service of the machine, where the configuration says so.
    Credentials {
        metadata: bool,
    },
}

/// Makes the requests for one source.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) source: Arc<RemoteSource>,
    pub(super) purpose: Purpose,
}

/// Carries an error of ours through the library.
#[derive(Debug, Error)]
#[error("the request failed")]
struct Carried(Mutex<Option<DownloadError>>);

/// What went wrong. Rule: what the library says of it itself is not shown, since it repeats URLs and
/// answers.
pub(super) fn cause(error: &object_store::Error) -> DownloadError {
    let mut source = StdError::source(error);
    while let Some(inner) = source {
        if let Some(Carried(carried)) = inner.downcast_ref::<Carried>() {
            let mut carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(error) = carried.take() {
                return error;
            }
        }
        source = inner.source();
    }
    let why = "the answer is none of an object store, or of what gives credentials for it";
    FetchError::Http(why.to_owned()).into()
}

impl HttpConnector for Connection {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connection {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.ask(request).await.map_err(carry)
    }
}

/// Rule: of an unknown kind, so that the library does not try again.
fn carry(error: DownloadError) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, Carried(Mutex::new(Some(error))))
}

impl Connection {
    pub(super) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, DownloadError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string());
        let url = url.map_err(|error| FetchError::Local(format!("the URL {error}")))?;
        let body = body.collect().await;
        let body = body.map_err(|_| FetchError::Local("the request has no body".to_owned()))?;
        let rules = match self.purpose {
            Purpose::Credentials { metadata: true } => Rules::for_credentials(),
            Purpose::Credentials { metadata: false } | Purpose::Object => Rules::default(),
        };
        let shows_itself = self.purpose == Purpose::Object;
        let client = self
            .fetcher
            .servers()
            .client_by(&rules, &self.source.tls, shows_itself, &Way::to(&url))
            .await?;
        let is_conditional = parts.headers.contains_key(IF_NONE_MATCH);
        let mut headers = parts.headers;
        // Rule: an archive that is marked as compressed comes as it is; Google would unpack it on the way.
        if self.purpose == Purpose::Object && self.is_gcs() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let request = client
            .request(parts.method, url)
            .headers(headers)
            .body(body.to_bytes());
        let response = request.send().await.map_err(FetchError::http)?;
        match (self.purpose, response.status()) {
            (_, StatusCode::OK) => Ok(self.take(response)?),
            (Purpose::Object, StatusCode::NOT_MODIFIED) if is_conditional => {
                Ok(self.take(response)?)
            }
            (Purpose::Object, status) => Err(refused(status, response).await),
            (Purpose::Credentials { .. }, status) => {
                Err(DownloadError::Token(format!("status {}", status.as_u16())))
            }
        }
    }

    fn is_gcs(&self) -> bool {
        matches!(&self.source.url, BundleUrl::Object(url) if url.kind == StoreKind::Gcs)
    }

    /// Hands an answer on, of which no more is read than is allowed.
    fn take(&self, response: Response) -> Result<HttpResponse, FetchError> {
        let limit = match self.purpose {
            Purpose::Object => self.source.size_limit.as_usize(),
            Purpose::Credentials { .. } => MAX_CREDENTIALS,
        };
        let told = response.content_length();
        if told.is_some_and(|told| told > limit as u64) {
            return Err(FetchError::TooLarge(limit));
        }
        let (parts, body) = http::Response::<Body>::from(response).into_parts();
        let body = Limited::new(body, limit).map_err(move |error| {
            carry(match error.downcast::<reqwest::Error>() {
                Ok(error) => FetchError::http(*error).into(),
                Err(error) if error.is::<LengthLimitError>() => FetchError::TooLarge(limit).into(),
                Err(_) => FetchError::Http("the answer breaks off".to_owned()).into(),
            })
        });
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// Why a store does not give an object: its status, and the code that it has for the reason. Rule: nothing
/// else of the answer is shown, which may repeat what it was sent.
pub(super) async fn refused(status: StatusCode, response: Response) -> DownloadError {
    // S3 tells so who asks in another region.
    let is_misled = status.is_redirection() || status == StatusCode::BAD_REQUEST;
    let region = header(response.headers(), "x-amz-bucket-region").filter(|_| is_misled);
    if let Some(region) = region {
        let code = format!("the bucket is in {region}");
        return DownloadError::Refused { status, code };
    }
    let code = match header(response.headers(), "x-ms-error-code") {
        Some(code) => Some(code),
        None => code_of(&read_body(response, MAX_ERROR).await.unwrap_or_default()),
    };
    match code {
        Some(code) => DownloadError::Refused { status, code },
        None => DownloadError::Status(status),
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    plain(headers.get(name)?.to_str().ok()?)
}

/// The code of an error in XML.
fn code_of(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    plain(code)
}

/// A word that can be shown.
fn plain(word: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_word = !word.is_empty() && word.len() <= MAX_CODE && word.bytes().all(is_plain);
    is_word.then(|| word.to_owned())
}
