//! One fetch of a key set: over HTTP with bounds on time, size, redirects and addresses, and checked
//! before anybody sees it. When it is done, and what becomes of it, is left to `refresh`.

use std::error::Error as _;
use std::time::Duration;

use aws_lc_rs::digest;
use reqwest::header::{ACCEPT, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::OnceCell;
use url::Url;

use crate::address::{
    AtHome, CheckedResolver, Home, OwnPorts, RefusedAddress, Rules, sends_from_elsewhere,
};
use crate::identity::{
    KeySet, KeySetError, KeySource, KeyUrlError, SourceKind, check_key_url, parse_key_url,
};

/// Largest document, in bytes.
const MAX_BODY: usize = 1 << 20;
/// Most redirects of one document.
const MAX_REDIRECTS: usize = 3;
/// Longest message that is kept of an error, in characters.
const MAX_MESSAGE: usize = 200;

/// Fetches documents.
#[derive(Debug)]
pub(super) struct Fetcher {
    own_ports: OwnPorts,
    /// Made at the first fetch, since it reads the system's certificates: one for each part of this
    /// machine that may be asked.
    open: OnceCell<Client>,
    no_loopback: OnceCell<Client>,
    closed: OnceCell<Client>,
    resolver: CheckedResolver,
}

/// A key set that was fetched.
#[derive(Debug)]
pub(super) struct FetchedSet {
    pub(super) keys: KeySet,
    /// Equal for equal sets, in whatever order and spacing they are written.
    pub(super) digest: [u8; digest::SHA256_OUTPUT_LEN],
}

/// Why there is no new key set.
#[derive(Debug, Error)]
pub(super) enum FetchError {
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
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("{0}")]
    Http(String),
    #[error("the provider's metadata lacks `jwks_uri`")]
    Metadata,
    #[error("the answer is not a JSON Web Key Set")]
    Format,
    #[error("the key set {0}")]
    Keys(String),
}

// === impl Fetcher ===

impl Fetcher {
    pub(super) fn new(own_ports: OwnPorts) -> Self {
        Self {
            own_ports,
            open: OnceCell::new(),
            no_loopback: OnceCell::new(),
            closed: OnceCell::new(),
            resolver: CheckedResolver::default(),
        }
    }

    /// Fetches a set; each document may take as long as `timeout`.
    pub(super) async fn fetch(
        &self,
        source: &KeySource,
        timeout: Duration,
    ) -> Result<FetchedSet, FetchError> {
        let mut body = self.get_within(Hop::first(source), timeout).await?;
        if source.kind() == SourceKind::Discovery {
            let url = jwks_uri(&body, source.url())?;
            body = self.get_within(Hop::first(source).to(url), timeout).await?;
        }
        parse(&body)
    }

    async fn get_within(&self, hop: Hop, timeout: Duration) -> Result<Vec<u8>, FetchError> {
        let get = async {
            let response = self.get(hop).await?;
            read(response).await
        };
        tokio::time::timeout(timeout, get)
            .await
            .unwrap_or(Err(FetchError::Timeout(timeout)))
    }

    /// Asks, and follows redirects by hand: each hop is checked as the first one is.
    async fn get(&self, mut hop: Hop) -> Result<Response, FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            Rules::default().check_host(&hop.url)?;
            let home = self.own_ports.home(&hop.url, hop.is_from_elsewhere);
            home.check_host(&hop.url)?;
            let client = self.client(home).await?;
            let request = client.get(hop.url.clone());
            let request = request.header(ACCEPT, "application/json");
            let response = request.send().await.map_err(http)?;
            match response.status() {
                StatusCode::OK => return Ok(response),
                status if status.is_redirection() => {
                    let url = redirect(&hop.url, &response)?;
                    hop = hop.to(url);
                }
                status => return Err(FetchError::Status(status.as_u16())),
            }
        }
        Err(FetchError::Redirects)
    }

    async fn client(&self, home: Home) -> Result<&Client, FetchError> {
        let client = match home {
            Home::Open => &self.open,
            Home::NoLoopback => &self.no_loopback,
            Home::Closed => &self.closed,
        };
        let resolver = || self.resolver.at(home);
        client.get_or_try_init(|| make_client(resolver())).await
    }
}

/// One request to one server.
struct Hop {
    url: Url,
    /// Whether a server of another machine chose where it goes.
    is_from_elsewhere: bool,
}

