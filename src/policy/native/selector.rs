//! Which workload a request is for, and whether a policy selects it. The order of the sources is
//! fixed here; what policies then say is left to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::attributes::{Attributes, Pairs, lookup};
use crate::identity::SpiffeId;
use crate::policy::resource;

/// Context extensions by which a proxy's route names the workload.
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
    pub fn of(attributes: &Attributes, sources: &WorkloadSources) -> Arc<Self> {
        let told = Self::told_by(attributes);
        if told == Self::default() {
            return Arc::clone(&sources.default);
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
        Arc::new(told.or(known).or(Some(&sources.default)))
    }

    /// What the request itself says: context extensions of the proxy's route first, then what the
    /// proxy knows of its own side of the connection.
    fn told_by(attributes: &Attributes) -> Self {
        let extension = |name| attributes.context_extension(name).map(str::to_owned);
        let destination = attributes.destination.as_ref();
        let identity = destination
            .and_then(|peer| SpiffeId::parse(&peer.principal).ok())
            .and_then(|id| id.workload());
        let labels = destination
            .map(|peer| &peer.labels)
            .filter(|labels| !labels.is_empty());
        Self {
            namespace: extension(NAMESPACE_EXTENSION)
                .or_else(|| identity.map(|(namespace, _)| namespace.to_owned())),
            labels: attributes
                .context_extension(LABELS_EXTENSION)
                .map(parse_labels)
                .or_else(|| labels.cloned()),
            service_account: extension(ACCOUNT_EXTENSION)
                .or_else(|| identity.map(|(_, account)| account.to_owned())),
        }
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

/// `k=v,k=v`
fn parse_labels(text: &str) -> Pairs {
    let mut labels: Pairs = text
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    labels.sort();
    labels.dedup_by(|later, earlier| later.0 == earlier.0);
    labels
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
