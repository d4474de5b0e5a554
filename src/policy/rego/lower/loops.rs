//! Loops over what is no collection. Rule: there is nothing in it to loop over, so what needs an
//! element is undefined. The interpreter fails instead, and with it the whole evaluation, for `some … in`
//! and for `x[_]` in a rule's head or a comprehension's term; in a body it does as OPA.

use regorus::Value;
use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleBody, RuleHead};

use super::syntax::{Range, begin, parse, parts, range, strings, widen};
use super::tokens::Token;
use super::{Output, SourceMap};
use crate::policy::rego::module::rule_reference;

/// What a collection is lowered to: itself, or nothing to loop over.
pub(super) const FUNCTION: &str = "internal.collection";
/// What names of elements begin with.
pub(super) const ELEMENT: &str = "__element_";

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &str, v0: bool) -> SourceMap {
    let mut output = Output::new(text);
    let mut copied = 0;
    for (at, edit) in edits(text, v0) {
        // What lies inside of a term that was moved stays as it is.
        if at < copied {
            continue;
        }
        output.copy(copied, at);
        copied = at;
        match edit {
            Edit::Insert(insertion) => output.put(&insertion, at),
            Edit::Replace(end, name) => {
                output.put(&name, at);
                copied = end;
            }
        }
    }
    output.copy(copied, text.len());
    output.finish()
}

enum Edit {
    Insert(String),
    /// Up to an offset.
    Replace(usize, String),
}

/// What becomes of loops, in the order of the text.
fn edits(text: &str, v0: bool) -> Vec<(usize, Edit)> {
    let may_loop = text.contains("_]") || text.contains("some");
    let Some(module) = parse(text, v0).filter(|_| may_loop) else {
        return Vec::new();
    };
    let mut finder = Finder::default();
    finder.module(&module);
    let mut edits = Edits {
        text,
        v0,
        strings: strings(text),
        opened: Vec::new(),
        closed: Vec::new(),
    };
    for Loop { place, wanted } in finder.found {
        edits.wrap(place, wanted);
    }
    for partial in finder.partial {
        edits.partial(partial);
    }
    edits.in_order()
}

/// Edits in the making.
struct Edits<'a> {
    text: &'a str,
    v0: bool,
    strings: Vec<Token>,
    // What lies inside was found after: it is opened later and closed earlier.
    opened: Vec<(usize, Edit)>,
    closed: Vec<(usize, Edit)>,
}

impl Edits<'_> {
    fn wrap(&mut self, place: Range, wanted: Wanted) {
        let (begin, end) = self.whole(place);
        let (before, after) = match wanted {
            Wanted::Collection => (format!("{FUNCTION}("), ")"),
            // In the body of a comprehension.
            Wanted::Element => {
                let name = element(begin);
                (format!("[{name} | {name} = "), "][_]")
            }
        };
        self.opened.push((begin, Edit::Insert(before)));
        self.closed.push((end, Edit::Insert(after.to_owned())));
    }

    /// Terms of a head are moved into the bodies; without any, they are one.
    fn partial(&mut self, Partial { terms, bodies, end }: Partial) {
        let places: Vec<_> = terms.into_iter().map(|term| self.whole(term)).collect();
        let text = self.text;
        let term = |(begin, end)| text.get(begin..end).unwrap_or_default();
        if places.iter().any(|place| term(*place).contains(['#', '`'])) {
            // A comment would go on to the end of its new line, and a raw string may hold lines.
            let elements = places.into_iter();
            return elements.for_each(|place| self.wrap(place, Wanted::Element));
        }
        let statements = places.iter().map(|&place| {
            // On one line: the rows of all that follows stay what they are.
            format!("{} = {}", element(place.0), term(place).replace('\n', " "))
        });
        let statements = statements.collect::<Vec<_>>().join("; ");
        if bodies.is_empty() {
            let begin = if self.v0 { "{" } else { "if {" };
            let body = format!(" {begin} {statements} }}");
            self.closed.push((end, Edit::Insert(body)));
        }
        for body in bodies {
            // Rule: terms of a head are evaluated behind the body, whose variables they may use.
            match body {
                Body::Empty(at) => self
                    .opened
                    .push((at, Edit::Insert(format!(" {statements} ")))),
                Body::Braces(at) => {
                    let before = text.get(..at).unwrap_or_default();
                    let is_own_line = before.trim_end_matches([' ', '\t']).ends_with('\n');
                    let separator = if is_own_line { "" } else { "; " };
                    let put = format!("{separator}{statements} ");
                    self.closed.push((at, Edit::Insert(put)));
                }
                Body::Bare((begin, end)) => {
                    self.opened.push((begin, Edit::Insert("{ ".to_owned())));
                    self.closed
                        .push((end, Edit::Insert(format!("; {statements} }}"))));
                }
            }
        }
        let replaced = places.iter();
        let replaced = replaced.map(|&(begin, end)| (begin, Edit::Replace(end, element(begin))));
        self.opened.extend(replaced);
    }

    fn whole(&self, mut place: Range) -> Range {
        widen(&mut place, &self.strings);
        place
    }

    fn in_order(mut self) -> Vec<(usize, Edit)> {
        self.closed.reverse();
        let mut all: Vec<_> = self.closed.into_iter().chain(self.opened).collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }
}

/// The name of the element that is asked for at an offset.
fn element(offset: usize) -> String {
    format!("{ELEMENT}{offset}__")
}

