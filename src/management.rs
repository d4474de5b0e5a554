//! The management API: policy in, decisions and state out, over HTTP with JSON. Each group of
//! calls is a file; who may call and how errors look is decided once for all of them.

mod access;
mod aside;
mod authzen;
mod body;
mod bundles;
mod caller;
mod calls;
mod check;
mod compression;
mod decisions;
mod error;
mod evaluate;
mod history;
mod json;
mod memory;
mod opa;
mod openapi;
mod parameters;
mod path;
mod replay;
mod request_id;
mod resources;
mod server;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::listen::Address;
use crate::pdp::Pdp;
use crate::remote::Downloader;
use crate::replay::Replays;
use crate::telemetry::Metrics;
use crate::tls;

pub use access::{
    Access, AccessError, AreaKind, Client, Ends, GrantError, JwtConfig, Role, Token, TokenError,
    TokensFileError,
};
pub use authzen::{Config as AuthZenConfig, Settings as AuthZen};
pub use caller::Caller;
pub use calls::{Call, Need, calls};
pub use decisions::{Questions, Streams};
pub use evaluate::Evaluations;
pub use openapi::{document as openapi, undescribed};
pub use server::run;

/// Threads of the runtime on which calls are evaluated, questions to the log answered, documents read and
/// answers written.
pub const BLOCKING_THREADS: usize =
    evaluate::MAX_RUNNING + decisions::MAX_THREADS + 2 * memory::MAX_READING + aside::MAX_RUNNING;

/// Section `management` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `IP:PORT`, or `unix:///PATH`.
    pub listen: Address,
    /// Bearer tokens that may call, each by its digest.
    #[serde(skip_serializing)]
    pub tokens: Vec<Token>,
    /// File of more of them, which only its owner may read.
    pub tokens_file: Option<PathBuf>,
    /// Callers by the names of their certificates.
    #[serde(skip_serializing)]
    pub clients: Vec<Client>,
    /// An issuer of signed tokens.
    pub jwt: Option<JwtConfig>,
    /// Names of this server, besides `localhost`, for calls without a token.
    pub hosts: Vec<String>,
    /// Encryption, and with an authority for clients who may show a certificate.
    pub tls: Option<tls::Config>,
    /// Allows another address than loopback without TLS.
    pub allow_plaintext: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Address::loopback(8181),
            tokens: Vec::new(),
            tokens_file: None,
            clients: Vec::new(),
            jwt: None,
            hosts: Vec::new(),
            tls: None,
            allow_plaintext: false,
        }
    }
}

impl Config {
    /// Contradictions that must not be served with.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !self.listen.is_local() {
            if !self.knows_anybody() {
                let why = format!(
                    "{} can be reached from elsewhere and needs `management.tokens`, or `clients` or `jwt`",
                    self.listen
                );
                problems.push(("management.listen", why));
            }
            if self.tls.is_none() && !self.allow_plaintext {
                let why = format!(
                    "{} can be reached from elsewhere and needs `management.tls`, or \
                     `allow_plaintext: true` if something in front encrypts",
                    self.listen
                );
                problems.push(("management.listen", why));
            }
        }
        problems.extend(access::problems(self));
        problems
    }

    /// Whether callers are told apart. Without any everybody on this machine is one.
    pub fn knows_anybody(&self) -> bool {
        !self.tokens.is_empty()
            || self.tokens_file.is_some()
            || !self.clients.is_empty()
            || self.jwt.is_some()
    }
}

/// What the calls work on.
#[derive(Debug, Clone)]
pub struct Api {
    pub pdp: Arc<Pdp>,
    pub evaluations: Arc<Evaluations>,
    pub activation: Arc<Activation>,
    pub downloader: Arc<Downloader>,
    pub log: Questions,
    pub replays: Arc<Replays>,
    pub streams: Streams,
    pub metrics: Arc<Metrics>,
    pub ready: Readiness,
    pub access: Arc<Access>,
    pub authzen: Arc<AuthZen>,
    pub configuration: Arc<Configuration>,
}

/// What this process runs with, and what it is called.
#[derive(Debug)]
pub struct Configuration {
    /// Without secrets.
    pub shown: serde_json::Value,
    /// Of this process, until it ends.
    pub id: uuid::Uuid,
}

impl Configuration {
    /// OPA's labels.
    fn labels(&self) -> serde_json::Value {
        serde_json::json!({"id": self.id, "version": env!("CARGO_PKG_VERSION")})
    }
}

/// Whether checks should be sent here: policy is loaded, doors are open, not shutting down.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    open: Arc<AtomicBool>,
}

impl Readiness {
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }

    /// Whether checks are taken.
    fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// What is missing, if anything.
    pub fn check(&self, activation: &Activation) -> Result<(), &'static str> {
        match activation.missing() {
            _ if !self.is_open() => Err("not accepting checks"),
            Some(missing) => Err(missing),
            None => Ok(()),
        }
    }
}

/// All calls, each let through only if its caller may make it.
pub fn router(api: Api) -> Router {
    let guard = access::Guard {
        access: Arc::clone(&api.access),
        needs: Arc::new(calls::Needs::new(calls())),
    };
    calls::router()
        .layer(from_fn_with_state(server::CALL_TIMEOUT, server::limit_time))
        .layer(from_fn_with_state(guard, access::guard))
        .layer(from_fn_with_state(api.clone(), history::record_refused))
        .layer(from_fn(compression::compress))
        .layer(from_fn(request_id::name))
        .with_state(api)
}
