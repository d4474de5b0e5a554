//! HTTP clients: one for each way in which a server is trusted and the asker is known, and each part of
//! this machine that may be asked.

use std::collections::HashMap;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use tokio::sync::Mutex;

use super::{FetchError, Way, blocking};
use crate::address::{CheckedResolver, Home, OwnPorts, Rules};

/// Most clients that are kept.
const MAX_CLIENTS: usize = 128;

/// Whom a client trusts and who it says it is, in PEM. By default it trusts whom the system does, so that
/// a company's own authority is known, and says nothing.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Authorities; they stand in for the system's.
    pub ca: Option<Vec<u8>>,
    /// The system's besides them.
    pub system_ca: bool,
    /// Certificate and key.
    pub identity: Option<Vec<u8>>,
}

/// Clients that were made; they read the system's certificates.
pub struct Clients {
    own_ports: OwnPorts,
    made: Mutex<HashMap<(Tls, Home), Client>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// `own_ports` are never asked on this machine.
    pub fn new(own_ports: OwnPorts) -> Self {
        Self {
            own_ports,
            made: Mutex::default(),
        }
    }

    /// A client for the next request of a way, if it may go there.
    pub async fn get(&self, tls: Tls, way: &Way) -> Result<Client, FetchError> {
        self.get_by(&Rules::default(), tls, way).await
    }

    /// The same by other rules for addresses that stand in a URL. Names never lead to what always is
    /// refused.
    pub async fn get_by(&self, rules: &Rules, tls: Tls, way: &Way) -> Result<Client, FetchError> {
        rules.check_host(&way.url)?;
        let home = self.own_ports.home(&way.url, way.is_from_elsewhere);
        home.check_host(&way.url)?;
        let key = (tls, home);
        let mut made = self.made.lock().await;
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let resolver = CheckedResolver::at(home);
        let tls = key.0.clone();
        let client = blocking(move || make(&tls, &resolver)).await?;
        if made.len() >= MAX_CLIENTS {
            made.clear();
        }
        made.insert(key, client.clone());
        Ok(client)
    }
}

fn make(tls: &Tls, resolver: &CheckedResolver) -> Result<Client, FetchError> {
    let local = |why: &str| FetchError::Local(why.to_owned());
    let identity = tls.identity.as_deref().map(Identity::from_pem).transpose();
    let identity = identity
        .map_err(|_| local("`tls.cert` and `tls.key` hold no certificate and key in PEM"))?;
    let builder = || match &identity {
        Some(identity) => builder(resolver).identity(identity.clone()),
        None => builder(resolver),
    };
    let Some(ca) = &tls.ca else {
        return with_system_ca(builder);
    };
    let authorities = Certificate::from_pem_bundle(ca);
    let authorities = authorities.map_err(|_| local("`tls.ca` holds no certificates in PEM"))?;
    if authorities.is_empty() {
        return Err(local("`tls.ca` holds no certificate"));
    }
    let builder = match tls.system_ca {
        true => builder().tls_certs_merge(authorities),
        false => builder().tls_certs_only(authorities),
    };
    builder.build().map_err(FetchError::http)
}

fn builder(resolver: &CheckedResolver) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        // A connection of the last request would keep its address, which is not resolved again.
        .pool_max_idle_per_host(0)
        .dns_resolver(resolver.clone())
}

/// Rule: a machine without any certificates can still ask over plain HTTP.
fn with_system_ca(builder: impl Fn() -> ClientBuilder) -> Result<Client, FetchError> {
    let built = builder().build().or_else(|error| {
        tracing::warn!(
            error = %FetchError::http(error),
            "the system's certificates cannot be read: nothing can be fetched over https"
        );
        builder().tls_certs_only([]).build()
    });
    built.map_err(FetchError::http)
}
