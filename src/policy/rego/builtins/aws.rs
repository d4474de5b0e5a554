//! `providers.aws.sign_req`: requests signed for AWS with Signature Version 4. Sending them is left to
//! `http.send`.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use jiff::Timestamp;
use regorus::Value;

use super::encoding::json_text;
use super::go_json::insert;
use super::url::Url;
use super::{Answer, Builtin, Failure, any, hexadecimal};

/// What stands for the digest of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const CONTENT_DIGEST: &str = "x-amz-content-sha256";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Headers that proxies change, in small letters: they are not signed.
const IGNORED_HEADERS: &[&str] = &["authorization", "user-agent", "x-amzn-trace-id"];

/// What a request of `http.send` may say.
const PARAMETERS: &[&str] = &[
    "body",
    "cache",
    "cache_ignored_headers",
    "caching_mode",
    "enable_redirect",
    "force_cache",
    "force_cache_duration_seconds",
    "force_json_decode",
    "force_yaml_decode",
    "headers",
    "max_retry_attempts",
    "method",
    "raise_error",
    "raw_body",
    "timeout",
    "tls_ca_cert",
    "tls_ca_cert_env_variable",
    "tls_ca_cert_file",
    "tls_client_cert",
    "tls_client_cert_env_variable",
    "tls_client_cert_file",
    "tls_client_key",
    "tls_client_key_env_variable",
    "tls_client_key_file",
    "tls_insecure_skip_verify",
    "tls_server_name",
    "tls_use_system_certs",
    "url",
];

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("providers.aws.sign_req", 3, sign_request)];

/// Who signs, and for what.
struct Signer<'a> {
    access_key: &'a str,
    secret_key: &'a str,
    session_token: &'a str,
    region: &'a str,
    service: &'a str,
    signs_payload: bool,
}

/// What of a request is signed.
struct Request<'a> {
    method: &'a str,
    url: Url,
    headers: BTreeMap<&'a str, &'a str>,
    body: Vec<u8>,
}

/// A point in time in the two forms that are signed.
struct Moment {
    day: String,
    second: String,
}

/// Rule: the request with the headers that sign it, and those that were in it.
fn sign_request(arguments: &[Value]) -> Answer {
    let request = any(arguments, 0)?;
    let parsed = Request::parse(request)?;
    let signer = Signer::parse(any(arguments, 1)?)?;
    let moment = Moment::parse(any(arguments, 2)?)?;
    let digest = match signer.signs_payload {
        true => sha256(&parsed.body),
        false => UNSIGNED.to_owned(),
    };
    let added = signer.headers(&parsed.url, &moment, &digest);
    let authorization = signer.authorization(&parsed, &moment, &digest, &added);

    let mut headers = Value::new_object();
    for (name, value) in parsed.headers {
        insert(&mut headers, [(name, Value::from(value))]);
    }
    insert(
        &mut headers,
        [("Authorization", Value::from(authorization))],
    );
    for (name, value) in added {
        insert(&mut headers, [(name, Value::from(value))]);
    }
    let mut signed = request.clone();
    insert(&mut signed, [("headers", headers)]);
    Ok(signed)
}

// === impl Signer ===

impl<'a> Signer<'a> {
    fn parse(config: &'a Value) -> Result<Self, Failure> {
        let required = |name| match member(config, name) {
            Some(Value::String(text)) => Ok(text.as_ref()),
            Some(_) => Err(Failure::Failed("invalid values for required AWS config")),
            None => Err(Failure::Failed("missing required AWS config parameters")),
        };
        Ok(Self {
            access_key: required("aws_access_key")?,
            secret_key: required("aws_secret_access_key")?,
            session_token: member(config, "aws_session_token").map_or("", string),
            region: required("aws_region")?,
            service: required("aws_service")?,
            signs_payload: match member(config, "disable_payload_signing") {
                None => true,
                Some(Value::Bool(disabled)) => !disabled,
                Some(_) => return Err(Failure::Failed("invalid 'disable_payload_signing'")),
            },
        })
    }

