//! One fetch of a key set: over HTTP with bounds on time, size, redirects and addresses, and checked
//! before anybody sees it. When it is done, and what becomes of it, is left to `refresh`.

use std::time::Duration;

use aws_lc_rs::digest;
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde_json::Value;
use thiserror::Error;
use url::Url;

use crate::address::OwnPorts;
use crate::fetch::{Clients, FetchError, Tls, Way, no_downgrade, one_line, read_body, within};
use crate::identity::{KeySet, KeySetError, KeySource, SourceKind, parse_key_url};

/// Largest document, in bytes.
const MAX_BODY: usize = 1 << 20;
/// Longest message that is kept of an error, in characters.
const MAX_MESSAGE: usize = 200;

/// Fetches documents.
#[derive(Debug)]
pub(super) struct Fetcher(Clients);

/// A key set that was fetched.
#[derive(Debug)]
pub(super) struct FetchedSet {
    pub(super) keys: KeySet,
    /// Equal for equal sets, in whatever order and spacing they are written.
    pub(super) digest: [u8; digest::SHA256_OUTPUT_LEN],
}

/// Why there is no new key set.
#[derive(Debug, Error)]
pub(super) enum SetError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
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
        Self(Clients::new(own_ports))
    }

    /// Fetches a set; each document may take as long as `timeout`.
    pub(super) async fn fetch(
        &self,
        source: &KeySource,
        timeout: Duration,
    ) -> Result<FetchedSet, SetError> {
        let mut way = Way::to(source.url());
        let mut body = within(timeout, self.get(&mut way)).await?;
        if source.kind() == SourceKind::Discovery {
            way = way.on_to(jwks_uri(&body, source.url())?);
            body = within(timeout, self.get(&mut way)).await?;
        }
        parse(&body)
    }

    async fn get(&self, way: &mut Way) -> Result<Vec<u8>, FetchError> {
        loop {
            let client = self.0.get(Tls::default(), way).await?;
            let request = client.get(way.url().clone());
            let request = request.header(ACCEPT, "application/json");
            let response = request.send().await.map_err(FetchError::http)?;
            match way.follow(response)? {
                Some(response) if response.status() == StatusCode::OK => {
                    return read_body(response, MAX_BODY).await;
                }
                Some(response) => return Err(FetchError::Status(response.status())),
                None => {}
            }
        }
    }
}

/// Where a provider's metadata says its keys are.
pub(super) fn jwks_uri(metadata: &[u8], from: &Url) -> Result<Url, SetError> {
    const WHAT: &str = "`jwks_uri` of the provider's metadata";
    let metadata: Value = serde_json::from_slice(metadata).map_err(|_| SetError::Metadata)?;
    let url = metadata.get("jwks_uri").and_then(Value::as_str);
    let url = parse_key_url(url.ok_or(SetError::Metadata)?)
        .map_err(|error| FetchError::Url { what: WHAT, error })?;
    no_downgrade(from, &url, WHAT)?;
    Ok(url)
}

/// Reads a set. What is no set says nothing of its content: the answer may be of a service that was
/// never meant to be seen.
pub(super) fn parse(body: &[u8]) -> Result<FetchedSet, SetError> {
    let text = std::str::from_utf8(body).map_err(|_| SetError::Format)?;
    let keys = KeySet::parse_published(text).map_err(|error| match error {
        KeySetError::Format(_) => SetError::Format,
        other => SetError::Keys(other.to_string()),
    })?;
    let set: Value = serde_json::from_str(text).map_err(|_| SetError::Format)?;
    let members = set.get("keys").and_then(Value::as_array);
    let members = members.ok_or(SetError::Format)?;
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

// === impl SetError ===

impl SetError {
    /// For records.
    pub(super) fn message(&self) -> String {
        one_line(&self.to_string(), MAX_MESSAGE)
    }
}
