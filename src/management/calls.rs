//! Every call of the API, and what its caller needs: the one table that the router is made of and
//! that `access` looks into. What is not in it is not answered.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use super::access::{AreaKind, Role};
use super::error::{self, ApiError};
use super::memory::{self, Allowance, MaxBody, Pool};
use super::{
    Api, authzen, bundles, check, decisions, history, opa, openapi, replay, resources, status,
};

/// Largest body of a call that says nothing else, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Largest body of a push.
const MAX_BUNDLE_BYTES: usize = 128 << 20;
const MAX_RESOURCES_BYTES: usize = 64 << 20;
/// Largest Rego module.
const MAX_MODULE_BYTES: usize = 64 << 20;
/// Largest document that is pushed.
const MAX_DATA_BYTES: usize = 128 << 20;
/// Largest document to be asked with.
const MAX_INPUT_BYTES: usize = 32 << 20;

/// What a caller needs for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: open to all.
    Open,
    Role(Role),
    /// `policies:write`, over what this parameter of the path names.
    Change(AreaKind, &'static str),
    /// `policies:write`; over what, its body says, which the call gets as `Permitted` only.
    ChangeNamed,
    /// `policies:write`, over all of policy.
    ChangeAll,
    /// `data:write`, over what the path names.
    ChangeData,
    /// `logs:read`, and `policies:write` over what the body and the parameters say, which the call gets
    /// as `Permitted` only: nothing is changed, but it is told what would be.
    Try,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    pub path: &'static str,
    pub need: Need,
    /// Largest body, in bytes, compressed or not.
    pub max_body: usize,
    /// Whether it can be kept back by what replaying decisions shows.
    is_gated: bool,
    handler: MethodRouter<Api>,
}

