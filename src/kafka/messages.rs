//! The two requests that bring messages somewhere, and their answers.

use std::collections::{BTreeMap, HashMap};

use super::batch::{batch, partition};
use super::wire::{Answer, put_bytes, put_count, put_text};
use super::{Broker, KafkaError, Message};

/// Keys and versions.
pub(super) const PRODUCE: (i16, i16) = (0, 3);
pub(super) const METADATA: (i16, i16) = (3, 4);

/// All replicas in sync have a message before it counts.
const ALL: i16 = -1;
/// Longest that they may take for it, in milliseconds.
const TIMEOUT: i32 = 30_000;
/// Most partitions and brokers of a topic that are looked at.
const MAX_MEMBERS: usize = 100_000;

/// Who leads which partition of a topic.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Who said so.
    pub(super) from: Broker,
    pub(super) brokers: HashMap<i32, Broker>,
    /// Leaders by partition.
    leaders: BTreeMap<i32, i32>,
}

/// What became of the messages of a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) partition: i32,
    pub(super) code: i16,
}

/// Asks for one topic, which the broker may make if it does such a thing.
pub(super) fn metadata(topic: &str) -> Vec<u8> {
    let mut request = Vec::new();
    put_count(&mut request, 1);
    put_text(&mut request, topic);
    request.push(1);
    request
}

pub(super) fn produce(topic: &str, parts: &BTreeMap<i32, Vec<&Message>>) -> Vec<u8> {
    let mut request = Vec::new();
    // No transaction.
    request.extend_from_slice(&(-1_i16).to_be_bytes());
    request.extend_from_slice(&ALL.to_be_bytes());
    request.extend_from_slice(&TIMEOUT.to_be_bytes());
    put_count(&mut request, 1);
    put_text(&mut request, topic);
    put_count(&mut request, parts.len());
    for (partition, messages) in parts {
        request.extend_from_slice(&partition.to_be_bytes());
        put_bytes(&mut request, &batch(messages));
    }
    request
}

pub(super) fn produced(answer: &[u8]) -> Result<Vec<Produced>, KafkaError> {
    let mut answer = Answer::of(answer);
    let mut produced = Vec::new();
    for _ in 0..answer.count()? {
        answer.text()?;
        for _ in 0..answer.count()? {
            let (partition, code) = (answer.i32()?, answer.i16()?);
            // Offset and time.
            answer.take(16)?;
            produced.push(Produced { partition, code });
        }
    }
    Ok(produced)
}

// === impl Metadata ===

impl Metadata {
    pub(super) fn read(answer: &[u8], topic: &str, from: &Broker) -> Result<Self, KafkaError> {
        let mut answer = Answer::of(answer);
        // For how long it slowed the request down.
        answer.i32()?;
        let mut brokers = HashMap::new();
        for _ in 0..bounded(answer.count()?)? {
            let id = answer.i32()?;
            let host = answer.text()?.unwrap_or_default().to_owned();
            let port = u16::try_from(answer.i32()?).map_err(|_| KafkaError::Answer)?;
            answer.text()?;
            brokers.insert(id, Broker { host, port });
        }
        // Cluster and controller.
        answer.text()?;
        answer.i32()?;
        let mut leaders = BTreeMap::new();
        for _ in 0..answer.count()? {
            let code = answer.i16()?;
            let is_it = answer.text()? == Some(topic);
            answer.take(1)?;
            for _ in 0..bounded(answer.count()?)? {
                answer.i16()?;
                let (partition, leader) = (answer.i32()?, answer.i32()?);
                for _ in 0..2 {
                    let replicas = answer.count()?;
                    answer.take(replicas.saturating_mul(4))?;
                }
                if is_it {
                    leaders.insert(partition, leader);
                }
            }
            if is_it && code != 0 {
                return Err(KafkaError::Code(code));
            }
        }
        match leaders.is_empty() {
            true => Err(KafkaError::NoLeader),
            false => Ok(Self {
                from: from.clone(),
                brokers,
                leaders,
            }),
        }
    }

    /// Messages by leader and partition, in their order.
    pub(super) fn by_leader<'a>(
        &self,
        messages: &'a [Message],
    ) -> Result<BTreeMap<i32, BTreeMap<i32, Vec<&'a Message>>>, KafkaError> {
        let mut parts: BTreeMap<i32, BTreeMap<i32, Vec<&Message>>> = BTreeMap::new();
        let leaders: Vec<_> = self.leaders.iter().collect();
        for message in messages {
            let leader = leaders.get(partition(&message.key, leaders.len()));
            let (partition, leader) = leader.ok_or(KafkaError::NoLeader)?;
            let of_leader = parts.entry(**leader).or_default();
            of_leader.entry(**partition).or_default().push(message);
        }
        Ok(parts)
    }
}

fn bounded(count: usize) -> Result<usize, KafkaError> {
    (count <= MAX_MEMBERS)
        .then_some(count)
        .ok_or(KafkaError::Answer)
}
