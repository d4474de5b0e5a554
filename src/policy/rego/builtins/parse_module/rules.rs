//! A module's statements: its package, imports and rules, with what OPA 1 asks of them.

use super::super::arity;
use super::parser::Parser;
use super::terms::{Pairs, is_operator};
use super::tokens::{Kind, is_keyword};
use super::tree::{Expression, Head, Import, Module, Rule, Term, Terms};
use super::{Failure, illegal};

/// What a head may be followed by, right behind its name, only in expressions.
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "&", "|", "==", "!=", ">", ">=", "<", "<=",
];

/// Keywords that older versions had to import.
const FUTURE_KEYWORDS: &[&str] = &["contains", "every", "if", "in"];

pub(super) fn module(mut parser: Parser<'_>) -> Result<Module, Failure> {
    // Rule: the first statement is the package, and no other.
    if !parser.is_statement("package") {
        return illegal("a package was expected");
    }
    let mut module = Module {
        package: parser.package()?,
        imports: Vec::new(),
        rules: Vec::new(),
    };
    while parser.token().kind != Kind::End {
        parser.begin();
        if parser.is_statement("package") {
            return illegal("a second package");
        }
        if parser.is_statement("import") {
            module.imports.push(parser.import()?);
            continue;
        }
        let mark = parser.mark();
        if let Some(rules) = parser.rules()? {
            module.rules.extend(rules);
            continue;
        }
        parser.reset(mark);
        module.rules.push(parser.statement()?);
    }
    Ok(module)
}

// === impl Parser ===

