//! Istio's policies evaluated as their text reads, straight from the objects as they are written:
//! no compiling, no index, no types shared with the library but the request's. Slow and plain on
//! purpose. Whether a token verifies is not asked here; its claims are given.

mod objects;
mod peers;
mod rules;

use std::collections::BTreeMap;

use doorward::attributes::Attributes;
use serde_json::{Map, Value, json};

use super::tally::Tally;
use super::{facts, matching};
use objects::{is_dry_run, labels_of, list, selects, strings, text};
use rules::{Action, Rule, action_of};

/// Settings of the mesh.
#[derive(Debug, Clone)]
pub struct Mesh {
    pub root_namespace: String,
    /// The trust domain and its aliases.
    pub trust_domains: Vec<String>,
    pub trusted_proxies: usize,
    /// Whether a request passes that no policy says anything about.
    pub allow_by_default: bool,
    /// Whether a workload that is not known gets the mesh's policies, instead of a denial.
    pub unknown_gets_mesh_policies: bool,
}

/// Which workload a request is for, as far as that is known.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    pub namespace: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
}

/// A request and what is known around it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub workload: &'a Workload,
    pub attributes: &'a Attributes,
    /// Claims of the valid token in `authorization`, if there is one.
    pub token: Option<&'a Value>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub allowed: bool,
    pub because: Because,
    /// `namespace/name` of what decided.
    pub policy: Option<String>,
    pub rule: Option<usize>,
    /// Whether an AUDIT rule matched, if there are AUDIT policies that were asked.
    pub audited: Option<bool>,
    /// Would-be verdicts by action.
    pub dry_run: Value,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    Rule,
    NoAllowRule,
    Peer,
    Token,
    Default,
    UnknownWorkload,
}

/// Everything that is loaded.
pub struct Evaluator<'a> {
    pub mesh: &'a Mesh,
    pub objects: &'a [Value],
    pub tally: &'a Tally,
}

