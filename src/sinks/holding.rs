//! What a sink holds: records in its queue, on disk, and those that are being delivered. They are
//! always in their order: what is on disk is older than what waits in memory, and what is being
//! delivered is the oldest of all, on disk or not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Queue, STOPPED, weight_of};
use super::spill::Spill;
use crate::decision_log::Finished;

/// How often what waits is looked at while something is being delivered.
const TICK: Duration = Duration::from_millis(100);
/// After a failure of the disk, how long it is left alone.
const REST: Duration = Duration::from_secs(1);

const DAMAGED: &str = "damaged";

#[derive(Debug)]
pub(super) struct Holding {
    name: String,
    queue: Arc<Queue>,
    spill: Option<Spill>,
    in_flight: VecDeque<Arc<Finished>>,
    /// Whether these are the first on disk.
    is_on_disk: bool,
    rests_until: Option<Instant>,
}

// === impl Holding ===

impl Holding {
    pub(super) fn new(name: &str, queue: Arc<Queue>, spill: Option<Spill>) -> Self {
        let holding = Self {
            name: name.to_owned(),
            queue,
            spill,
            in_flight: VecDeque::new(),
            is_on_disk: false,
            rests_until: None,
        };
        holding.tell();
        holding
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    fn tell(&self) {
        if let Some(spill) = &self.spill {
            let counters = self.queue.counters();
            counters.spill_holds(spill.records(), spill.bytes());
        }
    }

    /// Whether something is on disk.
    pub(super) fn is_spilling(&self) -> bool {
        let spill = self.spill.as_ref();
        spill.is_some_and(|spill| spill.records() > 0)
    }

    /// The oldest records, up to so many and so many bytes.
    pub(super) fn oldest(&mut self, records: usize, bytes: usize) -> Vec<Arc<Finished>> {
        if self.in_flight.is_empty() && self.is_spilling() {
            self.in_flight = self.read_disk(records);
            self.is_on_disk = !self.in_flight.is_empty();
        }
        if self.in_flight.is_empty() && !self.is_spilling() {
            self.in_flight = self.queue.pop(records, bytes);
            self.is_on_disk = false;
        }
        let mut left = bytes;
        let fits = |(index, record): &(usize, &Arc<Finished>)| {
            let weight = weight_of([*record]);
            let has_room = *index == 0 || weight <= left;
            left = left.saturating_sub(weight);
            has_room
        };
        let oldest = self.in_flight.iter().take(records).enumerate();
        let oldest = oldest.take_while(fits);
        oldest.map(|(_, record)| Arc::clone(record)).collect()
    }

    fn read_disk(&mut self, records: usize) -> VecDeque<Arc<Finished>> {
        let Some(spill) = &mut self.spill else {
            return VecDeque::new();
        };
        let (read, damaged) = match spill.peek(records) {
            Ok(peeked) => peeked,
            Err(error) => {
                // Nor can what is behind it: the disk is left alone.
                tracing::error!(%error, sink = self.name, "what a sink wrote for later cannot be read");
                let lost = spill.records();
                self.spill = None;
                self.queue.counters().spill_holds(0, 0);
                (Vec::new(), lost)
            }
        };
        if damaged > 0 {
            self.queue.counters().dropped(DAMAGED, damaged);
            tracing::error!(
                damaged,
                sink = self.name,
                "decisions that waited on disk are lost"
            );
        }
        self.tell();
        read.into()
    }

    /// The oldest so many are done.
    pub(super) fn settle(&mut self, records: usize) {
        let records = records.min(self.in_flight.len());
        let done: Vec<_> = self.in_flight.drain(..records).collect();
        if !self.is_on_disk {
            return self.queue.release(records, weight_of(&done));
        }
        if let Some(spill) = &mut self.spill {
            let settled = spill.advance(records).and_then(|()| spill.note());
            if let Err(error) = settled {
                tracing::warn!(%error, sink = self.name, "what a sink delivered may come again");
            }
        }
        self.tell();
    }

    /// Keeps room in memory while something else is waited for. Never ends.
    pub(super) async fn keep_room(&mut self) {
        loop {
            tokio::time::sleep(TICK).await;
            if self.queue.is_crowded() || self.is_spilling() {
                self.spill();
            }
        }
    }

    /// Brings to disk what is in memory, as far as there is room and it works. Without a disk, or while
    /// it fails, it stays where it is.
    pub(super) fn spill(&mut self) {
        let now = Instant::now();
        if self.spill.is_none() || self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        self.rests_until = None;
        if !self.is_on_disk && !self.in_flight.is_empty() {
            let in_flight: Vec<_> = self.in_flight.iter().map(Arc::clone).collect();
            // Nothing is on disk: what is delivered from memory is the oldest.
            let kept = self.write(&in_flight);
            if kept < in_flight.len() {
                return self.take_back(kept);
            }
            self.tell();
            self.queue.release(kept, weight_of(&in_flight));
            self.is_on_disk = true;
        }
        let waiting = self.queue.waiting();
        if !waiting.is_empty() {
            let kept = self.write(&waiting);
            self.tell();
            self.queue.remove(kept);
        }
        self.tell();
    }

    /// Not all that is being delivered has room on disk: all of it stays in memory.
    fn take_back(&mut self, kept: usize) {
        let taken_back = match &mut self.spill {
            Some(spill) if kept > 0 => spill.advance(kept).and_then(|()| spill.note()),
            _ => Ok(()),
        };
        if let Err(error) = taken_back {
            tracing::warn!(%error, sink = self.name, "what a sink delivers may come again");
        }
        self.tell();
    }

    /// Writes records to disk. Returns how many are kept there; the others stay where they are.
    fn write(&mut self, records: &[Arc<Finished>]) -> usize {
        let Some(spill) = &mut self.spill else {
            return 0;
        };
        let counters = self.queue.counters();
        let kept = spill.append(records);
        counters.spilled.inc_by(kept.records as u64);
        if let Some(error) = kept.error {
            counters.spill_failures.inc();
            tracing::error!(%error, sink = self.name, "decisions cannot be written to disk");
            self.rests_until = Some(Instant::now() + REST);
        }
        kept.records
    }

    /// Ends: what is in memory goes to disk, or is lost.
    pub(super) fn end(&mut self) {
        self.rests_until = None;
        self.spill();
        if let Some(spill) = &mut self.spill
            && let Err(error) = spill.note()
        {
            tracing::warn!(%error, sink = self.name, "what a sink delivered may come again");
        }
        let lost = self.queue.abandon();
        if lost > 0 {
            tracing::warn!(
                lost,
                sink = self.name,
                reason = STOPPED,
                "decisions are lost to a sink"
            );
        }
    }
}
