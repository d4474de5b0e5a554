//! Section `bundles`: where each bundle comes from, and by which credentials. What only object stores need
//! is in `object`; fetching those with a URL is left to `remote`, what signatures they need to
//! `verification`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::object::{
    Anonymous, AwsKeys, AzureKey, EnvironmentCredentials, GcpKey, ObjectStoreConfig, ObjectUrl,
};
use super::verification::SigningConfig;
use crate::identity::parse_key_url;
use crate::units::{Size, Span};

/// Largest download that can be allowed: its archive is held in memory.
const MAX_SIZE: Size = Size::from_mib(1 << 10);
/// Shortest and longest times that can be meant.
const MIN_SPAN: Span = Span::from_millis(10);
const MAX_SPAN: Span = Span::from_secs(30 * 86_400);
/// Longest that a server may be asked to wait with its answer.
const MAX_WAIT: Span = Span::from_secs(3_600);

/// Where bundles come from, by name.
pub type BundleSources = BTreeMap<String, BundleSource>;

/// What is configured for one bundle.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BundleSource {
    /// Folder or archive. Without this and `url` the bundle comes over the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What is downloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<BundleUrl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStoreConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polling: Option<Polling>,
    /// Largest archive that is downloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Size>,
    /// Whether the last good download is kept for a start without network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persist: Option<bool>,
    /// Longest that one download may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Sent with every request. They may hold secrets.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<SourceTls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing: Option<SigningConfig>,
}

/// Where a bundle is downloaded from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BundleUrl {
    Server(SourceUrl),
    Object(ObjectUrl),
}

/// An `http` or `https` URL. Shown without its query, which may hold a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceUrl(Url);

/// When a server is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Polling {
    pub min_delay: Span,
    pub max_delay: Span,
    /// How long a server that can do so may wait for another revision before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_polling_timeout: Option<Span>,
}

/// How a server is trusted, and who asks it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceTls {
    /// Authorities of servers in PEM, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The system's authorities are trusted as well.
    pub system_ca: bool,
    /// Certificate in PEM that is shown to the server, those of its issuers behind it.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// What a server knows the one who asks by.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    Bearer(Bearer),
    Basic(Basic),
    /// Client credentials of OAuth 2.0 (RFC 6749 section 4.4).
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2),
    Aws(AwsKeys),
    Gcp(GcpKey),
    Azure(AzureKey),
    Environment(EnvironmentCredentials),
    Anonymous(Anonymous),
}

/// A token, as it is or in a file that is read for each request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    #[serde(default, skip_serializing)]
    pub token: Option<Secret>,
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    #[serde(default = "bearer")]
    pub scheme: String,
}

/// A name and a password, as it is or in a file that is read for each request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub username: String,
    #[serde(default, skip_serializing)]
    pub password: Option<Secret>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// Where a token is fetched, and by what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    pub token_url: SourceUrl,
    pub client_id: String,
    #[serde(default, skip_serializing)]
    pub client_secret: Option<Secret>,
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Further members of the form, such as `audience`.
    #[serde(default, skip_serializing)]
    pub parameters: BTreeMap<String, Secret>,
    /// Further headers of the request.
    #[serde(default, skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

/// A bundle that is downloaded, with all that was left out.
#[derive(Debug, Clone)]
pub struct RemoteSource {
    pub name: String,
    pub url: BundleUrl,
    pub object_store: ObjectStoreConfig,
    pub polling: Polling,
    pub size_limit: Size,
    pub persist: bool,
    pub timeout: Span,
    pub headers: BTreeMap<String, Secret>,
    pub tls: SourceTls,
    pub credentials: Option<Credentials>,
}

/// Those of OPA.
impl Default for Polling {
    fn default() -> Self {
        Self {
            min_delay: Span::from_secs(60),
            max_delay: Span::from_secs(120),
            long_polling_timeout: None,
        }
    }
}

// === impl BundleSource ===

impl BundleSource {
    /// Largest archive that is downloaded if nothing is said: as large as one that can be pushed.
    const SIZE_LIMIT: Size = Size::from_mib(128);
    pub const TIMEOUT: Span = Span::from_secs(60);

    /// What is downloaded under this name, if anything is.
    pub fn remote(&self, name: &str) -> Option<RemoteSource> {
        Some(RemoteSource {
            name: name.to_owned(),
            url: self.url.clone()?,
            object_store: self.object_store.clone().unwrap_or_default(),
            polling: self.polling.unwrap_or_default(),
            size_limit: self.size_limit.unwrap_or(Self::SIZE_LIMIT),
            persist: self.persist.unwrap_or(true),
            timeout: self.timeout.unwrap_or(Self::TIMEOUT),
            headers: self.headers.clone(),
            tls: self.tls.clone().unwrap_or_default(),
            credentials: self.credentials.clone(),
        })
    }

