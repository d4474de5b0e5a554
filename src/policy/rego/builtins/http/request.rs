//! The request that a policy describes to `http.send`: which members it may have and what they mean.
//! What reads files or the environment is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest;
use regorus::Value;

use super::super::encoding::json_text;
use super::super::{Failure, of_interpreter};
use super::response::Decoding;
use crate::policy::rego::external::{HttpRequest, Remember, RequestKey, TlsOptions};

/// Kinds of failures, in OPA's words.
pub(super) const BUILTIN_ERROR: &str = "eval_builtin_error";
const TYPE_ERROR: &str = "eval_type_error";
/// Longest that an attempt takes unless the request says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest URL and largest body, in bytes.
const MAX_URL: usize = 16 << 10;
const MAX_BODY: usize = 16 << 20;
const REQUIRED: [&str; 2] = ["method", "url"];
const ALLOWED: [&str; 28] = [
    "method",
    "url",
    "body",
    "enable_redirect",
    "force_json_decode",
    "force_yaml_decode",
    "headers",
    "raw_body",
    "tls_use_system_certs",
    "tls_ca_cert",
    "tls_ca_cert_file",
    "tls_ca_cert_env_variable",
    "tls_client_cert",
    "tls_client_cert_file",
    "tls_client_cert_env_variable",
    "tls_client_key",
    "tls_client_key_file",
    "tls_client_key_env_variable",
    "tls_insecure_skip_verify",
    "tls_server_name",
    "timeout",
    "cache",
    "force_cache",
    "force_cache_duration_seconds",
    "raise_error",
    "caching_mode",
    "max_retry_attempts",
    "cache_ignored_headers",
];
/// Headers that say how a message is framed or passed on: never the policy's.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// A request and how its answer is shown.
pub(super) struct Sent {
    pub(super) request: HttpRequest,
    pub(super) decoding: Decoding,
    /// Whether any answer holds for the rest of the check, and not only a cacheable one.
    pub(super) keeps_any: bool,
}

/// What is wrong with a request.
pub(super) enum Invalid {
    Request {
        kind: &'static str,
        message: String,
    },
    /// It is larger than we let any be, which ends the evaluation.
    Size(String),
}

type Result<T> = std::result::Result<T, Invalid>;

/// Whether failures are errors.
pub(super) fn raises_errors(request: &Value) -> Result<bool> {
    let object = Object::of(request)?;
    match object.get("raise_error") {
        None => Ok(true),
        Some(Value::Bool(raise)) => Ok(*raise),
        Some(_) => Err(invalid("invalid value for raise_error field")),
    }
}

pub(super) fn parse(request: &Value) -> Result<Sent> {
    let object = Object::of(request)?;
    object.check_members()?;
    object.check_sources()?;
    let remember = object.remember()?;
    let decoding = Decoding {
        json: object.boolean("force_json_decode")?,
        yaml: object.boolean("force_yaml_decode")?,
    };
    let headers = object.headers()?;
    let host = headers.iter().find(|header| header.0 == "host");
    let host = host.map(|header| header.1.clone());
    let url = object.text("url")?.unwrap_or_default();
    if url.len() > MAX_URL {
        return Err(Invalid::Size(format!("a URL of more than {MAX_URL} bytes")));
    }
    Ok(Sent {
        request: HttpRequest {
            key: object.key()?,
            method: object.method()?,
            url: url.to_owned(),
            headers,
            body: object.body()?,
            timeout: object.timeout()?,
            follow_redirects: object.switch("enable_redirect")?,
            retries: object.retries()?,
            // Rule: an unknown mode is noticed when an answer would be remembered, which it is not.
            remember: if object.has_caching_mode() {
                remember
            } else {
                Remember::No
            },
            tls: object.tls(host)?,
        },
        decoding,
        keeps_any: remember != Remember::No,
    })
}

fn invalid(message: impl Into<String>) -> Invalid {
    Invalid::Request {
        kind: BUILTIN_ERROR,
        message: message.into(),
    }
}

fn wrong_operand(message: impl std::fmt::Display) -> Invalid {
    Invalid::Request {
        kind: TYPE_ERROR,
        message: format!("operand 1 {message}"),
    }
}

