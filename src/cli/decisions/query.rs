//! `doorward decisions query`: decisions, the newest first, over as many pages as it takes.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::Output;
use super::filter::{FilterArgs, TimeArgs};
use super::screen::{Screen, clean_json, print};
use super::server::{Failure, ServerArgs};
use super::table;
use crate::cli::complain;

/// Most that the server puts on a page.
const MAX_PAGE: usize = 1_000;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Most decisions to show.
    #[arg(long, value_name = "COUNT", default_value = "100")]
    limit: usize,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let server = args.server.connect()?;
    let screen = Screen::of_output();
    let mut cursor: Option<String> = None;
    let mut left = args.limit;
    while left > 0 {
        let mut parameters = args.filter.parameters();
        parameters.extend(args.time.parameters());
        parameters.push(("limit", left.min(MAX_PAGE).to_string()));
        parameters.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page = server.json("/v1/decisions", &parameters).await?;
        let decisions = page.get("decisions").and_then(Value::as_array);
        for record in decisions.into_iter().flatten() {
            if left == args.limit && args.output == Output::Table && !print(&table::head(screen)) {
                return Ok(());
            }
            left = left.saturating_sub(1);
            let line = match args.output {
                Output::Table => table::row(screen, record),
                Output::Json => clean_json(&record.to_string()),
            };
            if !print(&line) {
                return Ok(());
            }
        }
        let next = page.get("next_cursor").and_then(Value::as_str);
        cursor = next.map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    match left == args.limit {
        true => complain("there are no such decisions"),
        false if cursor.is_some() => {
            complain("there may be more: a larger `--limit` shows them");
        }
        false => {}
    }
    Ok(())
}
