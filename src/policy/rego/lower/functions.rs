//! Functions that `with` replaces. Rule: what is replaced is the function, by whatever name it is called.
//! The interpreter goes by the name, so where any function is replaced all are called, and replaced, by
//! their whole paths. Only what is evaluated is written so: what policies call and read is told of the text
//! before this step.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Module, Ref, WithModifier};

use super::arguments::parameters_of;
use super::syntax::{Edit, Written, all_edited, range};
use crate::policy::rego::module::{begin_of, path_of, reference, rule_reference, whole_path_of};
use crate::policy::rego::visit::{self, Visit};

/// All modules as they are evaluated.
pub(in crate::policy::rego) fn functions(modules: &[Ref<Module>]) -> Written {
    let functions = names(modules);
    let found: Vec<_> = modules
        .iter()
        .map(|module| Finder::of(module, &functions))
        .collect();
    if !found.iter().any(|finder| finder.replaces) {
        return Ok(None);
    }
    let edits = found.into_iter().map(|mut finder| {
        finder.edits.sort();
        finder.edits.dedup();
        finder.edits
    });
    all_edited(modules, edits.collect())
}

/// Whole paths of all functions, below `data`.
fn names(modules: &[Ref<Module>]) -> BTreeSet<Vec<String>> {
    let mut names = BTreeSet::new();
    for module in modules {
        let package = package_of(module);
        let functions = module.policy.iter();
        let functions = functions.filter(|rule| parameters_of(rule).is_some());
        let functions = functions.filter_map(|rule| path_of(rule_reference(rule)));
        names.extend(functions.map(|name| [package.clone(), name].concat()));
    }
    names
}

fn package_of(module: &Module) -> Vec<String> {
    path_of(&module.package.refr).unwrap_or_default()
}

struct Finder<'a> {
    functions: &'a BTreeSet<Vec<String>>,
    package: Vec<String>,
    /// Whether any of the functions is replaced here.
    replaces: bool,
    edits: Vec<Edit>,
}

impl<'a> Finder<'a> {
    fn of(module: &Module, functions: &'a BTreeSet<Vec<String>>) -> Self {
        let mut finder = Self {
            functions,
            package: package_of(module),
            replaces: false,
            edits: Vec::new(),
        };
        finder.module(module);
        finder
    }

    /// Whether a name is that of a function; one of the package is written in full.
    fn function(&mut self, name: &Expr) -> bool {
        let Some(path) = whole_path_of(name) else {
            return false;
        };
        let Some((root, rest)) = path.split_first() else {
            return false;
        };
        if root == "data" {
            return self.functions.contains(rest);
        }
        let is_own = self.functions.contains(&[&*self.package, &*path].concat());
        if is_own {
            let full = reference(self.package.iter().chain([root]));
            self.edits.push((range(begin_of(name)), full));
        }
        is_own
    }
}

impl Visit for Finder<'_> {
    fn modifier(&mut self, modifier: &WithModifier) {
        self.replaces |= self.function(&modifier.refr);
        self.expression(&modifier.r#as);
    }

    fn expression(&mut self, expression: &Expr) {
        if let Expr::Call { fcn, .. } = expression {
            self.function(fcn);
        }
        visit::in_expression(self, expression);
    }
}
