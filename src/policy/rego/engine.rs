//! The regorus interpreter behind one narrow type: modules and data are prepared once, prepared
//! interpreters are kept for reuse (`lanes`), and one evaluation runs on one of them without a lock.

mod alone;
mod asked;
mod entered;
mod lanes;
mod lowerings;
mod message;
mod parsed;
mod reuse;

use std::collections::{HashMap, HashSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use regorus::unstable::{Module, Ref, Rule};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{PolicyLengthConfig, Value};
use thiserror::Error;

use super::builtins::{self, Memory};
use super::external::ExternalError;
use super::graph::Graph;
use super::lower::{Lowered, Names};
use super::module::{self, Analysis};
use super::{RegoError, RegoModule, check, guard, limits, lower, output, parts_of};
pub(super) use asked::LookedAt;
use lanes::Lanes;
use lowerings::Lowerings;
use message::{PlainMessage, conflict, plain_message, without_values};
use parsed::Parsed;

// Each `unwrap` below is evaluated by the compiler: a zero would not build, and none is left to run.

/// Work units between two looks at the clock.
const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// Longest file, line and most lines, as generous as OPA.
const MAX_FILE_BYTES: NonZeroUsize = NonZeroUsize::new(64 << 20).unwrap();
const MAX_LINES: NonZeroUsize = NonZeroUsize::new(4_000_000).unwrap();
const MAX_COLUMNS: NonZeroU32 = NonZeroU32::new(1 << 21).unwrap();

pub(super) const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: MAX_COLUMNS,
    max_file_bytes: MAX_FILE_BYTES,
    max_lines: MAX_LINES,
};

/// Where errors of a query are said to be.
const QUERY_FILE: &str = "rego.query";
/// How the module of a query ends.
const QUERY_END: &str = "\n}\n";
/// The package that the interpreter has queries in, and the rule that one is looked at as.
pub(super) const QUERY_RULE: [&str; 2] = ["__internal_query_module", "answer"];

/// Prepared policies.
#[derive(Debug)]
pub(super) struct Engine {
    /// What queries of operators are asked of, each of a copy.
    prepared: regorus::Engine,
    lanes: Lanes,
    /// References to every rule that can be asked as such.
    rules: HashSet<String>,
    /// Expressions of the query that was compiled with them.
    query_expressions: usize,
    /// Of all modules.
    files: Vec<String>,
    /// What was analysed: queries of operators are looked at beside it.
    modules: Vec<Ref<Module>>,
    /// What modules were lowered to.
    lowerings: Lowerings,
    /// Whether any module calls a built-in that reaches outside.
    pub(super) asks_others: bool,
    /// Whether an interpreter that did not fail may be used again.
    pub(super) is_reusable: bool,
    /// Longest an evaluation may take that is given no other limit.
    limit: Duration,
    /// Tokens found good under these policies.
    tokens: Memory,
    runtime: Value,
}

/// What modules are compiled for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// A query that is asked of them.
    pub(super) query: Option<&'a str>,
    /// Longest an evaluation may take that is given no other limit.
    pub(super) limit: Duration,
    /// How many evaluations can run at once without one waiting for the other, if policies are small.
    pub(super) at_once: NonZeroUsize,
    /// Whether built-ins may reach outside.
    pub(super) may_ask: bool,
    /// What `opa.runtime` tells; `None` if policies may not call it.
    pub(super) runtime: Option<&'a Value>,
    /// From which is taken over what has not changed.
    pub(super) before: Option<&'a Engine>,
}

/// What is evaluated.
#[derive(Debug)]
pub(super) enum Target {
    Rule(String),
    /// The path of no rule, but perhaps of a document; or a query of so many expressions.
    Query {
        text: String,
        expressions: usize,
    },
}

/// Why an evaluation came to no value. Texts are those OPA uses where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvaluationError {
    #[error("undefined decision")]
    Undefined,
    #[error("multiple evaluation results")]
    Multiple,
    #[error("evaluation took longer than {}ms", .0.as_millis())]
    TimeLimit(Duration),
    /// The check's time was up while it waited for others.
    #[error("{0}")]
    TimeUp(String),
    /// A rule or function has several values.
    #[error("{0}")]
    Conflict(String),
    /// A limit was hit of what built-ins may do, or of the size of values.
    #[error("{0}")]
    Limit(String),
    #[error("{0}")]
    Failed(String),
}

