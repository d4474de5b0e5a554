//! How commands reach a management API: whom they trust and what they show where it speaks TLS, and that
//! nothing secret goes there without.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use reqwest::{Certificate, ClientBuilder, Identity};
use url::Url;

use crate::address::names_loopback;

#[derive(Debug, ClapArgs)]
pub(super) struct TrustArgs {
    /// Authorities in PEM that the API's certificate must be of, instead of the system's.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Certificate in PEM to show to the API.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Send the token without encryption, also to another machine.
    #[arg(long)]
    allow_plaintext: bool,
}

impl TrustArgs {
    /// Whether the API is one that speaks TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.tls_ca.is_some() || self.tls_cert.is_some()
    }

    /// Rule: who names an authority or a certificate means TLS, and a token does not leave this machine
    /// without.
    pub(super) fn check_way(&self, url: &Url, has_token: bool) -> anyhow::Result<()> {
        if url.scheme() == "https" {
            return Ok(());
        }
        let host = url.host_str().unwrap_or_default();
        anyhow::ensure!(
            !self.is_encrypted(),
            "{host} would be asked without encryption: certificates are for `https://`"
        );
        anyhow::ensure!(
            !has_token || names_loopback(url) || self.allow_plaintext,
            "the token would be sent to {host} without encryption; if something else encrypts on \
             the way, say so by `--allow-plaintext`"
        );
        Ok(())
    }

    pub(super) fn apply(&self, client: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        let client = match &self.tls_ca {
            None => client,
            Some(file) => client.tls_certs_only(authorities(file)?),
        };
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(client.identity(identity(certificate, key)?)),
            _ => Ok(client),
        }
    }
}

fn authorities(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let trusted = Certificate::from_pem_bundle(&read(file)?).unwrap_or_default();
    anyhow::ensure!(
        !trusted.is_empty(),
        "{}: holds no certificate in PEM",
        file.display()
    );
    Ok(trusted)
}

fn identity(certificate: &Path, key: &Path) -> anyhow::Result<Identity> {
    let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
    // What is wrong is not told: it could show parts of the key.
    Identity::from_pem(&pem).ok().with_context(|| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("{certificate} and {key} are no certificate with its key")
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| file.display().to_string())
}
