//! Documents and queries that operators ask for, with an input and a mode of their own. Requests of
//! proxies are not asked this way.

use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Ref, Rule};

use super::{
    Engine, QUERY_END, QUERY_FILE, QUERY_RULE, Target, analyse, empty, expressions_of, no_query,
    query_begin, timer,
};
use crate::policy::rego::builtins::{Notes, OPA_RUNTIME};
use crate::policy::rego::lower::{self, Names};
use crate::policy::rego::module::path_of;
use crate::policy::rego::visit::{Visit, in_expression, in_statement};
use crate::policy::rego::{Question, RegoError, guard, module, output};

/// What an evaluation came to, and the notes that were made on the way.
pub(in crate::policy::rego) struct Noted<T> {
    pub(in crate::policy::rego) value: T,
    pub(in crate::policy::rego) notes: Vec<String>,
}

/// The built-ins that no query may name: what others answer to this process, and its environment, is for
/// policies alone.
const UNSAFE: [&str; 2] = ["http.send", OPA_RUNTIME];

/// A query that was found good, as it is evaluated.
pub(in crate::policy::rego) struct LookedAt(String);

// === impl Engine ===

impl Engine {
    /// The document at a path under `data`; `Undefined` if there is none.
    pub(in crate::policy::rego) fn document(
        &self,
        path: &[String],
        question: Question,
    ) -> Result<Noted<Value>, RegoError> {
        let reference = module::reference(path.iter().map(|part| without_zeros(part)));
        let target = match self.rules.contains(&reference) {
            true => Target::Rule(reference),
            false => Target::Query {
                text: reference,
                expressions: 1,
            },
        };
        self.asked(question, |engine| match &target {
            Target::Rule(path) => engine.eval_rule(path.clone()),
            Target::Query { text, .. } => {
                let results = engine.eval_query(text.clone(), false)?.result;
                let first = results
                    .first()
                    .and_then(|result| result.expressions.first());
                Ok(first.map_or(Value::Undefined, |expression| expression.value.clone()))
            }
        })
    }

    /// Whether a path leads to a rule, or into the document of one.
    pub(in crate::policy::rego) fn has_rule_towards(&self, path: &[String]) -> bool {
        (1..=path.len()).any(|length| {
            let beginning = path.iter().take(length);
            self.rules.contains(&module::reference(beginning))
        })
    }

    /// The variables of each solution of a query that was looked at.
    pub(in crate::policy::rego) fn solutions(
        &self,
        query: &LookedAt,
        question: Question,
    ) -> Result<Noted<Vec<Value>>, RegoError> {
        let Noted { value, notes } = self.asked(question, |engine| {
            engine.add_policy(QUERY_FILE.to_owned(), query.0.clone())?;
            engine.eval_rule(module::reference(QUERY_RULE.iter()))
        })?;
        let solutions = value
            .as_array()
            .map(|solutions| solutions.iter().cloned().collect());
        Ok(Noted {
            value: solutions.unwrap_or_default(),
            notes,
        })
    }

    /// Looks at a query as at a rule's body: what the compiler refuses there is refused here. It is
    /// evaluated as a list of its variables.
    pub(in crate::policy::rego) fn look_at(&self, query: &str) -> Result<LookedAt, Vec<RegoError>> {
        let names = self.lowerings.names();
        let body = parsed_query(&format!("{}{query}{QUERY_END}", query_begin()), names)?;
        let Some(Answer {
            variables,
            is_value,
        }) = Answer::of(&body)
        else {
            return Err(in_query(vec![no_query("it is more than one")]));
        };
        let mut named = Named(None);
        named.module(&body);
        if let Some(name) = named.0 {
            return Err(vec![not_safe(name)]);
        }
        let members = variables.iter().map(|name| format!("\"{name}\": {name}"));
        let members = members.collect::<Vec<_>>().join(", ");
        let [package, rule] = QUERY_RULE;
        let value = if is_value { "__doorward_value = " } else { "" };
        let text = format!("package {package}\n{rule} := [{{{members}}} |\n{value}\n{query}\n]\n");
        let answer = parsed_query(&text, names)?;
        let all: Vec<_> = self.modules.iter().chain([&answer]).cloned().collect();
        analyse(&all).map_err(in_query)?;
        let source = &answer.package.span.source;
        let text = lower::evaluated(source.contents().clone());
        Ok(LookedAt(text.map_err(|error| in_query(vec![error]))?))
    }

