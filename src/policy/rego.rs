//! Rego policies: modules and data compiled together for one entrypoint, and one question asked of
//! it. How evaluation happens stays in `engine`; what the answer does to a request in `outcome`.

mod builtins;
mod coverage;
mod documents;
mod edit;
mod engine;
pub mod external;
mod graph;
mod guard;
mod check;
mod data;
mod imports;
mod input;
mod json;
mod limits;
mod lower;
mod module;
mod outcome;
mod output;
mod paths;
mod protobuf;
mod reads;
mod testing;
mod visit;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

pub use coverage::{Coverage, FileCoverage, Range};
pub use data::{Data, canonical_json, canonical_value};
pub use documents::{Found, Query, Question, syntax_tree};
pub use edit::{EditError, slashed};
pub use engine::EvaluationError;
pub use input::{InputError, InputSettings, Known, RegoRequest, document as input_document};
pub use json::JsonError;
pub use outcome::{Outcome, OutcomeError};
pub use paths::Paths;
pub use protobuf::Descriptors;
pub use reads::reads_of;
pub use testing::{CaseResult, Cases, RegoTest, RegoTests, TestResult, TestVerdict};

use super::lifetime::{Lifetime, Unremembered};
use super::reads::Reads;
use crate::attributes::Attributes;
use builtins::{Horizon, Purity};
use data::find_path;
use engine::{Engine, QUERY_RULE, Target, Terms};
use graph::Reached;

/// Entrypoint of opa-envoy-plugin.
pub const DEFAULT_ENTRYPOINT: &str = "envoy/authz/allow";

/// A Rego file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegoModule {
    /// Shown in errors.
    pub path: String,
    pub text: String,
    /// Language version 0, where `if` and `contains` are no keywords.
    pub v0: bool,
}

/// What is asked for every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: Rego answers only what providers of action CUSTOM ask.
    Nothing,
    /// The rule of a slash-separated path.
    Rule(String),
    Query(String),
}

/// How entrypoints are evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegoSettings {
    pub asked: Asked,
    pub input: InputSettings,
    /// Path of the rule asked for action CUSTOM, by the provider's name.
    pub providers: BTreeMap<String, String>,
    pub evaluation_limit: Duration,
    /// How many evaluations are likely to run at once: as many as there are cores.
    pub at_once: NonZeroUsize,
    /// How long a check may wait for what is outside; `None` if policies may not reach there.
    pub outside: Option<Duration>,
    pub caching: Caching,
    /// What `opa.runtime` tells; `None` if policies may not ask for it.
    pub runtime: Option<Data>,
}

/// What is said of remembering answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caching {
    /// Paths of rules whose answers are not remembered.
    pub off: BTreeSet<String>,
    /// A `cache_ttl_seconds` that is none has the answer not remembered, and is no error.
    pub ignores_bad_ttl: bool,
}

/// All Rego, compiled.
#[derive(Debug)]
pub struct RegoPolicies {
    engine: Engine,
    entrypoint: Option<Entrypoint>,
    input: InputSettings,
    caching: Caching,
    providers: BTreeMap<String, Entrypoint>,
}

/// A rule that can be asked.
#[derive(Debug)]
pub struct Entrypoint {
    path: String,
    target: Target,
    /// What it can read of the input document.
    input: Paths,
    /// What it names of data that is no rule's.
    data: Paths,
    reads: Reads,
    /// Why its answers are not remembered if they do not say how long they hold.
    volatile: Option<Unremembered>,
    /// Its answers are not remembered, whatever they say.
    is_uncached: bool,
    /// Longest an evaluation may take.
    limit: Duration,
    /// Nothing loaded is at its path.
    is_missing: bool,
    /// Its outcome, once it was asked, if that is the same for all requests at all times.
    constant: Option<OnceLock<Outcome>>,
}

/// What is wrong with a module or data, in the words and codes of OPA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Error)]
#[error("{file}:{row}:{col}: {code}: {message}")]
pub struct RegoError {
    pub code: &'static str,
    pub message: String,
    pub file: String,
    pub row: u64,
    pub col: u64,
}

/// Why an evaluation came to no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegoFailure {
    /// The request cannot be put into an input document; the plugin answers 400.
    #[error("request_parse_error: {0}")]
    Input(#[from] InputError),
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// The request cannot be put into an input document.
    Request,
    Evaluation,
    /// A rule or function has several values.
    Conflict,
    /// The time was up.
    Cancelled,
    /// What policy answered is no decision.
    Result,
}

// === impl RegoSettings ===

impl RegoSettings {
    /// The paths of all rules that can be asked.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let rule = match &self.asked {
            Asked::Rule(path) => Some(path.as_str()),
            Asked::Nothing | Asked::Query(_) => None,
        };
        rule.into_iter()
            .chain(self.providers.values().map(String::as_str))
    }
}

