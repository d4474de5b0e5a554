//! `/v1/query`: queries of any form, and the variables of each of their solutions.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::super::Api;
use super::super::body::Body;
use super::super::error::ApiError;
use super::super::evaluate::{Load, Running, ask, compiling, evaluating};
use super::super::memory::Held;
use super::{Answer, Options, Timers, split};
use crate::policy::rego::{Data, RegoPolicies};

/// Longest query, in bytes.
const MAX_QUERY: usize = 64 << 10;
const MALFORMED_BODY: &str = "error(s) occurred while decoding request";

type Parameters = Query<Vec<(String, String)>>;

pub(in super::super) async fn get(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    let missing = || ApiError::invalid("missing parameter 'q'");
    let query = options.query.clone().ok_or_else(missing)?;
    let answer = ask(&api, held, Load::One, move |running, rego| {
        answer(running, rego, &query, None, &options)
    });
    answer.await
}

pub(in super::super) async fn post(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    Query(parameters): Parameters,
    body: Body,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    let answer = ask(&api, held, Load::One, move |running, rego| {
        let document = body.document(MALFORMED_BODY)?.unwrap_or_default();
        let query = document.member("query");
        let query = query.as_ref().and_then(Data::as_text);
        let query = query.ok_or_else(|| ApiError::invalid("missing query value"))?;
        answer(running, rego, query, document.member("input"), &options)
    });
    answer.await
}

/// Rule: no solution is no result.
fn answer(
    running: &Running,
    rego: &RegoPolicies,
    query: &str,
    input: Option<Data>,
    options: &Options,
) -> Result<Response, ApiError> {
    if query.len() > MAX_QUERY {
        let message = format!("a query of more than {MAX_QUERY} bytes is refused");
        return Err(ApiError::invalid(message));
    }
    let mut timers = Timers::begin();
    let looked_at = timers.measure("timer_rego_query_compile_ns", || rego.look_at(query));
    let looked_at = looked_at.map_err(compiling)?;
    let found = timers.measure("timer_rego_query_eval_ns", || {
        rego.solutions(&looked_at, options.question(input))
    });
    let (solutions, notes) = split(found.map_err(evaluating)?, options);
    let mut answer = Answer::new(options, notes, &timers);
    if !solutions.is_empty() {
        let solutions = solutions.iter().map(|solution| running.text(solution));
        let solutions = solutions.collect::<Result<Vec<_>, _>>()?;
        answer.member("result", format!("[{}]", solutions.join(",")));
    }
    Ok(answer.response(StatusCode::OK))
}