impl Parser<'_> {
    fn is_statement(&self, keyword: &str) -> bool {
        self.is(keyword) && !self.is_before_reference()
    }

    /// The reference behind `package` or `import`, its first part a variable, the others strings.
    fn path(&mut self) -> Result<Vec<Term>, Failure> {
        self.advance();
        if self.token().kind != Kind::Word {
            return illegal("a path was expected");
        }
        self.allow_any_keyword();
        let path = match self.term()? {
            Term::Ref(parts) => parts,
            variable @ Term::Var(_) => vec![variable],
            _ => return illegal("a path was expected"),
        };
        let is_string = |part: &Term| matches!(part, Term::String(_));
        match path.split_first() {
            Some((Term::Var(_), rest)) if rest.iter().all(is_string) => Ok(path),
            _ => illegal("a path of strings was expected"),
        }
    }

    /// Rule: a package is a part of `data`.
    fn package(&mut self) -> Result<Vec<Term>, Failure> {
        let path = self.path()?.into_iter().map(|part| match part {
            Term::Var(name) => Term::String(name),
            part => part,
        });
        let root = Term::Var("data".to_owned());
        Ok(std::iter::once(root).chain(path).collect())
    }

    fn import(&mut self) -> Result<Import, Failure> {
        let path = self.path()?;
        let alias = match self.skip("as") {
            true => Some(self.alias()?),
            false => None,
        };
        let names: Vec<_> = path.iter().filter_map(text_of).collect();
        match (names.as_slice(), &alias) {
            (["future", "keywords", rest @ ..], None) => match rest {
                [keyword] if !FUTURE_KEYWORDS.contains(keyword) => illegal("an unknown keyword"),
                _ => Ok(()),
            },
            (["rego", "v1"], _) => Ok(()),
            (["future" | "rego", ..], _) => illegal("an unknown import"),
            // Rule: a name that an import is known by is no keyword.
            ([.., last], None) if is_keyword(last) => illegal("an import of a keyword"),
            (["data" | "input", ..], _) => Ok(()),
            _ => illegal("an import of neither `data` nor `input`"),
        }?;
        Ok(Import { path, alias })
    }

    fn alias(&mut self) -> Result<String, Failure> {
        match (self.is_name(), self.term()?) {
            (true, Term::Var(name)) => Ok(name),
            _ => illegal("an alias was expected"),
        }
    }

    /// A rule with a body, with `contains` or with `default`, and those that further bodies make of
    /// its head. `None` if this is none of them.
    fn rules(&mut self) -> Result<Option<Vec<Rule>>, Failure> {
        let is_default = !self.allow_keyword() && self.skip("default");
        if is_default {
            self.allow_keyword();
        }
        if !self.is_name() {
            return Ok(None);
        }
        let begin = self.mark().at;
        let (mut head, contains) = self.head()?;
        if is_default {
            return default_rule(head).map(|rule| Some(vec![rule]));
        }
        let length = self.mark().at - begin;
        let body = if self.is("if") {
            finish(&mut head, contains);
            self.advance();
            self.body_behind_if()?
        } else if self.is("{") {
            return illegal("`if` is required before a rule's body");
        } else if contains {
            return Ok(Some(vec![rule(head, Expression::always())]));
        } else {
            return Ok(None);
        };
        let mut first = rule(head.clone(), body);
        if self.is_statement("else") {
            // Rule: only what has one value can have another one else.
            let is_dynamic =
                head.reference.len() > 1 && !Term::Ref(head.reference.clone()).is_ground();
            if is_dynamic || head.key.is_some() {
                return illegal("`else` behind a rule of many values");
            }
            first.otherwise = Some(Box::new(self.otherwise(&head, length)?));
        }
        self.further_bodies(first, &head, length).map(Some)
    }

    /// Rule: further bodies in braces make further rules of the same head.
    fn further_bodies(
        &mut self,
        first: Rule,
        head: &Head,
        length: usize,
    ) -> Result<Vec<Rule>, Failure> {
        let mut rules = vec![first];
        while self.is("{") {
            if rules.first().is_some_and(|rule| rule.otherwise.is_some()) {
                return illegal("a body behind `else`");
            }
            self.advance();
            let body = self.body("}")?;
            let head = self.copied(head, length)?;
            rules.push(rule(head, body));
        }
        Ok(rules)
    }

    fn copied(&mut self, head: &Head, length: usize) -> Result<Head, Failure> {
        self.copy(length)?;
        let mut head = head.clone();
        for argument in &mut head.arguments {
            if matches!(argument, Term::Var(name) if name.starts_with('$')) {
                *argument = self.wildcard();
            }
        }
        Ok(head)
    }

    /// Rule: an expression, or a body in braces, which a set is taken for.
    fn body_behind_if(&mut self) -> Result<Vec<Expression>, Failure> {
        let mark = self.mark();
        match self.attempt(Self::literal)? {
            Some(Expression {
                terms: Terms::Single(Term::Set(_)),
                ..
            })
            | None => {
                self.reset(mark);
                self.take_text("{", "a body was expected")?;
                self.body("}")
            }
            Some(expression) => Ok(vec![expression]),
        }
    }

    fn otherwise(&mut self, head: &Head, length: usize) -> Result<Rule, Failure> {
        self.nested(|parser| {
            let mut own = parser.copied(head, length)?;
            parser.advance();
            if parser.is_any(&["=", ":="]) {
                own.assigns = parser.is(":=");
                parser.advance();
                own.value = Some(parser.infix(Pairs::Yes)?);
            } else if parser.is("if") {
                own.value = Some(Term::Boolean(true));
            } else {
                return illegal("`else` without a value or a body");
            }
            if !parser.skip("if") {
                return match parser.is("{") {
                    true => illegal("`if` is required before a rule's body"),
                    false => Ok(rule(own, Expression::always())),
                };
            }
            let body = match parser.skip("{") {
                true => parser.body("}")?,
                false => vec![parser.literal()?],
            };
            let mut own = rule(own, body);
            if parser.is("else") {
                own.otherwise = Some(Box::new(parser.otherwise(head, length)?));
            }
            Ok(own)
        })
    }

    /// A head, and whether it has `contains`.
    fn head(&mut self) -> Result<(Head, bool), Failure> {
        let name = self.variable();
        let next = self.token();
        if !next.is_apart && OPERATORS.contains(&next.text) {
            return illegal("an operator in a rule's head");
        }
        // Rule: here, white space may be in front of the brackets.
        let term = match self.is_any(&["(", ".", "["]) {
            true => self.reference(name)?,
            false => Self::document(name),
        };
        let Some(mut head) = head_of(term) else {
            return illegal("a rule's name was expected");
        };
        if self.is("contains") {
            if !head.arguments.is_empty() {
                return illegal("`contains` behind a function");
            }
            self.advance();
            head.key = Some(self.infix(Pairs::Yes)?);
            return Ok((head, true));
        }
        if self.is_any(&["=", ":="]) {
            head.assigns = self.is(":=");
            self.advance();
            head.value = Some(self.infix(Pairs::Yes)?);
        } else if head.reference.len() != 2 || !head.arguments.is_empty() {
            head.value = Some(Term::Boolean(true));
        }
        Ok((head, false))
    }

    /// A rule that is written as an expression: without a body.
    fn statement(&mut self) -> Result<Rule, Failure> {
        let expression = self.literal()?;
        let is_plain = !expression.is_negated && expression.with.is_empty() && !self.is(";");
        let Terms::Call(mut terms) = expression.terms else {
            return illegal("an expression is no rule");
        };
        if !is_plain || terms.len() < 2 {
            return illegal("an expression is no rule");
        }
        let operator = match terms.first() {
            Some(Term::Ref(parts)) => parts
                .iter()
                .filter_map(text_of)
                .collect::<Vec<_>>()
                .join("."),
            _ => return illegal("an expression is no rule"),
        };
        if matches!(operator.as_str(), "eq" | "assign") {
            let (Some(value), Some(name)) = (terms.pop(), terms.pop()) else {
                return illegal("an assignment without operands");
            };
            return assigned(name, value, operator == "assign");
        }
        // Rule: a function without a body is one, but for the name of a built-in.
        if is_operator(&operator) || arity(&operator).is_some() {
            return illegal("a rule by the name of a built-in");
        }
        match head_of(Term::Call(terms)) {
            Some(mut head) => {
                head.value = Some(Term::Boolean(true));
                Ok(rule(head, Expression::always()))
            }
            None => illegal("a rule's name was expected"),
        }
    }
}

