//! Names of imports, written in full, and of rules that `with` replaces. Rule: an import holds for its own
//! file; the interpreter lets it hold for the package, where a later file's import of the same name takes
//! its place, and looks it up anew at every use, before it looks for a function of the package. A rule it
//! replaces by its whole path only.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Import, Module, Rule, RuleHead, WithModifier};

use super::keywords::is_name;
use super::names::Names;
use super::syntax::{Range, Text, package_of, range};
use super::{Output, SourceMap};
use crate::policy::rego::module::{begin_of, path_of, reference, rule_reference};
use crate::policy::rego::visit::{self, Visit};

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &Text, names: &Names) -> SourceMap {
    let uses = if text.contains("with") || names.has_imports() {
        text.tree()
            .map_or_else(Vec::new, |module| uses(module, names))
    } else {
        Vec::new()
    };
    let mut output = Output::new(text);
    let mut copied = 0;
    for ((begin, end), full) in uses {
        output.copy(copied, begin);
        output.put(&full, begin);
        copied = end;
    }
    output.copy(copied, text.len());
    output.finish()
}

/// Where imports are used, in the order of the text, and what they stand for.
fn uses(module: &Module, names: &Names) -> Vec<(Range, String)> {
    // Rule: a name that is an import's and a rule's means the import.
    let imports: BTreeMap<_, _> = module.imports.iter().filter_map(import).collect();
    let package = package_of(module);
    let rules: BTreeSet<_> = names.of_package(&package).collect();
    let elsewhere = names.imported_in(&package);
    // For these the interpreter would call what another file imports.
    let called: BTreeSet<_> = elsewhere
        .filter(|name| rules.contains(name) && !imports.contains_key(name))
        .collect();
    let documents = documents(module);
    let mut found = Vec::new();
    for rule in &module.policy {
        let mut finder = Finder::default();
        finder.rule(rule);
        let uses = finder.variables.into_iter().filter_map(|(at, name)| {
            let full = imports.get(&name)?;
            // Rule: a parameter hides an import. Variables that do have names of their own.
            (!finder.parameters.contains(&name)).then(|| (at, full.clone()))
        });
        found.extend(uses);
        let replaced = finder.replaced.into_iter();
        let replaced =
            replaced.filter(|(_, name)| documents.contains(name) && !imports.contains_key(name));
        let functions = finder.called.into_iter();
        let functions = functions.filter(|(_, name)| called.contains(name));
        let own = replaced.chain(functions);
        found.extend(own.map(|(at, name)| (at, in_full(module, &name))));
    }
    found.sort();
    found.dedup();
    found
}

/// What the names of this module's rules begin with, those of functions aside: they are replaced as they
/// stand.
fn documents(module: &Module) -> BTreeSet<String> {
    let is_function = |rule: &Rule| match rule {
        Rule::Spec { head, .. } => matches!(head, RuleHead::Func { .. }),
        Rule::Default { args, .. } => !args.is_empty(),
    };
    let rules = module.policy.iter().filter(|rule| !is_function(rule));
    let names = rules.filter_map(|rule| path_of(rule_reference(rule))?.into_iter().next());
    names.collect()
}

/// A rule of a module by its whole path.
fn in_full(module: &Module, rule: &str) -> String {
    let package = path_of(&module.package.refr).unwrap_or_default();
    reference(package.iter().map(String::as_str).chain([rule]))
}

/// The name and the full text of an import of data or input.
fn import(import: &Import) -> Option<(String, String)> {
    let path = path_of(&import.refr)?;
    let (root, parts) = path.split_first()?;
    if !matches!(root.as_str(), "data" | "input") {
        return None;
    }
    let name = match &import.r#as {
        Some(alias) => alias.text().to_owned(),
        None => parts.last()?.clone(),
    };
    let parts = parts.iter().map(|part| match is_name(part) {
        true => format!(".{part}"),
        false => format!("[{}]", serde_json::Value::from(part.as_str())),
    });
    Some((name, root.clone() + &parts.collect::<String>()))
}

/// The variables of one rule.
#[derive(Default)]
struct Finder {
    variables: Vec<(Range, String)>,
    /// What targets of `with` begin with.
    replaced: Vec<(Range, String)>,
    /// What names of functions begin with.
    called: Vec<(Range, String)>,
    parameters: BTreeSet<String>,
}

impl Visit for Finder {
    fn parameter(&mut self, parameter: &Expr) {
        let before = self.variables.len();
        self.expression(parameter);
        let new = self.variables.iter().skip(before);
        self.parameters.extend(new.map(|(_, name)| name.clone()));
    }

    fn modifier(&mut self, modifier: &WithModifier) {
        let root = begin_of(&modifier.refr);
        self.replaced.push((range(root), root.text().to_owned()));
        self.expression(&modifier.refr);
        self.expression(&modifier.r#as);
    }

    fn expression(&mut self, expression: &Expr) {
        if let Expr::Var { span, .. } = expression {
            self.variables.push((range(span), span.text().to_owned()));
        }
        if let Expr::Call { fcn, .. } = expression {
            let root = begin_of(fcn);
            self.called.push((range(root), root.text().to_owned()));
        }
        visit::in_expression(self, expression);
    }
}
