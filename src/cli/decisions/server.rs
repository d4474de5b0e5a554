//! Asking the server: one call after the other, errors with their cause and what to do next.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::{Client, Response};
use serde_json::Value;
use url::Url;

use super::filter::Parameters;
use crate::cli::trust::TrustArgs;

/// Longest to wait for a connection, and for an answer to begin or go on: a stream says something more
/// often than that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The server")]
pub(super) struct ServerArgs {
    /// URL of the management API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8181")]
    server: String,
    /// File with the token of the management API.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was asked for what there is not.
    Usage(String),
    CouldNotRun(String),
}

/// A server, ready to be asked.
pub(super) struct Server {
    name: String,
    client: Client,
    token: Option<String>,
}

impl ServerArgs {
    pub(super) fn connect(&self) -> Result<Server, Failure> {
        let name = self.server.trim_end_matches('/').to_owned();
        let url = Url::parse(&name);
        let url = url.map_err(|error| {
            Failure::Usage(format!(
                "--server: {name} is no URL ({error}); write it as http://127.0.0.1:8181"
            ))
        })?;
        self.trust.check_way(&url, self.token_file.is_some())?;
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        let client = self.trust.apply(client)?.build();
        let client = client.map_err(anyhow::Error::from)?;
        let token = self.token_file.as_ref().map(|file| {
            let token = std::fs::read_to_string(file);
            token.map_err(|error| {
                let file = file.display();
                Failure::CouldNotRun(format!("{file}: {error}; `--token-file` names it"))
            })
        });
        Ok(Server {
            name,
            client,
            token: token.transpose()?,
        })
    }
}

impl Server {
    /// An answer that is good; its body is still to come.
    pub(super) async fn get(
        &self,
        path: &str,
        parameters: &Parameters,
        last_event: Option<&str>,
    ) -> Result<Response, Failure> {
        let base = format!("{}{path}", self.name);
        let url = Url::parse_with_params(&base, parameters);
        let url = url.map_err(|error| Failure::Usage(format!("{base}: {error}")))?;
        let mut call = self.client.get(url);
        if let Some(token) = &self.token {
            call = call.bearer_auth(token.trim());
        }
        if let Some(id) = last_event {
            call = call.header("last-event-id", id);
        }
        let answer = call.send().await.map_err(|error| self.unreachable(error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = json.get("message").and_then(Value::as_str);
        let message = message.unwrap_or("no Doorward answers so; is the URL right?");
        let server = &self.name;
        Err(match status.as_u16() {
            400 => Failure::Usage(message.to_owned()),
            401 => Failure::CouldNotRun(format!(
                "{server} answers {status}: {message}; give the token with `--token-file`"
            )),
            503 => Failure::CouldNotRun(format!(
                "{server} answers {status}: {message}; ask again in a moment"
            )),
            _ => Failure::CouldNotRun(format!("{server} answers {status}: {message}")),
        })
    }

    pub(super) async fn json(&self, path: &str, parameters: &Parameters) -> Result<Value, Failure> {
        let answer = self.get(path, parameters, None).await?;
        let text = answer
            .text()
            .await
            .map_err(|error| self.unreachable(error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::CouldNotRun(format!("{} answers no JSON: {error}", self.name))
        })
    }

    pub(super) fn unreachable(&self, error: reqwest::Error) -> Failure {
        let hint = match error.is_connect() {
            true => "; start `doorward serve`, or name another one with `--server`",
            false => "",
        };
        let why = anyhow::Error::from(error.without_url());
        Failure::CouldNotRun(format!("{} cannot be asked: {why:#}{hint}", self.name))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::CouldNotRun(format!("{error:#}"))
    }
}
