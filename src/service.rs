//! Servers that the configuration names, for bundles and for decisions alike: how each is trusted and who
//! asks it. What a request may do is in `fetch`; what is asked is left to others.

mod credentials;
mod files;
mod post;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use reqwest::Client;
use thiserror::Error;

use crate::address::{OwnPorts, Rules};
use crate::bundle::{Credentials, Secret, SourceTls};
use crate::fetch::{Clients, FetchError, Way};

pub use credentials::Tokens;
pub use files::{read_file, read_text};
pub use post::{PostTo, Posted, Poster};
pub use tls::client_tls;

/// Makes clients for requests.
#[derive(Debug)]
pub struct Servers(Clients);

/// What a server knows the one who asks by.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Sent with every request. They may hold secrets.
    pub headers: &'a BTreeMap<String, Secret>,
    pub tls: &'a SourceTls,
    pub credentials: Option<&'a Credentials>,
}

/// Why it cannot be said who asks.
#[derive(Debug, Error)]
pub enum AskerError {
    #[error("no token was given: {0}")]
    Token(String),
    #[error("{0}")]
    Fetch(#[from] FetchError),
}

// === impl Servers ===

impl Servers {
    /// `own_ports` are never asked on this machine.
    pub fn new(own_ports: OwnPorts) -> Self {
        Self(Clients::new(own_ports))
    }

    /// A client for the next request of a way, if it may go there.
    pub async fn client(
        &self,
        tls: &SourceTls,
        shows_itself: bool,
        way: &Way,
    ) -> Result<Client, FetchError> {
        let rules = Rules::default();
        self.client_by(&rules, tls, shows_itself, way).await
    }

    /// The same by other rules.
    pub async fn client_by(
        &self,
        rules: &Rules,
        tls: &SourceTls,
        shows_itself: bool,
        way: &Way,
    ) -> Result<Client, FetchError> {
        let tls = files::read_tls(tls, shows_itself).await?;
        self.0.get_by(rules, tls, way).await
    }
}
