//! Arguments and parameters: how many a function takes, and where each stands in a text.

use std::collections::BTreeMap;

use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead};

use super::syntax::Range;
use super::tokens::{Kind, Token};
use crate::policy::rego::builtins;
use crate::policy::rego::module::{path_of, rule_reference, whole_path_of};

/// How many arguments functions take, by their whole paths below `data`.
pub(super) struct Arities(BTreeMap<Vec<String>, usize>);

// === impl Arities ===

impl Arities {
    pub(super) fn of(modules: &[Ref<Module>]) -> Self {
        let mut all = BTreeMap::new();
        for module in modules {
            for rule in &module.policy {
                if let Some(count) = parameters_of(rule) {
                    let name = path_of(rule_reference(rule)).unwrap_or_default();
                    all.insert(below(module, &name), count);
                }
            }
        }
        Self(all)
    }

    /// Rule: a function of the policies is meant before a built-in.
    pub(super) fn of_call(&self, module: &Module, function: &Expr) -> Option<usize> {
        let path = whole_path_of(function)?;
        let full = match path.split_first()? {
            (root, rest) if root == "data" => rest.to_vec(),
            _ => below(module, &path),
        };
        let known = self.0.get(&full).copied();
        known.or_else(|| builtins::arity(&path.join(".")))
    }
}

/// The whole path of what a module names.
fn below(module: &Module, name: &[String]) -> Vec<String> {
    let mut path = path_of(&module.package.refr).unwrap_or_default();
    path.extend(name.iter().cloned());
    path
}

/// How many parameters a rule has; `None` for one that is no function.
pub(super) fn parameters_of(rule: &Rule) -> Option<usize> {
    match rule {
        Rule::Default { args, .. } => Some(args.len()).filter(|count| *count > 0),
        Rule::Spec { head, .. } => match head {
            RuleHead::Func { args, .. } => Some(args.len()),
            RuleHead::Compr { .. } | RuleHead::Set { .. } => None,
        },
    }
}

/// Each part of what stands in the next brackets behind an offset, which must be these.
pub(super) fn bracketed(text: &str, tokens: &[Token], offset: usize, open: &str) -> Vec<Range> {
    let first = tokens.partition_point(|token| token.begin < offset);
    let mut tokens = tokens.iter().skip(first);
    let word = |token: &Token| text.get(token.begin..token.end).unwrap_or_default();
    let bracket = tokens.find(|token| token.kind != Kind::Literal);
    if bracket.is_none_or(|bracket| word(bracket) != open) {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut part: Option<Range> = None;
    let mut depth = 1usize;
    for token in tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        part = match part {
            _ if depth == 1 && word(token) == "," => {
                all.extend(part);
                None
            }
            Some((begin, _)) => Some((begin, token.end)),
            None => Some((token.begin, token.end)),
        };
    }
    all.extend(part);
    all
}
