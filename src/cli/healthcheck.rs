//! `doorward healthcheck`: asks `/readyz` of a running server; what a container's health check
//! runs, since its image has no other client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Outcome, complain, say};

/// Longest to wait for each step.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 4096;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Address of the management API.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    management: SocketAddr,
    /// Authorities in PEM that the API's certificate must be of; without it the API is asked in the
    /// clear.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Name that the API's certificate must have.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "localhost",
        requires = "tls_ca"
    )]
    tls_name: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    match ask(args) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => say("ready"),
        Ok(answer) => {
            let why = answer.rsplit("\r\n").next().unwrap_or_default().trim();
            complain(&format!("not ready: {why}"));
            Outcome::No
        }
        Err(error) => {
            complain(&format!("{} cannot be asked: {error}", args.management));
            Outcome::CouldNotRun
        }
    }
}

fn ask(args: &Args) -> anyhow::Result<String> {
    let stream = TcpStream::connect_timeout(&args.management, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    match &args.tls_ca {
        None => exchange(stream),
        Some(authorities) => {
            let connection = encrypt(authorities, &args.tls_name)?;
            exchange(StreamOwned::new(connection, stream))
        }
    }
}

fn exchange(mut stream: impl Read + Write) -> anyhow::Result<String> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

fn encrypt(authorities: &Path, name: &str) -> anyhow::Result<ClientConnection> {
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities)? {
        trusted.add(certificate?)?;
    }
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned())?;
    Ok(ClientConnection::new(Arc::new(client), name)?)
}