/// What each call needs.
#[derive(Debug)]
pub(super) struct Needs(Vec<(Method, &'static str, Need)>);

/// All calls.
pub fn calls() -> Vec<Call> {
    const READ: Need = Need::Role(Role::PoliciesRead);
    const EVALUATE: Need = Need::Role(Role::AccessEvaluate);
    const LOGS: Need = Need::Role(Role::LogsRead);
    const METRICS: Need = Need::Role(Role::MetricsRead);
    const BUNDLE: Need = Need::Change(AreaKind::Bundles, "name");
    const RESOURCE: Need = Need::Change(AreaKind::Resources, "namespace");
    const DATA: Need = Need::ChangeData;
    const ONE: &str = "/v1/resources/{kind}/{namespace}/{name}";
    vec![
        // Whether the process lives and wants checks is no secret.
        Call::get("/livez", Need::Open, status::livez),
        Call::get("/readyz", Need::Open, status::readyz),
        Call::get("/v1/bundles", READ, bundles::list),
        Call::put("/v1/bundles", Need::ChangeNamed, bundles::put_many)
            .up_to(MAX_BUNDLE_BYTES)
            .gated(),
        Call::get("/v1/bundles/{name}", READ, bundles::get),
        Call::put("/v1/bundles/{name}", BUNDLE, bundles::put)
            .up_to(MAX_BUNDLE_BYTES)
            .gated(),
        Call::delete("/v1/bundles/{name}", BUNDLE, bundles::delete),
        Call::post("/v1/bundles/{name}/promote", BUNDLE, bundles::promote).gated(),
        Call::get("/v1/resources", READ, resources::list),
        Call::put("/v1/resources", Need::ChangeNamed, resources::put_all)
            .up_to(MAX_RESOURCES_BYTES)
            .gated(),
        Call::get(ONE, READ, resources::get),
        Call::put(ONE, RESOURCE, resources::put_one).gated(),
        Call::delete(ONE, RESOURCE, resources::delete),
        Call::get("/v1/revisions", READ, history::revisions),
        Call::post(
            "/v1/revisions/{number}/rollback",
            Need::ChangeAll,
            history::rollback,
        )
        .gated(),
        Call::get("/v1/audit", LOGS, history::audit),
        // Its answer tells what policies say.
        Call::post("/v1/check", READ, check::check),
        Call::get("/v1/decisions", LOGS, decisions::query),
        Call::get("/v1/decisions/summary", LOGS, decisions::summary),
        Call::get("/v1/decisions/stream", LOGS, decisions::stream),
        Call::get("/v1/decisions/{id}", LOGS, decisions::get),
        Call::post("/v1/replay", Need::Try, replay::replay).up_to(MAX_BUNDLE_BYTES),
        Call::get("/v1/data", READ, opa::get),
        Call::get("/v1/data/", READ, opa::get),
        Call::get("/v1/data/{*path}", READ, opa::get),
        Call::post("/v1/data", READ, opa::post).up_to(MAX_INPUT_BYTES),
        Call::post("/v1/data/", READ, opa::post).up_to(MAX_INPUT_BYTES),
        Call::post("/v1/data/{*path}", READ, opa::post).up_to(MAX_INPUT_BYTES),
        Call::put("/v1/data", DATA, opa::put_data).up_to(MAX_DATA_BYTES),
        Call::put("/v1/data/", DATA, opa::put_data).up_to(MAX_DATA_BYTES),
        Call::put("/v1/data/{*path}", DATA, opa::put_data).up_to(MAX_DATA_BYTES),
        Call::patch("/v1/data", DATA, opa::patch_data).up_to(MAX_DATA_BYTES),
        Call::patch("/v1/data/", DATA, opa::patch_data).up_to(MAX_DATA_BYTES),
        Call::patch("/v1/data/{*path}", DATA, opa::patch_data).up_to(MAX_DATA_BYTES),
        Call::delete("/v1/data/{*path}", DATA, opa::delete_data),
        Call::get("/v1/policies", READ, opa::list_policies),
        // Clients of OPA write it so.
        Call::get("/v1/policies/", READ, opa::list_policies),
        Call::get("/v1/policies/{*id}", READ, opa::get_policy),
        Call::put("/v1/policies/{*id}", Need::ChangeAll, opa::put_policy).up_to(MAX_MODULE_BYTES),
        Call::delete("/v1/policies/{*id}", Need::ChangeAll, opa::delete_policy),
        Call::post("/v0/data", READ, opa::post_v0).up_to(MAX_INPUT_BYTES),
        Call::post("/v0/data/", READ, opa::post_v0).up_to(MAX_INPUT_BYTES),
        Call::post("/v0/data/{*path}", READ, opa::post_v0).up_to(MAX_INPUT_BYTES),
        Call::post("/", READ, opa::post_default).up_to(MAX_INPUT_BYTES),
        Call::post("/v1/batch/data", READ, opa::post_batch).up_to(MAX_INPUT_BYTES),
        Call::post("/v1/batch/data/{*path}", READ, opa::post_batch).up_to(MAX_INPUT_BYTES),
        Call::get("/v1/query", READ, opa::get_query),
        Call::post("/v1/query", READ, opa::post_query).up_to(MAX_INPUT_BYTES),
        Call::post("/v1/compile", READ, opa::compile),
        Call::post("/v1/compile/{*path}", READ, opa::compile),
        Call::get(
            "/.well-known/authzen-configuration",
            EVALUATE,
            authzen::metadata,
        ),
        Call::post("/access/v1/evaluation", EVALUATE, authzen::evaluation),
        Call::post("/access/v1/evaluations", EVALUATE, authzen::evaluations),
        Call::get("/v1/openapi.json", READ, openapi::get),
        Call::get("/v1/config", Need::Role(Role::Admin), status::config),
        Call::get("/v1/status", METRICS, status::status),
        Call::get("/health", METRICS, status::health),
        Call::get("/health/{*path}", METRICS, status::policy_health),
        Call::get("/metrics", METRICS, status::metrics),
    ]
}

/// All calls, to be guarded.
pub(super) fn router() -> Router<Api> {
    let (asking, changing) = (Pool::asking(), Pool::changing());
    let calls = calls().into_iter();
    let router = calls.fold(Router::new(), |router, call| {
        let pool = if call.need.is_change() {
            &changing
        } else {
            &asking
        };
        let allowance = Allowance {
            pool: Arc::clone(pool),
            max_body: MaxBody(call.max_body),
        };
        // Rule: a change that was to be kept back is never made as if nothing had been said.
        let handler = match call.need.is_change() && !call.is_gated {
            true => call.handler.layer(from_fn(replay::refuse_gate)),
            false => call.handler,
        };
        let handler = handler
            .layer(DefaultBodyLimit::max(call.max_body))
            .layer(from_fn_with_state(allowance, memory::hold));
        router.route(call.path, handler)
    });
    router.fallback(error::not_found)
}

/// The ways to write a row.
macro_rules! methods {
    ($($name:ident $method:ident)*) => {$(
        fn $name<H: Handler<T, Api>, T: 'static>(
            path: &'static str,
            need: Need,
            handler: H,
        ) -> Self {
            Self {
                method: Method::$method,
                path,
                need,
                max_body: MAX_BODY_BYTES,
                is_gated: false,
                handler: $name(handler),
            }
        }
    )*};
}

impl Call {
    methods!(get GET put PUT post POST patch PATCH delete DELETE);

    /// Allows a larger body than others have.
    fn up_to(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    /// Takes the parameters of a gate.
    fn gated(self) -> Self {
        Self {
            is_gated: true,
            ..self
        }
    }
}

impl Need {
    /// Whether policy or data would be changed.
    pub(super) fn is_change(self) -> bool {
        matches!(self.role(), Some(Role::PoliciesWrite | Role::DataWrite))
    }

    /// Whether it is recorded who wanted it and may not. Rule: what a change would do is found out by trying
    /// as it is by changing.
    pub(super) fn is_change_or_trial(self) -> bool {
        self.is_change() || self == Self::Try
    }

    /// The role without which there is nothing more to ask.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::Role(role) => Some(role),
            Self::Change(..) | Self::ChangeNamed | Self::ChangeAll => Some(Role::PoliciesWrite),
            Self::ChangeData => Some(Role::DataWrite),
            Self::Try => Some(Role::LogsRead),
        }
    }

    /// All of them.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        let besides = (self == Self::Try).then_some(Role::PoliciesWrite);
        self.role().into_iter().chain(besides)
    }

    /// Whether only what is sent says what is permitted.
    pub(super) fn is_named(self) -> bool {
        matches!(self, Self::ChangeNamed | Self::Try)
    }
}

impl Needs {
    pub(super) fn new(calls: Vec<Call>) -> Self {
        let needs = calls.into_iter();
        Self(
            needs
                .map(|call| (call.method, call.path, call.need))
                .collect(),
        )
    }

    /// What a call needs, by the path of its route. Who knows no such call answers 404 or 405.
    pub(super) fn of(&self, method: &Method, path: Option<&str>) -> Result<Need, ApiError> {
        // Rule: what can be got can be asked about by HEAD.
        let method = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        let here = || self.0.iter().filter(|(_, known, _)| Some(*known) == path);
        if let Some((_, _, need)) = here().find(|(known, _, _)| known == method) {
            return Ok(*need);
        }
        let allowed: Vec<_> = here().map(|(known, _, _)| known.as_str()).collect();
        match allowed.is_empty() {
            true => Err(error::no_such_call()),
            false => Err(error::method_not_allowed(&allowed)),
        }
    }
}
