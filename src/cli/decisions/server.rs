//! Asking the server: one call after the other, errors with their cause and what to do next.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use url::Url;

use super::filter::Parameters;
use crate::cli::errors::lines_of;
use crate::cli::trust::TrustArgs;
use crate::cli::{Outcome, complain};

/// Longest to wait for a connection, and for an answer to begin or go on: a stream says something more
/// often than that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The server")]
pub(in crate::cli) struct ServerArgs {
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
pub(in crate::cli) enum Failure {
    /// It was asked for what there is not.
    Usage(String),
    CouldNotRun(String),
}

/// A server, ready to be asked.
pub(in crate::cli) struct Server {
    name: String,
    client: Client,
    token: Option<String>,
}

impl ServerArgs {
    pub(in crate::cli) fn connect(&self) -> Result<Server, Failure> {
        self.connect_for(READ_TIMEOUT)
    }

    /// The same, for a server that may think so long.
    pub(in crate::cli) fn connect_for(&self, patience: Duration) -> Result<Server, Failure> {
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
            .read_timeout(patience);
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
    pub(in crate::cli) async fn get(
        &self,
        path: &str,
        parameters: &Parameters,
        last_event: Option<&str>,
    ) -> Result<Response, Failure> {
        let mut call = self.client.get(self.url(path, parameters)?);
        if let Some(id) = last_event {
            call = call.header("last-event-id", id);
        }
        self.send(call).await
    }

    fn url(&self, path: &str, parameters: &Parameters) -> Result<Url, Failure> {
        let base = format!("{}{path}", self.name);
        let url = Url::parse_with_params(&base, parameters);
        url.map_err(|error| Failure::Usage(format!("{base}: {error}")))
    }

    async fn send(&self, mut call: RequestBuilder) -> Result<Response, Failure> {
        if let Some(token) = &self.token {
            call = call.bearer_auth(token.trim());
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
        let causes = lines_of(&json);
        Err(match status.as_u16() {
            // What was sent is wrong, not what was asked.
            _ if !causes.is_empty() => {
                let causes = causes.join("\n");
                Failure::CouldNotRun(format!("{server} answers {status}: {message}\n{causes}"))
            }
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

    pub(in crate::cli) async fn json(
        &self,
        path: &str,
        parameters: &Parameters,
    ) -> Result<Value, Failure> {
        self.read(self.get(path, parameters, None).await?).await
    }

    /// What comes of something that is sent.
    pub(in crate::cli) async fn post(
        &self,
        path: &str,
        parameters: &Parameters,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let call = self.client.post(self.url(path, parameters)?).body(body);
        self.read(self.send(call).await?).await
    }

    async fn read(&self, answer: Response) -> Result<Value, Failure> {
        let text = answer
            .text()
            .await
            .map_err(|error| self.unreachable(error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::CouldNotRun(format!("{} answers no JSON: {error}", self.name))
        })
    }

    pub(in crate::cli) fn unreachable(&self, error: reqwest::Error) -> Failure {
        let hint = match error.is_connect() {
            true => "; start `doorward serve`, or name another one with `--server`",
            false => "",
        };
        let why = anyhow::Error::from(error.without_url());
        Failure::CouldNotRun(format!("{} cannot be asked: {why:#}{hint}", self.name))
    }
}

impl Failure {
    /// Says it, and what the command came to.
    pub(in crate::cli) fn tell(self) -> Outcome {
        let (why, outcome) = match self {
            Self::Usage(why) => (why, Outcome::Usage),
            Self::CouldNotRun(why) => (why, Outcome::CouldNotRun),
        };
        complain(&why);
        outcome
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::CouldNotRun(format!("{error:#}"))
    }
}
