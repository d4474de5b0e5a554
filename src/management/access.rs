//! Who may call, and what: one layer around every call. Callers are known by a bearer token, by a
//! token of the configured issuer or by their certificate; where nobody is configured, anybody on this machine may call who addresses it as such (a browser tricked
//! by DNS or a page of elsewhere does not). What each call needs is said in `calls`.

mod attempts;
mod certificate;
mod host;
mod jwt;
mod named;
mod role;
mod token;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, RequestExt as _};
use jiff::Timestamp;
use thiserror::Error;

use super::Config;
use super::caller::{ANONYMOUS, Caller};
use super::calls::{Need, Needs};
use super::error::{ApiError, internal, is_forbidden};
use super::path::{DocumentPath, not_utf8};
use crate::identity::{KeySource, RemoteKeySets, TokenError as JwtTokenError};
use crate::listen::Peer;
use crate::telemetry::Metrics;
use attempts::Attempts;
use host::Hosts;
use jwt::{Issuer, JwtError};
use named::Claimant;
use token::TokensFile;

pub use certificate::Client;
pub(super) use certificate::Shown;
pub use jwt::JwtConfig;
pub(super) use named::{Named, Permitted};
pub(super) use role::Grants;
pub use role::{AreaKind, GrantError, Role};
pub use token::{Ends, Token, TokenError, TokensFileError};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;
const SCHEME: &str = "Bearer ";

/// Everybody who may call.
#[derive(Debug)]
pub struct Access {
    is_open: bool,
    tokens: Vec<Token>,
    file: Option<TokensFile>,
    clients: Vec<Client>,
    issuer: Option<Issuer>,
    hosts: Hosts,
    attempts: Attempts,
    metrics: Arc<Metrics>,
}

/// Why callers cannot be told apart.
#[derive(Debug, Error)]
pub enum AccessError {
    #[error("management.tokens_file: {0}")]
    Tokens(#[from] TokensFileError),
    #[error("management.jwt: {0}")]
    Jwt(String),
}

/// What of the configuration cannot be meant.
pub(super) fn problems(config: &Config) -> Vec<(&'static str, String)> {
    let tokens = token::contradiction(&config.tokens).into_iter();
    let tokens = tokens.map(|why| ("management.tokens", why));
    let hosts = config.hosts.iter().filter_map(|name| host::problem(name));
    let jwt = config.jwt.as_ref().and_then(JwtConfig::problem);
    let asks = config
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_ca.is_some());
    let clients = (!config.clients.is_empty() && !asks).then(|| {
        let why =
            "clients are known by their certificates, which `management.tls.client_ca` asks for";
        ("management.clients", why.to_owned())
    });
    let others = jwt
        .map(|why| ("management.jwt", why))
        .into_iter()
        .chain(clients);
    tokens
        .chain(hosts.map(|why| ("management.hosts", why)))
        .chain(others)
        .collect()
}

/// Who a call is from, and what they may do.
struct Identified {
    name: String,
    grants: Grants,
}

