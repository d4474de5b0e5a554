//! A decision: what becomes of a request, why, and what is changed on the way. An allow can only
//! be made in here, by `combine`; a denial can be made from any failure. How it is written on the
//! wire is left to the doors.

mod combine;
mod memo;
mod reason;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::attributes::{HttpRequest, JsonObject, Pairs, object_weight};
use crate::identity::{Caller, PeerIdentity, TokenError};
use crate::policy::LACKS_BUNDLE;
use crate::policy::lifetime::{Lifetime, Unremembered};
use crate::policy::native::{CompiledRule, Observed, Refused};
use crate::policy::rego::{Outcome, RegoFailure};

pub use crate::policy::rego::FailureCode;
pub use combine::{Grounds, ParameterChanges, conclude, lookalikes};
pub use memo::{Memo, Tally};
pub use reason::{Reason, ReasonKind};

/// Body of a denial by a native policy.
const ACCESS_DENIED: &str = "RBAC: access denied";
/// Longest path in the realm of `www-authenticate`, in characters.
const MAX_REALM_PATH: usize = 256;
/// Longest host there.
const MAX_REALM_HOST: usize = 256;

/// Whether the request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Deny,
}

/// What becomes of a request. Equal for equal requests under one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    reply: Reply,
    pub reason: Reason,
    /// The peer that policies looked at.
    pub peer_principal: Option<String>,
    /// The peer that handed that identity on, if it was not its own.
    pub forwarded_by: Option<String>,
    pub request_principal: Option<String>,
    /// What AUDIT and dry-run policies saw.
    pub observed: Observed,
    /// What a Rego policy wants in the proxy's dynamic metadata.
    pub dynamic_metadata: Option<JsonObject>,
    /// How long the same request may be answered from memory.
    pub lifetime: Lifetime,
    pub memo: Memo,
    pub tally: Tally,
}

/// The two ways a request can go.
#[derive(Debug, Clone, PartialEq)]
enum Reply {
    Allow(Mutations),
    Deny(Denial),
}

/// Changes to an allowed request and to the response it gets. Set and removed names are disjoint.
/// Shown under the names of Envoy's `OkHttpResponse`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mutations {
    /// Towards the upstream, replacing the client's own.
    #[serde(rename = "headers", skip_serializing_if = "Vec::is_empty")]
    pub set_headers: Pairs,
    #[serde(rename = "headers_to_remove", skip_serializing_if = "Vec::is_empty")]
    pub remove_headers: Vec<String>,
    /// Towards the client.
    #[serde(
        rename = "response_headers_to_add",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub response_headers: Pairs,
    #[serde(
        rename = "query_parameters_to_set",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub set_parameters: Pairs,
    #[serde(
        rename = "query_parameters_to_remove",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub remove_parameters: Vec<String>,
    /// How many of `remove_headers`, from the first on, native policies want removed.
    #[serde(skip)]
    pub removed_by_native: usize,
    /// Whether even an empty set of changes is to be said.
    #[serde(skip)]
    pub explicit: bool,
}

/// What a denied client is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Denial {
    pub status: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Pairs,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The proxy is to treat this as a failure of the check instead of an answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub as_error: bool,
    /// Rego said `false` and nothing of a response.
    #[serde(skip)]
    pub plain: bool,
}

// === impl Effect ===

impl Effect {
    /// The name in records, metrics and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

// === impl Decision ===

impl Decision {
    fn new(reply: Reply, reason: Reason) -> Self {
        Self {
            reply,
            reason,
            peer_principal: None,
            forwarded_by: None,
            request_principal: None,
            observed: Observed::default(),
            dynamic_metadata: None,
            lifetime: Lifetime::default(),
            memo: Memo::default(),
            tally: Tally::default(),
        }
    }

    /// Denies with a status and nothing else.
    pub fn deny(status: u16, reason: Reason) -> Self {
        let denial = Denial {
            status,
            ..Denial::default()
        };
        Self::new(Reply::Deny(denial), reason)
    }

