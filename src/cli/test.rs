//! `doorward test`: runs the cases beside policies and prints a line for each.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Outcome, complain, count, say};
use crate::cases::{ENDING, Found, LoadError, Suite, Verdict, find};
use crate::telemetry::unix_nanos;

/// In front of what is wrong with a case.
const INDENT: &str = "\n              ";

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Also take each policy object away in turn, and fail if no case notices.
    #[arg(long)]
    mutate: bool,
    /// Files `*.cases.yaml`, and folders to look for them in.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

/// What all files came to.
#[derive(Debug, Default)]
struct Tally {
    files: usize,
    passed: usize,
    failed: usize,
    unneeded: usize,
    could_not_load: usize,
}

pub(super) fn run(args: &Args) -> Outcome {
    let found = match find(&args.paths) {
        Ok(found) => found,
        Err(error) => return could_not_load(&error),
    };
    let mut tally = Tally::default();
    for path in &found.cases {
        match Suite::load(path) {
            Ok(suite) => run_suite(&suite, args.mutate, &mut tally),
            Err(error) => {
                could_not_load(&error);
                tally.could_not_load += 1;
            }
        }
    }
    for path in &found.rego_tests {
        say(&format!(
            "NOT RUN {}: Rego tests are not supported yet",
            path.display()
        ));
    }
    say(&tally.summary(&found, args.mutate));
    tally.outcome()
}

fn could_not_load(error: &LoadError) -> Outcome {
    error.0.iter().for_each(|line| complain(line));
    Outcome::CouldNotRun
}

fn run_suite(suite: &Suite, mutate: bool, tally: &mut Tally) {
    let now_ns = unix_nanos();
    say(&suite.file);
    for verdict in suite.run(now_ns) {
        if verdict.passed() {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
        say(&lines(&verdict));
    }
    tally.files += 1;
    if !mutate {
        return;
    }
    match suite.unneeded(now_ns) {
        Ok(unneeded) => {
            tally.unneeded += unneeded.len();
            for id in unneeded {
                say(&format!("  UNTESTED  {id}: no case fails without it"));
            }
        }
        Err(error) => {
            tally.could_not_load += 1;
            complain(&format!("{}: {error}", suite.file));
        }
    }
}

/// A case in one line, and what is wrong with it below.
fn lines(verdict: &Verdict) -> String {
    if verdict.passed() {
        return format!("  ok        {}", verdict.name);
    }
    let mut text = format!("  FAILED    {}", verdict.name);
    for mismatch in &verdict.mismatches {
        let (expected, got) = (printable(&mismatch.expected), printable(&mismatch.got));
        let member = mismatch.member;
        text.push_str(&format!("{INDENT}{member}: expected {expected}, got {got}"));
    }
    text.push_str(&format!("{INDENT}decided: {}", printable(&verdict.decided)));
    text
}

/// Values of a request stand in it, and this goes to a terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

// === impl Tally ===

impl Tally {
    fn summary(&self, found: &Found, mutate: bool) -> String {
        let mut parts = vec![
            format!("{} ok", self.passed),
            format!("{} failed", self.failed),
        ];
        if mutate {
            let untested = count(self.unneeded, "policy", "policies");
            parts.push(format!("{untested} untested"));
        }
        if self.could_not_load > 0 {
            let files = count(self.could_not_load, "file", "files");
            parts.push(format!("{files} not loaded"));
        }
        if !found.rego_tests.is_empty() {
            let files = count(found.rego_tests.len(), "Rego test file", "Rego test files");
            parts.push(format!("{files} not run"));
        }
        let parts = parts.join(", ");
        if found.cases.is_empty() {
            return format!("no cases found, as there is no `*{ENDING}` in these paths: {parts}");
        }
        let cases = count(self.passed + self.failed, "case", "cases");
        let files = count(self.files, "file", "files");
        format!("{cases} in {files}: {parts}")
    }

    fn outcome(&self) -> Outcome {
        if self.could_not_load > 0 {
            Outcome::CouldNotRun
        } else if self.failed + self.unneeded > 0 || self.passed == 0 {
            Outcome::No
        } else {
            Outcome::Done
        }
    }
}
