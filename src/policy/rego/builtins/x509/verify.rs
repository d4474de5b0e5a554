//! Chains of certificates from a leaf to a root, found and checked as Go's `Certificate.Verify` does.
//! Revocation is not looked at.

use std::collections::BTreeSet;

use super::super::Failure;
use super::certificate::Certificate;
use super::names::{Comparisons, MAX_NAME, Refusal, allow};
use super::policy_tree;

/// Most signatures that are checked for one leaf.
const MAX_SIGNATURES: usize = 100;
/// Most comparisons of names with constraints for one leaf.
pub(super) const MAX_COMPARISONS: i64 = 250_000;
/// Bit of the key usage for signing certificates.
const CERTIFICATE_SIGN: u32 = 1 << 5;
/// Places of extended key usages in Go's list.
const ANY_USAGE: usize = 0;
const SERVER_AUTH: usize = 1;

pub(super) struct Options<'o> {
    /// A host the leaf must be for; none if it is empty.
    pub(super) dns_name: &'o str,
    /// Nanoseconds since 1970.
    pub(super) now: i128,
    /// Comparisons with the constraints of one certificate.
    pub(super) comparisons: i64,
    /// Of which the chain must be good for one.
    pub(super) usages: Vec<usize>,
}

/// What a certificate of a chain is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Leaf,
    Intermediate,
    Root,
}

/// A search for the first chain that holds.
struct Search<'c, 'a, 'o> {
    root: &'c Certificate<'a>,
    intermediates: Vec<&'c Certificate<'a>>,
    options: &'o Options<'o>,
    signatures_left: usize,
    /// For all certificates together.
    comparisons_left: i64,
}

/// From the leaf to the root.
type Chain<'c, 'a> = Vec<&'c Certificate<'a>>;

/// The first chain from the last certificate to the first one by way of those between; `None` if
/// there is no valid one.
pub(super) fn chain<'c, 'a>(
    certificates: &'c [Certificate<'a>],
    options: &Options<'_>,
) -> Result<Option<Chain<'c, 'a>>, Failure> {
    // Rule: the first is the root, the last the leaf.
    let [root, between @ .., leaf] = certificates else {
        return Ok(None);
    };
    let mut search = Search {
        root,
        intermediates: Vec::new(),
        options,
        signatures_left: MAX_SIGNATURES,
        comparisons_left: MAX_COMPARISONS,
    };
    // Rule: one that is there twice counts once.
    let mut seen = BTreeSet::new();
    let new = between
        .iter()
        .filter(|certificate| seen.insert(certificate.raw));
    search.intermediates = new.collect();
    if !search.is_valid(leaf, Role::Leaf, &[])? {
        return Ok(None);
    }
    let name = options.dns_name;
    if !name.is_empty() && !leaf.extended.names.include(name) {
        return Ok(None);
    }
    // Rule: a leaf that is the root needs no other.
    if leaf.raw == root.raw {
        return Ok(Some(vec![leaf]).filter(|chain| options.accept(chain)));
    }
    search.extend(&mut vec![leaf])
}

// === impl Options ===

impl Options<'_> {
    fn accept(&self, chain: &[&Certificate<'_>]) -> bool {
        policy_tree::are_valid(chain) && self.accept_usages(chain)
    }

    /// Rule: a usage holds if every certificate of the chain that restricts usages has it. Without
    /// any demand it is that of a server.
    fn accept_usages(&self, chain: &[&Certificate<'_>]) -> bool {
        let wanted = match self.usages.as_slice() {
            [] => &[SERVER_AUTH],
            usages => usages,
        };
        let allows = |certificate: &&Certificate<'_>, wanted: usize| {
            let own = &certificate.extended.extended_key_usage;
            let is_free = own.is_empty() && certificate.extended.unknown_key_usage.is_empty();
            is_free || own.contains(&ANY_USAGE) || own.contains(&wanted)
        };
        wanted.iter().any(|usage| {
            *usage == ANY_USAGE || chain.iter().all(|certificate| allows(certificate, *usage))
        })
    }
}

// === impl Search ===

