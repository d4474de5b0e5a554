//! Policies that watch and never decide: AUDIT marks what it matches, dry-run policies leave the
//! verdict they would have given, by themselves and apart from those that are enforced.

use std::sync::Arc;

use serde::Serialize;

use super::authorization::{CompiledRule, Facts, RuleAction};
use super::rules::Rules;
use crate::policy::reads::Reads;

/// Watching policies of one workload.
#[derive(Debug, Default)]
pub struct Observers {
    pub(super) audit: Rules,
    pub(super) deny: Rules,
    pub(super) allow: Rules,
}

/// Enforced policies, by action, that a request passed.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    pub deny: bool,
    pub allow: bool,
}

/// What they saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// Whether an AUDIT rule matched; absent without such policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audited: Option<bool>,
    #[serde(skip_serializing_if = "DryRun::is_empty")]
    pub dry_run: DryRun,
}

/// Verdicts of dry-run policies by their action; absent without such policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DryRun {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<WouldBe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<WouldBe>,
}

/// What would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldBe {
    pub result: EngineResult,
    /// `ns[NAMESPACE]-policy[NAME]-rule[INDEX]` of the rule that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<String>,
}

/// The two results, in Envoy's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineResult {
    Allowed,
    Denied,
}

// === impl Observers ===

impl Observers {
    pub(super) fn add_audit(&mut self, rules: &[Arc<CompiledRule>]) {
        self.audit.add(rules);
    }

    pub(super) fn add_dry_run(&mut self, action: RuleAction, rules: &[Arc<CompiledRule>]) {
        match action {
            RuleAction::Allow => self.allow.add(rules),
            // Dry run is refused for the others.
            RuleAction::Deny | RuleAction::Audit | RuleAction::Custom => self.deny.add(rules),
        }
    }

    pub(super) fn finish(&mut self, reads: &mut Reads) {
        for rules in [&mut self.audit, &mut self.deny, &mut self.allow] {
            rules.finish(reads);
        }
    }

    /// Looks at a request. Rule, as seen in Envoy: the dry run of an action is told only of requests
    /// that the enforced policies of that action let pass.
    pub fn observe(&self, facts: &Facts<'_>, passed: Passed) -> Observed {
        let (allowed, denied) = (EngineResult::Allowed, EngineResult::Denied);
        let would_be = |rules: &Rules, on_match, otherwise| {
            let matched = rules.first_match(facts).map(CompiledRule::id);
            let result = if matched.is_some() {
                on_match
            } else {
                otherwise
            };
            WouldBe { result, matched }
        };
        let tries_deny = self.deny.has_policy() && passed.deny;
        let tries_allow = self.allow.has_policy() && passed.allow;
        let audited = || self.audit.first_match(facts).is_some();
        Observed {
            audited: self.audit.has_policy().then(audited),
            dry_run: DryRun {
                deny: tries_deny.then(|| would_be(&self.deny, denied, allowed)),
                allow: tries_allow.then(|| would_be(&self.allow, allowed, denied)),
            },
        }
    }
}

// === impl WouldBe ===

impl WouldBe {
    /// `NAMESPACE/NAME` of the policy that matched.
    pub fn policy(&self) -> Option<String> {
        let (namespace, rest) = self
            .matched
            .as_ref()?
            .strip_prefix("ns[")?
            .split_once("]-policy[")?;
        let (name, _) = rest.rsplit_once("]-rule[")?;
        Some(format!("{namespace}/{name}"))
    }
}

// === impl Observed ===

impl Observed {
    /// Memory held besides its own, in bytes.
    pub fn weight(&self) -> usize {
        let matched = self.dry_run.verdicts();
        let matched = matched.filter_map(|(_, verdict)| verdict.matched.as_ref());
        matched.map(String::len).sum()
    }
}

// === impl DryRun ===

impl DryRun {
    /// Verdicts by action.
    pub fn verdicts(&self) -> impl Iterator<Item = (&'static str, &WouldBe)> {
        let allow = self.allow.iter().map(|verdict| ("allow", verdict));
        allow.chain(self.deny.iter().map(|verdict| ("deny", verdict)))
    }

    pub fn is_empty(&self) -> bool {
        self.allow.is_none() && self.deny.is_none()
    }
}

// === impl EngineResult ===

impl EngineResult {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
        }
    }
}