impl Evaluator<'_> {
    /// Rule: PeerAuthentication, RequestAuthentication, DENY, ALLOW; the first denial decides.
    pub fn verdict(&self, asked: Asked<'_>) -> Verdict {
        let Some(scope) = self.scope(asked.workload) else {
            return Verdict::plain(false, Because::UnknownWorkload);
        };
        if let Some(object) = self.refuses_peer(&scope, asked.attributes) {
            let is_told = facts::port(asked.attributes).is_some();
            return Verdict {
                policy: object.filter(|_| is_told),
                ..Verdict::plain(false, Because::Peer)
            };
        }
        let Ok(claims) = self.claims(&scope, asked) else {
            return Verdict::plain(false, Because::Token);
        };
        let found = |action, dry_run| self.first_match(&scope, action, dry_run, asked, &claims);
        let has = |action, dry_run| {
            let mut policies = self.policies(&scope, action, dry_run);
            policies.next().is_some()
        };
        // Rule: AUDIT comes before DENY, DENY before ALLOW.
        let audited = has(Action::Audit, false).then(|| found(Action::Audit, false).is_some());
        // Rule: what dry-run policies of an action would do is told only of requests that the
        // enforced policies of that action let pass.
        let mut dry_run = Map::new();
        let mut try_out = |action, name: &str, matched, otherwise| {
            if has(action, true) {
                let verdict = match found(action, true) {
                    Some(rule) => json!({"result": matched, "matched": rule.id()}),
                    None => json!({"result": otherwise}),
                };
                dry_run.insert(name.to_owned(), verdict);
            }
        };
        let mut verdict = match found(Action::Deny, false) {
            Some(rule) => Verdict::by(false, &rule),
            None => {
                try_out(Action::Deny, "deny", "denied", "allowed");
                let rule = found(Action::Allow, false);
                if rule.is_none() && has(Action::Allow, false) {
                    Verdict::plain(false, Because::NoAllowRule)
                } else {
                    try_out(Action::Allow, "allow", "allowed", "denied");
                    let by_default =
                        || Verdict::plain(self.mesh.allow_by_default, Because::Default);
                    rule.map_or_else(by_default, |rule| Verdict::by(true, &rule))
                }
            }
        };
        verdict.audited = audited;
        verdict.dry_run = dry_run.into();
        verdict
    }

    // Which objects are for a workload.

    /// Rule: a workload whose namespace or labels are not known is denied while any policy is of a
    /// namespace or has a selector, unless the mesh's policies are to do.
    fn scope(&self, workload: &Workload) -> Option<Workload> {
        if workload.namespace.is_some() && workload.labels.is_some() {
            return Some(workload.clone());
        }
        let depends = self.objects.iter().any(|object| {
            let is_root = text(&object["metadata"]["namespace"]) == self.mesh.root_namespace;
            // Rule: one of these in the root namespace with a selector is ignored.
            let ignored = object["kind"] == "PeerAuthentication";
            !is_root || (!labels_of(object).is_empty() && !ignored)
        });
        (!depends || self.mesh.unknown_gets_mesh_policies).then(Workload::default)
    }

    /// Rule: objects of the root namespace and of the workload's own whose labels it has.
    fn is_attached(&self, object: &Value, scope: &Workload) -> bool {
        let namespace = text(&object["metadata"]["namespace"]);
        let near =
            namespace == self.mesh.root_namespace || scope.namespace.as_deref() == Some(namespace);
        near && selects(object, scope)
    }

    fn of_kind<'a>(&'a self, kind: &'static str) -> impl Iterator<Item = &'a Value> {
        let objects = self.objects.iter();
        objects.filter(move |object| object["kind"] == kind)
    }

    fn policies<'a>(
        &'a self,
        scope: &'a Workload,
        action: Action,
        dry_run: bool,
    ) -> impl Iterator<Item = &'a Value> {
        self.of_kind("AuthorizationPolicy").filter(move |object| {
            action_of(object) == action
                && is_dry_run(object) == dry_run
                && self.is_attached(object, scope)
        })
    }

    // RequestAuthentication.

    /// Rule: without a token, or without a rule that looks for one, there is no identity. A token
    /// of an issuer that no rule names is refused.
    fn claims(&self, scope: &Workload, asked: Asked<'_>) -> Result<Value, ()> {
        let none = Ok(json!({}));
        let objects = self.of_kind("RequestAuthentication");
        let attached = objects.filter(|object| self.is_attached(object, scope));
        let rules: Vec<_> = attached
            .flat_map(|object| list(&object["spec"]["jwtRules"]))
            .collect();
        let (Some(token), Some(http)) = (asked.token, facts::http(asked.attributes)) else {
            return none;
        };
        // Rule: a CORS preflight is not looked at.
        let given = |name| {
            let lines = facts::header_lines(http, name);
            lines.iter().any(|line| !line.is_empty())
        };
        let preflight =
            http.method == "OPTIONS" && given("origin") && given("access-control-request-method");
        if preflight || rules.is_empty() {
            return none;
        }
        let accepts = |rule: &&&Value| {
            let issuer = rule["issuer"].as_str().unwrap_or_default();
            issuer.is_empty() || token["iss"] == issuer
        };
        let rule = rules.iter().find(accepts).ok_or(())?;
        let mut claims = token.clone();
        let custom = strings(&rule["spaceDelimitedClaims"]);
        for name in ["scope", "permission"]
            .into_iter()
            .chain(custom.iter().map(String::as_str))
        {
            split_at_spaces(&mut claims, name);
        }
        Ok(claims)
    }
}

/// Rule: a string becomes the list of what stands between spaces. One of nothing but spaces stays a
/// string, as seen on Envoy 1.40.
fn split_at_spaces(claims: &mut Value, name: &str) {
    let Some(claim) = claims.get_mut(name) else {
        return;
    };
    let words = claim.as_str().unwrap_or_default().split(' ');
    let words: Vec<_> = words
        .filter(|word| !word.is_empty())
        .map(Value::from)
        .collect();
    if !words.is_empty() {
        *claim = words.into();
    }
}

// === impl Verdict ===

impl Verdict {
    fn plain(allowed: bool, because: Because) -> Self {
        Self {
            allowed,
            because,
            policy: None,
            rule: None,
            audited: None,
            dry_run: json!({}),
        }
    }

    fn by(allowed: bool, rule: &Rule<'_>) -> Self {
        Self {
            policy: Some(format!("{}/{}", rule.namespace, rule.policy)),
            rule: Some(rule.index),
            ..Self::plain(allowed, Because::Rule)
        }
    }
}
