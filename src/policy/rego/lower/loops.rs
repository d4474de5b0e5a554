//! Loops over what is no collection. Rule: there is nothing in it to loop over, so what needs an
//! element is undefined. The interpreter fails instead, and with it the whole evaluation, for `some … in`
//! and for `x[_]` in a rule's head or a comprehension's term; in a body it does as OPA, so such terms
//! are moved there.

use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::{Expr, Literal, LiteralStmt, Query, Ref, Rule, RuleBody, RuleHead};

use super::moved::Source;
use super::names::Names;
use super::syntax::{Range, Text, begin, names_of, range, strings, widen};
use super::tokens::Token;
use super::{Output, SourceMap};
use crate::policy::rego::visit::{self, Visit, parts};

/// What a collection is lowered to: itself, or nothing to loop over.
pub(super) const FUNCTION: &str = "internal.collection";
/// What names of elements begin with.
pub(super) const ELEMENT: &str = "__element_";
/// Most times it is lowered; each goes one comprehension deeper, and brackets nest less deep than that.
pub(super) const MAX_TIMES: usize = 64;

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse. `count`
/// tells how often that was done before, and what comes back where it is to be done again: for a term in
/// a term.
pub(super) fn lower(text: &Text, names: &Names, count: usize) -> (SourceMap, Option<usize>) {
    write(text, edits(text, names, count))
}

/// The text after all edits that lie in no term that is moved itself, and where the first of the others is.
fn write(text: &str, edits: Vec<(usize, Edit)>) -> (SourceMap, Option<usize>) {
    let mut output = Output::new(text);
    let mut copied = 0;
    let mut more = None;
    for (at, edit) in edits {
        if at < copied {
            more.get_or_insert(at);
            continue;
        }
        output.copy(copied, at);
        copied = at;
        match edit {
            Edit::Replace(end, name) => {
                output.put(&name, at);
                copied = end;
            }
            Edit::Close => output.put(")", at),
            Edit::Statements(put) | Edit::Brace(put) => output.put(&put, at),
            Edit::Open => output.put(&format!("{FUNCTION}("), at),
        }
    }
    output.copy(copied, text.len());
    (output.finish(), more)
}

/// What becomes of a place of the text; at one place, in this order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Edit {
    /// Behind a collection.
    Close,
    /// Statements, at the end of a body.
    Statements(String),
    /// In front of a body that had no braces.
    Brace(String),
    /// In front of a collection.
    Open,
    /// Up to an offset.
    Replace(usize, String),
}

/// What becomes of loops, in the order of the text.
fn edits(text: &Text, names: &Names, count: usize) -> Vec<(usize, Edit)> {
    let may_loop = text.contains('[') || text.contains("some");
    let tree = if may_loop { text.tree() } else { None };
    let Some(module) = tree else {
        return Vec::new();
    };
    let mut finder = Finder {
        documents: names_of(module, names),
        ..Finder::default()
    };
    finder.module(module);
    let mut edits = Edits {
        source: Source::of(text, module),
        v0: text.v0,
        strings: strings(text),
        count,
        all: Vec::new(),
    };
    for collection in finder.collections {
        let (begin, end) = edits.whole(collection);
        edits.all.extend([(begin, Edit::Open), (end, Edit::Close)]);
    }
    for moved in finder.moved {
        edits.moved(moved, text);
    }
    edits.all.sort();
    edits.all
}

/// Edits in the making.
struct Edits<'a> {
    source: Source<'a>,
    v0: bool,
    strings: Vec<Token>,
    /// How many steps were before.
    count: usize,
    all: Vec<(usize, Edit)>,
}

impl Edits<'_> {
    /// Rule: terms are evaluated behind the body, whose variables they may use.
    fn moved(&mut self, Moved { terms, to }: Moved, text: &str) {
        let terms: Vec<_> = terms.into_iter().map(|term| self.whole(term)).collect();
        let equations = terms
            .iter()
            .map(|&term| format!("{} = {}", self.element(term), self.source.part(term)));
        let statements = equations.collect::<Vec<_>>().join("; ");
        match to {
            Body::None(end) => {
                let sign = if self.v0 { "" } else { "if " };
                let body = format!(" {sign}{{ {statements} }}");
                let end = self.whole((end, end)).1;
                self.all.push((end, Edit::Statements(body)));
            }
            Body::Closed(bracket) => {
                let before = text.get(..bracket).unwrap_or_default();
                let is_own_line = before.trim_end_matches([' ', '\t']).ends_with('\n');
                let separator = if is_own_line { "" } else { "; " };
                let put = format!("{separator}{statements} ");
                self.all.push((bracket, Edit::Statements(put)));
            }
            Body::Bare(place) => {
                let (begin, end) = self.whole(place);
                self.all.push((begin, Edit::Brace("{ ".to_owned())));
                let put = format!("; {statements} }}");
                self.all.push((end, Edit::Statements(put)));
            }
        }
        for term in terms {
            let name = self.element(term);
            self.all.push((term.0, Edit::Replace(term.1, name)));
        }
    }

    fn whole(&self, mut place: Range) -> Range {
        widen(&mut place, &self.strings);
        place
    }

    /// The name of the element that is asked for by a term.
    fn element(&self, (begin, _): Range) -> String {
        match self.count {
            0 => format!("{ELEMENT}{begin}__"),
            count => format!("{ELEMENT}{begin}_{count}__"),
        }
    }
}

