//! Variables in the brackets of what is negated. Rule: `not` gives a variable no value, so it waits for
//! the statement that does, also if that stands further on. The interpreter lets the brackets give one,
//! so there the variable is written as a value is, which it waits for.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, LiteralStmt, Query};

use super::syntax::{Range, Text, range};
use super::{ARGUMENT, Output, SourceMap};
use crate::policy::rego::visit::{self, Visit, parts};

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &Text) -> SourceMap {
    let mut finder = Finder::default();
    if text.contains("not")
        && let Some(module) = text.tree()
    {
        finder.module(module);
    }
    let mut output = Output::new(text);
    let mut copied = 0;
    for (begin, end) in finder.waiting {
        output.copy(copied, begin);
        output.put("[", begin);
        output.copy(begin, end);
        output.put("][0]", end);
        copied = end;
    }
    output.copy(copied, text.len());
    output.finish()
}

#[derive(Default)]
struct Finder {
    /// In the order of the text.
    waiting: BTreeSet<Range>,
}

impl Visit for Finder {
    fn query(&mut self, query: &Query) {
        let mut later = Variables::default();
        for (index, statement) in query.stmts.iter().enumerate().rev() {
            match &statement.literal {
                Literal::NotExpr { expr, .. } => {
                    let before = query.stmts.get(..index).unwrap_or_default();
                    self.negated(expr, &|name| later.waits(name, before));
                }
                _ => later.statement(statement),
            }
            self.statement(statement);
        }
    }
}

impl Finder {
    fn negated(&mut self, expression: &Expr, waits: &impl Fn(&str) -> bool) {
        match expression {
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => return,
            Expr::RefBrack { index, .. } => self.index(index, waits),
            _ => {}
        }
        for part in parts(expression) {
            self.negated(part, waits);
        }
    }

    /// What the interpreter gives values to in brackets.
    fn index(&mut self, index: &Expr, waits: &impl Fn(&str) -> bool) {
        match index {
            Expr::Var { span, .. } if waits(span.text()) => {
                self.waiting.insert(range(span));
            }
            Expr::Array { .. } | Expr::Object { .. } => {
                parts(index)
                    .into_iter()
                    .for_each(|part| self.index(part, waits));
            }
            _ => {}
        }
    }
}

/// Variables of statements.
#[derive(Default)]
struct Variables(BTreeSet<String>);

impl Variables {
    /// Whether a variable gets its value from these statements, or from others that wait for them.
    fn waits(&self, name: &str, before: &[LiteralStmt]) -> bool {
        if !name.starts_with(ARGUMENT) {
            return self.0.contains(name);
        }
        // An argument of what is negated, which was named in front of it.
        let named = before.iter().rev().find_map(|statement| {
            let mut variables = Self::default();
            variables.statement(statement);
            variables.0.contains(name).then_some(variables)
        });
        named.is_some_and(|named| !named.0.is_disjoint(&self.0))
    }
}

impl Visit for Variables {
    fn expression(&mut self, expression: &Expr) {
        if let Expr::Var { span, .. } = expression
            && !matches!(span.text(), "_" | "data" | "input")
        {
            self.0.insert(span.text().to_owned());
        }
        visit::in_expression(self, expression);
    }
}
