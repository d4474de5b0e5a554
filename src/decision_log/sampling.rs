//! Which decisions are kept, where not all are: a share by effect and policy, told by the decision's id.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decision::{Decision, Effect};

/// Most rules of a configuration.
pub(super) const MAX_RULES: usize = 1_000;

/// Which share of some decisions is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Of both, if there is none.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// What decided: `namespace/name`, or a Rego entrypoint. Whatever it is, if there is none.
    #[serde(default)]
    pub policy: Option<String>,
    /// From 0, none is kept, to 1, all are.
    pub ratio: f64,
}

impl Sampling {
    fn is_for(&self, decision: &Decision) -> bool {
        self.effect.is_none_or(|effect| effect == decision.effect())
            && (self.policy.is_none() || self.policy.as_ref() == decision.reason.decided_by())
    }
}

/// Rule: the first that is for a decision counts; without one it is kept.
pub(super) fn keeps(rules: &[Sampling], id: Uuid, decision: &Decision) -> bool {
    let mut rules = rules.iter();
    let rule = rules.find(|rule| rule.is_for(decision));
    rule.is_none_or(|rule| share(id) < rule.ratio)
}

/// From 0 to less than 1, the same for an id wherever it is asked: its first 48 bits, which are random.
fn share(id: Uuid) -> f64 {
    let (high, _) = id.as_u64_pair();
    let bits = (high >> 16) as f64;
    bits / (1_u64 << 48) as f64
}
