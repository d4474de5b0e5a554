//! Which workload a request is for, from the first source that tells. Which policies are for it is
//! left to `attachment`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::attributes::{Attributes, Pairs, lookup};
use crate::identity::SpiffeId;
use crate::policy::resource;

/// Context extensions by which a proxy's route names the workload.
const EXTENSION_PREFIX: &str = "doorward.";
const NAMESPACE_EXTENSION: &str = "doorward.namespace";
const LABELS_EXTENSION: &str = "doorward.labels";
const ACCOUNT_EXTENSION: &str = "doorward.service-account";
const GATEWAY_EXTENSION: &str = "doorward.gateway";
const SERVICE_EXTENSION: &str = "doorward.service";
const SERVICE_ENTRY_EXTENSION: &str = "doorward.service-entry";
const EXTENSIONS: [&str; 6] = [
    NAMESPACE_EXTENSION,
    LABELS_EXTENSION,
    ACCOUNT_EXTENSION,
    GATEWAY_EXTENSION,
    SERVICE_EXTENSION,
    SERVICE_ENTRY_EXTENSION,
];
/// Label of the pods of a Gateway.
const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// A workload; what no source tells is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Workload {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Sorted by name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_object")]
    pub labels: Option<Pairs>,
    /// Name of the Gateway it belongs to, if a route says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The service behind a waypoint that the request is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
}

/// A service behind a waypoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ServiceName {
    pub kind: ServiceKind,
    pub namespace: String,
    pub name: String,
}

/// Where a service is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ServiceKind {
    Service,
    ServiceEntry,
}

/// The workload of requests that do not say otherwise: `mesh.default_workload`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadConfig {
    pub namespace: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub service_account: Option<String>,
}

/// What is known of a service account's workload: an entry of `workloads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownWorkload {
    pub service_account: String,
    /// Of the service account; without it, one of that name in any namespace.
    pub namespace: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
}

/// Sources besides the request itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadSources {
    /// By namespace and service account.
    pub known: Vec<Workload>,
    /// Shared by all requests that say nothing of their own.
    pub default: Arc<Workload>,
}

// === impl Workload ===

impl Workload {
    /// Finds out which workload a request is for: each part from the first source that has it.
    /// What the proxy's route says must be well-formed: what is not understood could be what a DENY
    /// policy is for.
    pub fn of(attributes: &Attributes, sources: &WorkloadSources) -> Result<Arc<Self>, String> {
        let told = Self::told_by(attributes)?;
        if told == Self::default() {
            return Ok(Arc::clone(&sources.default));
        }
        let account = told.service_account.as_ref();
        let known = sources.known.iter().find(|known| {
            // A namespace on either side that is not told does not tell them apart.
            let same_namespace = match (&known.namespace, &told.namespace) {
                (Some(known), Some(told)) => known == told,
                _ => true,
            };
            account.is_some() && known.service_account.as_ref() == account && same_namespace
        });
        Ok(Arc::new(told.or(known).or(Some(&sources.default))))
    }

    /// What the request itself says: context extensions of the proxy's route first, then what the
    /// proxy knows of its own side of the connection.
    fn told_by(attributes: &Attributes) -> Result<Self, String> {
        check_extensions(attributes)?;
        for name in [NAMESPACE_EXTENSION, GATEWAY_EXTENSION] {
            let told = attributes.context_extension(name);
            if let Some(text) = told.filter(|text| !resource::is_name(text)) {
                return Err(format!("`{name}`: `{text}` is not a name"));
            }
        }
        let extension = |name| attributes.context_extension(name).map(str::to_owned);
        let destination = attributes.destination.as_ref();
        let identity = destination
            .and_then(|peer| SpiffeId::parse(&peer.principal).ok())
            .and_then(|id| id.workload());
        let labels = destination
            .map(|peer| &peer.labels)
            .filter(|labels| !labels.is_empty());
        let told_labels = attributes
            .context_extension(LABELS_EXTENSION)
            .map(parse_labels);
        Ok(Self {
            namespace: extension(NAMESPACE_EXTENSION)
                .or_else(|| identity.map(|(namespace, _)| namespace.to_owned())),
            labels: told_labels.transpose()?.or_else(|| labels.cloned()),
            service_account: extension(ACCOUNT_EXTENSION)
                .or_else(|| identity.map(|(_, account)| account.to_owned())),
            gateway: extension(GATEWAY_EXTENSION),
            service: told_service(attributes)?,
        })
    }