    /// Values that parse but contradict each other or cannot be used, by their names.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        match &self.url {
            Some(url) => self.problems_of_remote(url),
            None => {
                let given = [
                    ("object_store", self.object_store.is_some()),
                    ("polling", self.polling.is_some()),
                    ("size_limit", self.size_limit.is_some()),
                    ("persist", self.persist.is_some()),
                    ("timeout", self.timeout.is_some()),
                    ("headers", !self.headers.is_empty()),
                    ("tls", self.tls.is_some()),
                    ("credentials", self.credentials.is_some()),
                ];
                let given = given.into_iter().filter(|(_, is_given)| *is_given);
                given
                    .map(|(key, _)| (key, "is for a bundle with a `url`".to_owned()))
                    .collect()
            }
        }
    }

    fn problems_of_remote(&self, url: &BundleUrl) -> Vec<(&'static str, String)> {
        let mut problems = match url {
            BundleUrl::Server(_) => self.problems_of_server(),
            BundleUrl::Object(url) => url.problems(self),
        };
        if self.path.is_some() {
            problems.push(("path", "goes without `url`".to_owned()));
        }
        if let Some(limit) = self.size_limit.filter(|limit| *limit > MAX_SIZE) {
            problems.push(("size_limit", format!("{limit} is more than {MAX_SIZE}")));
        }
        let polling = self.polling.unwrap_or_default();
        let mut spans = vec![
            ("polling.min_delay", polling.min_delay, MAX_SPAN),
            ("polling.max_delay", polling.max_delay, MAX_SPAN),
        ];
        spans.extend(self.timeout.map(|span| ("timeout", span, MAX_SPAN)));
        let wait = polling.long_polling_timeout;
        spans.extend(wait.map(|span| ("polling.long_polling_timeout", span, MAX_WAIT)));
        for (key, span, most) in spans {
            if !(MIN_SPAN..=most).contains(&span) {
                let why = format!("{span} is not between {MIN_SPAN} and {most}");
                problems.push((key, why));
            }
        }
        if polling.max_delay < polling.min_delay {
            problems.push(("polling", "max_delay is below min_delay".to_owned()));
        }
        let tls = self.tls.clone().unwrap_or_default();
        let of_asker = problems_of_asker(&self.headers, &tls, self.credentials.as_ref());
        problems.extend(of_asker);
        problems
    }

    fn problems_of_server(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.object_store.is_some() {
            let why = "is for the URL of an object store, such as `s3://BUCKET/PATH`";
            problems.push(("object_store", why.to_owned()));
        }
        let of_store = self.credentials.as_ref().and_then(Credentials::of_store);
        problems.extend(of_store.map(|why| ("credentials", why)));
        problems
    }
}

/// What is wrong with who asks a server, by the names of the settings.
pub fn problems_of_asker(
    headers: &BTreeMap<String, Secret>,
    tls: &SourceTls,
    credentials: Option<&Credentials>,
) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    for name in headers.keys().filter(|name| !is_header(name)) {
        problems.push(("headers", format!("`{name}` is no header that can be set")));
    }
    if tls.cert.is_some() != tls.key.is_some() {
        problems.push(("tls", "needs both of `cert` and `key`, or none".to_owned()));
    }
    let of_credentials = credentials.and_then(Credentials::problem);
    problems.extend(of_credentials.map(|why| ("credentials", why)));
    problems
}

/// A header's name, and none that says how the body or the connection is read.
fn is_header(name: &str) -> bool {
    const OWN: [&str; 7] = [
        "connection",
        "content-length",
        "host",
        "if-none-match",
        "prefer",
        "transfer-encoding",
        "upgrade",
    ];
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_own = OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
    !name.is_empty() && name.bytes().all(is_token) && !is_own
}

impl Credentials {
    fn problem(&self) -> Option<String> {
        let (names, given) = match self {
            Self::Bearer(of) => ("token", (of.token.is_some(), of.token_file.is_some())),
            Self::Basic(of) => (
                "password",
                (of.password.is_some(), of.password_file.is_some()),
            ),
            Self::OAuth2(of) => (
                "client_secret",
                (of.client_secret.is_some(), of.client_secret_file.is_some()),
            ),
            Self::Aws(of) => return of.problem().map(str::to_owned),
            Self::Azure(of) => return of.problem().map(str::to_owned),
            Self::Gcp(_) | Self::Environment(_) | Self::Anonymous(_) => return None,
        };
        (given.0 == given.1).then(|| format!("needs one of `{names}` and `{names}_file`"))
    }

    /// Why these are none for a server that is no object store.
    pub fn of_store(&self) -> Option<String> {
        match self {
            Self::Bearer(_) | Self::Basic(_) | Self::OAuth2(_) => None,
            other => Some(format!(
                "`{}` is for the URL of an object store",
                other.name()
            )),
        }
    }

    /// As it is written.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Bearer(_) => "bearer",
            Self::Basic(_) => "basic",
            Self::OAuth2(_) => "oauth2",
            Self::Aws(_) => "aws",
            Self::Gcp(_) => "gcp",
            Self::Azure(_) => "azure",
            Self::Environment(_) => "environment",
            Self::Anonymous(_) => "anonymous",
        }
    }
}

// === impl BundleUrl ===

impl TryFrom<String> for BundleUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(object) = ObjectUrl::parse(&text) {
            return object.map(Self::Object);
        }
        // Rule: what is in the text may be a secret, and is not in the message.
        let why = match text.split_once(':') {
            Some(("file", _)) => "give a file as `path`",
            Some(("oci", _)) => "registries are not asked: give an https URL of the archive",
            _ => return SourceUrl::try_from(text).map(Self::Server),
        };
        Err(why.to_owned())
    }
}

impl From<BundleUrl> for String {
    fn from(url: BundleUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for BundleUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(url) => fmt::Display::fmt(url, formatter),
            Self::Object(url) => fmt::Display::fmt(url, formatter),
        }
    }
}

// === impl SourceUrl ===

impl SourceUrl {
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<String> for SourceUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_key_url(&text)
            .map(Self)
            .map_err(|error| format!("the URL {error}"))
    }
}

impl From<SourceUrl> for String {
    fn from(url: SourceUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_str();
        let end = text.find(['?', '#']).unwrap_or(text.len());
        formatter.write_str(text.get(..end).unwrap_or_default())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

fn bearer() -> String {
    "Bearer".to_owned()
}
