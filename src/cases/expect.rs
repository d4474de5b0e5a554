//! What a case expects, and comparing it with an answer. What is given must be all there is; what
//! is left out is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Mismatch;
use super::request::{OneOrMore, Wrong};
use crate::attributes::Pairs;
use crate::decision::{Effect, ReasonKind};
use crate::pdp::Answer;
use crate::policy::native::{DryRun, EngineResult, WouldBe};

/// Member `expect` of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub effect: Effect,
    pub status: Option<u16>,
    /// What kind of thing decided, as in the decision log.
    pub reason: Option<ReasonKind>,
    /// `namespace/name` of a native policy, or the Rego entrypoint.
    pub policy: Option<String>,
    pub rule: Option<usize>,
    /// Headers set on the request that the upstream gets.
    pub headers: Option<BTreeMap<String, OneOrMore>>,
    /// Headers taken from it.
    pub removed_headers: Option<BTreeSet<String>>,
    pub dry_run: Option<ExpectDryRun>,
    pub audited: Option<bool>,
}

/// Verdicts of dry-run policies; one that is not given must not be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectDryRun {
    pub allow: Option<ExpectWouldBe>,
    pub deny: Option<ExpectWouldBe>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectWouldBe {
    pub result: ExpectResult,
    /// `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`, as in the decision log.
    pub matched: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExpectResult {
    Allowed,
    Denied,
}

// === impl Expect ===

impl Expect {
    /// A member that no answer could fit, given the effect.
    pub(super) fn contradiction(&self) -> Option<Wrong> {
        let nothing_sent = "nothing reaches the upstream of a request that is denied";
        let (member, why) = match (self.effect, self.status) {
            (Effect::Allow, Some(status)) if status != 200 => {
                ("expect.status", "is 200 for a request that is allowed")
            }
            (Effect::Deny, Some(200)) => ("expect.status", "is not 200 for one that is denied"),
            (Effect::Deny, _) if self.headers.is_some() => ("expect.headers", nothing_sent),
            (Effect::Deny, _) if self.removed_headers.is_some() => {
                ("expect.removed_headers", nothing_sent)
            }
            _ => return None,
        };
        Some((member, why.to_owned()))
    }

    /// Members that an answer does not fit.
    pub(super) fn mismatches(&self, answer: &Answer) -> Vec<Mismatch> {
        let mut found = Comparison(Vec::new());
        let decision = &answer.decision;
        let reason = &decision.reason;
        found.text("effect", self.effect.as_str(), decision.effect().as_str());
        if let Some(status) = self.status {
            found.text("status", &status.to_string(), decision.status().to_string());
        }
        match self.reason {
            Some(kind) => found.text("reason", kind.as_str(), reason.kind.as_str()),
            // Denied, but not by what the case is about: that would pass however the policies are.
            None if is_failure(reason.kind) => {
                found.text("reason", "a policy's decision", reason.kind.as_str());
            }
            None => {}
        }
        if let Some(policy) = &self.policy {
            found.text("policy", policy, or_none(reason.decided_by().cloned()));
        }
        if let Some(rule) = self.rule {
            let got = reason.rule.map(|rule| rule.to_string());
            found.text("rule", &rule.to_string(), or_none(got));
        }
        if let Some(headers) = &self.headers {
            let got = decision.reply().map(|changes| &changes.set_headers);
            let none = Pairs::new();
            found.text(
                "headers",
                &expected_lines(headers),
                lines(got.unwrap_or(&none)),
            );
        }
        if let Some(names) = &self.removed_headers {
            let expected: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
            found.text("removed_headers", &list(expected), list(removed(answer)));
        }
        if let Some(expected) = &self.dry_run {
            expected.compare(&decision.observed.dry_run, &mut found);
        }
        if let Some(audited) = self.audited {
            let got = decision.observed.audited.unwrap_or(false);
            found.text("audited", &audited.to_string(), got.to_string());
        }
        found.0
    }
}

// === impl ExpectDryRun ===

impl ExpectDryRun {
    fn compare(&self, got: &DryRun, found: &mut Comparison) {
        for (member, expected, got) in [
            ("dry_run.allow", &self.allow, &got.allow),
            ("dry_run.deny", &self.deny, &got.deny),
        ] {
            let names_rule = expected
                .as_ref()
                .is_some_and(|expected| expected.matched.is_some());
            let got = got.as_ref().map(|got| would_be(got, names_rule));
            let expected = expected.as_ref().map(ExpectWouldBe::to_text);
            found.text(member, &or_none(expected), or_none(got));
        }
    }
}

impl ExpectWouldBe {
    fn to_text(&self) -> String {
        let result = match self.result {
            ExpectResult::Allowed => EngineResult::Allowed,
            ExpectResult::Denied => EngineResult::Denied,
        };
        let matched = self.matched.clone();
        would_be(&WouldBe { result, matched }, true)
    }
}

fn would_be(verdict: &WouldBe, names_rule: bool) -> String {
    let result = verdict.result.as_str();
    match &verdict.matched {
        Some(matched) if names_rule => format!("{result} by {matched}"),
        _ => result.to_owned(),
    }
}

/// Whether no policy came to say anything: the request, or what the case says of it, is at fault.
fn is_failure(kind: ReasonKind) -> bool {
    match kind {
        ReasonKind::RegoError
        | ReasonKind::NoPolicy
        | ReasonKind::UnknownWorkload
        | ReasonKind::InvalidRequest
        | ReasonKind::Overloaded
        | ReasonKind::NotRecorded
        | ReasonKind::InternalError => true,
        ReasonKind::AuthorizationPolicy
        | ReasonKind::NoAllowRule
        | ReasonKind::PeerAuthentication
        | ReasonKind::RequestAuthentication
        | ReasonKind::Rego
        | ReasonKind::DefaultAction => false,
    }
}

/// Mismatches found so far.
struct Comparison(Vec<Mismatch>);

impl Comparison {
    fn text(&mut self, member: &'static str, expected: &str, got: impl Into<String>) {
        let got = got.into();
        if expected != got {
            self.0.push(Mismatch {
                member,
                expected: expected.to_owned(),
                got,
            });
        }
    }
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "none".to_owned())
}

