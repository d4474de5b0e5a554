//! One pass over a module's syntax tree: what it reads, which functions it calls, and whether those
//! exist. What follows from it for all modules together is told in `module`.

use std::collections::HashMap;

use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleAssign, RuleHead, Span};

use super::builtins::{Purity, purity};
use super::module::{Analysis, begin_of, path_of, reference, rule_reference};
use super::{RegoError, lower};

/// One pass over one module.
pub(super) struct Walk<'a> {
    package: Vec<String>,
    /// Alias to full path.
    imports: HashMap<String, Vec<String>>,
    /// The rule that is being looked at.
    current: String,
    analysis: &'a mut Analysis,
    errors: &'a mut Vec<RegoError>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        module: &Module,
        analysis: &'a mut Analysis,
        errors: &'a mut Vec<RegoError>,
    ) -> Self {
        let imports = module.imports.iter().filter_map(|import| {
            let path = path_of(&import.refr)?;
            let alias = match &import.r#as {
                Some(alias) => alias.text().to_owned(),
                None => path.last()?.clone(),
            };
            Some((alias, path))
        });
        Self {
            package: path_of(&module.package.refr).unwrap_or_default(),
            imports: imports.collect(),
            current: String::new(),
            analysis,
            errors,
        }
    }

    pub(super) fn module(&mut self, module: &Module) {
        for rule in &module.policy {
            let name = path_of(rule_reference(rule)).unwrap_or_default();
            self.current = reference(self.package.iter().chain(&name));
            match rule.as_ref() {
                Rule::Default { args, value, .. } => {
                    self.all(args);
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
    }

    fn head(&mut self, head: &RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.expression(refr);
                self.assign(assign.as_ref());
            }
            RuleHead::Set { refr, key, .. } => {
                self.expression(refr);
                self.all(key);
            }
            RuleHead::Func { args, assign, .. } => {
                self.all(args);
                self.check_arguments(args);
                self.assign(assign.as_ref());
            }
        }
    }

    /// Refuses what the interpreter cannot take apart in a function's head.
    fn check_arguments(&mut self, arguments: &[Ref<Expr>]) {
        for argument in arguments {
            let (Expr::Call { span, .. }
            | Expr::ArrayCompr { span, .. }
            | Expr::SetCompr { span, .. }
            | Expr::ObjectCompr { span, .. }) = argument.as_ref()
            else {
                continue;
            };
            let message = "a template string, call or comprehension as a function's parameter is \
                           not supported";
            self.errors.push(RegoError {
                code: "rego_compile_error",
                message: message.to_owned(),
                file: span.source.file().clone(),
                row: u64::from(span.line),
                col: u64::from(span.col),
            });
        }
    }

    fn assign(&mut self, assign: Option<&RuleAssign>) {
        if let Some(assign) = assign {
            self.expression(&assign.value);
        }
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    self.all(key);
                    self.expression(value);
                    self.expression(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every { domain, query, .. } => {
                    self.expression(domain);
                    self.query(query);
                }
            }
            for modifier in &statement.with_mods {
                // What replaces a function may be the name of another.
                if let Some(path) = path_of(&modifier.r#as) {
                    self.note_volatile(&path.join("."));
                }
                self.expression(&modifier.r#as);
            }
        }
    }

    fn all<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Ref<Expr>>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.note_read(expression);
                self.indices(expression);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => self.all(items),
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.expression(key);
                    self.expression(value);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expression(term);
                self.query(query);
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => {
                self.expression(key);
                self.expression(value);
                self.query(query);
            }
            Expr::Call { fcn, params, .. } => {
                self.call(fcn);
                self.all(params);
            }
            Expr::UnaryExpr { expr, .. } => self.expression(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                self.all(key);
                self.expression(value);
                self.expression(collection);
            }
        }
    }

    /// Notes a reference into the input, by its own name or that of an import.
    fn note_read(&mut self, reference: &Expr) {
        let Some(path) = path_of(reference) else {
            return;
        };
        let Some((root, rest)) = path.split_first() else {
            return;
        };
        // A variable of the same name as an import is taken for it: that reads more, not less.
        let imported = self.imports.get(root).map_or(&[][..], Vec::as_slice);
        let read = match imported.split_first() {
            _ if root == "input" => rest.to_vec(),
            Some((first, more)) if first == "input" => [more, rest].concat(),
            _ => return,
        };
        self.analysis.input.insert(read);
    }

    /// What stands in the brackets of a reference.
    fn indices(&mut self, reference: &Expr) {
        match reference {
            Expr::Var { .. } => {}
            Expr::RefDot { refr, .. } => self.indices(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indices(refr);
                self.expression(index);
            }
            other => self.expression(other),
        }
    }

    fn call(&mut self, function: &Expr) {
        let Some(path) = path_of(function) else {
            return self.unknown(begin_of(function), function.span().text());
        };
        let name = path.join(".");
        // Also where a rule of that name stands: which of the two is called is not for us to say.
        self.note_volatile(&name);
        let rule = self.rule_called(&path);
        // Rule: a name that is imported is never a built-in.
        let import = path.first().and_then(|root| self.imports.get(root));
        let imported = import
            .and_then(|import| import.first())
            .is_some_and(|root| matches!(root.as_str(), "data" | "input"));
        if imported && rule.is_none() {
            return self.unknown(begin_of(function), &name);
        }
        if let Some(rule) = rule {
            let caller = self.current.clone();
            self.analysis.calls.entry(caller).or_default().insert(rule);
            return;
        }
        if purity(&name).is_none() && !lower::is_function(&name) {
            self.unknown(begin_of(function), &name);
        }
    }

    /// The rule a path names: in this package, by an import, or in full.
    fn rule_called(&self, path: &[String]) -> Option<String> {
        let (first, rest) = path.split_first()?;
        let full = match self.imports.get(first) {
            Some(import) if import.first().is_some_and(|root| root == "data") => {
                reference(import.iter().skip(1).chain(rest))
            }
            _ if first == "data" => reference(rest.iter()),
            _ => reference(self.package.iter().chain(path)),
        };
        self.analysis.rules.contains(&full).then_some(full)
    }

    fn note_volatile(&mut self, name: &str) {
        if purity(name) == Some(Purity::Volatile) && self.analysis.volatile.is_none() {
            self.analysis.volatile = Some(name.to_owned());
        }
    }

    fn unknown(&mut self, span: &Span, name: &str) {
        self.errors.push(RegoError {
            code: "rego_type_error",
            message: format!("undefined function {name}"),
            file: span.source.file().clone(),
            row: u64::from(span.line),
            col: u64::from(span.col),
        });
    }
}
