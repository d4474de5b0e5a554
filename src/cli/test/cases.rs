//! Cases files, run and told: a line for each case, and what is wrong with it below.

use super::super::{complain, say};
use super::Tally;
use crate::cases::{Suite, Verdict};
use crate::telemetry::unix_nanos;

/// In front of what is wrong with a case.
const INDENT: &str = "\n              ";

/// Runs the cases of a file. `say_each` tells them as lines.
pub(super) fn run(suite: &Suite, mutate: bool, say_each: bool, tally: &mut Tally) -> Vec<Verdict> {
    let now_ns = unix_nanos();
    let verdicts = suite.run(now_ns);
    let tell = |line: &str| {
        if say_each {
            say(line);
        }
    };
    tell(&suite.file);
    for verdict in &verdicts {
        if verdict.passed() {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
        tell(&lines(verdict));
    }
    tally.files += 1;
    if !mutate {
        return verdicts;
    }
    match suite.unneeded(now_ns) {
        Ok(unneeded) => {
            tally.unneeded += unneeded.len();
            for id in unneeded {
                tell(&format!("  UNTESTED  {id}: no case fails without it"));
            }
        }
        Err(error) => {
            tally.could_not_load += 1;
            complain(&format!("{}: {error}", suite.file));
        }
    }
    verdicts
}

/// A case in one line, and what is wrong with it below.
fn lines(verdict: &Verdict) -> String {
    if verdict.passed() {
        return format!("  ok        {}", verdict.name);
    }
    let wrong = wrong(verdict);
    let wrong = wrong.iter().map(|line| format!("{INDENT}{line}"));
    format!("  FAILED    {}{}", verdict.name, wrong.collect::<String>())
}

/// What is not as expected, and what was decided.
pub(super) fn wrong(verdict: &Verdict) -> Vec<String> {
    let mismatches = verdict.mismatches.iter().map(|mismatch| {
        let (expected, got) = (printable(&mismatch.expected), printable(&mismatch.got));
        format!("{}: expected {expected}, got {got}", mismatch.member)
    });
    let decided = format!("decided: {}", printable(&verdict.decided));
    mismatches.chain([decided]).collect()
}

/// Values of a request stand in it, and this goes to a terminal.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