// === impl RegoFailure ===

impl RegoFailure {
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Input(_) => FailureCode::Request,
            Self::Evaluation(EvaluationError::Conflict(_)) => FailureCode::Conflict,
            Self::Evaluation(EvaluationError::TimeLimit(_) | EvaluationError::TimeUp(_)) => {
                FailureCode::Cancelled
            }
            Self::Evaluation(
                EvaluationError::Undefined
                | EvaluationError::Multiple
                | EvaluationError::Limit(_)
                | EvaluationError::Failed(_),
            ) => FailureCode::Evaluation,
            Self::Outcome(_) => FailureCode::Result,
        }
    }

    /// Which limit was hit, if that is why: the name in metrics.
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Evaluation(EvaluationError::TimeLimit(_)) => Some("time"),
            Self::Evaluation(EvaluationError::TimeUp(_)) => Some("deadline"),
            Self::Evaluation(EvaluationError::Limit(_)) => Some("size"),
            Self::Evaluation(_) | Self::Input(_) | Self::Outcome(_) => None,
        }
    }
}

impl FailureCode {
    /// As OPA, or its Envoy plugin, calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request_parse_error",
            Self::Evaluation => "envoyauth_eval_error",
            Self::Conflict => "eval_conflict_error",
            Self::Cancelled => "eval_cancel_error",
            Self::Result => "envoyauth_result_error",
        }
    }
}

// === impl RegoModule ===

impl RegoModule {
    /// The module's package and the line it is declared on; `None` if that cannot be parsed. No module
    /// is compiled into another package than this.
    pub fn package(&self) -> Option<(Vec<String>, u64)> {
        lower::package(&self.text)
    }
}

// === impl RegoPolicies ===

impl RegoPolicies {
    /// Compiles modules over data. All errors found are returned.
    pub fn compile(
        modules: &[RegoModule],
        data: Data,
        settings: &RegoSettings,
    ) -> Result<Self, Vec<RegoError>> {
        Self::compile_after(None, modules, data, settings)
    }

    /// The same, where much is likely to be as it was before.
    pub fn compile_after(
        before: Option<&Self>,
        modules: &[RegoModule],
        data: Data,
        settings: &RegoSettings,
    ) -> Result<Self, Vec<RegoError>> {
        for module in modules {
            lower::check_names(&module.path, &module.text).map_err(|error| vec![error])?;
        }
        let (rule, query) = match &settings.asked {
            Asked::Nothing => (None, None),
            Asked::Rule(path) => (Some(path), None),
            Asked::Query(query) => (None, Some(query.as_str())),
        };
        let configured = settings.providers.values().chain(rule);
        let is_data = |path: &&String| data.leads_to(parts_of(path));
        let in_data: BTreeSet<String> = configured.filter(is_data).cloned().collect();
        let terms = Terms {
            query,
            limit: settings.evaluation_limit,
            at_once: settings.at_once,
            may_ask: settings.outside.is_some(),
            runtime: settings.runtime.as_ref().map(|runtime| &runtime.0),
            before: before.map(|before| &before.engine),
        };
        let (engine, graph) = Engine::compile(modules, data.0, terms)?;
        let entrypoint = |path: &String| {
            let parts: Vec<_> = parts_of(path).map(str::to_owned).collect();
            let is_missing = graph.leads_nowhere(&parts) && !in_data.contains(path);
            Entrypoint {
                is_missing,
                ..Entrypoint::new(path, engine.target(path), graph.reached(&parts), settings)
            }
        };
        let providers = settings.providers.iter();
        Ok(Self {
            entrypoint: match query {
                Some(query) => {
                    let reached = graph.reached(&QUERY_RULE.map(str::to_owned));
                    let target = engine.query_target(query)?;
                    Some(Entrypoint::new(query, target, reached, settings))
                }
                None => rule.map(entrypoint),
            },
            input: settings.input.clone(),
            caching: settings.caching.clone(),
            providers: providers
                .map(|(name, path)| (name.clone(), entrypoint(path)))
                .collect(),
            engine,
        })
    }

    /// Evaluates an entrypoint for a request. `now_ns` is what policies see as the current time, in
    /// nanoseconds since 1970.
    pub fn evaluate(
        &self,
        entrypoint: &Entrypoint,
        attributes: &Attributes,
        now_ns: i64,
    ) -> Result<Outcome, RegoFailure> {
        self.evaluate_for(entrypoint, &RegoRequest::new(attributes, None), now_ns)
    }

