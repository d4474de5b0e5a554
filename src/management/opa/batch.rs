//! `/v1/batch/data`: one document for many inputs in one call, as Enterprise OPA has it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::super::Api;
use super::super::body::Body;
use super::super::error::ApiError;
use super::super::evaluate::{Load, Running, ask, evaluating};
use super::super::json::escaped;
use super::super::memory::Held;
use super::super::path::DocumentPath;
use super::{Answer, Options, Timers};
use crate::policy::rego::{Data, Question, RegoPolicies};

#[cfg(test)]
mod tests;

/// Most inputs of one call.
const MAX_INPUTS: usize = 10_000;
const MALFORMED_BODY: &str = "body contains malformed input document";

/// What is asked for.
struct Batch {
    inputs: Vec<(String, Data)>,
    common: Option<Data>,
    path: Vec<String>,
    question: Question,
}

/// Rule: each input has an answer under its own name; 200 if all have a value or none was needed, 500 if
/// all failed, 207 if some did.
pub(in super::super) async fn post(
    State(api): State<Api>,
    Extension(held): Extension<Arc<Held>>,
    DocumentPath(path): DocumentPath,
    Query(parameters): Query<Vec<(String, String)>>,
    body: Body,
) -> Result<Response, ApiError> {
    let mut timers = Timers::begin();
    let options = Options::parse(parameters)?;
    let answer = ask(&api, held, Load::List, move |running, rego| {
        let document = body.document(MALFORMED_BODY)?.unwrap_or_default();
        let batch = Batch::parse(&document, path, &options)?;
        let answers = timers.measure("timer_rego_query_eval_ns", || batch.answers(running, rego));
        let failed = answers.iter().filter(|(_, found)| found.is_err()).count();
        let status = match failed {
            0 => StatusCode::OK,
            all if all == answers.len() => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::MULTI_STATUS,
        };
        let responses = answers.into_iter().map(|(name, answer)| {
            let name = escaped(&serde_json::Value::from(name).to_string());
            let response = match answer {
                Ok(text) => good(text, status),
                Err(error) => error.in_batch(),
            };
            format!("{name}:{response}")
        });
        let responses = responses.collect::<Vec<_>>().join(",");
        let mut answer = Answer::new(&options, None, &timers);
        answer.member("responses", format!("{{{responses}}}"));
        Ok(answer.response(status))
    });
    answer.await
}

impl Batch {
    fn parse(document: &Data, path: Vec<String>, options: &Options) -> Result<Self, ApiError> {
        let inputs = document.member("inputs").and_then(Data::into_members);
        let missing = || ApiError::invalid("`inputs` must be an object");
        let inputs = inputs.ok_or_else(missing)?;
        if inputs.len() > MAX_INPUTS {
            return Err(ApiError::invalid(format!("more than {MAX_INPUTS} inputs")));
        }
        Ok(Self {
            inputs,
            common: document.member("common_input"),
            path,
            question: options.question(None),
        })
    }

    /// The answer to each, as text; `None` if there is no value.
    fn answers(
        self,
        running: &Running,
        rego: &RegoPolicies,
    ) -> Vec<(String, Result<Option<String>, ApiError>)> {
        let Self {
            inputs,
            common,
            path,
            question,
        } = self;
        let answer = |input| {
            running.goes_on()?;
            let question = Question {
                input: Some(with_common(input, common.as_ref())),
                ..question.clone()
            };
            let found = rego.document(&path, question).map_err(evaluating)?;
            found.value.map(|value| running.text(&value)).transpose()
        };
        let inputs = inputs.into_iter();
        inputs.map(|(name, input)| (name, answer(input))).collect()
    }
}

/// Rule: beside one that failed, a good answer has its status as well.
fn good(text: Option<String>, status: StatusCode) -> String {
    let mut members = Vec::new();
    if status == StatusCode::MULTI_STATUS {
        members.push(r#""http_status_code":"200""#.to_owned());
    }
    members.extend(text.map(|text| format!(r#""result":{text}"#)));
    format!("{{{}}}", members.join(","))
}

/// Rule: what both have is the input's own; objects alone are put together.
fn with_common(input: Data, common: Option<&Data>) -> Data {
    match common {
        Some(common) => input.over(common),
        None => input,
    }
}
