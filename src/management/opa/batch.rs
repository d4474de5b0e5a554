//! `/v1/batch/data`: one document for many inputs in one call, as Enterprise OPA has it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use super::super::Api;
use super::super::error::ApiError;
use super::super::json::escaped;
use super::data::path_in;
use super::{Answer, Options, Timers, ask, body, evaluating, text_of};
use crate::policy::rego::Data;

/// Most inputs of one call.
const MAX_INPUTS: usize = 10_000;

/// Rule: each input has an answer under its own name; 200 if all have a value or none was needed, 500 if
/// all failed, 207 if some did.
pub(in super::super) async fn post(
    State(api): State<Api>,
    uri: Uri,
    Query(parameters): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let mut timers = Timers::begin();
    let options = Options::parse(parameters)?;
    let path = path_in(&uri, "/v1/batch/data")?;
    let malformed = "body contains malformed input document";
    let document = body::document(&headers, body, malformed)?.unwrap_or_default();
    let missing = || ApiError::invalid("`inputs` must be an object");
    let inputs = document.member("inputs").and_then(Data::into_members);
    let inputs = inputs.ok_or_else(missing)?;
    if inputs.len() > MAX_INPUTS {
        return Err(ApiError::invalid(format!("more than {MAX_INPUTS} inputs")));
    }
    let common = document.member("common_input");
    let question = options.question(None);
    let asked = ask(&api, move |rego, _| {
        let answers = timers.measure("timer_rego_query_eval_ns", || {
            let inputs = inputs.into_iter();
            let answers = inputs.map(|(name, input)| {
                let mut question = question.clone();
                question.input = Some(with_common(input, common.as_ref()));
                (name, rego.document(&path, question))
            });
            answers.collect::<Vec<_>>()
        });
        (answers, timers)
    });
    let (answers, timers) = asked.await?;
    let failed = answers.iter().filter(|(_, found)| found.is_err()).count();
    let status = match failed {
        0 => StatusCode::OK,
        all if all == answers.len() => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::MULTI_STATUS,
    };
    let mut responses = Vec::with_capacity(answers.len());
    for (name, found) in answers {
        let response = match found.map(|found| found.value) {
            Ok(value) => good(value.as_ref(), status)?,
            Err(error) => evaluating(error).in_batch(),
        };
        let name = escaped(&serde_json::Value::from(name).to_string());
        responses.push(format!("{name}:{response}"));
    }
    let mut answer = Answer::new(&options, &api.pdp.snapshot().policies, None, &timers);
    answer.member("responses", format!("{{{}}}", responses.join(",")));
    Ok(answer.response(status))
}

/// Rule: beside one that failed, a good answer has its status as well.
fn good(value: Option<&Data>, status: StatusCode) -> Result<String, ApiError> {
    let mut members = Vec::new();
    if status == StatusCode::MULTI_STATUS {
        members.push(r#""http_status_code":"200""#.to_owned());
    }
    if let Some(value) = value {
        members.push(format!(r#""result":{}"#, text_of(value)?));
    }
    Ok(format!("{{{}}}", members.join(",")))
}

/// Rule: what both have is the input's own; objects alone are put together.
fn with_common(input: Data, common: Option<&Data>) -> Data {
    match common {
        Some(common) => input.over(common),
        None => input,
    }
}
