//! What brings records to a sink: gathers them for a while, delivers them in their order, tries again
//! after growing pauses, and keeps what comes meanwhile. It knows nothing of what the sink is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::holding::Holding;
use super::queue::Queue;
use super::schedule::{delay, pause, random};
use super::sink::{Failure, Sent, Sink};
use crate::telemetry::SinkCounters;

/// While it goes on failing, that is logged so often.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Why records are lost to a sink.
const REJECTED: &str = "rejected";
const TOO_LARGE: &str = "too_large";

/// How much a sink gets at once, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) min_delay: Duration,
    pub(super) max_delay: Duration,
}

pub(super) struct Worker {
    name: String,
    sink: Box<dyn Sink>,
    holding: Holding,
    queue: Arc<Queue>,
    counters: SinkCounters,
    pace: Pace,
    /// So many records at once, after some were too many.
    most: usize,
    /// In a row.
    failures: u32,
    told: Option<Instant>,
}

/// What follows a delivery.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    /// The next.
    Next,
    /// The same again, when this time has passed.
    Again(Duration),
    /// Nothing: the time is up.
    End,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(name: &str, sink: Box<dyn Sink>, holding: Holding, pace: Pace) -> Self {
        let queue = Arc::clone(holding.queue());
        Self {
            name: name.to_owned(),
            sink,
            holding,
            counters: queue.counters().clone(),
            queue,
            pace,
            most: pace.records,
            failures: 0,
            told: None,
        }
    }

    /// Delivers until nothing more comes and all is delivered, or time is up. What is left is on disk
    /// then, or lost.
    pub(super) async fn run(mut self) {
        let mut due = Instant::now();
        loop {
            self.gather(due).await;
            if !self.deliver_all().await || self.queue.has_ended() && self.queue.is_empty() {
                break;
            }
            due = Instant::now() + delay(self.pace.min_delay, self.pace.max_delay, random());
        }
        self.holding.end();
    }

    /// Waits for records, and then until a delivery is due or there is much to deliver.
    async fn gather(&mut self, due: Instant) {
        let is_much =
            |queue: &Queue| queue.waiting_bytes() >= self.pace.bytes || queue.is_crowded();
        while !self.holding.is_spilling() && !self.queue.has_ended() {
            let queue = &self.queue;
            if queue.is_empty() {
                queue.arrived().await;
            } else if is_much(queue) || Instant::now() >= due {
                return;
            } else {
                tokio::select! {
                    () = queue.arrived() => {}
                    () = tokio::time::sleep_until(due) => {}
                }
            }
        }
    }

    /// Delivers until nothing is left. Returns whether there is a next time.
    async fn deliver_all(&mut self) -> bool {
        loop {
            let records = self.holding.oldest(self.most, self.pace.bytes);
            if records.is_empty() {
                return true;
            }
            let sent = {
                let delivery = self.sink.deliver(&records);
                tokio::select! {
                    sent = delivery => Some(sent),
                    () = self.queue.out_of_time() => None,
                    () = self.holding.keep_room() => None,
                }
            };
            let then = match sent {
                Some(sent) => self.note(sent, records.len()),
                None => Then::End,
            };
            match then {
                Then::Next => {}
                Then::Again(pause) => {
                    // From now on a crash costs nothing that is on disk.
                    self.holding.spill();
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.queue.ended() => return false,
                        () = self.holding.keep_room() => {}
                    }
                }
                Then::End => return false,
            }
        }
    }

    /// Counts what became of a delivery.
    fn note(&mut self, sent: Sent, given: usize) -> Then {
        let count = sent.count.clamp(1, given);
        let failure = match sent.result {
            Ok(accepted) => {
                let rejected = accepted.rejected.min(count as u64);
                let too_large = accepted.too_large.min(count as u64 - rejected);
                self.counters.dropped(REJECTED, rejected);
                self.counters.dropped(TOO_LARGE, too_large);
                let delivered = count as u64 - rejected - too_large;
                self.counters.delivered.inc_by(delivered);
                self.settle(count);
                if rejected + too_large > 0 {
                    self.lost(rejected + too_large, "they were refused");
                }
                self.most = (self.most + self.most / 8 + 1).min(self.pace.records);
                return Then::Next;
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::MayPass { why, after } => {
                self.failures = self.failures.saturating_add(1);
                self.counters.retried.inc();
                self.failed(&why);
                if self.queue.has_ended() {
                    return Then::End;
                }
                return Then::Again(pause(self.failures, after, random()));
            }
            Failure::TooLarge { .. } if count > 1 => self.most = count / 2,
            Failure::TooLarge { why } => {
                self.counters.dropped(TOO_LARGE, 1);
                self.settle(1);
                self.lost(1, &why);
            }
            Failure::Final { why } => {
                self.counters.dropped(REJECTED, count as u64);
                self.settle(count);
                self.lost(count as u64, &why);
            }
        }
        Then::Next
    }

    fn settle(&mut self, count: usize) {
        self.holding.settle(count);
        if self.failures > 0 {
            tracing::info!(sink = self.name, "a sink of decisions is back");
            self.failures = 0;
            self.told = None;
        }
    }

    fn failed(&mut self, why: &str) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now - told >= TELL_INTERVAL) {
            self.told = Some(now);
            let (sink, failures) = (&self.name, self.failures);
            tracing::warn!(sink, failures, why, "a sink of decisions is tried again");
        }
    }

    fn lost(&mut self, count: u64, why: &str) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now - told >= TELL_INTERVAL) {
            self.told = Some(now);
            tracing::error!(sink = self.name, count, why, "decisions are lost to a sink");
        }
    }
}
