//! A producer for Kafka: as much of its protocol as it takes to bring messages to the leaders of a
//! topic's partitions, acknowledged by all replicas in sync. Versions of requests are those that every
//! broker since 0.11 knows, 4.x included. It tries nothing twice, and forgets what it knew when something
//! fails: when there is another attempt is left to others.

mod batch;
mod connection;
mod messages;
mod sasl;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::address::{AtHome, OwnPorts, RefusedAddress};
use crate::bundle::SourceTls;
use crate::fetch::FetchError;
use connection::Connection;
use messages::{Metadata, Produced};

pub use batch::Message;
pub use sasl::{Mechanism, Sasl};

/// Codes of errors that say what becomes of messages.
const TOO_LARGE: [i16; 2] = [10, 18];
const INVALID_RECORD: i16 = 87;

/// `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Broker {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Where messages go, and who brings them.
#[derive(Debug, Clone)]
pub struct Target {
    /// Asked for the others, one after the other.
    pub brokers: Vec<Broker>,
    pub topic: String,
    /// Without it, nothing is encrypted.
    pub tls: Option<SourceTls>,
    pub sasl: Option<Sasl>,
}

/// Why messages did not arrive. It holds no secret, and nothing of a message.
#[derive(Debug, Error)]
pub enum KafkaError {
    #[error("{0}")]
    Address(#[from] RefusedAddress),
    #[error("{0}")]
    AtHome(#[from] AtHome),
    #[error("{0}")]
    Local(#[from] FetchError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the broker does not take who asks")]
    Refused,
    #[error("the broker's answer is not understood")]
    Answer,
    #[error("a partition of the topic has no leader")]
    NoLeader,
    #[error("the broker answered with error {0}")]
    Code(i16),
    #[error("the messages are too large")]
    TooLarge,
}

/// Brings messages to one topic.
#[derive(Debug)]
pub struct Producer {
    target: Target,
    own_ports: OwnPorts,
    known: Option<Metadata>,
    connections: HashMap<i32, Connection>,
}

// === impl Producer ===

impl Producer {
    /// `own_ports` are never asked on this machine.
    pub fn new(target: Target, own_ports: OwnPorts) -> Self {
        Self {
            target,
            own_ports,
            known: None,
            connections: HashMap::new(),
        }
    }

    /// Brings messages, those of one key in their order. Returned is how many will never be taken. After
    /// an error some may have arrived.
    pub async fn produce(&mut self, messages: &[Message]) -> Result<u64, KafkaError> {
        // What was in use when it went wrong is in no state that is known.
        let (known, mut connections) = (self.known.take(), std::mem::take(&mut self.connections));
        let known = match known {
            Some(known) => known,
            None => self.look_up().await?,
        };
        let mut rejected = 0;
        for (leader, parts) in known.by_leader(messages)? {
            let broker = known.brokers.get(&leader).ok_or(KafkaError::NoLeader)?;
            let mut connection = match connections.remove(&leader) {
                Some(connection) => connection,
                None => self.connect(broker, Some(&known.from)).await?,
            };
            rejected += self.send(&mut connection, &parts).await?;
            connections.insert(leader, connection);
        }
        (self.known, self.connections) = (Some(known), connections);
        Ok(rejected)
    }

    async fn send(
        &self,
        connection: &mut Connection,
        parts: &BTreeMap<i32, Vec<&Message>>,
    ) -> Result<u64, KafkaError> {
        let request = messages::produce(&self.target.topic, parts);
        let answer = connection.ask(messages::PRODUCE, &request).await?;
        let mut rejected = 0;
        let mut open: BTreeSet<i32> = parts.keys().copied().collect();
        for Produced { partition, code } in messages::produced(&answer)? {
            // Rule: each partition is answered for, once.
            if !open.remove(&partition) {
                return Err(KafkaError::Answer);
            }
            match code {
                0 => {}
                code if TOO_LARGE.contains(&code) => return Err(KafkaError::TooLarge),
                INVALID_RECORD => {
                    rejected += parts.get(&partition).map_or(0, |part| part.len() as u64);
                }
                code => return Err(KafkaError::Code(code)),
            }
        }
        match open.is_empty() {
            true => Ok(rejected),
            false => Err(KafkaError::Answer),
        }
    }

    /// Asks the configured brokers for the leaders, until one answers.
    async fn look_up(&self) -> Result<Metadata, KafkaError> {
        let mut last = KafkaError::NoLeader;
        for broker in &self.target.brokers {
            match self.look_up_at(broker).await {
                Ok(known) => return Ok(known),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn look_up_at(&self, broker: &Broker) -> Result<Metadata, KafkaError> {
        let mut connection = self.connect(broker, None).await?;
        let request = messages::metadata(&self.target.topic);
        let answer = connection.ask(messages::METADATA, &request).await?;
        Metadata::read(&answer, &self.target.topic, broker)
    }

    async fn connect(
        &self,
        broker: &Broker,
        from: Option<&Broker>,
    ) -> Result<Connection, KafkaError> {
        let mut connection =
            Connection::open(broker, from, self.target.tls.as_ref(), &self.own_ports).await?;
        if let Some(sasl) = &self.target.sasl {
            sasl.authenticate(&mut connection).await?;
        }
        Ok(connection)
    }
}

// === impl Broker ===

impl FromStr for Broker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no broker such as `kafka.example:9092`");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        match port.parse() {
            Ok(port) if port > 0 && !host.is_empty() && host.bytes().all(is_host) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Broker {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Broker> for String {
    fn from(broker: Broker) -> Self {
        broker.to_string()
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(formatter, "[{}]:{}", self.host, self.port),
            false => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}
