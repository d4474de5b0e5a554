//! Following the log: records in the order they came, at the pace of who follows. Nothing is kept for
//! them but their place; they read what is stored, as questions do, and are told what they missed.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::query::{Filter, QueryError, Wanted, parameter};
use super::store::LogReaders;

/// Who is further behind goes on near the end, with so many records before it.
const MAX_BEHIND: i64 = 100_000;
const RESUME_BEHIND: i64 = 1_000;

/// What followers begin with.
#[derive(Debug, Clone)]
pub struct Followers {
    readers: Arc<LogReaders>,
    /// The number up to which all is stored or lost.
    settled: watch::Receiver<i64>,
}

/// One who follows.
#[derive(Debug, Clone)]
pub struct Follower {
    readers: Arc<LogReaders>,
    settled: watch::Receiver<i64>,
    wanted: Arc<Wanted>,
    after: i64,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// Numbers that were passed over, and how many these are.
    pub missed: Option<i64>,
    /// Records with their numbers.
    pub records: Vec<(i64, Value)>,
    /// Where one who comes back goes on.
    pub reached: i64,
}

impl Followers {
    pub(super) fn new(readers: Arc<LogReaders>, settled: watch::Receiver<i64>) -> Self {
        Self { readers, settled }
    }

    /// Begins with what comes from now on, or behind this number.
    pub fn follow(&self, filter: &Filter, after: Option<i64>) -> Result<Follower, QueryError> {
        let absent = [
            ("since", filter.since.is_some()),
            ("until", filter.until.is_some()),
            ("limit", filter.limit.is_some()),
            ("cursor", filter.cursor.is_some()),
        ];
        if let Some((name, _)) = absent.iter().find(|(_, is_there)| *is_there) {
            return Err(parameter(name, "a stream is of what comes from now on"));
        }
        let settled = *self.settled.borrow();
        Ok(Follower {
            readers: Arc::clone(&self.readers),
            settled: self.settled.clone(),
            wanted: Arc::new(filter.wanted(Timestamp::now())?),
            // A number that was not given yet is of another log.
            after: after.unwrap_or(settled).clamp(0, settled.max(0)),
        })
    }
}

impl Follower {
    /// Waits until there is something new. `false` if there will be nothing any more.
    pub async fn wait(&mut self) -> bool {
        let after = self.after;
        let settled = self.settled.wait_for(|settled| *settled > after);
        settled.await.is_ok()
    }

    /// Where it is.
    pub fn reached(&self) -> i64 {
        self.after
    }

    /// What comes next. Reads the file: not for threads that others wait for.
    pub fn step(&mut self) -> Result<Step, QueryError> {
        let settled = *self.settled.borrow_and_update();
        let mut missed = None;
        if settled.saturating_sub(self.after) > MAX_BEHIND {
            let resume = settled - RESUME_BEHIND;
            missed = Some(resume - self.after);
            self.after = resume;
        }
        let (wanted, after) = (&self.wanted, self.after);
        let followed = self
            .readers
            .ask(|reader| reader.follow(wanted, after, settled))?;
        self.after = followed.reached.max(after);
        Ok(Step {
            missed,
            records: followed.records,
            reached: self.after,
        })
    }
}
