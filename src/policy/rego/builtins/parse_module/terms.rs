//! Terms: operators by precedence, references, calls and collections.

use super::parser::Parser;
use super::tokens::Kind;
use super::tree::{Expression, Term};
use super::{Failure, illegal};
use crate::policy::rego::json;

/// Operators and what they are called, those that bind weakest first. All are left-associative.
const OPERATORS: &[&[(&str, &str)]] = &[
    &[
        ("==", "equal"),
        ("!=", "neq"),
        ("<", "lt"),
        (">", "gt"),
        ("<=", "lte"),
        (">=", "gte"),
    ],
    &[("|", "or")],
    &[("&", "and")],
    &[("+", "plus"), ("-", "minus")],
    &[("*", "mul"), ("/", "div"), ("%", "rem")],
];

/// What `in` is called, with a value and with a key as well.
pub(super) const MEMBER: &str = "internal.member_2";
pub(super) const MEMBER_WITH_KEY: &str = "internal.member_3";

/// Names that are references even by themselves.
const DOCUMENTS: &[&str] = &["data", "input"];

/// Whether two terms with a comma between may stand in front of `in`. Not in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pairs {
    Yes,
    No,
}

/// What a body that was tried comes to.
enum Tried {
    Body(Vec<Expression>),
    /// It is none; the parser is back where it was.
    Back,
}

pub(super) fn is_operator(name: &str) -> bool {
    let mut all = OPERATORS.iter().copied().flatten();
    all.any(|(_, called)| *called == name)
}

// === impl Parser ===

