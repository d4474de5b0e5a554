//! The tree as OPA's JSON: what is empty is left out where its Go structures say so, and only
//! comments tell where they stand.

use regorus::Value;

use super::super::go_json;
use super::tokens::Comment;
use super::tree::{Expression, Head, Import, Module, Rule, Term, Terms, With};

pub(super) fn module(module: &Module, comments: &[Comment<'_>], file: &str) -> Value {
    let comment = |comment: &Comment<'_>| self::comment(comment, file);
    node([
        (
            "package",
            Some(node([("path", Some(terms(&module.package)))])),
        ),
        ("imports", some_list(&module.imports, import)),
        ("rules", some_list(&module.rules, rule)),
        ("comments", some_list(comments, comment)),
    ])
}

/// An object of the members that there are.
fn node<const COUNT: usize>(members: [(&str, Option<Value>); COUNT]) -> Value {
    let mut object = Value::new_object();
    for (name, value) in members {
        if let Some(value) = value {
            go_json::insert(&mut object, [(name, value)]);
        }
    }
    object
}

fn list<T>(items: &[T], value: impl Fn(&T) -> Value) -> Value {
    Value::from(items.iter().map(value).collect::<Vec<_>>())
}

fn some_list<T>(items: &[T], value: impl Fn(&T) -> Value) -> Option<Value> {
    (!items.is_empty()).then(|| list(items, value))
}

fn flag(is_set: bool) -> Option<Value> {
    is_set.then(|| Value::from(true))
}

/// Rule: bytes are in base64, and `null` if there are none.
fn comment(comment: &Comment<'_>, file: &str) -> Value {
    let text = comment.text.as_bytes();
    let text = go_json::optional_bytes((!text.is_empty()).then_some(text));
    let location = go_json::object([
        ("file", Value::from(file)),
        ("row", Value::from(comment.row as u64)),
        ("col", Value::from(comment.column as u64)),
    ]);
    go_json::object([("Text", text), ("Location", location)])
}

fn import(import: &Import) -> Value {
    let path = typed("ref", terms(&import.path));
    let alias = import.alias.as_deref().map(Value::from);
    node([("path", Some(path)), ("alias", alias)])
}

fn rule(rule: &Rule) -> Value {
    node([
        ("default", flag(rule.is_default)),
        ("head", Some(head(&rule.head))),
        ("body", Some(body(&rule.body))),
        ("else", rule.otherwise.as_deref().map(self::rule)),
    ])
}

fn head(head: &Head) -> Value {
    node([
        ("name", head.name.as_deref().map(Value::from)),
        ("ref", Some(terms(&head.reference))),
        ("args", some_list(&head.arguments, term)),
        ("key", head.key.as_ref().map(term)),
        ("value", head.value.as_ref().map(term)),
        ("assign", flag(head.assigns)),
    ])
}

fn body(body: &[Expression]) -> Value {
    let expressions = body.iter().enumerate();
    let expressions = expressions.map(|(index, item)| expression(index, item));
    Value::from(expressions.collect::<Vec<_>>())
}

fn expression(index: usize, expression: &Expression) -> Value {
    let terms = match &expression.terms {
        Terms::Some(symbols) => go_json::object([("symbols", terms(symbols))]),
        Terms::Single(single) => term(single),
        Terms::Call(call) => terms(call),
        Terms::Every(every) => go_json::object([
            ("key", every.key.as_ref().map_or(Value::Null, term)),
            ("value", term(&every.value)),
            ("domain", term(&every.domain)),
            ("body", body(&every.body)),
        ]),
    };
    node([
        ("index", Some(Value::from(index as u64))),
        ("terms", Some(terms)),
        ("negated", flag(expression.is_negated)),
        ("with", some_list(&expression.with, with)),
    ])
}

fn with(with: &With) -> Value {
    go_json::object([("target", term(&with.target)), ("value", term(&with.value))])
}

fn terms(terms: &[Term]) -> Value {
    list(terms, term)
}

fn typed(kind: &str, value: Value) -> Value {
    go_json::object([("type", Value::from(kind)), ("value", value)])
}

fn term(term: &Term) -> Value {
    let pair = |(key, value): &(Term, Term)| Value::from(vec![self::term(key), self::term(value)]);
    let comprehension = |item: &Term, body: &[Expression]| {
        go_json::object([("term", self::term(item)), ("body", self::body(body))])
    };
    match term {
        // Rule: it is a structure without members.
        Term::Null => typed("null", Value::new_object()),
        Term::Boolean(value) => typed("boolean", Value::from(*value)),
        Term::Number(value) => typed("number", value.clone()),
        Term::String(value) => typed("string", Value::from(value.as_str())),
        Term::Var(name) => typed("var", Value::from(name.as_str())),
        Term::Ref(parts) => typed("ref", terms(parts)),
        Term::Array(items) => typed("array", terms(items)),
        Term::Object(members) => typed("object", list(members, pair)),
        Term::Set(items) => typed("set", terms(items)),
        Term::ArrayComprehension(item, body) => {
            typed("arraycomprehension", comprehension(item, body))
        }
        Term::SetComprehension(item, body) => typed("setcomprehension", comprehension(item, body)),
        Term::ObjectComprehension(pair, body) => typed(
            "objectcomprehension",
            go_json::object([
                ("key", self::term(&pair.0)),
                ("value", self::term(&pair.1)),
                ("body", self::body(body)),
            ]),
        ),
        Term::Call(parts) => typed("call", terms(parts)),
    }
}
