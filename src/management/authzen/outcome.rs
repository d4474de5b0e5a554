//! What the value of a rule means to AuthZEN, and how it is answered.

use axum::http::StatusCode;
use serde_json::json;

use super::super::error::ApiError;
use super::super::evaluate::Running;
use crate::policy::rego::Data;

/// Names under which an object may hold its decision.
const DECISION: [&str; 3] = ["decision", "allow", "allowed"];

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    decision: bool,
    context: Option<Data>,
}

impl Outcome {
    /// Rule: undefined denies; a truth value is the decision; an object holds it under one of its names,
    /// and may have a context. Anything else is no decision, and an error.
    pub(super) fn of(value: Option<Data>) -> Result<Self, ApiError> {
        let Some(value) = value else {
            return Ok(Self::denied(None));
        };
        if let Some(decision) = value.as_bool() {
            return Ok(Self {
                decision,
                context: None,
            });
        }
        let mut held = DECISION.iter().filter_map(|name| value.member(name));
        let (Some(decision), None) = (held.next(), held.next()) else {
            let why = "it has not one of `decision`, `allow` and `allowed`";
            return Err(no_decision(why));
        };
        let decision = decision.as_bool();
        let decision = decision.ok_or_else(|| no_decision("it is neither true nor false"))?;
        let context = value.member("context");
        if context.as_ref().is_some_and(|context| !context.is_object()) {
            return Err(no_decision("its `context` is no object"));
        }
        Ok(Self { decision, context })
    }

    fn denied(context: Option<Data>) -> Self {
        Self {
            decision: false,
            context,
        }
    }

    /// A denial that says what failed.
    pub(super) fn failed(error: &ApiError) -> Self {
        let error = json!({"status": error.status().as_u16(), "message": error.message()});
        Self::denied(Some(Data::from_json(json!({ "error": error }))))
    }

    pub(super) fn decision(&self) -> bool {
        self.decision
    }

    pub(super) fn text(&self, running: &Running) -> Result<String, ApiError> {
        let decision = self.decision;
        Ok(match &self.context {
            Some(context) => {
                let context = running.text(context)?;
                format!(r#"{{"decision":{decision},"context":{context}}}"#)
            }
            None => format!(r#"{{"decision":{decision}}}"#),
        })
    }
}

fn no_decision(why: &str) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        format!("the result of `authzen.entrypoint` is no decision: {why}"),
    )
}