impl Access {
    /// Reads the file of tokens, if there is one.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Result<Self, AccessError> {
        let issuer = config.jwt.as_ref().map(Issuer::new);
        let file = config.tokens_file.as_deref().map(TokensFile::open);
        Ok(Self {
            is_open: !config.knows_anybody(),
            tokens: config.tokens.clone(),
            file: file.transpose()?,
            clients: config.clients.clone(),
            issuer: issuer.transpose().map_err(AccessError::Jwt)?,
            hosts: Hosts::new(&config.hosts),
            attempts: Attempts::default(),
            metrics,
        })
    }

    /// Whether anybody on this machine may call.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Reads the file of tokens again and tells whether other tokens are known now.
    pub fn reload(&self) -> Result<bool, TokensFileError> {
        self.file.as_ref().map_or(Ok(false), TokensFile::reload)
    }

    /// When the tokens that are known end.
    pub fn ends(&self, now: Timestamp) -> Ends {
        let of_file = self.file.as_ref().map(TokensFile::tokens);
        let of_file = of_file.iter().flat_map(|tokens| tokens.iter());
        Ends::of(self.tokens.iter().chain(of_file), now)
    }

    /// Where keys of the issuer are fetched from, and how long that may take.
    pub fn key_sources(&self) -> BTreeMap<KeySource, Duration> {
        let sources = self.issuer.as_ref().map(Issuer::key_sources);
        sources.unwrap_or_default()
    }

    /// Takes what there is of these keys now.
    pub fn set_keys(&self, keys: RemoteKeySets) {
        if let Some(issuer) = &self.issuer {
            issuer.set_keys(keys);
        }
    }

    /// Who calls, or 401 or 429. Rule: what a call carries itself goes before what its connection has
    /// shown.
    fn identify(
        &self,
        peer: Peer,
        shown: &Shown,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Identified, ApiError> {
        if self.is_open {
            return self.anonymous(uri, headers);
        }
        if !headers.contains_key(AUTHORIZATION) && shown.is_any() {
            return self.certified(shown, headers);
        }
        let token = bearer(headers)?;
        // Rule: a known token is never made to wait. It cannot be guessed, and whoever shares the address
        // of its holder could lock them out.
        let known = self.known(token);
        if let Some(Ok(holder)) = known {
            return Ok(holder);
        }
        let now = Instant::now();
        if let Some(wait) = self.attempts.must_wait(peer, now) {
            return Err(ApiError::too_many_attempts(wait));
        }
        let found = known.unwrap_or_else(|| self.signed(token));
        // An issuer that cannot be reached is nobody's guess.
        let is_guess = !matches!(
            found,
            Err(Unknown::Jwt(JwtError::Token(JwtTokenError::NoKeySet)))
        );
        if found.is_err() && is_guess && self.attempts.failed(peer, now) {
            tracing::warn!(%peer, "too many failed attempts to call: only known tokens are looked at for a while");
        }
        found.map_err(|why| ApiError::unauthorized(why.to_string()))
    }

    fn anonymous(&self, uri: &Uri, headers: &HeaderMap) -> Result<Identified, ApiError> {
        if !self.hosts.is_named(uri, headers) {
            let message = "without tokens only calls to localhost are answered";
            return Err(ApiError::unauthorized(message));
        }
        if !self.hosts.is_own_page(headers, false) {
            let message = "without tokens calls by pages of elsewhere are not answered";
            return Err(ApiError::unauthorized(message));
        }
        Ok(Identified {
            name: ANONYMOUS.to_owned(),
            grants: Grants::admin(),
        })
    }

    /// A client, by its certificate. A browser shows that by itself, whatever page makes it call.
    fn certified(&self, shown: &Shown, headers: &HeaderMap) -> Result<Identified, ApiError> {
        let client = shown.find(&self.clients).ok_or_else(|| {
            let message = "there is no token, and the certificate is not one of a known client";
            ApiError::unauthorized(message)
        })?;
        if !self.hosts.is_own_page(headers, true) {
            let message = "without tokens calls by pages of elsewhere are not answered";
            return Err(ApiError::unauthorized(message));
        }
        Ok(Identified {
            name: client.name().to_owned(),
            grants: client.grants.clone(),
        })
    }

    /// The holder of a token that is configured, if it is one.
    fn known(&self, sent: &str) -> Option<Result<Identified, Unknown>> {
        let of_file = self.file.as_ref().map(TokensFile::tokens);
        let of_file = of_file.iter().flat_map(|tokens| tokens.iter());
        let token = token::find(self.tokens.iter().chain(of_file), sent)?;
        if token.is_expired(Timestamp::now()) {
            return Some(Err(Unknown::Expired));
        }
        Some(Ok(Identified {
            name: token.name.clone(),
            grants: token.grants.clone(),
        }))
    }

    /// Who holds a token of the issuer.
    fn signed(&self, sent: &str) -> Result<Identified, Unknown> {
        // Rule: a signed token has three parts.
        let issuer = self.issuer.as_ref();
        let issuer = issuer.filter(|_| sent.bytes().filter(|byte| *byte == b'.').count() == 2);
        let seconds = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let (name, grants) = issuer.ok_or(Unknown::Token)?.verify(sent, seconds)?;
        Ok(Identified { name, grants })
    }
}

