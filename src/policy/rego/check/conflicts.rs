//! Rules that cannot stand beside each other: of different kinds under one name, inside of one
//! another, or in a package's place.

use std::collections::{BTreeMap, BTreeSet};

use super::core::{Constant, Rule, Term};
use super::documents::Documents;
use super::{Checked, TYPE, error, path_text};
use crate::policy::rego::RegoError;
use crate::policy::rego::module::path_of;

pub(super) fn check(checked: &Checked<'_>, errors: &mut Vec<RegoError>) {
    checked.documents.walk(&mut |node| {
        let rules = node
            .rules
            .iter()
            .filter_map(|rule| checked.rules.get(*rule));
        // Rule: `else` belongs to the rule in front of it.
        let rules: Vec<_> = rules.filter(|rule| !rule.is_else).collect();
        errors.extend(conflict(node, &rules));
    });
    errors.extend(with_packages(checked));
}

/// What is wrong with the rules of one place.
fn conflict(node: &Documents, rules: &[&Rule]) -> Option<RegoError> {
    let first = rules.first()?;
    let name = || path_text(&rules.last().map_or(&first.path, |rule| &rule.path).clone());
    // Rule: a rule without variables in its name has no other rules inside.
    if !node.children.is_empty() && rules.iter().any(|rule| rule.is_ground()) {
        let mut inside = Vec::new();
        names_inside(node, &ground_terms(first), &mut inside);
        let message = format!("rule {} conflicts with [{}]", name(), inside.join(" "));
        return Some(error(TYPE, message, &first.place));
    }
    let kinds: BTreeSet<_> = rules.iter().map(|rule| rule.multi_value).collect();
    let arities: BTreeSet<_> = rules.iter().map(|rule| rule.arguments.len()).collect();
    let complete = |rule: &&&Rule| !rule.multi_value && rule.is_ground();
    let completes = rules.iter().filter(complete).count();
    // Rule: rules of one name have one kind and one number of parameters.
    if kinds.len() > 1 || arities.len() > 1 || (completes > 0 && completes < rules.len()) {
        let message = format!("conflicting rules {} found", name());
        return Some(error(TYPE, message, &first.place));
    }
    let defaults: Vec<_> = rules.iter().filter(|rule| rule.default).collect();
    if defaults.len() > 1 {
        let places = defaults
            .iter()
            .map(|rule| format!("{}:{}", rule.place.source.file(), rule.place.line));
        let places: Vec<_> = places.collect();
        let message = format!(
            "multiple default rules {} found at {}",
            name(),
            places.join(", ")
        );
        return Some(error(TYPE, message, &first.place));
    }
    None
}

fn ground_terms(rule: &Rule) -> Vec<Term> {
    let ground = rule.path.iter().take_while(|part| part.is_constant());
    ground.cloned().collect()
}

fn names_inside(node: &Documents, path: &[Term], names: &mut Vec<String>) {
    for (key, child) in &node.children {
        let mut path = path.to_vec();
        path.push(Term::Constant(key.clone()));
        if !child.rules.is_empty() {
            names.push(path_text(&path));
        }
        names_inside(child, &path, names);
    }
}

/// Rule: no package has the path of a rule.
fn with_packages(checked: &Checked<'_>) -> Vec<RegoError> {
    let mut packages: BTreeMap<Vec<Constant>, usize> = BTreeMap::new();
    for (index, module) in checked.modules.iter().enumerate() {
        let path = path_of(&module.package.refr).unwrap_or_default();
        let path = path.iter().map(|part| Constant::string(part)).collect();
        packages.entry(path).or_insert(index);
    }
    let rules = checked
        .rules
        .iter()
        .filter(|rule| rule.is_ground() && !rule.is_else);
    let conflicts = rules.filter_map(|rule| {
        let package = packages.get(&rule.ground()).copied()?;
        let other = checked.modules.get(package)?;
        let own = checked.modules.get(rule.module)?;
        let path = path_of(&other.package.refr)?;
        let names = path_of(&own.package.refr)?.len();
        let name = path.get(names..).unwrap_or_default().join(".");
        let message = format!(
            "package {} conflicts with rule {name} defined at {}:{}",
            path.join("."),
            rule.place.source.file(),
            rule.place.line,
        );
        Some(error(TYPE, message, &own.package.span))
    });
    conflicts.collect()
}
