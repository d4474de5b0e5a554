//! What a case can name: the policies loaded, their rules and the Rego entrypoints. A name that is
//! not among them is most likely a slip of the pen, and the case would never tell.

use std::sync::Arc;

use super::expect::{Expect, ExpectWouldBe};
use crate::policy::PolicySet;
use crate::policy::rego::RegoPolicies;
use crate::policy::resource::{Resource, Spec};

/// Names further apart than this are not suggested.
const MIN_SIMILARITY: f64 = 0.6;

/// What a case can name as having decided.
pub(super) struct Known {
    objects: Vec<Arc<Resource>>,
    /// Of Rego, if there is any.
    entrypoints: Vec<String>,
}

// === impl Known ===

impl Known {
    pub(super) fn new(objects: Vec<Arc<Resource>>, compiled: &PolicySet) -> Self {
        let entrypoints = compiled.rego.iter().flat_map(RegoPolicies::all);
        Self {
            objects,
            entrypoints: entrypoints.map(|asked| asked.path().to_owned()).collect(),
        }
    }

    /// Members that name what is not there, which is most likely a slip of the pen.
    pub(super) fn unknown(&self, expect: &Expect) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if let Some(policy) = &expect.policy {
            if !self.names().any(|name| name == *policy) {
                found.push(("policy", self.no_policy(policy)));
            } else if let Some(rule) = expect.rule
                && rule >= self.rules(policy)
            {
                let rules = self.rules(policy);
                let why = format!("`{policy}` has {rules} rules, counted from 0");
                found.push(("rule", why));
            }
        }
        let tried = expect.dry_run.as_ref();
        let tried = tried.map(|tried| {
            [
                ("dry_run.allow.matched", &tried.allow),
                ("dry_run.deny.matched", &tried.deny),
            ]
        });
        for (member, verdict) in tried.into_iter().flatten() {
            let matched = verdict
                .as_ref()
                .and_then(|verdict: &ExpectWouldBe| verdict.matched.as_ref());
            if let Some(matched) = matched
                && !self.rule_ids().any(|id| id == *matched)
            {
                found.push((
                    member,
                    format!("no rule of the policies loaded is `{matched}`"),
                ));
            }
        }
        found
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let objects = self.objects.iter();
        let objects = objects.map(|object| format!("{}/{}", object.id.namespace, object.id.name));
        objects.chain(self.entrypoints.iter().cloned())
    }

    fn no_policy(&self, policy: &str) -> String {
        let close = self
            .names()
            .map(|name| (strsim::jaro_winkler(policy, &name), name))
            .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
            .max_by(|left, right| left.0.total_cmp(&right.0));
        let hint = close.map(|(_, name)| format!(", did you mean `{name}`?"));
        let hint = hint.unwrap_or_default();
        format!("no policy `{policy}` is loaded{hint}")
    }

    /// How many rules the policy of a name has.
    fn rules(&self, policy: &str) -> usize {
        let objects = self.objects.iter();
        let of_name = objects
            .filter(|object| format!("{}/{}", object.id.namespace, object.id.name) == policy);
        of_name.map(|object| rules(object)).sum()
    }

    fn rule_ids(&self) -> impl Iterator<Item = String> {
        self.objects.iter().flat_map(|object| {
            let id = &object.id;
            let prefix = format!("ns[{}]-policy[{}]", id.namespace, id.name);
            (0..rules(object)).map(move |index| format!("{prefix}-rule[{index}]"))
        })
    }
}

fn rules(object: &Resource) -> usize {
    match &object.spec {
        Spec::AuthorizationPolicy(spec) => spec.rules.as_ref().map_or(0, Vec::len),
        Spec::RequestAuthentication(_) | Spec::PeerAuthentication(_) | Spec::Telemetry(_) => 0,
    }
}
