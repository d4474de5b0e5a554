//! `doorward decisions tail`: decisions as they come. Streams end; it comes back to where it was.

#[cfg(test)]
mod tests;

use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::Response;
use serde_json::Value;

use super::Output;
use super::filter::FilterArgs;
use super::screen::{Screen, clean, clean_json, print};
use super::server::{Failure, Server, ServerArgs};
use super::table;
use crate::cli::{complain, count};

/// Pauses before it comes back.
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Longest event, in bytes.
const MAX_EVENT: usize = 64 << 20;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// End after so many decisions.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// What was shown, and where to come back to.
struct Tail<'a> {
    args: &'a Args,
    screen: Screen,
    left: Option<u64>,
    last: Option<String>,
}

/// Whether there is more to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    Over,
}

/// An event of a stream.
#[derive(Debug, Default, PartialEq)]
struct Event {
    id: Option<String>,
    name: String,
    data: String,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let server = args.server.connect()?;
    let mut tail = Tail {
        args,
        screen: Screen::of_output(),
        left: args.limit,
        last: None,
    };
    let mut pause = MIN_PAUSE;
    let mut stream = open(&server, &tail).await?;
    if args.output == Output::Table && !print(&table::head(tail.screen)) {
        return Ok(());
    }
    loop {
        if tail.show(stream).await? == Goes::Over {
            return Ok(());
        }
        stream = loop {
            tokio::time::sleep(pause).await;
            match open(&server, &tail).await {
                Ok(stream) => break stream,
                Err(Failure::CouldNotRun(why)) => {
                    if pause == MIN_PAUSE {
                        complain(&format!("{why}; still trying"));
                    }
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                Err(failure) => return Err(failure),
            }
        };
        pause = MIN_PAUSE;
    }
}

async fn open(server: &Server, tail: &Tail<'_>) -> Result<Response, Failure> {
    let parameters = tail.args.filter.parameters();
    let last = tail.last.as_deref();
    server.get("/v1/decisions/stream", &parameters, last).await
}

impl Tail<'_> {
    /// Shows what comes until the stream ends, however it does.
    async fn show(&mut self, mut stream: Response) -> Result<Goes, Failure> {
        let mut waiting = Vec::new();
        while let Ok(Some(bytes)) = stream.chunk().await {
            waiting.extend_from_slice(&bytes);
            while let Some(event) = next_event(&mut waiting) {
                if self.take(event)? == Goes::Over {
                    return Ok(Goes::Over);
                }
            }
            if waiting.len() > MAX_EVENT {
                let why = "the server sends an event that is too long; is it Doorward's?";
                return Err(Failure::CouldNotRun(why.to_owned()));
            }
        }
        Ok(Goes::On)
    }

    fn take(&mut self, event: Event) -> Result<Goes, Failure> {
        if event.id.is_some() {
            self.last = event.id;
        }
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match event.name.as_str() {
            "decision" => Ok(self.show_one(&data)),
            "missed" => {
                let missed = data.get("count").and_then(Value::as_u64).unwrap_or(0);
                let missed = count(
                    usize::try_from(missed).unwrap_or(0),
                    "decision",
                    "decisions",
                );
                complain(&format!(
                    "{missed} came too fast to follow, whether asked for or not: `doorward \
                     decisions query` finds them"
                ));
                Ok(Goes::On)
            }
            "error" => {
                let message = data.get("message").and_then(Value::as_str);
                let message = clean(message.unwrap_or_default());
                Err(Failure::CouldNotRun(format!(
                    "the server ended the stream: {message}"
                )))
            }
            _ => Ok(Goes::On),
        }
    }

    fn show_one(&mut self, record: &Value) -> Goes {
        let line = match self.args.output {
            Output::Table => table::row(self.screen, record),
            Output::Json => clean_json(&record.to_string()),
        };
        if !print(&line) {
            return Goes::Over;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        match self.left {
            Some(0) => Goes::Over,
            _ => Goes::On,
        }
    }
}

/// Takes the first event that is whole.
fn next_event(waiting: &mut Vec<u8>) -> Option<Event> {
    let end = waiting.windows(2).position(|two| two == b"\n\n")?;
    let bytes: Vec<u8> = waiting.drain(..end + 2).collect();
    let text = String::from_utf8_lossy(&bytes);
    let mut event = Event::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("event", name)) => name.clone_into(&mut event.name),
            Some(("data", data)) => event.data.push_str(data),
            _ => {}
        }
    }
    Some(event)
}
