//! `/v1/data`, `/v0/data` and `POST /`: documents by their path, with an input.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::super::Api;
use super::super::body::Body;
use super::super::error::ApiError;
use super::super::evaluate::{Load, ask, ask_at, evaluating};
use super::super::json::at_revision;
use super::super::memory::Held;
use super::super::path::DocumentPath;
use super::{Answer, DEFAULT_DECISION, Options, Timers, split, written};
use crate::policy::rego::Data;

/// What a body of version 1 is to OPA, which its errors name.
const REQUEST_TYPE: &str = "types.DataRequestV1";
const MALFORMED_BODY: &str = "body contains malformed input document";
const WARNING: &str =
    r#"{"code":"api_usage_warning","message":"'input' key missing from the request"}"#;

type Parameters = Query<Vec<(String, String)>>;

/// Where the input is.
enum Input {
    Parameter,
    Body(Body),
}

pub(in super::super) async fn get(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    DocumentPath(path): DocumentPath,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    let timers = Timers::begin();
    let options = Options::parse(parameters)?;
    answer(&api, held, path, Input::Parameter, options, timers).await
}

pub(in super::super) async fn post(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    DocumentPath(path): DocumentPath,
    Query(parameters): Parameters,
    body: Body,
) -> Result<Response, ApiError> {
    let timers = Timers::begin();
    let options = Options::parse(parameters)?;
    answer(&api, held, path, Input::Body(body), options, timers).await
}

/// Rule: the body is the input, and the answer is the result.
pub(in super::super) async fn post_v0(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    DocumentPath(path): DocumentPath,
    Query(parameters): Parameters,
    body: Body,
) -> Result<Response, ApiError> {
    plain(&api, held, path, parameters, body).await
}

pub(in super::super) async fn post_default(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    Query(parameters): Parameters,
    body: Body,
) -> Result<Response, ApiError> {
    let path = DEFAULT_DECISION.map(str::to_owned).to_vec();
    plain(&api, held, path, parameters, body).await
}

async fn plain(
    api: &Api,
    held: Arc<Held>,
    path: Vec<String>,
    parameters: Vec<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    let answer = ask(api, held, Load::One, move |running, rego| {
        let question = options.question(body.document(MALFORMED_BODY)?);
        let found = rego.document(&path, question).map_err(evaluating)?;
        match found.value {
            Some(result) => {
                let text = running.text(&result)?;
                Ok(written(StatusCode::OK, &text, options.pretty))
            }
            // Rule: where a rule could have made it, it is undefined; where not, missing.
            None => Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "undefined_document",
                format!(
                    "document {}: {}",
                    match rego.has_rule_towards(&path) {
                        true => "undefined",
                        false => "missing",
                    },
                    reference(&path)
                ),
            )),
        }
    });
    answer.await
}

/// Rule: what is got says its revision.
async fn answer(
    api: &Api,
    held: Arc<Held>,
    path: Vec<String>,
    input: Input,
    options: Options,
    mut timers: Timers,
) -> Result<Response, ApiError> {
    let answer = ask_at(api, held, Load::One, move |running, rego, revision| {
        let is_body = matches!(input, Input::Body(_));
        let input = timers.measure("timer_rego_input_parse_ns", || match &input {
            Input::Parameter => input_parameter(&options),
            Input::Body(body) => input_member(body.document(MALFORMED_BODY)?),
        })?;
        let warns = is_body && input.is_none();
        let question = options.question(input);
        let found = timers.measure("timer_rego_query_eval_ns", || {
            rego.document(&path, question)
        });
        let (value, notes) = split(found.map_err(evaluating)?, &options);
        let mut answer = Answer::new(&options, notes, &timers);
        if let Some(value) = value {
            answer.member("result", running.text(&value)?);
        }
        if warns {
            answer.member("warning", WARNING.to_owned());
        }
        let answer = answer.response(StatusCode::OK);
        Ok(match is_body {
            true => answer,
            false => at_revision(revision, answer),
        })
    });
    answer.await
}

/// The input in a body of `{"input": …}`. Rule: other members are let be, and it may be missing.
fn input_member(document: Option<Data>) -> Result<Option<Data>, ApiError> {
    let Some(document) = document else {
        return Ok(None);
    };
    if let Some(kind) = document.other_kind() {
        return Err(ApiError::invalid(format!(
            "body contains malformed input document: json: cannot unmarshal {kind} into Go value of type {REQUEST_TYPE}"
        )));
    }
    Ok(document.member("input"))
}

/// The input of a `GET`.
fn input_parameter(options: &Options) -> Result<Option<Data>, ApiError> {
    let parsed = options.input.as_ref().map(Data::parse).transpose();
    parsed.map_err(|error| {
        ApiError::invalid(format!(
            "parameter contains malformed input document: {}",
            error.message
        ))
    })
}

fn reference(path: &[String]) -> String {
    let parts = std::iter::once("data").chain(path.iter().map(String::as_str));
    parts.collect::<Vec<_>>().join(".")
}