    /// The headers that signing adds.
    fn headers(&self, url: &Url, moment: &Moment, digest: &str) -> BTreeMap<&'static str, String> {
        let host = String::from_utf8_lossy(&url.host).into_owned();
        let mut headers = BTreeMap::from([("host", host), ("x-amz-date", moment.second.clone())]);
        // Rule: two services want the digest of the body as well.
        if matches!(self.service, "s3" | "glacier") {
            headers.insert(CONTENT_DIGEST, digest.to_owned());
        }
        if !self.session_token.is_empty() {
            headers.insert("x-amz-security-token", self.session_token.to_owned());
        }
        headers
    }

    /// The header `Authorization`.
    fn authorization(
        &self,
        request: &Request<'_>,
        moment: &Moment,
        digest: &str,
        added: &BTreeMap<&'static str, String>,
    ) -> String {
        let signed = request.signed_headers(added);
        let names: Vec<_> = signed.keys().map(String::as_str).collect();
        let names = names.join(";");
        let lines: String = signed
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{digest}",
            request.method,
            request.url.escaped_path(),
            request.url.raw_query
        );
        let scope = format!(
            "{}/{}/{}/aws4_request",
            moment.day, self.region, self.service
        );
        let text = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            moment.second,
            sha256(canonical.as_bytes())
        );
        let signature = hexadecimal(self.mac(moment, &text).as_ref());
        format!(
            "{ALGORITHM} Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access_key
        )
    }

    /// Rule: the key is made of the secret, the day, the region and the service, one after the other.
    fn mac(&self, moment: &Moment, text: &str) -> Tag {
        let secret = format!("AWS4{}", self.secret_key);
        let chain = [&moment.day, self.region, self.service, "aws4_request", text];
        let mut tag = None::<Tag>;
        for part in chain {
            let key = tag.as_ref().map_or(secret.as_bytes(), Tag::as_ref);
            tag = Some(sign(&Key::new(HMAC_SHA256, key), part.as_bytes()));
        }
        // There is a part.
        tag.unwrap_or_else(|| sign(&Key::new(HMAC_SHA256, secret.as_bytes()), text.as_bytes()))
    }
}

// === impl Request ===

impl<'a> Request<'a> {
    fn parse(request: &'a Value) -> Result<Self, Failure> {
        let members = request
            .as_object()
            .map_err(|_| Failure::Failed("the request must be an object"))?;
        // Rule: nothing but what `http.send` knows.
        let is_known = |name: &Value| matches!(name, Value::String(name) if PARAMETERS.contains(&name.as_ref()));
        if !members.keys().all(is_known) {
            return Err(Failure::Failed("invalid request parameters"));
        }
        let required = |name| match member(request, name) {
            Some(Value::String(text)) => Ok(text.as_ref()),
            _ => Err(Failure::Failed("missing or invalid request parameters")),
        };
        Ok(Self {
            method: required("method")?,
            url: Url::parse(required("url")?).ok_or(Failure::Failed("not a URL"))?,
            headers: headers(request)?,
            body: body(request)?,
        })
    }

    /// Rule: those that are added, and the request's own, in small letters; of two the request's.
    fn signed_headers(&self, added: &BTreeMap<&'static str, String>) -> BTreeMap<String, String> {
        let added = added
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), (*value).to_owned()));
        let own = own.filter(|(name, _)| !IGNORED_HEADERS.contains(&name.as_str()));
        added.chain(own).collect()
    }
}

/// Rule: a name or a value that is no string is empty.
fn headers(request: &Value) -> Result<BTreeMap<&str, &str>, Failure> {
    let Some(headers) = member(request, "headers") else {
        return Ok(BTreeMap::new());
    };
    let headers = headers
        .as_object()
        .map_err(|_| Failure::Failed("headers must be an object"))?;
    Ok(headers
        .iter()
        .map(|(name, value)| (string(name), string(value)))
        .collect())
}

/// Rule: the text of the body as it is, or else its value as Go writes JSON.
fn body(request: &Value) -> Result<Vec<u8>, Failure> {
    if let Some(raw) = member(request, "raw_body") {
        return Ok(string(raw).as_bytes().to_vec());
    }
    let Some(body) = member(request, "body") else {
        return Ok(Vec::new());
    };
    Ok(json_text(body)?.into_bytes())
}

// === impl Moment ===

impl Moment {
    /// Nanoseconds since 1970. Rule (of ours): nothing is signed for a time before.
    fn parse(time: &Value) -> Result<Self, Failure> {
        let nanoseconds = match time {
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        let time = nanoseconds
            .filter(|nanoseconds| *nanoseconds >= 0)
            .and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds.into()).ok())
            .ok_or(Failure::Failed("not a time in nanoseconds"))?;
        Ok(Self {
            day: time.strftime("%Y%m%d").to_string(),
            second: time.strftime("%Y%m%dT%H%M%SZ").to_string(),
        })
    }
}

fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    object.as_object().ok()?.get(&Value::from(name))
}

fn string(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        _ => "",
    }
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}
