//! What an entrypoint's value means for a request: the result forms of opa-envoy-plugin and its
//! errors. Only `true`, or an object whose `allowed` is `true`, lets a request pass.

use std::time::Duration;

use regorus::Value;
use thiserror::Error;

use super::{Caching, json};
use crate::attributes::{JsonObject, Pairs};

/// Deepest dynamic metadata: a proxy's decoder gives up at 100 messages, two of them a level.
const MAX_METADATA_DEPTH: usize = 32;
/// How long the result may be remembered. Ours: the plugin remembers nothing.
const CACHE_TTL: &str = "cache_ttl_seconds";

/// A result, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    pub allowed: bool,
    /// A plain `true` or `false`: the reply carries nothing but its status.
    pub plain: bool,
    /// To the upstream on allow, to the client on deny.
    pub headers: Pairs,
    pub request_headers_to_remove: Vec<String>,
    pub response_headers_to_add: Pairs,
    pub query_parameters_to_remove: Vec<String>,
    pub query_parameters_to_set: Pairs,
    pub body: Option<String>,
    pub http_status: Option<u16>,
    pub dynamic_metadata: Option<JsonObject>,
    /// It denied, and nobody is held to it.
    pub dry_run: bool,
    /// How long it may be remembered, by the policy's word; nothing is not at all.
    pub cache_ttl: Option<Duration>,
    /// From when on it can be another, in nanoseconds since 1970, by what the policy verified.
    pub until_ns: Option<i64>,
}

