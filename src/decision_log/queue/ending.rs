//! What becomes of records under way when the log's thread fails: they are counted as lost, each once.

use super::{Chunk, Obstacle, Queue};

impl Queue {
    /// Counts as lost what was taken and is neither stored nor counted; what was not taken stays. Returns how
    /// many records are lost.
    pub(in crate::decision_log) fn forsake(&self) -> u64 {
        let mut state = self.lock();
        let counts = state.chunks.iter().map(|chunk| chunk.records().count());
        let waiting = u64::try_from(counts.sum::<usize>()).unwrap_or(u64::MAX);
        let lost = state.outstanding.saturating_sub(waiting);
        state.outstanding -= lost;
        state.weight = state.chunks.iter().map(Chunk::weight).sum();
        drop(state);
        self.room.notify_waiters();
        if lost > 0 && self.is_recording {
            self.metrics.log.dropped("panic", lost);
        }
        lost
    }

    /// Takes nothing more, and counts as lost what is neither stored nor counted. Returns how many
    /// records these are.
    pub(in crate::decision_log) fn abandon(&self) -> u64 {
        let mut state = self.lock();
        state.has_ended = true;
        let chunks = std::mem::take(&mut state.chunks);
        let spare = std::mem::take(&mut state.spare);
        let lost = std::mem::take(&mut state.outstanding);
        state.weight = 0;
        drop(state);
        self.room.notify_waiters();
        drop((chunks, spare));
        if lost > 0 && self.is_recording {
            let stopped = Obstacle::Stopped.as_str();
            self.metrics.log.dropped(stopped, lost);
        }
        lost
    }
}
