//! Makes rules of modules in the form that the checks look at, as OPA's compiler rewrites them:
//! imports and names of rules are written in full, variables renamed by scope. What is refused on
//! the way are variables that are declared or used where they must not be.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Module, Query, Ref, Rule as Source, RuleHead, Span};

use super::core::{Body, Expression, Rule, Term};
use super::scope::{Scopes, declared_in, pattern_names};
use super::terms::Lowering;
use super::{COMPILE, error};
use crate::policy::rego::RegoError;
use crate::policy::rego::module::{path_of, rule_reference};

/// Names of a module that stand for documents, with their paths, the root in front.
pub(super) type Globals = BTreeMap<String, Vec<String>>;

/// Names of all rules, by package.
pub(super) fn exports(modules: &[Ref<Module>]) -> BTreeMap<Vec<String>, BTreeSet<String>> {
    let mut exports: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for module in modules {
        let package = path_of(&module.package.refr).unwrap_or_default();
        let names = module.policy.iter();
        let names = names.filter_map(|rule| path_of(rule_reference(rule))?.into_iter().next());
        exports.entry(package).or_default().extend(names);
    }
    exports
}

fn globals(
    module: &Module,
    package: &[String],
    exports: &BTreeMap<Vec<String>, BTreeSet<String>>,
) -> Globals {
    let mut globals = Globals::new();
    for name in exports.get(package).into_iter().flatten() {
        let path = ["data"].map(str::to_owned).into_iter();
        let path = path.chain(package.iter().cloned()).chain([name.clone()]);
        globals.insert(name.clone(), path.collect());
    }
    for import in &module.imports {
        let path = path_of(&import.refr).unwrap_or_default();
        let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
        let name = alias.or_else(|| path.last().cloned());
        if let (Some("data" | "input"), Some(name)) = (path.first().map(String::as_str), name) {
            globals.insert(name, path);
        }
    }
    globals
}

/// All rules of a module, one for each body.
pub(super) fn module(
    module: &Module,
    index: usize,
    exports: &BTreeMap<Vec<String>, BTreeSet<String>>,
    generated: &str,
    errors: &mut Vec<RegoError>,
) -> Vec<Rule> {
    let package = path_of(&module.package.refr).unwrap_or_default();
    let globals = globals(module, &package, exports);
    let mut rules = Vec::new();
    for rule in &module.policy {
        let mut maker = Maker {
            package: &package,
            module: index,
            lowering: Lowering::new(&globals, generated),
        };
        maker.rule(rule, &mut rules);
        errors.append(&mut maker.lowering.errors);
    }
    rules
}

struct Maker<'a> {
    package: &'a [String],
    module: usize,
    lowering: Lowering<'a>,
}

/// What a rule's bodies share.
struct Head<'a> {
    name: &'a Ref<Expr>,
    arguments: &'a [Ref<Expr>],
    key: Option<&'a Ref<Expr>>,
    value: Option<&'a Ref<Expr>>,
    multi_value: bool,
    default: bool,
    place: &'a Span,
}

