//! Native policy objects as users write them: Istio's `AuthorizationPolicy`, `RequestAuthentication`,
//! `PeerAuthentication` and `Telemetry`, with every unknown field refused. Their meaning
//! is left to `native`.

mod spec;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::yaml::{Document, Problem};

use spec::null_is_default;
pub use spec::*;

/// Namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// API versions that are understood; those of a kind have the same schema.
const SECURITY_VERSIONS: [&str; 2] = ["security.istio.io/v1", "security.istio.io/v1beta1"];
const TELEMETRY_VERSIONS: [&str; 2] = ["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"];

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

/// Kinds that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    AuthorizationPolicy,
    RequestAuthentication,
    PeerAuthentication,
    /// Says what is recorded, and decides nothing.
    Telemetry,
}

/// The part of an object that says what it does.
#[derive(Debug, Clone)]
pub enum Spec {
    AuthorizationPolicy(AuthorizationPolicySpec),
    RequestAuthentication(RequestAuthenticationSpec),
    PeerAuthentication(PeerAuthenticationSpec),
    Telemetry(TelemetrySpec),
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
        let versions = kind.versions();
        if !versions.contains(&envelope.api_version.as_str()) {
            let known = versions.join("` or `");
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
            Kind::Telemetry => Spec::Telemetry(read_spec(&document, envelope.spec)?),
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
    fn versions(self) -> [&'static str; 2] {
        match self {
            Self::Telemetry => TELEMETRY_VERSIONS,
            _ => SECURITY_VERSIONS,
        }
    }

    /// Reads a kind, saying of others what they are.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "AuthorizationPolicy" => Ok(Self::AuthorizationPolicy),
            "RequestAuthentication" => Ok(Self::RequestAuthentication),
            "PeerAuthentication" => Ok(Self::PeerAuthentication),
            "Telemetry" => Ok(Self::Telemetry),
            "NetworkPolicy" => {
                Err("`NetworkPolicy` is enforced by the network plugin, not here".to_owned())
            }
            "DestinationRule" | "VirtualService" | "Gateway" => {
                Err(format!("`{name}` is enforced by the proxy, not here"))
            }
            _ => Err(format!(
                "`{name}` is neither `AuthorizationPolicy`, `RequestAuthentication`, `PeerAuthentication` nor `Telemetry`"
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
            Self::Telemetry => "Telemetry",
        })
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}
