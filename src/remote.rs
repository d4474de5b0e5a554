//! Bundles that are downloaded: one task a source asks its server again and again, and what comes goes
//! the way of a push. Whatever a server does, the last good bundle stays. What a request may do is in
//! `fetch`, who it is from in `service`, object stores are in `object`, when a request is made in
//! `schedule`, and `batch` hands over what came together as one revision. Making policy of it is left to `activation`.

mod batch;
mod fetch;
mod object;
mod origin;
mod poll;
mod schedule;
mod status;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use crate::activation::Activation;
use crate::address::OwnPorts;
use crate::bundle::RemoteSource;
use crate::telemetry::Metrics;
use fetch::Fetcher;
use poll::{Poller, Shared};
use status::Record;

pub use status::{Failure, RemoteStatus};

/// Most archives that are read at once: each takes a thread, and memory for all it holds.
const MAX_READS: usize = 2;

/// Downloads bundles until dropped.
#[derive(Debug)]
pub struct Downloader {
    records: Vec<Arc<Record>>,
    tasks: Vec<AbortHandle>,
}

impl Downloader {
    /// Begins with all of them at once. `own_ports` are never asked on this machine. Must be called on
    /// a runtime.
    pub fn start(
        sources: Vec<RemoteSource>,
        activation: &Arc<Activation>,
        own_ports: OwnPorts,
        metrics: &Arc<Metrics>,
    ) -> Self {
        // Each source waits for what became of its download before it makes another.
        let (reports, received) = mpsc::channel(sources.len().max(1));
        let shared = Arc::new(Shared {
            fetcher: Arc::new(Fetcher::new(own_ports)),
            activation: Arc::clone(activation),
            reads: Semaphore::new(MAX_READS),
            reports,
        });
        let batch = batch::run(Arc::clone(activation), received, sources.len());
        let mut tasks = vec![tokio::spawn(batch).abort_handle()];
        let mut records = Vec::new();
        for source in sources {
            let record = Arc::new(Record::new(&source, Arc::clone(metrics)));
            let poller = Poller::new(source, Arc::clone(&record), Arc::clone(&shared));
            tasks.push(tokio::spawn(poller.run()).abort_handle());
            records.push(record);
        }
        Self { records, tasks }
    }

    /// How the sources are doing, by name.
    pub fn status(&self) -> Vec<RemoteStatus> {
        self.records.iter().map(|record| record.status()).collect()
    }
}

impl Drop for Downloader {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