    fn or(self, other: Option<&Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            namespace: self.namespace.or_else(|| other.namespace.clone()),
            labels: self.labels.or_else(|| other.labels.clone()),
            service_account: self
                .service_account
                .or_else(|| other.service_account.clone()),
            gateway: self.gateway,
            service: self.service,
        }
    }

    /// Whether nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The Gateway it belongs to. Rule: its pods carry the name as a label.
    pub fn gateway(&self) -> Option<&str> {
        let label = || lookup(self.labels.as_ref()?, GATEWAY_LABEL).filter(|name| !name.is_empty());
        self.gateway.as_deref().or_else(label)
    }
}

fn as_object<S: Serializer>(pairs: &Option<Pairs>, serializer: S) -> Result<S::Ok, S::Error> {
    let pairs = pairs.iter().flatten();
    serializer.collect_map(pairs.map(|(name, value)| (name, value)))
}

impl From<KnownWorkload> for Workload {
    fn from(known: KnownWorkload) -> Self {
        Self::from(WorkloadConfig {
            namespace: known.namespace,
            labels: known.labels,
            service_account: Some(known.service_account),
        })
    }
}

impl From<WorkloadConfig> for Workload {
    fn from(config: WorkloadConfig) -> Self {
        Self {
            namespace: config.namespace,
            labels: config.labels.map(|labels| labels.into_iter().collect()),
            service_account: config.service_account,
            gateway: None,
            service: None,
        }
    }
}

/// Context extensions of ours that are not known are mistakes, not somebody else's.
fn check_extensions(attributes: &Attributes) -> Result<(), String> {
    let names = attributes
        .context_extensions
        .iter()
        .map(|(name, _)| name.as_str());
    match names
        .into_iter()
        .find(|name| name.starts_with(EXTENSION_PREFIX) && !EXTENSIONS.contains(name))
    {
        None => Ok(()),
        Some(name) => Err(format!("context extension `{name}` is not known")),
    }
}

/// `NAMESPACE/NAME` of the service behind a waypoint; a request is for one.
fn told_service(attributes: &Attributes) -> Result<Option<ServiceName>, String> {
    let told = |extension, kind| {
        let text = attributes.context_extension(extension)?;
        Some((extension, kind, text))
    };
    let service = told(SERVICE_EXTENSION, ServiceKind::Service);
    let entry = told(SERVICE_ENTRY_EXTENSION, ServiceKind::ServiceEntry);
    if service.is_some() && entry.is_some() {
        return Err(format!(
            "`{SERVICE_EXTENSION}` and `{SERVICE_ENTRY_EXTENSION}` exclude each other"
        ));
    }
    let Some((extension, kind, text)) = service.or(entry) else {
        return Ok(None);
    };
    match text.split_once('/') {
        Some((namespace, name)) if resource::is_name(namespace) && resource::is_name(name) => {
            Ok(Some(ServiceName {
                kind,
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }))
        }
        _ => Err(format!("`{extension}`: `{text}` is not `NAMESPACE/NAME`")),
    }
}

/// `k=v,k=v`; no labels at all is `""`.
fn parse_labels(text: &str) -> Result<Pairs, String> {
    let mut labels = Pairs::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|_| !text.trim().is_empty())
    {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(format!(
                "`{LABELS_EXTENSION}`: `{pair}` is not `NAME=VALUE`"
            ));
        };
        let (name, value) = (name.trim(), value.trim());
        let valid =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
        if name.is_empty() || !name.bytes().chain(value.bytes()).all(valid) {
            return Err(format!("`{LABELS_EXTENSION}`: `{pair}` is not a label"));
        }
        if lookup(&labels, name).is_some() {
            return Err(format!(
                "`{LABELS_EXTENSION}`: label `{name}` is there twice"
            ));
        }
        labels.push((name.to_owned(), value.to_owned()));
        labels.sort();
    }
    Ok(labels)
}