// === impl Engine ===

impl Engine {
    /// Prepares policies, and tells which of their rules refers to which. A query counts as the rule
    /// `QUERY_RULE`.
    pub(super) fn compile(
        modules: &[RegoModule],
        data: Value,
        terms: Terms<'_>,
    ) -> Result<(Self, Graph), Vec<RegoError>> {
        Self::compile_lowered(modules, HashMap::new(), data, terms)
    }

    /// The same where some modules were lowered before, by path.
    pub(super) fn compile_lowered(
        modules: &[RegoModule],
        lowered: HashMap<String, Lowered>,
        data: Value,
        terms: Terms<'_>,
    ) -> Result<(Self, Graph), Vec<RegoError>> {
        let mut engine = empty()?;
        let nothing = Lowerings::default();
        let before = terms.before.map_or(&nothing, |before| &before.lowerings);
        let lowerings = Lowerings::of(modules, lowered, before);
        let lowered = Parsed::add(&mut engine, modules, &lowerings)?;
        let (analysis, query_expressions) = match terms.query {
            Some(query) => {
                let mut seen = with_query(&engine, lowerings.names(), query)?;
                let modules = seen.get_modules();
                let expressions = modules.last().and_then(|module| expressions_of(module));
                // More than one rule, or none: the text was no query, whatever it parses as here.
                let expressions =
                    expressions.ok_or_else(|| vec![no_query("it is more than one")])?;
                (analyse(modules), expressions)
            }
            None => (analyse(engine.get_modules()), 0),
        };
        let analysis = analysis.map_err(|errors| lowered.locate(errors))?;
        if terms.runtime.is_none() {
            analysis
                .check_runtime()
                .map_err(|errors| lowered.locate(errors))?;
        }
        if !terms.may_ask {
            analysis
                .check_inside()
                .map_err(|errors| lowered.locate(errors))?;
        }
        analysis
            .check_data(&data)
            .map_err(|errors| lowered.locate(errors))?;
        let analysed = engine.get_modules().clone();
        let mut engine = lowered.evaluating(engine)?;
        let mut others = Vec::new();
        for _ in 1..lanes::count(terms.at_once, engine.get_modules(), &data) {
            let other = lowered.again(engine.get_modules())?;
            others.push(ready(other, lanes::copy(&data), terms.limit, &lowered)?);
        }
        let mut engine = ready(engine, data, terms.limit, &lowered)?;
        let prepared = Self {
            asks_others: analysis.external.is_some(),
            // The interpreter takes no such name for a rule; a query of it works.
            rules: &analysis.rules - &analysis.scattered,
            query_expressions,
            files: modules.iter().map(|module| module.path.clone()).collect(),
            modules: analysed,
            lowerings,
            is_reusable: reuse::is_reusable(engine.get_modules()),
            lanes: Lanes::of(engine.clone(), others),
            prepared: engine,
            limit: terms.limit,
            tokens: Memory::default(),
            runtime: terms.runtime.cloned().unwrap_or(Value::Undefined),
        };
        Ok((prepared, analysis.graph))
    }

    /// What a slash-separated path stands for.
    pub(super) fn target(&self, entrypoint: &str) -> Target {
        let path = module::reference(parts_of(entrypoint));
        if self.rules.contains(&path) {
            Target::Rule(path)
        } else {
            Target::Query {
                text: path,
                expressions: 1,
            }
        }
    }

    /// The query that was compiled with the modules.
    pub(super) fn query_target(&self, text: &str) -> Result<Target, Vec<RegoError>> {
        let evaluated = lower::evaluated_query(text);
        Ok(Target::Query {
            text: evaluated.map_err(|why| vec![no_query(&why)])?,
            expressions: self.query_expressions,
        })
    }

    /// Answers a query of any form: the bindings of each of its solutions.
    pub(super) fn query(
        &self,
        query: &str,
        input: Value,
        strict: bool,
        now_ns: i64,
    ) -> Result<Vec<Value>, EvaluationError> {
        let query = lower::query(query).map_err(EvaluationError::Failed)?;
        guard::check_module("query", &query)
            .map_err(|error| EvaluationError::Failed(error.message))?;
        let mut engine = self.prepared.clone();
        let _strict = guard::Strict::set(strict);
        engine.set_input(input);
        let entered = self.enter(self.limit, now_ns);
        let solutions = engine
            .eval_query(query, false)
            .map_err(|error| EvaluationError::from_engine(&error))?;
        if let Some(hit) = entered.hit() {
            return Err(hit);
        }
        let solutions = solutions.result.into_iter();
        Ok(solutions.map(|solution| solution.bindings).collect())
    }

