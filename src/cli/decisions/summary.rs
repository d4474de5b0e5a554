//! `doorward decisions summary`: how many decisions there are of what.

#[cfg(test)]
mod tests;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::Output;
use super::filter::{FilterArgs, TimeArgs, present};
use super::screen::{Screen, clean, clean_json, cut, print};
use super::server::{Failure, ServerArgs};
use crate::cli::complain;

/// Heights of a bar, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Widest column of a name.
const MAX_NAME: usize = 60;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Names to group by, with commas between them: effect, status, reason_kind, policy, workload,
    /// principal, request_principal, host, path, path_prefix, revision, cached.
    #[arg(long, alias = "group_by", value_name = "NAMES")]
    group_by: Option<String>,
    /// Count spans of time of this length apart (`5m`); needs `--since`.
    #[arg(long, value_name = "DURATION")]
    bucket: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Most groups to show.
    #[arg(long, value_name = "COUNT")]
    limit: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let server = args.server.connect()?;
    let mut parameters = args.filter.parameters();
    parameters.extend(args.time.parameters());
    parameters.extend(present([
        ("group_by", &args.group_by),
        ("bucket", &args.bucket),
        ("limit", &args.limit),
    ]));
    let summary = server.json("/v1/decisions/summary", &parameters).await?;
    if args.output == Output::Json {
        print(&clean_json(&summary.to_string()));
        return Ok(());
    }
    let names = args.group_by.as_deref().unwrap_or("effect").split(',');
    let names: Vec<&str> = names.collect();
    for line in lines(&summary, &names, Screen::of_output()) {
        if !print(&line) {
            return Ok(());
        }
    }
    if summary.get("complete").and_then(Value::as_bool) == Some(false) {
        let since = summary.get("complete_since").and_then(Value::as_str);
        let since = clean(since.unwrap_or_default());
        complain(&format!(
            "there was no time to count all: from {since} on all are counted, before that a part; \
             take a later `--since`"
        ));
    }
    Ok(())
}

/// The table: a line a group, what is left over, and all together.
fn lines(summary: &Value, names: &[&str], screen: Screen) -> Vec<String> {
    let mut rows = vec![heading(names)];
    let groups = summary.get("groups").and_then(Value::as_array);
    for group in groups.into_iter().flatten() {
        let cell = |name: &&str| match group.get("key").and_then(|key| key.get(*name)) {
            Some(Value::String(text)) => clean(text),
            None | Some(Value::Null) => "-".to_owned(),
            Some(value) => clean(&value.to_string()),
        };
        rows.push(row(names.iter().map(cell).collect(), group, "counts"));
    }
    if summary.pointer("/other/count").and_then(Value::as_u64) > Some(0) {
        let other = summary.get("other").unwrap_or(&Value::Null);
        rows.push(row(words("(other)", names), other, "counts"));
    }
    rows.push(row(words("(all)", names), summary, ""));
    let widths: Vec<usize> = (0..=names.len())
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            widest.min(MAX_NAME)
        })
        .collect();
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .enumerate()
            .map(|(at, cell)| match widths.get(at) {
                Some(width) if at == names.len() => format!("{cell:>width$}"),
                Some(width) => {
                    let cell = cut(cell, *width);
                    format!("{cell:width$}")
                }
                None => cell.clone(),
            });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        screen
            .width
            .map_or(line.to_owned(), |width| cut(line, width))
    });
    lines.collect()
}

fn heading(names: &[&str]) -> Vec<String> {
    let names = names.iter().map(|name| clean(&name.to_ascii_uppercase()));
    names.chain(["COUNT".to_owned()]).collect()
}

/// One word in the first of these columns.
fn words(word: &str, names: &[&str]) -> Vec<String> {
    let mut words = vec![String::new(); names.len()];
    if let Some(first) = words.first_mut() {
        word.clone_into(first);
    }
    words
}

fn row(mut cells: Vec<String>, counted: &Value, counts: &str) -> Vec<String> {
    let count = counted.get("count").or_else(|| counted.get("total"));
    cells.push(count.and_then(Value::as_u64).unwrap_or(0).to_string());
    let counts = counted.get(counts).and_then(Value::as_array);
    cells.extend(counts.map(|counts| bars(counts)));
    cells
}

/// Counts as bars beside each other, the highest as high as can be.
fn bars(counts: &[Value]) -> String {
    let counts: Vec<u64> = counts.iter().filter_map(Value::as_u64).collect();
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| {
        let height = u128::from(*count) * 7 / u128::from(most);
        let height = usize::try_from(height).unwrap_or(0);
        match count {
            0 => ' ',
            _ => BARS.get(height).copied().unwrap_or('█'),
        }
    };
    counts.iter().map(bar).collect()
}
