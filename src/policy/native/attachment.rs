//! Which workloads an object is for: those that its labels select, or what its target references
//! name (Istio's `ShouldAttachPolicy`). Which workload a request is for is left to `workload`.

use super::workload::{ServiceKind, Workload};
use crate::attributes::{Pairs, lookup};
use crate::policy::resource::{self, TargetRef};
use crate::yaml::{Document, Problem};

/// Most references an object may have.
const MAX_REFERENCES: usize = 16;
/// The class of Istio's waypoints.
const WAYPOINT_CLASS: &str = "istio-waypoint";

/// What an object is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attachment {
    Labels(Selector),
    /// Any of these suffices.
    References(Vec<Reference>),
}

/// Labels that a workload must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<(String, String)>,
}

/// An object of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    kind: ReferenceKind,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReferenceKind {
    Gateway,
    GatewayClass,
    Service(ServiceKind),
}

// === impl Attachment ===

impl Attachment {
    /// Compiles the three members that say what an object is for.
    pub(super) fn compile(
        document: &Document,
        selector: Option<&resource::Selector>,
        target_ref: Option<&TargetRef>,
        target_refs: Option<&[TargetRef]>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        // Rule: `targetRefs` is there if it has members; it stands for the older `targetRef`.
        let (path, references) = match (target_refs, target_ref) {
            (Some(references), _) if !references.is_empty() => ("spec.targetRefs", references),
            (_, Some(reference)) => ("spec.targetRef", std::slice::from_ref(reference)),
            _ => return Self::Labels(Selector::of(document, selector, problems)),
        };
        let many = target_ref.is_some() && path == "spec.targetRefs";
        if selector.is_some() || many {
            let why = "only one of `targetRefs` and `selector` can be set";
            problems.push(document.problem(path, why));
        }
        if references.len() > MAX_REFERENCES {
            let why = format!("more than {MAX_REFERENCES} references");
            problems.push(document.problem(path, why));
        }
        let mut compiled = Vec::with_capacity(references.len());
        for (index, reference) in references.iter().enumerate() {
            let at = match path {
                "spec.targetRefs" => format!("{path}[{index}]"),
                path => path.to_owned(),
            };
            match Reference::compile(reference) {
                Ok(reference) => compiled.push(reference),
                Err((member, why)) => {
                    problems.push(document.problem(&format!("{at}.{member}"), why));
                }
            }
        }
        Self::References(compiled)
    }

    /// Whether it is for every workload of its namespace.
    pub(super) fn is_for_all(&self) -> bool {
        matches!(self, Self::Labels(selector) if selector.is_empty())
    }

    /// Whether an object of `namespace` is for a workload.
    pub(super) fn covers(&self, workload: &Workload, namespace: &str, root: &str) -> bool {
        match self {
            // Rule: a waypoint is governed by references alone.
            Self::Labels(selector) => {
                workload.service.is_none() && selector.selects(workload.labels.as_ref())
            }
            Self::References(references) => references
                .iter()
                .any(|reference| reference.names(workload, namespace, root)),
        }
    }
}

// === impl Selector ===

impl Selector {
    /// Compiles a selector.
    pub(super) fn of(
        document: &Document,
        selector: Option<&resource::Selector>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let labels = selector.map(|selector| &selector.match_labels);
        let labels = labels.into_iter().flatten();
        for (name, value) in labels.clone() {
            if name.is_empty() {
                let why = "empty key is not supported in selector";
                problems.push(document.problem("spec.selector", why));
            }
            if name.contains('*') || value.contains('*') {
                let why = "wildcard is not supported in selector";
                problems.push(document.problem("spec.selector", why));
            }
        }
        Self {
            labels: labels
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    /// Whether it selects every workload of its namespace.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rule: every label asked for is there with the same value. Of labels that are not known, none
    /// is there.
    pub(super) fn selects(&self, labels: Option<&Pairs>) -> bool {
        self.labels.iter().all(|(name, value)| {
            labels.and_then(|labels| lookup(labels, name)) == Some(value.as_str())
        })
    }
}

// === impl Reference ===

impl Reference {
    fn compile(reference: &TargetRef) -> Result<Self, (&'static str, String)> {
        let kind = match (reference.group.as_str(), reference.kind.as_str()) {
            ("" | "core", "Service") => ReferenceKind::Service(ServiceKind::Service),
            ("networking.istio.io", "ServiceEntry") => {
                ReferenceKind::Service(ServiceKind::ServiceEntry)
            }
            ("gateway.networking.k8s.io", "Gateway") => ReferenceKind::Gateway,
            ("gateway.networking.k8s.io", "GatewayClass") => ReferenceKind::GatewayClass,
            (group, kind) => {
                let why = format!(
                    "`{group}/{kind}` is neither `core/Service`, `networking.istio.io/ServiceEntry`, \
                     `gateway.networking.k8s.io/Gateway` nor `gateway.networking.k8s.io/GatewayClass`"
                );
                return Err(("kind", why));
            }
        };
        if reference.name.is_empty() {
            return Err(("name", "must not be empty".to_owned()));
        }
        if !reference.namespace.is_empty() {
            let why = "cross namespace referencing is not supported";
            return Err(("namespace", why.to_owned()));
        }
        Ok(Self {
            kind,
            name: reference.name.clone(),
        })
    }

    /// Whether an object of `namespace` with this reference is for a workload.
    fn names(&self, workload: &Workload, namespace: &str, root: &str) -> bool {
        match self.kind {
            // Rule: a Gateway of the object's own namespace.
            ReferenceKind::Gateway => {
                workload.gateway() == Some(&self.name)
                    && workload.namespace.as_deref() == Some(namespace)
            }
            // Rule: every waypoint, of an object of the root namespace.
            ReferenceKind::GatewayClass => {
                workload.service.is_some() && self.name == WAYPOINT_CLASS && namespace == root
            }
            // Rule: a service of the object's own namespace, behind a waypoint.
            ReferenceKind::Service(kind) => workload.service.as_ref().is_some_and(|service| {
                service.kind == kind && service.namespace == namespace && service.name == self.name
            }),
        }
    }
}
