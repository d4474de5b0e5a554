//! Objects that are patterns. Rule: an object matches one of the same keys, and no other. The interpreter
//! matches any that has those keys besides others, so what is matched is held against the pattern's
//! form: its objects, each with its keys. Only what is evaluated is written so: what policies call and read
//! is told of the text before this step.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{
    AssignOp, Expr, Literal, LiteralStmt, Module, Query, Ref, Span, WithModifier,
};

use super::OWN;
use super::arguments::{Arities, bracketed};
use super::moved::Source;
use super::syntax::{Edit, Range, Written, all_edited, begin, cannot_write, range, strings, widen};
use super::tokens::{Kind, Token, tokens};
use crate::policy::rego::RegoError;
use crate::policy::rego::visit::{self, Visit};

/// A value, if it has the form of a pattern.
pub(super) const SHAPED: &str = "__doorward_shaped";
/// Of a collection, the members whose keys and values have the forms of patterns.
pub(super) const MEMBERS: &str = "__doorward_members";
/// Behind `some`, there is no pattern for keys.
const NO_KEYS: &str = "false";

/// All modules as they are evaluated.
pub(in crate::policy::rego) fn patterns(modules: &[Ref<Module>]) -> Written {
    let arities = Arities::of(modules);
    let found = modules.iter().map(|module| find(module, &arities));
    all_edited(modules, found.collect::<Result<_, _>>()?)
}

fn find(module: &Module, arities: &Arities) -> Result<Vec<Edit>, RegoError> {
    let mut looks = Looks(false);
    looks.module(module);
    if !looks.0 {
        return Ok(Vec::new());
    }
    let text = module.package.span.source.contents();
    let mut finder = Finder {
        text,
        tokens: tokens(text),
        strings: strings(text),
        source: Source::of(text, module),
        arities,
        module,
        edits: Vec::new(),
        front: Vec::new(),
        is_elsewhere: false,
        every: BTreeSet::new(),
        refused: None,
    };
    finder.module(module);
    if let Some(error) = finder.refused {
        return Err(error);
    }
    // What would have to be written otherwise inside of what is put elsewhere is refused as an overlap.
    finder.edits.sort_by_key(|(place, _)| *place);
    Ok(finder.edits)
}

/// Whether there is any object that could be a pattern, or any `every`.
struct Looks(bool);

impl Visit for Looks {
    fn statement(&mut self, statement: &LiteralStmt) {
        self.0 |= matches!(statement.literal, Literal::Every { .. });
        if !self.0 {
            visit::in_statement(self, statement);
        }
    }

    fn expression(&mut self, expression: &Expr) {
        self.0 |= matches!(expression, Expr::Object { .. });
        if !self.0 {
            visit::in_expression(self, expression);
        }
    }
}

// === Forms ===

/// Whether an expression matches parts of an object.
pub(super) fn has_object(pattern: &Expr) -> bool {
    match pattern {
        Expr::Object { .. } => true,
        Expr::Array { items, .. } => items.iter().any(|item| has_object(item)),
        _ => false,
    }
}

/// Whether a pattern may give a value to something, or takes anything in its place.
pub(super) fn is_open(pattern: &Expr) -> bool {
    match pattern {
        Expr::Var { .. } => true,
        Expr::Array { items, .. } => items.iter().any(|item| is_open(item)),
        Expr::Object { fields, .. } => fields.iter().any(|(_, _, value)| is_open(value)),
        _ => false,
    }
}

fn is_structure(pattern: &Expr) -> bool {
    matches!(pattern, Expr::Array { .. } | Expr::Object { .. })
}

fn is_pattern(expression: &Expr) -> bool {
    has_object(expression) && is_open(expression)
}

/// The value of a key that is a constant.
fn constant(key: &Expr) -> Option<Value> {
    match key {
        Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Number { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } => Some(value.clone()),
        _ => None,
    }
}

