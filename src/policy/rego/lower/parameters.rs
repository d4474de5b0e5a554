//! Parameters that are more than the interpreter makes of them. Rule: a variable that stands in several
//! parameters has one value in all of them; the interpreter takes that of the last. Objects are matched as
//! anywhere else, by `patterns`. Both are written as statements at the beginning of each body. Only what is
//! evaluated is written so: what policies call and read is told of the text before this step.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Module, Query, Ref, Rule, RuleHead};

use super::OWN;
use super::arguments::bracketed;
use super::moved::Source;
use super::patterns::{has_object, is_open};
use super::syntax::{Edit, Range, Written, all_edited, begin, cannot_write, range, strings, widen};
use super::tokens::{Token, tokens};
use crate::policy::rego::RegoError;
use crate::policy::rego::check::pattern_names;

/// All modules as they are evaluated.
pub(in crate::policy::rego) fn parameters(modules: &[Ref<Module>]) -> Written {
    let found: Result<_, _> = modules.iter().map(|module| find(module)).collect();
    all_edited(modules, found?)
}

fn find(module: &Module) -> Result<Vec<Edit>, RegoError> {
    let special: Vec<_> = module
        .policy
        .iter()
        .filter_map(|rule| Special::of(rule))
        .collect();
    if special.is_empty() {
        return Ok(Vec::new());
    }
    let text = module.package.span.source.contents();
    let mut writer = Writer {
        text,
        tokens: tokens(text),
        strings: strings(text),
        source: Source::of(text, module),
        sign: if module.rego_v1 { "if " } else { "" },
        edits: Vec::new(),
    };
    for function in special {
        writer.function(&function)?;
    }
    writer.edits.sort_by_key(|(place, _)| *place);
    Ok(writer.edits)
}

/// A function with parameters that are written otherwise.
struct Special<'a> {
    rule: &'a Rule,
    name: &'a Expr,
    parameters: &'a [Ref<Expr>],
    /// Where variables stand again, with their names.
    repeated: Vec<(Range, String)>,
}

impl<'a> Special<'a> {
    fn of(rule: &'a Rule) -> Option<Self> {
        let Rule::Spec {
            head: RuleHead::Func { refr, args, .. },
            ..
        } = rule
        else {
            return None;
        };
        let mut known = BTreeSet::new();
        let mut repeated = Vec::new();
        for parameter in args {
            again(parameter, &known, &mut repeated);
            pattern_names(parameter, &mut known);
        }
        let is_special = !repeated.is_empty() || args.iter().any(|parameter| has_object(parameter));
        is_special.then_some(Self {
            rule,
            name: refr,
            parameters: args,
            repeated,
        })
    }
}

/// Variables of a pattern that were in one before.
fn again(pattern: &Expr, known: &BTreeSet<String>, found: &mut Vec<(Range, String)>) {
    match pattern {
        Expr::Var { span, .. } if known.contains(span.text()) => {
            found.push((range(span), span.text().to_owned()));
        }
        Expr::Array { items, .. } => items.iter().for_each(|item| again(item, known, found)),
        Expr::Object { fields, .. } => {
            let values = fields.iter().map(|(_, _, value)| value);
            values.for_each(|value| again(value, known, found));
        }
        _ => {}
    }
}

struct Writer<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    strings: Vec<Token>,
    source: Source<'a>,
    sign: &'static str,
    edits: Vec<Edit>,
}

impl Writer<'_> {
    fn function(&mut self, function: &Special<'_>) -> Result<(), RegoError> {
        let name = function.name.span();
        let places = bracketed(self.text, &self.tokens, range(name).1, "(");
        // No text is known for which these differ.
        if places.len() != function.parameters.len() {
            return Err(cannot_write(name, "a function with these parameters"));
        }
        let mut statements = Vec::new();
        for (index, (parameter, place)) in function.parameters.iter().zip(places).enumerate() {
            let inside = function.repeated.iter();
            let inside = inside.filter(|((begin, _), _)| (place.0..place.1).contains(begin));
            let inside: Vec<_> = inside.collect();
            match has_object(parameter) {
                true => self.object(index, parameter, place, &inside, &mut statements),
                false => {
                    for (at, _) in &inside {
                        self.edits.push((*at, again_name(*at)));
                    }
                }
            }
            let same = inside
                .iter()
                .map(|(at, name)| format!("{name} == {}", again_name(*at)));
            statements.extend(same);
        }
        self.bodies(function.rule, &statements.join("; "));
        Ok(())
    }

    /// A variable stands for a parameter that is matched in the bodies.
    fn object(
        &mut self,
        index: usize,
        parameter: &Expr,
        place: Range,
        repeated: &[&(Range, String)],
        statements: &mut Vec<String>,
    ) {
        let name = format!("{OWN}parameter_{index}__");
        let (begin, end) = place;
        let written = self.text.get(begin..end).unwrap_or_default();
        let lines = "\n".repeat(written.matches('\n').count());
        self.edits.push((place, format!("{name}{lines}")));
        let mut pattern = String::new();
        let mut from = begin;
        for (at, _) in repeated {
            pattern.push_str(&self.source.part((from, at.0)));
            pattern.push_str(&format!(" {} ", again_name(*at)));
            from = at.1;
        }
        pattern.push_str(&self.source.part((from, end)));
        // Rule: a parameter's variables are its own, whatever else has their names.
        let sign = if is_open(parameter) { ":=" } else { "==" };
        statements.push(format!("{pattern} {sign} {name}"));
    }

    /// The statements, at the beginning of all bodies of a rule.
    fn bodies(&mut self, rule: &Rule, statements: &str) {
        let Rule::Spec { span, bodies, .. } = rule else {
            return;
        };
        if bodies.is_empty() {
            self.no_body(range(span).1, statements);
        }
        for body in bodies {
            match body.query.stmts.first() {
                Some(_) => self.body(&body.query, range(&body.span).1, statements),
                None => self.no_body(range(&body.span).1, statements),
            }
        }
    }

    fn no_body(&mut self, end: usize, statements: &str) {
        let (_, end) = self.whole((end, end));
        let body = format!(" {}{{ {statements} }}", self.sign);
        self.edits.push(((end, end), body));
    }

    fn body(&mut self, query: &Query, end: usize, statements: &str) {
        let Some(first) = query.stmts.first() else {
            return;
        };
        let (place, _) = self.whole(range(&first.span));
        match begin(&first.span) == begin(&query.span) {
            true => {
                let (_, end) = self.whole((end, end));
                self.edits
                    .push(((place, place), format!("{{ {statements}; ")));
                self.edits.push(((end, end), " }".to_owned()));
            }
            false => self.edits.push(((place, place), format!("{statements}; "))),
        }
    }

    fn whole(&self, mut place: Range) -> Range {
        widen(&mut place, &self.strings);
        place
    }
}

/// The name of a variable where it stands again.
fn again_name((begin, _): Range) -> String {
    format!("{OWN}again_{begin}__")
}
