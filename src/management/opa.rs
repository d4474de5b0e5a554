//! OPA's own API over the active snapshot, in OPA's forms: documents, queries, batches. What all calls
//! share is here: their options, and how an answer is put together. How an evaluation is run is left to
//! `evaluate`.

mod batch;
mod data;
mod edit;
mod policies;
mod query;

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::evaluate::question;
use super::json::{escaped, indented, json_text};
use super::status::is_set;
use crate::policy::rego::{Data, Found, Question};
pub(super) use batch::post as post_batch;
pub(super) use data::{get, post, post_default, post_v0};
pub(super) use edit::{delete as delete_data, patch as patch_data, put as put_data};
pub(super) use policies::{
    delete as delete_policy, get as get_policy, list as list_policies, put as put_policy,
};
pub(super) use query::{get as get_query, post as post_query};

/// Rule: what `POST /` asks.
const DEFAULT_DECISION: [&str; 2] = ["system", "main"];

/// Partial evaluation is not there, and says so.
pub(super) async fn compile() -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "invalid_operation",
        "partial evaluation is not supported",
    )
}

/// What a call asks for besides its document.
#[derive(Debug, Default)]
struct Options {
    pretty: bool,
    provenance: bool,
    metrics: bool,
    notes: bool,
    strict: bool,
    input: Option<String>,
    query: Option<String>,
}

/// How long the parts of a call took, under OPA's names.
struct Timers {
    begun: Instant,
    parts: Vec<(&'static str, Duration)>,
}

/// Members of an answer in OPA's order, each as compact JSON.
struct Answer {
    pretty: bool,
    members: Vec<(&'static str, String)>,
}

// === impl Options ===

impl Options {
    /// Rule: unknown parameters are let be; a flag is set if it is there and empty, or says `true`.
    fn parse(parameters: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut options = Self::default();
        for (name, value) in parameters {
            let is_set = is_set(&value);
            match name.as_str() {
                "pretty" => options.pretty |= is_set,
                "provenance" => options.provenance |= is_set,
                "metrics" | "instrument" => options.metrics |= is_set,
                "strict-builtin-errors" => options.strict |= is_set,
                "explain" => options.notes = notes(&value)?,
                "input" => drop(options.input.get_or_insert(value)),
                "q" => drop(options.query.get_or_insert(value)),
                _ => {}
            }
        }
        Ok(options)
    }

    fn question(&self, input: Option<Data>) -> Question {
        question(input, self.strict)
    }
}

/// Rule: what is no mode is off.
fn notes(explain: &str) -> Result<bool, ApiError> {
    match explain {
        "notes" => Ok(true),
        "fails" | "full" | "debug" => Err(ApiError::invalid(format!(
            "explain={explain} is not supported: explain=notes is"
        ))),
        _ => Ok(false),
    }
}

// === impl Timers ===

impl Timers {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            parts: Vec::new(),
        }
    }

    fn measure<T>(&mut self, name: &'static str, act: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = act();
        self.record(name, begun);
        result
    }

    fn record(&mut self, name: &'static str, begun: Instant) {
        self.parts.push((name, begun.elapsed()));
    }

    fn text(&self) -> String {
        let nanoseconds = |duration: Duration| Value::from(duration.as_nanos() as u64);
        // Documents are not compiled anew: what is loaded is compiled already.
        let mut all = vec![("counter_server_query_cache_hit", Value::from(1))];
        all.extend(
            self.parts
                .iter()
                .map(|(name, took)| (*name, nanoseconds(*took))),
        );
        all.push(("timer_server_handler_ns", nanoseconds(self.begun.elapsed())));
        let members = all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Value::Object(members.collect()).to_string()
    }
}

// === impl Answer ===

impl Answer {
    /// Rule: provenance, explanation and metrics go before the result.
    fn new(options: &Options, notes: Option<Vec<String>>, timers: &Timers) -> Self {
        let mut members = Vec::new();
        if options.provenance {
            members.push(("provenance", provenance()));
        }
        if let Some(notes) = notes {
            members.push(("explanation", explanation(notes, options.pretty)));
        }
        if options.metrics {
            members.push(("metrics", timers.text()));
        }
        Self {
            pretty: options.pretty,
            members,
        }
    }

    /// One without members.
    fn empty(options: &Options) -> Self {
        Self {
            pretty: options.pretty,
            members: Vec::new(),
        }
    }

    fn member(&mut self, name: &'static str, text: String) {
        self.members.push((name, text));
    }

    fn response(self, status: StatusCode) -> Response {
        let members = self.members.iter();
        let members = members.map(|(name, text)| format!("\"{name}\":{text}"));
        let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        written(status, &text, self.pretty)
    }
}

/// A body of JSON that is written already.
fn written(status: StatusCode, text: &str, pretty: bool) -> Response {
    match pretty {
        true => json_text(status, indented(text)),
        false => json_text(status, text.to_owned()),
    }
}

fn provenance() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{{"version":"{version}","build_commit":"","build_timestamp":"","build_hostname":""}}"#
    )
}

/// Rule: with `pretty` lines, otherwise events.
fn explanation(notes: Vec<String>, pretty: bool) -> String {
    let shown: Value = match pretty {
        true if notes.is_empty() => json!([""]),
        true => notes
            .into_iter()
            .map(|note| format!("Note \"{note}\""))
            .collect(),
        false => notes
            .into_iter()
            .map(|note| json!({"op": "note", "message": note}))
            .collect(),
    };
    escaped(&shown.to_string())
}

/// A document that was found, and its notes if they were asked for.
fn split<T>(found: Found<T>, options: &Options) -> (T, Option<Vec<String>>) {
    (found.value, options.notes.then_some(found.notes))
}
