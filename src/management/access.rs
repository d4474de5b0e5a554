//! Who may call: holders of a configured token, or, where none is configured, anybody on this
//! machine who addresses it as such (a browser tricked by DNS or a page of elsewhere does not).

use std::str::FromStr;

use aws_lc_rs::{constant_time, digest};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::Api;
use super::caller::{ANONYMOUS, Caller, UNNAMED_TOKEN};
use super::error::ApiError;
use crate::listen::Peer;

/// A token's SHA-256 digest; the token itself is known to its holder only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; digest::SHA256_OUTPUT_LEN]);

/// Why a configured token cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a token is written as `sha256:` and 64 hex digits (printf %s TOKEN | sha256sum)")]
pub struct TokenError;

impl Token {
    fn is(&self, token: &str) -> bool {
        let given = digest::digest(&digest::SHA256, token.as_bytes());
        constant_time::verify_slices_are_equal(given.as_ref(), &self.0).is_ok()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let hex = text.strip_prefix("sha256:").ok_or(TokenError)?;
        let mut digest = [0; digest::SHA256_OUTPUT_LEN];
        if hex.len() != 2 * digest.len() || !hex.is_ascii() {
            return Err(TokenError);
        }
        for (index, byte) in digest.iter_mut().enumerate() {
            let pair = hex.get(2 * index..2 * index + 2).ok_or(TokenError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| TokenError)?;
        }
        Ok(Self(digest))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(..)")
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Lets a call through, or answers 401.
pub(super) async fn guard(
    State(api): State<Api>,
    Extension(address): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(&api.tokens, request.headers())?;
    if api.tokens.is_empty() {
        check_host(request.uri(), request.headers())?;
        check_origin(request.headers())?;
    }
    let name = if api.tokens.is_empty() {
        ANONYMOUS
    } else {
        UNNAMED_TOKEN
    };
    let name = name.to_owned();
    request.extensions_mut().insert(Caller { name, address });
    Ok(next.run(request).await)
}

fn check(tokens: &[Token], headers: &HeaderMap) -> Result<(), ApiError> {
    if tokens.is_empty() {
        return Ok(());
    }
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if tokens.iter().any(|known| known.is(token)) => Ok(()),
        Some(_) => Err(ApiError::unauthorized("the token is not known")),
        None => Err(ApiError::unauthorized("a bearer token is needed")),
    }
}

/// Rule: the one host a call names, in its line and its header, is this machine.
fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut hosts = headers
        .get_all(HOST)
        .iter()
        .map(|value| value.to_str().unwrap_or_default());
    let one = hosts.next().filter(|_| hosts.next().is_none());
    let named = uri
        .authority()
        .is_none_or(|authority| is_local_host(authority.as_str()));
    if named && one.is_some_and(is_local_host) {
        return Ok(());
    }
    let message = "without tokens only calls to localhost are answered";
    Err(ApiError::unauthorized(message))
}

/// Rule: a browser names the page that makes it call, unless that only reads; a page of elsewhere
/// may not.
fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_local = |origin: &str| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some_and(is_local_host)
    };
    let mut origins = headers.get_all(ORIGIN).iter();
    if origins.all(|origin| origin.to_str().is_ok_and(is_local)) {
        return Ok(());
    }
    let message = "without tokens calls by pages of elsewhere are not answered";
    Err(ApiError::unauthorized(message))
}

fn is_local_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}
