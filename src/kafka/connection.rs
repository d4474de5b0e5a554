//! A connection to one broker: requests and their answers, one after the other. Only addresses are
//! connected to that may be.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use url::Url;

use super::wire::{put_count, put_text};
use super::{Broker, KafkaError};
use crate::address::{OwnPorts, Rules, sends_from_elsewhere};
use crate::bundle::SourceTls;
use crate::service::client_tls;

/// By what brokers know this program.
const CLIENT: &str = "doorward";
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 << 20;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Of the last request.
    number: i32,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

// === impl Connection ===

impl Connection {
    /// Connects to a broker that is configured, or that another one told of.
    pub(super) async fn open(
        broker: &Broker,
        from: Option<&Broker>,
        tls: Option<&SourceTls>,
        own_ports: &OwnPorts,
    ) -> Result<Self, KafkaError> {
        let url = url(broker)?;
        let is_from_elsewhere = match from {
            Some(from) => sends_from_elsewhere(&self::url(from)?, &url),
            None => false,
        };
        let home = own_ports.home(&url, is_from_elsewhere);
        home.check_host(&url)?;
        let found = lookup_host((broker.host.as_str(), broker.port)).await?;
        let allowed = Rules::default().filter(found)?;
        let allowed = home.filter(allowed)?;
        let stream = TcpStream::connect(allowed.as_slice()).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let connector = TlsConnector::from(Arc::new(client_tls(tls).await?));
                let name = ServerName::try_from(broker.host.clone());
                let name = name.map_err(io::Error::other)?;
                Box::new(connector.connect(name, stream).await?)
            }
        };
        Ok(Self::on(stream))
    }

    pub(super) fn on(stream: Box<dyn Stream>) -> Self {
        Self { stream, number: 0 }
    }

    /// Makes a request by its key and version. Returns the answer without its head.
    pub(super) async fn ask(
        &mut self,
        (key, version): (i16, i16),
        body: &[u8],
    ) -> Result<Vec<u8>, KafkaError> {
        self.number = self.number.wrapping_add(1);
        let mut head = Vec::new();
        head.extend_from_slice(&key.to_be_bytes());
        head.extend_from_slice(&version.to_be_bytes());
        head.extend_from_slice(&self.number.to_be_bytes());
        put_text(&mut head, CLIENT);
        let mut request = Vec::new();
        put_count(&mut request, head.len() + body.len());
        request.extend_from_slice(&head);
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        let length = usize::try_from(self.stream.read_i32().await?).unwrap_or(usize::MAX);
        if !(4..=MAX_ANSWER).contains(&length) {
            return Err(KafkaError::Answer);
        }
        if self.stream.read_i32().await? != self.number {
            return Err(KafkaError::Answer);
        }
        let mut answer = Vec::new();
        let rest = (length - 4) as u64;
        let read = (&mut self.stream)
            .take(rest)
            .read_to_end(&mut answer)
            .await?;
        (read as u64 == rest)
            .then_some(answer)
            .ok_or(KafkaError::Answer)
    }
}

/// For the rules of addresses, which are about URLs.
fn url(broker: &Broker) -> Result<Url, KafkaError> {
    Url::parse(&format!("http://{broker}")).map_err(|_| KafkaError::Answer)
}
