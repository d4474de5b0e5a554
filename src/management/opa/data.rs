//! `/v1/data`, `/v0/data` and `POST /`: documents by their path, with an input.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;

use super::super::Api;
use super::super::error::ApiError;
use super::{
    Answer, DEFAULT_DECISION, Options, Timers, ask, body, evaluating, split, text_of, written,
};
use crate::policy::rego::{Data, Found, RegoError};

/// What a body of version 1 is to OPA, which its errors name.
const REQUEST_TYPE: &str = "types.DataRequestV1";
const MALFORMED_BODY: &str = "body contains malformed input document";
const WARNING: &str =
    r#"{"code":"api_usage_warning","message":"'input' key missing from the request"}"#;

type Parameters = Query<Vec<(String, String)>>;

pub(in super::super) async fn get(
    State(api): State<Api>,
    uri: Uri,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    let mut timers = Timers::begin();
    let options = Options::parse(parameters)?;
    let path = path_in(&uri, "/v1/data")?;
    let input = timers.measure("timer_rego_input_parse_ns", || input_parameter(&options))?;
    answer(&api, path, input, &options, timers, false).await
}

pub(in super::super) async fn post(
    State(api): State<Api>,
    uri: Uri,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let mut timers = Timers::begin();
    let options = Options::parse(parameters)?;
    let path = path_in(&uri, "/v1/data")?;
    let begun = Instant::now();
    let document = body::document(&headers, body, MALFORMED_BODY)?;
    let input = body::input(document, REQUEST_TYPE)?;
    timers.record("timer_rego_input_parse_ns", begun);
    let warns = input.is_none();
    answer(&api, path, input, &options, timers, warns).await
}

/// Rule: the body is the input, and the answer is the result.
pub(in super::super) async fn post_v0(
    State(api): State<Api>,
    uri: Uri,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let path = path_in(&uri, "/v0/data")?;
    plain(&api, path, parameters, &headers, body).await
}

pub(in super::super) async fn post_default(
    State(api): State<Api>,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let path = DEFAULT_DECISION.map(str::to_owned).to_vec();
    plain(&api, path, parameters, &headers, body).await
}

async fn plain(
    api: &Api,
    path: Vec<String>,
    parameters: Vec<(String, String)>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let options = Options::parse(parameters)?;
    let input = body::document(headers, body, MALFORMED_BODY)?;
    let question = options.question(input);
    let asked = path.clone();
    let found = ask(api, move |rego, _| {
        let is_rule = rego.has_rule_towards(&asked);
        rego.document(&asked, question)
            .map(|found| (found.value, is_rule))
    });
    match found.await?.map_err(evaluating)? {
        (Some(result), _) => Ok(written(StatusCode::OK, &text_of(&result)?, options.pretty)),
        // Rule: where a rule could have made it, it is undefined; where not, missing.
        (None, is_rule) => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "undefined_document",
            format!(
                "document {}: {}",
                if is_rule { "undefined" } else { "missing" },
                reference(&path)
            ),
        )),
    }
}

async fn answer(
    api: &Api,
    path: Vec<String>,
    input: Option<Data>,
    options: &Options,
    mut timers: Timers,
    warns: bool,
) -> Result<Response, ApiError> {
    let question = options.question(input);
    let asked = ask(api, move |rego, _| {
        let found = timers.measure("timer_rego_query_eval_ns", || {
            rego.document(&path, question)
        });
        (found, timers)
    });
    let (found, timers): (Result<Found<_>, RegoError>, _) = asked.await?;
    let (value, notes) = split(found.map_err(evaluating)?, options);
    let mut answer = Answer::new(options, &api.pdp.snapshot().policies, notes, &timers);
    if let Some(value) = value {
        answer.member("result", text_of(&value)?);
    }
    if warns {
        answer.member("warning", WARNING.to_owned());
    }
    Ok(answer.response(StatusCode::OK))
}

/// The input of a `GET`.
pub(super) fn input_parameter(options: &Options) -> Result<Option<Data>, ApiError> {
    let parsed = options.input.as_ref().map(Data::parse).transpose();
    parsed.map_err(|error| {
        ApiError::invalid(format!(
            "parameter contains malformed input document: {}",
            error.message
        ))
    })
}

/// The segments of a path behind the call's own. Rule: it is split before it is decoded, and empty
/// segments are none; no text of it ever becomes Rego.
pub(in super::super) fn path_in(uri: &Uri, call: &str) -> Result<Vec<String>, ApiError> {
    let rest = uri.path().strip_prefix(call).unwrap_or_default();
    let segments = rest.split('/').filter(|segment| !segment.is_empty());
    let decoded = segments.map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8();
        let decoded = decoded.map_err(|_| ApiError::invalid("the path is not UTF-8"))?;
        match decoded.contains('"') {
            true => Err(ApiError::invalid(format!("invalid ref term '{decoded}'"))),
            false => Ok(decoded.into_owned()),
        }
    });
    decoded.collect()
}

fn reference(path: &[String]) -> String {
    let parts = std::iter::once("data").chain(path.iter().map(String::as_str));
    parts.collect::<Vec<_>>().join(".")
}
