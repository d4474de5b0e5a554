//! Native policy objects as users write them: Istio's `AuthorizationPolicy`,
//! `RequestAuthentication` and `PeerAuthentication`, with every unknown field refused. Their meaning
//! is left to `native`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::yaml::{Document, Problem};

/// Namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// API versions that are understood; both have the same schema.
const API_VERSIONS: [&str; 2] = ["security.istio.io/v1", "security.istio.io/v1beta1"];

/// One object, parsed.
#[derive(Debug, Clone)]
pub struct Resource {
    pub id: ResourceId,
    pub spec: Spec,
    /// The object as it was written, for storing and showing.
    pub document: Document,
    /// When it was made; of several that exclude each other the oldest holds.
    pub created: Option<jiff::Timestamp>,
    /// Annotated to be tried and not enforced.
    pub dry_run: bool,
    /// Where it was written; `None` for an object out of the store.
    pub file: Option<Arc<str>>,
}

/// What names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResourceId {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// Kinds that are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    AuthorizationPolicy,
    RequestAuthentication,
    PeerAuthentication,
}

/// The part of an object that says what it does.
#[derive(Debug, Clone)]
pub enum Spec {
    AuthorizationPolicy(AuthorizationPolicySpec),
    RequestAuthentication(RequestAuthenticationSpec),
    PeerAuthentication(PeerAuthenticationSpec),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    /// Written by controllers, read by nobody here.
    #[serde(default, rename = "status")]
    _status: Value,
}

/// Metadata has many more members in Kubernetes; they are of no meaning here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    annotations: BTreeMap<String, String>,
    creation_timestamp: Option<jiff::Timestamp>,
}

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

// === impl Resource ===

impl Resource {
    /// Reads all objects of a YAML or JSON stream; a `kind: List` stands for its items.
    pub fn parse_stream(text: &str) -> Result<Vec<Self>, Vec<Problem>> {
        let documents = Document::parse_stream(text).map_err(|problem| vec![problem])?;
        let mut resources = Vec::new();
        let mut problems = Vec::new();
        for document in documents.iter().flat_map(items) {
            match Self::parse(document) {
                Ok(resource) => resources.push(resource),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(resources)
        } else {
            Err(problems)
        }
    }

    /// Reads one object.
    pub fn parse(document: Document) -> Result<Self, Problem> {
        let envelope: Envelope = document.read()?;
        // The kind first: of one that is not ours it says more than the version of its API.
        let kind = Kind::parse(&envelope.kind).map_err(|why| document.problem("kind", why))?;
        if !API_VERSIONS.contains(&envelope.api_version.as_str()) {
            let known = API_VERSIONS.join("` or `");
            let message = format!("`{}` is not `{known}`", envelope.api_version);
            return Err(document.problem("apiVersion", message));
        }
        for (path, name) in [
            ("metadata.name", Some(&envelope.metadata.name)),
            ("metadata.namespace", envelope.metadata.namespace.as_ref()),
        ] {
            if name.is_some_and(|name| !is_name(name)) {
                let message = "is not a valid Kubernetes name (a-z, 0-9, `-` and `.`)";
                return Err(document.problem(path, message));
            }
        }
        let dry_run = dry_run(&document, kind, &envelope.metadata.annotations)?;
        let spec = match kind {
            Kind::AuthorizationPolicy => {
                Spec::AuthorizationPolicy(read_spec(&document, envelope.spec)?)
            }
            Kind::RequestAuthentication => {
                Spec::RequestAuthentication(read_spec(&document, envelope.spec)?)
            }
            Kind::PeerAuthentication => {
                Spec::PeerAuthentication(read_spec(&document, envelope.spec)?)
            }
        };
        let id = ResourceId {
            kind,
            namespace: envelope
                .metadata
                .namespace
                .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            name: envelope.metadata.name,
        };
        Ok(Self {
            id,
            spec,
            document,
            created: envelope.metadata.creation_timestamp,
            dry_run,
            file: None,
        })
    }
}

impl Resource {
    /// The same object, with the file that errors are to name.
    pub fn in_file(self, file: &str) -> Self {
        let file = Some(file.into());
        Self { file, ..self }
    }

    /// Notes when the object was made, if it does not say.
    pub fn created_at(&mut self, time: jiff::Timestamp) {
        if self.created.is_none() {
            self.created = Some(time);
            if let Some(metadata) = self
                .document
                .value
                .get_mut("metadata")
                .and_then(Value::as_object_mut)
            {
                metadata.insert("creationTimestamp".to_owned(), time.to_string().into());
            }
        }
    }

    /// What errors name: its file, or itself.
    pub fn origin(&self) -> String {
        self.file
            .as_ref()
            .map_or_else(|| self.id.to_string(), ToString::to_string)
    }
}

/// A spec that is absent or null is an empty one, as in Kubernetes.
fn read_spec<T: Default + serde::de::DeserializeOwned>(
    document: &Document,
    spec: Value,
) -> Result<T, Problem> {
    if spec.is_null() {
        return Ok(T::default());
    }
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        document.problem(&path, error.inner().to_string())
    })
}

/// The items of a `kind: List`, or the document itself.
fn items(document: &Document) -> Vec<Document> {
    let is_list = document.value.get("kind").and_then(Value::as_str) == Some("List");
    match document.value.get("items") {
        Some(Value::Array(list)) if is_list => {
            let items = list.iter().enumerate();
            items
                .map(|(index, item)| document.part(&format!("items[{index}]"), item))
                .collect()
        }
        _ => vec![document.clone()],
    }
}

/// Rule: a truth value as Go reads it. On another kind it has no meaning, and what was meant as a
/// trial would be enforced.
fn dry_run(
    document: &Document,
    kind: Kind,
    annotations: &BTreeMap<String, String>,
) -> Result<bool, Problem> {
    let refuse = |why: &str| Err(document.problem("metadata.annotations", why));
    let Some(text) = annotations.get("istio.io/dry-run") else {
        return Ok(false);
    };
    if kind != Kind::AuthorizationPolicy {
        return refuse("`istio.io/dry-run` is for AuthorizationPolicy only");
    }
    match text.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => refuse("`istio.io/dry-run` is neither true nor false"),
    }
}

/// Names go into policy ids and log lines: nothing but what Kubernetes allows.
pub(super) fn is_name(name: &str) -> bool {
    let valid = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    (1..=253).contains(&name.len()) && name.bytes().all(valid)
}

// === impl Kind ===

impl Kind {
    /// Reads a kind, saying of others what they are.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "AuthorizationPolicy" => Ok(Self::AuthorizationPolicy),
            "RequestAuthentication" => Ok(Self::RequestAuthentication),
            "PeerAuthentication" => Ok(Self::PeerAuthentication),
            "NetworkPolicy" => {
                Err("`NetworkPolicy` is enforced by the network plugin, not here".to_owned())
            }
            "DestinationRule" | "VirtualService" | "Gateway" => {
                Err(format!("`{name}` is enforced by the proxy, not here"))
            }
            _ => Err(format!(
                "`{name}` is neither `AuthorizationPolicy`, `RequestAuthentication` nor `PeerAuthentication`"
            )),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AuthorizationPolicy => "AuthorizationPolicy",
            Self::RequestAuthentication => "RequestAuthentication",
            Self::PeerAuthentication => "PeerAuthentication",
        })
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
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

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
