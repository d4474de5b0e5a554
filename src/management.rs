//! The management API: policy in, decisions and state out, over HTTP with JSON. Each group of
//! calls is a file; who may call and how errors look is decided once for all of them.

mod access;
mod bundles;
mod caller;
mod check;
mod decisions;
mod error;
mod json;
mod resources;
mod server;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::external::Outside;
use crate::listen::Address;
use crate::pdp::Pdp;
use crate::telemetry::Metrics;

pub use access::{Token, TokenError};
pub use caller::Caller;
pub use decisions::Questions;
pub use server::run;

/// Largest body of a push, in bytes.
const MAX_BUNDLE_BYTES: usize = 128 << 20;
const MAX_RESOURCES_BYTES: usize = 64 << 20;
/// Largest body of any other call.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Section `management` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `IP:PORT`, or `unix:///PATH`.
    pub listen: Address,
    /// Bearer tokens that may call, each as `sha256:` and the hex digest of the token.
    #[serde(skip_serializing)]
    pub tokens: Vec<Token>,
    /// Allows another address than loopback without TLS.
    pub allow_plaintext: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Address::loopback(8181),
            tokens: Vec::new(),
            allow_plaintext: false,
        }
    }
}

impl Config {
    /// Contradictions that must not be served with.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !self.listen.is_local() {
            if self.tokens.is_empty() {
                let why = format!(
                    "{} can be reached from elsewhere and needs `management.tokens`",
                    self.listen
                );
                problems.push(("management.listen", why));
            }
            if !self.allow_plaintext {
                let why = "TLS is not supported yet: set `allow_plaintext: true` if something in front encrypts";
                problems.push(("management.listen", why.to_owned()));
            }
        }
        problems
    }
}

/// What the calls work on.
#[derive(Debug, Clone)]
pub struct Api {
    pub pdp: Arc<Pdp>,
    pub outside: Arc<Outside>,
    pub activation: Arc<Activation>,
    pub log: Questions,
    pub metrics: Arc<Metrics>,
    pub ready: Readiness,
    pub tokens: Arc<Vec<Token>>,
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

    /// What is missing, if anything.
    pub fn check(&self, pdp: &Pdp) -> Result<(), &'static str> {
        if !self.open.load(Ordering::SeqCst) {
            Err("not accepting checks")
        } else if pdp.snapshot().policies.is_empty() {
            Err("no policy is loaded")
        } else {
            Ok(())
        }
    }
}

/// All calls.
pub fn router(api: Api) -> Router {
    let guarded = Router::new()
        .route(
            "/v1/bundles/{name}",
            put(bundles::put)
                .layer(DefaultBodyLimit::max(MAX_BUNDLE_BYTES))
                .get(bundles::get)
                .delete(bundles::delete),
        )
        .route("/v1/bundles", get(bundles::list))
        .route(
            "/v1/resources",
            put(resources::put_all)
                .layer(DefaultBodyLimit::max(MAX_RESOURCES_BYTES))
                .get(resources::list),
        )
        .route(
            "/v1/resources/{kind}/{namespace}/{name}",
            put(resources::put_one)
                .get(resources::get)
                .delete(resources::delete),
        )
        .route("/v1/check", post(check::check))
        .route("/v1/decisions", get(decisions::query))
        .route("/v1/decisions/{id}", get(decisions::get))
        .route("/v1/status", get(status::status))
        .route("/health", get(status::health))
        .route("/metrics", get(status::metrics))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(axum::middleware::from_fn(server::limit_time))
        .layer(axum::middleware::from_fn_with_state(
            api.clone(),
            access::guard,
        ));
    // Open to all: whether the process lives and wants checks is no secret.
    let open = Router::new()
        .route("/livez", get(status::livez))
        .route("/readyz", get(status::readyz));
    guarded
        .merge(open)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(api)
}
