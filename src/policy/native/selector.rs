//! Which workload a request is for, and whether a policy selects it. The order of the sources is
//! fixed here; what policies then say is left to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::attributes::{Attributes, Pairs, lookup};
use crate::identity::SpiffeId;
use crate::policy::resource;

/// Context extensions by which a proxy's route names the workload.
const EXTENSION_PREFIX: &str = "doorward.";
const NAMESPACE_EXTENSION: &str = "doorward.namespace";
const LABELS_EXTENSION: &str = "doorward.labels";
const ACCOUNT_EXTENSION: &str = "doorward.service-account";

/// A workload; what no source tells is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    pub namespace: Option<String>,
    /// Sorted by name.
    pub labels: Option<Pairs>,
    pub service_account: Option<String>,
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

/// Labels that a policy asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<(String, String)>,
}

// === impl Workload ===

impl Workload {
    /// Finds out which workload a request is for: each part from the first source that has it.
    /// What the proxy's route says must be well-formed: a label that is not understood could be the
    /// one that a DENY policy selects.
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
        }
    }
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
        }
    }
}

/// Context extensions of ours that are not known are mistakes, not somebody else's.
fn check_extensions(attributes: &Attributes) -> Result<(), String> {
    let known = [NAMESPACE_EXTENSION, LABELS_EXTENSION, ACCOUNT_EXTENSION];
    let names = attributes
        .context_extensions
        .iter()
        .map(|(name, _)| name.as_str());
    match names
        .into_iter()
        .find(|name| name.starts_with(EXTENSION_PREFIX) && !known.contains(name))
    {
        None => Ok(()),
        Some(name) => Err(format!("context extension `{name}` is not known")),
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

// === impl Selector ===

impl Selector {
    pub(super) fn compile(selector: Option<&resource::Selector>) -> Result<Self, String> {
        let labels = selector.map(|selector| &selector.match_labels);
        for (name, value) in labels.into_iter().flatten() {
            if name.is_empty() {
                return Err("empty key is not supported in selector".to_owned());
            }
            if name.contains('*') || value.contains('*') {
                return Err("wildcard is not supported in selector".to_owned());
            }
        }
        let labels = labels.into_iter().flatten();
        Ok(Self {
            labels: labels
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        })
    }

    /// Whether it selects every workload of its namespace.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rule: every label asked for is there with the same value.
    pub(super) fn selects(&self, labels: &Pairs) -> bool {
        self.labels
            .iter()
            .all(|(name, value)| lookup(labels, name) == Some(value.as_str()))
    }
}
