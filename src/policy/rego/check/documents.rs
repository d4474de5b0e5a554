//! The tree of documents that rules define: which rules stand where, and which of them a reference
//! can reach.

use std::collections::BTreeMap;

use super::core::{Constant, Reference, Rule, Term};

/// A place in the tree.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// Indices of the rules whose constant beginning ends here.
    pub(super) rules: Vec<usize>,
    pub(super) children: BTreeMap<Constant, Self>,
}

impl Documents {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut root = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            let mut node = &mut root;
            for part in rule.ground() {
                node = node.children.entry(part).or_default();
            }
            node.rules.push(index);
        }
        root
    }

    /// The place of a rule by strings.
    pub(super) fn find_named(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |node, part| {
            node.children.get(&Constant::string(part))
        })
    }

    /// Calls back for each place with rules.
    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        if !self.rules.is_empty() {
            visit(self);
        }
        for child in self.children.values() {
            child.walk(visit);
        }
    }

    /// Rules that a reference into `data` can reach. Rule: those on its way, all that lie in what it
    /// ends at, and for a part that is not constant each child.
    pub(super) fn reached(&self, reference: &Reference) -> Vec<usize> {
        let mut reached = Vec::new();
        if &*reference.head == "data" {
            self.reach(&reference.tail, &mut reached);
        }
        reached
    }

    fn reach(&self, tail: &[Term], reached: &mut Vec<usize>) {
        let Some((part, rest)) = tail.split_first() else {
            self.walk(&mut |node| reached.extend(&node.rules));
            return;
        };
        if part.is_constant() {
            let key = part.constant();
            if let Some(child) = key.and_then(|key| self.children.get(&key)) {
                reached.extend(&child.rules);
                child.reach(rest, reached);
            }
            return;
        }
        for child in self.children.values() {
            reached.extend(&child.rules);
            child.reach(rest, reached);
        }
    }
}
