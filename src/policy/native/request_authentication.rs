//! RequestAuthentication, compiled: where a rule looks for tokens, which it accepts, and what is
//! passed on of them. What all rules of a workload come to is left to `attached`, the checks of a
//! token to the verifier.

mod attached;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub use attached::{Authenticated, Authentication, Refused};

use super::attachment::Attachment;
use crate::identity::{KeySet, Location, VerifiedToken, Verifier};
use crate::policy::resource::{JwtRule, RequestAuthenticationSpec, Resource};
use crate::yaml::Problem;

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
    forward: bool,
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
        if rule.jwks_uri.is_some() {
            return Err((
                ".jwksUri",
                "remote key sets are not supported yet; give `jwks`".to_owned(),
            ));
        }
        // Rule: without an issuer, tokens of any issuer pass that one of the given keys signed.
        if rule.issuer.is_empty() && rule.jwks.is_none() {
            return Err(("", "`issuer` must be a non-empty string".to_owned()));
        }
        let Some(jwks) = &rule.jwks else {
            return Err((
                "",
                "OIDC discovery is not supported yet; give `jwks`".to_owned(),
            ));
        };
        let keys = KeySet::parse(jwks).map_err(|error| (".jwks", error.to_string()))?;
        if rule.audiences.iter().any(String::is_empty) {
            return Err((
                ".audiences",
                "audience must be a non-empty string".to_owned(),
            ));
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
                Arc::new(keys),
                &rule.space_delimited_claims.0,
            ),
            forward: rule.forward_original_token,
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
        }
        Ok(compiled)
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
