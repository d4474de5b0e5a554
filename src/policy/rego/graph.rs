//! Which rule refers to which, and what each reads itself: the input, data, built-ins. It is made in
//! one pass over all modules (`walk`) and asked from an entrypoint on.
//!
//! How to use it: every rule of every module has a [`RuleId`], also those of one name, and stands in
//! a tree by the constant beginning of its path. A reference is kept as a place in that tree, so
//! that neither making nor following one looks at rules one by one: it reaches the rules on the
//! way to its place and, unless it leads further than the tree, all below. [`Graph::reached`] puts
//! together what an entrypoint can read, and the strongest purity it can reach. Who needs the rules
//! that one rule refers to follows its references by a `Search`.
//!
//! A reference reaches more than it means rather than less: what is reached may be evaluated by the
//! interpreter, and what is not reached never is.

use std::collections::{BTreeSet, HashMap};

use super::builtins::{self, Purity};
use super::paths::{Paths, Use};
use crate::policy::lifetime::Unremembered;

/// A rule of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RuleId(usize);

/// A place in the tree of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct BranchId(usize);

/// The root of the tree: `data`.
const ROOT: BranchId = BranchId(0);

/// All rules and their references.
#[derive(Debug)]
pub(super) struct Graph {
    branches: Vec<Branch>,
    rules: Vec<Facts>,
    /// Built-ins that stand for something else somewhere (`with object.get as f`).
    replaced: BTreeSet<String>,
}

/// A place in the tree.
#[derive(Debug, Default)]
struct Branch {
    parent: Option<BranchId>,
    children: HashMap<String, BranchId>,
    /// Rules whose constant path ends here.
    rules: Vec<RuleId>,
    /// It is part of a rule's name, not only of a package's: the interpreter evaluates all below when
    /// a reference that leads elsewhere begins with it.
    of_rule: bool,
}

/// What one rule does by itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What it reads of the input, but for its value if that is an alias.
    pub(super) input: Paths,
    /// What it names of data that is no rule's.
    pub(super) data: Paths,
    /// Its value is nothing but this path of the input.
    alias: Option<Vec<String>>,
    references: BTreeSet<Reference>,
    effect: Effect,
}

/// What calls of built-ins amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// The strongest of all.
    pub(super) purity: Purity,
    /// A built-in that has it; `None` if it is pure.
    pub(super) built_in: Option<String>,
}

/// A reference into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    to: BranchId,
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// A member of what the rule there is an alias of.
    Member,
    /// All on the way.
    Above,
    /// All on the way, and all below, which are evaluated and nothing more.
    Evaluated,
    /// All on the way, and all below.
    Below,
}

/// What an entrypoint can read, by itself and by all it reaches.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) input: Paths,
    pub(super) data: Paths,
    pub(super) effect: Effect,
}

// === impl Graph ===

impl Default for Graph {
    fn default() -> Self {
        Self {
            branches: vec![Branch::default()],
            rules: Vec::new(),
            replaced: BTreeSet::new(),
        }
    }
}

impl Graph {
    /// Adds a rule by its package and the constant beginning of its name.
    pub(super) fn declare(&mut self, package: &[String], name: &[String]) -> RuleId {
        let id = RuleId(self.rules.len());
        self.rules.push(Facts::default());
        let mut at = ROOT;
        for part in package {
            at = self.child(at, part, false);
        }
        for part in name {
            at = self.child(at, part, true);
        }
        if let Some(branch) = self.branches.get_mut(at.0) {
            branch.rules.push(id);
        }
        id
    }

    fn child(&mut self, of: BranchId, name: &str, of_rule: bool) -> BranchId {
        let next = BranchId(self.branches.len());
        let Some(parent) = self.branches.get_mut(of.0) else {
            return of;
        };
        let id = *parent.children.entry(name.to_owned()).or_insert(next);
        if id == next {
            self.branches.push(Branch {
                parent: Some(of),
                ..Branch::default()
            });
        }
        if let Some(branch) = self.branches.get_mut(id.0) {
            branch.of_rule |= of_rule;
        }
        id
    }

    /// Says that a rule's value is nothing but a path of the input.
    pub(super) fn set_alias(&mut self, rule: RuleId, path: Vec<String>) {
        if let Some(facts) = self.rules.get_mut(rule.0) {
            facts.alias = Some(path);
        }
    }

