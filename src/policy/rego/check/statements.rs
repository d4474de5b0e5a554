//! Statements of bodies in the form that the checks look at.

use std::collections::BTreeSet;

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt, Query, Ref, Span};

use super::core::{Body, Constant, EQ, Expression, Function, Term, What};
use super::scope::{Origin, pattern_names};
use super::terms::Lowering;
use super::{COMPILE, error};

impl Lowering<'_> {
    pub(super) fn query(&mut self, query: &Query) -> Body {
        let mut body = Body::new();
        for statement in &query.stmts {
            let (expression, support) = self.with_support(|lowering| lowering.statement(statement));
            body.extend(support);
            body.extend(expression);
        }
        body
    }

    fn statement(&mut self, statement: &LiteralStmt) -> Option<Expression> {
        if self.is_inlined(&statement.literal) {
            return None;
        }
        let place = &statement.span;
        let first = self.support.len();
        // Rule: values of `with` are taken in front of the expression; its own support has it too.
        let with: Vec<_> = statement
            .with_mods
            .iter()
            .map(|modifier| (self.target(&modifier.refr), self.with_value(&modifier.r#as)))
            .collect();
        let own = self.support.len().max(first);
        let (what, negated) = match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                for var in vars {
                    self.declare(var.text(), Origin::Declared, var);
                }
                return None;
            }
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => (self.some_in(key.as_ref(), value, collection), false),
            Literal::Expr { expr, .. } => (self.expression(expr, false)?, false),
            Literal::NotExpr { expr, .. } => (self.expression(expr, true)?, true),
            Literal::Every {
                key,
                value,
                domain,
                query,
                ..
            } => (self.every(key.as_ref(), value, domain, query), false),
        };
        for support in self.support.iter_mut().skip(own) {
            support.with.clone_from(&with);
        }
        let mut expression = Expression::new(what, place);
        expression.negated = negated;
        expression.with = with;
        Some(expression)
    }

    /// Whether a statement names an argument of the `not` that follows, which is put back there.
    fn is_inlined(&mut self, literal: &Literal) -> bool {
        let Literal::Expr { expr, .. } = literal else {
            return false;
        };
        let Expr::AssignExpr { lhs, rhs, .. } = expr.as_ref() else {
            return false;
        };
        match lhs.as_ref() {
            Expr::Var { span, .. } if self.is_generated(span.text()) => {
                self.inlined.insert(span.text().to_owned(), rhs.clone());
                true
            }
            _ => false,
        }
    }

    fn is_generated(&self, name: &str) -> bool {
        !self.generated.is_empty() && name.starts_with(self.generated)
    }

    pub(super) fn declare(&mut self, name: &str, origin: Origin, place: &Span) -> Term {
        if name == "_" {
            return Term::Var(self.scopes.wildcard());
        }
        match self.scopes.declare(name, origin, place) {
            Ok(var) => Term::Var(var),
            Err(message) => {
                self.errors.push(error(COMPILE, message, place));
                Term::Var(name.into())
            }
        }
    }

    fn some_in(&mut self, key: Option<&Ref<Expr>>, value: &Ref<Expr>, of: &Ref<Expr>) -> What {
        let mut used = BTreeSet::new();
        names_in(of, &mut used);
        let mut names = BTreeSet::new();
        for pattern in key.into_iter().chain([value]) {
            pattern_names(pattern, &mut names);
        }
        for name in names.difference(&used) {
            self.declare(name, Origin::Declared, value.span());
        }
        let value_term = self.term(value);
        let key = match key {
            Some(key) => self.term(key),
            None => Term::Var(self.scopes.wildcard()),
        };
        let mut of_reference = self.reference(of);
        of_reference.tail.push(key);
        equation(value_term, Term::Ref(of_reference))
    }

    fn every(
        &mut self,
        key: Option<&Span>,
        value: &Span,
        domain: &Ref<Expr>,
        query: &Query,
    ) -> What {
        let names = key.into_iter().chain([value]);
        let hidden = names.clone().map(|name| name.text().to_owned()).collect();
        self.scopes.hide(hidden);
        let mut domain_term = self.term(domain);
        if !matches!(domain_term, Term::Var(_)) {
            domain_term = self.named_in_front(domain_term, domain.span());
        }
        self.scopes.enter();
        let variables =
            names.filter_map(
                |name| match self.declare(name.text(), Origin::Declared, name) {
                    Term::Var(var) => Some(var),
                    _ => None,
                },
            );
        let variables = variables.collect();
        let body = self.query(query);
        self.leave();
        self.scopes.unhide();
        What::Every {
            variables,
            domain: domain_term,
            body,
        }
    }

    pub(super) fn leave(&mut self) {
        for (name, place) in self.scopes.leave() {
            let message = format!("declared var {name} unused");
            self.errors.push(error(COMPILE, message, &place));
        }
    }

    pub(super) fn named_in_front(&mut self, term: Term, place: &Span) -> Term {
        let var = Term::Var(self.scopes.generated());
        let mut equation = Expression::equation(var.clone(), term, place);
        equation.generated = true;
        self.support.push(equation);
        var
    }

    /// A statement that is an expression. Rule: calls of `print` are taken out before any check.
    fn expression(&mut self, source: &Ref<Expr>, negated: bool) -> Option<What> {
        if let Expr::AssignExpr { op, lhs, rhs, .. } = source.as_ref() {
            if *op == AssignOp::Eq {
                let left = self.term(lhs);
                return Some(equation(left, self.term(rhs)));
            }
            if negated {
                let message = "cannot assign vars inside negated expression".to_owned();
                self.errors.push(error(COMPILE, message, source.span()));
                return None;
            }
            let right = self.term(rhs);
            let left = self.assigned(lhs);
            return Some(equation(left, right));
        }
        let Some((function, arguments)) = self.call(source) else {
            return Some(What::Term(self.term(source)));
        };
        if function == Function::Builtin("print".to_owned()) {
            drop(self.with_support(|lowering| lowering.all(&arguments)));
            return None;
        }
        let arguments = self.all(&arguments);
        Some(What::Call(function, arguments))
    }

    /// The left side of `:=`.
    fn assigned(&mut self, pattern: &Ref<Expr>) -> Term {
        let kind = match pattern.as_ref() {
            Expr::Var { span, .. } => {
                return self.declare(span.text(), Origin::Assigned, span);
            }
            Expr::Array { items, .. } => {
                return Term::Array(items.iter().map(|item| self.assigned(item)).collect());
            }
            Expr::Object { fields, .. } => {
                let fields = fields.iter();
                let fields = fields.map(|(_, key, value)| (self.term(key), self.assigned(value)));
                return Term::Object(fields.collect());
            }
            Expr::String { .. } | Expr::RawString { .. } => "string",
            Expr::Number { .. } | Expr::UnaryExpr { .. } => "number",
            Expr::Bool { .. } => "boolean",
            Expr::Null { .. } => "null",
            Expr::Set { .. } => "set",
            Expr::ArrayCompr { .. } => "arraycomprehension",
            Expr::SetCompr { .. } => "setcomprehension",
            Expr::ObjectCompr { .. } => "objectcomprehension",
            Expr::RefDot { .. } | Expr::RefBrack { .. } => "ref",
            _ => "call",
        };
        let message = format!("cannot assign to {kind}");
        self.errors.push(error(COMPILE, message, pattern.span()));
        Term::Constant(Constant::Null)
    }

    /// A parameter. Rule: it holds variables, arrays, objects and constants.
    pub(super) fn argument(&mut self, pattern: &Ref<Expr>) -> Term {
        match pattern.as_ref() {
            Expr::Var { span, .. } => match span.text() {
                "_" => Term::Var(self.scopes.wildcard()),
                name @ ("data" | "input") => {
                    let message =
                        format!("args must not shadow {name} (use a different variable name)");
                    self.errors.push(error(COMPILE, message, span));
                    Term::Constant(Constant::Null)
                }
                name => Term::Var(self.scopes.argument(name)),
            },
            Expr::Array { items, .. } => {
                Term::Array(items.iter().map(|item| self.argument(item)).collect())
            }
            Expr::Object { fields, .. } => {
                let fields = fields.iter();
                let fields = fields.map(|(_, key, value)| (self.term(key), self.argument(value)));
                Term::Object(fields.collect())
            }
            _ => self.term(pattern),
        }
    }
}

fn equation(left: Term, right: Term) -> What {
    What::Call(Function::Builtin(EQ.to_owned()), vec![left, right])
}

/// All names in an expression, for what is used in it.
fn names_in(source: &Ref<Expr>, names: &mut BTreeSet<String>) {
    match source.as_ref() {
        Expr::Var { span, .. } => drop(names.insert(span.text().to_owned())),
        Expr::RefDot { refr, .. } => names_in(refr, names),
        Expr::RefBrack { refr, index, .. } => {
            names_in(refr, names);
            names_in(index, names);
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|item| names_in(item, names));
        }
        Expr::Object { fields, .. } => {
            for (_, key, value) in fields {
                names_in(key, names);
                names_in(value, names);
            }
        }
        Expr::Call { params, .. } => params.iter().for_each(|each| names_in(each, names)),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. } => {
            names_in(lhs, names);
            names_in(rhs, names);
        }
        _ => {}
    }
}
