//! Names of imports, written in full. Rule: an import holds for its own file; the interpreter lets it
//! hold for the package, where a later file's import of the same name takes its place, and looks it
//! up anew at every use.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{
    AssignOp, Expr, Import, Literal, Module, Query, Ref, Rule, RuleAssign, RuleHead,
};

use super::keywords::{Names, is_name};
use super::syntax::{Range, package_of, parse, parts, range};
use super::{Output, SourceMap};
use crate::policy::rego::module::{path_of, rule_reference};

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &str, v0: bool, names: &Names) -> SourceMap {
    let uses = if text.contains("import") {
        parse(text, v0).map_or_else(Vec::new, |module| uses(&module, names))
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
    let rules: BTreeSet<_> = names.of_package(&package_of(module)).collect();
    let imports = module.imports.iter().filter_map(import);
    // Which of the two a name means that is a rule's too is left to the interpreter.
    let imports: BTreeMap<_, _> = imports.filter(|(name, _)| !rules.contains(name)).collect();
    let mut found = Vec::new();
    for rule in &module.policy {
        let mut finder = Finder::default();
        finder.rule(rule);
        let uses = finder.variables.into_iter().filter_map(|(at, name)| {
            let full = imports.get(&name)?;
            // Rule: a variable that is declared hides an import. How far is not looked into.
            (!finder.declared.contains(&name)).then(|| (at, full.clone()))
        });
        found.extend(uses);
    }
    found.sort();
    found.dedup();
    found
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
    declared: BTreeSet<String>,
}

impl Finder {
    fn rule(&mut self, rule: &Rule) {
        self.indices(rule_reference(rule));
        match rule {
            Rule::Default { args, value, .. } => {
                self.declare(args);
                self.expression(value);
            }
            Rule::Spec { head, bodies, .. } => {
                self.head(head);
                for body in bodies {
                    self.assign(body.assign.as_ref());
                    self.query(&body.query);
                }
            }
        }
    }

    fn head(&mut self, head: &RuleHead) {
        match head {
            RuleHead::Compr { assign, .. } => self.assign(assign.as_ref()),
            RuleHead::Set { key, .. } => self.all(key),
            RuleHead::Func { args, assign, .. } => {
                self.declare(args);
                self.assign(assign.as_ref());
            }
        }
    }

    /// What stands in the brackets of a rule's name; its beginning is no reference.
    fn indices(&mut self, name: &Expr) {
        match name {
            Expr::RefDot { refr, .. } => self.indices(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indices(refr);
                self.expression(index);
            }
            _ => {}
        }
    }

    fn assign(&mut self, assign: Option<&RuleAssign>) {
        self.all(assign.map(|assign| &assign.value));
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            for modifier in &statement.with_mods {
                self.all([&modifier.refr, &modifier.r#as]);
            }
            match &statement.literal {
                Literal::SomeVars { vars, .. } => {
                    let names = vars.iter().map(|name| name.text().to_owned());
                    self.declared.extend(names);
                }
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    self.declare(key.iter().chain([value]));
                    self.expression(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every {
                    key,
                    value,
                    domain,
                    query,
                    ..
                } => {
                    let names = key.iter().chain([value]);
                    self.declared
                        .extend(names.map(|name| name.text().to_owned()));
                    self.expression(domain);
                    self.query(query);
                }
            }
        }
    }

    /// A pattern whose variables are new. What else is in it is only looked for.
    fn declare<'e>(&mut self, patterns: impl IntoIterator<Item = &'e Ref<Expr>>) {
        for pattern in patterns {
            let before = self.variables.len();
            self.expression(pattern);
            let new = self.variables.iter().skip(before);
            let names: Vec<_> = new.map(|(_, name)| name.clone()).collect();
            self.declared.extend(names);
        }
    }

    fn all<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Ref<Expr>>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Var { span, .. } => {
                let name = span.text().to_owned();
                self.variables.push((range(span), name));
            }
            Expr::AssignExpr {
                op: AssignOp::ColEq,
                lhs,
                rhs,
                ..
            } => {
                self.declare([lhs]);
                self.expression(rhs);
            }
            Expr::ArrayCompr { query, .. }
            | Expr::SetCompr { query, .. }
            | Expr::ObjectCompr { query, .. } => {
                self.query(query);
                self.all(parts(expression));
            }
            _ => self.all(parts(expression)),
        }
    }
}
