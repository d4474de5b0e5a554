//! Certificate policies along a chain (RFC 5280 section 6.1 as updated by RFC 9618), for callers that
//! name no policy of their own: all that can go wrong is that one is required and none is left.

use std::collections::{BTreeMap, BTreeSet};

use super::certificate::Certificate;

/// The encoding of `anyPolicy`.
const ANY: &[u8] = &[0x55, 0x1d, 0x20, 0x00];

/// The policies that are valid at one certificate, each with those that are expected below.
type Level<'a> = BTreeMap<&'a [u8], Vec<&'a [u8]>>;

/// Certificates that are still let pass before something sets in.
struct Counters {
    explicit_policy: usize,
    policy_mapping: usize,
    inhibit_any: usize,
}

/// `chain` begins with the leaf and ends with the trust anchor.
pub(super) fn are_valid(chain: &[&Certificate<'_>]) -> bool {
    let Some((_, path)) = chain.split_last() else {
        return false;
    };
    let Some(leaf) = path.first() else {
        return true;
    };
    let count = path.len() + 1;
    let mut counters = Counters {
        explicit_policy: count,
        policy_mapping: count,
        inhibit_any: count,
    };
    let mut level = Some(Level::from([(ANY, vec![ANY])]));
    for (depth, certificate) in path.iter().enumerate().rev() {
        let policies = certificate.extended.policies.as_deref().unwrap_or_default();
        // Rule (6.1.3 e): a certificate without policies ends all of them.
        level = level.filter(|_| !policies.is_empty());
        // Rule (6.1.3 f).
        if counters.explicit_policy == 0 && level.is_none() {
            return false;
        }
        let is_last = depth == 0;
        let is_self_issued = certificate.raw_issuer == certificate.raw_subject;
        let any_counts = counters.inhibit_any > 0 || (!is_last && is_self_issued);
        level = level.map(|parents| below(&parents, policies, any_counts));
        if !is_last {
            let mapped = level
                .as_mut()
                .is_none_or(|level| map(level, certificate, &counters));
            if !mapped {
                return false;
            }
            counters.pass(certificate, is_self_issued);
        }
    }
    // Rule (6.1.5 a and b).
    let required =
        counters.explicit_policy <= 1 || leaf.extended.require_explicit_policy == Some(0);
    !required || level.is_some_and(|level| !level.is_empty())
}

/// Rule (6.1.3 d): a policy is valid if it is expected, or else if any is.
fn below<'a>(parents: &Level<'a>, policies: &[&'a [u8]], any_counts: bool) -> Level<'a> {
    let expected: BTreeSet<_> = parents.values().flatten().copied().collect();
    let named = policies.iter().copied().filter(|policy| *policy != ANY);
    let valid = named.filter(|policy| expected.contains(policy) || parents.contains_key(ANY));
    let mut level: Level<'a> = valid.map(|policy| (policy, vec![policy])).collect();
    if policies.contains(&ANY) && any_counts {
        for policy in expected {
            level.entry(policy).or_insert_with(|| vec![policy]);
        }
    }
    level
}

/// Rule (6.1.4 a and b): one policy is another below, unless that is forbidden. False if it would
/// be any.
fn map<'a>(level: &mut Level<'a>, certificate: &Certificate<'a>, counters: &Counters) -> bool {
    let mut mappings = Level::new();
    for (issuer, subject) in &certificate.extended.mappings {
        if counters.policy_mapping == 0 {
            level.remove(issuer);
            continue;
        }
        if *issuer == ANY || *subject == ANY {
            return false;
        }
        mappings.entry(issuer).or_default().push(subject);
    }
    for (issuer, subjects) in mappings {
        if level.contains_key(issuer) || level.contains_key(ANY) {
            level.insert(issuer, subjects);
        }
    }
    true
}

// === impl Counters ===

impl Counters {
    /// Rule (6.1.4 h to j): each certificate counts that another did not issue for itself.
    fn pass(&mut self, certificate: &Certificate<'_>, is_self_issued: bool) {
        let extended = &certificate.extended;
        let constraints = [
            (&mut self.explicit_policy, extended.require_explicit_policy),
            (&mut self.policy_mapping, extended.inhibit_policy_mapping),
            (&mut self.inhibit_any, extended.inhibit_any_policy),
        ];
        for (counter, constraint) in constraints {
            if !is_self_issued {
                *counter = counter.saturating_sub(1);
            }
            // One below zero is none.
            if let Some(Ok(limit)) = constraint.map(usize::try_from) {
                *counter = limit.min(*counter);
            }
        }
    }
}