/// Why a token is not taken.
#[derive(Debug, Error)]
enum Unknown {
    #[error("the token is not known")]
    Token,
    #[error("the token has expired")]
    Expired,
    #[error(transparent)]
    Jwt(#[from] JwtError),
}

/// The token that a call carries.
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let token = sent.next().and_then(|value| {
        let text = value.to_str().ok()?;
        // Rule: schemes are told apart without regard to case (RFC 9110, section 11.1).
        let (scheme, token) = text.split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
    });
    match (token, sent.next()) {
        (Some(token), None) if token.len() <= MAX_TOKEN => Ok(token),
        (_, Some(_)) => Err(ApiError::unauthorized("`Authorization` is there twice")),
        (Some(_), None) => Err(ApiError::unauthorized("the token is too long")),
        (None, None) => Err(ApiError::unauthorized("a bearer token is needed")),
    }
}

/// What the layer works with.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) access: Arc<Access>,
    pub(super) needs: Arc<Needs>,
}

/// Lets a call through, or answers 400, 401, 403, 404, 405 or 429. A call that `calls` does not know is
/// never let through, whatever the router knows.
pub(super) async fn guard(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map(MatchedPath::as_str);
    let need = guard.needs.of(request.method(), route);
    if let Ok(Need::Open) = need {
        return Ok(next.run(request).await);
    }
    let access = &guard.access;
    let metrics = &access.metrics;
    let Ok(Extension(peer)) = request.extract_parts::<Extension<Peer>>().await else {
        return Err(internal("nobody knows where the call is from".to_owned()));
    };
    let shown = request.extensions().get::<Shown>().cloned();
    let shown = shown.unwrap_or_default();
    let caller = access
        .identify(peer, &shown, request.uri(), request.headers())
        .inspect_err(|error| metrics.call_refused(error.code()))?;
    let need = need?;
    let parameters = request.extract_parts::<RawPathParams>().await;
    let parameters = parameters.map_err(|_| not_utf8())?;
    let document = match (need, route) {
        (Need::ChangeData, Some(route)) => Some(DocumentPath::of(route, request.uri().path())?),
        _ => None,
    };
    let parameter = |name: &str| {
        let mut known = parameters.iter();
        let found = known.find(|(known, _)| *known == name);
        found.map(|(_, value)| value)
    };
    let permitted = permits(&caller.grants, need, document.as_ref(), parameter)
        .inspect_err(|error| metrics.call_refused(error.code()));
    let grants = caller.grants;
    let caller = Caller {
        name: caller.name,
        address: peer,
    };
    let extensions = request.extensions_mut();
    // What was looked at is what is changed.
    drop(document.map(|document| extensions.insert(document)));
    if grants.has(Role::LogsRead) {
        extensions.insert(ReadsLogs);
    }
    match need.is_named() {
        // Rule: who has not been found to may change it is nobody's author.
        true => drop(extensions.insert(Claimant {
            caller: caller.clone(),
            grants,
        })),
        false => drop(extensions.insert(caller.clone())),
    }
    let mut response = match permitted {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    // The scope of some changes is known only where their body is read.
    if need.is_change_or_trial() && is_forbidden(&response) {
        response.extensions_mut().insert(RefusedChange(caller));
    }
    Ok(response)
}

/// The caller may see recorded decisions, whatever else the call needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadsLogs;

/// Who wanted to make or try a change and may not: goes with the answer to where it is recorded.
#[derive(Debug, Clone)]
pub(super) struct RefusedChange(pub(super) Caller);

fn out_of_scope() -> ApiError {
    ApiError::forbidden("the call changes what is outside of the caller's scope")
}

fn permits<'a>(
    grants: &Grants,
    need: Need,
    document: Option<&DocumentPath>,
    parameter: impl Fn(&str) -> Option<&'a str>,
) -> Result<(), ApiError> {
    if let Some(role) = need.roles().find(|role| !grants.has(*role)) {
        return Err(ApiError::forbidden(format!(
            "the call needs the role `{role}`"
        )));
    }
    let is_covered = match need {
        Need::Open | Need::Role(_) | Need::ChangeNamed | Need::Try => true,
        Need::Change(kind, name) => parameter(name).is_some_and(|name| grants.covers(kind, name)),
        Need::ChangeAll => grants.covers_all(),
        Need::ChangeData => document.is_some_and(|document| grants.covers_data(document)),
    };
    match is_covered {
        true => Ok(()),
        false => Err(out_of_scope()),
    }
}
