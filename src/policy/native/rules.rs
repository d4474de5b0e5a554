//! Rules of one workload and action, and finding the first that matches without asking all of them:
//! those with many hosts, paths or principals are found by these. Which rules match is decided by
//! the rules themselves.

use std::collections::HashMap;
use std::sync::Arc;

use super::authorization::{CompiledRule, Facts};
use super::keys::{Attribute, Key};
use crate::policy::reads::Reads;

/// Fewer rules are asked one after the other.
const MIN_INDEXED: usize = 8;

/// Rules in the order in which they are asked.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Arc<CompiledRule>>,
    index: Option<Index>,
    /// Whether there is any policy, even one without rules.
    has_policy: bool,
}

/// Positions of rules by a value that a request must have for them to match.
#[derive(Debug, Default)]
struct Index {
    by_attribute: Vec<(Attribute, Postings)>,
    /// Rules without such a value.
    others: Vec<usize>,
}

/// Positions by literal text, ascending.
#[derive(Debug, Default)]
struct Postings {
    exact: HashMap<Box<[u8]>, Vec<usize>>,
    /// By length.
    prefixes: Vec<(usize, HashMap<Box<[u8]>, Vec<usize>>)>,
    suffixes: Vec<(usize, HashMap<Box<[u8]>, Vec<usize>>)>,
}

// === impl Rules ===

impl Rules {
    pub(super) fn add(&mut self, rules: &[Arc<CompiledRule>]) {
        self.rules.extend(rules.iter().cloned());
        self.has_policy = true;
    }

    /// Puts the rules in order, and adds what they read. Rule: of several that match, the first in byte order of the ids is
    /// reported.
    pub(super) fn finish(&mut self, reads: &mut Reads) {
        self.rules.sort_by_cached_key(|rule| rule.id());
        self.iter().for_each(|rule| reads.merge(&rule.reads()));
        self.index = (self.rules.len() >= MIN_INDEXED).then(|| Index::of(&self.rules));
    }

    /// Whether there is any policy, even one without rules.
    pub fn has_policy(&self) -> bool {
        self.has_policy
    }

    /// In the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = &CompiledRule> {
        self.rules.iter().map(Arc::as_ref)
    }

    /// The first rule that matches.
    pub(super) fn first_match(&self, facts: &Facts<'_>) -> Option<&CompiledRule> {
        match &self.index {
            Some(index) if Attribute::all_hold(facts) => self.first_indexed(index, facts),
            _ => self.iter().find(|rule| rule.matches(facts)),
        }
    }

    fn first_indexed(&self, index: &Index, facts: &Facts<'_>) -> Option<&CompiledRule> {
        let mut best: Option<usize> = None;
        let mut look = |positions: &[usize]| {
            let sooner = positions
                .iter()
                .take_while(|at| best.is_none_or(|best| **at < best));
            let matches = |at: &&usize| {
                let rule = self.rules.get(**at);
                rule.is_some_and(|rule| rule.matches(facts))
            };
            if let Some(found) = sooner.into_iter().find(matches) {
                best = Some(*found);
            }
        };
        look(&index.others);
        for (attribute, postings) in &index.by_attribute {
            attribute.values(facts, |value| postings.of(value, &mut look));
        }
        best.and_then(|at| self.rules.get(at)).map(Arc::as_ref)
    }
}

// === impl Index ===

impl Index {
    /// Every rule under that attribute by whose values the fewest other rules are found.
    fn of(rules: &[Arc<CompiledRule>]) -> Self {
        let keys: Vec<Vec<(Attribute, Vec<Key>)>> = rules.iter().map(|rule| rule.keys()).collect();
        let mut shared: HashMap<(Attribute, &Key), usize> = HashMap::new();
        for (attribute, keys) in keys.iter().flatten() {
            for key in keys {
                *shared.entry((*attribute, key)).or_default() += 1;
            }
        }
        let mut index = Self::default();
        for (at, choices) in keys.iter().enumerate() {
            let cost = |(attribute, keys): &&(Attribute, Vec<Key>)| {
                let count = |key| shared.get(&(*attribute, key)).copied();
                keys.iter().filter_map(count).max().unwrap_or(0)
            };
            match choices.iter().min_by_key(cost) {
                Some((attribute, keys)) => index.postings(*attribute).add(keys, at),
                None => index.others.push(at),
            }
        }
        index
    }

    fn postings(&mut self, attribute: Attribute) -> &mut Postings {
        let known = self
            .by_attribute
            .iter()
            .position(|(is, _)| *is == attribute);
        let at = known.unwrap_or_else(|| {
            self.by_attribute.push((attribute, Postings::default()));
            self.by_attribute.len() - 1
        });
        #[expect(
            clippy::indexing_slicing,
            reason = "it was found or put there just now"
        )]
        &mut self.by_attribute[at].1
    }
}

// === impl Postings ===

impl Postings {
    fn add(&mut self, keys: &[Key], at: usize) {
        for key in keys {
            let (text, map) = match key {
                Key::Exact(text) => (text, &mut self.exact),
                Key::Prefix(text) => (text, of_length(&mut self.prefixes, text.len())),
                Key::Suffix(text) => (text, of_length(&mut self.suffixes, text.len())),
            };
            let positions = map.entry(text.as_bytes().into()).or_default();
            if positions.last() != Some(&at) {
                positions.push(at);
            }
        }
    }

    /// Shows all positions whose text fits a value.
    fn of(&self, value: &[u8], look: &mut impl FnMut(&[usize])) {
        let mut found = |map: &HashMap<Box<[u8]>, Vec<usize>>, text: Option<&[u8]>| {
            if let Some(positions) = text.and_then(|text| map.get(text)) {
                look(positions);
            }
        };
        found(&self.exact, Some(value));
        for (length, map) in &self.prefixes {
            found(map, value.get(..*length));
        }
        for (length, map) in &self.suffixes {
            let start = value.len().checked_sub(*length);
            found(map, start.and_then(|start| value.get(start..)));
        }
    }
}

fn of_length<T: Default>(maps: &mut Vec<(usize, T)>, length: usize) -> &mut T {
    let known = maps.iter().position(|(is, _)| *is == length);
    let at = known.unwrap_or_else(|| {
        maps.push((length, T::default()));
        maps.len() - 1
    });
    #[expect(
        clippy::indexing_slicing,
        reason = "it was found or put there just now"
    )]
    &mut maps[at].1
}
