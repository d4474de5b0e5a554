//! `doorward test`: runs what stands beside policies to test them, cases files and Rego tests, and
//! tells what came of it. Exit codes are this program's: a test that fails is 1, where OPA ends
//! with 2.

mod cases;
mod coverage;
mod json;
mod rego;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args as ClapArgs, ValueEnum};
use regex::Regex;

use super::serve::STACK_BYTES;
use super::{Outcome, complain, count, say};
use crate::cases::{ENDING, LoadError, RegoOptions, Suite, find, load_rego};
use crate::policy::rego::RegoTests;
use crate::units::Span;
use json::Entry;

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Args {
    /// Also take each policy object away in turn, and fail if no case notices.
    #[arg(long)]
    mutate: bool,
    /// Run only Rego tests whose full name (`data.PACKAGE.test_x`) has a match of this.
    #[arg(long, short, value_name = "REGEX")]
    run: Option<Regex>,
    /// Tell Rego tests that pass as well.
    #[arg(long, short)]
    verbose: bool,
    /// What to print.
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,
    /// Longest a Rego test may take.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: Span,
    /// Run everything so many times, up to the first that fails.
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,
    /// Skipped tests (`todo_test_…`) are no failure.
    #[arg(long, short = 'z')]
    exit_zero_on_skipped: bool,
    /// Print which lines of the policies Rego tests reach, instead of the results.
    #[arg(long, short)]
    coverage: bool,
    /// Fail if they reach less, in percent of the lines.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    threshold: Option<f64>,
    /// Load each PATH as a bundle.
    #[arg(long, short)]
    bundle: bool,
    /// Read Rego files in language version 0.
    #[arg(long)]
    v0_compatible: bool,
    /// Rego, data, bundles, files `*.cases.yaml`, and folders to look for them in.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "is not a number between 0 and 100".to_owned())
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Pretty,
    Json,
}

/// What all files came to.
#[derive(Debug, Default)]
struct Tally {
    files: usize,
    rego_tests: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
    errors: usize,
    unneeded: usize,
    could_not_load: usize,
    /// Less was reached than was asked for.
    missed_threshold: bool,
}

// === impl Args ===

impl Args {
    /// Rule: a threshold asks for coverage.
    fn with_coverage(&self) -> bool {
        self.coverage || self.threshold.is_some_and(|threshold| threshold > 0.0)
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    // Policies and documents nest, and what looks at them recurses.
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let args = args.clone();
    let thread = thread.spawn(move || run_here(&args));
    let ended = thread.context("no thread for the tests")?.join();
    Ok(ended.unwrap_or(Outcome::CouldNotRun))
}

fn run_here(args: &Args) -> Outcome {
    let cases = match find(&args.paths) {
        Ok(cases) => cases,
        Err(error) => return could_not_load(&error),
    };
    let mut unloaded = 0;
    let suites = cases.iter().map(|path| Suite::load(path));
    let suites: Vec<Suite> = suites
        .filter_map(|suite| suite.map_err(|error| could_not_load(&error)).ok())
        .collect();
    unloaded += cases.len() - suites.len();
    let options = RegoOptions {
        bundle: args.bundle,
        v0: args.v0_compatible,
        timeout: args.timeout.0,
        coverage: args.with_coverage(),
    };
    let tests = load_rego(&args.paths, &options).unwrap_or_else(|error| {
        could_not_load(&error);
        unloaded += 1;
        None
    });
    let mut outcome = Outcome::Done;
    for _ in 0..args.count.max(1) {
        let mut tally = Tally {
            could_not_load: unloaded,
            ..Tally::default()
        };
        run_once(args, &suites, tests.as_ref(), &mut tally);
        outcome = tally.outcome(args.exit_zero_on_skipped);
        if outcome != Outcome::Done {
            break;
        }
    }
    outcome
}

fn run_once(args: &Args, suites: &[Suite], tests: Option<&RegoTests>, tally: &mut Tally) {
    let pretty = args.format == Format::Pretty && !args.with_coverage();
    let mut entries = Vec::new();
    for suite in suites {
        let verdicts = cases::run(suite, args.mutate, pretty, tally);
        entries.extend(
            verdicts
                .iter()
                .map(|verdict| Entry::of_case(&suite.file, verdict)),
        );
    }
    let ran = tests.map(|tests| rego::run(tests, args.run.as_ref()));
    let ran = ran.unwrap_or_default();
    rego::count(&ran, tally);
    if args.with_coverage() {
        tally.missed_threshold = !tell_coverage(args, tests, &ran, tally);
        return;
    }
    if !pretty {
        entries.extend(ran.iter().map(Entry::of_test));
        let text = serde_json::to_string_pretty(&entries);
        for text in text.iter() {
            say(text);
        }
        return;
    }
    let told = rego::tell(&ran, args.verbose);
    if tally.rego_tests > 0 {
        rego::sum_up(tally, told || tally.files > 0);
        for line in tally.rest(args.mutate) {
            say(&line);
        }
    } else {
        say(&tally.summary(args.mutate));
    }
}

/// Rule: what tests reach is only told if they pass; else the tests that did not are.
fn tell_coverage(
    args: &Args,
    tests: Option<&RegoTests>,
    ran: &[rego::Ran<'_>],
    tally: &Tally,
) -> bool {
    if tally.failed + tally.errors > 0 {
        rego::tell(ran, args.verbose);
        rego::sum_up(tally, true);
        return true;
    }
    let results = ran.iter().map(|ran| &ran.result);
    let reached = tests.map(|tests| tests.coverage(results));
    let threshold = args.threshold.unwrap_or_default();
    coverage::tell(&reached.unwrap_or_default(), threshold, args.verbose)
}

fn could_not_load(error: &LoadError) -> Outcome {
    error.0.iter().for_each(|line| complain(line));
    Outcome::CouldNotRun
}

// === impl Tally ===

impl Tally {
    /// Of cases alone.
    fn summary(&self, mutate: bool) -> String {
        let mut parts = vec![
            format!("{} ok", self.passed),
            format!("{} failed", self.failed),
        ];
        parts.extend(self.rest(mutate));
        let parts = parts.join(", ");
        if self.files == 0 && self.could_not_load == 0 {
            return format!(
                "nothing to run, as there is no `*{ENDING}` and no Rego test in these paths: {parts}"
            );
        }
        let cases = count(self.passed + self.failed, "case", "cases");
        let files = count(self.files, "file", "files");
        format!("{cases} in {files}: {parts}")
    }

    /// What there is to tell besides.
    fn rest(&self, mutate: bool) -> Vec<String> {
        let untested = count(self.unneeded, "policy", "policies");
        let files = count(self.could_not_load, "file", "files");
        let untested = mutate.then(|| format!("{untested} untested"));
        let unloaded = (self.could_not_load > 0).then(|| format!("{files} not loaded"));
        untested.into_iter().chain(unloaded).collect()
    }

    fn outcome(&self, skipped_is_fine: bool) -> Outcome {
        let skipped = if skipped_is_fine { 0 } else { self.skipped };
        let ran = self.passed + self.rego_tests;
        if self.could_not_load > 0 {
            Outcome::CouldNotRun
        } else if self.failed + self.errors + self.unneeded + skipped > 0
            || ran == 0
            || self.missed_threshold
        {
            Outcome::No
        } else {
            Outcome::Done
        }
    }
}