impl Parser<'_> {
    /// A term with operators.
    pub(super) fn infix(&mut self, pairs: Pairs) -> Result<Term, Failure> {
        self.apart(|parser| {
            let first = parser.binary(OPERATORS, None)?;
            parser.membership(first, pairs)
        })
    }

    /// The same, its first term being there.
    fn infix_from(&mut self, head: Term, pairs: Pairs) -> Result<Term, Failure> {
        let first = self.binary(OPERATORS, Some(head))?;
        self.membership(first, pairs)
    }

    /// What operators of these levels make.
    fn binary(&mut self, levels: &[&[(&str, &str)]], head: Option<Term>) -> Result<Term, Failure> {
        let Some((level, tighter)) = levels.split_first() else {
            return head.map_or_else(|| self.term(), Ok);
        };
        let mut left = self.binary(tighter, head)?;
        while let Some((_, name)) = level.iter().find(|(text, _)| self.is(text)) {
            self.advance();
            let right = self.apart(|parser| parser.binary(tighter, None))?;
            // Each goes around what is before it.
            self.wrap()?;
            left = Term::Call(vec![Term::operator(name), left, right]);
        }
        Ok(left)
    }

    fn membership(&mut self, mut left: Term, pairs: Pairs) -> Result<Term, Failure> {
        loop {
            if let Some(value) = self.second(pairs)? {
                let domain = self.apart(|parser| parser.binary(OPERATORS, None))?;
                left = Term::Call(vec![Term::operator(MEMBER_WITH_KEY), left, value, domain]);
            } else if self.is("in") && !self.is_before_reference() {
                self.advance();
                let domain = self.apart(|parser| parser.binary(OPERATORS, None))?;
                left = Term::Call(vec![Term::operator(MEMBER), left, domain]);
            } else {
                break;
            }
            self.wrap()?;
            if !self.is("in") {
                break;
            }
        }
        Ok(left)
    }

    /// The value behind a key and a comma, if `in` is behind it.
    fn second(&mut self, pairs: Pairs) -> Result<Option<Term>, Failure> {
        if pairs == Pairs::No || !self.is(",") {
            return Ok(None);
        }
        let mark = self.mark();
        self.advance();
        let value = self.attempt(|parser| parser.apart(|parser| parser.binary(OPERATORS, None)))?;
        if value.is_some() && self.skip("in") {
            return Ok(value);
        }
        self.reset(mark);
        Ok(None)
    }

    pub(super) fn term(&mut self) -> Result<Term, Failure> {
        self.nested(|parser| {
            let head = parser.operand()?;
            let token = parser.token();
            match token.is_apart || !matches!(token.text, "(" | "." | "[") {
                true => Ok(Self::document(head)),
                false => parser.reference(head),
            }
        })
    }

    /// Rule: `data` and `input` are references.
    pub(super) fn document(term: Term) -> Term {
        match &term {
            Term::Var(name) if DOCUMENTS.contains(&name.as_str()) => Term::Ref(vec![term]),
            _ => term,
        }
    }

    fn operand(&mut self) -> Result<Term, Failure> {
        let token = self.token();
        let constant = match (token.kind, token.text) {
            (Kind::Number, _) | (_, "-" | ".") => return self.number(),
            (Kind::Text, literal) => Term::String(unquoted(literal)?),
            _ if self.is_name() => return Ok(self.variable()),
            (_, "contains") => return Ok(self.variable()),
            (_, "null") => Term::Null,
            (_, "true") => Term::Boolean(true),
            (_, "false") => Term::Boolean(false),
            (_, "[") => return self.array(),
            (_, "{") => return self.set_or_object(),
            (_, "(") => {
                self.advance();
                let inner = self.infix(Pairs::Yes)?;
                self.take_text(")", "an expression that does not end")?;
                return Ok(inner);
            }
            _ => return illegal("an unexpected token"),
        };
        self.advance();
        Ok(constant)
    }

    fn number(&mut self) -> Result<Term, Failure> {
        let sign = if self.skip("-") { "-" } else { "" };
        // Rule: there is none without a digit before the point, as JSON has none to show.
        let token = self.token();
        if token.kind != Kind::Number {
            return illegal("a number was expected");
        }
        // Rule: a number has no needless zeros in front.
        let mut bytes = token.text.bytes();
        if bytes.next() == Some(b'0') && bytes.next().is_some_and(|byte| byte.is_ascii_digit()) {
            return illegal("a number with a leading zero");
        }
        self.advance();
        match json::number(&format!("{sign}{}", token.text)) {
            Ok(number) => Ok(Term::Number(number)),
            Err(_) => illegal("a number is too big"),
        }
    }

    /// What is behind a first part: names, brackets, and the arguments of calls.
    pub(super) fn reference(&mut self, head: Term) -> Result<Term, Failure> {
        // Rule: nothing can be taken of a constant.
        if matches!(
            head,
            Term::Null | Term::Boolean(_) | Term::Number(_) | Term::String(_) | Term::Ref(_)
        ) {
            return illegal("a reference cannot begin with this");
        }
        let mut parts = vec![head];
        loop {
            match self.token().text {
                "." => {
                    self.advance();
                    parts.push(self.field()?);
                }
                "[" => {
                    self.advance();
                    parts.push(self.infix(Pairs::Yes)?);
                    self.take_text("]", "a bracket that is not closed")?;
                }
                "(" => {
                    let call = self.call(Term::Ref(parts))?;
                    let next = self.token();
                    if next.is_apart || !matches!(next.text, "." | "[") {
                        return Ok(call);
                    }
                    // The call is inside of what is next.
                    self.wrap()?;
                    parts = vec![call];
                }
                _ => break,
            }
            if self.token().is_apart {
                break;
            }
        }
        Ok(Term::Ref(parts))
    }

    /// Rule: behind a dot, a keyword is a name.
    fn field(&mut self) -> Result<Term, Failure> {
        let token = self.token();
        if token.kind != Kind::Word || token.is_apart {
            return illegal("a name was expected");
        }
        self.advance();
        Ok(Term::String(token.text.to_owned()))
    }

    fn call(&mut self, operator: Term) -> Result<Term, Failure> {
        self.advance();
        let is_empty = self.is(")");
        let terms = self.list(")", vec![operator])?;
        match terms.first() {
            Some(operator) if is_empty && *operator == Term::operator("set") => {
                Ok(Term::set(Vec::new()))
            }
            _ => Ok(Term::Call(terms)),
        }
    }

    /// Terms up to a bracket that closes, behind those that are there.
    fn list(&mut self, end: &str, mut terms: Vec<Term>) -> Result<Vec<Term>, Failure> {
        while !self.skip(end) {
            terms.push(self.infix(Pairs::No)?);
            if !self.is(end) {
                self.take_text(",", "a comma was expected")?;
            }
        }
        Ok(terms)
    }

    /// The same, behind a term that may be followed by one already.
    fn list_from(&mut self, first: Term, end: &str) -> Result<Vec<Term>, Failure> {
        if !self.is(end) {
            self.take_text(",", "a comma was expected")?;
        }
        self.list(end, vec![first])
    }

    fn array(&mut self) -> Result<Term, Failure> {
        self.advance();
        if self.skip("]") {
            return Ok(Term::Array(Vec::new()));
        }
        let starts_with_comma = self.skip(",");
        let head = self.term()?;
        // Rule: a comprehension goes before `|` as an operator.
        if self.is("|") && !starts_with_comma {
            match self.comprehension("]")? {
                Tried::Body(body) => {
                    return Ok(Term::ArrayComprehension(Box::new(head), body));
                }
                Tried::Back => {}
            }
        }
        let first = self.infix_from(head, Pairs::No)?;
        Ok(Term::Array(self.list_from(first, "]")?))
    }

    fn set_or_object(&mut self) -> Result<Term, Failure> {
        self.advance();
        if self.skip("}") {
            return Ok(Term::Object(Vec::new()));
        }
        let starts_with_comma = self.skip(",");
        let head = self.term()?;
        // Rule: a comprehension goes before `|` as an operator.
        if self.is("|") && !starts_with_comma {
            match self.comprehension("}")? {
                Tried::Body(body) => return Ok(Term::SetComprehension(Box::new(head), body)),
                Tried::Back => {}
            }
        }
        let head = match self.is(":") {
            true => head,
            false => self.infix_from(head, Pairs::No)?,
        };
        match self.skip(":") {
            true => self.object(head, starts_with_comma),
            false => Ok(Term::set(self.list_from(head, "}")?)),
        }
    }

    /// The body of a comprehension, or back to the `|`. Rule: it is an operator after all if a comma
    /// is what does not fit.
    fn comprehension(&mut self, end: &'static str) -> Result<Tried, Failure> {
        let mark = self.mark();
        self.advance();
        if let Some(body) = self.attempt(|parser| parser.body(end))? {
            return Ok(Tried::Body(body));
        }
        if !self.is(",") {
            return illegal("the body of a comprehension");
        }
        self.reset(mark);
        Ok(Tried::Back)
    }

    fn object(&mut self, key: Term, starts_with_comma: bool) -> Result<Term, Failure> {
        let value = self.term()?;
        if self.is("|") && !starts_with_comma {
            let mark = self.mark();
            self.advance();
            if let Some(body) = self.attempt(|parser| parser.body("}"))? {
                return Ok(Term::ObjectComprehension(Box::new((key, value)), body));
            }
            self.reset(mark);
        }
        let value = self.infix_from(value, Pairs::No)?;
        let mut members = vec![(key, value)];
        while !self.skip("}") {
            self.take_text(",", "an object that does not end")?;
            if self.skip("}") {
                break;
            }
            let key = self.infix(Pairs::No)?;
            self.take_text(":", "a colon was expected")?;
            members.push((key, self.infix(Pairs::No)?));
        }
        Ok(Term::object(members))
    }
}

/// What a string stands for.
fn unquoted(literal: &str) -> Result<String, Failure> {
    let inner = literal.get(1..literal.len() - 1).unwrap_or_default();
    if literal.starts_with('`') || !literal.contains('\\') {
        return Ok(inner.to_owned());
    }
    // Rule: escapes are those of JSON.
    let parsed = json::parse(literal.as_bytes()).ok();
    match parsed.and_then(|value| value.as_string().ok().map(ToString::to_string)) {
        Some(text) => Ok(text),
        None => illegal("an illegal string"),
    }
}