fn fits(value: &Value, form: &Value) -> bool {
    match (value, form) {
        (Value::Object(members), Value::Object(form)) => form.iter().all(|(count, parts)| {
            let fits = |(key, form)| members.get(key).is_some_and(|value| fits(value, form));
            let all_fit = parts.as_object().is_ok_and(|parts| parts.iter().all(fits));
            *count == Value::from(members.len()) && all_fit
        }),
        (Value::Array(items), Value::Array(forms)) => {
            let mut pairs = items.iter().zip(forms.iter());
            items.len() == forms.len() && pairs.all(|(item, form)| fits(item, form))
        }
        (_, Value::Object(_) | Value::Array(_)) => false,
        _ => true,
    }
}

/// What `SHAPED` stands for.
pub(super) fn shaped(arguments: &[Value]) -> Value {
    match arguments {
        [value, form] if fits(value, form) => value.clone(),
        _ => Value::Undefined,
    }
}

/// What `MEMBERS` stands for. Of an array whose indices are asked for, a part keeps them.
pub(super) fn members(arguments: &[Value]) -> Value {
    let [collection, key_form, form] = arguments else {
        return Value::Undefined;
    };
    match collection {
        Value::Array(items) if items.iter().all(|item| fits(item, form)) => collection.clone(),
        Value::Array(items) => {
            let fitting = items.iter().enumerate();
            let fitting = fitting.filter(|(_, item)| fits(item, form));
            match *key_form == Value::from(false) {
                true => Value::from(fitting.map(|(_, item)| item.clone()).collect::<Vec<_>>()),
                false => Value::from(
                    fitting
                        .map(|(index, item)| (Value::from(index), item.clone()))
                        .collect::<BTreeMap<_, _>>(),
                ),
            }
        }
        Value::Set(items) => {
            let fitting = items.iter();
            let fitting = fitting.filter(|item| fits(item, form) && fits(item, key_form));
            Value::from(fitting.cloned().collect::<BTreeSet<_>>())
        }
        Value::Object(members) => {
            let fitting = members.iter();
            let fitting = fitting.filter(|(key, value)| fits(value, form) && fits(key, key_form));
            let fitting = fitting.map(|(key, value)| (key.clone(), value.clone()));
            Value::from(fitting.collect::<BTreeMap<_, _>>())
        }
        _ => collection.clone(),
    }
}

// === Places ===

struct Finder<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    strings: Vec<Token>,
    source: Source<'a>,
    arities: &'a Arities,
    module: &'a Module,
    edits: Vec<Edit>,
    /// Statements that are put in front of the one that is looked at.
    front: Vec<String>,
    /// Whether what is looked at is evaluated elsewhere, or where it gives nothing a value.
    is_elsewhere: bool,
    /// Variables of `every` that are known here.
    every: BTreeSet<String>,
    refused: Option<RegoError>,
}

