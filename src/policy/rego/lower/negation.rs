//! Arguments of calls under `not`. Rule: they are evaluated before the negation, so that
//! `not f(input.x)` is undefined, not true, where `input.x` is undefined. The interpreter negates
//! the whole, so each argument is given a name in a statement in front of the negation.

use std::collections::BTreeSet;

use regorus::unstable::{BoolOp, Expr, Literal, LiteralStmt, Query, Span};

use super::names::Names;
use super::syntax::{Range, Text, begin, names_of, not_supported, range, strings, widen};
use super::{ARGUMENT, Fault, Output, SourceMap};
use crate::policy::rego::visit::{Visit, parts};

/// A negation with arguments to be named.
struct Negation {
    /// From `not` to the end of the expression.
    whole: Range,
    /// `with` and what follows.
    modifiers: Range,
    arguments: Vec<Range>,
    /// It is a body of its own, without braces.
    bare: bool,
}

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &Text, names: &Names) -> Result<SourceMap, Fault> {
    let mut negations = if text.contains("not") {
        find(text, names).unwrap_or_default()
    } else {
        Vec::new()
    };
    negations.sort_by_key(|negation| negation.whole);
    let mut writer = Writer {
        output: Output::new(text),
        negations: &negations,
        count: 0,
    };
    writer.write((0, text.len()))?;
    Ok(writer.output.finish())
}

fn find(text: &Text, names: &Names) -> Option<Vec<Negation>> {
    let module = text.tree()?;
    let mut finder = Finder {
        names: names_of(module, names),
        negations: Vec::new(),
    };
    finder.module(module);
    let mut negations = finder.negations;
    let strings = strings(text);
    for negation in &mut negations {
        widen(&mut negation.whole, &strings);
        if negation.modifiers.0 < negation.modifiers.1 {
            widen(&mut negation.modifiers, &strings);
        } else {
            negation.modifiers = (negation.whole.1, negation.whole.1);
        }
        for argument in &mut negation.arguments {
            widen(argument, &strings);
        }
    }
    Some(negations)
}

struct Finder {
    /// Variables that are documents, which may be undefined.
    names: BTreeSet<String>,
    negations: Vec<Negation>,
}

impl Visit for Finder {
    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            if let Literal::NotExpr { span, expr } = &statement.literal {
                let bare = begin(&query.span) == begin(&statement.span);
                self.negation(statement, span, expr, bare);
            }
            self.statement(statement);
        }
    }
}

impl Finder {
    fn negation(&mut self, statement: &LiteralStmt, span: &Span, negated: &Expr, bare: bool) {
        let mut arguments = Vec::new();
        self.negated_term(negated, &mut arguments);
        if !arguments.is_empty() {
            let (begin, end) = range(span);
            let modifiers = statement.with_mods.first();
            let modifiers_begin = modifiers.map_or(end, |first| first.span.start as usize);
            let modifiers_end = modifiers.map_or(end, |_| statement.span.end as usize);
            self.negations.push(Negation {
                whole: (begin, end),
                modifiers: (modifiers_begin, modifiers_end),
                arguments,
                bare,
            });
        }
    }

    /// What of a negated expression is evaluated before it is negated.
    fn negated_term(&self, expression: &Expr, found: &mut Vec<Range>) {
        match expression {
            // Rule: a reference may be undefined under `not`; what stands in its brackets may not.
            Expr::RefDot { refr, .. } => self.base(refr, found),
            Expr::RefBrack { refr, index, .. } => {
                self.base(refr, found);
                self.argument(index, found);
            }
            // Rule: the same for both sides of `==` and `=`, where other calls are arguments.
            Expr::BoolExpr {
                op: BoolOp::Eq,
                lhs,
                rhs,
                ..
            }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                for side in [lhs, rhs] {
                    match side.as_ref() {
                        Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                            self.negated_term(side, found);
                        }
                        Expr::Var { .. } => {}
                        _ => self.argument(side, found),
                    }
                }
            }
            Expr::Call { params, .. } => {
                for parameter in params {
                    self.argument(parameter, found);
                }
            }
            Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. }
            | Expr::Var { .. } => {}
            _ => {
                for part in parts(expression) {
                    self.argument(part, found);
                }
            }
        }
    }

    /// What a reference begins with.
    fn base(&self, expression: &Expr, found: &mut Vec<Range>) {
        match expression {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.negated_term(expression, found),
            Expr::Var { .. } => {}
            _ => self.argument(expression, found),
        }
    }

    /// Rule: references, names and calls are evaluated first; what is always defined needs no name.
    fn argument(&self, expression: &Expr, found: &mut Vec<Range>) {
        match expression {
            Expr::Var { span, .. } if !self.names.contains(span.text()) => {}
            Expr::Var { span, .. }
            | Expr::RefDot { span, .. }
            | Expr::RefBrack { span, .. }
            | Expr::Call { span, .. }
            | Expr::ArithExpr { span, .. }
            | Expr::BinExpr { span, .. }
            | Expr::BoolExpr { span, .. }
            | Expr::Membership { span, .. } => found.push(range(span)),
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
            _ => {
                for part in parts(expression) {
                    self.argument(part, found);
                }
            }
        }
    }
}

struct Writer<'a> {
    output: Output<'a>,
    negations: &'a [Negation],
    /// Names so far.
    count: usize,
}

impl<'a> Writer<'a> {
    /// Writes a part of the text with its negations lowered.
    fn write(&mut self, (begin, end): Range) -> Result<(), Fault> {
        let mut at = begin;
        while let Some(negation) = self.next_negation(at, end)? {
            self.output.copy(at, negation.whole.0);
            self.negation(negation)?;
            at = negation.modifiers.1;
        }
        self.output.copy(at, end);
        Ok(())
    }

    /// The first that begins between two places.
    fn next_negation(&self, begin: usize, end: usize) -> Result<Option<&'a Negation>, Fault> {
        let negations = self.negations;
        let first = negations.partition_point(|negation| negation.whole.0 < begin);
        let next = negations.get(first);
        match next.filter(|negation| negation.whole.0 < end) {
            // No text is known for which the parser's places are such.
            Some(next) if next.modifiers.1 > end => {
                Err((next.whole.0, not_supported("this `not`")))
            }
            next => Ok(next),
        }
    }

    /// Writes a negation, its arguments named in front of it.
    fn negation(&mut self, negation: &Negation) -> Result<(), Fault> {
        let (begin, end) = negation.whole;
        if negation.bare {
            self.output.put("{ ", begin);
        }
        let mut names = Vec::new();
        for argument in &negation.arguments {
            let name = format!("{ARGUMENT}{}__", self.count);
            self.count += 1;
            self.output.put(&format!("{name} = "), argument.0);
            self.write(*argument)?;
            self.output.put(" ", argument.1);
            self.write(negation.modifiers)?;
            self.output.put("; ", argument.1);
            names.push((*argument, name));
        }
        let mut at = begin;
        for ((argument_begin, argument_end), name) in names {
            // The `not` itself is copied: only what lies inside it can be another negation.
            let inside = if at == begin { begin + "not".len() } else { at };
            self.output.copy(at, inside);
            self.write((inside, argument_begin))?;
            self.output.put(&name, argument_begin);
            at = argument_end;
        }
        self.write((at, end))?;
        self.output.copy(end, negation.modifiers.0);
        self.write(negation.modifiers)?;
        if negation.bare {
            self.output.put(" }", end);
        }
        Ok(())
    }
}
