//! `doorward bundle push`: a bundle to a running server, which answers once it decides by it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use serde_json::Value;
use url::Url;

use crate::bundle::{Bundle, Limits, files_of, write_archive};
use crate::cli::errors::{line, lines_of, list};
use crate::cli::replay::table;
use crate::cli::trust::TrustArgs;
use crate::cli::{Outcome, complain, say};

/// Longest to wait for the answer; a little longer than the server takes at most.
const TIMEOUT: Duration = Duration::from_secs(130);

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// URL of the management API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8181")]
    server: String,
    /// File with the token of the management API.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Push only if this is the active snapshot.
    #[arg(long, value_name = "SNAPSHOT")]
    if_match: Option<u64>,
    /// Push only if the decisions recorded since then (`1h`) would stay as they are.
    #[arg(long, value_name = "DURATION")]
    require_replay: Option<String>,
    /// How many of them may change.
    #[arg(long, value_name = "COUNT", requires = "require_replay")]
    max_changes: Option<u64>,
    /// Of how many of them it may not be known.
    #[arg(long, value_name = "COUNT", requires = "require_replay")]
    max_undetermined: Option<u64>,
    /// Name of the bundle on the server.
    #[arg(value_name = "NAME")]
    name: String,
    /// Folder or archive.
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    anyhow::ensure!(
        Bundle::is_name(&args.name),
        "`{}` is not a name for a bundle: letters, digits, `-`, `_` and `.`",
        args.name
    );
    let shown = || args.path.display().to_string();
    let archive = match args.path.is_dir() {
        true => write_archive(&files_of(&args.path, Limits::default()).with_context(shown)?)?,
        // As it is: what was built elsewhere stays what it was.
        false => std::fs::read(&args.path).with_context(shown)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (status, answer) = runtime.block_on(send(args, archive))?;
    match status.is_success() {
        true => Ok(pushed(args, &answer)),
        false => {
            refused(args, status, &answer);
            Ok(Outcome::No)
        }
    }
}

async fn send(args: &Args, archive: Vec<u8>) -> anyhow::Result<(reqwest::StatusCode, Value)> {
    let server = args.server.trim_end_matches('/');
    let url = format!("{server}/v1/bundles/{}", args.name);
    let url = Url::parse_with_params(&url, parameters(args));
    let url = url.with_context(|| format!("{server} is no URL"))?;
    args.trust.check_way(&url, args.token_file.is_some())?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT);
    let client = args.trust.apply(client)?.build()?;
    let mut call = client.put(url).body(archive);
    if let Some(file) = &args.token_file {
        let token = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        call = call.bearer_auth(token.trim());
    }
    if let Some(snapshot) = args.if_match {
        call = call.header("if-match", snapshot.to_string());
    }
    let failed = |error: reqwest::Error| {
        anyhow::Error::from(error.without_url()).context(format!("{server} cannot be asked"))
    };
    let answer = call.send().await.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    Ok((status, serde_json::from_str(&text).unwrap_or_default()))
}

/// What keeps the push back.
fn parameters(args: &Args) -> Vec<(&'static str, String)> {
    let count = |count: Option<u64>| count.map(|count| count.to_string());
    let given = [
        ("require_replay", args.require_replay.clone()),
        ("max_changes", count(args.max_changes)),
        ("max_undetermined", count(args.max_undetermined)),
    ];
    let given = given.into_iter();
    let given = given.filter_map(|(name, value)| Some((name, value?)));
    given.collect()
}

fn pushed(args: &Args, answer: &Value) -> Outcome {
    for warning in list(answer, "warnings") {
        complain(&line(warning));
    }
    let text = |member: &str| {
        answer
            .get(member)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let snapshot = answer
        .get("snapshot")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    say(&format!(
        "pushed {} revision={} snapshot={snapshot}",
        args.name,
        text("revision")
    ))
}

fn refused(args: &Args, status: reqwest::StatusCode, answer: &Value) {
    let message = answer.get("message").and_then(Value::as_str);
    let hint = match status.as_u16() {
        401 => "; give the token with `--token-file`",
        _ => "",
    };
    let message = message.unwrap_or_default();
    complain(&format!(
        "{} answers {status}: {message}{hint}",
        args.server
    ));
    for line in lines_of(answer) {
        complain(&line);
    }
    if let Some(report) = answer.get("replay") {
        table(report).iter().for_each(|line| complain(line));
    }
}