impl Maker<'_> {
    fn rule(&mut self, rule: &Source, rules: &mut Vec<Rule>) {
        let (head, bodies) = match rule {
            Source::Default {
                refr,
                args,
                value,
                span,
                ..
            } => {
                let head = Head {
                    name: refr,
                    arguments: args,
                    key: None,
                    value: Some(value),
                    multi_value: false,
                    default: true,
                    place: span,
                };
                (head, &[][..])
            }
            Source::Spec { span, head, bodies } => (Head::of(head, span), bodies.as_slice()),
        };
        if bodies.is_empty() {
            rules.push(self.body(&head, head.value, None, (head.place, false)));
        }
        for (index, body) in bodies.iter().enumerate() {
            let value = match &body.assign {
                Some(assign) => Some(&assign.value),
                None if body.is_else => None,
                None => head.value,
            };
            let place = if index == 0 { head.place } else { &body.span };
            rules.push(self.body(&head, value, Some(&body.query), (place, body.is_else)));
        }
    }

    fn body(
        &mut self,
        head: &Head<'_>,
        value: Option<&Ref<Expr>>,
        query: Option<&Query>,
        (place, is_else): (&Span, bool),
    ) -> Rule {
        let lowering = &mut self.lowering;
        lowering.scopes = Scopes::default();
        let mut hidden = BTreeSet::new();
        for argument in head.arguments {
            pattern_names(argument, &mut hidden);
        }
        if let Some(query) = query {
            declared_in(query, &mut hidden);
        }
        lowering.scopes.hide(hidden);
        lowering.scopes.enter();
        let arguments: Vec<_> = head
            .arguments
            .iter()
            .map(|each| lowering.argument(each))
            .collect();
        let mut body = query.map_or_else(Body::new, |query| lowering.query(query));
        let mut path: Vec<_> = self.package.iter().map(|part| Term::string(part)).collect();
        path.extend(lowering.rule_path(head.name, &mut body));
        let key = head.key.map(|key| lowering.head_term(key, &mut body));
        let value = match value {
            Some(value) => Some(lowering.head_term(value, &mut body)),
            None if head.multi_value => None,
            None => Some(Term::Constant(super::core::Constant::Bool(true))),
        };
        for (name, place) in lowering.scopes.leave() {
            let message = format!("declared var {name} unused");
            lowering.errors.push(error(COMPILE, message, &place));
        }
        lowering.scopes.unhide();
        Rule {
            path,
            arguments,
            multi_value: head.multi_value,
            key,
            value,
            default: head.default,
            is_else,
            body,
            place: place.clone(),
            module: self.module,
        }
    }
}

impl<'a> Head<'a> {
    fn of(head: &'a RuleHead, place: &'a Span) -> Self {
        let (name, arguments, key, value, multi_value): (_, &[Ref<Expr>], _, _, _) = match head {
            RuleHead::Compr { refr, assign, .. } => {
                let value = assign.as_ref().map(|assign| &assign.value);
                (refr, &[], None, value, false)
            }
            RuleHead::Func {
                refr, args, assign, ..
            } => {
                let value = assign.as_ref().map(|assign| &assign.value);
                (refr, args, None, value, false)
            }
            // Without `contains` a name of two parts is one with its last part as an element only in
            // version 0, where the parser leaves the element in the name: `p.q { … }`.
            RuleHead::Set { refr, key, .. } => match (key, refr.as_ref()) {
                (Some(key), _) => (refr, &[], Some(key), None, true),
                (None, Expr::RefDot { refr, .. }) => (refr, &[], None, None, true),
                (None, _) => (refr, &[], None, None, true),
            },
        };
        Self {
            name,
            arguments,
            key,
            value,
            multi_value,
            default: false,
            place,
        }
    }
}

impl Lowering<'_> {
    /// A term of a rule's head or a comprehension's: what must be evaluated becomes a part of the
    /// body.
    pub(super) fn head_term(&mut self, source: &Ref<Expr>, body: &mut Body) -> Term {
        let (term, support) = self.with_support(|lowering| lowering.term(source));
        body.extend(support);
        match term {
            Term::Ref(_) | Term::Comprehension(_) => self.named(term, source.span(), body),
            // Rule: the same inside of arrays, objects and sets, which have their own types.
            term => {
                let needs_name = {
                    let mut found = false;
                    term.walk(&mut |part| {
                        found |= matches!(part, Term::Ref(_) | Term::Comprehension(_));
                    });
                    found
                };
                if needs_name {
                    self.named(term, source.span(), body)
                } else {
                    term
                }
            }
        }
    }

    fn named(&mut self, term: Term, place: &Span, body: &mut Body) -> Term {
        let var = Term::Var(self.scopes.generated());
        let mut equation = Expression::equation(var.clone(), term, place);
        equation.generated = true;
        body.push(equation);
        var
    }

    /// Parts of a rule's name, dynamic ones as variables.
    fn rule_path(&mut self, name: &Ref<Expr>, body: &mut Body) -> Vec<Term> {
        match name.as_ref() {
            Expr::Var { span, .. } => vec![Term::string(span.text())],
            Expr::RefDot { refr, field, .. } => {
                let mut path = self.rule_path(refr, body);
                path.push(Term::string(field.0.text()));
                path
            }
            Expr::RefBrack { refr, index, .. } => {
                let mut path = self.rule_path(refr, body);
                path.push(self.head_term(index, body));
                path
            }
            _ => Vec::new(),
        }
    }
}
