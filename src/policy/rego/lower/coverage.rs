//! Which lines of a module count when it is told what tests have reached. Rule: those where a rule's
//! head or an expression begins. A head is reached if its rule came to a value: where the text has
//! none, `true` is put there, so that the interpreter says so. Of an `else` and a `with` it says
//! nothing: such a line counts only for what else begins there.

use std::collections::BTreeSet;

use regorus::unstable::{Literal, LiteralStmt, Module, Rule, RuleBody, RuleHead, WithModifier};

use super::loops::ELEMENT;
use crate::policy::rego::visit::{self, Visit};

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
}

impl Visit for Lines {
    fn statement(&mut self, statement: &LiteralStmt) {
        let is_counted = match &statement.literal {
            // Rule: a declaration is no expression.
            Literal::SomeVars { .. } => false,
            // A term that was moved out of its head has no line of its own.
            _ => !statement.span.text().starts_with(ELEMENT),
        };
        if is_counted {
            self.rows.insert(statement.span.line);
        }
        visit::in_statement(self, statement);
    }

    /// Nothing is said of it.
    fn modifier(&mut self, _: &WithModifier) {}
}
