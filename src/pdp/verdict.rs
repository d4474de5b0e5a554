//! The order of the verdict, top to bottom: who asks, what each part of policy says, and the first
//! denial that ends it. What is done around it (cache, record) is left to `pdp`.

use std::cell::Cell;

use super::question::Question;
use super::{Effort, seconds};
use crate::attributes::{HttpRequest, ProtocolVersion};
use crate::decision::{Decision, Grounds, ParameterChanges, ReasonKind, conclude};
use crate::identity::VerifiedToken;
use crate::policy::lifetime::Lifetime;
use crate::policy::native::{
    Attached, Authenticated, CompiledRule, Facts, Passed, Refused, Unauthenticated, Workload,
};
use crate::policy::rego::{Entrypoint, Known, Outcome, RegoPolicies, RegoRequest};
use crate::policy::{OnError, PolicySet};
use crate::snapshot::Snapshot;
use crate::telemetry::{Step, Stopwatch};

/// What Rego answered, with the path of the entrypoint.
type Answer<'a> = (Outcome, &'a str);

/// What tokens come to; if one is refused, with the request that carries it.
type IfAuthenticated<'a> = Result<Authenticated, (Refused, &'a HttpRequest)>;

/// Decides a request anew. Fails with what it takes if that is more than `effort`: the caller has seen
/// to what Rego takes.
pub(super) fn evaluate(
    snapshot: &Snapshot,
    workload: &Workload,
    attached: &Attached,
    question: &Question<'_>,
    effort: Effort,
) -> Result<Decision, Effort> {
    let policies = &snapshot.policies;
    let settings = &policies.settings;
    let caller = &question.caller;

    // PeerAuthentication: a STRICT workload wants an identity of the mesh.
    if let Some(policy) = question.refused_peer(attached, settings) {
        return Ok(Decision::no_peer_identity(policy).about(caller, None));
    }

    // RequestAuthentication: a token that is there must verify; none is no identity.
    let mut authenticated = match authenticate_within(effort, snapshot, attached, question)? {
        Ok(authenticated) => authenticated,
        Err((refused, http)) => {
            let status = settings.invalid_token_status;
            return Ok(Decision::unauthenticated(&refused, http, status).about(caller, None));
        }
    };
    let token = authenticated.token.take();
    let token = token.as_deref();
    let principal = token.and_then(VerifiedToken::principal);
    let known = Known {
        peer: &caller.peer,
        token,
        workload,
    };
    let asked = Asked {
        policies,
        attached,
        facts: question.facts(settings, token),
        rego: RegoRequest::new(question.attributes, Some(known)),
        now_ns: question.now_ns,
        stopwatch: question.stopwatch,
        lifetime: Cell::default(),
    };
    let mut decision = asked.decide(authenticated);
    // From when on it holds is not in question: it did when it was made.
    let of_token = Lifetime::through_second(token.and_then(VerifiedToken::accepted_until));
    decision.lifetime = decision.lifetime.and(asked.lifetime.get()).and(of_token);
    Ok(decision.about(caller, principal))
}

/// What the tokens of a request come to, if that takes no more than `effort`.
fn authenticate_within<'a>(
    effort: Effort,
    snapshot: &Snapshot,
    attached: &Attached,
    question: &Question<'a>,
) -> Result<IfAuthenticated<'a>, Effort> {
    let Some(http) = question
        .attributes
        .http()
        .filter(|_| effort == Effort::Little)
    else {
        let authenticate = || authenticate(snapshot, attached, question);
        return Ok(match attached.authentication.is_empty() {
            true => authenticate(),
            false => question.stopwatch.timing(Step::Authenticate, authenticate),
        });
    };
    let now = seconds(question.now_ns);
    let known = attached
        .authentication
        .authenticate_known(http, &snapshot.keyring, now);
    match known {
        Ok(authenticated) => Ok(Ok(authenticated)),
        Err(Unauthenticated::Refused(refused)) => Ok(Err((refused, http))),
        Err(Unauthenticated::Unverified) => Err(Effort::Evaluate),
    }
}

/// What the tokens of a request come to. On TCP there are none.
pub(super) fn authenticate<'a>(
    snapshot: &Snapshot,
    attached: &Attached,
    question: &Question<'a>,
) -> IfAuthenticated<'a> {
    let Some(http) = question.attributes.http() else {
        return Ok(Authenticated::default());
    };
    let now = seconds(question.now_ns);
    let authenticated = attached
        .authentication
        .authenticate(http, &snapshot.keyring, now);
    authenticated.map_err(|refused| (refused, http))
}

/// The enforced policies that let a request pass, told from what denied it.
fn passed(denial: Option<&Decision>) -> Passed {
    let kind = denial.map(|denial| denial.reason.kind);
    Passed {
        deny: kind != Some(ReasonKind::AuthorizationPolicy),
        allow: kind.is_none(),
    }
}

/// A request of whom it is known who asks.
struct Asked<'a> {
    policies: &'a PolicySet,
    attached: &'a Attached,
    facts: Facts<'a>,
    /// The same request as Rego sees it.
    rego: RegoRequest<'a>,
    now_ns: i64,
    stopwatch: &'a Stopwatch,
    /// Of all that Rego has answered so far.
    lifetime: Cell<Lifetime>,
}

