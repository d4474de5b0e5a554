//! TLS of a port: certificate, key and the authority of its clients, read again when they have
//! changed; on any error those in use stay. Handshakes are bounded in time and number. What is
//! spoken inside, and who may say what, is left to the servers.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

pub use rustls::pki_types::CertificateDer;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Longest that a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most handshakes of a port at once; a further connection is closed.
const MAX_HANDSHAKES: usize = 1_024;
/// How far in the future a certificate may begin: clocks differ, and new ones are used at once.
const CLOCK_SKEW: u64 = 300;

/// Section `tls` of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Certificate in PEM, those of its issuers behind it.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Authorities of clients in PEM.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// What is asked of clients where there is an authority for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// A certificate: without a good one there is no connection.
    Required,
    /// A certificate, if they have one: without any there is a connection, with a bad one there is
    /// none.
    Asked,
}

/// TLS of one port.
pub struct Tls {
    config: Config,
    clients: Clients,
    /// What is spoken inside (ALPN).
    protocol: &'static [u8],
    active: ArcSwap<Active>,
    handshakes: Semaphore,
    /// Told when others are the authorities of clients.
    authorities: watch::Sender<()>,
}

/// Tells when others are the authorities of clients than at first.
#[derive(Debug)]
pub struct Authorities(Option<watch::Receiver<()>>);

/// What new connections get.
struct Active {
    server: Arc<ServerConfig>,
    /// Of the files it was made of.
    digest: digest::Digest,
    /// Of the authorities of clients among them.
    authorities: Option<digest::Digest>,
    /// End of the certificate, in seconds since 1970.
    expires: u64,
}

/// What the files hold.
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A connection, encrypted or not.
pub type Connection<S> = Either<S, Box<TlsStream<S>>>;

/// Why certificate, key and authority cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, io::Error),
    #[error("{0} is larger than {MAX_FILE} bytes")]
    TooLarge(PathBuf),
    #[error("{0} holds no certificate in PEM")]
    Certificate(PathBuf),
    #[error("{0} holds no private key in PEM")]
    Key(PathBuf),
    #[error("the certificate in {0} has expired")]
    Expired(PathBuf),
    #[error("the certificate in {0} is not valid yet")]
    NotYetValid(PathBuf),
    #[error("the key in {0} is not that of the certificate in {1}")]
    Mismatch(PathBuf, PathBuf),
    #[error("{0} cannot be used: {1}")]
    Unusable(PathBuf, String),
}

// === impl Tls ===

impl Tls {
    /// Reads the files. A pair that does not fit, or has expired, is an error.
    pub fn load(
        config: &Config,
        clients: Clients,
        protocol: &'static [u8],
    ) -> Result<Self, TlsError> {
        let active = activate(config, clients, protocol, Files::read(config)?)?;
        Ok(Self {
            config: config.clone(),
            clients,
            protocol,
            active: ArcSwap::from_pointee(active),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
            authorities: watch::Sender::new(()),
        })
    }

    /// Reads the files again and tells whether others are in use now. Whoever follows the authorities
    /// of clients learns if others are.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.config)?;
        if files.digest().as_ref() == self.active.load().digest.as_ref() {
            return Ok(false);
        }
        let active = activate(&self.config, self.clients, self.protocol, files)?;
        let bytes = |active: &Active| active.authorities.map(|digest| digest.as_ref().to_vec());
        let authorities = bytes(&active);
        let before = self.active.swap(Arc::new(active));
        // Told last: who follows from before that on has those that are new, or is told.
        if bytes(&before) != authorities {
            self.authorities.send_replace(());
        }
        Ok(true)
    }

    /// End of the certificate in use, in seconds since 1970.
    pub fn expires(&self) -> u64 {
        self.active.load().expires
    }

    async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _place = self
            .handshakes
            .try_acquire()
            .map_err(|_| io::Error::other("too many handshakes at once"))?;
        let server = Arc::clone(&self.active.load().server);
        let handshake = TlsAcceptor::from(server).accept(stream);
        tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tls").field(&self.config).finish()
    }
}

// === impl Authorities ===

