//! What OPA's parser refuses and the interpreter's takes, and names that must not be shadowed.

use regorus::unstable::{Expr, Import, Module, Ref, Rule};

use super::{COMPILE, PARSE, error};
use crate::policy::rego::RegoError;
use crate::policy::rego::module::{path_of, rule_reference};

const KEYWORDS: &[&str] = &["contains", "every", "if", "in"];

pub(super) fn check(module: &Module, errors: &mut Vec<RegoError>) {
    for import in &module.imports {
        errors.extend(check_import(import));
    }
    if module.rego_v1 {
        errors.extend(check_duplicates(module));
    }
    for rule in &module.policy {
        errors.extend(check_rule(module, rule));
    }
}

fn check_import(import: &Import) -> Option<RegoError> {
    let path = path_of(&import.refr)?;
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    let message = match path.as_slice() {
        ["future", "keywords"] | ["rego", "v1"] => None,
        ["future", "keywords", keyword] if KEYWORDS.contains(keyword) => None,
        ["future", "keywords", _] => Some(format!(
            "unexpected keyword, must be one of [{}]",
            KEYWORDS.join(" ")
        )),
        ["future", ..] => Some("invalid import, must be `future.keywords`".to_owned()),
        ["rego", ..] => Some("invalid import `rego`, must be `rego.v1`".to_owned()),
        _ => None,
    };
    message.map(|message| error(PARSE, message, &import.span))
}

/// Rule: two imports have two names.
fn check_duplicates(module: &Module) -> Vec<RegoError> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut errors = Vec::new();
    for import in &module.imports {
        let Some(path) = path_of(&import.refr) else {
            continue;
        };
        if !matches!(path.first().map(String::as_str), Some("data" | "input")) {
            continue;
        }
        let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
        let Some(name) = alias.or_else(|| path.last().cloned()) else {
            continue;
        };
        match names.iter().find(|(known, _)| *known == name) {
            Some((_, other)) => {
                let message = format!("import must not shadow import {other}");
                errors.push(error(COMPILE, message, &import.span));
            }
            None => names.push((name, path.join("."))),
        }
    }
    errors
}

fn check_rule(module: &Module, rule: &Ref<Rule>) -> Option<RegoError> {
    let name = path_of(rule_reference(rule))?;
    let root = name.first().filter(|name| super::core::is_root(name));
    // Rule: in version 1 no rule is named as a root document.
    if let Some(name) = root.filter(|_| module.rego_v1) {
        let message = format!("rules must not shadow {name} (use a different rule name)");
        return Some(error(COMPILE, message, rule.span()));
    }
    if let Rule::Default { value, .. } = rule.as_ref()
        && let Some(kind) = not_constant(value)
    {
        let message = format!("illegal default rule (value cannot contain {kind})");
        return Some(error(PARSE, message, rule.span()));
    }
    None
}

/// Rule: a default value has no calls, references and variables but in comprehensions.
fn not_constant(value: &Ref<Expr>) -> Option<&'static str> {
    match value.as_ref() {
        Expr::Var { .. } => Some("var"),
        Expr::RefDot { .. } | Expr::RefBrack { .. } => Some("ref"),
        Expr::Call { .. }
        | Expr::BinExpr { .. }
        | Expr::BoolExpr { .. }
        | Expr::ArithExpr { .. }
        | Expr::Membership { .. }
        | Expr::AssignExpr { .. } => Some("call"),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().find_map(not_constant),
        Expr::Object { fields, .. } => fields
            .iter()
            .find_map(|(_, key, value)| not_constant(key).or_else(|| not_constant(value))),
        _ => None,
    }
}
