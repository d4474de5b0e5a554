//! Hands over downloads: those that come at the same time become one revision, so that many bundles at
//! a start are compiled once. One that is bad does not keep the others out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::status::Failure;
use crate::activation::{Activation, ActivationError, Download};
use crate::store::Hash;

/// Longest that the first downloads wait for those of other sources.
const GATHERING: Duration = Duration::from_secs(2);

/// What a source says.
#[derive(Debug)]
pub(super) enum Report {
    Download {
        waiting: Waiting,
        is_first: bool,
    },
    /// Its first attempt brought nothing.
    NothingFirst,
}

/// A download, and who waits for what becomes of it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) name: String,
    pub(super) download: Arc<Download>,
    pub(super) answer: oneshot::Sender<Result<bool, Failure>>,
}

/// Hands over until all sources are gone.
pub(super) async fn run(
    activation: Arc<Activation>,
    mut reports: mpsc::Receiver<Report>,
    sources: usize,
) {
    let mut batches = Batches {
        activation,
        known: HashMap::new(),
    };
    let mut missing = sources;
    while let Some(report) = reports.recv().await {
        let mut batch = Vec::new();
        missing -= add(report, &mut batch).min(missing);
        // Rule: at the start they are waited for, later only what is there already is taken along.
        let deadline = Instant::now() + GATHERING;
        while missing > 0 {
            match tokio::time::timeout_at(deadline, reports.recv()).await {
                Ok(Some(report)) => missing -= add(report, &mut batch).min(missing),
                Ok(None) => break,
                Err(_) => missing = 0,
            }
        }
        while let Ok(report) = reports.try_recv() {
            add(report, &mut batch);
        }
        batches.put(batch).await;
    }
}

/// Adds what was reported. Returns how many sources are not waited for any more.
fn add(report: Report, batch: &mut Vec<Waiting>) -> usize {
    match report {
        Report::Download { waiting, is_first } => {
            batch.push(waiting);
            usize::from(is_first)
        }
        Report::NothingFirst => 1,
    }
}

struct Batches {
    activation: Arc<Activation>,
    /// What failed, by name: the same content under the same revision fails again.
    known: HashMap<String, (Hash, u64, Failure)>,
}

impl Batches {
    /// Rule: as many as possible get in. Bundles may need each other, so those that failed are tried
    /// again as long as others got in.
    async fn put(&mut self, batch: Vec<Waiting>) {
        let mut batch = self.without_known(batch);
        while !batch.is_empty() {
            let count = batch.len();
            let failed = self.put_parts(batch).await;
            if failed.len() == count || failed.is_empty() {
                return self.give_up(failed);
            }
            batch = failed.into_iter().map(|(waiting, _)| waiting).collect();
        }
    }

    fn without_known(&mut self, batch: Vec<Waiting>) -> Vec<Waiting> {
        let revision = self.revision();
        let mut unknown = Vec::new();
        for waiting in batch {
            match self.known.get(&waiting.name) {
                Some((digest, at, failure))
                    if *digest == waiting.download.digest && *at == revision =>
                {
                    answer(waiting, Err(failure.clone()));
                }
                _ => unknown.push(waiting),
            }
        }
        unknown
    }

    /// Puts all, or the halves of what cannot be put together. Returns what failed alone.
    async fn put_parts(&self, batch: Vec<Waiting>) -> Vec<(Waiting, ActivationError)> {
        let mut parts = vec![batch];
        let mut failed = Vec::new();
        while let Some(mut part) = parts.pop() {
            let downloads: Vec<_> = part
                .iter()
                .map(|waiting| Arc::clone(&waiting.download))
                .collect();
            match self.activation.put_downloads(&downloads).await {
                Ok(revision) => part
                    .into_iter()
                    .for_each(|waiting| answer(waiting, Ok(revision.is_some()))),
                Err(error) if part.len() == 1 => {
                    failed.extend(part.pop().map(|waiting| (waiting, error)));
                }
                Err(_) => {
                    let half = part.split_off(part.len() / 2);
                    parts.extend([half, part]);
                }
            }
        }
        failed
    }

    fn give_up(&mut self, failed: Vec<(Waiting, ActivationError)>) {
        let revision = self.revision();
        for (waiting, error) in failed {
            let failure = Failure::from(&error);
            // A full disk may have room the next time.
            let may_pass = matches!(
                error,
                ActivationError::Store(_) | ActivationError::Internal(_)
            );
            if !may_pass {
                let known = (waiting.download.digest, revision, failure.clone());
                self.known.insert(waiting.name.clone(), known);
            }
            answer(waiting, Err(failure));
        }
    }

    fn revision(&self) -> u64 {
        self.activation.snapshot().load().revision
    }
}

/// Whoever is gone needs no answer.
fn answer(waiting: Waiting, result: Result<bool, Failure>) {
    let _ = waiting.answer.send(result);
}
