//! What can be told of modules by looking at their syntax trees: which rules there are, that every
//! function called exists, and whether anything called depends on more than its arguments.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleAssign, RuleHead, Span};

use super::RegoError;
use super::builtins::{Purity, purity};

/// What was found in all modules together.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// `data.PACKAGE.RULE` of every rule.
    pub(super) rules: HashSet<String>,
    /// Rules by path, `/`-separated, with the place of one of them.
    places: BTreeMap<String, Place>,
    /// Which functions and rules call which functions.
    calls: BTreeMap<String, BTreeSet<String>>,
    /// Constant beginnings of all references into `input`, after `input` itself.
    pub(super) input: BTreeSet<Vec<String>>,
    /// The first built-in found that makes values change on their own.
    pub(super) volatile: Option<String>,
}

/// Where something stands.
#[derive(Debug, Clone)]
struct Place {
    file: String,
    row: u64,
    col: u64,
}

impl Place {
    fn of(span: &Span) -> Self {
        Self {
            file: span.source.file().clone(),
            row: u64::from(span.line),
            col: u64::from(span.col),
        }
    }

    fn error(&self, code: &'static str, message: String) -> RegoError {
        RegoError {
            code,
            message,
            file: self.file.clone(),
            row: self.row,
            col: self.col,
        }
    }
}

impl Analysis {
    pub(super) fn of(modules: &[Ref<Module>]) -> Result<Self, Vec<RegoError>> {
        let mut analysis = Self::default();
        for module in modules {
            let package = path_of(&module.package.refr).unwrap_or_default();
            for rule in &module.policy {
                if let Some(name) = path_of(rule_reference(rule)) {
                    let path: Vec<_> = package.iter().chain(&name).cloned().collect();
                    let place = Place::of(rule.span());
                    analysis.rules.insert(reference(path.iter()));
                    analysis.places.entry(path.join("/")).or_insert(place);
                }
            }
        }
        let mut errors = Vec::new();
        for module in modules {
            Walk::new(module, &mut analysis, &mut errors).module(module);
        }
        errors.extend(analysis.recursion());
        if errors.is_empty() {
            Ok(analysis)
        } else {
            Err(errors)
        }
    }

    /// Rule: a rule and base data cannot stand in the same place, nor one inside the other. Data
    /// would silently win over the rule.
    pub(super) fn check_data(&self, data: &[String]) -> Result<(), Vec<RegoError>> {
        let leaves: HashSet<&str> = data.iter().map(String::as_str).collect();
        let data_in_rule = data.iter().filter_map(|path| {
            let rule = beginnings(path).find(|beginning| self.places.contains_key(*beginning))?;
            Some((rule, path.as_str()))
        });
        let rule_in_data = self.places.keys().filter_map(|rule| {
            let path = beginnings(rule).find(|beginning| leaves.contains(beginning))?;
            Some((rule.as_str(), path))
        });
        let conflicts: BTreeMap<&str, &str> = data_in_rule.chain(rule_in_data).collect();
        let errors: Vec<_> = conflicts
            .into_iter()
            .filter_map(|(rule, path)| {
                let message = format!("conflicting rule for data path {path} found");
                Some(self.places.get(rule)?.error("rego_compile_error", message))
            })
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// Rule: a function must not call itself, not even by way of others.
    fn recursion(&self) -> Option<RegoError> {
        let (name, _) = self.calls.iter().find(|(name, called)| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<_> = called.iter().collect();
            while let Some(function) = next.pop() {
                if function == *name {
                    return true;
                }
                if seen.insert(function) {
                    next.extend(self.calls.get(function).into_iter().flatten());
                }
            }
            false
        })?;
        let path = name.strip_prefix("data.").unwrap_or(name).replace('.', "/");
        let place = self.places.get(&path).cloned().unwrap_or(Place {
            file: String::new(),
            row: 0,
            col: 0,
        });
        Some(place.error("rego_recursion_error", format!("rule {name} is recursive")))
    }
}

/// A path and all it lies in: `a`, `a/b`, `a/b/c`.
fn beginnings(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    ends.chain([path.len()]).filter_map(|end| path.get(..end))
}

/// Package path of a module, and its line.
pub(super) fn package_of(module: &Module) -> Option<(Vec<String>, u64)> {
    Some((
        path_of(&module.package.refr)?,
        u64::from(module.package.span.line),
    ))
}

/// `data.a["b-c"]` of the parts after `data`.
pub(super) fn reference<S: AsRef<str>>(parts: impl Iterator<Item = S>) -> String {
    let mut text = "data".to_owned();
    for part in parts {
        let part = part.as_ref();
        let plain = part.bytes().enumerate().all(|(at, byte)| {
            byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit())
        });
        if plain && !part.is_empty() {
            text.push('.');
            text.push_str(part);
        } else if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{part}]"));
        } else {
            text.push_str(&format!("[{}]", serde_json::Value::from(part)));
        }
    }
    text
}

/// The parts of a reference up to the first that is not constant.
fn path_of(expression: &Expr) -> Option<Vec<String>> {
    match expression {
        Expr::Var { span, .. } => Some(vec![span.text().to_owned()]),
        Expr::RefDot { refr, field, .. } => {
            let mut path = path_of(refr)?;
            path.push(field.0.text().to_owned());
            Some(path)
        }
        Expr::RefBrack { refr, index, .. } => {
            let mut path = path_of(refr)?;
            if let Expr::String { value, .. } | Expr::RawString { value, .. } = index.as_ref() {
                path.push(value.as_string().ok()?.to_string());
            }
            Some(path)
        }
        _ => None,
    }
}

/// Where a reference begins; its own span is that of its last dot or bracket.
fn begin_of(expression: &Expr) -> &Span {
    match expression {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => begin_of(refr),
        _ => expression.span(),
    }
}

/// The parts of a reference before the first that is not constant, and whether that is all of it.
fn constant_beginning(expression: &Expr) -> Option<(Vec<String>, bool)> {
    match expression {
        Expr::Var { span, .. } => Some((vec![span.text().to_owned()], true)),
        Expr::RefDot { refr, field, .. } => {
            let (mut path, whole) = constant_beginning(refr)?;
            if whole {
                path.push(field.0.text().to_owned());
            }
            Some((path, whole))
        }
        Expr::RefBrack { refr, index, .. } => {
            let (mut path, whole) = constant_beginning(refr)?;
            match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } if whole => {
                    path.push(value.as_string().ok()?.to_string());
                    Some((path, true))
                }
                _ => Some((path, false)),
            }
        }
        _ => None,
    }
}

fn rule_reference(rule: &Rule) -> &Expr {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set { refr, .. }
            | RuleHead::Func { refr, .. } => refr,
        },
        Rule::Default { refr, .. } => refr,
    }
}

/// One pass over one module.
struct Walk<'a> {
    package: Vec<String>,
    /// Alias to full path.
    imports: HashMap<String, Vec<String>>,
    /// The rule that is being looked at.
    current: String,
    analysis: &'a mut Analysis,
    errors: &'a mut Vec<RegoError>,
}

impl<'a> Walk<'a> {
    fn new(module: &Module, analysis: &'a mut Analysis, errors: &'a mut Vec<RegoError>) -> Self {
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

    fn module(&mut self, module: &Module) {
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
                self.assign(assign.as_ref());
            }
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
        let Some((path, _)) = constant_beginning(reference) else {
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
        if let Some(rule) = self.rule_called(&path) {
            let caller = self.current.clone();
            self.analysis.calls.entry(caller).or_default().insert(rule);
            return;
        }
        if purity(&name).is_none() {
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