/// Why a value is no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OutcomeError {
    #[error("failed to get response status: illegal value for policy evaluation result: {0}")]
    Type(&'static str),
    #[error(
        "failed to get response status: unable to determine evaluation result due to missing \"allowed\" key"
    )]
    AllowedMissing,
    #[error(
        "failed to get response status: type assertion error, expected allowed to be of type 'boolean' but got '{0}'"
    )]
    AllowedType(&'static str),
    #[error("failed to get {what}: {why}")]
    Member { what: &'static str, why: String },
}

impl Outcome {
    /// Reads a value by the rules of `envoyauth/response.go`.
    pub(super) fn parse(value: &Value, caching: &Caching) -> Result<Self, OutcomeError> {
        let members = match value {
            Value::Bool(allowed) => {
                return Ok(Self {
                    allowed: *allowed,
                    plain: true,
                    ..Self::default()
                });
            }
            Value::Object(members) => members,
            other => return Err(OutcomeError::Type(go_type(other))),
        };
        let get = |name: &str| members.get(&Value::from(name));
        let allowed = match get("allowed") {
            None => return Err(OutcomeError::AllowedMissing),
            Some(Value::Bool(allowed)) => *allowed,
            Some(other) => return Err(OutcomeError::AllowedType(go_type(other))),
        };
        let mut outcome = Self {
            allowed,
            ..Self::default()
        };
        outcome.headers = headers(get("headers"), "response headers")?;
        outcome.dynamic_metadata = get("dynamic_metadata").map(dynamic_metadata).transpose()?;
        // Members of the other side are not looked at.
        if allowed {
            outcome.request_headers_to_remove = strings(
                get("request_headers_to_remove"),
                "request headers to remove",
                "request_headers_to_remove",
            )?;
            outcome.response_headers_to_add = headers(
                get("response_headers_to_add"),
                "response headers to send to client",
            )?;
            outcome.query_parameters_to_remove = strings(
                get("query_parameters_to_remove"),
                "request query parameters to remove",
                "query_parameters_to_remove",
            )?;
            outcome.query_parameters_to_set = query_parameters(get("query_parameters_to_set"))?;
        } else {
            outcome.body = get("body").map(body).transpose()?;
            outcome.http_status = get("http_status").map(http_status).transpose()?;
        }
        outcome.cache_ttl = match get(CACHE_TTL).map(cache_ttl).transpose() {
            Ok(ttl) => ttl,
            // What OPA's plugin does not know may mean anything, and is no error there.
            Err(_) if caching.ignores_bad_ttl => Some(Duration::ZERO),
            Err(error) => return Err(error),
        };
        Ok(outcome)
    }

    /// Rule: in a dry run a denial lets the request pass, with nothing changed but the metadata.
    pub fn dry_run(self) -> Self {
        Self {
            allowed: true,
            dry_run: true,
            dynamic_metadata: self.dynamic_metadata,
            ..Self::default()
        }
    }
}

fn member(what: &'static str, why: String) -> OutcomeError {
    OutcomeError::Member { what, why }
}

/// Rule: an object, or an array of objects, of strings or arrays of strings.
fn headers(value: Option<&Value>, what: &'static str) -> Result<Pairs, OutcomeError> {
    let mut pairs = Pairs::new();
    match value {
        None => {}
        Some(Value::Object(_)) => add_headers(value, what, &mut pairs)?,
        Some(Value::Array(items)) => {
            for item in items.iter() {
                add_headers(Some(item), what, &mut pairs)?;
            }
        }
        Some(Value::Set(items)) => {
            for item in items.iter_sorted() {
                add_headers(Some(item), what, &mut pairs)?;
            }
        }
        Some(other) => return Err(expected_object(what, "headers", other)),
    }
    Ok(pairs)
}

fn add_headers(
    value: Option<&Value>,
    what: &'static str,
    pairs: &mut Pairs,
) -> Result<(), OutcomeError> {
    let Some(Value::Object(members)) = value else {
        let other = value.unwrap_or(&Value::Null);
        return Err(expected_object(what, "headers", other));
    };
    for (name, value) in members.iter_sorted() {
        let name = name
            .as_string()
            .map_or_else(|_| name.to_string(), ToString::to_string);
        match value {
            Value::String(text) => pairs.push((name, text.to_string())),
            Value::Array(_) | Value::Set(_) => {
                for item in elements(value) {
                    let Value::String(text) = item else {
                        let why =
                            format!("invalid value type {} for header '{name}'", go_type(item));
                        return Err(member(what, why));
                    };
                    pairs.push((name.clone(), text.to_string()));
                }
            }
            _ => {
                return Err(member(
                    what,
                    format!("type assertion error for header '{name}'"),
                ));
            }
        }
    }
    Ok(())
}

fn elements(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter_sorted().collect(),
        _ => Vec::new(),
    }
}

fn expected_object(what: &'static str, name: &str, value: &Value) -> OutcomeError {
    let got = go_type(value);
    member(
        what,
        format!("type assertion error, expected {name} to be of type 'object' but got '{got}'"),
    )
}

fn strings(
    value: Option<&Value>,
    what: &'static str,
    name: &str,
) -> Result<Vec<String>, OutcomeError> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    if !matches!(value, Value::Array(_) | Value::Set(_)) {
        let got = go_type(value);
        let why = format!(
            "type assertion error, expected {name} to be of type '[]string' but got '{got}'"
        );
        return Err(member(what, why));
    }
    let text = |item: &Value| match item {
        Value::String(text) => Ok(text.to_string()),
        other => {
            let got = go_type(other);
            let why = format!(
                "type assertion error, expected {name} value to be of type 'string' but got '{got}'"
            );
            Err(member(what, why))
        }
    };
    elements(value).into_iter().map(text).collect()
}

/// Rule: an object of strings or arrays of strings; one parameter a value.
fn query_parameters(value: Option<&Value>) -> Result<Pairs, OutcomeError> {
    let what = "request query parameters to set";
    match value {
        None => Ok(Pairs::new()),
        Some(Value::Object(_)) => {
            let mut pairs = Pairs::new();
            add_headers(value, what, &mut pairs)?;
            Ok(pairs)
        }
        Some(other) => {
            let got = go_type(other);
            let why = format!(
                "type assertion error, expected query_parameters_to_set to be a map but got '{got}'"
            );
            Err(member(what, why))
        }
    }
}

