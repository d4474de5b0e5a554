//! What can be told of all modules together by looking at their syntax trees: which rules there
//! are, that no data stands in a rule's place. Looking at one
//! module is left to `walk`, what its rules refer to is kept in `graph`.

use std::collections::{BTreeMap, HashSet};

use regorus::Value;
use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead, Span};

use super::graph::{Graph, OBJECT_GET, RuleId};
use super::imports::{Imports, input_path};
use super::walk::Walk;
use super::{RegoError, find_path};

/// What was found in all modules together.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// `data.PACKAGE.RULE` of every rule.
    pub(super) rules: HashSet<String>,
    /// Those of them that define parts of a document at places told by variables.
    pub(super) scattered: HashSet<String>,
    /// Rules by path, `/`-separated, with the place of one of them.
    places: BTreeMap<String, Place>,
    /// What each rule refers to and reads.
    pub(super) graph: Graph,
    /// The first built-in found that reaches outside.
    pub(super) external: Option<RegoError>,
    /// The first call of `opa.runtime`.
    pub(super) runtime: Option<RegoError>,
}

/// Where something stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    file: String,
    row: u64,
    col: u64,
}

impl Place {
    pub(super) fn of(span: &Span) -> Self {
        Self {
            file: span.source.file().clone(),
            row: u64::from(span.line),
            col: u64::from(span.col),
        }
    }

    pub(super) fn error(&self, code: &'static str, message: String) -> RegoError {
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
        let imports = Imports::of(modules);
        let mut ids = Vec::new();
        for module in modules {
            let package = path_of(&module.package.refr).unwrap_or_default();
            for rule in &module.policy {
                let name = path_of(rule_reference(rule)).unwrap_or_default();
                ids.push(analysis.graph.declare(&package, &name));
                if let Some(name) = path_of(rule_reference(rule)) {
                    let path: Vec<_> = package.iter().chain(&name).cloned().collect();
                    let place = Place::of(rule.span());
                    let rule_reference = rule_reference(rule);
                    analysis.rules.insert(reference(path.iter()));
                    if is_scattered(rule_reference) {
                        analysis.scattered.insert(reference(path.iter()));
                    }
                    analysis.places.entry(path.join("/")).or_insert(place);
                }
            }
        }
        analysis.find_aliases(modules, &imports, &ids);
        let mut errors = analysis.walk(modules, &imports, &ids);
        // Once more, now that it is known from the beginning that it is not what it seems.
        if analysis.graph.is_replaced(OBJECT_GET) {
            errors = analysis.walk(modules, &imports, &ids);
        }
        if errors.is_empty() {
            Ok(analysis)
        } else {
            Err(errors)
        }
    }

    fn walk(
        &mut self,
        modules: &[Ref<Module>],
        imports: &Imports,
        ids: &[RuleId],
    ) -> Vec<RegoError> {
        let mut errors = Vec::new();
        let mut ids = ids.iter().copied();
        for module in modules {
            Walk::new(module, imports, self, &mut errors).rules(module, &mut ids);
        }
        errors
    }

    /// Finds the rules whose value is nothing but a part of the input, so that what is read of them is
    /// known as closely as if it were read from the input.
    fn find_aliases(&mut self, modules: &[Ref<Module>], imports: &Imports, ids: &[RuleId]) {
        let rules = modules
            .iter()
            .flat_map(|module| module.policy.iter().map(move |rule| (module, rule)));
        for ((module, rule), id) in rules.zip(ids) {
            let package = path_of(&module.package.refr).unwrap_or_default();
            let value = value_of(rule).and_then(whole_path_of);
            let input = value.and_then(|path| input_path(&path, &package, imports, &self.graph));
            if let Some(path) = input {
                self.graph.set_alias(*id, path);
            }
        }
    }

    /// Rule: a rule and base data cannot stand in the same place, nor one inside the other. Data
    /// would silently win over the rule.
    pub(super) fn check_data(&self, data: &Value) -> Result<(), Vec<RegoError>> {
        let errors = self.places.iter().filter_map(|(rule, place)| {
            let path = data_beside(rule, data)?;
            let message = format!("conflicting rule for data path {path} found");
            Some(place.error("rego_compile_error", message))
        });
        let errors: Vec<_> = errors.collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// Rule: the environment is told where OPA's own configuration is used, and nowhere else. An empty
    /// one would be a wrong answer.
    pub(super) fn check_runtime(&self) -> Result<(), Vec<RegoError>> {
        match &self.runtime {
            Some(error) => Err(vec![error.clone()]),
            None => Ok(()),
        }
    }

    /// Refuses what reaches outside, for those who may not.
    pub(super) fn check_inside(&self) -> Result<(), Vec<RegoError>> {
        match &self.external {
            Some(error) => Err(vec![error.clone()]),
            None => Ok(()),
        }
    }
}

/// The data that stands in a rule's place, above it or below it.
fn data_beside(rule: &str, data: &Value) -> Option<String> {
    let mut path = String::new();
    let mut value = data;
    for name in rule.split('/') {
        match value {
            Value::Object(members) if !members.is_empty() => {
                value = members.get(&Value::from(name))?;
            }
            _ => break,
        }
        path.push_str(if path.is_empty() { "" } else { "/" });
        path.push_str(name);
    }
    find_path(value, &mut path, &mut |_| true)
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
    reference_from("data", parts)
}

/// The same after any root.
pub(super) fn reference_from<S: AsRef<str>>(root: &str, parts: impl Iterator<Item = S>) -> String {
    let mut text = root.to_owned();
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

/// The parts of a reference before the first that is not constant.
pub(super) fn path_of(expression: &Expr) -> Option<Vec<String>> {
    constant_beginning(expression).map(|(path, _)| path)
}

/// The parts of a reference, if all are constant.
pub(super) fn whole_path_of(expression: &Expr) -> Option<Vec<String>> {
    constant_beginning(expression)
        .filter(|(_, whole)| *whole)
        .map(|(path, _)| path)
}

/// The same, and whether that is all of it.
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

/// The value of a complete rule that is defined without any condition and without a choice.
fn value_of(rule: &Rule) -> Option<&Expr> {
    match rule {
        Rule::Spec {
            head:
                RuleHead::Compr {
                    refr,
                    assign: Some(assign),
                    ..
                },
            bodies,
            ..
        } if whole_path_of(refr).is_some()
            && bodies
                .iter()
                .all(|body| body.assign.is_none() && body.query.stmts.is_empty()) =>
        {
            Some(&assign.value)
        }
        _ => None,
    }
}

/// Whether there is more behind the first part of a rule's name that is not constant.
fn is_scattered(name: &Expr) -> bool {
    match name {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => {
            matches!(constant_beginning(refr), Some((_, false)))
        }
        _ => false,
    }
}

/// Where a reference begins; its own span is that of its last dot or bracket.
pub(super) fn begin_of(expression: &Expr) -> &Span {
    match expression {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => begin_of(refr),
        _ => expression.span(),
    }
}

pub(super) fn rule_reference(rule: &Rule) -> &Expr {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set { refr, .. }
            | RuleHead::Func { refr, .. } => refr,
        },
        Rule::Default { refr, .. } => refr,
    }
}
