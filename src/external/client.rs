//! HTTP clients: one for each way in which servers are trusted. They connect to checked addresses
//! only, keep connections for a while, and know nothing of redirects, proxies or cookies.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tower::Service;

use super::Resolver;
use crate::address::Home;
use crate::policy::rego::external::{ExternalError, TlsOptions};

/// Longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long and how many connections are kept for the next request to the same server. Servers that
/// close idle connections do so after five seconds or more, most of them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_IDLE: usize = 16;
/// Most clients that are kept, and how long one is kept that is not used.
const MAX_CLIENTS: u64 = 64;
const CLIENT_IDLE: Duration = Duration::from_secs(300);

pub(super) type HttpClient = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Clients by how servers are trusted, and which of this machine they may ask.
#[derive(Debug)]
pub(super) struct Clients {
    resolver: Resolver,
    made: moka::sync::Cache<(TlsOptions, Home), HttpClient>,
    /// The system's authorities, read when they are first needed.
    system: OnceLock<RootCertStore>,
}

impl Clients {
    pub(super) fn new(resolver: Resolver) -> Self {
        let made = moka::sync::Cache::builder()
            .max_capacity(MAX_CLIENTS)
            .time_to_idle(CLIENT_IDLE)
            .build();
        Self {
            resolver,
            made,
            system: OnceLock::new(),
        }
    }

    pub(super) fn get(&self, options: TlsOptions, home: Home) -> Result<HttpClient, ExternalError> {
        let key = (options, home);
        if let Some(client) = self.made.get(&key) {
            return Ok(client);
        }
        let client = self.make(&key.0, home).map_err(ExternalError::Request)?;
        self.made.insert(key, client.clone());
        Ok(client)
    }

    fn make(&self, options: &TlsOptions, home: Home) -> Result<HttpClient, String> {
        let resolver = Resolver {
            home,
            ..self.resolver.clone()
        };
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls(options)?)
            .https_or_http();
        let connector = match &options.server_name {
            Some(name) => builder
                .with_server_name_resolver(FixedServerNameResolver::new(server_name(name)?))
                .enable_http1()
                .wrap_connector(http),
            None => builder.enable_http1().wrap_connector(http),
        };
        let client = Client::builder(TokioExecutor::new())
            .http1_title_case_headers(true)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(client)
    }

    fn tls(&self, options: &TlsOptions) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = if options.accept_any_certificate {
            let verifier = Arc::new(AnyCertificate(provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else {
            builder.with_root_certificates(self.authorities(options)?)
        };
        let Some((certificates, key)) = &options.client else {
            return Ok(builder.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|_| "the client's key is no private key in PEM")?;
        let certificates = certificates_of(certificates)?;
        let config = builder.with_client_auth_cert(certificates, key);
        config.map_err(|_| "the client's certificate and key cannot be used".to_owned())
    }

    /// Rule: authorities that are given stand in for the system's, unless those are wanted too.
    fn authorities(&self, options: &TlsOptions) -> Result<RootCertStore, String> {
        let Some(given) = &options.authority else {
            return Ok(self.system().clone());
        };
        let mut authorities = if options.system_authorities {
            self.system().clone()
        } else {
            RootCertStore::empty()
        };
        for certificate in certificates_of(given)? {
            let added = authorities.add(certificate);
            added.map_err(|_| "a certificate of an authority cannot be used")?;
        }
        Ok(authorities)
    }

    /// Without any, requests over plain HTTP can still be made.
    fn system(&self) -> &RootCertStore {
        self.system.get_or_init(|| {
            let mut system = RootCertStore::empty();
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "some of the system's certificates cannot be read");
            }
            let (added, _) = system.add_parsable_certificates(found.certs);
            if added == 0 {
                tracing::warn!("the system has no certificates: no server over https is trusted");
            }
            system
        })
    }
}

fn certificates_of(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("there is no certificate in PEM".to_owned()),
    }
}

/// A name or an address; a `Host` header may have a port behind it.
fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    let bare = |text: &str| text.trim_matches(['[', ']']).to_owned();
    let parsed = ServerName::try_from(bare(text)).ok().or_else(|| {
        let (host, port) = text.rsplit_once(':')?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        ServerName::try_from(bare(host)).ok().filter(|_| is_port)
    });
    parsed.ok_or_else(|| "the server's name is neither a name nor an address".to_owned())
}

// === impl Resolver ===

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<std::net::SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// What is returned is connected to: the name is not resolved a second time.
    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.look_up(name.as_str().to_owned()).await?;
            let allowed = resolver.rules.filter(found.into_iter())?;
            Ok(resolver.home.filter(allowed)?.into_iter())
        })
    }
}

/// Takes whatever certificate a server shows, for policies that say so.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.0.signature_verification_algorithms;
        known.supported_schemes()
    }
}