    /// Evaluates a target for an input, for so long at most.
    pub(super) fn evaluate(
        &self,
        target: &Target,
        input: Value,
        limit: Duration,
        now_ns: i64,
    ) -> Result<Value, EvaluationError> {
        let mut taken = self.lanes.take();
        let engine = &mut taken.engine;
        engine.set_execution_timer_config(timer(limit));
        engine.set_input(input);
        let entered = self.enter(limit, now_ns);
        let result = match target.evaluate(engine) {
            Ok(value) => entered.hit().map_or_else(|| of_bounded_size(value), Err),
            Err(EvaluationError::Undefined) => {
                Err(entered.hit().unwrap_or(EvaluationError::Undefined))
            }
            // Of a time that was up inside of a function, it tells only a text.
            Err(EvaluationError::Failed(_)) if entered.is_over() => {
                Err(EvaluationError::TimeLimit(limit))
            }
            Err(EvaluationError::Failed(message)) if entered.has_hit() => {
                Err(EvaluationError::Limit(message))
            }
            failed => failed,
        };
        // An interpreter that failed or panicked is not used again; undefined is no failure.
        let failed = !matches!(result, Ok(_) | Err(EvaluationError::Undefined));
        if self.is_reusable && !failed {
            taken.keep();
        }
        result
    }
}

// === Limits ===

fn timer(limit: Duration) -> ExecutionTimerConfig {
    ExecutionTimerConfig {
        limit,
        check_interval: CHECK_INTERVAL,
    }
}

/// An interpreter with all built-ins and nothing else.
fn empty() -> Result<regorus::Engine, Vec<RegoError>> {
    let mut engine = regorus::Engine::new();
    engine.set_policy_length_config(LENGTHS);
    // Otherwise it would forget what fails in one clause of a function, and what was replaced there. That
    // a built-in that fails is undefined, each of them sees to itself.
    engine.set_strict_builtin_errors(true);
    engine.set_gather_prints(true);
    let registered = builtins::register(&mut engine)
        .and_then(|()| guard::register(&mut engine))
        .and_then(|()| lower::register(&mut engine));
    registered.map_err(|error| vec![internal(&error)])?;
    Ok(engine)
}

/// An interpreter over its data, with everything prepared and nothing of the policies evaluated.
fn ready(
    mut engine: regorus::Engine,
    data: Value,
    limit: Duration,
    lowered: &Parsed,
) -> Result<regorus::Engine, Vec<RegoError>> {
    engine
        .add_data(data)
        .map_err(|error| vec![internal(&error)])?;
    let error = |error| RegoError::from_engine("rego_compile_error", "", &error);
    engine
        .eval_query("true".to_owned(), false)
        .map_err(|cause| lowered.locate(vec![error(cause)]))?;
    engine.set_execution_timer_config(timer(limit));
    Ok(engine)
}

fn analyse(modules: &[Ref<Module>]) -> Result<Analysis, Vec<RegoError>> {
    let analysis = Analysis::of(modules)?;
    check::check(modules, |_| lower::ARGUMENT)?;
    Ok(analysis)
}

/// The modules and one more whose only rule is the query, to be looked at and never evaluated: so a
/// query is read, refused and counted among what is read as a rule would be.
fn with_query(
    engine: &regorus::Engine,
    names: &Names,
    query: &str,
) -> Result<regorus::Engine, Vec<RegoError>> {
    if query.trim().is_empty() {
        return Err(vec![no_query("it is empty")]);
    }
    let text = format!("{}{query}{QUERY_END}", query_begin());
    guard::check_module(QUERY_FILE, &text).map_err(|error| vec![error])?;
    // What a module is lowered for would mean something else in a query, which cannot be.
    let lowered = lower::module(QUERY_FILE, &text, false, names).map_err(|error| vec![error])?;
    let is_same = matches!(lowered.texts.as_slice(), [same] if *output::lower(same) == *text);
    if !is_same {
        return Err(vec![no_query("put it into a rule and name that")]);
    }
    let mut engine = engine.clone();
    engine.set_rego_v0(false);
    let added = engine.add_policy(QUERY_FILE.to_owned(), text);
    let error = |error| {
        vec![RegoError::from_engine(
            "rego_parse_error",
            QUERY_FILE,
            &error,
        )]
    };
    added.map(|_| engine).map_err(error)
}

