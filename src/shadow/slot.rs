//! The place in a record for what shadows say: the record is on its way while they are asked.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Verdict;

/// Filled once, by whoever asks the shadows; taken once, by whoever stores the record.
#[derive(Debug, Default)]
pub struct Slot {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Filled(Vec<Verdict>),
    /// Nobody waits for it any more.
    Closed,
}

impl Slot {
    /// Puts the verdicts in. `false` if they come too late.
    pub fn fill(&self, verdicts: Vec<Verdict>) -> bool {
        let mut state = self.lock();
        if matches!(*state, State::Closed) {
            return false;
        }
        *state = State::Filled(verdicts);
        drop(state);
        self.filled.notify_all();
        true
    }

    /// Waits so long at most for the verdicts. `None`: there are none, and none will be.
    pub fn take(&self, patience: Duration) -> Option<Vec<Verdict>> {
        let is_open = |state: &mut State| matches!(state, State::Open);
        let waited = self
            .filled
            .wait_timeout_while(self.lock(), patience, is_open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Filled(verdicts) => Some(verdicts),
            State::Open | State::Closed => None,
        }
    }

    /// Whether nobody waits for it any more.
    pub fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
