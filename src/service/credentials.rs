//! Who a request is from: the `Authorization` header of each kind of credentials. Tokens of OAuth 2.0
//! are fetched here and kept until shortly before they end. Nothing of it is ever shown.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;

use super::files::read_text;
use super::{Asker, AskerError, Servers};
use crate::bundle::{Basic, Bearer, Credentials, OAuth2, Secret};
use crate::fetch::{FetchError, Way, blocking, read_body};

/// Largest answer with a token, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// A token is not used for the last of its time: the server's clock may be ahead.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token is used that does not say when it ends, and longest that any is.
const UNTOLD: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(86_400);

/// The token for a server, if one is fetched.
#[derive(Default)]
pub struct Tokens(Mutex<Option<(String, Instant)>>);

/// An answer of a token endpoint (RFC 6749 section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens(..)")
    }
}

impl Tokens {
    /// The server did not take the one there is.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }

    /// Headers by which the configured server knows who asks.
    pub async fn headers(
        &self,
        asker: Asker<'_>,
        servers: &Servers,
    ) -> Result<HeaderMap, AskerError> {
        let mut headers = plain(asker.headers)?;
        let line = match asker.credentials {
            None => return Ok(headers),
            Some(Credentials::Bearer(bearer)) => bearer_line(bearer).await?,
            Some(Credentials::Basic(basic)) => {
                let Basic {
                    username,
                    password,
                    password_file,
                } = basic;
                let password = secret(password.as_ref(), password_file.as_deref()).await?;
                basic_line(username, &password)
            }
            Some(Credentials::OAuth2(oauth2)) => {
                let token = self.token(asker, oauth2, servers).await?;
                format!("Bearer {token}")
            }
            // The configuration has been checked.
            Some(_) => {
                let why = "these credentials are for an object store";
                return Err(FetchError::Local(why.to_owned()).into());
            }
        };
        headers.insert(AUTHORIZATION, sensitive(&line)?);
        Ok(headers)
    }

    async fn token(
        &self,
        asker: Asker<'_>,
        oauth2: &OAuth2,
        servers: &Servers,
    ) -> Result<String, AskerError> {
        let mut held = self.0.lock().await;
        match held.as_ref() {
            Some((token, until)) if Instant::now() < *until => return Ok(token.clone()),
            _ => {}
        }
        *held = None;
        let asked = Instant::now();
        let granted = grant(asker, oauth2, servers).await?;
        let life = granted.expires_in.map_or(UNTOLD, Duration::from_secs);
        let life = life.min(LONGEST);
        // Rule: a short one is used for half of its time.
        let life = life.saturating_sub(MARGIN).max(life / 2);
        *held = Some((granted.access_token.clone(), asked + life));
        Ok(granted.access_token)
    }
}

/// Asks for a token. Rule: redirects are not followed, and what the server says of an error is not
/// shown: it may repeat what it was sent.
async fn grant(
    asker: Asker<'_>,
    oauth2: &OAuth2,
    servers: &Servers,
) -> Result<Granted, AskerError> {
    let wrong = |why: String| AskerError::Token(why);
    let given = oauth2.client_secret.as_ref();
    let password = secret(given, oauth2.client_secret_file.as_deref()).await?;
    let url = oauth2.token_url.url();
    let client = servers.client(asker.tls, true, &Way::to(url)).await?;
    let request = client
        .post(url.clone())
        .headers(plain(&oauth2.headers)?)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(
            AUTHORIZATION,
            sensitive(&basic_line(&oauth2.client_id, &password))?,
        )
        .body(form(oauth2));
    let response = request.send().await.map_err(FetchError::http)?;
    let status = response.status();
    if status != reqwest::StatusCode::OK {
        return Err(wrong(format!("status {}", status.as_u16())));
    }
    let body = read_body(response, MAX_ANSWER).await?;
    let granted: Granted =
        serde_json::from_slice(&body).map_err(|_| wrong("the answer holds no token".to_owned()))?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") || granted.access_token.is_empty() {
        return Err(wrong("the answer holds no bearer token".to_owned()));
    }
    Ok(granted)
}

fn form(oauth2: &OAuth2) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !oauth2.scopes.is_empty() {
        form.append_pair("scope", &oauth2.scopes.join(" "));
    }
    for (name, value) in &oauth2.parameters {
        form.append_pair(name, &value.0);
    }
    form.finish()
}

async fn bearer_line(bearer: &Bearer) -> Result<String, FetchError> {
    let token = secret(bearer.token.as_ref(), bearer.token_file.as_deref()).await?;
    Ok(format!("{} {token}", bearer.scheme))
}

fn basic_line(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// As it is given, or from its file without the line's end.
async fn secret(given: Option<&Secret>, file: Option<&Path>) -> Result<String, FetchError> {
    if let Some(Secret(text)) = given {
        return Ok(text.clone());
    }
    let file = file.map(Path::to_owned).unwrap_or_default();
    blocking(move || read_text(&file)).await
}

fn plain(headers: &BTreeMap<String, Secret>) -> Result<HeaderMap, FetchError> {
    let mut map = HeaderMap::new();
    for (name, Secret(value)) in headers {
        let wrong = || FetchError::Local(format!("`headers.{name}` cannot be sent"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        map.insert(parsed, sensitive(value).map_err(|_| wrong())?);
    }
    Ok(map)
}

fn sensitive(text: &str) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| FetchError::Local("the credentials cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
