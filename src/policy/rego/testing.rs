//! Rego tests as `opa test` runs them: each test rule is asked on its own, within a time of its own.
//! Finding the rules is left to `lower`, telling people what came of them to the caller.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use regorus::Value;

use super::coverage::{Coverage, Lines};
use super::engine::{Engine, Terms};
use super::lower::check_names;
use super::lower::testing::{Recorder, find};
use super::{Data, RegoError, RegoModule};

pub use super::lower::testing::RegoTest;

/// Modules and data compiled to run the tests in them.
#[derive(Debug)]
pub struct RegoTests {
    engine: Engine,
    tests: Vec<RegoTest>,
    /// Lines that count when it is told what was reached.
    counted: Lines,
}

/// What a test came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    pub verdict: TestVerdict,
    /// By name, of a test that has cases.
    pub cases: Cases,
    /// What it printed.
    pub output: Vec<String>,
    /// Lines that were evaluated, if they were asked for.
    reached: Lines,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestVerdict {
    Passed,
    Failed,
    Skipped,
    Error(RegoError),
}

/// Cases of a test or of a case, by name.
pub type Cases = BTreeMap<String, CaseResult>;

/// One case of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseResult {
    pub failed: bool,
    pub cases: Cases,
}

// === impl RegoTests ===

impl RegoTests {
    /// Whether there is a test in any module, or may be in one that cannot be read.
    pub fn are_in(modules: &[RegoModule]) -> bool {
        let found = find(modules, false);
        !found.tests.is_empty() || found.is_partial
    }

    /// Compiles modules over data, with a limit of time for each test. `with_coverage`: what tests
    /// reach is seen.
    pub fn compile(
        modules: &[RegoModule],
        data: Data,
        limit: Duration,
        with_coverage: bool,
    ) -> Result<Self, Vec<RegoError>> {
        for module in modules {
            check_names(&module.path, &module.text).map_err(|error| vec![error])?;
        }
        let found = find(modules, with_coverage);
        let mut tests = found.tests;
        tests.sort_by(|left, right| (&left.file, left.row).cmp(&(&right.file, right.row)));
        let terms = Terms {
            query: None,
            limit,
            at_once: NonZeroUsize::MIN,
            // It loads, with stand-ins for what is asked of others, which has no answer itself.
            may_ask: true,
            runtime: Some(&Value::Undefined),
            before: None,
        };
        let (mut engine, _) = Engine::compile_lowered(modules, found.lowered, data.0, terms)?;
        engine.cover(with_coverage);
        Ok(Self {
            engine,
            tests,
            counted: found.counted,
        })
    }

    /// Has tests see what policies are told by `opa.runtime`.
    pub fn with_runtime(mut self, runtime: Option<&Data>) -> Self {
        if let Some(runtime) = runtime {
            self.engine.run_by(runtime.0.clone());
        }
        self
    }

    /// What tests that were run have reached.
    pub fn coverage<'a>(&self, results: impl IntoIterator<Item = &'a TestResult>) -> Coverage {
        let mut reached = Lines::new();
        let lines = results.into_iter().flat_map(|result| &result.reached);
        for (file, rows) in lines {
            let known = reached.entry(file.clone()).or_default();
            known.extend(rows);
        }
        Coverage::of(&self.counted, &reached)
    }

    /// All tests, by file and row.
    pub fn tests(&self) -> &[RegoTest] {
        &self.tests
    }

    /// Runs a test. `now_ns` is what it sees as the time.
    pub fn run(&self, test: &RegoTest, now_ns: i64) -> TestResult {
        if test.is_skipped {
            return TestResult {
                verdict: TestVerdict::Skipped,
                cases: Cases::new(),
                output: Vec::new(),
                reached: Lines::new(),
            };
        }
        let recorder = Recorder::start();
        let alone = self.engine.evaluate_alone(&test.reference, now_ns);
        let noted = recorder.cases();
        let (verdict, cases) = match alone.value {
            Err(error) => (TestVerdict::Error(error), Cases::new()),
            Ok(value) if test.has_cases => {
                let mut cases = cases_of(&value);
                noted.iter().for_each(|path| note(&mut cases, path));
                let failed = cases.values().any(|case| case.failed);
                (verdict(!failed), cases)
            }
            // Rule: a test has passed if its value is true, and nothing else.
            Ok(value) => (verdict(value == Value::from(true)), Cases::new()),
        };
        TestResult {
            verdict,
            cases,
            output: alone.prints,
            reached: alone.lines,
        }
    }
}

fn verdict(passed: bool) -> TestVerdict {
    if passed {
        TestVerdict::Passed
    } else {
        TestVerdict::Failed
    }
}

/// Rule: what a case's name leads to is true, or an object of further cases.
fn cases_of(value: &Value) -> Cases {
    let fields = value.as_object().ok();
    let fields = fields.iter().flat_map(|fields| fields.iter());
    let cases = fields.map(|(name, value)| {
        let cases = cases_of(value);
        let failed = match value {
            Value::Object(_) => cases.values().any(|case| case.failed),
            value => *value != Value::from(true),
        };
        (case_name(name), CaseResult { failed, cases })
    });
    cases.collect()
}

/// Rule: a case that was begun and has no value has failed, and so has all it lies in.
fn note(cases: &mut Cases, path: &Value) {
    let names: Vec<String> = match path {
        Value::Array(path) => path.iter().map(case_name).collect(),
        other => vec![case_name(other)],
    };
    note_at(cases, &names);
}

fn note_at(cases: &mut Cases, names: &[String]) -> bool {
    let Some((name, rest)) = names.split_first() else {
        return true;
    };
    let case = cases.entry(name.clone()).or_insert_with(|| CaseResult {
        failed: true,
        cases: Cases::new(),
    });
    if !rest.is_empty() && note_at(&mut case.cases, rest) {
        case.failed = true;
    }
    case.failed
}

fn case_name(name: &Value) -> String {
    match name {
        Value::String(name) => name.to_string(),
        other => other.to_json_str().unwrap_or_else(|_| "INVALID".to_owned()),
    }
}
