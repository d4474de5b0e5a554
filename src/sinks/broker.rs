//! Sink `kafka`: decisions as messages of a topic, one each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::event::Form;
use super::sink::{Accepted, Failure, Sent, Sink};
use crate::decision_log::Finished;
use crate::fetch::one_line;
use crate::kafka::{KafkaError, Message, Producer};

/// Longest message about a failure, in characters.
const MAX_MESSAGE: usize = 200;
const NANOS: i64 = 1_000_000;

pub(super) struct Broker {
    producer: Producer,
    form: Form,
    /// Where in a record the key is; its id without.
    key: Option<String>,
    timeout: Duration,
}

// === impl Broker ===

impl Broker {
    pub(super) fn new(
        producer: Producer,
        form: Form,
        key: Option<String>,
        timeout: Duration,
    ) -> Self {
        Self {
            producer,
            form,
            key,
            timeout,
        }
    }

    fn message(&self, record: &Finished) -> Message {
        Message {
            key: self
                .key(record)
                .unwrap_or_else(|| record.id.to_string())
                .into_bytes(),
            value: self.form.text(record).into_bytes(),
            time: record.time_ns / NANOS,
        }
    }

    /// Rule: what has no such member has its id for a key, so that it is somewhere.
    fn key(&self, record: &Finished) -> Option<String> {
        let pointer = self.key.as_ref()?;
        let value: Value = serde_json::from_str(&record.json).ok()?;
        match value.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }
}

#[async_trait]
impl Sink for Broker {
    async fn deliver(&mut self, records: &[Arc<Finished>]) -> Sent {
        let messages: Vec<_> = records.iter().map(|record| self.message(record)).collect();
        let count = records.len();
        let produced = tokio::time::timeout(self.timeout, self.producer.produce(&messages)).await;
        match produced {
            Ok(Ok(rejected)) => Sent {
                count,
                result: Ok(Accepted {
                    rejected,
                    ..Accepted::default()
                }),
            },
            Ok(Err(error @ KafkaError::TooLarge)) => {
                let why = error.to_string();
                Sent::failed(count, Failure::TooLarge { why })
            }
            Ok(Err(error)) => {
                let why = one_line(&error.to_string(), MAX_MESSAGE);
                Sent::failed(count, Failure::may_pass(why))
            }
            Err(_) => {
                let why = format!("no answer within {:?}", self.timeout);
                Sent::failed(count, Failure::may_pass(why))
            }
        }
    }
}