fn rule(head: Head, body: Vec<Expression>) -> Rule {
    Rule {
        is_default: false,
        head,
        body,
        otherwise: None,
    }
}

/// Rule: a default value is constant, and parameters are variables, each another.
fn default_rule(head: Head) -> Result<Rule, Failure> {
    if !head.value.as_ref().is_some_and(Term::is_constant) {
        return illegal("a default value that is not constant");
    }
    let mut arguments = head.arguments.iter().collect::<Vec<_>>();
    arguments.sort();
    let all_variables = arguments.iter().all(|term| matches!(term, Term::Var(_)));
    if !all_variables || arguments.windows(2).any(|pair| pair.first() == pair.last()) {
        return illegal("parameters of a default value");
    }
    Ok(Rule {
        is_default: true,
        ..rule(head, Expression::always())
    })
}

/// The head that a name, a reference or a call is. Rule: it begins with a variable, and has a name of
/// its own if that is all.
fn head_of(term: Term) -> Option<Head> {
    let (reference, arguments) = match term {
        Term::Var(_) => (vec![term], Vec::new()),
        Term::Ref(parts) => (parts, Vec::new()),
        Term::Call(mut terms) if !terms.is_empty() => match terms.remove(0) {
            Term::Ref(parts) => (parts, terms),
            _ => return None,
        },
        _ => return None,
    };
    let name = match reference.as_slice() {
        [Term::Var(name)] => Some(name.clone()),
        [Term::Var(_), ..] => None,
        _ => return None,
    };
    Some(Head {
        name,
        reference,
        arguments,
        key: None,
        value: None,
        assigns: false,
    })
}

/// Rule: heads of two parts in front of `if` are shown as older versions knew them: with a name if
/// they have a value, and with a key if that is not constant.
fn finish(head: &mut Head, contains: bool) {
    let [Term::Var(name), last] = head.reference.as_slice() else {
        return;
    };
    if contains {
        return;
    }
    let is_reference = matches!(last, Term::Ref(_));
    if (is_reference || !last.is_ground()) && head.arguments.is_empty() {
        head.key = Some(last.clone());
    }
    match head.value {
        Some(_) => head.name = Some(name.clone()),
        None => head.value = Some(Term::Boolean(true)),
    }
}

/// A rule that is a name and a value. Rule: one of two parts has a name and a key besides, as older
/// versions knew them.
fn assigned(name: Term, value: Term, assigns: bool) -> Result<Rule, Failure> {
    let is_call = matches!(name, Term::Call(_));
    let Some(mut head) = head_of(name) else {
        return illegal("a rule's name was expected");
    };
    if let ([Term::Var(name), key], false) = (head.reference.as_slice(), is_call) {
        (head.name, head.key) = (Some(name.clone()), Some(key.clone()));
    }
    head.value = Some(value);
    head.assigns = assigns;
    Ok(rule(head, Expression::always()))
}

fn text_of(term: &Term) -> Option<&str> {
    match term {
        Term::Var(text) | Term::String(text) => Some(text),
        _ => None,
    }
}
