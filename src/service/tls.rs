//! TLS to a server that speaks something else than HTTP, by the same settings.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

use super::files::read_tls;
use crate::bundle::SourceTls;
use crate::fetch::{FetchError, Tls, blocking};

/// How a server is trusted, and what is shown to it. Files are read each time.
pub async fn client_tls(tls: &SourceTls) -> Result<ClientConfig, FetchError> {
    let tls = read_tls(tls, true).await?;
    blocking(move || make(&tls)).await
}

fn make(tls: &Tls) -> Result<ClientConfig, FetchError> {
    let local = |why: &str| FetchError::Local(why.to_owned());
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| local(&error.to_string()))?
        .with_root_certificates(authorities(tls)?);
    let Some(identity) = &tls.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let wrong = || local("`tls.cert` and `tls.key` hold no certificate and key in PEM");
    let key = PrivateKeyDer::from_pem_slice(identity).map_err(|_| wrong())?;
    let certificates = CertificateDer::pem_slice_iter(identity).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| wrong())?;
    let config = builder.with_client_auth_cert(certificates, key);
    config.map_err(|_| wrong())
}

/// Rule: authorities that are given stand in for the system's, unless those are wanted too.
fn authorities(tls: &Tls) -> Result<RootCertStore, FetchError> {
    let wrong = || FetchError::Local("`tls.ca` holds no certificates in PEM".to_owned());
    let mut authorities = RootCertStore::empty();
    if tls.ca.is_none() || tls.system_ca {
        let found = rustls_native_certs::load_native_certs();
        authorities.add_parsable_certificates(found.certs);
    }
    if let Some(ca) = &tls.ca {
        let given = CertificateDer::pem_slice_iter(ca).collect::<Result<Vec<_>, _>>();
        let given = given.map_err(|_| wrong())?;
        if given.is_empty() {
            return Err(wrong());
        }
        for certificate in given {
            authorities.add(certificate).map_err(|_| wrong())?;
        }
    }
    Ok(authorities)
}
