//! Who asks an object store: by keys of the configuration, or by what the environment says under the names
//! that the clouds' own tools know. Nothing of it is ever shown.

use std::path::Path;

use object_store::aws::AmazonS3ConfigKey as Aws;
use object_store::azure::AzureConfigKey as Azure;
use object_store::gcp::GoogleConfigKey as Gcp;
use serde_json::Value;

use crate::bundle::{
    AwsKeys, AzureKey, Credentials, EnvironmentCredentials, RemoteSource, Secret, StoreKind,
    is_region,
};
use crate::fetch::FetchError;
use crate::service::{read_file, read_text};

/// A variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Who asks, by kind of store; without keys nobody says so. Equal as long as nothing has changed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Access {
    S3 {
        keys: Option<Keys<Aws>>,
        region: Option<String>,
    },
    Gcs(Option<Keys<Gcp>>),
    Azure(Option<Keys<Azure>>),
}

/// What the library needs to know of the one who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys<K> {
    pub(super) values: Vec<(K, String)>,
    /// The metadata service of the machine is asked for the rest.
    pub(super) uses_metadata: bool,
}

/// One way in which an environment tells who asks.
struct Telling<K: 'static> {
    /// All of these variables are there.
    needs: &'static [(&'static str, K)],
    /// These may be.
    takes: &'static [(&'static str, K)],
    /// By asking the metadata service.
    is_metadata: bool,
}

/// The first one that is there holds.
const AWS: &[Telling<Aws>] = &[
    Telling {
        needs: &[
            ("AWS_ACCESS_KEY_ID", Aws::AccessKeyId),
            ("AWS_SECRET_ACCESS_KEY", Aws::SecretAccessKey),
        ],
        takes: &[("AWS_SESSION_TOKEN", Aws::Token)],
        is_metadata: false,
    },
    Telling {
        needs: &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", Aws::WebIdentityTokenFile),
            ("AWS_ROLE_ARN", Aws::RoleArn),
        ],
        takes: &[
            ("AWS_ROLE_SESSION_NAME", Aws::RoleSessionName),
            ("AWS_ENDPOINT_URL_STS", Aws::StsEndpoint),
        ],
        is_metadata: false,
    },
    Telling {
        needs: &[(
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            Aws::ContainerCredentialsRelativeUri,
        )],
        takes: &[],
        is_metadata: true,
    },
    Telling {
        needs: &[
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                Aws::ContainerCredentialsFullUri,
            ),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                Aws::ContainerAuthorizationTokenFile,
            ),
        ],
        takes: &[],
        is_metadata: true,
    },
    Telling {
        needs: &[],
        takes: &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", Aws::MetadataEndpoint)],
        is_metadata: true,
    },
];
const GCP: &[Telling<Gcp>] = &[
    Telling {
        needs: &[("GOOGLE_APPLICATION_CREDENTIALS", Gcp::ServiceAccount)],
        takes: &[],
        is_metadata: false,
    },
    Telling {
        needs: &[],
        takes: &[],
        is_metadata: true,
    },
];
const AZURE: &[Telling<Azure>] = &[
    Telling {
        needs: &[("AZURE_STORAGE_ACCOUNT_KEY", Azure::AccessKey)],
        takes: &[],
        is_metadata: false,
    },
    Telling {
        needs: &[("AZURE_STORAGE_SAS_TOKEN", Azure::SasKey)],
        takes: &[],
        is_metadata: false,
    },
    Telling {
        needs: &[
            ("AZURE_FEDERATED_TOKEN_FILE", Azure::FederatedTokenFile),
            ("AZURE_CLIENT_ID", Azure::ClientId),
            ("AZURE_TENANT_ID", Azure::AuthorityId),
        ],
        takes: &[("AZURE_AUTHORITY_HOST", Azure::AuthorityHost)],
        is_metadata: false,
    },
    Telling {
        needs: &[
            ("AZURE_CLIENT_SECRET", Azure::ClientSecret),
            ("AZURE_CLIENT_ID", Azure::ClientId),
            ("AZURE_TENANT_ID", Azure::AuthorityId),
        ],
        takes: &[("AZURE_AUTHORITY_HOST", Azure::AuthorityHost)],
        is_metadata: false,
    },
    Telling {
        needs: &[],
        takes: &[
            ("AZURE_CLIENT_ID", Azure::ClientId),
            ("IDENTITY_ENDPOINT", Azure::MsiEndpoint),
        ],
        is_metadata: true,
    },
];
/// Variables that name a region, the first one that is there.
const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Finds who asks for an object of a source. Reads files.
pub(super) fn find(
    source: &RemoteSource,
    kind: StoreKind,
    variable: Variable<'_>,
) -> Result<Access, FetchError> {
    let credentials = source.credentials.as_ref();
    Ok(match kind {
        StoreKind::S3 => Access::S3 {
            keys: match credentials {
                Some(Credentials::Anonymous(_)) => None,
                Some(Credentials::Aws(keys)) => Some(of_aws(keys)?),
                other => Some(told(AWS, other, variable)?),
            },
            region: region(source, variable)?,
        },
        StoreKind::Gcs => Access::Gcs(match credentials {
            Some(Credentials::Anonymous(_)) => None,
            Some(Credentials::Gcp(key)) => Some(of_account(&key.service_account_file)?),
            other => Some(of_gcp(told(GCP, other, variable)?)?),
        }),
        StoreKind::Azure => Access::Azure(match credentials {
            Some(Credentials::Anonymous(_)) => None,
            Some(Credentials::Azure(key)) => Some(of_azure(key)?),
            other => Some(told(AZURE, other, variable)?),
        }),
    })
}

