//! Names of variables: which of a body are declared in it, and what each stands for at a place.

use std::collections::{BTreeSet, HashMap};

use regorus::unstable::{AssignOp, Expr, Literal, Query, Ref, Span};

use super::core::Var;

/// How a name came to be known in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Argument,
    /// By `some`, `every`.
    Declared,
    /// By `:=`.
    Assigned,
    /// Used and not declared so far.
    Seen,
}

#[derive(Debug)]
struct Name {
    origin: Origin,
    var: Option<Var>,
    used: bool,
    place: Option<Span>,
}

/// The scopes that are open at a place, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    scopes: Vec<HashMap<String, Name>>,
    /// Names that are no rules' and no imports' here, since a body declares them.
    hidden: Vec<BTreeSet<String>>,
    count: usize,
}

impl Scopes {
    pub(super) fn enter(&mut self) {
        self.scopes.push(HashMap::new());
    }

    /// Leaves a scope; returns what was declared in it and never used.
    pub(super) fn leave(&mut self) -> Vec<(String, Span)> {
        let names = self.scopes.pop().into_iter().flatten();
        let unused = names.filter_map(|(text, name)| {
            let unused = name.origin == Origin::Declared && !name.used;
            Some((text, name.place?)).filter(|_| unused)
        });
        unused.collect()
    }

    pub(super) fn hide(&mut self, names: BTreeSet<String>) {
        self.hidden.push(names);
    }

    pub(super) fn unhide(&mut self) {
        self.hidden.pop();
    }

    pub(super) fn is_hidden(&self, name: &str) -> bool {
        self.hidden.iter().any(|names| names.contains(name))
    }

    /// A variable that the policy does not name.
    pub(super) fn generated(&mut self) -> Var {
        self.numbered("")
    }

    pub(super) fn wildcard(&mut self) -> Var {
        self.numbered("_")
    }

    fn numbered(&mut self, name: &str) -> Var {
        self.count += 1;
        format!("{name}@{}", self.count).into()
    }

    /// What a name stands for. A name that is not declared stands for itself.
    pub(super) fn look_up(&mut self, text: &str) -> Var {
        for scope in self.scopes.iter_mut().rev() {
            if let Some(name) = scope.get_mut(text)
                && let Some(var) = &name.var
            {
                name.used = true;
                return var.clone();
            }
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.entry(text.to_owned()).or_insert(Name {
                origin: Origin::Seen,
                var: None,
                used: true,
                place: None,
            });
        }
        text.into()
    }

    /// Whether a name is declared in any scope so far.
    pub(super) fn is_declared(&self, text: &str) -> bool {
        let mut scopes = self.scopes.iter();
        scopes.any(|scope| scope.get(text).is_some_and(|name| name.var.is_some()))
    }

    /// A parameter: the same name is the same variable.
    pub(super) fn argument(&mut self, text: &str) -> Var {
        if self.is_declared(text) {
            return self.look_up(text);
        }
        self.insert(text, Origin::Argument, None)
    }

    /// Declares a name. Rule: once a scope, and not after its use.
    pub(super) fn declare(
        &mut self,
        text: &str,
        origin: Origin,
        place: &Span,
    ) -> Result<Var, String> {
        let known = self.scopes.last().and_then(|scope| scope.get(text));
        match known.map(|name| name.origin) {
            Some(Origin::Seen) => Err(format!("var {text} referenced above")),
            Some(Origin::Assigned) => Err(format!("var {text} assigned above")),
            Some(Origin::Declared) => Err(format!("var {text} declared above")),
            Some(Origin::Argument) => Err(format!("arg {text} redeclared")),
            None => Ok(self.insert(text, origin, Some(place))),
        }
    }

    fn insert(&mut self, text: &str, origin: Origin, place: Option<&Span>) -> Var {
        let var = self.numbered(text);
        if let Some(scope) = self.scopes.last_mut() {
            let name = Name {
                origin,
                var: Some(var.clone()),
                used: false,
                place: place.cloned(),
            };
            scope.insert(text.to_owned(), name);
        }
        var
    }
}

/// Names that a body declares, those of its `every` bodies with it and of comprehensions not.
pub(in crate::policy::rego) fn declared_in(query: &Query, names: &mut BTreeSet<String>) {
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                names.extend(vars.iter().map(|var| var.text().to_owned()));
            }
            Literal::SomeIn { key, value, .. } => {
                for pattern in key.iter().chain([value]) {
                    pattern_names(pattern, names);
                }
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                if let Expr::AssignExpr {
                    op: AssignOp::ColEq,
                    lhs,
                    ..
                } = expr.as_ref()
                {
                    pattern_names(lhs, names);
                }
            }
            Literal::Every { query, .. } => declared_in(query, names),
        }
    }
}

/// Names that a pattern can give a value to.
pub(in crate::policy::rego) fn pattern_names(pattern: &Ref<Expr>, names: &mut BTreeSet<String>) {
    match pattern.as_ref() {
        Expr::Var { span, .. } if span.text() != "_" => {
            names.insert(span.text().to_owned());
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|item| pattern_names(item, names));
        }
        Expr::Object { fields, .. } => {
            fields
                .iter()
                .for_each(|(_, _, value)| pattern_names(value, names));
        }
        _ => {}
    }
}