    /// Denies because something failed; such an answer is never remembered.
    pub fn fail(status: u16, reason: Reason) -> Self {
        Self {
            lifetime: Lifetime::never(Unremembered::Failure),
            ..Self::deny(status, reason)
        }
    }

    /// Denies as Envoy's RBAC filter does, whose words clients of a mesh know.
    fn deny_access(reason: Reason) -> Self {
        let denial = Denial {
            status: 403,
            body: ACCESS_DENIED.to_owned(),
            ..Denial::default()
        };
        Self::new(Reply::Deny(denial), reason)
    }

    /// Denies because a workload wants mutual TLS and the peer has no identity it accepts.
    pub fn no_peer_identity(policy: &str) -> Self {
        let message = "mutual TLS is STRICT and the peer has no accepted identity";
        Self::deny_access(Reason {
            policy: Some(policy.to_owned()),
            ..Reason::new(ReasonKind::PeerAuthentication, message)
        })
    }

    /// Denies because a rule says so.
    pub fn denied_by_rule(rule: &CompiledRule) -> Self {
        Self::deny_access(Reason::rule(rule))
    }

    /// Denies because a CUSTOM rule asks a provider that is not there.
    pub fn no_provider(provider: &str, rule: &CompiledRule) -> Self {
        let why = format!("CUSTOM rule matched and its provider `{provider}` is not configured");
        Self::deny_access(Reason::new(ReasonKind::AuthorizationPolicy, why).under(rule))
    }

    /// Denies because there are ALLOW policies and none of their rules matches.
    pub fn not_allowed() -> Self {
        Self::deny_access(Reason::new(
            ReasonKind::NoAllowRule,
            "no ALLOW rule matched",
        ))
    }

    /// Denies for a token that does not verify, with the answer of Envoy's JWT filter.
    pub fn unauthenticated(refused: &Refused, http: &HttpRequest, status: u16) -> Self {
        let status = if refused.error.status() == 403 {
            403
        } else {
            status
        };
        let reason = Reason {
            policy: Some(refused.policy.clone()),
            ..Reason::new(ReasonKind::RequestAuthentication, refused.error.to_string())
        };
        let denial = Denial {
            status,
            headers: vec![(
                "www-authenticate".to_owned(),
                challenge(http, refused.error),
            )],
            body: refused.error.to_string(),
            as_error: false,
            plain: false,
        };
        let mut decision = Self::new(Reply::Deny(denial), reason);
        // It may verify a second later (`nbf`).
        decision.lifetime = Lifetime::never(Unremembered::Failure);
        decision
    }

    /// Denies because the Rego entrypoint says so.
    pub fn denied_by_rego(outcome: &Outcome, entrypoint: &str) -> Self {
        let denial = Denial {
            status: outcome.http_status.unwrap_or(403),
            headers: combine::client_headers(&outcome.headers),
            body: outcome.body.clone().unwrap_or_default(),
            as_error: false,
            plain: outcome.plain,
        };
        let mut decision = Self::new(
            Reply::Deny(denial),
            Reason::rego(entrypoint, "denied by Rego"),
        );
        decision
            .dynamic_metadata
            .clone_from(&outcome.dynamic_metadata);
        decision
    }

    /// Denies because Rego must not be asked before all bundles are there. No error that `on_error`
    /// would have passed on.
    pub fn lacks_bundle(entrypoint: &str) -> Self {
        let mut reason = Reason::rego(entrypoint, LACKS_BUNDLE);
        reason.kind = ReasonKind::RegoError;
        Self::fail(403, reason)
    }

    /// Denies because the Rego entrypoint gave no answer.
    pub fn rego_failed(error: &RegoFailure, entrypoint: &str, as_error: bool) -> Self {
        let mut reason = Reason::rego(entrypoint, error.to_string());
        reason.kind = ReasonKind::RegoError;
        reason.failure = Some(error.code());
        reason.limit = error.limit();
        match error {
            // Rule: a request that has no input document is answered 400 with the reason.
            RegoFailure::Input(_) => {
                let denial = Denial {
                    status: 400,
                    body: error.to_string(),
                    ..Denial::default()
                };
                Self::new(Reply::Deny(denial), reason)
            }
            RegoFailure::Evaluation(_) | RegoFailure::Outcome(_) => {
                let mut decision = Self::fail(403, reason);
                if let Reply::Deny(denial) = &mut decision.reply {
                    denial.as_error = as_error;
                }
                decision
            }
        }
    }