impl Hop {
    fn first(source: &KeySource) -> Self {
        Self {
            url: source.url().clone(),
            is_from_elsewhere: false,
        }
    }

    /// Where the server of this one sends on to.
    fn to(&self, url: Url) -> Self {
        Self {
            is_from_elsewhere: self.is_from_elsewhere || sends_from_elsewhere(&self.url, &url),
            url,
        }
    }
}

/// The system's certificates decide whom to trust, so that a company's own authority is known. A
/// machine without any can still be served over plain HTTP.
async fn make_client(resolver: CheckedResolver) -> Result<Client, FetchError> {
    let builder = move || {
        Client::builder()
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            // A connection of the last refresh is of no use for the next, and its address would
            // not be resolved again.
            .pool_max_idle_per_host(0)
            .dns_resolver(resolver.clone())
    };
    let build = move || {
        builder().build().or_else(|error| {
            tracing::warn!(
                error = chain(&error),
                "the system's certificates cannot be read: no key set can be fetched over https"
            );
            builder().tls_certs_only([]).build()
        })
    };
    let built = tokio::task::spawn_blocking(build).await;
    built
        .map_err(|error| FetchError::Http(error.to_string()))?
        .map_err(http)
}

fn redirect(from: &Url, response: &Response) -> Result<Url, FetchError> {
    const WHAT: &str = "the redirect's target";
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let Some(location) = location else {
        return Err(FetchError::Status(response.status().as_u16()));
    };
    let url = |error| FetchError::Url { what: WHAT, error };
    let to = from
        .join(location)
        .map_err(|error| url(KeyUrlError::Syntax(error)))?;
    check_key_url(&to).map_err(url)?;
    no_downgrade(from, &to, WHAT)?;
    Ok(to)
}

/// Rule: what was asked for over TLS is not taken from anybody in between.
fn no_downgrade(from: &Url, to: &Url, what: &'static str) -> Result<(), FetchError> {
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(FetchError::Downgrade(what));
    }
    Ok(())
}

/// Reads a body to its end or its limit.
async fn read(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(http)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Where a provider's metadata says its keys are.
pub(super) fn jwks_uri(metadata: &[u8], from: &Url) -> Result<Url, FetchError> {
    const WHAT: &str = "`jwks_uri` of the provider's metadata";
    let metadata: Value = serde_json::from_slice(metadata).map_err(|_| FetchError::Metadata)?;
    let url = metadata.get("jwks_uri").and_then(Value::as_str);
    let url = parse_key_url(url.ok_or(FetchError::Metadata)?)
        .map_err(|error| FetchError::Url { what: WHAT, error })?;
    no_downgrade(from, &url, WHAT)?;
    Ok(url)
}

/// Reads a set. What is no set says nothing of its content: the answer may be of a service that was
/// never meant to be seen.
pub(super) fn parse(body: &[u8]) -> Result<FetchedSet, FetchError> {
    let text = std::str::from_utf8(body).map_err(|_| FetchError::Format)?;
    let keys = KeySet::parse_published(text).map_err(|error| match error {
        KeySetError::Format(_) => FetchError::Format,
        other => FetchError::Keys(other.to_string()),
    })?;
    let set: Value = serde_json::from_str(text).map_err(|_| FetchError::Format)?;
    let members = set.get("keys").and_then(Value::as_array);
    let members = members.ok_or(FetchError::Format)?;
    let mut members: Vec<_> = members.iter().map(Value::to_string).collect();
    members.sort_unstable();
    let mut context = digest::Context::new(&digest::SHA256);
    for member in members {
        context.update(&(member.len() as u64).to_le_bytes());
        context.update(member.as_bytes());
    }
    let mut digest = [0; digest::SHA256_OUTPUT_LEN];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(FetchedSet { keys, digest })
}

/// An error of the HTTP client. What it says of the URL may hold a secret and is left out.
fn http(error: reqwest::Error) -> FetchError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<RefusedAddress>() {
            return FetchError::Address(*refused);
        }
        if let Some(refused) = inner.downcast_ref::<AtHome>() {
            return FetchError::AtHome(*refused);
        }
        source = inner.source();
    }
    FetchError::Http(chain(&error.without_url()))
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

// === impl FetchError ===

impl FetchError {
    /// For records: short, on one line, whatever a server wrote.
    pub(super) fn message(&self) -> String {
        let text = self.to_string();
        let is_plain = |character: &char| !character.is_control();
        text.chars().filter(is_plain).take(MAX_MESSAGE).collect()
    }
}