fn dynamic_metadata(value: &Value) -> Result<JsonObject, OutcomeError> {
    let what = "dynamic metadata";
    if depth(value) > MAX_METADATA_DEPTH {
        return Err(member(
            what,
            format!("it nests deeper than {MAX_METADATA_DEPTH} levels"),
        ));
    }
    match to_json(value) {
        Ok(serde_json::Value::Object(members)) => Ok(members),
        Ok(_) => Err(expected_object(what, "dynamic_metadata", value)),
        Err(why) => Err(member(what, why)),
    }
}

/// A value of bounded depth as JSON. Rule: sets are arrays, and numbers that are no double are
/// errors.
fn to_json(value: &Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::Null | Value::Undefined => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::String(text) => text.as_ref().into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => {
                let text = number.format_decimal();
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.ok_or("value out of range")?.into()
            }
        },
        Value::Array(_) | Value::Set(_) => {
            let items = elements(value).into_iter().map(to_json);
            items.collect::<Result<_, _>>()?
        }
        Value::Object(members) => {
            let members = members.iter_sorted().map(|(name, value)| {
                let name = match name {
                    Value::String(name) => name.to_string(),
                    other => json::scalar_text(other),
                };
                Ok((name, to_json(value)?))
            });
            members.collect::<Result<JsonObject, String>>()?.into()
        }
    })
}

fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Object(members) => members.values().map(depth).max(),
        _ => elements(value).into_iter().map(depth).max(),
    };
    deepest.map_or(0, |deepest| deepest + 1)
}

fn body(value: &Value) -> Result<String, OutcomeError> {
    match value {
        Value::String(text) => Ok(text.to_string()),
        other => {
            let got = go_type(other);
            let why = format!(
                "type assertion error, expected body to be of type 'string' but got '{got}'"
            );
            Err(member("response body", why))
        }
    }
}

/// Rule: a whole number that both Go and Envoy know as an HTTP status.
fn http_status(value: &Value) -> Result<u16, OutcomeError> {
    let what = "response http status";
    let Value::Number(number) = value else {
        let got = go_type(value);
        let why = format!(
            "type assertion error, expected http_status to be of type 'number' but got '{got}'"
        );
        return Err(member(what, why));
    };
    let code = number.as_u64().and_then(|code| u16::try_from(code).ok());
    code.filter(|code| is_known_status(*code)).ok_or_else(|| {
        member(
            what,
            format!("invalid HTTP status code {}", number.format_decimal()),
        )
    })
}

/// Rule: a number of seconds, also a part of one; 0 is not at all.
fn cache_ttl(value: &Value) -> Result<Duration, OutcomeError> {
    let Value::Number(_) = value else {
        let got = go_type(value);
        let why = format!(
            "type assertion error, expected {CACHE_TTL} to be of type 'number' but got '{got}'"
        );
        return Err(member(CACHE_TTL, why));
    };
    // Through its text: a double is only had for an integer that fits it.
    let text = json::scalar_text(value);
    let seconds: f64 = text.parse().unwrap_or(f64::NAN);
    match Duration::try_from_secs_f64(seconds) {
        Ok(ttl) => Ok(ttl),
        // Longer than any time there is.
        Err(_) if seconds > 0.0 => Ok(Duration::MAX),
        Err(_) => Err(member(CACHE_TTL, format!("{text} is below 0"))),
    }
}

fn is_known_status(code: u16) -> bool {
    matches!(
        code,
        100 | 200..=208
            | 226
            | 300..=305
            | 307
            | 308
            | 400..=417
            | 421..=424
            | 426
            | 428
            | 429
            | 431
            | 500..=508
            | 510
            | 511
    )
}

/// The Go type a value has in the plugin, for its messages.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Undefined => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "json.Number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Set(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
