//! The store in a SQLite file beside the process. It holds the file's lock as long as it lives,
//! and a change is on disk before it is acknowledged.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use rusqlite::{Connection, ErrorCode, Transaction, params};
use serde_json::Value;

use super::{Change, PolicyStore, StoreError, StoreFuture, Stored, StoredBundle};

/// Version of the tables below.
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 0), revision INTEGER NOT NULL) STRICT;
    INSERT INTO state VALUES (0, 0);
    CREATE TABLE resources (
        kind TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        document TEXT NOT NULL,
        sha256 BLOB NOT NULL,
        revision INTEGER NOT NULL,
        PRIMARY KEY (kind, namespace, name)
    ) STRICT;
    CREATE TABLE bundles (
        name TEXT PRIMARY KEY,
        archive BLOB NOT NULL,
        sha256 BLOB NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT;
";

/// A store in a file.
#[derive(Debug)]
pub struct EmbeddedStore {
    connection: Arc<Mutex<Connection>>,
}

impl EmbeddedStore {
    /// Opens the file and locks it, making it if need be.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        let explain = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::InUse(shown.clone())
            }
            _ => StoreError::Failed(format!("{shown}: {error}")),
        };
        let connection = Connection::open(path).map_err(explain)?;
        let prepare = || -> rusqlite::Result<i64> {
            // The lock is taken by the first transaction and kept.
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        };
        match prepare().map_err(explain)? {
            0 => {
                let create =
                    format!("BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;");
                connection.execute_batch(&create).map_err(explain)?;
            }
            SCHEMA_VERSION => {}
            found => {
                return Err(StoreError::Schema {
                    path: shown,
                    found,
                    known: SCHEMA_VERSION,
                });
            }
        }
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs on a thread that may block.
    fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            let blocking = tokio::task::spawn_blocking(move || {
                act(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
            });
            blocking
                .await
                .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
        })
    }
}

impl PolicyStore for EmbeddedStore {
    fn load(&self) -> StoreFuture<'_, Stored> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            Ok(Stored {
                revision: revision(&transaction)?,
                resources: load_resources(&transaction)?,
                bundles: load_bundles(&transaction)?,
            })
        })
    }

    fn commit(&self, change: Change) -> StoreFuture<'_, u64> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let current = revision(&transaction)?;
            if current != change.base {
                return Err(StoreError::Stale { current });
            }
            let next = current + 1;
            apply(&transaction, &change, next)?;
            transaction.execute("UPDATE state SET revision = ?", [number(next)])?;
            transaction.commit()?;
            Ok(next)
        })
    }
}

fn apply(transaction: &Transaction<'_>, change: &Change, revision: u64) -> Result<(), StoreError> {
    for id in &change.delete_resources {
        transaction.execute(
            "DELETE FROM resources WHERE kind = ? AND namespace = ? AND name = ?",
            params![id.kind.to_string(), id.namespace, id.name],
        )?;
    }
    for (id, document) in &change.put_resources {
        let text = document.to_string();
        transaction.execute(
            "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?)",
            params![
                id.kind.to_string(),
                id.namespace,
                id.name,
                text,
                checksum(text.as_bytes()),
                number(revision)
            ],
        )?;
    }
    for name in &change.delete_bundles {
        transaction.execute("DELETE FROM bundles WHERE name = ?", [name])?;
    }
    for StoredBundle { name, archive } in &change.put_bundles {
        transaction.execute(
            "INSERT OR REPLACE INTO bundles VALUES (?, ?, ?, ?)",
            params![name, archive, checksum(archive), number(revision)],
        )?;
    }
    Ok(())
}

fn load_resources(transaction: &Transaction<'_>) -> Result<Vec<Value>, StoreError> {
    let mut statement = transaction
        .prepare("SELECT name, document, sha256 FROM resources ORDER BY kind, namespace, name")?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, Vec<u8>>(2)?,
        ))
    })?;
    let mut resources = Vec::new();
    for row in rows {
        let (name, text, expected) = row?;
        verify(text.as_bytes(), &expected, || format!("resource `{name}`"))?;
        resources.push(
            serde_json::from_str(&text).map_err(|error| StoreError::Failed(error.to_string()))?,
        );
    }
    Ok(resources)
}

fn load_bundles(transaction: &Transaction<'_>) -> Result<Vec<StoredBundle>, StoreError> {
    let mut statement =
        transaction.prepare("SELECT name, archive, sha256 FROM bundles ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        let bundle = StoredBundle {
            name: row.get(0)?,
            archive: row.get(1)?,
        };
        Ok((bundle, row.get::<_, Vec<u8>>(2)?))
    })?;
    let mut bundles = Vec::new();
    for row in rows {
        let (bundle, expected) = row?;
        verify(&bundle.archive, &expected, || {
            format!("bundle `{}`", bundle.name)
        })?;
        bundles.push(bundle);
    }
    Ok(bundles)
}

fn revision(transaction: &Transaction<'_>) -> Result<u64, StoreError> {
    let revision: i64 =
        transaction.query_row("SELECT revision FROM state", [], |row| row.get(0))?;
    u64::try_from(revision).map_err(|_| StoreError::Corrupt {
        what: "revision".to_owned(),
    })
}

fn number(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn checksum(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn verify(bytes: &[u8], expected: &[u8], what: impl Fn() -> String) -> Result<(), StoreError> {
    if checksum(bytes) == expected {
        return Ok(());
    }
    Err(StoreError::Corrupt { what: what() })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
