//! RequestAuthentication, compiled: where a rule looks for tokens, which it accepts, and what is
//! passed on of them. What all rules of a workload come to is left to `attached`, the checks of a
//! token to the verifier.

mod attached;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub use attached::{Authenticated, Authentication, Refused, Unauthenticated};

use super::attachment::Attachment;
use crate::attributes::Headers;
use crate::identity::{KeySet, KeySource, Keys, Location, VerifiedToken, Verifier};
use crate::policy::resource::{JwtRule, Presence, RequestAuthenticationSpec, Resource};
use crate::yaml::Problem;

/// How long a fetch of keys may take if the rule does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// A rule that allows more gets this much.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// One object.
#[derive(Debug)]
pub(super) struct CompiledAuthentication {
    pub attachment: Attachment,
    pub rules: Vec<Arc<CompiledJwtRule>>,
}

/// Tokens of one issuer.
#[derive(Debug)]
pub(super) struct CompiledJwtRule {
    namespace: String,
    policy: String,
    issuer: String,
    locations: Vec<Location>,
    verifier: Verifier,
    /// Longest a document of the key set's may take to fetch.
    timeout: Duration,
    forward: bool,
    /// Whether a request without any token is refused.
    required: bool,
    payload_header: Option<String>,
    claim_headers: Vec<(String, Vec<String>)>,
}

/// Compiles one object.
pub(super) fn compile(
    resource: &Resource,
    spec: &RequestAuthenticationSpec,
) -> Result<CompiledAuthentication, Vec<Problem>> {
    let mut problems = Vec::new();
    let document = &resource.document;
    let attachment = Attachment::compile(
        document,
        spec.selector.as_ref(),
        spec.target_ref.as_ref(),
        spec.target_refs.as_deref(),
        &mut problems,
    );
    let mut rules = Vec::new();
    for (index, rule) in spec.jwt_rules.iter().enumerate() {
        match CompiledJwtRule::compile(resource, rule) {
            Ok(rule) => rules.push(Arc::new(rule)),
            Err((field, why)) => {
                let path = format!("spec.jwtRules[{index}]{field}");
                problems.push(document.problem(&path, why));
            }
        }
    }
    if problems.is_empty() {
        Ok(CompiledAuthentication { attachment, rules })
    } else {
        Err(problems)
    }
}

// === impl CompiledJwtRule ===

impl CompiledJwtRule {
    fn compile(resource: &Resource, rule: &JwtRule) -> Result<Self, (&'static str, String)> {
        let keys = keys(rule)?;
        let timeout = timeout(rule.timeout.as_deref())?;
        if rule.audiences.iter().any(String::is_empty) {
            return Err((
                ".audiences",
                "audience must be a non-empty string".to_owned(),
            ));
        }
        let mut outputs = rule.output_claim_to_headers.iter();
        if outputs.any(|output| output.claim.is_empty()) {
            let why = "claim must be a non-empty string";
            return Err((".outputClaimToHeaders", why.to_owned()));
        }
        let claim_headers = rule.output_claim_to_headers.iter().map(|output| {
            let path = output.claim.split('.').map(str::to_owned).collect();
            (output.header.to_ascii_lowercase(), path)
        });
        let compiled = Self {
            namespace: resource.id.namespace.clone(),
            policy: resource.id.name.clone(),
            issuer: rule.issuer.clone(),
            locations: locations(rule)?,
            verifier: Verifier::new(
                &rule.issuer,
                &rule.audiences.0,
                keys,
                &rule.space_delimited_claims.0,
            ),
            timeout,
            forward: rule.forward_original_token,
            required: rule.presence == Presence::Required,
            payload_header: rule
                .output_payload_to_header
                .as_deref()
                .map(str::to_ascii_lowercase),
            claim_headers: claim_headers.collect(),
        };
        for name in compiled.output_headers() {
            if !is_header_name(name) {
                return Err(("", format!("`{name}` is not a header name")));
            }
            if Headers::FRAMING.contains(&name.as_str()) {
                return Err(("", format!("a policy may not change `{name}`")));
            }
        }
        Ok(compiled)
    }

    /// Where its keys are fetched from, if they are, and how long that may take.
    pub(super) fn key_source(&self) -> Option<(&KeySource, Duration)> {
        Some((self.verifier.key_source()?, self.timeout))
    }