/// The function that collections are lowered to.
pub(super) fn collection(arguments: Vec<Value>) -> anyhow::Result<Value> {
    let value = arguments.into_iter().next().unwrap_or(Value::Undefined);
    Ok(match value {
        Value::Array(_) | Value::Object(_) | Value::Set(_) => value,
        _ => Value::new_array(),
    })
}

/// Terms that loop, and the body that they are moved to.
struct Moved {
    terms: Vec<Range>,
    to: Body,
}

/// Where a body is.
#[derive(Clone, Copy)]
enum Body {
    /// There is none; it would be here.
    None(usize),
    /// Up to this bracket.
    Closed(usize),
    /// One statement without braces.
    Bare(Range),
}

// === impl Body ===

impl Body {
    fn of(body: &RuleBody) -> Self {
        let query = &body.query;
        let end = range(&body.span).1;
        match query.stmts.first() {
            None => Self::None(end),
            Some(first) if begin(&first.span) == begin(&query.span) => {
                Self::Bare((begin(&query.span), end))
            }
            Some(_) => Self::Closed(end.saturating_sub(1)),
        }
    }

    fn of_comprehension(query: &Query) -> Self {
        Self::Closed(range(&query.span).1.saturating_sub(1))
    }
}

#[derive(Default)]
struct Finder {
    /// Names that are no variables.
    documents: BTreeSet<String>,
    /// Parameters of the rule that is looked at.
    parameters: BTreeSet<String>,
    collections: Vec<Range>,
    moved: Vec<Moved>,
    /// Terms found so far that go to the same body.
    terms: Vec<Range>,
}

// === impl Finder ===

impl Finder {
    /// Looks for terms that are moved to a body.
    fn to(&mut self, body: Body, look: impl FnOnce(&mut Self)) {
        let others = std::mem::take(&mut self.terms);
        look(self);
        let terms = std::mem::replace(&mut self.terms, others);
        if !terms.is_empty() {
            self.moved.push(Moved { terms, to: body });
        }
    }

    fn head(&mut self, head: &RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.name(refr);
                assign.iter().for_each(|assign| self.term(&assign.value));
            }
            RuleHead::Set { refr, key, .. } => {
                self.name(refr);
                key.iter().for_each(|key| self.term(key));
            }
            RuleHead::Func { assign, .. } => {
                assign.iter().for_each(|assign| self.term(&assign.value));
            }
        }
    }

    /// Whether all elements of something are asked for, or may be.
    fn loops(&self, expression: &Expr) -> bool {
        match expression {
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => false,
            Expr::RefBrack { index, .. } if self.is_open(index) => true,
            _ => parts(expression).into_iter().any(|part| self.loops(part)),
        }
    }

    /// Whether an index is a variable, or has one to be matched.
    fn is_open(&self, index: &Expr) -> bool {
        match index {
            Expr::Var { span, .. } => {
                let name = span.text();
                !self.documents.contains(name) && !self.parameters.contains(name)
            }
            Expr::Array { items, .. } => items.iter().any(|item| self.is_open(item)),
            Expr::Object { fields, .. } => fields.iter().any(|(_, _, value)| self.is_open(value)),
            _ => false,
        }
    }
}

impl Visit for Finder {
    fn rule(&mut self, rule: &Rule) {
        let Rule::Spec { span, head, bodies } = rule else {
            return;
        };
        self.parameters.clear();
        if let RuleHead::Func { args, .. } = head {
            args.iter().for_each(|argument| self.parameter(argument));
        }
        let first = bodies.first().map_or(Body::None(range(span).1), Body::of);
        self.to(first, |finder| finder.head(head));
        for body in bodies {
            let value = body.assign.iter();
            self.to(Body::of(body), |finder| {
                value.for_each(|assign| finder.term(&assign.value));
            });
            self.query(&body.query);
        }
    }

    /// What stands in the brackets of a rule's name.
    fn name(&mut self, name: &Expr) {
        match name {
            Expr::RefDot { refr, .. } => self.name(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.name(refr);
                self.term(index);
            }
            _ => {}
        }
    }

    fn parameter(&mut self, parameter: &Expr) {
        if let Expr::Var { span, .. } = parameter {
            self.parameters.insert(span.text().to_owned());
        }
        for part in parts(parameter) {
            self.parameter(part);
        }
    }

    /// References in a term that loop.
    fn term(&mut self, term: &Expr) {
        match term {
            Expr::RefDot { span, .. } | Expr::RefBrack { span, .. } if self.loops(term) => {
                self.terms.push(range(span));
                self.expression(term);
            }
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {
                self.expression(term);
            }
            _ => {
                let all: Vec<&Ref<Expr>> = parts(term);
                all.into_iter().for_each(|part| self.term(part));
            }
        }
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        // What may be no collection; of literals the interpreter's places are not all of them.
        if let Literal::SomeIn { collection, .. } = &statement.literal
            && let Expr::Var { span, .. }
            | Expr::RefDot { span, .. }
            | Expr::RefBrack { span, .. }
            | Expr::Call { span, .. } = collection.as_ref()
        {
            self.collections.push(range(span));
        }
        visit::in_statement(self, statement);
    }

    /// An expression of a body: only the comprehensions in it matter.
    fn expression(&mut self, expression: &Expr) {
        if let Expr::ArrayCompr { query, .. }
        | Expr::SetCompr { query, .. }
        | Expr::ObjectCompr { query, .. } = expression
        {
            self.to(Body::of_comprehension(query), |finder| {
                let all: Vec<&Ref<Expr>> = parts(expression);
                all.into_iter().for_each(|term| finder.term(term));
            });
            self.query(query);
        } else {
            visit::in_expression(self, expression);
        }
    }
}