/// What the environment says. Rule: the metadata service is asked only where the configuration says so.
fn told<K: Copy>(
    ways: &[Telling<K>],
    credentials: Option<&Credentials>,
    variable: Variable<'_>,
) -> Result<Keys<K>, FetchError> {
    let may_ask = matches!(
        credentials,
        Some(Credentials::Environment(EnvironmentCredentials {
            metadata: true
        }))
    );
    let value = |(name, key): &(&'static str, K)| {
        let value = variable(name).filter(|value| !value.is_empty())?;
        Some((*key, value))
    };
    for way in ways.iter().filter(|way| may_ask || !way.is_metadata) {
        let needed: Option<Vec<_>> = way.needs.iter().map(value).collect();
        let Some(mut values) = needed else { continue };
        values.extend(way.takes.iter().filter_map(value));
        // The library reads them too, and would not say so well what is wrong.
        let files = way.needs.iter().filter(|(name, _)| name.ends_with("_FILE"));
        for file in files.filter_map(|(name, _)| variable(name)) {
            read_file(Path::new(&file))?;
        }
        return Ok(Keys {
            values,
            uses_metadata: way.is_metadata,
        });
    }
    let ways = ways.iter().filter(|way| !way.needs.is_empty());
    let names: Vec<_> = ways
        .map(|way| {
            let names: Vec<_> = way.needs.iter().map(|(name, _)| *name).collect();
            names.join(" with ")
        })
        .collect();
    Err(FetchError::Local(format!(
        "no credentials: there are none in the configuration, and the environment has none of {}",
        names.join(", ")
    )))
}

fn region(source: &RemoteSource, variable: Variable<'_>) -> Result<Option<String>, FetchError> {
    if let Some(region) = &source.object_store.region {
        return Ok(Some(region.clone()));
    }
    let mut told = REGION.iter().filter_map(|name| variable(name));
    match told.find(|region| !region.is_empty()) {
        Some(region) if !is_region(&region) => Err(FetchError::Local(
            "`AWS_REGION` or `AWS_DEFAULT_REGION` of the environment is no name of a region"
                .to_owned(),
        )),
        region => Ok(region),
    }
}

fn of_aws(keys: &AwsKeys) -> Result<Keys<Aws>, FetchError> {
    let secret = secret(&keys.secret_access_key, &keys.secret_access_key_file)?;
    let token = secret_if_any(&keys.session_token, &keys.session_token_file)?;
    let mut values = vec![
        (Aws::AccessKeyId, keys.access_key_id.clone()),
        (Aws::SecretAccessKey, secret),
    ];
    values.extend(token.map(|token| (Aws::Token, token)));
    Ok(given(values))
}

fn of_azure(key: &AzureKey) -> Result<Keys<Azure>, FetchError> {
    let of_account = secret_if_any(&key.account_key, &key.account_key_file)?;
    Ok(given(vec![match of_account {
        Some(of_account) => (Azure::AccessKey, of_account),
        None => (Azure::SasKey, secret(&key.sas_token, &key.sas_token_file)?),
    }]))
}

/// Puts the content of a file in place of its name.
fn of_gcp(told: Keys<Gcp>) -> Result<Keys<Gcp>, FetchError> {
    match told.values.first() {
        Some((Gcp::ServiceAccount, file)) => of_account(Path::new(file)),
        _ => Ok(told),
    }
}

/// Rule: what a file holds is not in the message.
fn of_account(file: &Path) -> Result<Keys<Gcp>, FetchError> {
    let wrong = || {
        let shown = file.display();
        FetchError::Local(format!("{shown} holds no key of a service account"))
    };
    let text = String::from_utf8(read_file(file)?).map_err(|_| wrong())?;
    let read: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
    match read.get("type").and_then(Value::as_str) {
        Some("service_account") => Ok(given(vec![(Gcp::ServiceAccountKey, text)])),
        _ => Err(wrong()),
    }
}

fn given<K>(values: Vec<(K, String)>) -> Keys<K> {
    Keys {
        values,
        uses_metadata: false,
    }
}

fn secret(text: &Option<Secret>, file: &Option<std::path::PathBuf>) -> Result<String, FetchError> {
    let found = secret_if_any(text, file)?;
    found.ok_or_else(|| FetchError::Local("the credentials lack a secret".to_owned()))
}

/// As it is given, or from its file without the line's end.
fn secret_if_any(
    text: &Option<Secret>,
    file: &Option<std::path::PathBuf>,
) -> Result<Option<String>, FetchError> {
    match (text, file) {
        (Some(Secret(text)), _) => Ok(Some(text.clone())),
        (None, Some(file)) => read_text(file).map(Some),
        (None, None) => Ok(None),
    }
}
