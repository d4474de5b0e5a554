//! `http.send`, as OPA has it: which requests there are, what counts as the same one, and how an
//! answer is shown. Reading a request is in `request`, showing an answer in `response`; making it is
//! left to the capability that the check was given.

mod request;
mod response;

use std::collections::BTreeMap;

use regorus::Value;

use super::{Answer, Builtin, Failure, any, now};
use crate::policy::rego::external::{
    Exhausted, ExternalError, answered, is_cacheable, note, reach, received,
};
use request::{Invalid, Sent};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::external(NAME, 1, send)];

const NAME: &str = "http.send";
/// What a policy is told of a failure it does not want raised.
const NETWORK_ERROR: &str = "eval_http_send_network_error";
const INTERNAL_ERROR: &str = "eval_http_send_internal_error";

fn send(arguments: &[Value]) -> Answer {
    let request = any(arguments, 0)?;
    let raise = request::raises_errors(request).map_err(|_| FAILED)?;
    let failed = |code: &str, message: String| match raise {
        true => Err(FAILED),
        // Rule: with `raise_error: false` a failure is an answer of status 0.
        false => Ok(error_value(code, &message)),
    };
    let sent = match request::parse(request) {
        Ok(sent) => sent,
        Err(Invalid::Request { kind, message }) => {
            return failed(INTERNAL_ERROR, format!("{kind}: {NAME}: {message}"));
        }
        Err(Invalid::Size(why)) => return Err(Failure::Limit(format!("{NAME}: {why}"))),
    };
    match answer(&sent)? {
        Ok(value) => Ok(value),
        Err(ExternalError::Network(message)) => failed(NETWORK_ERROR, message),
        Err(ExternalError::Request(message)) => {
            let message = format!("{}: {NAME}: {message}", request::BUILTIN_ERROR);
            failed(INTERNAL_ERROR, message)
        }
        // Rule: a check whose time is up is over, whatever the policy would make of a failure.
        Err(error @ ExternalError::TimeUp) => Err(Failure::Limit(format!("{NAME}: {error}"))),
    }
}

const FAILED: Failure = Failure::Failed("the request failed");

/// The answer to a request, asked for once in a check.
fn answer(sent: &Sent) -> Result<Result<Value, ExternalError>, Failure> {
    let external = reach(NAME)?;
    let key = sent.request.key;
    if let Some(answer) = answered(&key) {
        return Ok(answer);
    }
    let response = match external.send(&sent.request, now()) {
        Ok(response) => response,
        Err(error) => {
            note(key, Err(error.clone()));
            return Ok(Err(error));
        }
    };
    received(response::size(&response, sent.decoding))?;
    let value = response::value(&response, sent.decoding)?;
    if sent.keeps_any || is_cacheable(response.status) {
        note(key, Ok(value.clone()));
    }
    Ok(Ok(value))
}

impl From<Exhausted> for Failure {
    fn from(exhausted: Exhausted) -> Self {
        Self::Limit(exhausted.to_string())
    }
}

fn error_value(code: &str, message: &str) -> Value {
    let object = |fields: &[(&str, Value)]| {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (Value::from(*name), value.clone()));
        Value::from(fields.collect::<BTreeMap<_, _>>())
    };
    object(&[
        ("status_code", Value::from(0_u64)),
        (
            "error",
            object(&[
                ("code", Value::from(code)),
                ("message", Value::from(message)),
            ]),
        ),
    ])
}
