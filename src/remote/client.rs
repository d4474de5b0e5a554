//! HTTP clients: one for each way in which a server is trusted and the asker is known. Files are read
//! for each request, so that one that was replaced is used from then on.

use std::collections::HashMap;
use std::path::Path;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity};
use tokio::sync::Mutex;

use super::fetch::FetchError;
use crate::address::{CheckedResolver, Home};
use crate::bundle::SourceTls;

/// Most clients that are kept.
const MAX_CLIENTS: usize = 128;
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What the files of a `SourceTls` hold.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Material {
    ca: Option<Vec<u8>>,
    system_ca: bool,
    /// Certificate and key.
    identity: Option<Vec<u8>>,
}

/// Clients that were made.
#[derive(Default)]
pub(super) struct Clients {
    resolver: CheckedResolver,
    made: Mutex<HashMap<(Material, Home), Client>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// A client for a request. Rule: `shows_itself` only to the server that was configured.
    pub(super) async fn get(
        &self,
        tls: &SourceTls,
        shows_itself: bool,
        home: Home,
    ) -> Result<Client, FetchError> {
        let tls = tls.clone();
        let read = move || Material::read(&tls, shows_itself).map_err(FetchError::Local);
        let material = blocking(read).await?;
        let key = (material, home);
        let mut made = self.made.lock().await;
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let resolver = self.resolver.at(home);
        let material = key.0.clone();
        let client = blocking(move || make(&material, &resolver)).await?;
        if made.len() >= MAX_CLIENTS {
            made.clear();
        }
        made.insert(key, client.clone());
        Ok(client)
    }
}

/// Reads a file of credentials, bounded.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let shown = path.display();
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("{shown}: {error}"))?;
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("{shown}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{shown} is larger than {MAX_FILE} bytes"));
    }
    Ok(bytes)
}

/// Runs work that waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(FetchError::Local(error.to_string())))
}

impl Material {
    fn read(tls: &SourceTls, shows_itself: bool) -> Result<Self, String> {
        let identity = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) if shows_itself => {
                let mut identity = read_file(cert)?;
                identity.push(b'\n');
                identity.extend(read_file(key)?);
                Some(identity)
            }
            _ => None,
        };
        Ok(Self {
            ca: tls.ca.as_deref().map(read_file).transpose()?,
            system_ca: tls.system_ca,
            identity,
        })
    }
}

fn make(material: &Material, resolver: &CheckedResolver) -> Result<Client, FetchError> {
    let local = |why: &str| FetchError::Local(why.to_owned());
    let mut authorities = Vec::new();
    if let Some(ca) = &material.ca {
        let read = Certificate::from_pem_bundle(ca);
        authorities = read.map_err(|_| local("`tls.ca` holds no certificates in PEM"))?;
        if authorities.is_empty() {
            return Err(local("`tls.ca` holds no certificate"));
        }
    }
    let identity =
        match &material.identity {
            None => None,
            Some(pem) => Some(Identity::from_pem(pem).map_err(|_| {
                local("`tls.cert` and `tls.key` hold no certificate and key in PEM")
            })?),
        };
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            // A connection of the last request would keep its address, which is not resolved again.
            .pool_max_idle_per_host(0)
            .dns_resolver(resolver.clone());
        match &identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    };
    // Rule: authorities that are given stand in for the system's, unless those are wanted too.
    let built = match (material.ca.is_some(), material.system_ca) {
        (true, true) => builder().tls_certs_merge(authorities).build(),
        (true, false) => builder().tls_certs_only(authorities).build(),
        // A machine without any certificates can still ask over plain HTTP.
        (false, _) => builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build()),
    };
    built.map_err(FetchError::http)
}
