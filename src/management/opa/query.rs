//! `/v1/query`: queries of any form, and the variables of each of their solutions.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::Api;
use super::super::error::ApiError;
use super::{Answer, Options, Timers, ask, body, compiling, evaluating, split, text_of};
use crate::policy::rego::Data;

type Parameters = Query<Vec<(String, String)>>;

pub(in super::super) async fn get(
    State(api): State<Api>,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    let missing = || ApiError::invalid("missing parameter 'q'");
    let query = options.query.clone().ok_or_else(missing)?;
    answer(&api, query, None, &options).await
}

pub(in super::super) async fn post(
    State(api): State<Api>,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    let malformed = "error(s) occurred while decoding request";
    let document = body::document(&headers, body, malformed)?;
    let document = document.unwrap_or_default();
    let missing = || ApiError::invalid("missing query value");
    let query = document
        .member("query")
        .as_ref()
        .and_then(Data::as_text)
        .map(str::to_owned);
    let query = query.ok_or_else(missing)?;
    answer(&api, query, document.member("input"), &options).await
}

/// Longest query, in bytes.
const MAX_QUERY: usize = 64 << 10;

/// Rule: no solution is no result.
async fn answer(
    api: &Api,
    query: String,
    input: Option<Data>,
    options: &Options,
) -> Result<Response, ApiError> {
    if query.len() > MAX_QUERY {
        let message = format!("a query of more than {MAX_QUERY} bytes is refused");
        return Err(ApiError::invalid(message));
    }
    let mut timers = Timers::begin();
    let question = options.question(input);
    let asked = ask(api, move |rego, _| {
        let query = timers.measure("timer_rego_query_compile_ns", || rego.look_at(&query));
        let query = query.map_err(compiling)?;
        let found = timers.measure("timer_rego_query_eval_ns", || {
            rego.solutions(&query, question)
        });
        Ok::<_, ApiError>((found.map_err(evaluating)?, timers))
    });
    let (found, timers) = asked.await??;
    let (solutions, notes) = split(found, options);
    let mut answer = Answer::new(options, &api.pdp.snapshot().policies, notes, &timers);
    if !solutions.is_empty() {
        let solutions: Result<Vec<_>, _> = solutions.iter().map(text_of).collect();
        answer.member("result", format!("[{}]", solutions?.join(",")));
    }
    Ok(answer.response(StatusCode::OK))
}
