//! Terms in the form that the checks look at.

use std::rc::Rc;

use regorus::unstable::{ArithOp, BinOp, BoolOp, Expr, Query};
use regorus::unstable::{Ref, Span};

use std::collections::{BTreeSet, HashMap};

use super::core::{Comprehension, Constant, Expression, Function, Kind, Reference, Term, What};
use super::lowering::Globals;
use super::scope::{Scopes, declared_in};
use super::{PARSE, error, signatures};
use crate::policy::rego::RegoError;
use crate::policy::rego::module::path_of;

pub(super) struct Lowering<'a> {
    globals: &'a Globals,
    /// Beginning of the names that lowering the text has put in, of arguments under `not`.
    pub(super) generated: &'a str,
    /// What those stand for.
    pub(super) inlined: HashMap<String, Ref<Expr>>,
    pub(super) scopes: Scopes,
    /// Expressions that must stand in front of the one being lowered.
    pub(super) support: Vec<Expression>,
    pub(super) errors: Vec<RegoError>,
}

/// What a name is.
enum Resolved {
    Local(super::core::Var),
    Document(Vec<String>),
}

impl<'a> Lowering<'a> {
    pub(super) fn new(globals: &'a Globals, generated: &'a str) -> Self {
        Self {
            globals,
            generated,
            inlined: HashMap::new(),
            scopes: Scopes::default(),
            support: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Runs something that lowers terms; returns what must stand in front of them.
    pub(super) fn with_support<T>(
        &mut self,
        lower: impl FnOnce(&mut Self) -> T,
    ) -> (T, Vec<Expression>) {
        let outer = std::mem::take(&mut self.support);
        let lowered = lower(self);
        (lowered, std::mem::replace(&mut self.support, outer))
    }

    pub(super) fn all(&mut self, sources: &[Ref<Expr>]) -> Vec<Term> {
        sources.iter().map(|source| self.term(source)).collect()
    }

    /// The call that an expression is, written as one or by an operator.
    pub(super) fn call(&mut self, source: &Ref<Expr>) -> Option<(Function, Vec<Ref<Expr>>)> {
        let (name, arguments) = match source.as_ref() {
            Expr::Call { fcn, params, .. } => return Some((self.function(fcn), params.clone())),
            Expr::BinExpr { op, lhs, rhs, .. } => match op {
                BinOp::Intersection => ("and", [lhs, rhs]),
                BinOp::Union => ("or", [lhs, rhs]),
            },
            Expr::BoolExpr { op, lhs, rhs, .. } => match op {
                BoolOp::Lt => ("lt", [lhs, rhs]),
                BoolOp::Le => ("lte", [lhs, rhs]),
                BoolOp::Eq => ("equal", [lhs, rhs]),
                BoolOp::Ge => ("gte", [lhs, rhs]),
                BoolOp::Gt => ("gt", [lhs, rhs]),
                BoolOp::Ne => ("neq", [lhs, rhs]),
            },
            Expr::ArithExpr { op, lhs, rhs, .. } => match op {
                ArithOp::Add => ("plus", [lhs, rhs]),
                ArithOp::Sub => ("minus", [lhs, rhs]),
                ArithOp::Mul => ("mul", [lhs, rhs]),
                ArithOp::Div => ("div", [lhs, rhs]),
                ArithOp::Mod => ("rem", [lhs, rhs]),
            },
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                let name = if key.is_some() {
                    "internal.member_3"
                } else {
                    "internal.member_2"
                };
                let arguments = key.iter().chain([value, collection]).cloned().collect();
                return Some((Function::Builtin(name.to_owned()), arguments));
            }
            _ => return None,
        };
        Some((
            Function::Builtin(name.to_owned()),
            arguments.map(Ref::clone).to_vec(),
        ))
    }

    fn function(&self, source: &Ref<Expr>) -> Function {
        let Some(path) = path_of(source) else {
            return Function::None(source.span().text().to_owned());
        };
        let Some((first, rest)) = path.split_first() else {
            return Function::None(String::new());
        };
        if self.scopes.is_hidden(first) {
            return Function::None(path.join("."));
        }
        let full = match self.globals.get(first) {
            Some(document) => document.iter().chain(rest).cloned().collect(),
            None => path,
        };
        match full.split_first() {
            Some((root, rest)) if root == "data" => Function::Rule(rest.to_vec()),
            Some((root, _)) if root == "input" => Function::None(full.join(".")),
            _ => Function::Builtin(full.join(".")),
        }
    }

    fn resolve(&mut self, name: &str) -> Resolved {
        if name == "_" {
            return Resolved::Local(self.scopes.wildcard());
        }
        if super::core::is_root(name) && !self.scopes.is_declared(name) {
            return Resolved::Document(vec![name.to_owned()]);
        }
        match self.globals.get(name) {
            Some(path) if !self.scopes.is_hidden(name) => Resolved::Document(path.clone()),
            _ => Resolved::Local(self.scopes.look_up(name)),
        }
    }

    fn document(path: &[String]) -> Reference {
        let (head, tail) = path
            .split_first()
            .map_or(("data", &[][..]), |(head, tail)| (head.as_str(), tail));
        Reference {
            head: head.into(),
            tail: tail.iter().map(|part| Term::string(part)).collect(),
        }
    }

    pub(super) fn term(&mut self, source: &Ref<Expr>) -> Term {
        match source.as_ref() {
            Expr::Null { .. } => Term::Constant(Constant::Null),
            Expr::Bool { value, .. } => {
                Term::Constant(Constant::Bool(value.as_bool().is_ok_and(|value| *value)))
            }
            Expr::Number { span, .. } => Term::Constant(Constant::Number(span.text().to_owned())),
            Expr::String { value, .. } | Expr::RawString { value, .. } => {
                Term::string(value.as_string().map_or("", AsRef::as_ref))
            }
            Expr::UnaryExpr { span, expr, .. } => self.negative(span, expr),
            Expr::Var { span, .. } => {
                if let Some(argument) = self.inlined.get(span.text()).cloned() {
                    return self.term(&argument);
                }
                match self.resolve(span.text()) {
                    Resolved::Local(var) => Term::Var(var),
                    Resolved::Document(path) => Term::Ref(Self::document(&path)),
                }
            }
            Expr::RefDot { .. } | Expr::RefBrack { .. } => Term::Ref(self.reference(source)),
            Expr::Array { items, .. } => Term::Array(self.all(items)),
            Expr::Set { items, .. } => Term::Set(self.all(items)),
            Expr::Object { fields, .. } => {
                let fields = fields.iter();
                let fields = fields.map(|(_, key, value)| (self.term(key), self.term(value)));
                Term::Object(fields.collect())
            }
            Expr::ArrayCompr { term, query, .. } => self.comprehension(Kind::Array, &[term], query),
            Expr::SetCompr { term, query, .. } => self.comprehension(Kind::Set, &[term], query),
            Expr::ObjectCompr {
                key, value, query, ..
            } => self.comprehension(Kind::Object, &[key, value], query),
            Expr::Call { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::Membership { .. } => self.nested_call(source),
            Expr::AssignExpr { lhs, rhs, .. } => {
                let (left, right) = (self.term(lhs), self.term(rhs));
                let output = Term::Var(self.scopes.generated());
                let arguments = vec![left, right, output.clone()];
                self.support
                    .push(Expression::call("equal", arguments, source.span()));
                output
            }
        }
    }

    /// Rule: a minus stands in front of a number and nothing else.
    fn negative(&mut self, span: &Span, of: &Ref<Expr>) -> Term {
        if let Expr::Number { span, .. } = of.as_ref() {
            return Term::Constant(Constant::Number(format!("-{}", span.text())));
        }
        let message = "unexpected token: expected number".to_owned();
        self.errors.push(error(PARSE, message, span));
        Term::Constant(Constant::Null)
    }

    /// A call's value has a name, given to it in front of the expression.
    fn nested_call(&mut self, source: &Ref<Expr>) -> Term {
        let Some((function, arguments)) = self.call(source) else {
            return Term::Constant(Constant::Null);
        };
        let mut arguments = self.all(&arguments);
        let output = Term::Var(self.scopes.generated());
        arguments.push(output.clone());
        let mut call = Expression::new(What::Call(function, arguments), source.span());
        call.generated = true;
        self.support.push(call);
        output
    }

    pub(super) fn reference(&mut self, source: &Ref<Expr>) -> Reference {
        match source.as_ref() {
            Expr::RefDot { refr, field, .. } => {
                let mut reference = self.reference(refr);
                reference.tail.push(Term::string(field.0.text()));
                reference
            }
            Expr::RefBrack { refr, index, .. } => {
                let mut reference = self.reference(refr);
                let index = self.term(index);
                reference.tail.push(index);
                reference
            }
            _ => match self.term(source) {
                Term::Var(var) => Reference {
                    head: var,
                    tail: Vec::new(),
                },
                Term::Ref(reference) => reference,
                term => match self.named_in_front(term, source.span()) {
                    Term::Var(head) => Reference {
                        head,
                        tail: Vec::new(),
                    },
                    _ => Self::document(&[]),
                },
            },
        }
    }

    fn comprehension(&mut self, kind: Kind, terms: &[&Ref<Expr>], query: &Query) -> Term {
        let mut hidden = BTreeSet::new();
        declared_in(query, &mut hidden);
        self.scopes.hide(hidden);
        self.scopes.enter();
        let (mut body, _) = self.with_support(|lowering| lowering.query(query));
        let terms = terms.iter();
        let terms = terms.map(|term| self.head_term(term, &mut body)).collect();
        self.leave();
        self.scopes.unhide();
        Term::Comprehension(Rc::new(Comprehension { kind, terms, body }))
    }

    /// What a `with` replaces: a document or a function.
    pub(super) fn target(&mut self, source: &Ref<Expr>) -> Term {
        let function = match path_of(source) {
            Some(path) => Self::is_builtin(&path).then_some(path),
            None => None,
        };
        match self.term_or_builtin(source, function) {
            Term::Var(var) if !var.contains('@') => Term::Ref(Reference {
                head: var,
                tail: Vec::new(),
            }),
            term => term,
        }
    }

    /// What it is replaced with; a built-in is a value of no type here.
    pub(super) fn with_value(&mut self, source: &Ref<Expr>) -> Term {
        let function = path_of(source).filter(|path| Self::is_builtin(path));
        match self.term_or_builtin(source, function.clone()) {
            Term::Ref(reference)
                if function.is_some() && !super::core::is_root(&reference.head) =>
            {
                Term::Constant(Constant::Null)
            }
            term => term,
        }
    }

    fn is_builtin(path: &[String]) -> bool {
        signatures::is_known(&path.join("."))
    }

    fn term_or_builtin(&mut self, source: &Ref<Expr>, function: Option<Vec<String>>) -> Term {
        let Some(path) = function else {
            return self.term(source);
        };
        let first = path.first().map_or("", String::as_str);
        if self.globals.contains_key(first) || self.scopes.is_hidden(first) {
            return self.term(source);
        }
        Term::Ref(Self::document(&path))
    }
}
