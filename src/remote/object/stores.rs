//! Makes the library's stores. Each is made twice over: one that gets the credentials, and one that gets
//! the object by them, so that what the former may reach is out of the latter's reach.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Aws};
use object_store::azure::{AzureConfigKey as Azure, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey as Gcp};
use object_store::{ObjectStore, RetryConfig, StaticCredentialProvider};

use super::access::{Access, Keys};
use super::connection::{Connection, Purpose};
use crate::bundle::{ObjectStoreConfig, ObjectUrl, RemoteSource, SourceUrl};
use crate::fetch::FetchError;
use crate::remote::fetch::Fetcher;

/// What all kinds are made of.
struct Making<'a> {
    url: &'a ObjectUrl,
    source: &'a Arc<RemoteSource>,
    fetcher: &'a Arc<Fetcher>,
}

/// Makes the store of an object as it is asked by somebody.
pub(super) fn make(
    url: &ObjectUrl,
    source: &Arc<RemoteSource>,
    access: &Access,
    fetcher: &Arc<Fetcher>,
) -> Result<Arc<dyn ObjectStore>, FetchError> {
    let making = Making {
        url,
        source,
        fetcher,
    };
    let made = match access {
        Access::S3 { keys, region } => making.s3(keys.as_ref(), region.as_deref()),
        Access::Gcs(keys) => making.gcs(keys.as_ref()),
        Access::Azure(keys) => making.azure(keys.as_ref()),
    };
    // Rule: what the library says may repeat a secret.
    made.map_err(|_| FetchError::Local("the credentials cannot be used".to_owned()))
}

/// The server in place of the cloud's own, with the bucket in its name where that is wanted.
pub(super) fn endpoint(config: &ObjectStoreConfig, bucket: &str) -> Option<String> {
    let mut url = config.endpoint.as_ref().map(SourceUrl::url)?.clone();
    if config.virtual_hosted {
        let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
        // The configuration has been checked: it is a name.
        url.set_host(Some(&host)).ok()?;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

impl Making<'_> {
    fn s3(
        &self,
        keys: Option<&Keys<Aws>>,
        region: Option<&str>,
    ) -> object_store::Result<Arc<dyn ObjectStore>> {
        let is_virtual = self.source.object_store.virtual_hosted;
        let builder = || {
            let builder = AmazonS3Builder::new()
                .with_bucket_name(&self.url.bucket)
                .with_virtual_hosted_style_request(is_virtual)
                .with_retry(self.retry());
            let builder = match region {
                Some(region) => builder.with_region(region),
                None => builder,
            };
            match self.endpoint() {
                Some(endpoint) => builder.with_endpoint(endpoint),
                None => builder,
            }
        };
        let store = builder().with_http_connector(self.connection(Purpose::Object));
        let Some(keys) = keys else {
            return Ok(Arc::new(store.with_skip_signature(true).build()?));
        };
        let mut asking = builder().with_http_connector(self.for_credentials(keys));
        for (key, value) in &keys.values {
            asking = asking.with_config(*key, value);
        }
        let credentials = Arc::clone(asking.build()?.credentials());
        Ok(Arc::new(store.with_credentials(credentials).build()?))
    }

    fn gcs(&self, keys: Option<&Keys<Gcp>>) -> object_store::Result<Arc<dyn ObjectStore>> {
        let builder = || {
            GoogleCloudStorageBuilder::new()
                .with_bucket_name(&self.url.bucket)
                .with_retry(self.retry())
        };
        let store = builder().with_http_connector(self.connection(Purpose::Object));
        let store = match self.endpoint() {
            Some(endpoint) => store.with_base_url(&endpoint),
            None => store,
        };
        let Some(keys) = keys else {
            let nobody = GcpCredential {
                bearer: String::new(),
            };
            // Without any the library would look for a file of the user's.
            let nobody = Arc::new(StaticCredentialProvider::new(nobody));
            let store = store.with_credentials(nobody).with_skip_signature(true);
            return Ok(Arc::new(store.build()?));
        };
        let mut asking = builder().with_http_connector(self.for_credentials(keys));
        for (key, value) in &keys.values {
            asking = asking.with_config(*key, value);
        }
        let credentials = Arc::clone(asking.build()?.credentials());
        Ok(Arc::new(store.with_credentials(credentials).build()?))
    }

    fn azure(&self, keys: Option<&Keys<Azure>>) -> object_store::Result<Arc<dyn ObjectStore>> {
        let of_config = self.source.object_store.account.as_ref();
        let account = self.url.account.as_ref().or(of_config);
        let builder = || {
            let builder = MicrosoftAzureBuilder::new()
                .with_account(account.map(String::as_str).unwrap_or_default())
                .with_container_name(&self.url.bucket)
                .with_retry(self.retry());
            match self.endpoint() {
                Some(endpoint) => builder.with_endpoint(endpoint),
                None => builder,
            }
        };
        let store = builder().with_http_connector(self.connection(Purpose::Object));
        let Some(keys) = keys else {
            return Ok(Arc::new(store.with_skip_signature(true).build()?));
        };
        let mut asking = builder().with_http_connector(self.for_credentials(keys));
        for (key, value) in &keys.values {
            asking = asking.with_config(*key, value);
        }
        let credentials = Arc::clone(asking.build()?.credentials());
        Ok(Arc::new(store.with_credentials(credentials).build()?))
    }

    /// Rule: nothing is tried twice.
    fn retry(&self) -> RetryConfig {
        RetryConfig {
            max_retries: 0,
            retry_timeout: self.source.timeout.0,
            ..RetryConfig::default()
        }
    }

    fn endpoint(&self) -> Option<String> {
        endpoint(&self.source.object_store, &self.url.bucket)
    }

    fn connection(&self, purpose: Purpose) -> Connection {
        Connection {
            fetcher: Arc::clone(self.fetcher),
            source: Arc::clone(self.source),
            purpose,
        }
    }

    fn for_credentials<K>(&self, keys: &Keys<K>) -> Connection {
        self.connection(Purpose::Credentials {
            metadata: keys.uses_metadata,
        })
    }
}
