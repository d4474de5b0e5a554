//! `doorward replay`: which recorded decisions of a running server a change would make others. The server
//! does the work; here it is asked and shown.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgGroup, Args as ClapArgs};
use serde_json::Value;

use super::decisions::Output;
use super::decisions::filter::{FilterArgs, Parameters, TimeArgs, present};
use super::decisions::screen::{clean, clean_json, print};
use super::decisions::server::{Failure, ServerArgs};
use super::errors::list;
use super::{Outcome, complain, count};
use crate::bundle::{Bundle, Limits, files_of, write_archive};

/// Longest to wait for the answer; a little longer than the server takes at most.
const TIMEOUT: Duration = Duration::from_secs(130);

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    candidate: CandidateArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Most decisions to replay, the newest.
    #[arg(long, value_name = "COUNT")]
    limit: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// One of them.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "What is tried")]
#[command(group(ArgGroup::new("tried").required(true).args(["bundle", "resources", "candidate"])))]
struct CandidateArgs {
    /// A bundle, folder or archive, as if it were pushed.
    #[arg(long, value_name = "PATH", requires = "name")]
    bundle: Option<PathBuf>,
    /// Name of the bundle on the server.
    #[arg(long, value_name = "NAME", requires = "bundle")]
    name: Option<String>,
    /// Files of native policies, as if they were pushed.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    resources: Vec<PathBuf>,
    /// These are all that the API owns: others are removed.
    #[arg(long, requires = "resources")]
    prune: bool,
    /// What the server has: `shadow/NAME`, or `revision/NUMBER` to go back to.
    #[arg(long, value_name = "WHAT")]
    candidate: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(match runtime.block_on(ask(args)) {
        Ok(report) => show(args.output, &report),
        Err(failure) => failure.tell(),
    })
}

async fn ask(args: &Args) -> Result<Value, Failure> {
    let (mut parameters, body) = args.candidate.read()?;
    parameters.extend(args.filter.parameters());
    parameters.extend(args.time.parameters());
    parameters.extend(present([("limit", &args.limit)]));
    let server = args.server.connect_for(TIMEOUT)?;
    server.post("/v1/replay", &parameters, body).await
}

// === impl CandidateArgs ===

impl CandidateArgs {
    /// What says what is tried, and what is sent.
    fn read(&self) -> Result<(Parameters, Vec<u8>), Failure> {
        if let (Some(path), Some(name)) = (&self.bundle, &self.name) {
            if !Bundle::is_name(name) {
                return Err(Failure::Usage(format!(
                    "`{name}` is not a name for a bundle: letters, digits, `-`, `_` and `.`"
                )));
            }
            let candidate = format!("bundle/{name}");
            return Ok((vec![("candidate", candidate)], archive(path)?));
        }
        if let Some(candidate) = &self.candidate {
            let known = ["shadow/", "revision/"];
            if !known.iter().any(|kind| candidate.starts_with(kind)) {
                return Err(Failure::Usage(format!(
                    "--candidate: `{candidate}` is neither `shadow/NAME` nor `revision/NUMBER`"
                )));
            }
            return Ok((vec![("candidate", candidate.clone())], Vec::new()));
        }
        let mut text = Vec::new();
        for file in &self.resources {
            let read = std::fs::read(file).with_context(|| file.display().to_string())?;
            if !text.is_empty() {
                text.extend_from_slice(b"\n---\n");
            }
            text.extend(read);
        }
        let mut parameters = vec![("candidate", "resources".to_owned())];
        parameters.extend(self.prune.then(|| ("prune", "true".to_owned())));
        Ok((parameters, text))
    }
}

fn archive(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = || path.display().to_string();
    match path.is_dir() {
        true => write_archive(&files_of(path, Limits::default()).with_context(shown)?),
        false => std::fs::read(path),
    }
    .with_context(shown)
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Shows a report. Rule: what was not found out is no good news.
fn show(output: Output, report: &Value) -> Outcome {
    match output {
        Output::Json => drop(print(&clean_json(&report.to_string()))),
        // Whoever reads may have read enough.
        Output::Table => drop(table(report).iter().all(|line| print(line))),
    }
    let stopped = report.get("stopped").and_then(Value::as_str);
    match stopped {
        Some("time") => complain("there was no time for all: a later `--since` is less"),
        Some(_) => complain("there may be more: a larger `--limit` replays them"),
        None => {}
    }
    let missing = report.get("missing").is_some();
    if missing {
        complain(
            "the log is damaged, or decisions that old have been removed: not all were replayed",
        );
    }
    let (examined, same) = (number(report, "/examined"), number(report, "/same"));
    if number(report, "/changed/total") > 0 {
        return Outcome::No;
    }
    if examined > 0 && same == 0 {
        complain("no decision could be replayed: `decision_log.detail` has their input recorded");
        return Outcome::CouldNotRun;
    }
    match stopped {
        Some("time") => Outcome::CouldNotRun,
        _ if missing => Outcome::CouldNotRun,
        _ => Outcome::Done,
    }
}

/// A report as lines.
pub(super) fn table(report: &Value) -> Vec<String> {
    let counted = |member: &str| {
        let each = report.get(member).and_then(Value::as_object);
        let each = each.into_iter().flatten();
        let each = each.filter(|(name, _)| *name != "total");
        let each: Vec<_> = each
            .map(|(name, number)| format!("{} {number}", clean(name)))
            .collect();
        match each.is_empty() {
            true => String::new(),
            false => format!(" ({})", each.join(", ")),
        }
    };
    let examined = usize::try_from(number(report, "/examined")).unwrap_or(usize::MAX);
    let mut lines = vec![format!(
        "{}, held against revision {}: {} same, {} changed{}, {} undetermined{}, {} drifted",
        count(examined, "decision", "decisions"),
        number(report, "/revision"),
        number(report, "/same"),
        number(report, "/changed/total"),
        counted("changed"),
        number(report, "/undetermined/total"),
        counted("undetermined"),
        number(report, "/drifted"),
    )];
    for group in list(report, "groups") {
        lines.push(group_line(group));
        let examples = list(group, "examples");
        lines.extend(examples.iter().map(example_line));
    }
    let ungrouped = number(report, "/ungrouped");
    if ungrouped > 0 {
        lines.push(format!("{ungrouped} more changes, in other groups"));
    }
    lines
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    clean(text.unwrap_or("-"))
}

fn group_line(group: &Value) -> String {
    let side = |side: &str| {
        let of = |member: &str| format!("/{side}/{member}");
        let policy = group.pointer(&of("policy")).and_then(Value::as_str);
        let rule = group.pointer(&of("rule")).and_then(Value::as_u64);
        let policy = policy.map_or_else(String::new, |policy| format!(" {}", clean(policy)));
        let rule = rule.map_or_else(String::new, |rule| format!("[{rule}]"));
        format!(
            "{} {} {}{policy}{rule}",
            text(group, &of("effect")),
            number(group, &of("status")),
            text(group, &of("reason")),
        )
    };
    format!(
        "{} {}  {}: {}  →  {}",
        number(group, "/count"),
        text(group, "/result"),
        text(group, "/workload"),
        side("now"),
        side("candidate"),
    )
}

fn example_line(example: &Value) -> String {
    let principal = match example.get("request_principal") {
        Some(_) => "/request_principal",
        None => "/peer_principal",
    };
    format!(
        "    {} {} {}{}  {}  {}",
        text(example, "/time"),
        text(example, "/method"),
        text(example, "/host"),
        text(example, "/path"),
        text(example, principal),
        text(example, "/decision_id"),
    )
}
