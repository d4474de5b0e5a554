//! What a stored verdict says besides the names that stand beside it, read from its JSON: for the
//! questions that name status, reason or workload. How it is written is the business of `entry.rs`.

use std::borrow::Cow;

use serde::Deserialize;

/// What questions name of a verdict. What is not there, or cannot be read, is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Facts<'a> {
    /// HTTP status of the reply.
    pub(super) status: Option<u16>,
    #[serde(borrow)]
    pub(super) reason: ReasonFacts<'a>,
    #[serde(borrow)]
    pub(super) workload: WorkloadFacts<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReasonFacts<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) message: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) detail: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkloadFacts<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    service_account: Cow<'a, str>,
    #[serde(borrow)]
    labels: Labels<'a>,
    #[serde(borrow)]
    gateway: Cow<'a, str>,
    #[serde(borrow)]
    service: Service<'a>,
}

/// The labels that Istio calls a workload by, the first that is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labels<'a> {
    #[serde(borrow, rename = "service.istio.io/canonical-name")]
    canonical_name: Cow<'a, str>,
    #[serde(borrow, rename = "app.kubernetes.io/name")]
    name: Cow<'a, str>,
    #[serde(borrow)]
    app: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// What a workload is called, and in which namespace; one that is not known is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WorkloadName<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl<'a> Facts<'a> {
    pub(super) fn of(shown: &'a str) -> Self {
        serde_json::from_str(shown).unwrap_or_default()
    }
}

impl WorkloadFacts<'_> {
    /// The workload as a question finds it by the name it is best known by.
    pub(super) fn shown(&self) -> Option<String> {
        let named = self.names().next().map(|it| match it.namespace {
            "" => it.name.to_owned(),
            namespace => format!("{namespace}/{}", it.name),
        });
        let namespace = (!self.namespace.is_empty()).then(|| format!("{}/*", self.namespace));
        named.or(namespace)
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Every name that the workload has, the one that it is best known by first. Rule: Istio's
    /// canonical service is named by the first of three labels.
    pub(super) fn names(&self) -> impl Iterator<Item = WorkloadName<'_>> {
        let Labels {
            canonical_name,
            name,
            app,
        } = &self.labels;
        let labels = [canonical_name, name, app];
        let own = [&self.service_account, &self.gateway];
        let own = labels.into_iter().chain(own).map(|name| WorkloadName {
            namespace: &self.namespace,
            name,
        });
        let service = WorkloadName {
            namespace: &self.service.namespace,
            name: &self.service.name,
        };
        own.chain([service]).filter(|name| !name.name.is_empty())
    }
}
