//! Asking a running server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::Unanswered;
use crate::cli::trust::TrustArgs;

/// Longest to wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The server, if no PATH is given")]
pub(super) struct ServerArgs {
    /// Address of the management API.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    management: SocketAddr,
    /// File with the token of the management API.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Name that the API's certificate must have; `localhost` unless given. Without any `--tls-…` the
    /// API is asked in the clear.
    #[arg(long, value_name = "NAME")]
    tls_name: Option<String>,
}

impl ServerArgs {
    pub(super) fn ask(
        &self,
        request: &Value,
        explain: bool,
        at: Option<Timestamp>,
    ) -> Result<Value, Unanswered> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Unanswered::one(error.to_string()))?;
        runtime.block_on(self.send(request, explain, at))
    }

    async fn send(
        &self,
        request: &Value,
        explain: bool,
        at: Option<Timestamp>,
    ) -> Result<Value, Unanswered> {
        let server = self.management;
        let failed = |error: reqwest::Error| {
            let hint = match error.is_connect() {
                true => "; start `doorward serve`, or give PATHs to decide without a server",
                false => "",
            };
            let why = anyhow::Error::from(error.without_url());
            Unanswered::one(format!("{server} cannot be asked: {why:#}{hint}"))
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT);
        let client = self.trust.apply(client);
        let client = client.map_err(|error| Unanswered::one(format!("{error:#}")))?;
        let (client, base) = match self.trust.is_encrypted() || self.tls_name.is_some() {
            false => (client, format!("http://{server}")),
            true => {
                let name = self.tls_name.as_deref().unwrap_or("localhost");
                let base = format!("https://{name}:{}", server.port());
                (client.resolve(name, server), base)
            }
        };
        let mut url = format!("{base}/v1/check?explain={explain}");
        if let Some(at) = at {
            url.push_str(&format!("&at={at}"));
        }
        let url = Url::parse(&url).map_err(|error| Unanswered::one(format!("{base}: {error}")))?;
        let way = self.trust.check_way(&url, self.token_file.is_some());
        way.map_err(|error| Unanswered::one(error.to_string()))?;
        let client = client.build().map_err(failed)?;
        let mut call = client.post(url).body(request.to_string());
        if let Some(token) = self.token()? {
            call = call.bearer_auth(token);
        }
        let answer = call.send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        let json: Option<Value> = serde_json::from_str(&text).ok();
        match json {
            Some(answer) if status.is_success() => Ok(answer),
            answer => {
                let message = answer.as_ref().and_then(|answer| answer.get("message"));
                let message = message.and_then(Value::as_str).unwrap_or_default();
                let hint = match status.as_u16() {
                    401 => "; give it with `--token-file`",
                    _ => "",
                };
                Err(Unanswered::one(format!(
                    "{server} answers {status}: {message}{hint}"
                )))
            }
        }
    }

    fn token(&self) -> Result<Option<String>, Unanswered> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let token = std::fs::read_to_string(path)
            .map_err(|error| Unanswered::one(format!("{}: {error}", path.display())))?;
        Ok(Some(token.trim().to_owned()))
    }
}