/// The function that collections are lowered to.
pub(super) fn collection(arguments: Vec<Value>) -> anyhow::Result<Value> {
    let value = arguments.into_iter().next().unwrap_or(Value::Undefined);
    Ok(match value {
        Value::Array(_) | Value::Object(_) | Value::Set(_) => value,
        _ => Value::new_array(),
    })
}

/// A loop that is lowered.
struct Loop {
    place: Range,
    wanted: Wanted,
}

#[derive(Clone, Copy)]
enum Wanted {
    Collection,
    Element,
}

/// A rule that makes a part of a set or an object, with terms that loop. If nothing is looped over its
/// body does not hold, but the set or the object is there.
struct Partial {
    terms: Vec<Range>,
    bodies: Vec<Body>,
    /// Where the rule ends.
    end: usize,
}

/// Where statements are put into a body.
enum Body {
    Empty(usize),
    Braces(usize),
    /// One statement without braces, up to the end of the body.
    Bare(Range),
}

#[derive(Default)]
struct Finder {
    found: Vec<Loop>,
    partial: Vec<Partial>,
}

// === impl Body ===

impl Body {
    fn of(body: &RuleBody) -> Self {
        let query = &body.query;
        match query.stmts.first() {
            None => Self::Empty(begin(&query.span) + 1),
            Some(first) if begin(&first.span) == begin(&query.span) => {
                Self::Bare((begin(&query.span), range(&body.span).1))
            }
            Some(_) => Self::Braces(range(&body.span).1.saturating_sub(1)),
        }
    }
}

// === impl Finder ===

impl Finder {
    fn module(&mut self, module: &Module) {
        for rule in &module.policy {
            self.name(rule_reference(rule));
            let Rule::Spec { span, head, bodies } = rule.as_ref() else {
                continue;
            };
            let end = range(span).1;
            match head {
                RuleHead::Compr { refr, assign, .. } => {
                    let value = assign.iter().map(|assign| &assign.value);
                    match refr.as_ref() {
                        Expr::RefBrack { .. } => self.partial(value, bodies, end),
                        _ => self.terms(value),
                    }
                }
                RuleHead::Func { assign, .. } => {
                    self.terms(assign.iter().map(|assign| &assign.value));
                }
                RuleHead::Set { key, .. } => self.partial(key, bodies, end),
            }
            for body in bodies {
                self.terms(body.assign.iter().map(|assign| &assign.value));
                self.query(&body.query);
            }
        }
    }

    fn partial<'e>(
        &mut self,
        terms: impl IntoIterator<Item = &'e Ref<Expr>>,
        bodies: &[RuleBody],
        end: usize,
    ) {
        let before = self.found.len();
        self.terms(terms);
        let is_element = |found: &Loop| matches!(found.wanted, Wanted::Element);
        if bodies.iter().any(|body| body.is_else) {
            return;
        }
        let moved = self.found.split_off(before);
        let (moved, stay): (Vec<_>, Vec<_>) = moved.into_iter().partition(is_element);
        self.found.extend(stay);
        if !moved.is_empty() {
            self.partial.push(Partial {
                terms: moved.into_iter().map(|found| found.place).collect(),
                bodies: bodies.iter().map(Body::of).collect(),
                end,
            });
        }
    }

    /// What stands in the brackets of a rule's name.
    fn name(&mut self, name: &Expr) {
        match name {
            Expr::RefDot { refr, .. } => self.name(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.name(refr);
                self.expression(index);
            }
            _ => {}
        }
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            for modifier in &statement.with_mods {
                self.expression(&modifier.r#as);
            }
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    self.all(key.iter().chain([value]));
                    self.collection(collection);
                    self.expression(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every { domain, query, .. } => {
                    self.expression(domain);
                    self.query(query);
                }
            }
        }
    }

    /// What may be no collection; of literals the interpreter's places are not all of them.
    fn collection(&mut self, expression: &Expr) {
        if let Expr::Var { span, .. }
        | Expr::RefDot { span, .. }
        | Expr::RefBrack { span, .. }
        | Expr::Call { span, .. } = expression
        {
            self.found.push(Loop {
                place: range(span),
                wanted: Wanted::Collection,
            });
        }
    }

    fn all<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Ref<Expr>>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    /// An expression of a body: only the comprehensions in it matter.
    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::ArrayCompr { query, .. }
            | Expr::SetCompr { query, .. }
            | Expr::ObjectCompr { query, .. } => {
                self.terms(parts(expression));
                self.query(query);
            }
            _ => self.all(parts(expression)),
        }
    }

    /// Terms of a rule's head or a comprehension: references in them that loop.
    fn terms<'e>(&mut self, terms: impl IntoIterator<Item = &'e Ref<Expr>>) {
        for term in terms {
            match term.as_ref() {
                Expr::RefDot { span, .. } | Expr::RefBrack { span, .. } if loops(term) => {
                    self.found.push(Loop {
                        place: range(span),
                        wanted: Wanted::Element,
                    });
                    self.expression(term);
                }
                Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {
                    self.expression(term);
                }
                _ => self.terms(parts(term)),
            }
        }
    }
}

/// Whether all elements of something are asked for.
fn loops(expression: &Expr) -> bool {
    let is_wildcard = |index: &Expr| matches!(index, Expr::Var { span, .. } if span.text() == "_");
    match expression {
        Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => false,
        Expr::RefBrack { index, .. } if is_wildcard(index) => true,
        _ => parts(expression).into_iter().any(|part| loops(part)),
    }
}
