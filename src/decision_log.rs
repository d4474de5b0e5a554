//! The decision log: takes records off the request path without ever waiting, masks and stores
//! them on a thread of its own, and answers queries. A record that cannot be kept is counted.

mod mask;
mod query;
mod record;
mod store;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use mask::Mask;
pub use query::{Cursor, Filter, Page, QueryError};
pub use record::{Entry, Record};
pub use store::LogStore;

use crate::telemetry::Metrics;
use crate::units::{Size, Span};

/// Most records waiting to be stored.
const MAX_QUEUED: usize = 65_536;
/// Most memory the waiting records may take, in bytes.
const MAX_QUEUED_BYTES: usize = 64 << 20;
/// Most records stored in one transaction.
const MAX_BATCH: usize = 2_000;
/// How long a record may wait for others, so that it is visible soon.
const BATCH_DELAY: Duration = Duration::from_millis(50);
/// How often old records are removed, and after how many bytes of new ones at the latest.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10);
const PRUNE_BYTES: usize = 16 << 20;

/// Section `decision_log` of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether decisions are recorded. What was recorded before can be asked for either way, and is
    /// kept no longer.
    pub enabled: bool,
    /// How long decisions are kept.
    pub retention: Span,
    /// How large the log's file may grow.
    pub max_bytes: Size,
    /// Names of headers and query parameters to mask beside the built-in ones.
    pub mask: Vec<String>,
    pub overflow: Overflow,
}

/// What happens when decisions come faster than they can be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The newest are dropped and counted.
    #[default]
    Count,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            retention: Span::from_secs(7 * 24 * 60 * 60),
            max_bytes: Size::from_mib(1024),
            mask: Vec::new(),
            overflow: Overflow::Count,
        }
    }
}

impl From<&Config> for LogSettings {
    fn from(config: &Config) -> Self {
        Self {
            enabled: config.enabled,
            retention: config.retention.0,
            max_bytes: config.max_bytes.0,
            mask: Mask::new(&config.mask),
        }
    }
}

/// Whether anything is recorded, how long and how much is kept.
#[derive(Debug, Clone)]
pub struct LogSettings {
    pub enabled: bool,
    pub retention: Duration,
    pub max_bytes: u64,
    pub mask: Mask,
}

/// Takes records. Cheap to clone; without a log behind it everything is discarded uncounted.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    queue: Option<Arc<Queue>>,
}

#[derive(Debug)]
struct Queue {
    sender: SyncSender<Message>,
    queued_bytes: AtomicUsize,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Message {
    Record(Box<Record>),
    Stop,
}

/// The running log.
#[derive(Debug)]
pub struct DecisionLog {
    queue: Arc<Queue>,
    enabled: bool,
    reader: Arc<LogStore>,
    writer: Option<JoinHandle<()>>,
}

// === impl Recorder ===

impl Recorder {
    /// Hands a record over, or counts it as lost. Never waits.
    pub fn record(&self, mut record: Record) {
        let Some(queue) = &self.queue else { return };
        record.shed_bodies();
        let weight = record.weight();
        let held = queue.queued_bytes.fetch_add(weight, Ordering::Relaxed);
        let reason = if held + weight > MAX_QUEUED_BYTES {
            "buffer_full"
        } else {
            match queue.sender.try_send(Message::Record(Box::new(record))) {
                Ok(()) => return,
                Err(TrySendError::Full(_)) => "buffer_full",
                Err(TrySendError::Disconnected(_)) => "stopped",
            }
        };
        queue.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
        queue.metrics.log_dropped(reason, 1);
    }
}

// === impl DecisionLog ===

impl DecisionLog {
    /// Opens the log's file and starts its thread: also where nothing is to be recorded, what is old
    /// has to go.
    pub fn start(
        path: &Path,
        settings: LogSettings,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let mut store = LogStore::open(path)
            .with_context(|| format!("the decision log {} cannot be opened", path.display()))?;
        let reader = Arc::new(LogStore::open_reader(path)?);
        let enabled = settings.enabled;
        let (sender, receiver) = mpsc::sync_channel(MAX_QUEUED);
        let queue = Arc::new(Queue {
            sender,
            queued_bytes: AtomicUsize::new(0),
            metrics,
        });
        let writer_queue = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || {
                Writer {
                    queue: &writer_queue,
                    settings,
                    store: &mut store,
                }
                .run(&receiver);
            })?;
        Ok(Self {
            queue,
            enabled,
            reader,
            writer: Some(writer),
        })
    }