fn query_begin() -> String {
    let [package, rule] = QUERY_RULE;
    format!("package {package}\n\n{rule} if {{\n")
}

/// How many expressions the only body of the only rule of a module has.
fn expressions_of(module: &Module) -> Option<usize> {
    match module.policy.as_slice() {
        [rule] => match rule.as_ref() {
            Rule::Spec { bodies, .. } => match bodies.as_slice() {
                [body] => Some(body.query.stmts.len()).filter(|count| *count > 0),
                _ => None,
            },
            Rule::Default { .. } => None,
        },
        _ => None,
    }
}

fn no_query(why: &str) -> RegoError {
    RegoError {
        code: "rego_parse_error",
        message: format!("this cannot be asked as a query: {why}"),
        file: QUERY_FILE.to_owned(),
        row: 0,
        col: 0,
    }
}

// === impl Target ===

impl Target {
    fn evaluate(&self, engine: &mut regorus::Engine) -> Result<Value, EvaluationError> {
        let value = match self {
            Self::Rule(path) => engine
                .eval_rule(path.clone())
                .map_err(|error| EvaluationError::from_engine(&error))?,
            Self::Query { text, expressions } => {
                let results = engine
                    .eval_query(text.clone(), false)
                    .map_err(|error| EvaluationError::from_engine(&error))?
                    .result;
                match results.as_slice() {
                    [] => Value::Undefined,
                    // Rule: of several expressions none may be false; one alone is the decision.
                    [one] if *expressions > 1 && !all_hold(one, *expressions) => Value::Undefined,
                    [one] => one
                        .expressions
                        .first()
                        .map_or(Value::Undefined, |expression| expression.value.clone()),
                    _ => return Err(EvaluationError::Multiple),
                }
            }
        };
        match value {
            Value::Undefined => Err(EvaluationError::Undefined),
            value => Ok(value),
        }
    }
}

/// What is made of a value goes to all of its parts, also to those that are the same.
fn of_bounded_size(value: Value) -> Result<Value, EvaluationError> {
    match limits::check_size(&value) {
        Ok(()) => Ok(value),
        Err(why) => Err(EvaluationError::Limit(why.to_owned())),
    }
}

/// Evaluation ends at the first expression that does not hold.
fn all_hold(result: &regorus::QueryResult, expressions: usize) -> bool {
    let fails = |value: &Value| matches!(value, Value::Bool(false) | Value::Undefined);
    let mut evaluated = result.expressions.iter();
    evaluated.len() == expressions && !evaluated.any(|expression| fails(&expression.value))
}

// === impl EvaluationError ===

impl EvaluationError {
    fn from_engine(error: &anyhow::Error) -> Self {
        if let Some(regorus::LimitError::TimeLimitExceeded { limit, .. }) = error.downcast_ref() {
            return Self::TimeLimit(*limit);
        }
        // The interpreter hands on texts only.
        let plain = plain_message(&error.to_string());
        if let Some(conflict) = conflict(&plain.message) {
            let PlainMessage { file, row, .. } = plain;
            return Self::Conflict(format!("{file}:{row}: eval_conflict_error: {conflict}"));
        }
        Self::from_text(plain.message)
    }

    fn from_text(message: String) -> Self {
        if message.ends_with(&ExternalError::TimeUp.to_string()) {
            Self::TimeUp(message)
        } else {
            Self::Failed(without_values(&message).to_owned())
        }
    }
}

// === impl RegoError ===

impl RegoError {
    pub(super) fn from_engine(code: &'static str, file: &str, error: &anyhow::Error) -> Self {
        let plain = plain_message(&error.to_string());
        Self {
            code,
            message: plain.message,
            file: if plain.file.is_empty() {
                file.to_owned()
            } else {
                plain.file
            },
            row: plain.row,
            col: plain.col,
        }
    }
}

fn internal(error: &anyhow::Error) -> RegoError {
    RegoError::from_engine("rego_compile_error", "", error)
}