impl<'c, 'a> Search<'c, 'a, '_> {
    /// The first way on from the end of the chain that leads to the root.
    fn extend(&mut self, chain: &mut Chain<'c, 'a>) -> Result<Option<Chain<'c, 'a>>, Failure> {
        let Some(child) = chain.last().copied() else {
            return Ok(None);
        };
        let root = self.root;
        if self.is_parent(root, child, Role::Root, chain)? {
            chain.push(root);
            if self.options.accept(chain) {
                return Ok(Some(chain.clone()));
            }
            chain.pop();
        }
        for parent in self.candidates(child) {
            if self.is_parent(parent, child, Role::Intermediate, chain)? {
                chain.push(parent);
                if let Some(found) = self.extend(chain)? {
                    return Ok(Some(found));
                }
                chain.pop();
            }
            if self.signatures_left == 0 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Rule: those of the issuer's name; first with the key's id, then with one that is not known,
    /// then with another.
    fn candidates(&self, child: &Certificate<'_>) -> Vec<&'c Certificate<'a>> {
        let rank = |candidate: &&Certificate<'_>| {
            let own = candidate.extended.subject_key_id.unwrap_or_default();
            let wanted = child.extended.authority_key_id.unwrap_or_default();
            match own == wanted {
                true => 0,
                false if own.is_empty() || wanted.is_empty() => 1,
                false => 2,
            }
        };
        let of_name = self.intermediates.iter().copied();
        let of_name = of_name.filter(|candidate| candidate.raw_subject == child.raw_issuer);
        let mut candidates: Vec<_> = of_name.collect();
        candidates.sort_by_key(rank);
        candidates
    }

    fn is_parent(
        &mut self,
        parent: &Certificate<'a>,
        child: &Certificate<'a>,
        role: Role,
        chain: &[&'c Certificate<'a>],
    ) -> Result<bool, Failure> {
        let is_candidate = parent.raw_subject == child.raw_issuer && !is_in(parent, chain);
        if !is_candidate || self.signatures_left == 0 {
            return Ok(false);
        }
        self.signatures_left -= 1;
        Ok(has_signed(parent, child) && self.is_valid(parent, role, chain)?)
    }

    /// Whether a certificate may stand behind those of the chain.
    fn is_valid(
        &mut self,
        certificate: &Certificate<'_>,
        role: Role,
        chain: &[&Certificate<'_>],
    ) -> Result<bool, Failure> {
        let extended = &certificate.extended;
        // Rule: no critical extension that is not understood.
        if !extended.unhandled.is_empty() {
            return Ok(false);
        }
        // Rule: not before and not after, both included.
        let now = self.options.now;
        let (from, to) = (&certificate.not_before, &certificate.not_after);
        if now < from.nanoseconds() || now > to.nanoseconds() {
            return Ok(false);
        }
        if role != Role::Leaf && !self.allows_names(certificate, chain)? {
            return Ok(false);
        }
        let Some(basic) = &extended.basic else {
            // Rule: an intermediate says that it is an authority; a root need not.
            return Ok(role != Role::Intermediate);
        };
        if role == Role::Intermediate && !basic.is_ca {
            return Ok(false);
        }
        // Rule: no more authorities below than the constraint says; the leaf is none.
        let below = chain.len().saturating_sub(1);
        Ok(usize::try_from(basic.path_length).map_or(true, |most| below <= most))
    }

    /// Rule: the names of all below are within the constraints.
    fn allows_names(
        &mut self,
        authority: &Certificate<'_>,
        chain: &[&Certificate<'_>],
    ) -> Result<bool, Failure> {
        let (permitted, excluded) = (&authority.extended.permitted, &authority.extended.excluded);
        if permitted.is_empty() && excluded.is_empty() {
            return Ok(true);
        }
        let allowed = self.options.comparisons.min(self.comparisons_left);
        let mut left = Comparisons(allowed);
        for certificate in chain {
            match allow(&certificate.extended.names, permitted, excluded, &mut left) {
                Ok(()) => {}
                Err(Refusal::TooLong) => {
                    return Err(Failure::Limit(format!(
                        "names of more than {MAX_NAME} bytes are not compared with constraints"
                    )));
                }
                // Rule: too many for one certificate is a chain that does not hold; ours is the limit for
                // all of them.
                Err(Refusal::TooMany) if allowed < self.options.comparisons => {
                    return Err(Failure::Limit(format!(
                        "more than {MAX_COMPARISONS} comparisons of names are refused"
                    )));
                }
                Err(_) => return Ok(false),
            }
        }
        self.comparisons_left -= allowed - left.0;
        Ok(true)
    }
}

/// Rule: the same subject, key and names make the same certificate, so that cross-signing makes no
/// loop.
fn is_in(candidate: &Certificate<'_>, chain: &[&Certificate<'_>]) -> bool {
    let is_same = |other: &&Certificate<'_>| {
        candidate.raw_subject == other.raw_subject
            && candidate.raw_key == other.raw_key
            && candidate.names_extension() == other.names_extension()
    };
    chain.iter().any(is_same)
}

/// Whether a certificate's key made the other's signature, and may.
fn has_signed(parent: &Certificate<'_>, child: &Certificate<'_>) -> bool {
    // Rule: of the third version an authority says that it is one, of an earlier one it need not.
    let is_authority = match &parent.extended.basic {
        Some(basic) => basic.is_ca,
        None => parent.version != 3,
    };
    let usage = parent.extended.key_usage;
    let may_sign = usage == 0 || usage & CERTIFICATE_SIGN != 0;
    let algorithm = child.signature_algorithm;
    is_authority && may_sign && algorithm.verifies(&parent.key, child.raw_tbs, &child.signature)
}
