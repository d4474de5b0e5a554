//! Which lines of a module count when it is told what tests have reached. Rule: those where a rule's
//! head or an expression begins. A head is reached if its rule came to a value: where the text has
//! none, `true` is put there, so that the interpreter says so. Of an `else` and a `with` it says
//! nothing: such a line counts only for what else begins there.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleBody, RuleHead};

use super::loops::ELEMENT;
use super::syntax::parts;

/// What is put in at an offset.
type Edit = (usize, String);

/// What counts in a module.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) rows: BTreeSet<u32>,
    pub(super) edits: Vec<Edit>,
}

impl Lines {
    /// `v0`: where `:=` is no sign of a value.
    pub(super) fn of(module: &Module, v0: bool) -> Self {
        let mut lines = Self::default();
        let sign = if v0 { "=" } else { ":=" };
        for rule in &module.policy {
            lines.rows.insert(rule.span().line);
            match rule.as_ref() {
                Rule::Default { value, .. } => lines.expression(value),
                Rule::Spec { head, bodies, .. } => lines.rule(head, bodies, sign),
            }
        }
        lines
    }

    fn rule(&mut self, head: &RuleHead, bodies: &[RuleBody], sign: &str) {
        let value = match head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                assign.as_ref().map(|assign| &assign.value)
            }
            RuleHead::Set { key, .. } => key.as_ref(),
        };
        value.iter().for_each(|value| self.expression(value));
        let is_set = matches!(head, RuleHead::Set { .. });
        if let Some(body) = bodies.first().filter(|_| value.is_none() && !is_set) {
            // Rule: what has no value is true. It stands in front of `if`, or behind `else`, which
            // the interpreter takes for undefined once the head has a value.
            let begin = body.span.start as usize;
            self.edits.push((begin, format!("{sign} true ")));
            let others = bodies
                .iter()
                .filter(|body| body.is_else && body.assign.is_none());
            for other in others {
                let behind = other.span.start as usize + "else".len();
                self.edits.push((behind, format!(" {sign} true")));
            }
        }
        bodies.iter().for_each(|body| self.query(&body.query));
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                // Rule: a declaration is no expression.
                Literal::SomeVars { .. } => continue,
                // A term that was moved out of its head: it has no line of its own.
                _ if statement.span.text().starts_with(ELEMENT) => continue,
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    let all = key.iter().chain([value, collection]);
                    all.for_each(|expression| self.expression(expression));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                    self.expression(expr);
                }
                Literal::Every { domain, query, .. } => {
                    self.expression(domain);
                    self.query(query);
                }
            }
            self.rows.insert(statement.span.line);
        }
    }

    /// Looks for the queries of comprehensions.
    fn expression(&mut self, expression: &Ref<Expr>) {
        if let Expr::ArrayCompr { query, .. }
        | Expr::SetCompr { query, .. }
        | Expr::ObjectCompr { query, .. } = expression.as_ref()
        {
            self.query(query);
        }
        for part in parts(expression) {
            self.expression(part);
        }
    }
}