    /// The same for a request that may have others asked.
    pub fn evaluate_for(
        &self,
        entrypoint: &Entrypoint,
        request: &RegoRequest<'_>,
        now_ns: i64,
    ) -> Result<Outcome, RegoFailure> {
        // Also where nothing is read: a request without a document has no outcome.
        let input = input::build(request, &self.input, &entrypoint.input)?;
        let constant = entrypoint.constant.as_ref();
        if let Some(outcome) = constant.and_then(OnceLock::get) {
            return Ok(outcome.clone());
        }
        let horizon = Horizon::begin();
        let value = self
            .engine
            .evaluate(&entrypoint.target, input, entrypoint.limit, now_ns)?;
        let outcome = Outcome {
            until_ns: horizon.until_ns(),
            ..Outcome::parse(&value, &self.caching)?
        };
        if let Some(constant) = constant {
            constant.get_or_init(|| outcome.clone());
        }
        Ok(outcome)
    }

    /// Answers a query of any form, as OPA's own tests ask them: the bindings of each solution.
    /// `strict` makes a built-in that fails an error.
    pub fn query(
        &self,
        query: &str,
        input: Data,
        strict: bool,
        now_ns: i64,
    ) -> Result<Vec<Data>, EvaluationError> {
        let solutions = self.engine.query(query, input.0, strict, now_ns)?;
        Ok(solutions.into_iter().map(Data).collect())
    }

    /// What is asked for every request.
    pub fn entrypoint(&self) -> Option<&Entrypoint> {
        self.entrypoint.as_ref()
    }

    /// Every rule that can be asked.
    pub fn all(&self) -> impl Iterator<Item = &Entrypoint> {
        self.entrypoint.iter().chain(self.providers.values())
    }

    /// What a provider of action CUSTOM asks.
    pub fn provider(&self, name: &str) -> Option<&Entrypoint> {
        self.providers.get(name)
    }

    /// The entrypoints that a workload with rules for these providers can have asked.
    pub fn asked<'a>(
        &'a self,
        providers: impl IntoIterator<Item = &'a String>,
    ) -> impl Iterator<Item = &'a Entrypoint> {
        let providers = providers.into_iter();
        let providers = providers.filter_map(|name| self.provider(name));
        self.entrypoint.iter().chain(providers)
    }

    /// Whether any module calls a built-in that reaches outside.
    pub fn asks_others(&self) -> bool {
        self.engine.asks_others
    }
}

// === impl Entrypoint ===

impl Entrypoint {
    fn new(path: &str, target: Target, reached: Reached, settings: &RegoSettings) -> Self {
        let reads = reads::reads(&reached, settings.input.skip_body);
        // Its clock does not stop while an evaluation waits: what may be waited comes on top. Where
        // nothing can be waited for, it may run where others wait for it.
        let waits = settings.outside.filter(|_| reads.external);
        let is_constant = reached.input.is_empty() && reached.effect.purity == Purity::Pure;
        Self {
            path: path.to_owned(),
            constant: is_constant.then(OnceLock::new),
            is_uncached: settings
                .caching
                .off
                .iter()
                .any(|off| is_same_path(off, path)),
            volatile: reached.effect.unremembered(),
            target,
            reads,
            limit: settings.evaluation_limit + waits.unwrap_or_default(),
            input: reached.input,
            data: reached.data,
            is_missing: false,
        }
    }

    /// What is missing, if nothing loaded is at its path: every answer is undefined.
    pub fn missing(&self) -> Option<String> {
        self.is_missing.then(|| {
            let rule = module::reference(parts_of(&self.path));
            format!("no rule or data is loaded at {rule}")
        })
    }

    /// As configured, slash-separated.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether its answer, the same for every request, is known already.
    pub fn is_settled(&self) -> bool {
        self.constant
            .as_ref()
            .is_some_and(|constant| constant.get().is_some())
    }

    /// What its answers depend on.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// How long one of its answers may be remembered.
    pub fn lifetime(&self, outcome: &Outcome) -> Lifetime {
        let why = match outcome.cache_ttl {
            _ if self.is_uncached => Some(Unremembered::EntrypointOff),
            Some(Duration::ZERO) => Some(Unremembered::PolicyOff),
            // Rule: what reads more than the request is remembered for as long as policy says.
            Some(_) => None,
            None => self.volatile,
        };
        Lifetime {
            until_ns: outcome.until_ns,
            ttl: outcome.cache_ttl,
            never: why,
        }
    }

    /// Whether its answers can be others each time, whatever the request and the time.
    pub fn is_random(&self) -> bool {
        self.volatile == Some(Unremembered::ReadsRandom)
    }

    /// The parts of the input document that it can read.
    pub fn input(&self) -> &Paths {
        &self.input
    }

    /// The parts of base data that it names.
    pub fn data(&self) -> &Paths {
        &self.data
    }
}

/// Whether two slash-separated paths lead to the same rule.
pub fn is_same_path(one: &str, other: &str) -> bool {
    parts_of(one).eq(parts_of(other))
}

/// The parts of a slash-separated path.
fn parts_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}