/// Follows the authorities of clients. To be called before the handshake whose outcome depends on it.
pub fn follow_authorities(tls: Option<&Tls>) -> Authorities {
    Authorities(tls.map(|tls| tls.authorities.subscribe()))
}

impl Authorities {
    /// Ends once others are the authorities.
    pub async fn changed(&mut self) {
        if let Some(changes) = &mut self.0
            && changes.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Makes a connection of an accepted stream: at once, or by a handshake.
pub async fn open<S>(tls: Option<&Tls>, stream: S) -> io::Result<Connection<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match tls {
        None => Ok(Either::Left(stream)),
        Some(tls) => Ok(Either::Right(Box::new(tls.accept(stream).await?))),
    }
}

/// The certificate that the other end has shown, which was checked by then.
pub fn client_certificate<S>(connection: &Connection<S>) -> Option<&CertificateDer<'static>> {
    match connection {
        Either::Left(_) => None,
        Either::Right(stream) => stream.get_ref().1.peer_certificates()?.first(),
    }
}

fn activate(
    config: &Config,
    clients: Clients,
    protocol: &'static [u8],
    files: Files,
) -> Result<Active, TlsError> {
    let digest = files.digest();
    let digest_of = |pem: &Vec<u8>| digest::digest(&digest::SHA256, pem);
    let client_authorities = files.client_ca.as_ref().map(digest_of);
    let chain = certificates(&config.cert, &files.cert)?;
    let key =
        PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| TlsError::Key(config.key.clone()))?;
    let expires = check_times(&config.cert, &chain)?;
    let provider = Arc::new(default_provider());
    let unusable = |path: &Path, why: String| TlsError::Unusable(path.to_owned(), why);
    // Rule: TLS 1.2 and 1.3, with the library's choice of suites.
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&config.cert, error.to_string()))?;
    let builder = match config.client_ca.as_deref().zip(files.client_ca) {
        None => builder.with_no_client_auth(),
        Some((path, pem)) => {
            let authorities = Arc::new(authorities(path, &pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider);
            let verifier = match clients {
                Clients::Required => verifier,
                Clients::Asked => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build();
            let verifier = verifier.map_err(|error| unusable(path, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let server = builder.with_single_cert(chain, key);
    let mut server = server.map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch(config.key.clone(), config.cert.clone())
        }
        error => unusable(&config.key, error.to_string()),
    })?;
    server.alpn_protocols = vec![protocol.to_vec()];
    // Rule: a client's certificate is checked at every connection, so none is taken up again without.
    if config.client_ca.is_some() {
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(Active {
        server: Arc::new(server),
        digest,
        authorities: client_authorities,
        expires,
    })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Certificate(path.to_owned())),
    }
}

fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        let added = authorities.add(certificate);
        added.map_err(|error| TlsError::Unusable(path.to_owned(), error.to_string()))?;
    }
    Ok(authorities)
}

/// Rule: the first certificate is the server's own; it holds now. Returns until when.
fn check_times(path: &Path, chain: &[CertificateDer<'_>]) -> Result<u64, TlsError> {
    let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let validity = Validity::of(own)
        .map_err(|error| TlsError::Unusable(path.to_owned(), error.to_string()))?;
    let Validity { from, until } = validity;
    if validity.is_over() {
        Err(TlsError::Expired(path.to_owned()))
    } else if from > now().saturating_add(CLOCK_SKEW) {
        Err(TlsError::NotYetValid(path.to_owned()))
    } else {
        Ok(until)
    }
}

/// When a certificate holds, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    from: u64,
    until: u64,
}

impl Validity {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let certificate = Certificate::from_der(certificate)?;
        let validity = certificate.tbs_certificate().validity();
        Ok(Self {
            from: validity.not_before.to_unix_duration().as_secs(),
            until: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    pub fn is_over(&self) -> bool {
        self.until < now()
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

// === impl Files ===

impl Files {
    fn read(config: &Config) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(&config.cert)?,
            key: read(&config.key)?,
            client_ca: config.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()] {
            let part = part.map_or(&[][..], Vec::as_slice);
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.finish()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Read(path.to_owned(), error);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    match read.map_err(unreadable)? as u64 > MAX_FILE {
        true => Err(TlsError::TooLarge(path.to_owned())),
        false => Ok(bytes),
    }
}
