//! AuthZEN 1.0 of the OpenID Foundation: applications that are no proxies ask whether a subject may do
//! an action to a resource, alone or many at once. A Rego rule answers; how it is evaluated is left to
//! `evaluate`, as for OPA's documents.

mod outcome;
mod request;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::Api;
use super::body::Body;
use super::error::ApiError;
use super::evaluate::{Load, Running, ask, evaluating, question};
use super::json::{Json, json_text};
use super::memory::Held;
use crate::policy::LACKS_BUNDLE;
use crate::policy::rego::RegoPolicies;
use outcome::Outcome;
use request::{Asked, Evaluation, Semantic};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
/// What a body is called in errors.
const BODY: &str = "the body is no document";

/// Section `authzen` of the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path of the Rego rule that answers. Without one nothing is answered.
    pub entrypoint: Option<String>,
    /// Under which applications reach this API, if not as their `Host` says.
    pub url: Option<String>,
}

/// What the calls go by.
#[derive(Debug, Default)]
pub struct Settings {
    entrypoint: Option<Vec<String>>,
    url: Option<String>,
    is_encrypted: bool,
}

// === impl Config ===

impl Config {
    /// What cannot be meant.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if let Some(path) = &self.entrypoint
            && path.split('/').any(str::is_empty)
        {
            let why = format!("`{path}` is not the path of a rule, as authzen/allow is");
            problems.push(("authzen.entrypoint", why));
        }
        if let Some(url) = &self.url
            && !is_base(url)
        {
            let why =
                "it must be http:// or https:// with a host, and without user, query and fragment";
            problems.push(("authzen.url", why.to_owned()));
        }
        problems
    }
}

fn is_base(url: &str) -> bool {
    let Ok(url) = url.parse::<Url>() else {
        return false;
    };
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// What answers.
struct Rule {
    path: Vec<String>,
    /// A bundle was never activated. Once all were, that stays so.
    lacks_bundle: bool,
}

// === impl Settings ===

impl Settings {
    /// `is_encrypted` says whether the API speaks TLS itself.
    pub fn new(config: &Config, is_encrypted: bool) -> Self {
        let entrypoint = config.entrypoint.as_ref();
        Self {
            entrypoint: entrypoint.map(|path| path.split('/').map(str::to_owned).collect()),
            url: config.url.clone(),
            is_encrypted,
        }
    }

    fn entrypoint(&self) -> Result<Vec<String>, ApiError> {
        let missing = || ApiError::missing("`authzen.entrypoint` is not set");
        self.entrypoint.clone().ok_or_else(missing)
    }

    /// Where this API is, without a slash at the end.
    fn base(&self, headers: &HeaderMap) -> Result<String, ApiError> {
        if let Some(url) = &self.url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        let host = host.filter(|host| !host.as_str().contains('@'));
        let host = host.ok_or_else(|| ApiError::invalid("`Host` names no host"))?;
        let scheme = if self.is_encrypted { "https" } else { "http" };
        Ok(format!("{scheme}://{host}"))
    }
}

// === impl Rule ===

impl Rule {
    fn of(api: &Api) -> Result<Self, ApiError> {
        Ok(Self {
            path: api.authzen.entrypoint()?,
            lacks_bundle: api.pdp.snapshot().policies.lacks_bundle,
        })
    }
}

// === Calls ===

/// Where the calls are.
pub(super) async fn metadata(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    api.authzen.entrypoint()?;
    let base = api.authzen.base(&headers)?;
    Ok(Json(json!({
        "policy_decision_point": base,
        "access_evaluation_endpoint": format!("{base}{EVALUATION}"),
        "access_evaluations_endpoint": format!("{base}{EVALUATIONS}"),
    })))
}

pub(super) async fn evaluation(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    body: Body,
) -> Result<Response, ApiError> {
    let rule = Rule::of(&api);
    let answer = ask(&api, held, Load::One, move |running, rego| {
        let document = body.document(BODY)?.unwrap_or_default();
        let evaluation = Evaluation::parse(&document)?;
        one(running, rego, &rule?, evaluation)
    });
    answer.await
}

/// Rule: without a list it is one evaluation, and answered so.
pub(super) async fn evaluations(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    body: Body,
) -> Result<Response, ApiError> {
    let rule = Rule::of(&api);
    let answer = ask(&api, held, Load::List, move |running, rego| {
        let document = body.document(BODY)?.unwrap_or_default();
        match Asked::parse(&document)? {
            Asked::One(evaluation) => one(running, rego, &rule?, evaluation),
            Asked::Many(evaluations, semantic) => {
                many(running, rego, &rule?, evaluations, semantic)
            }
        }
    });
    answer.await
}

fn one(
    running: &Running,
    rego: &RegoPolicies,
    rule: &Rule,
    evaluation: Evaluation,
) -> Result<Response, ApiError> {
    let text = decide(rego, rule, evaluation)?.text(running)?;
    Ok(json_text(StatusCode::OK, text))
}

fn many(
    running: &Running,
    rego: &RegoPolicies,
    rule: &Rule,
    evaluations: Vec<Evaluation>,
    semantic: Semantic,
) -> Result<Response, ApiError> {
    let mut answers = Vec::with_capacity(evaluations.len());
    for evaluation in evaluations {
        let outcome = running.goes_on();
        let outcome = outcome.and_then(|()| decide(rego, rule, evaluation));
        // Rule: one that fails is a denial that says so, and the others have their answers.
        let outcome = outcome.unwrap_or_else(|error| Outcome::failed(&error));
        answers.push(outcome.text(running)?);
        if semantic.ends_with(outcome.decision()) {
            break;
        }
    }
    let answers = answers.join(",");
    Ok(json_text(
        StatusCode::OK,
        format!(r#"{{"evaluations":[{answers}]}}"#),
    ))
}

fn decide(rego: &RegoPolicies, rule: &Rule, evaluation: Evaluation) -> Result<Outcome, ApiError> {
    // Rule: as for checks of proxies, what a bundle that has never come would deny is not known.
    if rule.lacks_bundle {
        return Ok(Outcome::failed(&ApiError::not_ready(LACKS_BUNDLE)));
    }
    let found = rego.document(&rule.path, question(Some(evaluation.into_input()), false));
    Outcome::of(found.map_err(evaluating)?.value)
}