impl From<Failure> for Invalid {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Failed(why) => invalid(why),
            Failure::Limit(why) => Self::Size(why),
        }
    }
}

/// The described request.
struct Object<'a>(&'a Value);

impl<'a> Object<'a> {
    fn of(request: &'a Value) -> Result<Self> {
        match request {
            Value::Object(_) => Ok(Self(request)),
            _ => Err(wrong_operand("must be object")),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.as_object().ok()?.get(&Value::from(name))
    }

    /// Rule: members that are not known are an error, and so is one missing that must be there.
    fn check_members(&self) -> Result<()> {
        let is_allowed = |name: &Value| match name {
            Value::String(name) => ALLOWED.contains(&name.as_ref()),
            _ => false,
        };
        let members = self.0.as_object();
        let members = members.map_err(|_| wrong_operand("must be object"))?;
        let unknown = members.keys_sorted().filter(|name| !is_allowed(name));
        let unknown: Vec<_> = unknown.map(ToString::to_string).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Err(wrong_operand(format!(
                "invalid request parameters(s): {{{unknown}}}"
            )));
        }
        let missing = REQUIRED.iter().filter(|name| self.get(name).is_none());
        let missing: Vec<_> = missing.map(|name| format!("{name:?}")).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(wrong_operand(format!(
                "missing required request parameters(s): {{{missing}}}"
            )));
        }
        Ok(())
    }

    /// Refuses what would let a policy read files or variables of the machine it runs on.
    fn check_sources(&self) -> Result<()> {
        let names = ALLOWED.iter();
        let mut sources =
            names.filter(|name| name.ends_with("_file") || name.ends_with("_env_variable"));
        match sources.find(|name| self.get(name).is_some()) {
            Some(name) => Err(invalid(format!(
                "{name:?} is not supported: give the certificate or key itself"
            ))),
            None => Ok(()),
        }
    }

    /// Rule: quotation marks around a text are left out.
    fn text(&self, name: &str) -> Result<Option<&'a str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim_matches('"'))),
            Some(_) => Err(invalid(format!("{name:?} must be a string"))),
        }
    }

    fn boolean(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(invalid(format!("invalid value for {name:?} field"))),
        }
    }

    /// Rule: where OPA reads the text of a value, 1 and 0 are as good as true and false.
    fn switch(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(value) if *value == Value::from(0_u64) => Ok(false),
            Some(value) if *value == Value::from(1_u64) => Ok(true),
            Some(_) => Err(invalid(format!("invalid value for {name:?} field"))),
        }
    }

    /// Rule: methods are upper-case, none is GET.
    fn method(&self) -> Result<String> {
        let method = self.text("method")?.unwrap_or_default().to_uppercase();
        Ok(if method.is_empty() {
            "GET".to_owned()
        } else {
            method
        })
    }

    /// Rule: names are told apart without regard to case, values are texts.
    fn headers(&self) -> Result<Vec<(String, String)>> {
        let Some(headers) = self.get("headers") else {
            return Ok(Vec::new());
        };
        let headers = headers.as_object();
        let headers = headers.map_err(|_| invalid("invalid type for headers key"))?;
        let mut by_name = BTreeMap::new();
        for (name, value) in headers.iter() {
            let (Value::String(name), Value::String(value)) = (name, value) else {
                return Err(invalid("invalid type for headers value"));
            };
            let name = name.to_ascii_lowercase();
            if !FRAMING.contains(&name.as_str()) {
                by_name.insert(name, value.to_string());
            }
        }
        Ok(by_name.into_iter().collect())
    }

    /// Rule: `raw_body` is sent as it is, before `body`, which is sent as the JSON that Go writes.
    fn body(&self) -> Result<Vec<u8>> {
        let body = match (self.text("raw_body")?, self.get("body")) {
            (Some(raw), _) => raw.as_bytes().to_vec(),
            (None, Some(body)) => json_text(body)?.into_bytes(),
            (None, None) => Vec::new(),
        };
        if body.len() > MAX_BODY {
            return Err(Invalid::Size(format!(
                "a body of more than {MAX_BODY} bytes"
            )));
        }
        Ok(body)
    }

    /// Rule: a number, also as text, counts nanoseconds; other texts are durations. Nothing above
    /// zero is no limit.
    fn timeout(&self) -> Result<Option<Duration>> {
        let nanos = match self.get("timeout") {
            None => return Ok(Some(TIMEOUT)),
            Some(Value::Number(number)) => number
                .as_i64()
                .ok_or_else(|| invalid("invalid timeout number value, must be int64"))?,
            Some(Value::String(text)) => match text.parse::<i64>() {
                Ok(nanos) => nanos,
                Err(_) => duration(text)?,
            },
            Some(_) => {
                let message = "'timeout' must be one of {string, number}";
                return Err(wrong_operand(message));
            }
        };
        let nanos = u64::try_from(nanos).unwrap_or(0);
        Ok((nanos > 0).then(|| Duration::from_nanos(nanos)))
    }

    fn retries(&self) -> Result<usize> {
        let wrong = || invalid("invalid value for field \"max_retry_attempts\"");
        match self.get("max_retry_attempts") {
            None => Ok(0),
            Some(Value::Number(number)) => {
                let number = number.as_i64().ok_or_else(wrong)?;
                usize::try_from(number).map_err(|_| wrong())
            }
            Some(_) => Err(wrong()),
        }
    }

    fn remember(&self) -> Result<Remember> {
        let by_headers = self.boolean("cache")?;
        if !self.boolean("force_cache")? {
            return Ok(if by_headers {
                Remember::AsAnswered
            } else {
                Remember::No
            });
        }
        let seconds = self.get("force_cache_duration_seconds").ok_or_else(|| {
            invalid("'force_cache' set but 'force_cache_duration_seconds' parameter is missing")
        })?;
        let seconds = match seconds {
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        let seconds = seconds.and_then(|seconds| i32::try_from(seconds).ok());
        let seconds =
            seconds.ok_or_else(|| invalid("invalid value for force_cache_duration_seconds"))?;
        // Rule: no time at all leaves it to the headers.
        Ok(match u64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Remember::For(Duration::from_secs(seconds)),
            _ => Remember::AsAnswered,
        })
    }

    fn has_caching_mode(&self) -> bool {
        match self.get("caching_mode") {
            None => true,
            Some(Value::String(mode)) => matches!(mode.as_ref(), "serialized" | "deserialized"),
            Some(_) => false,
        }
    }

    fn tls(&self, host: Option<String>) -> Result<TlsOptions> {
        let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let certificate = some(self.text("tls_client_cert")?);
        let key = some(self.text("tls_client_key")?);
        let authority = some(self.text("tls_ca_cert")?);
        Ok(TlsOptions {
            // Rule: line ends may be written as `\n`.
            authority: authority.map(|authority| authority.replace("\\n", "\n")),
            system_authorities: self.switch("tls_use_system_certs")?,
            // Rule: one without the other is none.
            client: certificate.zip(key),
            // Rule: a `Host` header names the server too, unless another name is given.
            server_name: some(self.text("tls_server_name")?).or(host),
            accept_any_certificate: self.switch("tls_insecure_skip_verify")?,
        })
    }

    /// Rule: two requests are the same if all their members are, but for the headers that are to be
    /// ignored and the list of them.
    fn key(&self) -> Result<RequestKey> {
        let wrong = || invalid("cache_ignored_headers is no array");
        let mut request = self.0.clone();
        let members = request.as_object_mut().map_err(|_| wrong())?;
        let ignored = members.insert(Value::from("cache_ignored_headers"), Value::Null);
        let headers = members.get_mut(&Value::from("headers"));
        if let (Some(ignored), Some(headers)) = (ignored, headers) {
            let headers = headers.as_object_mut().map_err(|_| wrong())?;
            for name in ignored.as_array().map_err(|_| wrong())?.iter() {
                headers.remove(name);
            }
        }
        let text = json_text(&request)?;
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let digest = digest.as_ref().try_into();
        digest.map_err(|_| invalid("no digest"))
    }
}

/// Nanoseconds of a duration as Go writes it: `1m30s`, `100ms`, `1.5h`.
fn duration(text: &str) -> Result<i64> {
    let nanos = of_interpreter("time.parse_duration_ns", &[Value::from(text)]);
    match nanos {
        Ok(Value::Number(nanos)) => nanos.as_i64(),
        _ => None,
    }
    .ok_or_else(|| invalid("invalid timeout value"))
}
