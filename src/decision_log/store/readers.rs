//! Connections for questions: one for each that is being answered, so that none waits for another.
//! How many are answered at once is left to who asks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::LogStore;
use super::damage::Damage;
use crate::decision_log::query::{Filter, Page, QueryError};
use crate::decision_log::summary::{Summary, SummaryOf};

/// Most connections that are kept for the next questions.
const MAX_IDLE: usize = 8;

/// Answers questions, many at once.
#[derive(Debug)]
pub struct LogReaders {
    path: PathBuf,
    damage: Arc<Damage>,
    /// Each with the file it is of.
    idle: Mutex<Vec<(u64, LogStore)>>,
}

impl LogReaders {
    /// The file is made by who writes it.
    pub fn of(path: &Path) -> Self {
        Self::noting(path, Arc::default())
    }

    pub(in crate::decision_log) fn noting(path: &Path, damage: Arc<Damage>) -> Self {
        Self {
            path: path.to_owned(),
            damage,
            idle: Mutex::default(),
        }
    }

    /// Answers a question.
    pub fn query(&self, filter: &Filter) -> Result<Page, QueryError> {
        self.ask(|store| store.query(filter))
    }

    /// Counts decisions.
    pub fn summarize(&self, question: &SummaryOf) -> Result<Summary, QueryError> {
        self.ask(|store| store.summarize(question))
    }

    pub(in crate::decision_log) fn ask<T>(
        &self,
        question: impl FnOnce(&LogStore) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.damage.file();
        let reader = {
            let mut idle = idle();
            idle.retain(|(of, _)| *of == file);
            idle.pop()
        };
        let reader = match reader {
            Some((_, reader)) => reader,
            None => LogStore::open_reader(&self.path)?.noting(Arc::clone(&self.damage)),
        };
        let answer = question(&reader);
        // What failed once is not relied on again.
        let is_sound = !matches!(answer, Err(QueryError::Store(_)));
        let mut idle = idle();
        if is_sound && idle.len() < MAX_IDLE {
            idle.push((file, reader));
        }
        answer
    }
}
