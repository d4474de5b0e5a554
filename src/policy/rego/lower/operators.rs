//! Operators as calls of built-ins of the same meaning. Rule: an operand of the wrong type makes an
//! operator undefined, as does an undefined operand of `in`, and types have an order; the interpreter
//! fails, is false, and has another. Only what is evaluated is written so: what policies call and read
//! is told of the text before this step.

use regorus::unstable::{ArithOp, BinOp, BoolOp, Expr, Module, Ref, Span};

use super::OWN;
use super::syntax::{Edit, Range, Written, all_edited, cannot_write, range, strings, widen};
use super::tokens::{Token, tokens};
use crate::policy::rego::RegoError;
use crate::policy::rego::visit::{self, Visit};

/// The built-ins that operators are written as.
const CALLED: [&str; 13] = [
    "and",
    "div",
    "gt",
    "gte",
    "internal.member_2",
    "internal.member_3",
    "lt",
    "lte",
    "minus",
    "mul",
    "or",
    "plus",
    "rem",
];

/// The names operators are written as, which no policy can have, and what they stand for.
pub(super) fn functions() -> impl Iterator<Item = (String, &'static str)> {
    let named = CALLED.into_iter();
    named.map(|built_in| (own_name(built_in), built_in))
}

fn own_name(built_in: &str) -> String {
    format!("{OWN}{}", built_in.replace('.', "_"))
}

/// All modules as they are evaluated.
pub(in crate::policy::rego) fn operators(modules: &[Ref<Module>]) -> Written {
    let found: Result<_, _> = modules.iter().map(|module| find(module)).collect();
    all_edited(modules, found?)
}

/// An operator that is written as a call.
struct Operator {
    /// With its operands, and brackets around them.
    whole: Range,
    /// What stands left of it, without brackets around it.
    left: Range,
    /// Where the parser says that it is.
    span: Span,
    built_in: &'static str,
}

fn find(module: &Module) -> Result<Vec<Edit>, RegoError> {
    let mut finder = Finder::default();
    finder.module(module);
    if finder.found.is_empty() {
        return Ok(Vec::new());
    }
    let text = module.package.span.source.contents();
    let (tokens, strings) = (tokens(text), strings(text));
    let mut edits: Vec<Edit> = Vec::new();
    for operator in finder.found {
        let [whole, left] = [operator.whole, operator.left].map(|place| {
            let mut whole = place;
            widen(&mut whole, &strings);
            whole
        });
        // No text is known for which it is not found.
        let token = operator_behind(text, &tokens, left.1)
            .ok_or_else(|| cannot_write(&operator.span, "this operator"))?;
        edits.push(((whole.1, whole.1), ")".to_owned()));
        let name = format!("{}(", own_name(operator.built_in));
        edits.push(((whole.0, whole.0), name));
        edits.push((token, ",".to_owned()));
    }
    // Where operators begin together the outer one was found first; what ends there ends before it.
    edits.sort_by_key(|((begin, end), put)| (*begin, put != ")", *end));
    Ok(edits)
}

/// The operator behind an operand: all else that can stand between them are brackets. Where the operand
/// behind the operator begins, the parser does not tell of objects.
fn operator_behind(text: &str, tokens: &[Token], operand: usize) -> Option<Range> {
    let word = |token: &Token| text.get(token.begin..token.end).unwrap_or_default();
    let behind = tokens.partition_point(|token| token.begin < operand);
    let mut behind = tokens.get(behind..)?.iter();
    let first = behind.find(|token| word(token) != ")")?;
    let last = match behind.next() {
        Some(last) if word(last) == "=" => last,
        _ => first,
    };
    Some((first.begin, last.end))
}

#[derive(Default)]
struct Finder {
    found: Vec<Operator>,
}

impl Visit for Finder {
    /// No call can stand there.
    fn name(&mut self, _: &Expr) {}

    fn expression(&mut self, expression: &Expr) {
        self.found.extend(operator(expression));
        visit::in_expression(self, expression);
    }
}

fn operator(expression: &Expr) -> Option<Operator> {
    let (left, built_in) = match expression {
        Expr::ArithExpr { op, lhs, .. } => (lhs, arithmetic(op)),
        Expr::BinExpr { op, lhs, .. } => (lhs, of_sets(op)),
        Expr::BoolExpr { op, lhs, rhs, .. } if has_order(lhs) || has_order(rhs) => {
            (lhs, order(op)?)
        }
        Expr::Membership { key, value, .. } => {
            let built_in = match key {
                Some(_) => "internal.member_3",
                None => "internal.member_2",
            };
            (value, built_in)
        }
        _ => return None,
    };
    Some(Operator {
        whole: range(expression.span()),
        left: range(left.span()),
        span: expression.span().clone(),
        built_in,
    })
}

fn arithmetic(operator: &ArithOp) -> &'static str {
    match operator {
        ArithOp::Add => "plus",
        ArithOp::Sub => "minus",
        ArithOp::Mul => "mul",
        ArithOp::Div => "div",
        ArithOp::Mod => "rem",
    }
}

fn of_sets(operator: &BinOp) -> &'static str {
    match operator {
        BinOp::Intersection => "and",
        BinOp::Union => "or",
    }
}

/// Equality is no matter of order.
fn order(operator: &BoolOp) -> Option<&'static str> {
    match operator {
        BoolOp::Lt => Some("lt"),
        BoolOp::Le => Some("lte"),
        BoolOp::Ge => Some("gte"),
        BoolOp::Gt => Some("gt"),
        BoolOp::Eq | BoolOp::Ne => None,
    }
}

/// Whether a value is of those that the interpreter has another order for: sets come behind objects.
fn has_order(expression: &Expr) -> bool {
    match expression {
        Expr::Set { .. }
        | Expr::SetCompr { .. }
        | Expr::Object { .. }
        | Expr::ObjectCompr { .. }
        | Expr::BinExpr { .. } => true,
        Expr::Array { items, .. } => items.iter().any(|item| has_order(item)),
        Expr::ArrayCompr { term, .. } => has_order(term),
        _ => false,
    }
}
