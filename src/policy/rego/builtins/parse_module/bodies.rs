//! Bodies: expressions one under the other, `some`, `every` and `with`.

use super::parser::Parser;
use super::terms::{MEMBER, MEMBER_WITH_KEY, Pairs};
use super::tree::{Every, Expression, Term, Terms, With};
use super::{Failure, illegal};

// === impl Parser ===

impl Parser<'_> {
    /// Expressions up to a bracket that closes.
    pub(super) fn body(&mut self, end: &str) -> Result<Vec<Expression>, Failure> {
        self.nested(|parser| {
            let mut body = Vec::new();
            loop {
                body.push(parser.literal()?);
                if parser.skip(";") {
                    continue;
                }
                if parser.skip(end) {
                    return Ok(body);
                }
                // Rule: what is not on a line of its own is behind a semicolon.
                if !parser.token().is_on_new_line {
                    return illegal("an expression that does not end");
                }
            }
        })
    }

    pub(super) fn literal(&mut self) -> Result<Expression, Failure> {
        if self.allow_keyword() {
            return self.expression();
        }
        let is_negated = self.skip("not");
        match self.token().text {
            "some" | "every" if is_negated => illegal("`some` or `every` behind `not`"),
            "some" => self.some(),
            "every" => self.every(),
            _ => Ok(Expression {
                is_negated,
                ..self.expression()?
            }),
        }
    }

    fn expression(&mut self) -> Result<Expression, Failure> {
        let left = self.infix(Pairs::Yes)?;
        let name = match self.token().text {
            ":=" => Some("assign"),
            "=" => Some("eq"),
            _ => None,
        };
        let terms = match (name, left) {
            (Some(name), left) => {
                self.advance();
                let right = self.infix(Pairs::Yes)?;
                Terms::Call(vec![Term::operator(name), left, right])
            }
            (None, Term::Call(terms)) => Terms::Call(terms),
            (None, left) => Terms::Single(left),
        };
        self.with(terms)
    }

    /// Takes in the replacements behind an expression.
    fn with(&mut self, terms: Terms) -> Result<Expression, Failure> {
        let mut with = Vec::new();
        while self.skip("with") {
            if !self.is_name() {
                return illegal("`with` without a name");
            }
            let target = self.term()?;
            if !matches!(target, Term::Var(_) | Term::Ref(_)) {
                return illegal("`with` without a path");
            }
            self.take_text("as", "`with` without `as`")?;
            let value = self.infix(Pairs::Yes)?;
            with.push(With { target, value });
        }
        Ok(Expression {
            with,
            ..Expression::new(terms)
        })
    }

    fn some(&mut self) -> Result<Expression, Failure> {
        self.advance();
        let mark = self.mark();
        if let Some(call @ Term::Call(_)) = self.attempt(|parser| parser.infix(Pairs::Yes))? {
            return match membership(&call) {
                Some(_) => self.with(Terms::Some(vec![call])),
                None => illegal("`some` without `in`"),
            };
        }
        self.reset(mark);
        let mut symbols = Vec::new();
        loop {
            if !self.is_name() {
                return illegal("a variable was expected");
            }
            symbols.push(self.variable());
            if !self.skip(",") {
                return Ok(Expression::new(Terms::Some(symbols)));
            }
        }
    }

    fn every(&mut self) -> Result<Expression, Failure> {
        self.advance();
        let term = self.infix(Pairs::Yes)?;
        let (key, value, domain) = match membership(&term) {
            Some([value, domain]) => (None, value, domain),
            Some([key, value, domain]) => (Some(key), value, domain),
            _ => return illegal("`every` without `in`"),
        };
        // Rule: it declares variables, and nothing else.
        let is_variable = |term: &Term| matches!(term, Term::Var(_));
        if !key.is_none_or(is_variable) || !is_variable(value) {
            return illegal("`every` without a variable");
        }
        let (key, value, domain) = (key.cloned(), value.clone(), domain.clone());
        self.take_text("{", "`every` without a body")?;
        let body = self.body("}")?;
        self.with(Terms::Every(Box::new(Every {
            key,
            value,
            domain,
            body,
        })))
    }
}

/// The operands of `in`.
fn membership(term: &Term) -> Option<&[Term]> {
    let Term::Call(terms) = term else {
        return None;
    };
    let (operator, operands) = terms.split_first()?;
    let is_in = match operands.len() {
        2 => *operator == Term::operator(MEMBER),
        3 => *operator == Term::operator(MEMBER_WITH_KEY),
        _ => false,
    };
    is_in.then_some(operands)
}
