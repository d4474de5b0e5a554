//! Whether an interpreter may be used for one request after another. It leaves what it replaced, and values
//! of loops, in place when something fails in the middle, so one that failed is never used again. Two
//! places there are where it goes on as if nothing had failed: where policies could have it do so, every
//! evaluation gets a copy of its own.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead, WithModifier};

use crate::policy::rego::builtins;
use crate::policy::rego::lower::is_value_put_in;
use crate::policy::rego::module::{path_of, rule_reference, whole_path_of};
use crate::policy::rego::visit::{self, Visit};

/// Whether all that can fail in these modules, as they are evaluated, is told.
pub(super) fn is_reusable(modules: &[Ref<Module>]) -> bool {
    let mut all = Names::default();
    modules.iter().for_each(|module| all.add(module));
    modules.iter().all(|module| {
        let mut finder = Finder {
            names: &all,
            package: path_of(&module.package.refr).unwrap_or_default(),
            hides_failures: false,
        };
        finder.module(module);
        !finder.hides_failures
    })
}

/// Of all modules together.
#[derive(Default)]
struct Names {
    /// With their packages.
    functions: BTreeSet<Vec<String>>,
    /// What a name alone may stand for besides a variable.
    documents: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, module: &Module) {
        let package = path_of(&module.package.refr).unwrap_or_default();
        for rule in &module.policy {
            let path = path_of(rule_reference(rule)).unwrap_or_default();
            self.documents.extend(path.first().cloned());
            if is_function(rule) {
                self.functions
                    .insert(package.iter().cloned().chain(path).collect());
            }
        }
        let imported = module.imports.iter().filter_map(|import| {
            let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
            alias.or_else(|| path_of(&import.refr)?.pop())
        });
        self.documents.extend(imported);
    }
}

fn is_function(rule: &Rule) -> bool {
    match rule {
        Rule::Default { args, .. } => !args.is_empty(),
        Rule::Spec { head, .. } => matches!(head, RuleHead::Func { .. }),
    }
}

struct Finder<'a> {
    names: &'a Names,
    package: Vec<String>,
    hides_failures: bool,
}

impl Visit for Finder<'_> {
    /// It evaluates what stands in the brackets also after the body failed, and then takes any failure
    /// for a variable without a value.
    fn name(&mut self, name: &Expr) {
        match name {
            Expr::RefDot { refr, .. } => self.name(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.name(refr);
                self.hides_failures |= match index.as_ref() {
                    Expr::Var { span, .. } => self.names.documents.contains(span.text()),
                    index => !is_constant(index),
                };
            }
            _ => {}
        }
    }

    /// It takes what fails for the name of a function.
    fn modifier(&mut self, modifier: &WithModifier) {
        let target = path_of(&modifier.refr).unwrap_or_default();
        let of_input = target.first().is_some_and(|root| root == "input");
        let value = &modifier.r#as;
        self.hides_failures |= !of_input && !is_constant(value) && !self.is_function(value);
        visit::in_expression(self, value);
    }
}

impl Finder<'_> {
    fn is_function(&self, value: &Expr) -> bool {
        let path = whole_path_of(value).unwrap_or_default();
        let full = match path.split_first() {
            Some((root, rest)) if root == "data" => rest.to_vec(),
            _ => self.package.iter().chain(&path).cloned().collect(),
        };
        self.names.functions.contains(&full) || builtins::purity(&path.join(".")).is_some()
    }
}

/// Whether an expression has its value without anything that could fail.
fn is_constant(expression: &Expr) -> bool {
    match expression {
        Expr::Var { span, .. } => is_value_put_in(span.text()),
        Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => {
            let parts = visit::parts(expression);
            parts.into_iter().all(|part| is_constant(part))
        }
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. } => true,
        _ => false,
    }
}