impl Visit for Finder<'_> {
    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            let outside = std::mem::take(&mut self.front);
            let is_elsewhere = matches!(statement.literal, Literal::NotExpr { .. });
            self.looking(is_elsewhere, |finder| finder.statement(statement));
            let front = std::mem::replace(&mut self.front, outside);
            if front.is_empty() {
                continue;
            }
            let (first, end) = self.whole(range(&statement.span));
            let front = front.join("; ");
            // In front of what was put there already.
            let at = self
                .edits
                .iter()
                .position(|((begin, _), _)| *begin >= first);
            let at = at.unwrap_or(self.edits.len());
            match begin(&query.span) == begin(&statement.span) {
                true => {
                    self.edits
                        .insert(at, ((first, first), format!("{{ {front}; ")));
                    self.edits.push(((end, end), " }".to_owned()));
                }
                false => self
                    .edits
                    .insert(at, ((first, first), format!("{front}; "))),
            }
        }
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::Expr { expr, .. } => match expr.as_ref() {
                Expr::AssignExpr { op, lhs, rhs, .. } => self.assignment(op, lhs, rhs),
                Expr::Call { fcn, params, .. } => self.call(fcn, params),
                _ => {}
            },
            Literal::SomeIn { key, value, .. } => self.some(statement, key.as_deref(), value),
            Literal::Every { key, value, .. } => {
                let names = key.iter().chain([value]).map(|name| name.text().to_owned());
                let outside = self.every.clone();
                self.every.extend(names);
                visit::in_statement(self, statement);
                self.every = outside;
                return;
            }
            _ => {}
        }
        visit::in_statement(self, statement);
    }

    fn name(&mut self, _: &Expr) {}

    fn term(&mut self, term: &Expr) {
        self.looking(true, |finder| finder.expression(term));
    }

    fn modifier(&mut self, modifier: &WithModifier) {
        self.looking(true, |finder| finder.expression(&modifier.r#as));
    }

    fn expression(&mut self, expression: &Expr) {
        if let Expr::RefBrack { refr, index, .. } = expression
            && is_pattern(index)
            && !self.is_elsewhere
        {
            self.stand_in(index, refr.span(), "[");
        }
        visit::in_expression(self, expression);
    }
}

impl Finder<'_> {
    fn refuse(&mut self, at: &Span, what: &str) {
        self.refused.get_or_insert_with(|| cannot_write(at, what));
    }

    fn looking(&mut self, is_elsewhere: bool, look: impl FnOnce(&mut Self)) {
        let outside = std::mem::replace(&mut self.is_elsewhere, is_elsewhere);
        look(self);
        self.is_elsewhere = outside;
    }

    /// A pattern on either side.
    fn assignment(&mut self, op: &AssignOp, left: &Expr, right: &Expr) {
        match (left, right) {
            (Expr::Array { items, .. }, Expr::Array { items: others, .. })
                if items.len() == others.len() =>
            {
                for (item, other) in items.iter().zip(others) {
                    self.assignment(op, item, other);
                }
            }
            (Expr::Object { fields, .. }, Expr::Object { fields: others, .. }) => {
                for (_, key, value) in fields {
                    let same = others.iter().find(|(_, other, _)| is_same(key, other));
                    if let Some((_, _, other)) = same {
                        self.assignment(op, value, other);
                    }
                }
            }
            // The interpreter takes a variable of `every` for one without a value.
            (pattern, Expr::Var { span, .. }) | (Expr::Var { span, .. }, pattern)
                if self.every.contains(span.text()) && is_structure(pattern) =>
            {
                let form = self.form(pattern);
                self.wrap(range(span), &form);
            }
            _ if is_pattern(left) => self.matched(left, right),
            _ if is_pattern(right) && matches!(op, AssignOp::Eq) => self.matched(right, left),
            _ => {}
        }
    }

    /// The form of a pattern, as a term: of an array, those of its items; of an object, how many keys it
    /// has and the forms of what is under them; of all else, nothing.
    fn form(&mut self, pattern: &Expr) -> String {
        match pattern {
            Expr::Array { items, .. } => {
                let items = items.iter().map(|item| self.form(item));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            Expr::Object { fields, .. } => {
                let parts = fields.iter().filter(|(_, _, value)| has_object(value));
                let parts = parts.map(|(_, key, value)| (self.key(key), self.form(value)));
                let parts = parts.map(|(key, form)| format!("{key}: {form}"));
                let parts = parts.collect::<Vec<_>>().join(", ");
                let keys: Option<BTreeSet<_>> =
                    fields.iter().map(|(_, key, _)| constant(key)).collect();
                let count = keys.map_or(fields.len(), |keys| keys.len());
                format!("{{{count}: {{{parts}}}}}")
            }
            _ => "null".to_owned(),
        }
    }

    /// A key under which there is an object, as a term.
    fn key(&mut self, key: &Expr) -> String {
        if let Some(constant) = constant(key).and_then(|key| key.to_json_str().ok()) {
            return constant;
        }
        match key {
            Expr::Var { span, .. }
            | Expr::RefDot { span, .. }
            | Expr::RefBrack { span, .. }
            | Expr::Call { span, .. } => {
                let place = self.whole(range(span));
                self.source.part(place)
            }
            // Of other terms the parser's places are not all of them.
            other => {
                self.refuse(other.span(), "an object under such a key of a pattern");
                "null".to_owned()
            }
        }
    }

    /// What is matched by a pattern.
    fn matched(&mut self, pattern: &Expr, value: &Expr) {
        let form = self.form(pattern);
        match value {
            Expr::Var { span, .. } if span.text() == "_" => {}
            // Perhaps it is the one that gets a value.
            Expr::Var { span, .. } => self
                .front
                .push(format!("{SHAPED}({}, {form})", span.text())),
            Expr::RefDot { span, .. }
            | Expr::RefBrack { span, .. }
            | Expr::Call { span, .. }
            | Expr::ArrayCompr { span, .. }
            | Expr::ObjectCompr { span, .. } => {
                self.wrap(range(span), &form);
            }
            // Nothing else is an array or an object.
            _ => {}
        }
    }

    fn wrap(&mut self, value: Range, form: &str) {
        let (begin, end) = self.whole(value);
        self.edits.push(((begin, begin), format!("{SHAPED}(")));
        self.edits.push(((end, end), format!(", {form})")));
    }

    /// The pattern that the value of a call is matched by, as its last argument.
    fn call(&mut self, function: &Expr, arguments: &[Ref<Expr>]) {
        let Some(last) = arguments.last().filter(|last| is_pattern(last)) else {
            return;
        };
        if self.arities.of_call(self.module, function) == Some(arguments.len() - 1) {
            self.stand_in(last, function.span(), "(");
        }
    }

    /// A variable stands for a pattern, the last in the next brackets, that is matched in a statement of
    /// its own.
    fn stand_in(&mut self, pattern: &Expr, behind: &Span, open: &str) {
        let parts = bracketed(self.text, &self.tokens, range(behind).1, open);
        // No text is known that has none.
        let Some(&(begin, end)) = parts.last() else {
            return self.refuse(behind, "this object in brackets");
        };
        let name = format!("{OWN}object_{begin}__");
        let form = self.form(pattern);
        let written = self.source.part((begin, end));
        self.front
            .push(format!("{written} = {SHAPED}({name}, {form})"));
        let lines = self.text.get(begin..end).unwrap_or_default();
        let lines = "\n".repeat(lines.matches('\n').count());
        self.edits.push(((begin, end), name + &lines));
    }

    /// `some key, value in collection`.
    fn some(&mut self, statement: &LiteralStmt, key: Option<&Expr>, value: &Expr) {
        if !has_object(value) && !key.is_some_and(has_object) {
            return;
        }
        let end = statement.with_mods.first().map_or_else(
            || self.whole(range(&statement.span)).1,
            |modifier| begin(&modifier.span),
        );
        // No text is known for which there is none.
        let Some(collection) = self.collection((begin(&statement.span), end)) else {
            return self.refuse(&statement.span, "this `some … in`");
        };
        let forms = [key, Some(value)].map(|pattern| match pattern {
            Some(pattern) => self.form(pattern),
            None => NO_KEYS.to_owned(),
        });
        let (begin, end) = collection;
        self.edits.push(((begin, begin), format!("{MEMBERS}(")));
        let [key, value] = forms;
        self.edits.push(((end, end), format!(", {key}, {value})")));
    }

    /// What stands behind the first `in` that is in no brackets.
    fn collection(&self, (begin, end): Range) -> Option<Range> {
        let first = self.tokens.partition_point(|token| token.begin < begin);
        let inside = self.tokens.get(first..)?;
        let mut inside = inside.iter().take_while(|token| token.begin < end);
        let mut depth = 0usize;
        inside.find(|token| {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && self.text.get(token.begin..token.end) == Some("in")
        })?;
        let first = inside.next()?;
        let last = inside.last().unwrap_or(first);
        Some((first.begin, last.end))
    }

    fn whole(&self, mut place: Range) -> Range {
        widen(&mut place, &self.strings);
        place
    }
}

/// Whether two keys are the same constant.
fn is_same(one: &Expr, other: &Expr) -> bool {
    let one = constant(one);
    one.is_some() && one == constant(other)
}
