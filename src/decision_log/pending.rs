//! What becomes of a record that is to be handed over, and one that waits until there is room for it.

use std::sync::Arc;

use super::chunk::Head;
use super::queue::Queue;

/// What became of a record.
#[derive(Debug)]
pub enum Recorded {
    /// It is handed over, or counted as lost.
    Settled,
    /// It cannot be handed over, and the request must not pass without. Nothing is counted.
    Refused,
    /// There is no room for it yet.
    Waits(Box<Pending>),
}

/// Why a record cannot be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Nothing more is stored.
    Stopped,
    /// What was handed over before cannot be stored.
    Failing,
    /// There is no room.
    Full,
}

/// A record that waits for room. Dropped, it is counted as lost.
#[derive(Debug)]
pub struct Pending {
    queue: Arc<Queue>,
    line: Option<Line>,
}

/// A record with its request written down.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) head: Head,
    pub(super) request: Vec<u8>,
    pub(super) weight: usize,
}

impl Pending {
    pub(super) fn new(queue: Arc<Queue>, line: Line) -> Self {
        let line = Some(line);
        Self { queue, line }
    }

    /// Waits until there is room and hands the record over. Whoever gives up waiting has it counted as
    /// lost.
    pub async fn settle(mut self) {
        let queue = Arc::clone(&self.queue);
        loop {
            // Before it is tried, so that room which is made meanwhile is not missed.
            let room = queue.room();
            let Some(line) = self.line.take() else {
                return;
            };
            match queue.offer(line.head, &line.request, line.weight) {
                Ok(()) => return,
                Err((head, Obstacle::Full)) => self.line = Some(Line { head, ..line }),
                Err((_, obstacle)) => return queue.lose(obstacle),
            }
            room.await;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.line.take().is_some() {
            self.queue.lose(Obstacle::Full);
        }
    }
}

// === impl Obstacle ===

impl Obstacle {
    /// The name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Failing => "store",
            Self::Full => "buffer_full",
        }
    }
}
