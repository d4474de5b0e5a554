//! `doorward decisions`: asks a running server's decision log who was denied and why. Each subcommand
//! is a file; how the server is asked stands in `server`, how records look on a terminal in `table`.

pub(super) mod filter;
mod query;
pub(super) mod screen;
pub(super) mod server;
mod summary;
mod table;
mod tail;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use tokio::runtime::Runtime;

use super::Outcome;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show decisions, the newest first.
    Query(Box<query::Args>),
    /// Show decisions as they come.
    Tail(Box<tail::Args>),
    /// Count decisions.
    Summary(Box<summary::Args>),
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// A table, cut to the width of the terminal.
    #[default]
    Table,
    /// JSON, a line each.
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        match &args.command {
            Command::Query(args) => query::run(args).await,
            Command::Tail(args) => tail::run(args).await,
            Command::Summary(args) => summary::run(args).await,
        }
    });
    Ok(match done {
        Ok(()) => Outcome::Done,
        Err(failure) => failure.tell(),
    })
}
