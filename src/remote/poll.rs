//! The task of one source: asks, has what came read and activated, and waits. A failure of any kind
//! leaves what is active.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::batch::{Report, Waiting};
use super::fetch::{Fetcher, Wanted};
use super::origin::Origin;
use super::schedule;
use super::status::{Active, Failure, Record};
use crate::activation::{Activation, Download};
use crate::bundle::RemoteSource;
use crate::telemetry::BundleStage;

/// A server that answers a request to wait sooner than this does not wait.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What all sources use.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) activation: Arc<Activation>,
    pub(super) reads: Semaphore,
    pub(super) reports: mpsc::Sender<Report>,
}

/// One source.
pub(super) struct Poller {
    source: Arc<RemoteSource>,
    origin: Origin,
    record: Arc<Record>,
    shared: Arc<Shared>,
    /// Of what is active; `None` if there is nothing to spare.
    etag: Option<String>,
    /// Whether the server waits if it is asked to.
    can_wait: bool,
    is_first: bool,
    /// How long the last answer took.
    answered_after: Duration,
    /// Whether the last one was something new, at once.
    was_hasty: bool,
}

/// What came of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Activated,
    Unchanged,
}

impl Poller {
    pub(super) fn new(source: RemoteSource, record: Arc<Record>, shared: Arc<Shared>) -> Self {
        let source = Arc::new(source);
        Self {
            origin: Origin::new(&source),
            source,
            record,
            shared,
            etag: None,
            can_wait: true,
            is_first: true,
            answered_after: Duration::ZERO,
            was_hasty: false,
        }
    }

    /// Goes on until aborted.
    pub(super) async fn run(mut self) {
        let mut failures = 0u32;
        loop {
            self.record.asks(Timestamp::now());
            let turn = self.turn().await;
            let now = Timestamp::now();
            failures = match &turn {
                Ok(turn) => {
                    self.record.is_good(now, *turn == Turn::Activated);
                    0
                }
                Err(failure) => {
                    self.tell(now, failure);
                    failures.saturating_add(1)
                }
            };
            if self.is_first {
                self.is_first = false;
                // The receiver ends with this task.
                let _ = self.shared.reports.send(Report::NothingFirst).await;
            }
            let delay = schedule::pause(&self.source.polling, failures, random());
            let was_hasty = std::mem::take(&mut self.was_hasty);
            let pause = match turn {
                // Rule: a server that waits is asked again at once, one that only says so is not.
                Ok(_) if self.wait().is_some() && self.answered_after >= SHORTEST_WAIT => {
                    Duration::ZERO
                }
                // What it has at once the first time may be all it has.
                Ok(Turn::Activated) if self.wait().is_some() => {
                    self.was_hasty = true;
                    match was_hasty {
                        false => SHORTEST_WAIT,
                        true => delay.max(SHORTEST_WAIT),
                    }
                }
                _ => delay,
            };
            self.record.waits(now, pause);
            tokio::time::sleep(pause).await;
        }
    }

    /// How long the server is asked to wait.
    fn wait(&self) -> Option<Duration> {
        let wait = self.source.polling.long_polling_timeout?;
        self.can_wait.then_some(wait.0)
    }

    async fn turn(&mut self) -> Result<Turn, Failure> {
        let wanted = Wanted {
            etag: self.etag.as_deref(),
            wait: self.wait(),
        };
        let begun = Instant::now();
        let fetcher = &self.shared.fetcher;
        let fetched = self.origin.fetch(&self.source, fetcher, wanted).await;
        self.answered_after = begun.elapsed();
        let answer = match fetched {
            Ok(answer) => answer,
            Err(error) => {
                return Err(Failure::new(&error.to_string(), error.status()));
            }
        };
        self.record.answered(Timestamp::now());
        self.can_wait = answer.can_wait.unwrap_or(self.can_wait);
        let Some(archive) = answer.archive else {
            return Ok(Turn::Unchanged);
        };
        self.record.downloaded(Timestamp::now(), archive.len());
        self.record.took(BundleStage::Request, begun.elapsed());
        // Rule: a delta leads from what the server was told to something else. Until either is active,
        // another try gets all of it again.
        let before = self.etag.take();
        let takes_delta = before.is_some() && before != answer.etag;
        let (download, is_new) = self.activate(archive, takes_delta).await?;
        self.etag.clone_from(&answer.etag);
        let active = Active {
            kind: download.kind(),
            revision: download.revision().to_owned(),
            etag: answer.etag,
        };
        self.record.activated(Timestamp::now(), active);
        Ok(if is_new {
            Turn::Activated
        } else {
            Turn::Unchanged
        })
    }

    /// Has an archive taken in. Returns what it is, and whether it is another than before.
    async fn activate(
        &mut self,
        archive: Vec<u8>,
        takes_delta: bool,
    ) -> Result<(Arc<Download>, bool), Failure> {
        let name = &self.source.name;
        let gone = || Failure::new("the server is shutting down", None);
        let place = self.shared.reads.acquire().await.map_err(|_| gone())?;
        let activation = &self.shared.activation;
        let begun = Instant::now();
        let read = activation.read_download(name, archive, takes_delta).await;
        drop(place);
        self.record.took(BundleStage::Read, begun.elapsed());
        let download = Arc::new(read.map_err(|error| Failure::from(&error))?);
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            name: name.clone(),
            download: Arc::clone(&download),
            answer,
        };
        let report = Report::Download {
            waiting,
            is_first: std::mem::take(&mut self.is_first),
        };
        self.shared.reports.send(report).await.map_err(|_| gone())?;
        let is_new = answered.await.map_err(|_| gone())??;
        Ok((download, is_new))
    }

    /// A failure is told once, however often it is met.
    fn tell(&self, now: Timestamp, failure: &Failure) {
        if self.record.failed(now, failure.clone()) {
            tracing::warn!(
                bundle = self.source.name,
                url = %self.source.url,
                error = failure.message,
                "a bundle was not downloaded and activated; what is active stays"
            );
        }
    }
}

/// Out of 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 2];
    // Without randomness requests are not spread, which is all that is lost.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX)
}