    pub(super) fn alias(&self, rule: RuleId) -> Option<&[String]> {
        self.rules.get(rule.0)?.alias.as_deref()
    }

    /// Whether a rule has exactly this path, or begins with it.
    pub(super) fn has_branch(&self, path: &[String]) -> bool {
        self.find(path).1.is_empty()
    }

    fn only_rule_at(&self, branch: BranchId) -> Option<RuleId> {
        let branch = self.branches.get(branch.0)?;
        match branch.rules.as_slice() {
            [rule] if branch.children.is_empty() => Some(*rule),
            _ => None,
        }
    }

    /// How far a path leads into the tree, and what is left of it.
    fn find<'p>(&self, path: &'p [String]) -> (BranchId, &'p [String]) {
        let mut at = ROOT;
        for (depth, part) in path.iter().enumerate() {
            let branch = self.branches.get(at.0);
            match branch.and_then(|branch| branch.children.get(part)) {
                Some(child) => at = *child,
                None => return (at, path.get(depth..).unwrap_or_default()),
            }
        }
        (at, &[])
    }

    /// Notes a reference to a path after `data`.
    pub(super) fn refer(&self, facts: &mut Facts, path: &[String], how: Use) {
        let (to, rest) = self.find(path);
        let alias = self.only_rule_at(to).and_then(|rule| self.alias(rule));
        let by_member = alias.filter(|_| how == Use::Presence || !rest.is_empty());
        let reach = if let Some(alias) = by_member {
            facts.input.add(alias.iter().chain(rest), how);
            Reach::Member
        } else if self.reaches_below(to, rest) {
            Reach::Below
        } else {
            Reach::Above
        };
        facts.references.insert(Reference { to, reach });
    }

    /// Notes that all in a path after `data` is evaluated, whatever is then used of it.
    pub(super) fn evaluate(&self, facts: &mut Facts, path: &[String]) {
        let (to, rest) = self.find(path);
        let reach = match self.reaches_below(to, rest) {
            true => Reach::Evaluated,
            false => Reach::Above,
        };
        facts.references.insert(Reference { to, reach });
    }

    fn reaches_below(&self, to: BranchId, rest: &[String]) -> bool {
        rest.is_empty() || self.branches.get(to.0).is_some_and(|at| at.of_rule)
    }

    /// Whether a path after `data` can lead to more than rules.
    pub(super) fn leads_to_data(&self, path: &[String]) -> bool {
        let (mut at, _) = self.find(path);
        loop {
            match self.branches.get(at.0) {
                Some(branch) if !branch.rules.is_empty() => return false,
                Some(Branch {
                    parent: Some(parent),
                    ..
                }) => at = *parent,
                _ => return true,
            }
        }
    }

    /// Whether no rule or package stands at a path after `data`, and no rule above it.
    pub(super) fn leads_nowhere(&self, path: &[String]) -> bool {
        let (_, rest) = self.find(path);
        !rest.is_empty() && self.leads_to_data(path)
    }

    /// Notes that a built-in stands for something else in a part of an evaluation.
    pub(super) fn replace(&mut self, built_in: String) {
        self.replaced.insert(built_in);
    }

    /// Whether a built-in stands for something else anywhere.
    pub(super) fn is_replaced(&self, built_in: &str) -> bool {
        self.replaced.contains(built_in)
    }

    /// Takes what was found out about a rule.
    pub(super) fn settle(&mut self, rule: RuleId, found: Facts) {
        if let Some(facts) = self.rules.get_mut(rule.0) {
            let alias = facts.alias.take();
            *facts = Facts { alias, ..found };
        }
    }

    /// What asking for a path after `data` can read.
    pub(super) fn reached(&self, path: &[String]) -> Reached {
        let mut search = Search::new(self);
        let mut start = Facts::default();
        self.refer(&mut start, path, Use::Whole);
        if self.leads_to_data(path) {
            start.data.add(path, Use::Whole);
        }
        let mut reached = Reached::default();
        reached.add(&start, Use::Presence);
        for reference in start.references {
            search.follow(reference);
        }
        while let Some((rule, how)) = search.found.pop() {
            let Some(facts) = self.rules.get(rule.0) else {
                continue;
            };
            reached.add(facts, how);
            for reference in &facts.references {
                search.follow(*reference);
            }
        }
        reached
    }
}

