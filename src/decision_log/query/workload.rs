//! Workloads as questions name them: `NAMESPACE/NAME`, `NAMESPACE/*`, or `NAME` in any namespace.

use std::str::FromStr;

use crate::decision_log::facts::WorkloadFacts;
use crate::decision_log::membership::{Kind, digest};

/// Which workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::decision_log) enum WantedWorkload {
    One { namespace: String, name: String },
    Anywhere(String),
    AllOf(String),
}

impl FromStr for WantedWorkload {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            None if !text.is_empty() => Ok(Self::Anywhere(text.to_owned())),
            Some((namespace, "*")) if !namespace.is_empty() => {
                Ok(Self::AllOf(namespace.to_owned()))
            }
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Self::One {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err("is none of `NAMESPACE/NAME`, `NAMESPACE/*` and `NAME`"),
        }
    }
}

impl WantedWorkload {
    pub(super) fn is(&self, workload: &WorkloadFacts<'_>) -> bool {
        let mut names = workload.names();
        match self {
            Self::AllOf(namespace) => workload.namespace() == namespace,
            Self::Anywhere(wanted) => names.any(|it| it.name == wanted),
            Self::One { namespace, name } => {
                names.any(|it| it.namespace == namespace && it.name == name)
            }
        }
    }

    pub(super) fn digest(&self) -> u64 {
        let text = match self {
            Self::AllOf(namespace) => format!("{namespace}/*"),
            Self::Anywhere(name) => name.clone(),
            Self::One { namespace, name } => format!("{namespace}/{name}"),
        };
        digest(Kind::Workload, text.as_bytes())
    }
}

/// Of every question that finds this workload.
pub(in crate::decision_log) fn digests(workload: &WorkloadFacts<'_>) -> Vec<u64> {
    let namespace = workload.namespace();
    let all = (!namespace.is_empty()).then(|| WantedWorkload::AllOf(namespace.to_owned()));
    let names = workload.names().flat_map(|it| {
        let one = WantedWorkload::One {
            namespace: it.namespace.to_owned(),
            name: it.name.to_owned(),
        };
        [one, WantedWorkload::Anywhere(it.name.to_owned())]
    });
    all.into_iter().chain(names).map(|it| it.digest()).collect()
}
