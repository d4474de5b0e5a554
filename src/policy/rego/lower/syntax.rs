//! Looking at the syntax tree of a text before it is lowered further: parsing it, places in it, and
//! the parts of an expression. What they are looked at for is told by the steps themselves.

use regorus::unstable::{Expr, Module, Parser, Ref, Source, Span};

use crate::policy::rego::engine::LENGTHS;

/// From an offset to the one after the last.
pub(super) type Range = (usize, usize);

/// The tree of a text that the interpreter's parser takes; any other is left for it to refuse.
pub(super) fn parse(text: &str, v0: bool) -> Option<Module> {
    let limits = LENGTHS;
    let source = Source::from_contents_with_limits(
        String::new(),
        text.to_owned(),
        limits.max_file_bytes,
        limits.max_lines,
    );
    let source = source.ok()?;
    let mut parser = Parser::new(&source).ok()?;
    parser.set_max_col(limits.max_col);
    if !v0 {
        parser.enable_rego_v1().ok()?;
    }
    parser.parse().ok()
}

pub(super) fn begin(span: &Span) -> usize {
    span.start as usize
}

pub(super) fn range(span: &Span) -> Range {
    (span.start as usize, span.end as usize)
}

/// The expressions an expression is made of, queries aside.
pub(super) fn parts(expression: &Expr) -> Vec<&Ref<Expr>> {
    match expression {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => Vec::new(),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().collect(),
        Expr::Object { fields, .. } => {
            let fields = fields.iter();
            fields.flat_map(|(_, key, value)| [key, value]).collect()
        }
        Expr::ArrayCompr { term, .. } | Expr::SetCompr { term, .. } => vec![term],
        Expr::ObjectCompr { key, value, .. } => vec![key, value],
        Expr::Call { fcn, params, .. } => std::iter::once(fcn).chain(params).collect(),
        Expr::UnaryExpr { expr, .. } => vec![expr],
        Expr::RefDot { refr, .. } => vec![refr],
        Expr::RefBrack { refr, index, .. } => vec![refr, index],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![lhs, rhs],
        Expr::Membership {
            key,
            value,
            collection,
            ..
        } => key.iter().chain([value, collection]).collect(),
    }
}
