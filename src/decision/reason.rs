//! Why a request was allowed or denied: a kind from a closed list, what decided, and a sentence.

use serde::{Deserialize, Serialize};

use crate::policy::native::CompiledRule;
use crate::policy::rego::FailureCode;

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// A rule of an AuthorizationPolicy matched.
    AuthorizationPolicy,
    /// There are ALLOW policies and none matched.
    NoAllowRule,
    /// A STRICT PeerAuthentication and no accepted identity.
    PeerAuthentication,
    /// A token did not verify.
    RequestAuthentication,
    /// The Rego entrypoint answered.
    Rego,
    /// The Rego entrypoint had no usable answer.
    RegoError,
    /// Nothing applies to the request.
    DefaultAction,
    /// Nothing is loaded.
    NoPolicy,
    /// It is not known which workload the request is for.
    UnknownWorkload,
    /// The request is malformed.
    InvalidRequest,
    /// Too many checks wait for what policies ask of others.
    Overloaded,
    /// The decision cannot be recorded, and the operator wants no allow without a record.
    NotRecorded,
    /// A failure of our own.
    InternalError,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub kind: ReasonKind,
    /// `namespace/name` of a native policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Which of its rules, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// Slash-separated path of the Rego rule asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    pub message: String,
    /// What an operator can do about it, where the message is the one that proxies are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How Rego failed, if it did.
    #[serde(skip)]
    pub failure: Option<FailureCode>,
    /// Which limit the evaluation hit, if it did.
    #[serde(skip)]
    pub limit: Option<&'static str>,
}

// === impl Reason ===

impl Reason {
    pub fn new(kind: ReasonKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            policy: None,
            rule: None,
            entrypoint: None,
            message: message.into(),
            detail: None,
            failure: None,
            limit: None,
        }
    }

    /// A rule that matched.
    pub fn rule(rule: &CompiledRule) -> Self {
        let message = format!("{} rule matched", rule.action.as_str());
        Self::new(ReasonKind::AuthorizationPolicy, message).under(rule)
    }

    /// The same reason, with the rule that led to it.
    pub(super) fn under(self, rule: &CompiledRule) -> Self {
        Self {
            policy: Some(format!("{}/{}", rule.namespace, rule.policy)),
            rule: Some(rule.index),
            ..self
        }
    }

    /// An answer of a Rego entrypoint.
    pub fn rego(entrypoint: &str, message: impl Into<String>) -> Self {
        Self {
            entrypoint: Some(entrypoint.to_owned()),
            ..Self::new(ReasonKind::Rego, message)
        }
    }

    /// What decided: the native policy, or the Rego entrypoint.
    pub fn decided_by(&self) -> Option<&String> {
        self.policy.as_ref().or(self.entrypoint.as_ref())
    }

    pub(super) fn weight(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.message.len()
            + optional(&self.policy)
            + optional(&self.entrypoint)
            + optional(&self.detail)
    }
}

impl ReasonKind {
    /// The name in records, metrics and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationPolicy => "authorization_policy",
            Self::NoAllowRule => "no_allow_rule",
            Self::PeerAuthentication => "peer_authentication",
            Self::RequestAuthentication => "request_authentication",
            Self::Rego => "rego",
            Self::RegoError => "rego_error",
            Self::DefaultAction => "default_action",
            Self::NoPolicy => "no_policy",
            Self::UnknownWorkload => "unknown_workload",
            Self::InvalidRequest => "invalid_request",
            Self::Overloaded => "overloaded",
            Self::NotRecorded => "not_recorded",
            Self::InternalError => "internal_error",
        }
    }
}
