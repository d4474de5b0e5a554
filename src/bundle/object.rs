//! Objects of object stores: their URLs, where their store is, and who asks for them. Asking is left to
//! `remote`.

use std::fmt;
use std::path::PathBuf;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::source::{BundleSource, Credentials, Secret, SourceUrl};

/// Longest URL, in bytes: the longest key of S3, percent-encoded, fits.
const MAX_URL: usize = 4_096;
/// Longest name of a bucket, container, account or region.
const MAX_NAME: usize = 255;
/// Hosts by which a URL of Azure names an account.
const AZURE_HOSTS: [&str; 2] = [".dfs.core.windows.net", ".blob.core.windows.net"];

/// Hosts of Amazon's S3.
const AMAZON: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// The kinds of object stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    S3,
    Gcs,
    Azure,
}

/// An object: `s3://bucket/path`, `gs://bucket/path`, `az://container/path` or
/// `abfss://container@account.dfs.core.windows.net/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUrl {
    pub kind: StoreKind,
    /// Azure's container.
    pub bucket: String,
    /// Azure's storage account, if the URL names it.
    pub account: Option<String>,
    pub path: Path,
    text: String,
}

/// Where a store is, if it is not where its kind's are by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectStoreConfig {
    /// In place of the cloud's own server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SourceUrl>,
    /// Of S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// S3: the bucket is named in the host and not in the path.
    pub virtual_hosted: bool,
    /// Storage account of Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// Keys of AWS, or of a server that speaks S3.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKeys {
    pub access_key_id: String,
    #[serde(default, skip_serializing)]
    pub secret_access_key: Option<Secret>,
    #[serde(default)]
    pub secret_access_key_file: Option<PathBuf>,
    #[serde(default, skip_serializing)]
    pub session_token: Option<Secret>,
    #[serde(default)]
    pub session_token_file: Option<PathBuf>,
}

/// A service account of Google.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpKey {
    /// Its key in JSON.
    pub service_account_file: PathBuf,
}

/// A key of a storage account of Azure, or a shared access signature.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AzureKey {
    #[serde(skip_serializing)]
    pub account_key: Option<Secret>,
    pub account_key_file: Option<PathBuf>,
    #[serde(skip_serializing)]
    pub sas_token: Option<Secret>,
    pub sas_token_file: Option<PathBuf>,
}

/// What the environment says, by the names that the clouds' own tools know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentCredentials {
    /// If it says nothing, the metadata service of the machine is asked.
    pub metadata: bool,
}

/// Nobody: the object is there for everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Anonymous {}

// === impl ObjectUrl ===

