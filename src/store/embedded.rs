//! The store in a SQLite file beside the process. A change is on disk before it is acknowledged, and
//! what is read has the checksum it was written with. What is known to be stored is also held in
//! memory, so that a file that changes underneath is noticed and never built upon.

mod chain;
mod file;
mod read;
mod schema;
mod write;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, Transaction};
use tokio::sync::Semaphore;

use self::chain::Pending;
use self::read::{Head, Reader};
use super::{
    Attempt, AuditPage, AuditQuery, BLOCKING_THREADS, Change, Config, PolicyStore, Revision,
    StoreError, StoreFuture, Stored,
};

/// A store in a file.
#[derive(Debug)]
pub struct EmbeddedStore {
    inner: Arc<Mutex<Inner>>,
    /// Who waits for the file waits on no thread.
    turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Of the file that is open.
    identity: (u64, u64),
    config: Config,
    /// `None` after an error that leaves it unclear what the file holds, until it is read anew.
    connection: Option<Connection>,
    /// What is stored; `None` before it was read.
    head: Option<Head>,
    /// Audit records that could not be written yet.
    pending: Pending,
    /// Errors to be had instead of a commit, or after it.
    #[cfg(test)]
    faults: Faults,
    /// Held as long as the store lives, also while the file is opened anew.
    _lock: File,
}

/// Failures for tests.
#[cfg(test)]
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Faults {
    /// The commit is made, and told to have failed.
    pub(super) after_commit: bool,
}

impl EmbeddedStore {
    /// Opens the file and locks it, making it if need be.
    pub fn open(path: &Path, config: Config) -> Result<Self, StoreError> {
        let mut lock = file::lock(path)?;
        file::make_first(path, &mut lock)?;
        let connection = file::connect(path, config)?;
        let inner = Inner {
            path: path.to_owned(),
            identity: file::identity(path)?,
            config,
            connection: Some(connection),
            head: None,
            pending: Pending::default(),
            #[cfg(test)]
            faults: Faults::default(),
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(Mutex::new(inner)),
            turn: Arc::new(Semaphore::new(BLOCKING_THREADS)),
        })
    }

    /// Runs on a thread that may block.
    fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (inner, turn) = (Arc::clone(&self.inner), Arc::clone(&self.turn));
        Box::pin(async move {
            let turn = turn.acquire_owned().await;
            let turn = turn.map_err(|error| StoreError::Failed(error.to_string()))?;
            let blocking = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                act(&mut inner.lock().unwrap_or_else(PoisonError::into_inner))
            });
            blocking
                .await
                .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
        })
    }
}

impl PolicyStore for EmbeddedStore {
    fn load(&self) -> StoreFuture<'_, Stored> {
        self.run(|inner| {
            let (head, entries) = inner.read(read::newest)?;
            let stored = Stored {
                revision: head.state.revision,
                entries,
                fallback: head.fallback.clone(),
            };
            inner.head = Some(head);
            Ok(stored)
        })
    }

    fn load_at(&self, revision: u64) -> StoreFuture<'_, Stored> {
        self.run(move |inner| {
            let entries = inner.read(|reader| {
                let (_, rows) = reader.revision(revision)?;
                reader.entries(&rows)
            })?;
            Ok(Stored {
                revision,
                entries,
                fallback: None,
            })
        })
    }

    fn commit(&self, change: Change) -> StoreFuture<'_, u64> {
        self.run(move |inner| inner.commit(&change))
    }

    fn revisions(&self) -> StoreFuture<'_, Vec<Revision>> {
        self.run(|inner| inner.read(|reader| reader.revisions()))
    }

    fn record_failure(
        &self,
        attempt: Attempt,
        revision: u64,
        error: String,
    ) -> StoreFuture<'_, ()> {
        let time = Timestamp::now();
        self.run(move |inner| {
            inner.pending.add(time, attempt, revision, &error);
            inner.write(write::pending).map(drop)
        })
    }

    fn audit(&self, query: AuditQuery) -> StoreFuture<'_, AuditPage> {
        self.run(move |inner| inner.read(|reader| chain::page(reader.connection(), query)))
    }
}

// === impl Inner ===

impl Inner {
    /// The connection. After an error that left the file in doubt, the file is opened and looked at
    /// anew.
    fn opened(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            let mut connection = file::connect(&self.path, self.config)?;
            if let Some(head) = &self.head {
                write::take_back(&mut connection, head)?;
                read::still_holds(&connection, head)?;
            }
            self.identity = file::identity(&self.path)?;
            tracing::info!(path = %self.path.display(), "the policy store was opened anew");
            self.connection = Some(connection);
        }
        let missing = || StoreError::Failed("the policy store is closed".to_owned());
        self.connection.as_mut().ok_or_else(missing)
    }

    fn read<T>(
        &mut self,
        act: impl FnOnce(&mut Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.opened()?;
        let result = transaction(connection).and_then(|transaction| {
            let result = act(&mut Reader::of(&transaction));
            drop(transaction);
            result
        });
        self.note(result)
    }

    /// Goes on only with what was read and verified.
    fn head(&mut self) -> Result<Head, StoreError> {
        if let Some(head) = &self.head {
            return Ok(head.clone());
        }
        let (head, _) = self.read(read::newest)?;
        self.head = Some(head.clone());
        Ok(head)
    }

    fn commit(&mut self, change: &Change) -> Result<u64, StoreError> {
        let head = self.head()?;
        if change.base != head.state.revision {
            return Err(StoreError::Stale {
                current: head.state.revision,
            });
        }
        self.write(|write| {
            write::pending(write)?;
            write.change(change)
        })
    }

    /// Rule: what would be gone with the next start is not acknowledged. A file that is open can be
    /// written after it was removed, or another was put in its place.
    fn check_place(&mut self) -> Result<(), StoreError> {
        let result = file::identity(&self.path).and_then(|found| match found == self.identity {
            true => Ok(()),
            false => Err(StoreError::Io(format!(
                "{} is not the file that was opened",
                self.path.display()
            ))),
        });
        self.note(result)
    }

    /// Writes all that `act` does, or nothing. What is in memory follows what is on disk.
    fn write<T>(
        &mut self,
        act: impl FnOnce(&mut write::Write<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut head = self.head()?;
        self.opened()?;
        self.check_place()?;
        let config = self.config;
        let pending = self.pending.clone();
        #[cfg(test)]
        let faults = std::mem::take(&mut self.faults);
        let connection = self.opened()?;
        let result = transaction(connection).and_then(|transaction| {
            let mut write = write::Write::new(&transaction, &mut head, &pending, config);
            let done = act(&mut write)?;
            write.finish()?;
            transaction.commit()?;
            #[cfg(test)]
            if faults.after_commit {
                return Err(StoreError::Io("as the test wants it".to_owned()));
            }
            Ok(done)
        });
        if result.is_ok() {
            self.head = Some(head);
            self.pending = Pending::default();
        }
        self.note(result)
    }

    /// Rule: after an error of the file nothing that was read or written before is relied on.
    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            let is_understood = error.is_answer() || matches!(error, StoreError::Full);
            if !is_understood {
                self.connection = None;
            }
        }
        result
    }
}

fn transaction(connection: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    Ok(connection.transaction()?)
}

fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        let Some(code) = error.sqlite_error_code() else {
            // A value that is not what was written.
            return corrupt(text);
        };
        match code {
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TooBig => {
                corrupt(text)
            }
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly => {
                Self::Io(text)
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::InUse(text),
            _ => Self::Failed(text),
        }
    }
}