    pub fn recorder(&self) -> Recorder {
        let queue = self.enabled.then(|| Arc::clone(&self.queue));
        Recorder { queue }
    }

    /// Where queries are answered.
    pub fn reader(&self) -> Arc<LogStore> {
        Arc::clone(&self.reader)
    }

    /// Stores what is queued and ends the thread.
    pub fn stop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(self.queue.sender.send(Message::Stop));
            if writer.join().is_err() {
                tracing::error!("the decision log thread panicked");
            }
        }
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's side.
struct Writer<'a> {
    queue: &'a Queue,
    settings: LogSettings,
    store: &'a mut LogStore,
}

impl Writer<'_> {
    fn run(mut self, receiver: &Receiver<Message>) {
        self.prune();
        let mut pruned = Instant::now();
        let mut written = 0;
        loop {
            let batch = collect(receiver);
            written += self.store(batch.records);
            if batch.is_last {
                return count_rest(receiver, &self.queue.metrics);
            }
            if pruned.elapsed() >= PRUNE_INTERVAL || written >= PRUNE_BYTES {
                self.prune();
                pruned = Instant::now();
                written = 0;
            }
        }
    }

    /// Stores a batch and returns its size in bytes, about.
    fn store(&mut self, records: Vec<Record>) -> usize {
        if records.is_empty() {
            return 0;
        }
        let count = records.len() as u64;
        let weight = records.iter().map(Record::weight).sum();
        let records = records.into_iter();
        let entries: Vec<Entry> = records
            .map(|record| record.into_entry(&self.settings.mask))
            .collect();
        match self.store.append(&entries) {
            Ok(()) => {
                self.queue.metrics.log_written.inc_by(count);
            }
            Err(error) => {
                self.queue.metrics.log_dropped("store", count);
                tracing::error!(%error, count, "decisions could not be stored");
            }
        }
        self.queue.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
        weight
    }

    fn prune(&self) {
        if let Err(error) = self
            .store
            .prune(self.settings.retention, self.settings.max_bytes)
        {
            tracing::error!(%error, "old decisions could not be removed");
        }
    }
}

/// Records to be stored together.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    /// Whether the log is to end.
    is_last: bool,
}

/// Waits for a record, then lets others gather and takes them all: the thread is woken once a
/// batch, and handing a record over costs the request path no wake-up.
fn collect(receiver: &Receiver<Message>) -> Batch {
    let mut batch = Batch::default();
    let mut next = receiver.recv_timeout(PRUNE_INTERVAL);
    let mut gathered = false;
    loop {
        match next {
            Ok(Message::Record(record)) => batch.records.push(*record),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                batch.is_last = true;
                return batch;
            }
            Err(RecvTimeoutError::Timeout) => return batch,
        }
        if batch.records.len() >= MAX_BATCH {
            return batch;
        }
        if !gathered {
            std::thread::sleep(BATCH_DELAY);
            gathered = true;
        }
        next = receiver.try_recv().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        });
    }
}

/// Records that came after the end was asked for are lost, and counted.
fn count_rest(receiver: &Receiver<Message>, metrics: &Metrics) {
    let rest = receiver
        .try_iter()
        .filter(|message| matches!(message, Message::Record(_)));
    let lost = rest.count() as u64;
    if lost > 0 {
        metrics.log_dropped("stopped", lost);
    }
}