impl ObjectUrl {
    /// Reads a URL, if its scheme is one of object stores.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = text.split_once("://")?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "s3" | "s3a" => StoreKind::S3,
            "gs" => StoreKind::Gcs,
            "az" | "azure" | "abfs" | "abfss" | "adl" => StoreKind::Azure,
            _ => return None,
        };
        Some(Self::read(kind, text, rest))
    }

    /// Rule: what is in the text may be a secret, and is not in the message.
    fn read(kind: StoreKind, text: &str, rest: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("the URL {why}"));
        let is_odd = |character: char| {
            character.is_whitespace() || character.is_control() || character == '\\'
        };
        if text.len() > MAX_URL {
            return wrong("is too long");
        }
        if text.contains(is_odd) {
            return wrong("holds white space, a control character or a backslash");
        }
        if text.contains(['?', '#']) {
            return wrong("has a query or fragment; who asks is said in `credentials`");
        }
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (bucket, account) = match place.split_once('@') {
            None => (place, None),
            Some((bucket, host)) if kind == StoreKind::Azure => {
                let account = AZURE_HOSTS.iter().find_map(|end| host.strip_suffix(end));
                match account {
                    Some(account) if is_name(account) => (bucket, Some(account.to_owned())),
                    _ => {
                        return wrong(
                            "names no account of `dfs.core.windows.net`; elsewhere give \
                             `az://CONTAINER/PATH` and `object_store` with `account` and `endpoint`",
                        );
                    }
                }
            }
            Some(_) => return wrong("holds a user name or password"),
        };
        if !is_name(bucket) {
            return wrong("names no bucket or container");
        }
        let key = Path::from_url_path(path).ok();
        // Rule: an object that is asked for is the one that is written, to the letter.
        let is_whole = !path.starts_with('/') && !path.ends_with('/');
        let Some(key) = key.filter(|key| is_whole && !key.as_ref().is_empty()) else {
            return wrong(
                "has no path of an object, or a part of it is empty, `.`, `..` or no text",
            );
        };
        Ok(Self {
            kind,
            bucket: bucket.to_owned(),
            account,
            path: key,
            text: text.to_owned(),
        })
    }

    /// The object that a URL of a server leads to which speaks S3, and where that server is: the request
    /// for the object is that URL again.
    pub fn of_s3(url: &SourceUrl) -> Option<(Self, ObjectStoreConfig)> {
        let url = url.url();
        let host = url.host_str()?;
        let path = url.path().strip_prefix('/')?;
        let mut endpoint = url.clone();
        endpoint.set_path("");
        let is_amazon = AMAZON.iter().any(|end| host.ends_with(end));
        // Rule: `BUCKET.s3.REGION.amazonaws.com`, and older `BUCKET.s3-REGION.amazonaws.com`.
        let at = host.rfind(".s3").filter(|_| is_amazon);
        let (bucket, path) = match at.and_then(|at| host.split_at_checked(at)) {
            Some((bucket, rest)) => {
                endpoint.set_host(rest.get(1..)).ok()?;
                (bucket, path)
            }
            None => path.split_once('/')?,
        };
        let object = Self::parse(&format!("s3://{bucket}/{path}"))?.ok()?;
        // A query would be lost.
        if url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let store = ObjectStoreConfig {
            endpoint: Some(SourceUrl::try_from(endpoint.to_string()).ok()?),
            virtual_hosted: at.is_some(),
            ..ObjectStoreConfig::default()
        };
        Some((object, store))
    }

    /// What of a source does not go with an object.
    pub(super) fn problems(&self, source: &BundleSource) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key, why: &str| problems.push((key, why.to_owned()));
        if !source.headers.is_empty() {
            wrong("headers", "is for `http` and `https` URLs");
        }
        let polling = source.polling.unwrap_or_default();
        if polling.long_polling_timeout.is_some() {
            wrong("polling.long_polling_timeout", "object stores do not wait");
        }
        let config = source.object_store.clone().unwrap_or_default();
        let endpoint = config.endpoint.as_ref().map(SourceUrl::url);
        if endpoint.is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            wrong("object_store.endpoint", "has a query or fragment");
        }
        let has_name = matches!(endpoint.map(Url::host), None | Some(Some(Host::Domain(_))));
        if config.virtual_hosted && !has_name {
            wrong("object_store.endpoint", "`virtual_hosted` needs a name");
        }
        let is_s3 = self.kind == StoreKind::S3;
        if !is_s3 && (config.region.is_some() || config.virtual_hosted) {
            wrong("object_store", "`region` and `virtual_hosted` are S3's");
        }
        if config
            .region
            .as_deref()
            .is_some_and(|name| !is_region(name))
        {
            wrong("object_store.region", "is no name of a region");
        }
        match (self.kind, self.account.is_some(), &config.account) {
            (StoreKind::Azure, false, None) => wrong(
                "object_store.account",
                "is needed, or `CONTAINER@ACCOUNT.dfs.core.windows.net` in the URL",
            ),
            (StoreKind::Azure, true, Some(_)) => {
                wrong("object_store.account", "is in the URL already");
            }
            (StoreKind::Azure, false, Some(account)) if !is_name(account) => {
                wrong("object_store.account", "is no name of an account");
            }
            (StoreKind::S3 | StoreKind::Gcs, _, Some(_)) => {
                wrong("object_store.account", "is Azure's");
            }
            _ => {}
        }
        let name = source.credentials.as_ref().map(Credentials::name);
        match (&source.credentials, self.kind) {
            (None | Some(Credentials::Environment(_) | Credentials::Anonymous(_)), _)
            | (Some(Credentials::Aws(_)), StoreKind::S3)
            | (Some(Credentials::Gcp(_)), StoreKind::Gcs)
            | (Some(Credentials::Azure(_)), StoreKind::Azure) => {}
            _ => {
                let name = name.unwrap_or_default();
                problems.push(("credentials", format!("`{name}` is not for this URL")));
            }
        }
        problems
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// A name that can stand in a host or as one part of a path.
fn is_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'$';
    name.len() <= MAX_NAME
        && name.bytes().all(is_good)
        && name.as_bytes().first().is_some_and(is_plain)
}

/// A name of a region: it becomes part of a host.
pub fn is_region(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_good)
}

// === impl AwsKeys ===

impl AwsKeys {
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.access_key_id.is_empty() {
            return Some("needs `access_key_id`");
        }
        if self.secret_access_key.is_some() == self.secret_access_key_file.is_some() {
            return Some("needs one of `secret_access_key` and `secret_access_key_file`");
        }
        let is_twice = self.session_token.is_some() && self.session_token_file.is_some();
        is_twice.then_some("takes one of `session_token` and `session_token_file`")
    }
}

// === impl AzureKey ===

impl AzureKey {
    pub(super) fn problem(&self) -> Option<&'static str> {
        let given = [
            self.account_key.is_some(),
            self.account_key_file.is_some(),
            self.sas_token.is_some(),
            self.sas_token_file.is_some(),
        ];
        let count = given.into_iter().filter(|is_given| *is_given).count();
        (count != 1).then_some(
            "needs one of `account_key`, `account_key_file`, `sas_token` and `sas_token_file`",
        )
    }
}