    fn asked<T>(
        &self,
        question: Question,
        ask: impl FnOnce(&mut regorus::Engine) -> anyhow::Result<T>,
    ) -> Result<Noted<T>, RegoError> {
        let Question {
            input,
            strict,
            now_ns,
        } = question;
        // A query that is added is part of what copies share.
        let mut engine = self.prepared.clone();
        engine.set_execution_timer_config(timer(self.limit));
        let _strict = guard::Strict::set(strict);
        engine.set_input(input.map_or(Value::Undefined, |input| input.0));
        let notes = Notes::keep();
        let entered = self.enter(self.limit, now_ns);
        let value = ask(&mut engine).map_err(|error| RegoError::from_evaluation(&error))?;
        if let Some(hit) = entered.hit() {
            return Err(hit.into());
        }
        Ok(Noted {
            value,
            notes: notes.take(),
        })
    }
}

fn not_safe(name: &str) -> RegoError {
    RegoError {
        code: "rego_type_error",
        message: format!("unsafe built-in function calls in expression: {name}"),
        file: String::new(),
        row: 1,
        col: 1,
    }
}

/// The module of a query, lowered and parsed.
fn parsed_query(text: &str, names: &Names) -> Result<Ref<Module>, Vec<RegoError>> {
    let refuse = |error| in_query(vec![error]);
    let lowered = lower::module(QUERY_FILE, text, false, names).map_err(refuse)?;
    let mut engine = empty()?;
    let [text] = lowered.texts.as_slice() else {
        return Err(refuse(no_query("put it into a rule and name that")));
    };
    let text = output::lower(text).into_owned();
    guard::check_module(QUERY_FILE, &text).map_err(refuse)?;
    let added = engine.add_policy(QUERY_FILE.to_owned(), text);
    added.map_err(|error| {
        let mut errors = vec![RegoError::from_engine(
            "rego_parse_error",
            QUERY_FILE,
            &error,
        )];
        errors.iter_mut().for_each(|error| lowered.locate(error));
        in_query(errors)
    })?;
    let modules = engine.get_modules();
    let module = modules.first().cloned();
    module.ok_or_else(|| refuse(no_query("it is none")))
}

/// The first unsafe built-in that is named, to be called or to take another's place.
struct Named(Option<&'static str>);

impl Visit for Named {
    fn expression(&mut self, expression: &Expr) {
        let name = path_of(expression).unwrap_or_default().join(".");
        let unsafe_one = || UNSAFE.into_iter().find(|one| *one == name);
        self.0 = self.0.or_else(unsafe_one);
        in_expression(self, expression);
    }
}

/// What is shown of a query's solutions.
struct Answer {
    variables: BTreeSet<String>,
    /// Rule: an expression alone, which loops over nothing, may be false.
    is_value: bool,
}

impl Answer {
    /// `None` if the module holds more than one query.
    fn of(module: &Module) -> Option<Self> {
        expressions_of(module)?;
        let Rule::Spec { bodies, .. } = module.policy.first()?.as_ref() else {
            return None;
        };
        let statements = &bodies.first()?.query.stmts;
        let mut found = Variables::default();
        statements
            .iter()
            .for_each(|statement| found.statement(statement));
        let Variables {
            names: variables,
            loops,
        } = found;
        let is_alone = match statements.as_slice() {
            [one] => matches!(
                &one.literal,
                Literal::Expr { expr, .. } if !matches!(expr.as_ref(), Expr::AssignExpr { .. })
            ),
            _ => false,
        };
        Some(Self {
            is_value: is_alone && !loops && variables.is_empty(),
            variables,
        })
    }
}

/// Variables of a query, those aside that are known only within parts of it.
#[derive(Default)]
struct Variables {
    names: BTreeSet<String>,
    /// Whether all elements of something are asked for.
    loops: bool,
}

impl Variables {
    fn add(&mut self, name: &str) {
        // Names that begin like this are wildcards, or were put in.
        match name {
            "_" => self.loops = true,
            "data" | "input" => {}
            name if name.starts_with("__") => {}
            name => drop(self.names.insert(name.to_owned())),
        }
    }
}

impl Visit for Variables {
    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => vars.iter().for_each(|name| self.add(name.text())),
            Literal::Every { domain, .. } => self.expression(domain),
            _ => in_statement(self, statement),
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Var { span, .. } => self.add(span.text()),
            Expr::Call { params, .. } => params.iter().for_each(|each| self.expression(each)),
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
            _ => in_expression(self, expression),
        }
    }
}

/// Errors with their places in the query itself, which is in no file.
fn in_query(mut errors: Vec<RegoError>) -> Vec<RegoError> {
    for error in errors.iter_mut().filter(|error| error.file == QUERY_FILE) {
        error.file.clear();
        error.row = error
            .row
            .saturating_sub(query_begin().matches('\n').count() as u64);
    }
    errors
}

/// Rule: a part of digits alone is a number.
fn without_zeros(part: &str) -> &str {
    let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match part.trim_start_matches('0') {
        "" if is_number => "0",
        digits if is_number => digits,
        _ => part,
    }
}
