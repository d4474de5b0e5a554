//! Rego tests that bundles carry, run before what they test is activated. They see everything that
//! would be active with them, and run where requests wait for nothing. Which rules are tests, and what
//! each comes to, is told by `policy`.

use std::time::{Duration, Instant};

use super::ActivationError;
use super::state::State;
use crate::bundle::Bundle;
use crate::policy::rego::{Cases, RegoTest, RegoTests, TestResult, TestVerdict};
use crate::policy::{Location, PolicyError, PolicySettings};
use crate::telemetry::unix_nanos;

/// Longest one test may take.
const TEST_LIMIT: Duration = Duration::from_secs(5);
/// Longest all tests of one activation may take; none is begun after it.
const TOTAL_LIMIT: Duration = Duration::from_secs(60);
/// Most tests named in a refusal.
const MAX_NAMED: usize = 20;

/// Runs the tests of bundles, if settings say so. Every test that fails is an error with its place.
pub(super) fn run<'a>(
    state: &State,
    bundles: impl Iterator<Item = &'a Bundle>,
    settings: &PolicySettings,
) -> Result<(), ActivationError> {
    if !settings.run_bundle_tests {
        return Ok(());
    }
    let with_tests = bundles.filter(|bundle| RegoTests::are_in(&bundle.modules));
    let prefixes: Vec<String> = with_tests
        .map(|bundle| format!("{}/", bundle.name))
        .collect();
    if prefixes.is_empty() {
        return Ok(());
    }
    let sources = state.sources()?;
    let compiled = RegoTests::compile(&sources.modules, sources.data, TEST_LIMIT, false);
    let tests = compiled.map_err(|errors| {
        ActivationError::Invalid(errors.into_iter().map(PolicyError::from).collect())
    })?;
    let tests = tests.with_runtime(settings.rego.runtime.as_ref());
    let is_of_bundle =
        |test: &&RegoTest| prefixes.iter().any(|prefix| test.file.starts_with(prefix));
    let wanted: Vec<_> = tests.tests().iter().filter(is_of_bundle).collect();
    tracing::info!(tests = wanted.len(), "the tests of bundles begin");
    let mut progress = Progress::begin();
    for test in wanted {
        if progress.begun.elapsed() > TOTAL_LIMIT {
            progress.out_of_time(test);
            break;
        }
        let result = tests.run(test, unix_nanos());
        progress.note(test, &result);
    }
    progress.end()
}

struct Progress {
    begun: Instant,
    passed: usize,
    skipped: usize,
    failed: usize,
    errors: Vec<PolicyError>,
}

impl Progress {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            passed: 0,
            skipped: 0,
            failed: 0,
            errors: Vec::new(),
        }
    }

    fn note(&mut self, test: &RegoTest, result: &TestResult) {
        let name = &test.full_name;
        let message = match &result.verdict {
            TestVerdict::Passed => {
                self.passed += 1;
                return;
            }
            TestVerdict::Skipped => {
                self.skipped += 1;
                return;
            }
            TestVerdict::Failed => format!("test {name} failed{}", cases(&result.cases)),
            TestVerdict::Error(error) => {
                format!(
                    "test {name} had an error: {}: {}",
                    error.code, error.message
                )
            }
        };
        tracing::warn!(test = %name, file = %test.file, row = test.row, "a bundle's test did not pass");
        self.fail(test, message);
    }

    fn out_of_time(&mut self, test: &RegoTest) {
        let limit = TOTAL_LIMIT.as_secs();
        let name = &test.full_name;
        self.fail(
            test,
            format!("test {name} was not begun, as all tests together took {limit}s"),
        );
    }

    fn fail(&mut self, test: &RegoTest, message: String) {
        self.failed += 1;
        if self.errors.len() < MAX_NAMED {
            self.errors.push(PolicyError {
                code: "test_error",
                message,
                location: Some(Location {
                    file: test.file.clone(),
                    row: test.row,
                    col: test.col,
                }),
            });
        }
    }

    fn end(self) -> Result<(), ActivationError> {
        tracing::info!(
            passed = self.passed,
            skipped = self.skipped,
            failed = self.failed,
            "the tests of bundles have ended"
        );
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(ActivationError::Invalid(self.errors)),
        }
    }
}

/// The cases that failed, by name.
fn cases(cases: &Cases) -> String {
    let failed = cases.iter().filter(|(_, case)| case.failed);
    let names: Vec<_> = failed
        .map(|(name, _)| name.as_str())
        .take(MAX_NAMED)
        .collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(": {}", names.join(", ")),
    }
}