/// What speaks for a request that nothing denied.
struct Undenied<'a> {
    rule: Option<&'a CompiledRule>,
    rego: Vec<Answer<'a>>,
}

#[expect(
    clippy::result_large_err,
    reason = "a denial is no error: it is moved on once"
)]
impl<'a> Asked<'a> {
    fn decide(&self, authenticated: Authenticated) -> Decision {
        let answers = match self.providers() {
            Ok(answers) => answers,
            // Rule: nothing that follows sees a request which a provider denied.
            Err(denial) => return denial,
        };
        let verdict = self.verdict(answers);
        let passed = passed(verdict.as_ref().err());
        let observed = self.attached.observers.observe(&self.facts, passed);
        let mut decision = match verdict {
            Err(denial) => denial,
            Ok(Undenied { rule, rego }) => conclude(Grounds {
                rule,
                rego,
                authenticated,
                default_action: self.policies.settings.default_action,
                nothing_loaded: self.policies.is_empty(),
                parameter_changes: self.parameter_changes(),
            }),
        };
        decision.observed = observed;
        decision
    }

    /// Rule: replies of version 2 know no query parameters.
    fn parameter_changes(&self) -> ParameterChanges {
        match self.facts.attributes.version {
            ProtocolVersion::V3 => ParameterChanges::Said,
            ProtocolVersion::V2 if self.policies.settings.replies_as_plugin => {
                ParameterChanges::DeniedOfNative
            }
            ProtocolVersion::V2 => ParameterChanges::Denied,
        }
    }

    /// CUSTOM: every provider that a matching rule names is asked, and each must allow.
    fn providers(&'a self) -> Result<Vec<Answer<'a>>, Decision> {
        let mut answers = Vec::new();
        for (provider, rule) in self.attached.custom(&self.facts) {
            let rego = self.policies.rego.as_ref();
            let found = rego.and_then(|rego| Some((rego, rego.provider(provider)?)));
            // Rule: a provider that is not there denies what its rules match.
            let Some((rego, entrypoint)) = found else {
                return Err(Decision::no_provider(provider, rule));
            };
            let answer = self.ask(rego, entrypoint);
            answers.push(answer.map_err(|denial| denial.asked_by(rule))?);
        }
        Ok(answers)
    }

    /// The first denial of what follows ends it.
    fn verdict(&'a self, answers: Vec<Answer<'a>>) -> Result<Undenied<'a>, Decision> {
        let mut rego = answers;
        // DENY: any rule that matches.
        if let Some(rule) = self.attached.denied_by(&self.facts) {
            return Err(Decision::denied_by_rule(rule));
        }
        // The Rego entrypoint, asked for every request as soon as there is any Rego, unless the
        // operator has said that Rego is for providers alone.
        if let Some(policies) = &self.policies.rego
            && let Some(entrypoint) = policies.entrypoint()
        {
            rego.push(self.ask_entrypoint(policies, entrypoint)?);
        }
        // ALLOW: if there is any such policy, one of their rules must match.
        let rule = self.attached.allowed_by(&self.facts);
        if self.attached.allow.has_policy() && rule.is_none() {
            return Err(Decision::not_allowed());
        }
        Ok(Undenied { rule, rego })
    }

    /// Rule: in a dry run the entrypoint's denials let pass; its errors do not.
    fn ask_entrypoint(
        &self,
        rego: &RegoPolicies,
        entrypoint: &'a Entrypoint,
    ) -> Result<Answer<'a>, Decision> {
        let (outcome, path) = self.answer(rego, entrypoint)?;
        match outcome.allowed {
            true => Ok((outcome, path)),
            false if self.policies.settings.rego_dry_run => Ok((outcome.dry_run(), path)),
            false => Err(Decision::denied_by_rego(&outcome, path)),
        }
    }

    /// One question to Rego. Anything but an outcome that allows is a denial.
    fn ask(&self, rego: &RegoPolicies, entrypoint: &'a Entrypoint) -> Result<Answer<'a>, Decision> {
        match self.answer(rego, entrypoint)? {
            (outcome, path) if outcome.allowed => Ok((outcome, path)),
            (outcome, path) => Err(Decision::denied_by_rego(&outcome, path)),
        }
    }

    /// What Rego answers, if it does.
    fn answer(
        &self,
        rego: &RegoPolicies,
        entrypoint: &'a Entrypoint,
    ) -> Result<Answer<'a>, Decision> {
        let path = entrypoint.path();
        // Rule: what a bundle that has never come would deny is not known, whatever the others say.
        if self.policies.lacks_bundle {
            return Err(Decision::lacks_bundle(path));
        }
        let ask = || rego.evaluate_for(entrypoint, &self.rego, self.now_ns);
        match self.stopwatch.asking_rego(ask) {
            Ok(outcome) => {
                let lifetime = entrypoint.lifetime(&outcome);
                self.lifetime.set(self.lifetime.get().and(lifetime));
                Ok((outcome, path))
            }
            Err(failure) => {
                let as_error = self.policies.settings.on_error == OnError::Error;
                let mut decision = Decision::rego_failed(&failure, path, as_error);
                decision.reason.detail = entrypoint.missing();
                Err(decision)
            }
        }
    }
}