    /// Denies what this would do because that cannot be recorded; who asks and what was observed stays.
    #[must_use]
    pub fn unrecorded(&self) -> Self {
        let why = "the decision log cannot take this decision";
        let denial = Self::fail(503, Reason::new(ReasonKind::NotRecorded, why));
        Self {
            peer_principal: self.peer_principal.clone(),
            forwarded_by: self.forwarded_by.clone(),
            request_principal: self.request_principal.clone(),
            observed: self.observed.clone(),
            ..denial
        }
    }

    /// Notes the CUSTOM rule that had Rego asked.
    pub fn asked_by(mut self, rule: &CompiledRule) -> Self {
        self.reason = self.reason.under(rule);
        self
    }

    pub fn effect(&self) -> Effect {
        match self.reply {
            Reply::Allow(_) => Effect::Allow,
            Reply::Deny(_) => Effect::Deny,
        }
    }

    /// What to change, or what to tell the client instead.
    pub fn reply(&self) -> Result<&Mutations, &Denial> {
        match &self.reply {
            Reply::Allow(mutations) => Ok(mutations),
            Reply::Deny(denial) => Err(denial),
        }
    }

    /// HTTP status of the reply; 200 for a request that passes.
    pub fn status(&self) -> u16 {
        match &self.reply {
            Reply::Allow(_) => 200,
            Reply::Deny(denial) => denial.status,
        }
    }

    /// Notes who the decision was about.
    pub fn about(mut self, caller: &Caller<'_>, request_principal: Option<String>) -> Self {
        let forwarded_by = caller.forwarded_by.as_ref();
        self.peer_principal = caller.peer.display().map(str::to_owned);
        self.forwarded_by = forwarded_by
            .and_then(PeerIdentity::display)
            .map(str::to_owned);
        self.request_principal = request_principal;
        self
    }

    /// Roughly how much memory this holds, in bytes.
    pub fn weight(&self) -> usize {
        let names = |names: &[String]| -> usize { names.iter().map(|name| name.len() + 24).sum() };
        let pairs = |pairs: &Pairs| -> usize {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| name.len() + value.len() + 48)
                .sum()
        };
        let reply = match &self.reply {
            Reply::Allow(mutations) => {
                pairs(&mutations.set_headers)
                    + names(&mutations.remove_headers)
                    + pairs(&mutations.response_headers)
                    + pairs(&mutations.set_parameters)
                    + names(&mutations.remove_parameters)
            }
            Reply::Deny(denial) => denial.body.len() + pairs(&denial.headers),
        };
        let principals = [
            &self.peer_principal,
            &self.forwarded_by,
            &self.request_principal,
        ];
        let principals = principals.into_iter().flatten().map(String::len);
        size_of::<Self>()
            + reply
            + principals.sum::<usize>()
            + self.observed.weight()
            + self.dynamic_metadata.as_ref().map_or(0, object_weight)
            + self.reason.weight()
    }
}

/// Rule: the realm is the request's URL, its path cut at 256 characters. Envoy shows the query
/// string too, which may hold the very token that was refused; here it is left out.
fn challenge(http: &HttpRequest, error: TokenError) -> String {
    let quotable = |character: &char| !character.is_control() && !matches!(character, '"' | '\\');
    let path: String = http
        .bare_path()
        .chars()
        .take(MAX_REALM_PATH)
        .filter(quotable)
        .collect();
    let host: String = http
        .host
        .chars()
        .take(MAX_REALM_HOST)
        .filter(quotable)
        .collect();
    let realm = format!("{}://{host}{path}", http.scheme);
    match error {
        // Rule: no token is not a bad one.
        TokenError::Missing => format!("Bearer realm=\"{realm}\""),
        _ => format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
    }
}