fn list(items: BTreeSet<String>) -> String {
    let items: Vec<_> = items.into_iter().collect();
    or_none(Some(items.join(", ")).filter(|text| !text.is_empty()))
}

/// Header lines sorted by name; the order of a name's values is kept.
fn lines(headers: &Pairs) -> String {
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in headers {
        by_name.entry(name.to_lowercase()).or_default().push(value);
    }
    let lines = by_name.into_iter().flat_map(|(name, values)| {
        values
            .into_iter()
            .map(move |value| format!("{name}: {value}"))
    });
    let lines: Vec<_> = lines.collect();
    or_none(Some(lines.join(", ")).filter(|text| !text.is_empty()))
}

fn expected_lines(headers: &BTreeMap<String, OneOrMore>) -> String {
    let pairs = headers.iter().flat_map(|(name, values)| {
        let values = values.0.iter();
        values.map(move |value| (name.clone(), value.clone()))
    });
    lines(&pairs.collect())
}

/// Headers that the upstream does not get: removed by policy, or for looking like a governed one.
fn removed(answer: &Answer) -> BTreeSet<String> {
    let by_policy = answer.decision.reply();
    let by_policy = by_policy.map(|changes| changes.remove_headers.as_slice());
    let names = by_policy.unwrap_or(&[]).iter().chain(&answer.lookalikes);
    names.map(|name| name.to_lowercase()).collect()
}

/// The decision in a line: `deny 403 by foo/no-delete rule 0: DENY rule matched`.
pub(super) fn summary(answer: &Answer) -> String {
    let decision = &answer.decision;
    let reason = &decision.reason;
    let by = reason.decided_by().map_or_else(
        || format!("({})", reason.kind.as_str()),
        |policy| format!("by {policy}"),
    );
    let rule = reason.rule.map(|rule| format!(" rule {rule}"));
    format!(
        "{} {} {by}{}: {}",
        decision.effect().as_str(),
        decision.status(),
        rule.unwrap_or_default(),
        reason.message
    )
}