impl Reached {
    fn add(&mut self, facts: &Facts, how: Use) {
        self.input.merge(&facts.input);
        if let Some(alias) = &facts.alias {
            self.input.add(alias, how);
        }
        self.data.merge(&facts.data);
        self.effect.merge(&facts.effect);
    }
}

/// The built-in whose constant keys are told apart.
pub(super) const OBJECT_GET: &str = "object.get";

// === impl Facts ===

impl Facts {
    /// Notes a call of a built-in, or its name where it can stand for another; any other name is none.
    pub(super) fn built_in(&mut self, name: &str) {
        let Some(purity) = builtins::purity(name) else {
            return;
        };
        self.effect.merge(&Effect {
            purity,
            built_in: (purity > Purity::Pure).then(|| name.to_owned()),
        });
    }
}

// === impl Effect ===

impl Effect {
    /// The built-in by which answers are others each time, at times that nobody knows.
    pub(super) fn volatile(&self) -> Option<String> {
        let is_volatile = self.purity > Purity::Bounded;
        self.built_in.clone().filter(|_| is_volatile)
    }

    /// Why an answer is not remembered if policy does not say how long it holds.
    pub(super) fn unremembered(&self) -> Option<Unremembered> {
        match self.purity {
            Purity::Pure | Purity::Bounded => None,
            Purity::Time => Some(Unremembered::ReadsTime),
            Purity::Random => Some(Unremembered::ReadsRandom),
            Purity::External => Some(Unremembered::External),
        }
    }

    /// The stronger counts; of equal ones the first in the alphabet is named.
    fn merge(&mut self, other: &Self) {
        let is_first = other.purity == self.purity && other.built_in < self.built_in;
        if other.purity > self.purity || is_first {
            self.clone_from(other);
        }
    }
}

/// References followed from one rule or entrypoint.
struct Search<'a> {
    graph: &'a Graph,
    /// Whether a rule was found, by its number, and whether all of its value matters.
    rules: Vec<Option<Use>>,
    /// Whether rules at a place, and so all on the way to it, were found.
    above: Vec<bool>,
    below: Vec<Option<Use>>,
    /// Found and not looked at yet.
    found: Vec<(RuleId, Use)>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            rules: vec![None; graph.rules.len()],
            above: vec![false; graph.branches.len()],
            below: vec![None; graph.branches.len()],
            found: Vec::new(),
        }
    }

    fn follow(&mut self, Reference { to, reach }: Reference) {
        let parent = self.graph.branches.get(to.0).and_then(|at| at.parent);
        match reach {
            Reach::Member => {
                self.rules_at(to, Use::Presence);
                self.above(parent);
            }
            Reach::Above => self.above(Some(to)),
            Reach::Evaluated => {
                self.above(parent);
                self.below(to, Use::Presence);
            }
            Reach::Below => {
                self.above(parent);
                self.below(to, Use::Whole);
            }
        }
    }

    fn above(&mut self, from: Option<BranchId>) {
        let mut next = from;
        while let Some(at) = next.filter(|at| first_time(&mut self.above, *at, true)) {
            self.rules_at(at, Use::Whole);
            next = self.graph.branches.get(at.0).and_then(|at| at.parent);
        }
    }

    fn below(&mut self, from: BranchId, how: Use) {
        let mut next = vec![from];
        while let Some(at) = next.pop() {
            if first_time(&mut self.below, at, Some(how)) {
                self.rules_at(at, how);
                let branch = self.graph.branches.get(at.0);
                next.extend(branch.into_iter().flat_map(|at| at.children.values()));
            }
        }
    }

    fn rules_at(&mut self, branch: BranchId, how: Use) {
        let branch = self.graph.branches.get(branch.0);
        for rule in branch.into_iter().flat_map(|branch| &branch.rules) {
            let before = self.rules.get_mut(rule.0);
            if let Some(before) = before.filter(|before| **before < Some(how)) {
                *before = Some(how);
                self.found.push((*rule, how));
            }
        }
    }
}

/// Marks a place and tells whether it was not marked as much before.
fn first_time<T: PartialOrd>(marks: &mut [T], at: BranchId, mark: T) -> bool {
    match marks.get_mut(at.0) {
        Some(before) if *before < mark => {
            *before = mark;
            true
        }
        _ => false,
    }
}
