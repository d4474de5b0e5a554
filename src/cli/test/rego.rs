//! Rego tests, run and told as `opa test` tells them: lines for people, or objects for programs.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use regex::Regex;

use super::super::say;
use super::Tally;
use super::cases::printable;
use crate::policy::rego::{Cases, RegoTest, RegoTests, TestResult, TestVerdict};
use crate::telemetry::unix_nanos;

/// Between the parts of a report.
const LINE: &str =
    "--------------------------------------------------------------------------------";

/// A test that was run.
#[derive(Debug)]
pub(super) struct Ran<'a> {
    pub(super) test: &'a RegoTest,
    pub(super) result: TestResult,
    pub(super) duration: Duration,
}

/// Runs the tests whose names fit.
pub(super) fn run<'a>(tests: &'a RegoTests, filter: Option<&Regex>) -> Vec<Ran<'a>> {
    let is_wanted = |test: &&RegoTest| filter.is_none_or(|filter| filter.is_match(&test.full_name));
    let wanted = tests.tests().iter().filter(is_wanted);
    let ran = wanted.map(|test| {
        let begin = Instant::now();
        let result = tests.run(test, unix_nanos());
        Ran {
            test,
            result,
            duration: match test.is_skipped {
                true => Duration::ZERO,
                false => begin.elapsed(),
            },
        }
    });
    ran.collect()
}

/// Counts tests, and of those that have cases each case.
pub(super) fn count(ran: &[Ran<'_>], tally: &mut Tally) {
    for ran in ran {
        match &ran.result.verdict {
            TestVerdict::Skipped => tally.skipped += 1,
            TestVerdict::Error(_) => tally.errors += 1,
            _ if !ran.result.cases.is_empty() => count_cases(&ran.result.cases, tally),
            TestVerdict::Passed => tally.passed += 1,
            TestVerdict::Failed => tally.failed += 1,
        }
        tally.rego_tests += 1;
    }
}

fn count_cases(cases: &Cases, tally: &mut Tally) {
    for case in cases.values() {
        match (case.cases.is_empty(), case.failed) {
            (false, _) => count_cases(&case.cases, tally),
            (true, true) => tally.failed += 1,
            (true, false) => tally.passed += 1,
        }
    }
}

/// Tells those that did not pass, or all. Returns whether anything was told.
pub(super) fn tell(ran: &[Ran<'_>], verbose: bool) -> bool {
    let failed: Vec<_> = ran
        .iter()
        .filter(|ran| ran.result.verdict == TestVerdict::Failed)
        .collect();
    if verbose && !failed.is_empty() {
        say(&format!("FAILURES\n{LINE}"));
        for ran in failed {
            say(&format!(
                "{}\n\n  {}:{}\n",
                ran.line(),
                ran.test.file,
                ran.test.row
            ));
        }
        say(&format!("SUMMARY\n{LINE}"));
    }
    let mut file = None;
    for ran in ran {
        let passed = ran.result.verdict == TestVerdict::Passed;
        if passed && !verbose {
            continue;
        }
        if file != Some(&ran.test.file) {
            if file.is_some() {
                say("");
            }
            say(&format!("{}:", ran.test.file));
            file = Some(&ran.test.file);
        }
        ran.tell(verbose);
    }
    file.is_some()
}

/// What everything came to, as OPA sums up.
pub(super) fn sum_up(tally: &Tally, told: bool) {
    let counts = [
        ("PASS", tally.passed),
        ("FAIL", tally.failed),
        ("SKIPPED", tally.skipped),
        ("ERROR", tally.errors),
    ];
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    if told {
        say(LINE);
    }
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        say(&format!("{name}: {count}/{total}"));
    }
}

// === impl Ran ===

impl Ran<'_> {
    fn line(&self) -> String {
        let (test, duration) = (self.test, go_duration(self.duration));
        let name = format!("{}.{}", test.package, test.name);
        match &self.result.verdict {
            TestVerdict::Passed => format!("{name}: PASS ({duration})"),
            TestVerdict::Failed => format!("{name}: FAIL ({duration})"),
            TestVerdict::Skipped => format!("{name}: SKIPPED"),
            TestVerdict::Error(_) => format!("{name}: ERROR ({duration})"),
        }
    }

    fn tell(&self, verbose: bool) {
        say(&self.line());
        tell_cases(&self.result.cases, verbose, 1);
        let output = self.result.output.join("\n");
        if !output.is_empty() {
            let lines = output
                .trim()
                .lines()
                .map(|line| format!("  {}", printable(line)));
            say(&format!("\n{}\n", lines.collect::<Vec<_>>().join("\n")));
        }
        if let TestVerdict::Error(error) = &self.result.verdict {
            let place = match error.file.is_empty() {
                true => String::new(),
                false => format!("{}:{}: ", error.file, error.row),
            };
            say(&format!(
                "  {place}{}: {}",
                error.code,
                printable(&error.message)
            ));
        }
    }
}

fn tell_cases(cases: &Cases, verbose: bool, depth: usize) {
    for (name, case) in cases {
        if case.failed || verbose {
            let outcome = if case.failed { "FAIL" } else { "PASS" };
            say(&format!(
                "{}{}: {outcome}",
                "  ".repeat(depth),
                printable(name)
            ));
        }
        tell_cases(&case.cases, verbose, depth + 1);
    }
}

/// A time as Go writes it: `1.2ms`, `417ns`.
fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, name) = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    // Written with as many digits as it has; nanoseconds of days fit a float.
    let seconds = duration.as_secs_f64() * 1e9 / unit;
    let text = format!("{seconds:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{name}")
}
