//! Rules that need themselves, directly or by way of others. The graph is one of references: what a
//! reference can reach is needed, whether or not an evaluation would get there.

use std::collections::{BTreeMap, BTreeSet};

use super::core::Rule;
use super::{Checked, RECURSION, error, path_text};
use crate::policy::rego::RegoError;

/// Longest chain of rules each of which needs the next: evaluating one takes some of the stack.
const MAX_CHAIN: usize = 1_000;

/// Which rules each rule needs, by index.
pub(super) struct Needs(Vec<BTreeSet<usize>>);

impl Needs {
    pub(super) fn of(checked: &Checked<'_>) -> Self {
        // Rules of one path need the same by way of any reference to them: what is reached is noted
        // once a reference, as whole sets of rules.
        let needs = checked.rules.iter().map(|rule| {
            let mut needed = BTreeSet::new();
            rule.references(&mut |reference| needed.extend(checked.documents.reached(reference)));
            called(rule, checked, &mut needed);
            needed
        });
        Self(needs.collect())
    }

    /// An order in which each rule comes behind those that it needs; rules that need themselves are
    /// left out.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut open: Vec<usize> = self.0.iter().map(BTreeSet::len).collect();
        let mut needed_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (rule, needed) in self.0.iter().enumerate() {
            for other in needed {
                needed_by.entry(*other).or_default().push(rule);
            }
        }
        let mut order: Vec<usize> = Vec::with_capacity(self.0.len());
        order.extend(
            open.iter()
                .enumerate()
                .filter_map(|(rule, open)| (*open == 0).then_some(rule)),
        );
        let mut next = 0;
        while let Some(done) = order.get(next).copied() {
            next += 1;
            for rule in needed_by.get(&done).into_iter().flatten() {
                if let Some(open) = open.get_mut(*rule) {
                    *open -= 1;
                    if *open == 0 {
                        order.push(*rule);
                    }
                }
            }
        }
        order
    }

    /// The first rule at the end of too long a chain, in an order of needs.
    fn too_long(&self, order: &[usize]) -> Option<usize> {
        let mut depths = vec![0; self.0.len()];
        order.iter().copied().find(|&rule| {
            let needed = self.0.get(rule).into_iter().flatten();
            let deepest = needed.filter_map(|other| depths.get(*other)).max();
            let depth = deepest.map_or(1, |deepest: &usize| deepest + 1);
            if let Some(of_rule) = depths.get_mut(rule) {
                *of_rule = depth;
            }
            depth > MAX_CHAIN
        })
    }

    /// A way from a rule back to itself.
    fn cycle(&self, from: usize) -> Option<Vec<usize>> {
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut next = std::collections::VecDeque::from([from]);
        while let Some(rule) = next.pop_front() {
            for other in self.0.get(rule).into_iter().flatten() {
                if *other == from {
                    let mut way = vec![from];
                    let mut at = rule;
                    while at != from {
                        way.push(at);
                        at = *came_from.get(&at)?;
                    }
                    way.push(from);
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(other) {
                    came_from.insert(*other, rule);
                    next.push_back(*other);
                }
            }
        }
        None
    }
}

/// Rules that are called.
fn called(rule: &Rule, checked: &Checked<'_>, needed: &mut BTreeSet<usize>) {
    for expression in &rule.body {
        expression.walk(&mut |expression| {
            if let super::core::What::Call(super::core::Function::Rule(path), _) = &expression.what
                && let Some(node) = checked.documents.find_named(path)
            {
                node.walk(&mut |node| needed.extend(&node.rules));
            }
        });
    }
}

pub(super) fn check(checked: &Checked<'_>, errors: &mut Vec<RegoError>) {
    let needs = Needs::of(checked);
    let order = needs.order();
    if let Some(rule) = needs
        .too_long(&order)
        .and_then(|rule| checked.rules.get(rule))
    {
        let name = path_text(&rule.path);
        let message =
            format!("rule {name} needs more than {MAX_CHAIN} others, one by way of another");
        errors.push(error(RECURSION, message, &rule.place));
    }
    let ordered: BTreeSet<_> = order.into_iter().collect();
    for (index, rule) in checked.rules.iter().enumerate() {
        if ordered.contains(&index) {
            continue;
        }
        let Some(way) = needs.cycle(index) else {
            continue;
        };
        let way = way.iter().filter_map(|rule| checked.rules.get(*rule));
        let way: Vec<_> = way.map(|rule| path_text(&rule.path)).collect();
        let name = path_text(&rule.path);
        let message = format!("rule {name} is recursive: {}", way.join(" -> "));
        errors.push(error(RECURSION, message, &rule.place));
    }
}
