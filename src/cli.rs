//! The command line: one file a subcommand. Exit codes: 0 done, 1 the answer is no, 2 usage,
//! 3 could not run.

mod bundle;
mod check;
mod decisions;
mod errors;
mod healthcheck;
mod replay;
mod serve;
mod test;
mod trust;
mod validate;

#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// External authorization for Envoy: Istio security policies, Rego bundles and JWT checks.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer checks of proxies and calls of operators.
    Serve(serve::Args),
    /// Ask what becomes of a request, and why.
    Check(Box<check::Args>),
    /// Load policies as `serve` would, and say what is wrong with them.
    Validate(validate::Args),
    /// Run the tests that stand beside policies: cases (`*.cases.yaml`) and Rego tests.
    Test(Box<test::Args>),
    /// Make, look at, sign, verify and push bundles.
    Bundle(bundle::Args),
    /// Ask a running server who was denied, and why.
    Decisions(decisions::Args),
    /// Ask a running server which recorded decisions a change would make others.
    Replay(Box<replay::Args>),
    /// Ask a running server whether it is ready.
    Healthcheck(healthcheck::Args),
    /// Print the version.
    Version,
}

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    No,
    Usage,
    CouldNotRun,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::No => Self::from(1),
            Outcome::Usage => Self::from(2),
            Outcome::CouldNotRun => Self::from(3),
        }
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    // Usage errors end the process with 2, as clap has it.
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => Ok(check::run(&args)),
        Command::Validate(args) => Ok(validate::run(&args)),
        Command::Test(args) => test::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Decisions(args) => decisions::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Healthcheck(args) => Ok(healthcheck::run(&args)),
        Command::Version => Ok(say(concat!("doorward ", env!("CARGO_PKG_VERSION")))),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            complain(&format!("{error:#}"));
            Outcome::CouldNotRun.into()
        }
    }
}

/// Prints a line a program may read. One that has read enough may close its end: that is no error.
fn say(line: &str) -> Outcome {
    drop(writeln!(std::io::stdout(), "{line}"));
    Outcome::Done
}

/// `1 case`, `2 cases`.
fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Prints a line a person should read.
#[expect(
    clippy::print_stderr,
    reason = "this is what a command line program does"
)]
fn complain(line: &str) {
    eprintln!("doorward: {line}");
}
