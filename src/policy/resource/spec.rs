//! The `spec` of each kind as users write it, every unknown field refused. Reading a whole object is
//! left to the parent module.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `spec` of an AuthorizationPolicy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuthorizationPolicySpec {
    pub selector: Option<Selector>,
    pub target_ref: Option<TargetRef>,
    pub target_refs: Option<Vec<TargetRef>>,
    pub action: Action,
    pub provider: Option<Provider>,
    pub rules: Option<Vec<Rule>>,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    #[default]
    Allow,
    Deny,
    Audit,
    Custom,
}

/// Who answers for action CUSTOM.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provider {
    pub name: String,
}

/// Workloads an object is for: those with all of these labels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    #[serde(deserialize_with = "null_is_default")]
    pub match_labels: BTreeMap<String, String>,
}

/// An object of Kubernetes that an object is for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetRef {
    #[serde(deserialize_with = "null_is_default")]
    pub group: String,
    pub kind: String,
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub namespace: String,
}

/// One rule. A part that is absent matches everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    pub from: Option<Vec<From>>,
    pub to: Option<Vec<To>>,
    pub when: Option<Vec<When>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    pub source: Source,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    pub operation: Operation,
}

/// Who sends the request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Source {
    pub principals: Values,
    pub not_principals: Values,
    pub request_principals: Values,
    pub not_request_principals: Values,
    pub namespaces: Values,
    pub not_namespaces: Values,
    pub service_accounts: Values,
    pub not_service_accounts: Values,
    pub ip_blocks: Values,
    pub not_ip_blocks: Values,
    pub remote_ip_blocks: Values,
    pub not_remote_ip_blocks: Values,
    pub trust_domains: Values,
    pub not_trust_domains: Values,
}

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Operation {
    pub hosts: Values,
    pub not_hosts: Values,
    pub ports: Values,
    pub not_ports: Values,
    pub methods: Values,
    pub not_methods: Values,
    pub paths: Values,
    pub not_paths: Values,
}

/// A further condition on one attribute.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct When {
    pub key: String,
    #[serde(default)]
    pub values: Values,
    #[serde(default)]
    pub not_values: Values,
}

/// Strings of which any may match; `null` and an empty list are the same as none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(pub Vec<String>);

/// `spec` of a RequestAuthentication.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestAuthenticationSpec {
    pub selector: Option<Selector>,
    pub target_ref: Option<TargetRef>,
    pub target_refs: Option<Vec<TargetRef>>,
    #[serde(deserialize_with = "null_is_default")]
    pub jwt_rules: Vec<JwtRule>,
}

/// Tokens of one issuer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JwtRule {
    pub issuer: String,
    pub audiences: Values,
    #[serde(alias = "jwks_uri")]
    pub jwks_uri: Option<String>,
    pub jwks: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub from_headers: Vec<FromHeader>,
    pub from_params: Values,
    pub from_cookies: Values,
    pub output_payload_to_header: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    pub forward_original_token: bool,
    pub timeout: Option<String>,
    pub space_delimited_claims: Values,
    pub presence: Presence,
}

/// Whether a request may come without a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Presence {
    #[default]
    Optional,
    Required,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromHeader {
    pub name: String,
    #[serde(default)]
    pub prefix: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimToHeader {
    pub header: String,
    pub claim: String,
}

/// `spec` of a PeerAuthentication.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PeerAuthenticationSpec {
    pub selector: Option<Selector>,
    pub mtls: Option<Mtls>,
    /// By port of the workload.
    pub port_level_mtls: Option<BTreeMap<String, Mtls>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mtls {
    pub mode: MtlsMode,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MtlsMode {
    /// As what it inherits.
    #[default]
    Unset,
    Disable,
    Permissive,
    Strict,
}

/// `spec` of a Telemetry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TelemetrySpec {
    pub selector: Option<Selector>,
    pub target_ref: Option<TargetRef>,
    pub target_refs: Option<Vec<TargetRef>>,
    pub access_logging: Option<Vec<AccessLogging>>,
    /// Of proxies, and so are metrics: nothing here goes by them.
    #[serde(rename = "tracing")]
    _tracing: Value,
    #[serde(rename = "metrics")]
    _metrics: Value,
}

/// What some providers get to see.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLogging {
    pub r#match: Option<LogMatch>,
    pub providers: Option<Vec<Provider>>,
    pub disabled: Option<bool>,
    pub filter: Option<LogFilter>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogMatch {
    pub mode: LogMode,
}

/// The side of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LogMode {
    #[default]
    ClientAndServer,
    Client,
    Server,
}

/// An expression in CEL.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogFilter {
    pub expression: String,
}

// === impl Values ===

impl Values {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        self.0.iter()
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_is_default(deserializer).map(Self)
    }
}

pub(super) fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