    fn output_headers(&self) -> impl Iterator<Item = &String> {
        let claims = self.claim_headers.iter().map(|(name, _)| name);
        self.payload_header.iter().chain(claims)
    }

    /// What is passed on of a token this rule accepted.
    fn outputs(&self, token: &VerifiedToken) -> Vec<(String, String)> {
        let payload = self
            .payload_header
            .iter()
            .map(|name| (name.clone(), token.payload().to_owned()));
        let claims = self.claim_headers.iter().filter_map(|(name, path)| {
            let text = header_text(token.written_claim(path)?)?;
            Some((name.clone(), text))
        });
        payload.chain(claims).collect()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.policy)
    }
}

fn keys(rule: &JwtRule) -> Result<Keys, (&'static str, String)> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (given(&rule.jwks), given(&rule.jwks_uri)) {
        (Some(_), Some(_)) => {
            let why = "only one of `jwks` and `jwksUri` can be set";
            Err((".jwksUri", why.to_owned()))
        }
        (Some(jwks), None) => KeySet::parse(&jwks)
            .map(|keys| Keys::Given(Arc::new(keys)))
            .map_err(|error| (".jwks", error.to_string())),
        (None, Some(url)) => KeySource::at(&url)
            .map(Keys::Remote)
            .map_err(|error| (".jwksUri", error.to_string())),
        // Rule: without an issuer, tokens of any issuer pass that one of the given keys signed.
        (None, None) if rule.issuer.is_empty() => {
            Err(("", "`issuer` must be a non-empty string".to_owned()))
        }
        (None, None) => KeySource::of_issuer(&rule.issuer)
            .map(Keys::Remote)
            .map_err(|error| {
                let why = format!(
                    "OIDC discovery needs the issuer's URL, but it {error}; or give `jwksUri` or `jwks`"
                );
                (".issuer", why)
            }),
    }
}

/// Rule: a protobuf duration in its JSON form, at least a millisecond.
fn timeout(text: Option<&str>) -> Result<Duration, (&'static str, String)> {
    let Some(text) = text else {
        return Ok(DEFAULT_TIMEOUT);
    };
    let parsed = parse_duration(text).ok_or_else(|| {
        let why = format!("`{text}` is not a duration in seconds such as `5s` or `0.5s`");
        (".timeout", why)
    })?;
    if parsed < MIN_TIMEOUT {
        return Err((".timeout", "must be at least 0.001s".to_owned()));
    }
    Ok(parsed.min(MAX_TIMEOUT))
}

/// Whole seconds, and up to nine digits of a fraction.
fn parse_duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

fn locations(rule: &JwtRule) -> Result<Vec<Location>, (&'static str, String)> {
    let mut locations = Vec::new();
    for header in &rule.from_headers {
        if !is_header_name(&header.name) {
            return Err((
                ".fromHeaders",
                format!("`{}` is not a header name", header.name),
            ));
        }
        locations.push(Location::Header {
            name: header.name.to_ascii_lowercase(),
            prefix: header.prefix.clone(),
        });
    }
    for (field, names) in [
        (".fromParams", &rule.from_params),
        (".fromCookies", &rule.from_cookies),
    ] {
        if names.iter().any(String::is_empty) {
            return Err((field, "names must not be empty".to_owned()));
        }
    }
    locations.extend(rule.from_params.iter().cloned().map(Location::Parameter));
    locations.extend(rule.from_cookies.iter().cloned().map(Location::Cookie));
    // Rule: any list given replaces the defaults.
    if locations.is_empty() {
        locations = Location::defaults();
    }
    Ok(locations)
}

fn is_header_name(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(valid)
}

/// Rule: strings as they are, numbers as C++ prints them, lists and objects as base64 of their
/// JSON, empty strings and null not at all. What cannot stand in a header is left out.
fn header_text(claim: &Value) -> Option<String> {
    let text = match claim {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number_text(number.as_f64()?),
        Value::Array(_) | Value::Object(_) => STANDARD.encode(claim.to_string()),
    };
    let printable = text
        .bytes()
        .all(|byte| byte == b'\t' || !byte.is_ascii_control());
    Some(text).filter(|text| printable && !text.is_empty())
}

/// Rule: a double, written as an integer if it is one without a sign and of 64 bits.
fn number_text(number: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    if number.fract() == 0.0 && (0.0..TWO_TO_64).contains(&number) {
        (number as u64).to_string()
    } else {
        format!("{number:.6}")
    }
}
